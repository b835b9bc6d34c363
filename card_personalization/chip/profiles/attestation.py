"""Checks an attestation: the card's proof that a private key was made on the chip.

The card's attestation key signs a certificate of the new key; the maker certified the attestation
key. The form is that of Yubico's PIV attestation (developers.yubico.com, PIV attestation).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ObjectIdentifier

from card_personalization.chip.errors import AttestationError

_FIRMWARE: Final = "1.3.6.1.4.1.41482.3.3"
_SERIAL: Final = "1.3.6.1.4.1.41482.3.7"
_POLICY: Final = "1.3.6.1.4.1.41482.3.8"


class Attestation(msgspec.Struct, frozen=True):
    """The certificate of a key and that of the card's attestation key, DER."""

    certificate: bytes
    device_certificate: bytes


class AttestedKey(msgspec.Struct, frozen=True):
    """What a valid attestation says: of which card, and how the key may be used."""

    point: bytes
    firmware: tuple[int, ...]
    serial: int | None
    pin_policy: int
    touch_policy: int


def verify_attestation(
    attestation: Attestation,
    authorities: Sequence[x509.Certificate],
    slot: int,
    point: bytes,
    moment: datetime.datetime | None = None,
) -> AttestedKey:
    """What is attested of the key with this public point. AttestationError saying what fails.

    `authorities` are the maker's certificates that are trusted here, of which one signed the
    device's. `moment` is now unless given.
    """
    certificate = _loaded(attestation.certificate, slot)
    device = _loaded(attestation.device_certificate, slot)
    now = moment or datetime.datetime.now(datetime.UTC)
    issuer = next((a for a in authorities if a.subject == device.issuer), None)
    if issuer is None:
        raise AttestationError(slot, f"no authority named {device.issuer.rfc4514_string()}")
    _require_authority(issuer, slot)
    _require_authority(device, slot)
    for signed, signer in ((device, issuer), (certificate, device)):
        _require_signed(signed, signer, slot)
    for each in (issuer, device, certificate):
        if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            raise AttestationError(slot, f"{each.subject.rfc4514_string()} is not valid now")
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise AttestationError(slot, "it is about a key of another kind")
    attested = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if attested != point:
        raise AttestationError(slot, "it is about another key")
    return _told(certificate, attested, slot)


def _loaded(der: bytes, slot: int) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise AttestationError(slot, f"no certificate: {error}") from None


def _require_authority(certificate: x509.Certificate, slot: int) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        constraints = None
    if constraints is None or not constraints.value.ca:
        raise AttestationError(slot, f"{certificate.subject.rfc4514_string()} is no authority")


def _require_signed(signed: x509.Certificate, signer: x509.Certificate, slot: int) -> None:
    try:
        signed.verify_directly_issued_by(signer)
    except (InvalidSignature, ValueError, TypeError):
        name = signer.subject.rfc4514_string()
        raise AttestationError(slot, f"it was not signed by {name}") from None


def _told(certificate: x509.Certificate, point: bytes, slot: int) -> AttestedKey:
    firmware = _extension(certificate, _FIRMWARE)
    policy = _extension(certificate, _POLICY)
    serial = _extension(certificate, _SERIAL)
    if firmware is None or policy is None or len(policy) != 2:
        raise AttestationError(slot, "it does not tell firmware and policy")
    # The serial is an ASN.1 INTEGER; chips without one leave it out.
    number = None if serial is None else int.from_bytes(serial[2:], "big")
    return AttestedKey(point, tuple(firmware), number, policy[0], policy[1])


def _extension(certificate: x509.Certificate, oid: str) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_oid(ObjectIdentifier(oid)).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    return found.value if isinstance(found, x509.UnrecognizedExtension) else None
