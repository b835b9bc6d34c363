"""Yubico's own library against the software cards: attestation, policies, and SCP03.

yubikit was written by others, from the same standards; its secure channel opens ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from yubikit.core.smartcard import AID, ApduError, SmartCardProtocol
from yubikit.core.smartcard.scp import KeyRef, Scp03KeyParams, StaticKeys
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY, PivSession
from yubikit.securitydomain import SecurityDomainSession

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.ecdsa_signature import der_from_raw, raw_from_der, verifies
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Chuid, Slot
from card_personalization.chip.profiles.family import Codes
from card_personalization.chip.profiles.openfips201 import OpenFips201Family
from card_personalization.chip.scp03 import ChannelKeys, open_secure_channel
from card_personalization.chip.softcard.attestation import authority_certificate
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import (
    FACTORY_CHANNEL_KEY,
    FACTORY_MANAGEMENT_KEY,
    Profile,
    factory_state,
)
from card_personalization.chip.transport.inprocess import InProcessTransport
from card_personalization.chip.transport.pcsc import PcscContext
from card_personalization.readers.virtual import VirtualReaders
from tests.chip.issued import EXPIRES_ON, IssuedCard, certificate_of
from tests.chip.test_foreign_tools import (
    YubikitConnection,
    library,
    program,
    run,
    slot_number,
)
from tests.chip.writing import GUID, families, write_card

pytestmark = pytest.mark.pcsc

NEW_KEYS = StaticKeys(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)))


@contextmanager
def connected(readers: VirtualReaders, card: SoftCard) -> Iterator[YubikitConnection]:
    """yubikit's way to a card at a reader."""
    reader = readers.insert_card(card)
    with PcscContext() as context, context.connect(reader) as transport:
        yield YubikitConnection(transport)


@contextmanager
def ours(readers: VirtualReaders, card: SoftCard) -> Iterator[PivClient]:
    """Our way to the same."""
    reader = readers.insert_card(card)
    with PcscContext() as context, context.connect(reader) as transport:
        client = PivClient(open_channel(transport))
        client.select()
        yield client


def test_yubikit_attests_and_tells_policies(readers: VirtualReaders) -> None:
    card = SoftCard(factory_state(Profile.YUBICO, 20_000_002))
    with connected(readers, card) as connection:
        session = PivSession(connection)
        session.authenticate(FACTORY_MANAGEMENT_KEY)
        slot = SLOT.CARD_AUTH
        made = session.generate_key(slot, KEY_TYPE.ECCP256, PIN_POLICY.NEVER, TOUCH_POLICY.CACHED)
        attestation = session.attest_key(slot)
        device = session.get_certificate(SLOT.ATTESTATION)
        metadata = session.get_slot_metadata(slot)
    assert metadata.touch_policy is TOUCH_POLICY.CACHED
    assert metadata.pin_policy is PIN_POLICY.NEVER
    attestation.verify_directly_issued_by(device)
    device.verify_directly_issued_by(authority_certificate())
    attested = attestation.public_key()
    assert isinstance(attested, ec.EllipticCurvePublicKey)
    assert isinstance(made, ec.EllipticCurvePublicKey)
    assert attested.public_numbers() == made.public_numbers()
    firmware = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.3")
    told = attestation.extensions.get_extension_for_oid(firmware).value
    assert isinstance(told, x509.UnrecognizedExtension)
    assert told.value == bytes([5, 7, 2])


def test_yubico_piv_tool_and_openssl_verify_an_attestation(
    readers: VirtualReaders, issued: IssuedCard, tmp_path: Path
) -> None:
    tool, openssl = program("yubico-piv-tool", "yubico-piv-tool"), program("openssl", "openssl")
    reader = readers.insert_card(issued.card)
    base = (tool, "-r", reader)
    key, device, root = (tmp_path / name for name in ("key.pem", "device.pem", "root.pem"))
    key.write_text(run(*base, "-a", "attest", "-s", "9e", home=tmp_path))
    device.write_text(run(*base, "-a", "read-certificate", "-s", "f9", home=tmp_path))
    root.write_bytes(authority_certificate().public_bytes(Encoding.PEM))
    told = run(
        *(openssl, "verify", "-CAfile", str(root), "-untrusted", str(device), str(key)),
        home=tmp_path,
    )
    assert told.endswith("key.pem: OK\n")


