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

DAYS_MAX: Final = 64
"""Most business dates that are kept ready; they come from the network."""

_HEX16: Final = "([0-9A-F]{32})"
_NUMBER: Final = "([0-9]{1,9})"
_KEY: Final = "([0-9]{8})([A-Z0-9]{8})([0-9]{6})([124])"


def _fixed(tag: str, size: int, form: str) -> str:
    return f"{tag}{size:03d}{form}"


def _varying(tag: str, form: str) -> str:
    return f"{tag}([0-9]{{3}}){form}"


def _maybe(entry: str) -> str:
    # An empty branch is twice as fast as a question mark.
    return f"(?:{entry}|)"


# Narrower than the forms in tlv48.py: a region is not 00, and numbers stay below 10**9, 10**18 and
# 10**15, which is within the 31, 32, 63 and 53 bits that `faults_of` allows.
_SINGLE: Final = re.compile(
    _fixed("DT", 8, "([0-9]{8})")
    + _fixed("CR", 34, "((?!00)[0-9]{2})" + _HEX16)
    + _maybe(_fixed("RH", 32, _HEX16))
    + _fixed("ID", 1, "([1-4])")
    + _varying("EP", _NUMBER)
    + _varying("SQ", "([0-9]{1,18})")
    + _varying("ST", "([0-9]{1,15})")
    + _maybe(_varying("CH", "((?:[0-9A-F]{2}){1,32})"))
    + _maybe(_fixed("PK", 23, _KEY))
    + _varying("SV", "([A-Z0-9][A-Z0-9.-]{0,15})")
    + _varying("VR", _NUMBER)
    + _maybe(_varying("PV", _NUMBER))
    + _maybe(_varying("SL", _NUMBER))
    + _maybe(_varying("PG", "([0-9]{1,4})"))
).match
_LINES: Final = re.compile(
    _varying(
        "IT", "(([A-Za-z0-9][A-Za-z0-9./-]{0,19}),([1-9][0-9]{0,9}),([1-9][0-9]{0,3}),([0-6]),"
    )
    + "([0-9]{1,12}))"
).findall
_TERMINAL_ID: Final = re.compile("[A-Z0-9]{8}").fullmatch

_SIZES: Final = {"": 0} | {f"{size:03d}": size for size in range(1000)}
"""The length of an entry by its digits; of one left out it is 0."""


def _carried_by(kind: Kind) -> frozenset[tuple[bool, bool, bool]]:
    """Return which of signature, parent and lines may come together in a request of this kind."""
    return frozenset(
        (signature, kind in CHILDREN, lines)
        for signature in (True, False)
        for lines in (True, False)
        if (signature or kind in UNSIGNED) and (lines or kind not in WITH_LINES)
    )


_KINDS: Final = {
    (text, PROCESSING_CODES[kind]): (
        kind,
        MessageClass(mti.message_class),
        mti.advice,
        mti.repeat,
        _carried_by(kind),
    )
    for text, mti in MTIS.items()
    for kind in Kind
    if kind is not Kind.REVERSAL
    and processing_kind(mti, PROCESSING_CODES[kind]) is kind
    and not (kind is Kind.INQUIRY and mti.advice)
    and not (kind is Kind.COMPLETION and not mti.advice)
}
"""Kind by type indicator and field 3, its class, how it travelled, and what it may carry."""

_KEY_IDS: Final = {security_field(key_id): key_id for key_id in range(KEY_ID_MAX + 1)}
_IDENTIFIER_KINDS: Final = {str(int(kind)): kind for kind in IdentifierKind}
_CLASSES: Final = {str(int(one)): one for one in MessageClass}
_NEEDED: Final = itemgetter(3, 4, 7, 11, 41, 48, 53, 55, 64)


