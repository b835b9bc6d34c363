"""What a place that holds keys must be able to do: the contract of every backend.

Primitives that a PKCS#11 token offers too (CKM_AES_CMAC, CKM_ECDSA, C_GenerateRandom). Everything
above them, which includes deciding what is signed, is `SecurityModule`. One worker calls a
backend, because token libraries are seldom thread-safe.
"""

from __future__ import annotations

from typing import Protocol

from hsm_stub.keyring import KeyEntry, KeyRing, MasterKey, SigningKey


class Backend(Protocol):
    """Keys that can be used and not read."""

    @property
    def name(self) -> str:
        """Return what kind of backend this is, for status and log."""

    @property
    def ring(self) -> KeyRing:
        """Return which keys there are."""

    def cmac(self, key: MasterKey, generation: int, message: bytes) -> bytes:
        """Return the AES-CMAC (16 bytes, SP 800-38B) of `message`."""

    def sign_digest(self, key: SigningKey, generation: int, digest: bytes) -> bytes:
        """Return the ECDSA signature (raw r‖s, 64 bytes) of a SHA-256 digest (32 bytes)."""

    def random(self, count: int) -> bytes:
        """Return `count` random bytes."""

    def close(self) -> None:
        """Forget the keys or end the token session."""


class KeyStore(Protocol):
    """A backend's keys at rest, where generations come and go. `spk hsm rotate` works on it."""

    @property
    def ring(self) -> KeyRing:
        """Return which keys there are."""

    def add(self, key: MasterKey | SigningKey, created_at_ms: int) -> KeyEntry:
        """Make the next generation of `key`, the active one; the one before is retiring."""

    def put(self, entry: KeyEntry) -> None:
        """Keep an entry's new state; a destroyed one loses its secret for good."""
