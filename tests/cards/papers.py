"""An issuing CA and cards made of keys in memory, to build right reports and wrong ones."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from hsm_stub.certificates import CardCertificates, ca_certificate
from hsm_stub.client.commands import CertificateSlot, IssueCardCertificate
from processing.wire.api import IssueReport, issuing_proof_digest

NOW = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp()) * 1000
TAP, PIN = CertificateSlot.CARD_AUTHENTICATION, CertificateSlot.AUTHENTICATION


class Authority:
    """An issuing CA with its key in memory."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.der = ca_certificate(self._key, "99", NOW_MS)

    def certify(
        self,
        slot: CertificateSlot,
        key: ec.EllipticCurvePrivateKey,
        card_id: UUID,
        card_number: str,
        valid_to: date,
        not_before_ms: int = NOW_MS,
    ) -> bytes:
        """Give a card certificate that ends with the last day."""
        last = datetime(valid_to.year, valid_to.month, valid_to.day, 23, 59, 59, tzinfo=UTC)
        command = IssueCardCertificate(
            slot=slot,
            public_key=point_of(key),
            card_guid=card_id.bytes,
            card_number=card_number,
            not_before_ms=not_before_ms,
            not_after_ms=int(last.timestamp()) * 1000,
        )
        return CardCertificates(x509.load_der_x509_certificate(self.der), self._key).issue(command)


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """What a card needs to know of its order."""

    order_id: UUID
    card_id: UUID
    card_number: str
    valid_to: date
    challenge: bytes


class Keys:
    """A card reduced to its two keys."""

    def __init__(self) -> None:
        self.tap = ec.generate_private_key(ec.SECP256R1())
        self.pin = ec.generate_private_key(ec.SECP256R1())

    def report(self, authority: Authority, order: Ordered) -> IssueReport:
        """Give the report that a right station would send."""
        facts = (order.card_id, order.card_number, order.valid_to)
        return IssueReport(
            certificate_tap=authority.certify(TAP, self.tap, *facts),
            certificate_pin=authority.certify(PIN, self.pin, *facts),
            proof=self.prove(order.order_id, order.challenge),
        )

    def prove(self, order_id: UUID, challenge: bytes) -> bytes:
        """Sign an order's challenge with the tap key: raw r‖s."""
        return sign(self.tap, issuing_proof_digest(order_id, challenge))


def sign(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """Sign a SHA-256 digest: raw r‖s, 64 bytes."""
    r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    return r.to_bytes(32) + s.to_bytes(32)


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give the uncompressed point of a key."""
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
