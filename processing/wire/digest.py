"""Digest v1: the exact bytes a card signs. Frozen; a change is a new version, never an edit.

All integers are big-endian and unsigned. Strings are ASCII with a one-byte length before them,
unless a fixed length is given. In order:

| bytes | field |
| --- | --- |
| 16 | domain tag `spk/request`, version 1, zero-padded |
| 1 | signature algorithm |
| 1 | kind |
| 1 | identifier kind |
| 1 | evidence |
| 1 | issuer region |
| 16 | card reference (CHUID GUID) |
| 16 | rights holder reference, zeros when not named |
| 18 | key: business date yyyymmdd (4), terminal (8), STAN (4), message class (1), zero (1) |
| 4 | terminal epoch |
| 8 | terminal sequence |
| 8 | signed time, UTC milliseconds |
| 1+n | challenge |
| 1 or 19 | parent: 0, or 1 and its key |
| 1+n | service |
| 4 | regulation version |
| 4 | social passport version |
| 4 | stop-list version |
| 16 | nonce |
| 8 | gross total, kopecks |
| 1 | number of lines, then each line: item (1+n), quantity (8), ОКЕИ (2), scale (1), gross (8) |

The digest is SHA-256 of these bytes. How a message travelled (advice, repeat) is no part of it.
"""

from __future__ import annotations

import hashlib
from datetime import date
from struct import Struct
from typing import Final

from processing.wire.transaction import Line, Request, TransactionKey

TAG: Final = b"spk/request\x01".ljust(16, b"\0")

_HEAD: Final = Struct(">16s5B16s16sI8sIBxIQQB")
_KEY: Final = Struct(">I8sIBx")
_VERSIONS: Final = Struct(">III16sQB")
_LINE: Final = Struct(">QHBQ")
_SIZE: Final = Struct("B")


def canonical_bytes(request: Request) -> bytes:
    """Return the bytes of the table above for a request whose form is sound.

    Raises `struct.error` or `UnicodeEncodeError` for values that `transaction.faults_of` rejects.
    """
    key, parent = request.key, request.parent
    service = request.service.encode("ascii")
    challenge = request.challenge
    gross_kopecks = 0
    lines = b""
    for line in request.lines:
        gross_kopecks += line.gross_kopecks
        lines += _line_bytes(line)
    head = _HEAD.pack(
        TAG,
        request.algorithm,
        request.kind,
        request.identifier_kind,
        request.evidence,
        request.issuer_region,
        request.card_id,
        request.holder_id,
        _day_number(key.business_date),
        key.terminal_id.encode("ascii"),
        key.stan,
        key.message_class,
        request.terminal_epoch,
        request.terminal_sequence,
        request.signed_at_ms,
        len(challenge),
    )
    versions = _VERSIONS.pack(
        request.service_version,
        request.passport_version,
        request.stop_list_version,
        request.nonce,
        gross_kopecks,
        len(request.lines),
    )
    parent_bytes = b"\x00" if parent is None else b"\x01" + key_bytes(parent)
    size = _SIZE.pack(len(service))
    return b"".join((head, challenge, parent_bytes, size, service, versions, lines))


def request_digest(request: Request) -> bytes:
    """Return digest v1 (32 bytes): what the card signs and what makes two requests the same."""
    return hashlib.sha256(canonical_bytes(request)).digest()


def key_bytes(key: TransactionKey) -> bytes:
    """Return the 18 bytes of a transaction's key."""
    day = _day_number(key.business_date)
    return _KEY.pack(day, key.terminal_id.encode("ascii"), key.stan, key.message_class)


def _day_number(day: date) -> int:
    """Return yyyymmdd as a number."""
    return day.year * 10_000 + day.month * 100 + day.day


def _line_bytes(line: Line) -> bytes:
    item = line.item.encode("ascii")
    numbers = _LINE.pack(line.quantity, line.unit_okei, line.scale, line.gross_kopecks)
    return _SIZE.pack(len(item)) + item + numbers
