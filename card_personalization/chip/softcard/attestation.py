"""Attestation as the Yubico family does it: key F9 signs a certificate for a key made on the card.

The chain is made here too: an authority of software cards certifies each card's F9. Its private
key follows from a public sentence, so such an attestation proves nothing about a real chip, and no
one who trusts Yubico's root will take it for one.
"""

from __future__ import annotations

import datetime
import hashlib
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from card_personalization.chip.apdu import Command, Response, Sw
from card_personalization.chip.ecdsa_signature import P256_ORDER
from card_personalization.chip.softcard.session import Refused, Session
from card_personalization.chip.softcard.state import Origin, PrivateKey

ATTESTATION_SLOT: Final = 0xF9
# What Yubico's attestation certificates tell of a key, in extensions of their own.
_FIRMWARE: Final = ObjectIdentifier("1.3.6.1.4.1.41482.3.3")
_SERIAL: Final = ObjectIdentifier("1.3.6.1.4.1.41482.3.7")
_POLICY: Final = ObjectIdentifier("1.3.6.1.4.1.41482.3.8")
_FORM_FACTOR: Final = ObjectIdentifier("1.3.6.1.4.1.41482.3.9")
_NO_FORM_FACTOR: Final = b"\x00"
_SINCE: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_UNTIL: Final = datetime.datetime(2056, 1, 1, tzinfo=datetime.UTC)
_CARDS_CACHED_MAX: Final = 64


def _key(sentence: str) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(hashlib.sha256(sentence.encode()).digest(), "big") % P256_ORDER
    return ec.derive_private_key(number, ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority_key() -> ec.EllipticCurvePrivateKey:
    return _key("spk software card attestation authority")


def _authority_name() -> x509.Name:
    return _name("spk software card attestation authority")


def _certificate(
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    point = public_key.public_numbers()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        # Numbered by the key, so that the same key always gives the same certificate.
        .serial_number(point.x >> 128 | 1)
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)


@lru_cache(1)
def authority_certificate() -> x509.Certificate:
    """The root that software cards' attestations lead to, signed by itself."""
    key = _authority_key()
    constraints = (x509.BasicConstraints(ca=True, path_length=1), True)
    return _certificate(_authority_name(), key.public_key(), _authority_name(), key, [constraints])


def _device_name(serial: int) -> x509.Name:
    return _name(f"spk software card {serial}")


def _device_key(serial: int) -> ec.EllipticCurvePrivateKey:
    return _key(f"spk software card {serial}, key F9")


@lru_cache(_CARDS_CACHED_MAX)
def device_certificate(serial: int) -> bytes:
    """The DER certificate of a card's F9, as it lies in object 5FFF01."""
    constraints = (x509.BasicConstraints(ca=True, path_length=0), True)
    public_key = _device_key(serial).public_key()
    made = _certificate(
        _device_name(serial), public_key, _authority_name(), _authority_key(), [constraints]
    )
    return made.public_bytes(Encoding.DER)


def attest(session: Session, command: Command, firmware: bytes) -> Response:
    """ATTEST (F9): a certificate for the key of slot P1, made on the card. Else Refused(6A80)."""
    key = session.state.keys.get(command.p1)
    if command.p2:
        raise Refused(Sw.WRONG_P1_P2)
    if key is None:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    if key.origin is not Origin.GENERATED:
        raise Refused(Sw.WRONG_DATA)
    return Response(_statement(session.state.serial, command.p1, key, firmware), Sw.OK)


def _statement(serial: int, slot: int, key: PrivateKey, firmware: bytes) -> bytes:
    number = serial.to_bytes(4, "big").lstrip(b"\x00") or b"\x00"
    if number[0] & 0x80:
        number = b"\x00" + number
    told = {
        _FIRMWARE: firmware,
        _SERIAL: bytes([0x02, len(number)]) + number,
        _POLICY: bytes([key.pin_policy, key.touch_policy]),
        _FORM_FACTOR: _NO_FORM_FACTOR,
    }
    subject_key = ec.derive_private_key(int.from_bytes(key.scalar, "big"), ec.SECP256R1())
    made = _certificate(
        _name(f"spk software card {serial}, attestation {slot:x}"),
        subject_key.public_key(),
        _device_name(serial),
        _device_key(serial),
        [(x509.UnrecognizedExtension(oid, value), False) for oid, value in told.items()],
    )
    return made.public_bytes(Encoding.DER)
