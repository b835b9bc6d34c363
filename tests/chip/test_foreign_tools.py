"""Programs of others talk to the software card over a real pcscd."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from yubikit.core import TRANSPORT, InvalidPinError
from yubikit.core.smartcard import SmartCardConnection
from yubikit.piv import (
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    OBJECT_ID,
    PIN_POLICY,
    SLOT,
    Chuid,
    PivSession,
)

from card_personalization.chip.ecdsa_signature import der_from_raw, public_key_from_point
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.softcard.state import FACTORY_MANAGEMENT_KEY, Profile
from card_personalization.chip.transport.pcsc import PcscContext, PcscTransport
from card_personalization.readers.virtual import VirtualReaders
from tests.chip.issued import GUID, IssuedCard, issue

pytestmark = pytest.mark.pcsc

MESSAGE = b"one tap, verified by a stranger"
LIBRARY_FOLDERS = (Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib/aarch64-linux-gnu"))
TIMEOUT_S = 60


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return path


def library(name: str, package: str) -> str:
    found = [str(folder / name) for folder in LIBRARY_FOLDERS if (folder / name).exists()]
    if not found:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return found[0]


def run(*command: str, home: Path, data: bytes | None = None) -> str:
    """A tool's standard output; its words when it failed."""
    ended = subprocess.run(
        command,
        input=data,
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
        env={**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8"},
    )
    told = ended.stdout.decode(errors="replace")
    assert ended.returncode == 0, told + ended.stderr.decode(errors="replace")
    return told


@pytest.fixture
def reader(readers: VirtualReaders, issued: IssuedCard) -> str:
    """The reader with the issued card in it, named whole: other readers may be on the machine."""
    return readers.insert_card(issued.card)


def test_opensc_tool(reader: str, issued: IssuedCard, tmp_path: Path) -> None:
    tool = program("opensc-tool", "opensc")
    atr = run(tool, "--reader", reader, "--atr", home=tmp_path)
    assert atr.strip() == issued.card.atr.hex(":")
    name = run(tool, "--reader", reader, "--name", home=tmp_path)
    assert name.strip() == "Personal Identity Verification Card"


def slot_number(tool: str, module: str, reader: str, home: Path) -> str:
    """pkcs11-tool's number of the slot at a reader."""
    listing = run(tool, "--module", module, "--list-slots", home=home)
    line = next(line for line in listing.splitlines() if line.endswith(f": {reader}"))
    return line.partition("(")[2].partition(")")[0]


@pytest.mark.parametrize(
    ("key_id", "slot"), [("01", Slot.AUTHENTICATION), ("04", Slot.CARD_AUTHENTICATION)]
)
def test_pkcs11_tool(
    reader: str, issued: IssuedCard, tmp_path: Path, key_id: str, slot: Slot
) -> None:
    tool = program("pkcs11-tool", "opensc")
    module = library("opensc-pkcs11.so", "opensc")
    base = (tool, "--module", module, "--slot", slot_number(tool, module, reader, tmp_path))
    certificate = tmp_path / "certificate"
    run(
        *(*base, "--read-object", "--type", "cert", "--id", key_id),
        *("--output-file", str(certificate)),
        home=tmp_path,
    )
    assert certificate.read_bytes() == issued.certificates[slot]
    (tmp_path / "digest").write_bytes(hashlib.sha256(MESSAGE).digest())
    run(
        *(*base, "--login", "--pin", "123456", "--sign", "--mechanism", "ECDSA", "--id", key_id),
        *("--input-file", str(tmp_path / "digest"), "--output-file", str(tmp_path / "signature")),
        home=tmp_path,
    )
    key = x509.load_der_x509_certificate(certificate.read_bytes()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = der_from_raw((tmp_path / "signature").read_bytes())
    key.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_pkcs11_tool_lists_every_certificate(reader: str, tmp_path: Path) -> None:
    tool = program("pkcs11-tool", "opensc")
    path = library("opensc-pkcs11.so", "opensc")
    number = slot_number(tool, path, reader, tmp_path)
    listing = run(tool, "--module", path, "--slot", number, "-O", "--type", "cert", home=tmp_path)
    for slot in Slot:
        assert f"CN=spk test {slot:X}" in listing


def test_yubico_piv_tool(reader: str, tmp_path: Path) -> None:
    tool = program("yubico-piv-tool", "yubico-piv-tool")
    status = run(tool, "-r", reader, "-a", "status", home=tmp_path)
    assert "Version:\t5.7.2" in status
    assert GUID.hex() in status
    assert "PIN tries left:\t3" in status
    for slot in Slot:
        assert f"CN=spk test {slot:X}" in status


def test_yubico_piv_tool_signs_and_changes_the_pin(
    reader: str, issued: IssuedCard, tmp_path: Path
) -> None:
    # Its form in Debian 12 knows management keys of 3DES only, so it writes nothing here.
    base = (program("yubico-piv-tool", "yubico-piv-tool"), "-r", reader)
    (tmp_path / "message").write_bytes(MESSAGE)
    run(
        *(*base, "-a", "verify-pin", "-P", "123456"),
        *("--sign", "-s", "9a", "-A", "ECCP256", "-H", "SHA256", "-f", "binary"),
        *("-i", str(tmp_path / "message"), "-o", str(tmp_path / "signature")),
        home=tmp_path,
    )
    key = public_key_from_point(issued.points[Slot.AUTHENTICATION])
    key.verify((tmp_path / "signature").read_bytes(), MESSAGE, ec.ECDSA(hashes.SHA256()))
    run(*base, "-a", "change-pin", "-P", "123456", "-N", "654321", home=tmp_path)
    run(*base, "-a", "verify-pin", "-P", "654321", home=tmp_path)
    assert issued.card.state.pin.value == b"654321\xff\xff"


class YubikitConnection(SmartCardConnection):
    """yubikit over this house's transport."""

    def __init__(self, transport: PcscTransport) -> None:
        self._transport = transport

    @property
    def transport(self) -> TRANSPORT:
        return TRANSPORT.USB

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        return self._transport.transceive(apdu)

    def close(self) -> None:
        self._transport.close()


@pytest.fixture
def session(reader: str) -> Iterator[PivSession]:
    with PcscContext() as context, context.connect(reader) as transport:
        yield PivSession(YubikitConnection(transport))


def test_yubikit_reads_and_signs(session: PivSession, issued: IssuedCard) -> None:
    assert str(session.version) == "5.7.2"
    assert session.get_serial() == 20_000_001
    assert session.management_key_type is MANAGEMENT_KEY_TYPE.AES192
    assert session.get_management_key_metadata().default_value
    assert Chuid.from_bytes(session.get_object(OBJECT_ID.CHUID)).guid == GUID
    for slot in Slot:
        certificate = session.get_certificate(SLOT(slot))
        assert certificate.public_bytes(Encoding.DER) == issued.certificates[slot]
        metadata = session.get_slot_metadata(SLOT(slot))
        assert (metadata.key_type, metadata.generated) == (KEY_TYPE.ECCP256, True)
    session.verify_pin("123456")
    for slot in (Slot.AUTHENTICATION, Slot.CARD_AUTHENTICATION):
        signature = session.sign(SLOT(slot), KEY_TYPE.ECCP256, MESSAGE, hashes.SHA256())
        key = public_key_from_point(issued.points[slot])
        key.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))
    peer = ec.generate_private_key(ec.SECP256R1())
    mine = peer.exchange(ec.ECDH(), public_key_from_point(issued.points[Slot.KEY_MANAGEMENT]))
    assert session.calculate_secret(SLOT.KEY_MANAGEMENT, peer.public_key()) == mine


