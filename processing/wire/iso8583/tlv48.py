"""Fields 48 and 62: ASCII TLV. A tag of two letters, three digits of length, the value.

Field 48 carries at most 999 characters; entries that repeat (lines, facts, rights) continue in
field 62 when it is full. The tables here are the format: docs/wire.md repeats them, and a test
keeps both equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

import msgspec

from processing.wire.iso8583.errors import WireError, shown
from processing.wire.iso8583.spec import FIELDS

FIELD_ROOM: Final = FIELDS[48].maximum
FACT_VALUE_MAX: Final = 40
"""Longest value of a fact, characters."""


_LENGTHS: Final = {b"%03d" % length: length for length in range(1000)}
"""Three digits to a length: one look-up instead of a check and a conversion."""


class Tag(msgspec.Struct, frozen=True):
    """One entry: its form as a pattern and in words, its meaning, and whether it may repeat."""

    pattern: re.Pattern[bytes]
    form: str
    meaning: str
    repeats: bool = False


def _tag(pattern: bytes, form: str, meaning: str, *, repeats: bool = False) -> Tag:
    return Tag(re.compile(pattern, re.DOTALL), form, meaning, repeats)


_DATE: Final = rb"([0-9]{8})"
_KEY: Final = rb"([0-9]{8})([A-Z0-9]{8})([0-9]{6})([0-9])"
_ITEM: Final = rb"([A-Za-z0-9][A-Za-z0-9./-]{0,19})"
_SERVICE: Final = rb"([A-Z0-9][A-Z0-9.-]{0,15})"
_BUSINESS_DATE: Final = _tag(_DATE, "yyyymmdd", "business date of the terminal, part of the key")

REQUEST_TAGS: Final[dict[bytes, Tag]] = {
    b"DT": _BUSINESS_DATE,
    b"CR": _tag(
        rb"([0-9]{2})([0-9A-F]{32})",
        "2 digits, 32 hex characters 0-9 A-F",
        "card reference: issuer region and the GUID of the card's CHUID",
    ),
    b"RH": _tag(
        rb"([0-9A-F]{32})",
        "32 hex characters 0-9 A-F",
        "rights holder; left out in an inquiry about every holder",
    ),
    b"ID": _tag(
        rb"([1-4])", "one digit 1 to 4", "1 PIV card, 2 bank-card token, 3 QR certificate, 4 portal"
    ),
    b"EP": _tag(rb"([0-9]{1,10})", "1 to 10 digits", "terminal epoch"),
    b"SQ": _tag(rb"([0-9]{1,19})", "1 to 19 digits", "terminal sequence"),
    b"ST": _tag(rb"([0-9]{1,16})", "1 to 16 digits", "signed time, UTC milliseconds since 1970"),
    b"CH": _tag(
        rb"((?:[0-9A-F]{2}){1,32})",
        "2 to 64 hex characters 0-9 A-F, an even number",
        "the centre's challenge; left out when there was none",
    ),
    b"PK": _tag(
        _KEY,
        "yyyymmdd, terminal (8), STAN (6 digits), class (1 digit)",
        "key of the parent transaction",
    ),
    b"SV": _tag(_SERVICE, "1 to 16 characters A-Z 0-9 . -", "service"),
    b"VR": _tag(rb"([0-9]{1,10})", "1 to 10 digits", "regulation version"),
    b"PV": _tag(rb"([0-9]{1,10})", "1 to 10 digits", "social passport version; left out means 0"),
    b"SL": _tag(rb"([0-9]{1,10})", "1 to 10 digits", "stop-list version; left out means 0"),
    b"PG": _tag(
        rb"([0-9]{1,4})", "1 to 4 digits", "inquiry: first right wanted; no part of the content"
    ),
    b"IT": _tag(
        _ITEM + rb",([0-9]{1,10}),([0-9]{1,4}),([0-6]),([0-9]{1,12})",
        "item,quantity,OKEI unit,scale,gross kopecks",
        "one line, in the order rung up",
        repeats=True,
    ),
}
ANSWER_TAGS: Final[dict[bytes, Tag]] = {
    b"DT": _BUSINESS_DATE,
    b"RC": _tag(rb"([0-9]{3})", "3 digits", "outcome, see outcomes.md"),
    b"PD": _tag(_DATE, "yyyymmdd", "posting date of the centre"),
    b"DA": _tag(rb"([0-9]{1,16})", "1 to 16 digits", "decided at, UTC milliseconds since 1970"),
    b"JP": _tag(
        rb"([0-9]{1,5}),([0-9]{1,20}),([0-9]{1,5})",
        "lane,block,ordinal",
        "place of the decision in the journal",
    ),
    b"NR": _tag(rb"([0-9]{1,4})", "1 to 4 digits", "there are more rights: ask again with this PG"),
    b"FC": _tag(
        rb"([a-z][a-z_]{0,23})=([ -~]{1,%d})" % FACT_VALUE_MAX,
        "name=value, 1 to 24 characters a-z _ and 1 to 40 printable",
        "a fact that decided, at most four",
        repeats=True,
    ),
    b"DL": _tag(
        rb"([0-9]{1,12}),([0-9]{1,12})",
        "covered kopecks,paid kopecks",
        "what one line costs whom, in the order of the request's lines",
        repeats=True,
    ),
    b"RT": _tag(
        rb"([0-9A-F]{32})?,"
        + _SERVICE
        + rb",([0-9]{1,10}),([A-Za-z0-9./*-]{0,20}),([0-9]{1,4}),([0-6])"
        + rb",([0-9]{1,19}),([0-9]{1,19}),([0-9]{1,3}),"
        + _DATE,
        "holder,service,version,item class,OKEI unit,scale,granted,remaining,percent,yyyymmdd",
        "a right; an empty holder is that of the RT before",
        repeats=True,
    ),
}
TOTALS_TAGS: Final[dict[bytes, Tag]] = {
    b"DT": _BUSINESS_DATE,
    b"TG": _tag(rb"([0-9]{1,16})", "1 to 16 digits", "gross of the approved, kopecks"),
    b"TP": _tag(rb"([0-9]{1,16})", "1 to 16 digits", "paid by citizens, kopecks"),
}
TOTALS_ANSWER_TAGS: Final[dict[bytes, Tag]] = {
    **{tag: ANSWER_TAGS[tag] for tag in (b"RC", b"FC")},
    **TOTALS_TAGS,
}
NETWORK_ANSWER_TAGS: Final[dict[bytes, Tag]] = {
    **{tag: ANSWER_TAGS[tag] for tag in (b"RC", b"FC", b"PD")},
    b"CT": _tag(rb"([0-9]{1,16})", "1 to 16 digits", "the centre's clock, UTC milliseconds"),
    b"KG": _tag(
        rb"([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])",
        "0 to 255",
        "key change: the key id of the next MAC key",
    ),
    b"KW": _tag(
        rb"([0-9A-F]{48}|[0-9A-F]{112})",
        "48 or 112 hex characters 0-9 A-F",
        "key change: the next MAC key, wrapped under the terminal's exchange key; the long form "
        "brings the next exchange key, too",
    ),
    b"RM": _tag(
        rb"([0-9A-F]{16})",
        "16 hex characters 0-9 A-F",
        "mark of the rules in force at the terminal; another one than its own: fetch them",
    ),
    b"KC": _tag(rb"(1)", "1", "the centre's terminal master is newer than the key: change it"),
}


class Entry(msgspec.Struct, frozen=True):
    """One entry as read: its field and tag, which of its kind it is (0 when it cannot repeat).

    `value` is where its pattern matched the field.
    """

    field: int
    tag: bytes
    ordinal: int
    value: re.Match[bytes]

    @property
    def name(self) -> str:
        """Return how an error names it, such as "48.SV" or "62.IT[12]"."""
        return _name(self.field, self.tag, self.ordinal)

    @property
    def offset(self) -> int:
        """Return where the value begins in the field."""
        return self.value.start()

    @property
    def groups(self) -> tuple[bytes, ...]:
        """Return the groups of the tag's pattern, empty where one was left out."""
        return self.value.groups(b"")

    @property
    def text(self) -> str:
        """Return the first group as text."""
        return self.value[1].decode("ascii")

    @property
    def number(self) -> int:
        """Return the first group, all digits, as an integer."""
        return int(self.value[1])

    def day_in(self, group: int = 0) -> date:
        """Return a group, yyyymmdd, as a date; raises `WireError` when there is no such day."""
        raw = self.groups[group]
        try:
            return date(int(raw[:4]), int(raw[4:6]), int(raw[6:]))
        except ValueError:
            raise WireError(
                self.name, self.offset, "a day of the calendar as yyyymmdd", shown(raw)
            ) from None


