"""The rights holder's bucket: which part of the hot tables a holder's rows live in."""

from __future__ import annotations

import hashlib
from typing import Final

BUCKETS: Final = 1024
"""Number of buckets; `rights` tables check that a bucket is 0 to 1023."""


def bucket_of(holder_id: bytes) -> int:
    """Return the bucket, 0 to 1023, of the holder whose UUID is `holder_id` (16 bytes).

    It is the low ten bits of the first two bytes of SHA-256 over the UUID, big-endian, equal to
    `rights.bucket_of` in SQL. Raises ValueError for another length.
    """
    if len(holder_id) != 16:
        raise ValueError(f"holder_id: a UUID of 16 bytes expected, {len(holder_id)} given")
    digest = hashlib.sha256(holder_id).digest()
    return (digest[0] << 8 | digest[1]) % BUCKETS
