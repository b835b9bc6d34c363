"""Expiry v1: the bytes of the centre's own event that ends a reservation. Frozen.

Nobody sends an expiry, so no card signs it; its digest is the leaf in the journal's block, as a
request's is. All integers are big-endian and unsigned. In order:

| bytes | field |
| --- | --- |
| 16 | domain tag `spk/expiry`, version 1, zero-padded |
| 18 | key of the reservation, as in `processing.wire.digest` |
| 2 | its assigned number: 0 if it stands under the key that its terminal gave it |
| 32 | its digest v1 |
| 8 | when it ended, UTC milliseconds |

The database writes these bytes (`engine.expiry_bytes`); whoever verifies an export makes them here.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import Final

from processing.wire.digest import key_bytes
from processing.wire.transaction import TransactionKey

TAG: Final = b"spk/expiry\x01".ljust(16, b"\0")

_EXPIRY: Final = Struct(">16s18sH32sQ")


def expiry_bytes(
    reservation: TransactionKey, assigned: int, request_digest: bytes, expires_at_ms: int
) -> bytes:
    """Return the 76 bytes of the table above; `request_digest` is the reservation's (32 bytes)."""
    return _EXPIRY.pack(TAG, key_bytes(reservation), assigned, request_digest, expires_at_ms)


def expiry_digest(
    reservation: TransactionKey, assigned: int, request_digest: bytes, expires_at_ms: int
) -> bytes:
    """Return expiry v1's digest (32 bytes)."""
    return hashlib.sha256(
        expiry_bytes(reservation, assigned, request_digest, expires_at_ms)
    ).digest()
