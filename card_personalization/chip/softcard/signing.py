"""The software card's private-key arithmetic.

Signing uses the `ecdsa` package, while the centre verifies with `cryptography`: two independent
implementations check each other. A load generator, which tests neither, may pass
`sign_with_cryptography`, some ten times faster. Neither lowers S: real cards do not either, and
so the client's normalisation is exercised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from ecdsa import NIST256p, SigningKey
from ecdsa.util import sigencode_der

from card_personalization.chip.ecdsa_signature import COORDINATE_BYTES, public_key_from_point

# private number, digest of at most 32 bytes → DER signature
DigestSigner = Callable[[bytes, bytes], bytes]


def new_scalar() -> bytes:
    """A fresh P-256 private number, 32 bytes."""
    return bytes(SigningKey.generate(curve=NIST256p).to_string())


def sign_with_ecdsa(scalar: bytes, digest: bytes) -> bytes:
    """A DER signature by the `ecdsa` package, with the nonce of RFC 6979."""
    key = SigningKey.from_string(scalar, curve=NIST256p)
    padded = digest.rjust(COORDINATE_BYTES, b"\x00")
    return bytes(
        key.sign_digest_deterministic(padded, hashfunc=hashlib.sha256, sigencode=sigencode_der)
    )


def sign_with_cryptography(scalar: bytes, digest: bytes) -> bytes:
    """A DER signature by `cryptography`, with a random nonce."""
    key = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())
    padded = digest.rjust(COORDINATE_BYTES, b"\x00")
    return key.sign(padded, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


def shared_secret(scalar: bytes, peer_point: bytes) -> bytes:
    """ECDH over P-256: the x coordinate, 32 bytes. ValueError if the point is not on the curve."""
    peer = public_key_from_point(peer_point)
    key = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())
    return key.exchange(ec.ECDH(), peer)
