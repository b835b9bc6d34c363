"""The secrets of one processing centre, as they lie inside the encrypted key file."""

from __future__ import annotations

import secrets
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from hsm_stub.certificates import ca_certificate
from hsm_stub.client.commands import Bytes32

RegionCode = Annotated[str, Meta(pattern=r"^[0-9]{2}\Z")]


class KeyMaterial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Master keys (AES-256), private keys (PKCS #8 DER) and the issuing CA's certificate (DER)."""

    terminal_master: Bytes32
    card_master: Bytes32
    receipt_signing: bytes
    issuing_ca: bytes
    issuing_certificate: bytes
    region_code: RegionCode
    created_at_ms: int

    def __repr__(self) -> str:
        """Return the name alone: keys must not reach a log."""
        return "KeyMaterial(<hidden>)"


def new_key_material(region_code: str, created_at_ms: int) -> KeyMaterial:
    """Return fresh random keys and a self-signed issuing certificate for a region (2 digits)."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    material = KeyMaterial(
        terminal_master=secrets.token_bytes(32),
        card_master=secrets.token_bytes(32),
        receipt_signing=_pkcs8(ec.generate_private_key(ec.SECP256R1())),
        issuing_ca=_pkcs8(ca_key),
        issuing_certificate=ca_certificate(ca_key, region_code, created_at_ms),
        region_code=region_code,
        created_at_ms=created_at_ms,
    )
    # Encoding and decoding applies the field rules, so that no file holds what cannot be read.
    return msgspec.msgpack.decode(msgspec.msgpack.encode(material), type=KeyMaterial)


def _pkcs8(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
