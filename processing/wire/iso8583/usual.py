"""Reads the usual transaction in one go: what nearly all traffic is, at a fifth of the time.

`requests.parse_message` asks here first. Whatever is unusual gets None and is read by codec.py and
requests.py, which know every form and name every error; so this module must accept nothing that
they refuse, must give the same message where it accepts, and need not accept everything. A test
holds both together. Usual means:

- any kind but a reversal, with the fields of `_NEEDED`, any of `_POSSIBLE`, and no other
- the entries of field 48 in the order of `tlv48.REQUEST_TAGS`, lines last and going on in field 62
- numbers and codes within the narrower forms below, which leave no range to be checked afterwards
- the data objects of field 55 in the order of `de55.REQUEST_OBJECTS`
"""

from __future__ import annotations

import re
from binascii import unhexlify
from datetime import date
from functools import lru_cache
from itertools import product
from typing import Final

from processing.wire.iso8583 import de55
from processing.wire.iso8583.fields import KEY_ID_MAX, local_date, security_field
from processing.wire.iso8583.layout import SIZES
from processing.wire.iso8583.messages import (
    MTIS,
    PROCESSING_CODES,
    Echo,
    ParsedMessage,
    Transaction,
    processing_kind,
)
from processing.wire.iso8583.spec import FIELDS, HEX_DIGITS, MAC_BYTES, Profile
from processing.wire.transaction import (
    CHILDREN,
    LINES_MAX,
    NO_HOLDER,
    UNSIGNED,
    WITH_LINES,
    IdentifierKind,
    Kind,
    Line,
    MessageClass,
    Request,
    TransactionKey,
)

ACCEPTORS_MAX: Final = 4096
"""Most terminals whose fields 37 to 42 are kept ready; they come from the network."""

KEPT_MAX: Final = 1024
"""Most business dates, and most service parts, that are kept ready; they come from the network."""

_HEX16: Final = "([0-9A-F]{32})"
_NUMBER: Final = "([0-9]{1,9})"


def _fixed(tag: str, size: int, form: str) -> str:
    return f"{tag}{size:03d}{form}"


def _varying(tag: str, form: str) -> str:
    return f"{tag}([0-9]{{3}}){form}"


def _maybe(entry: str) -> str:
    # An empty branch is twice as fast as a question mark.
    return f"(?:{entry}|)"


# These forms are narrower than those in tlv48.py: a region is not 00, and numbers stay below 10**9,
# 10**18 and 10**15, which is within the 31, 32, 63 and 53 bits that `faults_of` allows.
_FIRST: Final = re.compile(
    _fixed("DT", 8, "([0-9]{8})")
    + _fixed("CR", 34, "((?!00)[0-9]{2})" + _HEX16)
    + _maybe(_fixed("RH", 32, _HEX16))
    + _fixed("ID", 1, "([1-4])")
    + _varying("EP", _NUMBER)
    + _varying("SQ", "([0-9]{1,18})")
    + _varying("ST", "([0-9]{1,15})")
    + "(CH[0-9]{3}(?:[0-9A-F]{2}){1,32}|)"
    + "(PK023[0-9]{8}[A-Z0-9]{8}[0-9]{6}[124]|)"
).match
_SECOND: Final = re.compile(
    _varying("SV", "([A-Z0-9][A-Z0-9.-]{0,15})")
    + _varying("VR", _NUMBER)
    + _maybe(_varying("PV", _NUMBER))
    + _maybe(_varying("SL", _NUMBER))
    + _maybe(_varying("PG", "([0-9]{1,4})"))
).fullmatch
_LINE: Final = re.compile(
    _varying(
        "IT", "(([A-Za-z0-9][A-Za-z0-9./-]{0,19}),([1-9][0-9]{0,9}),([1-9][0-9]{0,3}),([0-6]),"
    )
    + "([0-9]{1,12}))"
).findall
_LINES_BEGIN: Final = "IT0"

_SIZES: Final = {"": 0} | {f"{size:03d}": size for size in range(1000)}
"""The length of an entry by its digits; of one left out it is 0."""

_KINDS: Final = {
    (text.encode("ascii"), PROCESSING_CODES[kind]): (
        kind,
        MessageClass(mti.message_class),
        mti.advice,
        mti.repeat,
        kind not in UNSIGNED,
        kind in CHILDREN,
        kind in WITH_LINES,
    )
    for text, mti in MTIS.items()
    for kind in Kind
    if kind is not Kind.REVERSAL
    and processing_kind(mti, PROCESSING_CODES[kind]) is kind
    and not (kind is Kind.INQUIRY and mti.advice)
    and not (kind is Kind.COMPLETION and not mti.advice)
}
"""Kind by type indicator and field 3, its class, how it travelled, and whether
it needs card, parent and lines."""

_KEY_IDS: Final = {security_field(key_id): key_id for key_id in range(KEY_ID_MAX + 1)}
_IDENTIFIER_KINDS: Final = {str(int(kind)): kind for kind in IdentifierKind}
_CLASSES: Final = {str(int(one)): one for one in MessageClass}