def test_yubikit_counts_pins(session: PivSession) -> None:
    with pytest.raises(InvalidPinError) as caught:
        session.verify_pin("000000")
    assert caught.value.attempts_remaining == 2
    assert session.get_pin_metadata().attempts_remaining == 2
    session.change_pin("123456", "222222")
    session.unblock_pin("12345678", "333333")
    session.change_puk("12345678", "87654321")
    assert not session.get_puk_metadata().default_value
    session.verify_pin("333333")


def test_yubikit_administers(session: PivSession) -> None:
    session.authenticate(FACTORY_MANAGEMENT_KEY)
    session.set_management_key(MANAGEMENT_KEY_TYPE.AES256, bytes(range(32)))
    session.authenticate(bytes(range(32)))
    public = session.generate_key(SLOT.RETIRED1, KEY_TYPE.ECCP256, PIN_POLICY.NEVER)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    signature = session.sign(SLOT.RETIRED1, KEY_TYPE.ECCP256, MESSAGE, hashes.SHA256())
    public.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))
    session.move_key(SLOT.RETIRED1, SLOT.RETIRED2)
    assert session.get_slot_metadata(SLOT.RETIRED2).pin_policy is PIN_POLICY.NEVER
    session.delete_key(SLOT.RETIRED2)
    imported = ec.generate_private_key(ec.SECP256R1())
    assert session.put_key(SLOT.RETIRED3, imported, PIN_POLICY.NEVER) is KEY_TYPE.ECCP256
    signature = session.sign(SLOT.RETIRED3, KEY_TYPE.ECCP256, MESSAGE, hashes.SHA256())
    imported.public_key().verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))
    session.put_object(OBJECT_ID.RETIRED1, bytes(3_000))
    assert session.get_object(OBJECT_ID.RETIRED1) == bytes(3_000)
    session.verify_pin("123456")
    session.set_pin_attempts(7, 9)
    assert session.get_pin_metadata().total_attempts == 7
    session.reset()
    assert session.get_management_key_metadata().default_value


def test_a_strict_card_is_a_piv_card_to_opensc(readers: VirtualReaders, tmp_path: Path) -> None:
    issued = issue(Profile.STRICT)
    reader = readers.insert_card(issued.card)
    tool = program("pkcs11-tool", "opensc")
    path = library("opensc-pkcs11.so", "opensc")
    number = slot_number(tool, path, reader, tmp_path)
    run(
        *(tool, "--module", path, "--slot", number, "--read-object", "--type", "cert"),
        *("--id", "04", "--output-file", str(tmp_path / "cert")),
        home=tmp_path,
    )
    assert (tmp_path / "cert").read_bytes() == issued.certificates[Slot.CARD_AUTHENTICATION]
