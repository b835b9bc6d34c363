"""Whether a station's report belongs to its order: the certificates and the proof of the key."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from processing.cards.model import Order, Refusal, WrittenCard
from processing.wire.api import SIGNATURE_BYTES, IssueReport, ProblemType, issuing_proof_digest

CLOCK_SLACK_MINUTES: Final = 10
"""How far the clock of whoever issued a certificate may run ahead of the centre's."""

PIV_CARD_AUTH: Final = ObjectIdentifier("2.16.840.1.101.3.6.8")
"""id-PIV-cardAuth: the purpose of slot 9E (FIPS 201-3)."""

_POINT: Final = (
    serialization.Encoding.X962,
    serialization.PublicFormat.UncompressedPoint,
)


class IssuingAuthority(msgspec.Struct, frozen=True):
    """The certificates (DER) of the CAs that card certificates must be signed by."""

    certificates: tuple[bytes, ...]


def check_report(
    order: Order, report: IssueReport, authority: IssuingAuthority, now: datetime
) -> WrittenCard | Refusal:
    """Return what was written, or the first thing that is wrong with the report."""
    issuers = [x509.load_der_x509_certificate(der) for der in authority.certificates]
    points: list[bytes] = []
    for field, der, purpose in (
        ("certificate_tap", report.certificate_tap, PIV_CARD_AUTH),
        ("certificate_pin", report.certificate_pin, ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        key = _certified_key(order, der, purpose, issuers, now)
        if isinstance(key, str):
            return Refusal(ProblemType.CERTIFICATE_WRONG, field, key)
        points.append(key.public_bytes(*_POINT))
    tap, pin = points
    if tap == pin:
        reason = "both slots hold the same key; each slot makes its own"
        return Refusal(ProblemType.CERTIFICATE_WRONG, "certificate_pin", reason)
    if not proves(tap, issuing_proof_digest(order.order_id, order.challenge), report.proof):
        reason = "no signature by the key of certificate_tap over this order's challenge"
        return Refusal(ProblemType.PROOF_WRONG, "proof", reason)
    return WrittenCard(
        public_key_tap=tap,
        public_key_pin=pin,
        certificate_tap=report.certificate_tap,
        certificate_pin=report.certificate_pin,
        card_master=report.card_master,
        pin_is_transport=report.pin_is_transport,
    )


def _certified_key(
    order: Order,
    der: bytes,
    purpose: ObjectIdentifier,
    issuers: list[x509.Certificate],
    now: datetime,
) -> ec.EllipticCurvePublicKey | str:
    """Return the certified key, or in words why the certificate does not fit the order."""
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        return f"no X.509 certificate: {error}"
    # The signature comes first: what is read after it was composed by our own key service.
    if not der.endswith(b"\0" + certificate.signature):
        return "the signature's bit string is malformed"
    if not any(_signed_by(certificate, issuer) for issuer in issuers):
        return "not signed by the issuing CA of this centre"
    try:
        key = certificate.public_key()
        common_name = [
            each.value for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        card_ids = names.get_values_for_type(x509.UniformResourceIdentifier)
        purposes = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
    ) as error:
        return f"no certificate of a card: {error}"
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return "the key is not of P-256"
    if common_name != [order.card_number]:
        return "the card number is not the order's"
    if card_ids != [_urn(order.card_id)]:
        return "the card's GUID is not the order's"
    if purposes != [purpose]:
        return "made for another slot"
    if certificate.not_valid_before_utc > now + timedelta(minutes=CLOCK_SLACK_MINUTES):
        return "not yet valid; check the clock of the station"
    if certificate.not_valid_after_utc.date() < order.valid_to:
        return "ends before the card does"
    return key


def _urn(card_id: UUID) -> str:
    return f"urn:uuid:{card_id}"


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def proves(point: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether r‖s (64 bytes) over a SHA-256 digest is by the key with this uncompressed point."""
    half = SIGNATURE_BYTES // 2
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    try:
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True
