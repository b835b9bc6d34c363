"""Reading a social card and having it prove its keys: what `spk card show` shows."""

from __future__ import annotations

import os
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from card_personalization.chip.ecdsa_signature import DIGEST_BYTES, verifies
from card_personalization.chip.errors import CardFault, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Slot
from card_personalization.station.faults import StationError, StationFault

CARD_SLOTS: Final = (Slot.CARD_AUTHENTICATION, Slot.AUTHENTICATION)
"""9E signs a tap, 9A signs after the PIN."""


class CardCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate of a card: whose it says the key (65-byte point) is, and for how long."""

    slot: Slot
    der: bytes
    card_number: str
    point: bytes
    not_before: datetime
    not_after: datetime
    issuer: str


class CardView(msgspec.Struct, frozen=True, kw_only=True):
    """What anybody can read off a card. `pin_attempts` None: the PIN is verified already."""

    card_id: UUID
    expires_on: date
    certificates: tuple[CardCertificate, ...]
    pin_attempts: int | None

    @property
    def card_number(self) -> str | None:
        """The number that the certificates name; None while there is no certificate."""
        return self.certificates[0].card_number if self.certificates else None


def read_card(client: PivClient) -> CardView:
    """Return what a selected card holds. StatusError(NOT_FOUND) for one without a CHUID."""
    chuid = client.read_chuid()
    certificates = []
    for slot in CARD_SLOTS:
        try:
            der = client.read_certificate(slot)
        except StatusError as error:
            if error.fault is not CardFault.NOT_FOUND:
                raise
            continue
        certificates.append(read_certificate(slot, der))
    return CardView(
        card_id=UUID(bytes=chuid.guid),
        expires_on=chuid.expires_on,
        certificates=tuple(certificates),
        pin_attempts=client.pin_attempts_remaining(),
    )


def certified_key(slot: Slot, der: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key of a certificate. StationError(CERTIFICATE_UNREADABLE)."""
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _unreadable(slot, str(error)) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _unreadable(slot, "P-256")
    return key


def read_certificate(slot: Slot, der: bytes) -> CardCertificate:
    """Return what a certificate says. StationError(CERTIFICATE_UNREADABLE)."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        issuer = certificate.issuer.rfc4514_string()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _unreadable(slot, str(error)) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _unreadable(slot, "P-256")
    if len(names) != 1:
        raise _unreadable(slot, "CN")
    return CardCertificate(
        slot=slot,
        der=der,
        card_number=str(names[0].value),
        point=key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        ),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issuer=issuer,
    )


def challenge(client: PivClient, slot: Slot, point: bytes) -> None:
    """Have the card sign a random digest. StationError(KEY_UNPROVEN) if it does not fit `point`.

    9A wants the PIN verified before.
    """
    digest = os.urandom(DIGEST_BYTES)
    if not verifies(point, digest, client.sign_digest(slot, digest)):
        raise StationError(StationFault.KEY_UNPROVEN, slot=f"{slot:X}")


def _unreadable(slot: Slot, detail: str) -> StationError:
    return StationError(StationFault.CERTIFICATE_UNREADABLE, slot=f"{slot:X}", detail=detail)