def usual_message(frame: bytes, decoded: Decoded, profile: Profile) -> ParsedMessage | None:
    """Return the message in a decoded frame, or None when it is unusual or unsound."""
    fields = decoded.fields
    try:
        code, amount, _, stan, terminal, content, security, card_data, mac = _NEEDED(fields)
        kind, message_class, advice, repeat, carries = _KINDS[decoded.mti, code]
        key_id = _KEY_IDS[security]
        text = content.decode("ascii")
        found = _SINGLE(text)
        proof = de55.usual_proof(card_data)
        if found is None or proof is None or next(reversed(fields)) != 64:
            return None
        entries = found.groups("")
        lines, gross_kopecks = _lines(text[found.end() :])
        if 62 in fields:
            more, more_kopecks = _lines(fields[62].decode("ascii"))
            lines += more
            gross_kopecks += more_kopecks
        terminal_id = terminal.decode("ascii")
        day, local_day = _day(entries[0])
        key = TransactionKey(day, terminal_id, int(stan), message_class)
        request = _request(kind, key, entries, lines, proof, advice, repeat)
    except (KeyError, ValueError):
        return None
    if (
        (request.signature != b"", request.parent is not None, lines != ()) not in carries
        or (request.holder_id == NO_HOLDER and kind is not Kind.INQUIRY)
        or not key.stan
        or b"%012d" % gross_kopecks != amount
        or fields.get(13, local_day) != local_day
        or _TERMINAL_ID(terminal_id) is None
        or len(lines) > LINES_MAX
    ):
        return None
    sealed = frame[: -MAC_BYTES if profile is Profile.BINARY else -2 * MAC_BYTES]
    transaction = Transaction(request, int(entries[-1] or 0))
    return ParsedMessage(profile, decoded, terminal_id, key_id, mac, sealed, transaction)


def _request(
    kind: Kind,
    key: TransactionKey,
    entries: tuple[str, ...],
    lines: tuple[Line, ...],
    proof: de55.Proof,
    advice: bool,
    repeat: bool,
) -> Request:
    """Return the request; raises ValueError or KeyError when something in it is unusual.

    Fields of `Request` are given by place, since by name they take five times as long.
    """
    # fmt: off
    (
        _, region, card_id, holder_id, identifier, ep, epoch, sq, sequence, st, signed_at_ms,
        ch, challenge, parent_day, parent_terminal, parent_stan, parent_class,
        sv, service, vr, version, pv, passport, sl, stop_list, pg, page,
    ) = entries
    # fmt: on
    if (
        _SIZES[ep] != len(epoch)
        or _SIZES[sq] != len(sequence)
        or _SIZES[st] != len(signed_at_ms)
        or _SIZES[sv] != len(service)
        or _SIZES[vr] != len(version)
        or _SIZES[pv] != len(passport)
        or _SIZES[sl] != len(stop_list)
        or _SIZES[ch] != len(challenge)
        or _SIZES[pg] != len(page)
    ):
        raise ValueError
    parent = None
    if parent_day:
        number, parent_kind = int(parent_stan), _CLASSES[parent_class]
        parent = TransactionKey(_day(parent_day)[0], parent_terminal, number, parent_kind)
    return Request(
        kind,
        key,
        int(region),
        unhexlify(card_id),
        int(epoch),
        int(sequence),
        int(signed_at_ms),
        service,
        int(version),
        proof.nonce,
        unhexlify(holder_id) if holder_id else NO_HOLDER,
        _IDENTIFIER_KINDS[identifier],
        proof.evidence,
        unhexlify(challenge) if challenge else b"",
        parent,
        int(passport) if passport else 0,
        int(stop_list) if stop_list else 0,
        lines,
        proof.algorithm,
        proof.signature,
        advice,
        repeat,
    )


def _lines(text: str) -> tuple[tuple[Line, ...], int]:
    """Return the lines that `text` consists of, and the sum of their gross kopecks.

    Raises ValueError when there is anything else in it.
    """
    end = gross_kopecks = 0
    lines = []
    for size, value, item, quantity, unit_okei, scale, gross in _LINES(text):
        if _SIZES[size] != len(value):
            raise ValueError
        end += 5 + len(value)
        kopecks = int(gross)
        gross_kopecks += kopecks
        lines.append(Line(item, int(quantity), int(unit_okei), int(scale), kopecks))
    if end != len(text):
        raise ValueError
    return tuple(lines), gross_kopecks


@lru_cache(maxsize=DAYS_MAX)
def _day(text: str) -> tuple[date, bytes]:
    """Return the date in yyyymmdd and field 13 of that day; raises ValueError for no such day."""
    day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    return day, local_date(day)
