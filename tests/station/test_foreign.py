"""What the station wrote, confirmed from the outside: opensc and openssl, yubikit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from yubikit.piv import MANAGEMENT_KEY_TYPE, PivSession

from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import factory_state
from card_personalization.chip.transport.pcsc import PcscContext
from card_personalization.readers.virtual import VirtualReaders
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.issuing import Outcome
from card_personalization.station.orders import OrderList
from processing.wire.api import IssueReport
from tests.chip.test_foreign_tools import YubikitConnection, library, program, run, slot_number
from tests.station.rig import (
    PROFILES,
    Letters,
    MemoryCentre,
    ModuleKeys,
    client_of,
    lot_of,
    station_at,
    unwatched,
)

pytestmark = pytest.mark.pcsc
MESSAGE = b"a letter from the station"


class Written:
    """A card that the station wrote in process: its chip, its PIN, what was reported of it."""

    def __init__(self, family: str, folder: Path) -> None:
        self.keys = ModuleKeys()
        self.centre = MemoryCentre(self.keys.authority())
        self.order = self.centre.make()
        self.soft = SoftCard(factory_state(PROFILES[family]))
        letters = Letters()
        station = station_at(folder, self.centre, ServiceKeys(self.keys), lot_of(family), letters)
        with station.journal:
            orders = OrderList(self.centre.open_orders(), station.journal)
            served = station.serve(client_of(self.soft), orders, unwatched)
        assert served.outcome is Outcome.ISSUED, served.text("en")
        self.pin = letters.given[0].pin
        self.report: IssueReport = self.centre.reports[self.order.order_id]


@pytest.mark.parametrize("family", PROFILES)
def test_opensc_and_openssl_confirm_a_card(
    family: str, readers: VirtualReaders, tmp_path: Path
) -> None:
    tool = program("pkcs11-tool", "opensc")
    module = library("opensc-pkcs11.so", "opensc")
    openssl = program("openssl", "openssl")
    written = Written(family, tmp_path / "station")
    reader = readers.insert_card(written.soft)
    base = (tool, "--module", module, "--slot", slot_number(tool, module, reader, tmp_path))
    (issuer,) = written.keys.authority().certificates
    authority = tmp_path / "ca.pem"
    pem = serialization.Encoding.PEM
    authority.write_bytes(x509.load_der_x509_certificate(issuer).public_bytes(pem))
    (tmp_path / "digest").write_bytes(hashlib.sha256(MESSAGE).digest())
    (tmp_path / "message").write_bytes(MESSAGE)
    reported = {"01": written.report.certificate_pin, "04": written.report.certificate_tap}
    for key_id, certificate in reported.items():
        read = tmp_path / f"{key_id}.der"
        read_object = (*base, "--read-object", "--type", "cert", "--id", key_id)
        run(*read_object, "--output-file", str(read), home=tmp_path)
        assert read.read_bytes() == certificate
        one = tmp_path / f"{key_id}.pem"
        one.write_bytes(x509.load_der_x509_certificate(certificate).public_bytes(pem))
        told = run(openssl, "verify", "-CAfile", str(authority), str(one), home=tmp_path)
        assert told.strip().endswith("OK")
    signature = tmp_path / "signature"
    run(
        *(*base, "--login", "--pin", written.pin, "--sign", "--id", "01"),
        *("--mechanism", "ECDSA", "--signature-format", "openssl"),
        *("--input-file", str(tmp_path / "digest"), "--output-file", str(signature)),
        home=tmp_path,
    )
    key = x509.load_der_x509_certificate(written.report.certificate_pin).public_key()
    public = tmp_path / "key.pem"
    public.write_bytes(key.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    verify = (openssl, "dgst", "-sha256", "-verify", str(public), "-signature", str(signature))
    assert "Verified OK" in run(*verify, str(tmp_path / "message"), home=tmp_path)


def test_yubikit_confirms_a_card(readers: VirtualReaders, tmp_path: Path) -> None:
    written = Written("yubico", tmp_path / "station")
    secrets = ServiceKeys(written.keys).secrets(written.order, channel=False)
    reader = readers.insert_card(written.soft)
    with PcscContext() as context, context.connect(reader) as transport:
        session = PivSession(YubikitConnection(transport))
        session.authenticate(secrets.management_key)
        assert session.get_management_key_metadata().key_type is MANAGEMENT_KEY_TYPE.AES192
        assert not session.get_management_key_metadata().default_value
        assert session.get_pin_metadata().total_attempts == 5
        assert session.get_puk_metadata().total_attempts == 5
        assert not session.get_pin_metadata().default_value
        session.verify_pin(written.pin)