class Entries(msgspec.Struct, frozen=True):
    """The entries of one message: single ones by tag, repeating ones as lists."""

    single: dict[bytes, Entry]
    repeated: dict[bytes, list[Entry]]

    def number(self, tag: bytes, absent: int = 0) -> int:
        """Return a single entry's integer, or `absent` when it was left out."""
        entry = self.single.get(tag)
        return absent if entry is None else entry.number

    def need(self, tag: bytes, known: Mapping[bytes, Tag]) -> Entry:
        """Return a single entry, or raise `WireError` saying that it is missing."""
        entry = self.single.get(tag)
        if entry is None:
            expected = f"{known[tag].form}: {known[tag].meaning}"
            raise WireError(f"48.{tag.decode()}", 0, expected, "no such entry")
        return entry


def read(fields: Mapping[int, bytes], known: Mapping[bytes, Tag]) -> Entries:
    """Return the entries of fields 48 and 62.

    Raises `WireError` for an unknown tag, a second single tag, a single tag in field 62, a bad
    length or form. Offsets count from the start of the field named in the error.
    """
    single: dict[bytes, Entry] = {}
    repeated: dict[bytes, list[Entry]] = {}
    for number in (48, 62):
        data = fields.get(number, b"")
        offset = 0
        while offset < len(data):
            tag = data[offset : offset + 2]
            kind = known.get(tag)
            if kind is None:
                expected = "one of the tags " + " ".join(tag.decode() for tag in known)
                raise WireError(str(number), offset, expected, shown(tag))
            start = offset + 5
            end = start + _LENGTHS.get(data[offset + 2 : start], -start)
            match = kind.pattern.fullmatch(data, start, end)
            ordinal = len(repeated.get(tag, ())) + 1 if kind.repeats else 0
            if match is None or end > len(data):
                raise _unreadable(_name(number, tag, ordinal), data, start, end, kind)
            entry = Entry(number, tag, ordinal, match)
            if ordinal:
                repeated.setdefault(tag, []).append(entry)
            elif number == 62:
                raise WireError(entry.name, offset, "only entries that repeat", "one of field 48")
            elif tag in single:
                raise WireError(entry.name, offset, "each tag once", "the tag again")
            else:
                single[tag] = entry
            offset = end
    return Entries(single, repeated)


