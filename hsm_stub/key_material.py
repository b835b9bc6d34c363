"""The secrets of one processing centre, as they lie inside the encrypted key file."""

from __future__ import annotations

import secrets
from typing import cast

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from hsm_stub.certificates import ca_certificate
from hsm_stub.client.commands import KeyState
from hsm_stub.errors import RotationRefused
from hsm_stub.keyring import (
    GENERATION_MAX,
    KEY_NAMES,
    KeyEntry,
    KeyName,
    KeyRing,
    MasterKey,
    SigningKey,
    succession_digest,
)

MASTER_KEY_BYTES = 32


class SecretKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generation's secret: an AES-256 key, or a private key (PKCS #8 DER)."""

    key: str
    generation: int
    secret: bytes

    def __repr__(self) -> str:
        """Return the name alone: keys must not reach a log."""
        return "SecretKey(<hidden>)"


class KeyMaterial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys there are, and their secrets. A destroyed generation has none."""

    ring: KeyRing
    secrets: tuple[SecretKey, ...]
    created_at_ms: int
    recovery_point: bytes = b""
    """Public key of the custodians' recovery key (docs/ceremony.md); empty without a ceremony."""

    def __repr__(self) -> str:
        """Return the name alone: keys must not reach a log."""
        return "KeyMaterial(<hidden>)"

    @property
    def region_code(self) -> str:
        """Return the two digits of the region these keys belong to."""
        return self.ring.region_code

    def secret_of(self, key: KeyName, generation: int = 1) -> bytes:
        """Return one generation's secret; raises `KeyError` when it was destroyed."""
        for one in self.secrets:
            if (one.key, one.generation) == (key.value, generation):
                return one.secret
        raise KeyError(f"{key.value} {generation}")


def new_key_material(region_code: str, created_at_ms: int, pki_url: str = "") -> KeyMaterial:
    """Return fresh random keys and a self-signed issuing certificate for a region (2 digits)."""
    material = KeyMaterial(
        ring=KeyRing(region_code=region_code, entries=(), pki_url=pki_url),
        secrets=(),
        created_at_ms=created_at_ms,
    )
    for key in KEY_NAMES:
        material = with_next_generation(material, key, created_at_ms)
    return checked(material)


def with_next_generation(material: KeyMaterial, key: KeyName, created_at_ms: int) -> KeyMaterial:
    """Return the keys with a new active generation of `key`; the one before is retiring.

    Raises `RotationRefused` after the last generation.
    """
    made, secret = new_generation(material.ring, key, created_at_ms)
    if isinstance(key, SigningKey) and made.generation > 1:
        made = msgspec.structs.replace(made, endorsement=_endorsement(material, key, made))
    return msgspec.structs.replace(
        material,
        ring=with_active(material.ring, made),
        secrets=(
            *material.secrets,
            SecretKey(key=key.value, generation=made.generation, secret=secret),
        ),
    )


def _endorsement(material: KeyMaterial, key: SigningKey, made: KeyEntry) -> bytes:
    """Return the active generation's signature over the one that takes its place."""
    before = material.ring.active(key)
    secret = private_key(material.secret_of(key, before.generation))
    digest = succession_digest(before, made)
    r, s = decode_dss_signature(secret.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    return r.to_bytes(32) + s.to_bytes(32)


def new_generation(ring: KeyRing, key: KeyName, created_at_ms: int) -> tuple[KeyEntry, bytes]:
    """Return the entry and the secret of the generation after the newest of `ring`."""
    generation = next_generation(ring, key)
    match key:
        case MasterKey():
            entry = KeyEntry(
                key=key.value,
                generation=generation,
                state=KeyState.ACTIVE,
                created_at_ms=created_at_ms,
            )
            return entry, secrets.token_bytes(MASTER_KEY_BYTES)
        case SigningKey():
            private = ec.generate_private_key(ec.SECP256R1())
            certificate = b""
            if key is SigningKey.ISSUING_CA:
                certificate = ca_certificate(private, ring.region_code, created_at_ms, generation)
            entry = KeyEntry(
                key=key.value,
                generation=generation,
                state=KeyState.ACTIVE,
                created_at_ms=created_at_ms,
                public_point=point_of(private.public_key()),
                certificate=certificate,
            )
            return entry, _pkcs8(private)


def next_generation(ring: KeyRing, key: KeyName) -> int:
    """Return the number of the generation after the newest; raises `RotationRefused`."""
    generation = max((entry.generation for entry in ring.of(key)), default=0) + 1
    if generation > GENERATION_MAX:
        raise RotationRefused(
            f"the {key.value} key is in its last generation ({GENERATION_MAX}); make a new key "
            "file with: spk hsm init"
        )
    return generation


def with_active(ring: KeyRing, made: KeyEntry) -> KeyRing:
    """Return the ring with `made` as the active generation of its key, the one before retiring."""
    entries = (
        msgspec.structs.replace(entry, state=KeyState.RETIRING)
        if entry.key == made.key and entry.state is KeyState.ACTIVE
        else entry
        for entry in ring.entries
    )
    return msgspec.structs.replace(ring, entries=(*entries, made))


def with_entry(material: KeyMaterial, entry: KeyEntry) -> KeyMaterial:
    """Return the keys with an entry's new state; a destroyed one loses its secret."""
    kept = tuple(
        one
        for one in material.secrets
        if entry.state is not KeyState.DESTROYED
        or (one.key, one.generation) != (entry.key, entry.generation)
    )
    return msgspec.structs.replace(material, ring=material.ring.replaced(entry), secrets=kept)


def checked(material: KeyMaterial) -> KeyMaterial:
    """Return `material` as it will be read: so no file holds what cannot be read."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(material), type=KeyMaterial)


def private_key(pkcs8: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the private key in PKCS #8 (DER)."""
    return cast(
        "ec.EllipticCurvePrivateKey", serialization.load_der_private_key(pkcs8, password=None)
    )


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the uncompressed point (65 bytes)."""
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def _pkcs8(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