_NEEDED: Final = (3, 4, 7, 11, 41, 48, 53, 55, 64)
_POSSIBLE: Final = (12, 13, 37, 42, 62)
_MTI_END: Final = 4
_FIELDS_BEGIN: Final = 20
_CODE_END: Final = _FIELDS_BEGIN + FIELDS[3].maximum
_AMOUNT_END: Final = _CODE_END + FIELDS[4].maximum
_STAN_BEGIN: Final = _AMOUNT_END + FIELDS[7].maximum
_STAN_END: Final = _STAN_BEGIN + FIELDS[11].maximum
_TERMINAL_BYTES: Final = FIELDS[41].maximum
_SECURITY_BYTES: Final = FIELDS[53].maximum

# Asking an enum for a member takes as long as three look-ups.
_BINARY: Final = Profile.BINARY
_INQUIRY: Final = Kind.INQUIRY

_Places = tuple[int, int, int, int, int, bool]
"""Where things stand in a frame of one bitmap, a plain tuple because it is taken apart each time.

The end of the digits that begin with field 3; where field 13 begins and ends, the same number twice
when there is none; where field 41 begins; where field 48 begins; and whether there is a field 62.
"""


def _places() -> dict[bytes, _Places]:
    """Return the places by bitmap, for every choice of the possible fields."""
    found = {}
    for chosen in product((False, True), repeat=len(_POSSIBLE)):
        possible = {number for number, there in zip(_POSSIBLE, chosen, strict=True) if there}
        numbers = sorted({*_NEEDED, *possible})
        begins = {}
        at = _FIELDS_BEGIN
        for number in numbers:
            begins[number] = at
            at += FIELDS[number].maximum
            if number == 48:
                break
        local_at = begins.get(13, 0)
        local_end = local_at + FIELDS[13].maximum if local_at else 0
        digits_end = begins[37] if 37 in begins else begins[41]
        bitmap = b"%016X" % sum(1 << (64 - number) for number in numbers)
        places = (digits_end, local_at, local_end, begins[41], begins[48], 62 in possible)
        found[bitmap] = places
    return found


_PLACES: Final = _places()


def usual_message(frame: bytes, profile: Profile) -> ParsedMessage | None:
    """Return the message in a frame, or None when it is unusual or unsound."""
    shape = frame[:_FIELDS_BEGIN]
    places = _PLACES.get(shape[_MTI_END:])
    if places is None:
        return None
    digits_end, local_at, local_end, acceptor_at, content_at, more_lines = places
    try:
        content, at = _text(frame, content_at)
        security = frame[at : at + _SECURITY_BYTES]
        key_id = _KEY_IDS[security]
        card_data, at = _card_data(frame, at + _SECURITY_BYTES, profile)
        lines, gross_kopecks, content_end = _lines(content, content.find(_LINES_BEGIN))
        if more_lines:
            more, at = _text(frame, at)
            further, more_kopecks, _ = _lines(more, 0)
            lines += further
            gross_kopecks += more_kopecks
        terminal_id = _terminal_id(frame[digits_end:acceptor_at], frame[acceptor_at:content_at])
        request, first_right, local_day = _request(
            _KINDS[shape[:_MTI_END], frame[_FIELDS_BEGIN:_CODE_END]],
            terminal_id,
            int(frame[_STAN_BEGIN:_STAN_END]),
            content[:content_end],
            card_data,
            lines,
        )
        mac = frame[at:] if profile is _BINARY else _from_hex(frame[at:])
    except (KeyError, ValueError):
        return None
    if (
        not frame[_FIELDS_BEGIN:digits_end].isdigit()
        or int(frame[_CODE_END:_AMOUNT_END]) != gross_kopecks
        or (local_at and frame[local_at:local_end] != local_day)
        or len(mac) != MAC_BYTES
        or len(lines) > LINES_MAX
    ):
        return None
    echo = Echo(shape, frame[_FIELDS_BEGIN:acceptor_at], frame[acceptor_at:content_at], security)
    transaction = Transaction(request, first_right)
    return ParsedMessage(profile, frame, terminal_id, key_id, mac, frame[:at], transaction, echo)


def _text(frame: bytes, at: int) -> tuple[str, int]:
    """Return a field of text with three digits of length, and where the next begins."""
    start = at + 3
    end = start + SIZES[frame[at:start]]
    return frame[start:end].decode("ascii"), end


def _card_data(frame: bytes, at: int, profile: Profile) -> tuple[bytes, int]:
    """Return field 55 from its length on, and where the next field begins."""
    start = at + 3
    end = start + SIZES[frame[at:start]]
    data = frame[start:end]
    return data if profile is _BINARY else _from_hex(data), end


def _from_hex(data: bytes) -> bytes:
    """Return the bytes of a binary field on a HEX port; raises ValueError."""
    if data.translate(None, HEX_DIGITS):
        raise ValueError
    return unhexlify(data)


