"""Which keys there are: the closed list of their names, their generations and states.

A ring holds nothing secret. Replacing a key adds a generation, which becomes the active one; the
one before goes on serving what was made with it until that is gone.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from msgspec import Meta

from hsm_stub.client.commands import KeyState, Refusal
from hsm_stub.errors import CommandRefused
from processing.wire.receipt import key_id_of
from processing.wire.statement import Domain, statement_bytes
from processing.wire.trust_list import succession_document

GENERATION_MAX: Final = 255
PkiUrl = Annotated[str, Meta(pattern=r"^(https?://[\x21-\x7e]{1,100}[^/])?\Z")]
RegionCode = Annotated[str, Meta(pattern=r"^[0-9]{2}\Z")]


class MasterKey(Enum):
    """An AES-256 key that only derives others."""

    TERMINAL = "terminal master"
    CARD = "card master"


class SigningKey(Enum):
    """A P-256 private key."""

    RECEIPT = "receipt signing"
    JOURNAL = "journal signing"
    CONTENT = "content signing"
    AUDIT = "audit signing"
    ISSUING_CA = "issuing CA"


KeyName = MasterKey | SigningKey
KEY_NAMES: Final[tuple[KeyName, ...]] = (*MasterKey, *SigningKey)


def key_name(text: str) -> KeyName:
    """Return the key called `text`; raises `ValueError` naming those that there are."""
    for name in KEY_NAMES:
        if name.value == text:
            return name
    raise ValueError(f"{text!r} is no key; keys are {', '.join(n.value for n in KEY_NAMES)}")


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generation of one key.

    `public_point` (65 bytes) is empty for master keys; `certificate` (DER) is the CA's own;
    `endorsement` the signature of the generation before over a signing key's point
    (`processing.wire.trust_list`), empty for the first.
    """

    key: str
    generation: Annotated[int, Meta(ge=1, le=GENERATION_MAX)]
    state: KeyState
    created_at_ms: int
    public_point: bytes = b""
    certificate: bytes = b""
    endorsement: bytes = b""

    @property
    def key_id(self) -> bytes:
        """Return the first 8 bytes of SHA-256 over the SubjectPublicKeyInfo; empty for masters."""
        return key_id_of(self.public_point) if self.public_point else b""

    def issuer(self) -> x509.Certificate:
        """Return the CA's certificate."""
        return x509.load_der_x509_certificate(self.certificate)


class KeyRing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All generations of all keys of one region."""

    region_code: RegionCode
    entries: tuple[KeyEntry, ...]
    pki_url: PkiUrl = ""
    """Where anybody may ask about certificates; stands in those issued from then on."""

    def active(self, key: KeyName) -> KeyEntry:
        """Return the generation that new things are made with."""
        name = key.value
        return next(e for e in self.entries if e.key == name and e.state is KeyState.ACTIVE)

    def of(self, key: KeyName) -> tuple[KeyEntry, ...]:
        """Return every generation of `key`, the newest first."""
        mine = (entry for entry in self.entries if entry.key == key.value)
        return tuple(sorted(mine, key=lambda entry: -entry.generation))

    def usable(self, key: KeyName, generation: int) -> KeyEntry:
        """Return a generation that may still be used, the active one for 0.

        Raises `CommandRefused` for one that there is not, or that is retired or destroyed.
        """
        if generation == 0:
            return self.active(key)
        for entry in self.of(key):
            if entry.generation == generation:
                if entry.state in {KeyState.ACTIVE, KeyState.RETIRING}:
                    return entry
                raise CommandRefused(
                    Refusal.KEY_RETIRED,
                    f"generation {generation} of the {key.value} key is {entry.state.value}; "
                    f"the active one is {self.active(key).generation}",
                )
        raise CommandRefused(
            Refusal.KEY_UNKNOWN, f"there is no generation {generation} of the {key.value} key"
        )

    def issuers(self) -> tuple[KeyEntry, ...]:
        """Return the CAs whose certificates may still be met, the active one first."""
        known = [e for e in self.of(SigningKey.ISSUING_CA) if e.state is not KeyState.DESTROYED]
        order = (KeyState.ACTIVE, KeyState.RETIRING, KeyState.RETIRED)
        return tuple(sorted(known, key=lambda e: (order.index(e.state), -e.generation)))

    def replaced(self, entry: KeyEntry) -> KeyRing:
        """Return the ring with `entry` in place of the one of its key and generation."""
        kept = (e for e in self.entries if (e.key, e.generation) != (entry.key, entry.generation))
        return msgspec.structs.replace(self, entries=(*kept, entry))


def succession_digest(before: KeyEntry, made: KeyEntry) -> bytes:
    """Return the digest by whose signature a generation vouches for the one after it."""
    document = succession_document(made.key, made.generation, made.public_point)
    sha256 = hashlib.sha256(document).digest()
    statement = statement_bytes(Domain.KEY_SUCCESSION, before.key_id, sha256)
    return hashlib.sha256(statement).digest()


def same_certificate_key(certificate: bytes, public_point: bytes) -> bool:
    """Return whether a certificate (DER) is for the key with this point."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    found = key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return found == public_point
