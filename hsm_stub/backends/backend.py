"""What a place that holds keys must be able to do: the contract of every backend.

Four primitives that a PKCS#11 token offers too (CKM_AES_CMAC, CKM_ECDSA and reading public
objects). Everything above them, which includes deciding what is signed, is `SecurityModule`.
One worker thread calls a backend, because token libraries are seldom thread-safe.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from cryptography import x509


class MasterKey(Enum):
    """An AES-256 key that only derives others."""

    TERMINAL = "terminal master"
    CARD = "card master"


class SigningKey(Enum):
    """A P-256 private key."""

    RECEIPT = "receipt signing"
    ISSUING_CA = "issuing CA"


class Backend(Protocol):
    """Keys that can be used and not read."""

    @property
    def name(self) -> str:
        """Return what kind of backend this is, for status and log."""

    @property
    def region_code(self) -> str:
        """Return the two digits of the region these keys belong to."""

    def cmac(self, key: MasterKey, message: bytes) -> bytes:
        """Return the AES-CMAC (16 bytes, SP 800-38B) of `message`."""

    def sign_digest(self, key: SigningKey, digest: bytes) -> bytes:
        """Return the ECDSA signature (raw r‖s, 64 bytes) of a SHA-256 digest (32 bytes)."""

    def public_point(self, key: SigningKey) -> bytes:
        """Return the public key as an uncompressed point (65 bytes)."""

    def issuing_certificates(self) -> tuple[x509.Certificate, ...]:
        """Return the issuing CA's certificate first, then those above it, if any."""

    def close(self) -> None:
        """Forget the keys or end the token session."""