@lru_cache(maxsize=ACCEPTORS_MAX)
def _terminal_id(reference: bytes, acceptor: bytes) -> str:
    """Return the terminal in fields 41 and 42 (`acceptor`); `reference` is field 37, or empty.

    Kept, since a terminal says the same of itself each time. Raises ValueError for anything
    unusual.
    """
    terminal_id = acceptor[:_TERMINAL_BYTES].decode("ascii")
    if not terminal_id.isalnum() or terminal_id != terminal_id.upper():
        raise ValueError
    if reference and not FIELDS[37].charset.holds(reference):
        raise ValueError
    if not FIELDS[42].charset.holds(acceptor[_TERMINAL_BYTES:]):
        raise ValueError
    return terminal_id


def _request(
    shape: tuple[Kind, MessageClass, bool, bool, bool, bool, bool],
    terminal_id: str,
    stan: int,
    text: str,
    card_data: bytes,
    lines: tuple[Line, ...],
) -> tuple[Request, int, bytes]:
    """Return the request, the page it asks for, and field 13 of its business date.

    `text` is field 48 without its lines. Raises ValueError or KeyError for anything unusual.
    Fields of `Request` are given by place, since by name they take five times as long.
    """
    kind, message_class, advice, repeat, needs_card, has_parent, needs_lines = shape
    found = _FIRST(text)
    if found is None:
        raise ValueError
    # fmt: off
    (
        day, region, card_id, holder, identifier, ep, epoch, sq, sequence, st, signed_at_ms,
        challenge, parent,
    ) = found.groups()
    # fmt: on
    service, version, passport, stop_list, first_right = _service(text[found.end() :])
    nonce, signature, evidence, algorithm = de55.usual_proof(card_data)
    holder_id = unhexlify(holder) if holder else NO_HOLDER
    if (
        _SIZES[ep] != len(epoch)
        or _SIZES[sq] != len(sequence)
        or _SIZES[st] != len(signed_at_ms)
        or (challenge and _SIZES[challenge[2:5]] != len(challenge) - 5)
        or not stan
        or (needs_card and not signature)
        or (parent != "") is not has_parent
        or (needs_lines and not lines)
        or (holder_id == NO_HOLDER and kind is not _INQUIRY)
    ):
        raise ValueError
    business_date, local_day = _day(day)
    request = Request(
        kind,
        TransactionKey(business_date, terminal_id, stan, message_class),
        int(region),
        unhexlify(card_id),
        int(epoch),
        int(sequence),
        int(signed_at_ms),
        service,
        version,
        nonce,
        holder_id,
        _IDENTIFIER_KINDS[identifier],
        evidence,
        unhexlify(challenge[5:]),
        _parent(parent) if parent else None,
        passport,
        stop_list,
        lines,
        algorithm,
        signature,
        advice,
        repeat,
    )
    return request, first_right, local_day


def _parent(entry: str) -> TransactionKey:
    """Return the key in an entry PK; raises ValueError for no such day."""
    day, _ = _day(entry[5:13])
    return TransactionKey(day, entry[13:21], int(entry[21:27]), _CLASSES[entry[27]])


def _lines(text: str, start: int) -> tuple[tuple[Line, ...], int, int]:
    """Return the lines from `start` to the end, the sum of their gross kopecks, and `start`.

    A `start` of -1 means that there are none. Raises ValueError for anything else among them.
    """
    if start < 0:
        return (), 0, len(text)
    end, gross_kopecks = start, 0
    lines = []
    for size, value, item, quantity, unit_okei, scale, gross in _LINE(text, start):
        if _SIZES[size] != len(value):
            raise ValueError
        end += 5 + len(value)
        kopecks = int(gross)
        gross_kopecks += kopecks
        lines.append(Line(item, int(quantity), int(unit_okei), int(scale), kopecks))
    if end != len(text):
        raise ValueError
    return tuple(lines), gross_kopecks, start


@lru_cache(maxsize=KEPT_MAX)
def _service(text: str) -> tuple[str, int, int, int, int]:
    """Return service, version, passport and stop-list version and the page in entries SV to PG.

    Kept, since a region has few services and its terminals share few versions of all the rest.
    Raises ValueError for anything unusual.
    """
    found = _SECOND(text)
    if found is None:
        raise ValueError
    groups = found.groups("")
    if any(
        _SIZES[size] != len(value) for size, value in zip(groups[::2], groups[1::2], strict=True)
    ):
        raise ValueError
    service, *numbers = groups[1::2]
    version, passport, stop_list, page = (int(number or 0) for number in numbers)
    return service, version, passport, stop_list, page


@lru_cache(maxsize=KEPT_MAX)
def _day(text: str) -> tuple[date, bytes]:
    """Return the date in yyyymmdd and field 13 of that day; raises ValueError for no such day."""
    day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    return day, local_date(day)