def test_yubikit_opens_a_secure_channel_and_changes_its_keys(readers: VirtualReaders) -> None:
    card = SoftCard(factory_state(Profile.OPENFIPS201, 7))
    with connected(readers, card) as connection:
        domain = SecurityDomainSession(connection)
        domain.authenticate(Scp03KeyParams())
        # Commands and answers are MACed and enciphered both ways here (level 33).
        # By its own method yubikit would read its maker's form of it, without the template's tag.
        assert domain.get_data(0xE0)[:6].hex() == "e012c00401ff"
        domain.put_key(KeyRef(0x01, 0x01), NEW_KEYS)
    assert card.state.platform is not None
    assert card.state.platform.key_set.version == 1
    readers.empty_all()
    with connected(readers, card) as connection:
        domain = SecurityDomainSession(connection)
        with pytest.raises(ValueError, match="Incorrect SCP parameters"):
            domain.authenticate(Scp03KeyParams())
        domain.authenticate(Scp03KeyParams(KeyRef(0x01, 0x01), NEW_KEYS))
        assert domain.get_data(0xE0)[:6].hex() == "e012c0040101"
    held = ChannelKeys(NEW_KEYS.key_enc, NEW_KEYS.key_mac, NEW_KEYS.key_dek or b"", 1)
    plain = open_channel(InProcessTransport(card))
    assert open_secure_channel(plain, held).key_version == 1


def test_yubikit_administers_the_applet(readers: VirtualReaders) -> None:
    card = SoftCard(factory_state(Profile.OPENFIPS201, 7))
    with connected(readers, card) as connection:
        protocol = SmartCardProtocol(connection)
        protocol.select(AID.PIV)
        define = bytes.fromhex("640b8b035fc1028c017f8d017f")
        with pytest.raises(ApduError) as caught:
            protocol.send_apdu(0, 0xDB, 0x3F, 0x00, define)
        assert caught.value.sw == 0x6982
        protocol.init_scp(Scp03KeyParams(keys=StaticKeys(*[FACTORY_CHANNEL_KEY] * 3)))
        protocol.send_apdu(0, 0xDB, 0x3F, 0x00, define)
        protocol.send_apdu(0, 0x24, 0xFF, 0x80, b"654321\xff\xff")
        protocol.select(AID.PIV)
        protocol.send_apdu(0, 0x20, 0x00, 0x80, b"654321\xff\xff")
    assert card.state.platform is not None
    assert set(card.state.platform.objects) == {0x5FC102}


def test_our_driver_writes_a_java_card_over_pcscd(readers: VirtualReaders) -> None:
    family = families()["openfips201"]
    card = SoftCard(factory_state(family.profile, 9))
    with ours(readers, card) as client:
        identity = OpenFips201Family().identify(client)
        assert (identity.version, identity.serial) == ((1, 10, 2), 9)
        points = write_card(family, client)
        assert client.read_chuid().guid == GUID
        assert len(points[Slot.CARD_AUTHENTICATION]) == 65


def test_opensc_reads_and_signs_with_an_openfips201_card(
    readers: VirtualReaders, tmp_path: Path
) -> None:
    tool = program("pkcs11-tool", "opensc")
    module = library("opensc-pkcs11.so", "opensc")
    driver = OpenFips201Family()
    card = SoftCard(factory_state(Profile.OPENFIPS201, 9))
    client = PivClient(open_channel(InProcessTransport(card)))
    client.select()
    driver.open(client, driver.factory_access())
    driver.prepare(client)
    slot = Slot.CARD_AUTHENTICATION
    point = driver.make_key(client, slot)
    certificate = certificate_of(point, slot)
    client.write_certificate(slot, certificate)
    client.write_chuid(Chuid(GUID, EXPIRES_ON))
    driver.set_codes(client, driver.factory_access(), Codes("123456", "12345678", 5, 5))
    reader = readers.insert_card(card)
    base = (tool, "--module", module, "--slot", slot_number(tool, module, reader, tmp_path))
    read, signed = tmp_path / "certificate", tmp_path / "signature"
    run(
        *(*base, "--read-object", "--type", "cert", "--id", "04", "--output-file", str(read)),
        home=tmp_path,
    )
    assert read.read_bytes() == certificate
    digest = tmp_path / "digest"
    digest.write_bytes(bytes(32))
    run(
        *(*base, "--login", "--pin", "123456", "--sign", "--mechanism", "ECDSA", "--id", "04"),
        *("--input-file", str(digest), "--output-file", str(signed)),
        home=tmp_path,
    )
    # A tool that is no station keeps whichever of the two s the card gave.
    raw = raw_from_der(der_from_raw(signed.read_bytes()))
    assert verifies(point, bytes(32), raw)
