"""Reads the usual transaction in one go: what nearly all traffic is, at a fifth of the time.

`requests.parse_message` asks here first. Whatever is unusual gets None and is read by requests.py,
which knows every form and names every error; so this module must accept nothing that requests.py
refuses, must give the same message where it accepts, and need not accept everything. A test holds
both together. Usual means:

- any kind but a reversal, with one bitmap, so that the MAC is field 64
- the entries of field 48 in the order of `tlv48.REQUEST_TAGS`, lines last and going on in field 62
- numbers and codes within the narrower forms below, which leave no range to be checked afterwards
- the data objects of field 55 in the order of `de55.REQUEST_OBJECTS`
"""

from __future__ import annotations

import re
from binascii import unhexlify
from datetime import date
from functools import lru_cache
from operator import itemgetter
from typing import Final

from processing.wire.iso8583 import de55
from processing.wire.iso8583.errors import Decoded
from processing.wire.iso8583.fields import KEY_ID_MAX, local_date, security_field
from processing.wire.iso8583.messages import (
    MTIS,
    PROCESSING_CODES,
    ParsedMessage,
    Transaction,
    processing_kind,
)
from processing.wire.iso8583.spec import MAC_BYTES, Profile
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
    (text, PROCESSING_CODES[kind]): (
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
_BITMAP: Final = 4
_LAST_PRIMARY: Final = ord("7")
"""Where the bitmap begins, and the greatest digit there of a message with one bitmap."""

# Asking an enum for a member takes as long as three look-ups.
_BINARY: Final = Profile.BINARY
_INQUIRY: Final = Kind.INQUIRY

_NEEDED: Final = itemgetter(3, 4, 7, 11, 41, 48, 53, 55, 64)


def usual_message(frame: bytes, decoded: Decoded, profile: Profile) -> ParsedMessage | None:
    """Return the message in a decoded frame, or None when it is unusual or unsound."""
    fields = decoded.fields
    try:
        code, amount, _, stan, terminal, content, security, card_data, mac = _NEEDED(fields)
        key_id = _KEY_IDS[security]
        text = content.decode("ascii")
        lines, gross_kopecks, content_end = _lines(text, text.find(_LINES_BEGIN))
        if 62 in fields:
            more, more_kopecks, _ = _lines(fields[62].decode("ascii"), 0)
            lines += more
            gross_kopecks += more_kopecks
        terminal_id = terminal.decode("ascii")
        request, first_right, local_day = _request(
            _KINDS[decoded.mti, code], terminal_id, int(stan), text[:content_end], card_data, lines
        )
    except (KeyError, ValueError):
        return None
    if (
        frame[_BITMAP] > _LAST_PRIMARY
        or int(amount) != gross_kopecks
        or fields.get(13, local_day) != local_day
        or not terminal_id.isalnum()
        or terminal_id != terminal_id.upper()
        or len(lines) > LINES_MAX
    ):
        return None
    sealed = frame[: -MAC_BYTES if profile is _BINARY else -2 * MAC_BYTES]
    transaction = Transaction(request, first_right)
    return ParsedMessage(profile, decoded, terminal_id, key_id, mac, sealed, transaction)


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
