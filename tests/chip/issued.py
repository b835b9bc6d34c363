"""Cards as a station would have issued them, for the tests of this folder."""

from __future__ import annotations

import datetime

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.ecdsa_signature import public_key_from_point
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Algorithm, Chuid, Slot
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.session import Interface
from card_personalization.chip.softcard.state import (
    FACTORY_MANAGEMENT_KEY,
    Profile,
    factory_state,
)
from card_personalization.chip.transport.inprocess import InProcessTransport

GUID = bytes(range(0x10, 0x20))
EXPIRES_ON = datetime.date(2031, 6, 30)
_NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class IssuedCard(msgspec.Struct, frozen=True):
    """A software card with keys, certificates and CHUID; PIN 123456, PUK 12345678."""

    card: SoftCard
    points: dict[Slot, bytes]
    certificates: dict[Slot, bytes]


def certificate_of(point: bytes, slot: Slot) -> bytes:
    """A DER certificate of a slot's key, by an issuer of these tests."""
    issuer_key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"spk test {slot:X}")])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spk test issuer")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public_key_from_point(point))
        .serial_number(int(slot))
        .not_valid_before(_NOW)
        .not_valid_after(_NOW + datetime.timedelta(days=3650))
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=slot is Slot.KEY_MANAGEMENT,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.DER)


def issue(profile: Profile = Profile.YUBICO, serial: int = 20_000_001) -> IssuedCard:
    """Issue a fresh card in process."""
    card = SoftCard(factory_state(profile, serial))
    transport = InProcessTransport(card)
    client = PivClient(open_channel(transport))
    client.select()
    client.authenticate_management(LocalManagementKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192))
    points = {slot: client.generate_key(slot) for slot in Slot}
    certificates = {slot: certificate_of(point, slot) for slot, point in points.items()}
    for slot, der in certificates.items():
        client.write_certificate(slot, der)
    client.write_chuid(Chuid(GUID, EXPIRES_ON))
    transport.close()
    return IssuedCard(card, points, certificates)


def client_of(card: SoftCard) -> PivClient:
    """A selected client of a card in this process, over short APDUs."""
    client = PivClient(open_channel(InProcessTransport(card)))
    client.select()
    return client


def contactless(card: SoftCard) -> SoftCard:
    """The same card as it lies on a contactless reader."""
    return SoftCard(card.state, interface=Interface.CONTACTLESS)
