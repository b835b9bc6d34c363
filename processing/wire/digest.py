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
from struct import Struct
from typing import Final

from processing.wire.transaction import Line, Request, TransactionKey

TAG: Final = b"spk/request\x01".ljust(16, b"\0")

_HEAD: Final = Struct(">16s5B16s16s")
_KEY: Final = Struct(">I8sIBx")
_CLOCK: Final = Struct(">IQQ")
_VERSIONS: Final = Struct(">III16sQB")
_LINE: Final = Struct(">QHBQ")


def canonical_bytes(request: Request) -> bytes:
    """Return the bytes of the table above for a request whose form is sound.

    Raises `struct.error` or `UnicodeEncodeError` for values that `transaction.faults_of` rejects.
    """
    parent = request.parent
    return b"".join(
        (
            _HEAD.pack(
                TAG,
                request.algorithm,
                request.kind,
                request.identifier_kind,
                request.evidence,
                request.issuer_region,
                request.card_id,
                request.holder_id,
            ),
            key_bytes(request.key),
            _CLOCK.pack(request.terminal_epoch, request.terminal_sequence, request.signed_at_ms),
            _counted(request.challenge),
            b"\x00" if parent is None else b"\x01" + key_bytes(parent),
            _counted(request.service.encode("ascii")),
            _VERSIONS.pack(
                request.service_version,
                request.passport_version,
                request.stop_list_version,
                request.nonce,
                request.gross_kopecks,
                len(request.lines),
            ),
            *(_line_bytes(line) for line in request.lines),
        )
    )


def request_digest(request: Request) -> bytes:
    """Return digest v1 (32 bytes): what the card signs and what makes two requests the same."""
    return hashlib.sha256(canonical_bytes(request)).digest()


def key_bytes(key: TransactionKey) -> bytes:
    """Return the 18 bytes of a transaction's key."""
    day = key.business_date
    yyyymmdd = day.year * 10_000 + day.month * 100 + day.day
    return _KEY.pack(yyyymmdd, key.terminal_id.encode("ascii"), key.stan, key.message_class)


def _counted(value: bytes) -> bytes:
    return bytes((len(value),)) + value


def _line_bytes(line: Line) -> bytes:
    return _counted(line.item.encode("ascii")) + _LINE.pack(
        line.quantity, line.unit_okei, line.scale, line.gross_kopecks
    )
