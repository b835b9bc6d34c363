"""Keys rotated end to end: every key gets its next generation, and old cards live on.

A real centre and a real key service run as processes; the station writes software cards through the
centre's API, a terminal serves them with and without the centre.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.transport.inprocess import InProcessTransport
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.centre import CentreClient
from card_personalization.station.issuing import Outcome as Done
from card_personalization.station.issuing import Station
from card_personalization.station.journal import Journal
from card_personalization.station.lot import Lot
from card_personalization.station.orders import WalkIn
from card_personalization.station.passport import refresh_passport
from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.client.client import HsmClient
from hsm_stub.client.enums import KeyState
from hsm_stub.key_file import KeyFile
from hsm_stub.keyring import KEY_NAMES, KeyName, MasterKey, SigningKey
from hsm_stub.public_files import write_public_files
from hsm_stub.rotation import rotate, set_state
from processing.journal.receipt_verdict import fault_of, public_keys_of
from processing.kernel.config import ListenAddress
from processing.kernel.roles import Role
from processing.region.cast import load_cast
from processing.terminals.copies import terminal_store
from processing.terminals.enrolment import parameters_of
from processing.wire.api import OrderRequest
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import FramingName, ProfileName
from processing.wire.receipt_file import ReceiptFile
from processing.wire.social_passport import SocialPassport
from processing.wire.transaction import Decision, Line, Request
from terminal_sim.card import CardRefused, Presented, PresentedCard
from terminal_sim.desk import Desk, now_ms, open_till, read_parameters, read_presented
from terminal_sim.passport import ASK_AFTER_DAYS, Refreshed, poster, refresh
from terminal_sim.results import Result, Sale
from terminal_sim.state import Asked
from terminal_sim.till import Till
from terminal_sim.trust import TrustShelf
from tests.e2e.test_one_day import ZONE, Town
from tests.plugins.centre import PASSPHRASE, Programs
from tests.plugins.targets import Databases
from tests.station.office import client_of

pytestmark = pytest.mark.timeout(240)

TERMINAL: Final = "AP000001"
OLD, NEW = "sokolova", "gromova"
PACKS: Final = {
    OLD: Line("ENALAPRIL-10-20", 1, 778, 0, 14_550),
    NEW: Line("AMLODIPINE-5-30", 1, 778, 0, 9_851),
}


class House:
    """The centre, the station and one terminal; cards by who carries them."""

    def __init__(self, town: Town, address: str, client: CentreClient, hsm: HsmClient) -> None:
        self.town = town
        self.address = address
        self.client = client
        self.hsm = hsm
        self.cards: dict[str, SoftCard] = {}
        self.keys = KeyFile.opened(town.programs.folder / "keys.spk", PASSPHRASE)

    @property
    def desk(self) -> Desk:
        """The terminal's files."""
        return Desk(params=self.town.file(TERMINAL))

    async def enrol(self, port: int) -> None:
        """Write the terminal's parameter file, once for the whole test."""
        async with (
            self.town.databases.pools(Role.OPERATOR) as pools,
            AsyncHsmClient(self.town.programs.hsm_address) as hsm,
        ):
            store = terminal_store(pools)
            terminal = await store.terminal(TERMINAL)
            assert terminal is not None
            parameters = await parameters_of(
                terminal,
                store,
                hsm,
                ListenAddress("127.0.0.1", port),
                self.town.day,
                framing=FramingName.LENGTH_2,
                profile=ProfileName.BINARY,
                content_url=self.address,
            )
        self.town.file(TERMINAL).write_bytes(parameters.encode())

    def issue(self, who: str, *, replace: bool = False, transport_pins: bool = False) -> None:
        """Write a card."""
        self.cards[who] = SoftCard()
        request = OrderRequest(snils=load_cast().member(who).snils, replace=replace)
        with Journal.open(self.town.folder / "station") as journal:
            station = Station(
                journal,
                ServiceKeys(self.hsm),
                Lot(),
                lambda _letter, _: None,
                self.client,
                transport_pins=transport_pins,
            )
            order = WalkIn(self.client, request)
            served = station.serve(client_of(self.cards[who]), order, lambda _: None)
        assert served.outcome is Done.ISSUED, served.text("en")

    def card_id(self, card: SoftCard) -> UUID:
        """Return a card's GUID."""
        client = client_of(card)
        client.select()
        return UUID(bytes=client.read_chuid().guid)

    def spk(self, *words: str) -> None:
        """Run a command of the centre's or the terminal's operator."""
        program = "from processing.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            env=self.town.programs.environment | self.town.databases.settings(self.town.folder),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def update(self) -> None:
        """Have the lists issued, as the centre does by the clock, and the terminal fetch them."""
        self.spk("cards", "issue-stop-list")
        self.spk("terminal", "update", "--params", str(self.desk.params))

    def rotate(self, *keys: KeyName) -> None:
        """Begin the next generation of each key while everything runs."""
        for key in keys:
            rotate(self.keys, key, time.time_ns() // 1_000_000)
        self.hsm.reload_keys()

    def retire(self, key: KeyName) -> None:
        """Take the first generation out of use."""
        set_state(self.keys, key, 1, KeyState.RETIRED)
        self.hsm.reload_keys()

    def sell(self, who: str, *, offline: bool = False) -> Result:
        """Sell a pack; online it must be decided."""
        with open_till(self.desk) as till:
            result = sold(till, self.cards[who], who, offline=offline)
        assert offline or result.decided, result
        return result

    def sell_without_answer(self, who: str) -> tuple[Request, Decision]:
        """Sell a pack, and lose the centre's answer: what was asked, and what it decided."""
        with open_till(self.desk) as till:
            request = till.signed(*wanted(till, self.cards[who], who), str)
            till.store.write(Asked(request))
            decision = till._link.transact(request, 0).decision
        assert decision is not None
        return request, decision

    def get(self, path: str, body: bytes | None = None) -> bytes:
        """Ask the HTTP gateway."""
        return httpx.request(
            "GET" if body is None else "POST", f"{self.address}{path}", content=body, timeout=30
        ).content


def sold(till: Till, card: SoftCard, who: str, *, offline: bool = False) -> Result:
    """Sell one of the cast a pack of what they need."""
    asked = Sale(
        holder_id=load_cast().member(who).citizen_id.bytes,
        service="MEDICINE",
        version=1,
        lines=(PACKS[who],),
        offline=offline,
    )
    return till.sell(presented(till, card), asked, str)


def presented(till: Till, card: SoftCard) -> Presented:
    """Put a card on the reader."""
    transport = InProcessTransport(card)
    return read_presented(till, lambda known: PresentedCard.read(transport, known, now_ms()))


def wanted(till: Till, card: SoftCard, who: str) -> tuple[Request, Presented]:
    """Return an unsigned sale and the card that will sign it."""
    at_reader = presented(till, card)
    holder_id = load_cast().member(who).citizen_id.bytes
    unsigned = till.terminal.sale(
        at_reader.identity, holder_id, "MEDICINE", 1, (PACKS[who],), now_ms()
    )
    return unsigned, at_reader


@contextmanager
def house(programs: Programs, databases: Databases, folder: Path) -> Iterator[House]:
    """Serve a region with one terminal and one station."""
    town = Town(databases, programs, folder)
    asyncio.run(town.create())
    execute(town, "UPDATE rights.allowance SET granted = 100 * granted")
    programs.start_hsm()
    centre, port = programs.start_centre(**databases.settings(folder), SPK_TIME_ZONE=ZONE)
    address = f"http://127.0.0.1:{centre.wait_for('serving http')['port']}"
    with CentreClient(address, town.token) as client, HsmClient(programs.hsm_address) as hsm:
        served = House(town, address, client, hsm)
        asyncio.run(served.enrol(port))
        yield served
    assert centre.end() == 0


def test_old_cards_live_on(programs: Programs, databases: Databases, tmp_path: Path) -> None:
    with house(programs, databases, tmp_path) as one:
        one.issue(OLD)
        one.update()
        first = one.sell(OLD)
        assert_approved(first)
        lost, decided = one.sell_without_answer(OLD)
        waiting = one.sell(OLD, offline=True)

        one.rotate(*KEY_NAMES)
        one.issue(NEW)
        assert_key_changes_under_a_sale(one, {lost: decided, waiting.request: None})
        # Nothing needs the old master any more.
        one.retire(MasterKey.TERMINAL)
        one.update()
        for who in (OLD, NEW):
            assert_approved(one.sell(who))
            assert one.sell(who, offline=True).offline
        with open_till(one.desk) as till:
            assert {result.decided for result in till.repeat_pending()} == {True}

        assert_both_are_managed(one)
        assert_receipts_of_both(one, first, one.sell(NEW))
        assert_certificates_of_both(one)
        assert_till_renews_a_passport(one)
        assert_retired_ones_end(one)


def execute(town: Town, statement: str) -> None:
    """Change something in the databases."""
    asyncio.run(town.databases.everywhere(lambda base: base.execute(statement)))


def assert_approved(result: Result) -> None:
    """Hold a sale to have been given."""
    assert result.answer is not None
    assert result.answer.outcome is Outcome.APPROVED, result


def assert_key_changes_under_a_sale(one: House, pending: dict[Request, Decision | None]) -> None:
    """Change the terminal's key while a sale's answer is lost and another waits for the line."""
    with open_till(one.desk) as till:
        known = till.terminal.parameters
        assert [entry.request for entry in till.store.state.pending.values()] == [*pending]
        assert till.change_key().exchange
        told = till.repeat_pending()
        # The block is signed anew with a key that the terminal had not met.
        assert till.terminal.parameters.receipt_keys != known.receipt_keys
    assert [result.request for result in told] == [*pending]
    for result, before in zip(told, pending.values(), strict=True):
        assert result.decided, result
        assert result.answer is not None
        assert before is None or result.answer.decision == before


def assert_both_are_managed(one: House) -> None:
    """Have the station write both cards a new passport, each under its own generation of 9B."""
    execute(one.town, "UPDATE cards.offline_limit SET transactions = 5")
    keys = (
        TrustShelf(one.desk.state_folder, read_parameters(one.desk.params))
        .parameters()
        .content_keys
    )
    for who in (OLD, NEW):
        client = client_of(one.cards[who])
        client.select()
        guid = client.read_chuid().guid
        known = one.client.card(UUID(bytes=guid))
        assert known is not None
        assert refresh_passport(client, one.client, one.hsm) is True
        passport = SocialPassport.decode(client.read_passport(), guid, keys)
        assert known.card_master == (1 if who == OLD else 2)
        assert passport.limits["*"].transactions == 5


def assert_till_renews_a_passport(one: House) -> None:
    """Renew the old card's passport at the till, with the 9B key of its own generation."""
    execute(one.town, "UPDATE cards.offline_limit SET transactions = 6")
    execute(one.town, "UPDATE terminals.terminal SET writes_passports = TRUE")
    client = client_of(one.cards[OLD])
    client.select()
    guid = client.read_chuid().guid
    in_a_week = one.town.day + timedelta(days=ASK_AFTER_DAYS)
    with open_till(one.desk) as till:
        parameters = till.terminal.parameters
        post = poster(parameters, till.terminal.mac_key, now_ms)
        for expected in (Refreshed.WRITTEN, Refreshed.FRESH):
            assert refresh(client, guid, parameters, in_a_week, post) is expected
        passport = SocialPassport.decode(client.read_passport(), guid, parameters.content_keys)
    assert passport.limits["*"].transactions == 6


def assert_receipts_of_both(one: House, first: Result, second: Result) -> None:
    """Verify a receipt of each generation by the file that anybody may have."""
    paths = write_public_files(one.town.folder / "public", one.hsm.public_keys())
    keys = public_keys_of(paths[0].read_bytes())
    for result, key in ((first, keys[1]), (second, keys[0])):
        assert result.answer is not None
        assert result.answer.decision is not None
        items = tuple(line.item for line in result.request.lines)
        file = ReceiptFile.of(
            result.request.key, items, result.answer.decision, result.answer.receipt
        )
        assert fault_of(file, keys) is None
        assert fault_of(file, (key,)) is None
        assert fault_of(file, tuple(set(keys) - {key})) is not None


def assert_certificates_of_both(one: House) -> None:
    """Ask for revocation list and status at the CA of each card."""
    one.spk("cards", "issue-crl")
    for who in (OLD, NEW):
        certificate, issuer = certificates_of(one, who)
        certificate.verify_directly_issued_by(issuer)
        point = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        listed = x509.load_der_x509_crl(one.get(f"/pki/crl/{point.hex()}.crl"))
        key = issuer.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert listed.is_signature_valid(key)
        answer = status_of(one, certificate, issuer)
        assert answer.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
        assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert certificates_of(one, OLD)[1] != certificates_of(one, NEW)[1]


def certificates_of(one: House, who: str) -> tuple[x509.Certificate, x509.Certificate]:
    """Return a card's certificate and the CA that its issuer's name belongs to."""
    client = client_of(one.cards[who])
    client.select()
    der = client.read_certificate(Slot.CARD_AUTHENTICATION)
    certificate = x509.load_der_x509_certificate(der)
    issuers = [
        x509.load_der_x509_certificate(each) for each in one.hsm.public_keys().issuing_certificates
    ]
    return certificate, next(each for each in issuers if each.subject == certificate.issuer)


def status_of(
    one: House, certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPResponse:
    """Ask how a certificate stands."""
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
    # With a nonce, so that an answer of a minute ago is not given again.
    asked = asked.add_extension(x509.OCSPNonce(os.urandom(16)), critical=False)
    question = asked.build().public_bytes(serialization.Encoding.DER)
    return ocsp.load_der_ocsp_response(one.get("/pki/ocsp", question))


def assert_retired_ones_end(one: House) -> None:
    """Retire the CA and the content key: what docs/keys.md says happens, happens."""
    one.retire(SigningKey.ISSUING_CA)
    one.retire(SigningKey.CONTENT)
    assert_approved(one.sell(NEW))
    one.update()
    with pytest.raises(CardRefused, match="not issued here"):
        one.sell(OLD)
    assert_approved(one.sell(NEW))
    certificate, issuer = certificates_of(one, OLD)
    assert status_of(one, certificate, issuer).response_status in RETIRED_STATUSES


RETIRED_STATUSES: Final = (
    ocsp.OCSPResponseStatus.TRY_LATER,
    ocsp.OCSPResponseStatus.UNAUTHORIZED,
)
