"""The bare P-256 verification: what no centre that checks cards can do without."""

from __future__ import annotations

import hashlib
import time
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from bench.keys import private_key_of

KEYS: Final = 64


class VerifyRun(msgspec.Struct, frozen=True):
    """Verifications per second by the clock, and microseconds of CPU for each."""

    rate_per_second: float
    cpu_us: float


def verify_rate(duration_ms: int) -> VerifyRun:
    """Verify signatures of many keys in one thread for a while."""
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()))
    signed = []
    for number in range(KEYS):
        digest = hashlib.sha256(b"%d" % number).digest()
        key = private_key_of(number)
        signed.append((key.public_key(), key.sign(digest, algorithm), digest))
    count, begun, cpu = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - begun) < duration_ms / 1000:
        for public_key, signature, digest in signed:
            public_key.verify(signature, digest, algorithm)
        count += len(signed)
    return VerifyRun(count / elapsed, (time.process_time() - cpu) / count * 1_000_000)