def _name(number: int, tag: bytes, ordinal: int) -> str:
    name = f"{number}.{tag.decode()}"
    return f"{name}[{ordinal}]" if ordinal else name


def _unreadable(name: str, data: bytes, start: int, end: int, kind: Tag) -> WireError:
    """Return what is wrong with an entry's length (`end` is 0 then) or form."""
    if not end:
        length = data[start - 3 : start]
        return WireError(name, start - 3, "a length of three digits", shown(length))
    if end > len(data):
        found = f"{max(len(data) - start, 0)}: the field ends"
        return WireError(name, start, f"{end - start} bytes", found)
    return WireError(name, start, kind.form, shown(data[start:end]))


def written(tag: bytes, value: bytes | str | int, known: Mapping[bytes, Tag]) -> bytes:
    """Return one entry as it travels; raises `WireError` for a value of another form."""
    kind = known[tag]
    # UTF-8 leaves foreign letters visible to the pattern, which refuses them.
    raw = value if isinstance(value, bytes) else str(value).encode()
    if kind.pattern.fullmatch(raw) is None:
        raise WireError(f"48.{tag.decode()}", 0, kind.form, shown(raw))
    return b"%b%03d%b" % (tag, len(raw), raw)


def packed(single: Iterable[bytes], repeating: Iterable[bytes]) -> tuple[bytes, bytes, int]:
    """Return fields 48 and 62, and how many of the repeating entries found room.

    Entries keep their order: once one has gone to field 62, all later ones follow it there.
    """
    fields = [b"".join(single), b""]
    if len(fields[0]) > FIELD_ROOM:
        raise WireError("48", 0, f"at most {FIELD_ROOM} bytes", str(len(fields[0])))
    at = count = 0
    for one in repeating:
        while at < 2 and len(fields[at]) + len(one) > FIELD_ROOM:
            at += 1
        if at == 2:
            break
        fields[at] += one
        count += 1
    return fields[0], fields[1], count
