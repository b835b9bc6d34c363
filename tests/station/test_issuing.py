"""Issuing end to end: software cards, a real key service, a served centre, real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography import x509

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.errors import AlreadyIssued, AttemptError, CardError, CardFault
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.profiles.family import Access
from card_personalization.chip.profiles.openfips201 import OpenFips201Family
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import (
    FACTORY_MANAGEMENT_KEY,
    CardState,
    Profile,
    factory_state,
)
from card_personalization.chip.transport.pcsc import PcscContext
from card_personalization.readers.virtual import VirtualReaders
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.centre import CentreClient
from card_personalization.station.faults import (
    CentreAway,
    CentreRefused,
    StationError,
    StationFault,
)
from card_personalization.station.issuing import Outcome, Served, Station
from card_personalization.station.lot import Lot
from card_personalization.station.management import HsmManagementKey
from card_personalization.station.reading import challenge, read_card
from card_personalization.station.reset import reset_card
from card_personalization.station.steps import Step
from card_personalization.station.writing import ADMIN_KEY_ALGORITHM, PIN_ATTEMPTS
from processing.wire.api import IssuedCard, IssueReport, ProblemType
from tests.cards import population as p
from tests.chip.writing import is_fresh
from tests.station.office import ServedCentre, client_of, station_of, unwatched, walk_in
from tests.station.rig import PROFILES, Letters, lot_of


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def station(
    centre: ServedCentre, client: CentreClient, tmp_path: Path, letters: Letters
) -> Iterator[Station]:
    opened = station_of(centre, client, tmp_path / "station", letters)
    with opened.journal:
        yield opened


def serve(station: Station, client: CentreClient, card: PivClient) -> Served:
    return station.serve(card, walk_in(client, p.MOTHER, replace=True), unwatched)


def issue(station: Station, client: CentreClient, card: PivClient) -> IssuedCard:
    served = serve(station, client, card)
    assert served.issued is not None, served.text("en")
    return served.issued


def check_card(
    centre: ServedCentre,
    card: PivClient,
    issued: IssuedCard,
    letters: Letters,
    attempts: int = PIN_ATTEMPTS,
) -> None:
    """Hold what is on the card against what the station was told."""
    card.select()
    view = read_card(card)
    assert (view.card_id, view.card_number) == (issued.card_id, issued.card_number)
    assert (view.expires_on, view.pin_attempts) == (issued.valid_to, attempts)
    letter = letters.given[-1]
    assert letter.card_number == issued.card_number
    assert (len(letter.pin), len(letter.puk)) == (6, 8)
    authority = x509.load_der_x509_certificate(centre.hsm.public_keys().issuing_certificates[0])
    card.verify_pin(letter.pin)
    for certificate in view.certificates:
        x509.load_der_x509_certificate(certificate.der).verify_directly_issued_by(authority)
        challenge(card, certificate.slot, certificate.point)


def check_issued(
    centre: ServedCentre, card: PivClient, issued: IssuedCard, letters: Letters
) -> None:
    """Hold the card itself and the centre's rows against what the station was told."""
    check_card(centre, card, issued, letters)
    view = read_card(card)
    card.authenticate_management(HsmManagementKey(centre.hsm, issued.card_id.bytes))
    points = {certificate.slot: certificate.point for certificate in view.certificates}
    ders = {certificate.slot: certificate.der for certificate in view.certificates}
    rows = centre.rows(
        """
        SELECT card_number, holder_id, state, public_key_tap, public_key_pin,
               certificate_tap, certificate_pin
        FROM cards.card WHERE card_id = $1
        """,
        issued.card_id,
    )
    tap, pin = Slot.CARD_AUTHENTICATION, Slot.AUTHENTICATION
    assert rows == [
        (issued.card_number, p.MOTHER, 1, points[tap], points[pin], ders[tap], ders[pin])
    ]
    holders = centre.rows(
        "SELECT holder_id FROM rights.card_authority WHERE card_id = $1", issued.card_id
    )
    assert {holder for (holder,) in holders} == {p.MOTHER, p.HOUSEHOLD, p.CHILD, p.BABY}


def test_one_card_in_process(
    centre: ServedCentre, client: CentreClient, station: Station, letters: Letters
) -> None:
    soft, seen = SoftCard(), list[Step]()
    served = station.serve(client_of(soft), walk_in(client, p.MOTHER), seen.append)
    assert served.outcome is Outcome.ISSUED
    assert served.issued is not None
    assert seen == list(Step)
    assert served.issued.holder_count == 4
    check_issued(centre, client_of(soft), served.issued, letters)
    assert centre.order_states() == [2]
    card = client_of(soft)
    card.select()
    factory = LocalManagementKey(FACTORY_MANAGEMENT_KEY, ADMIN_KEY_ALGORITHM)
    with pytest.raises(CardError) as refused:
        card.authenticate_management(factory)
    assert refused.value.fault is CardFault.MANAGEMENT_KEY_WRONG


@pytest.mark.pcsc
@pytest.mark.parametrize("family", PROFILES)
def test_one_card_of_each_family_over_a_real_pcscd(
    centre: ServedCentre,
    client: CentreClient,
    tmp_path: Path,
    letters: Letters,
    readers: VirtualReaders,
    family: str,
) -> None:
    station = station_of(centre, client, tmp_path / "station", letters, lot_of(family))
    soft = SoftCard(factory_state(PROFILES[family]))
    reader = readers.insert_card(soft)
    with station.journal, PcscContext() as context, context.connect(reader) as transport:
        issued = issue(station, client, PivClient(open_channel(transport)))
    with PcscContext() as context, context.connect(reader) as transport:
        card = PivClient(open_channel(transport))
        # A generic card keeps the attempts that its maker set.
        attempts = 3 if family == "generic" else PIN_ATTEMPTS
        check_card(centre, card, issued, letters, attempts)
        if family == "openfips201":
            keys = ServiceKeys(centre.hsm).secrets(client.read_order(issued.order_id), channel=True)
            OpenFips201Family().open(card, Access(channel=keys.channel))


def test_a_card_in_use_is_not_written_again(
    centre: ServedCentre, client: CentreClient, station: Station
) -> None:
    soft = SoftCard()
    issued = issue(station, client, client_of(soft))
    before = soft.to_state()
    again = serve(station, client, client_of(soft))
    assert again.outcome is Outcome.SET_ASIDE
    assert isinstance(again.fault, AlreadyIssued)
    assert soft.to_state() == before
    assert centre.order_states() == [2]
    assert issued.card_id.hex in again.text("ru")


def test_another_stations_card_is_told_by_its_number(
    centre: ServedCentre, client: CentreClient, station: Station, tmp_path: Path
) -> None:
    soft = SoftCard()
    issued = issue(station, client, client_of(soft))
    other = station_of(centre, client, tmp_path / "other", Letters())
    with other.journal:
        again = serve(other, client, client_of(soft))
    assert again.outcome is Outcome.SET_ASIDE
    assert isinstance(again.fault, StationError)
    assert again.fault.fault is StationFault.CARD_IN_USE
    assert issued.card_number in again.text("ru")


@pytest.mark.parametrize(
    ("state", "fault", "words"),
    [
        (
            msgspec.structs.replace(factory_state(), management_key=bytes(24)),
            CardFault.FACTORY_KEY_WRONG,
            "ключ этой партии",
        ),
        (factory_state(Profile.STRICT), StationFault.FAMILY_UNSUITED, "--factory-key-file"),
        (factory_state(memory_bytes=1_500), CardFault.CARD_FULL, "мало места"),
        (
            factory_state(Profile.OPENFIPS201, memory_bytes=1_500),
            CardFault.CARD_TOO_SMALL,
            "мало места",
        ),
    ],
    ids=["other lot", "no key known", "too small", "too small, told by the card"],
)
def test_an_unfit_card_is_set_aside_untouched(
    centre: ServedCentre,
    client: CentreClient,
    station: Station,
    state: CardState,
    fault: CardFault | StationFault,
    words: str,
) -> None:
    soft = SoftCard(state)
    served = serve(station, client, client_of(soft))
    assert served.outcome is Outcome.SET_ASIDE
    assert isinstance(served.fault, CardError | StationError)
    assert served.fault.fault is fault
    assert words in served.text("ru")
    assert "?" not in served.text("ru")
    assert is_fresh(soft.state, state)
    assert station.journal.ledger.open_jobs == ()
    assert centre.card_count() == 0


def test_a_family_that_was_not_ordered_is_set_aside(
    centre: ServedCentre, client: CentreClient, tmp_path: Path
) -> None:
    lot = Lot(families=frozenset({"openfips201"}))
    station = station_of(centre, client, tmp_path / "station", Letters(), lot)
    with station.journal:
        served = serve(station, client, client_of(SoftCard()))
    assert served.outcome is Outcome.SET_ASIDE
    assert "openfips201" in served.text("ru")
    assert centre.order_states() == []


def test_an_unknown_citizen_leaves_the_card_as_it_was(
    client: CentreClient, station: Station
) -> None:
    soft = SoftCard()
    served = station.serve(client_of(soft), walk_in(client, p.HOUSEHOLD), unwatched)
    assert isinstance(served.fault, CentreRefused)
    assert served.fault.problem.kind is ProblemType.CITIZEN_UNKNOWN
    assert "ничего не изменено" in served.text("ru")
    assert soft.state.objects == {}


def test_a_wrong_token_is_refused_in_words(centre: ServedCentre, station: Station) -> None:
    with CentreClient(centre.address, "office-1.wrong") as stranger:
        served = serve(station, stranger, client_of(SoftCard()))
    assert isinstance(served.fault, CentreRefused)
    assert served.fault.problem.kind is ProblemType.STATION_UNKNOWN
    assert "spk cards add-station" in served.text("en")


def test_an_active_card_is_not_reset(
    centre: ServedCentre, client: CentreClient, station: Station
) -> None:
    soft = SoftCard()
    issued = issue(station, client, client_of(soft))
    before = soft.to_state()
    with pytest.raises(StationError, match=str(issued.card_id)):
        reset_card(client_of(soft), client)
    assert soft.to_state() == before
    client.block(issued.card_id)
    reset_card(client_of(soft), client)
    assert soft.state == factory_state(Profile.YUBICO, soft.state.serial)


class LosesReports(CentreClient):
    """A way to the centre that loses answers: reports arrive, and nobody learns of it."""

    lost = True

    def report(self, order_id: UUID, report: IssueReport) -> IssuedCard:
        issued = super().report(order_id, report)
        if self.lost:
            raise CentreAway("test", "the answer was lost")
        return issued


def test_a_lost_answer_to_the_report_is_asked_for_again_without_the_card(
    centre: ServedCentre, tmp_path: Path, letters: Letters
) -> None:
    soft = SoftCard()
    with LosesReports(centre.address, centre.token, pause=lambda _: None) as client:
        station = station_of(centre, client, tmp_path, letters)
        with station.journal:
            written = serve(station, client, client_of(soft))
        assert written.outcome is Outcome.WRITTEN
        assert "spk station resume" in written.text("ru")
        assert centre.order_states() == [2]
        client.lost = False
        station = station_of(centre, client, tmp_path, letters)
        with station.journal:
            (settled,) = station.settle(walk_in(client, p.MOTHER), unwatched)
    assert settled.issued is not None
    check_issued(centre, client_of(soft), settled.issued, letters)
    assert (len(letters.given), centre.card_count()) == (1, 1)


class RefusesReports(CentreClient):
    """Swaps the certificates in every report, which the centre must refuse."""

    def report(self, order_id: UUID, report: IssueReport) -> IssuedCard:
        swapped = IssueReport(
            certificate_tap=report.certificate_pin,
            certificate_pin=report.certificate_tap,
            proof=report.proof,
        )
        return super().report(order_id, swapped)


def test_a_card_that_the_centre_refuses_is_spoiled(centre: ServedCentre, tmp_path: Path) -> None:
    with RefusesReports(centre.address, centre.token) as client:
        station = station_of(centre, client, tmp_path, Letters())
        with station.journal:
            served = serve(station, client, client_of(SoftCard()))
            (spoiled,) = station.journal.ledger.spoiled
    assert served.outcome is Outcome.SPOILED
    assert isinstance(served.fault, CentreRefused)
    assert served.fault.problem.kind is ProblemType.CERTIFICATE_WRONG
    assert "certificate_tap" in spoiled.en
    # A fresh order waits in the place of the one given up.
    assert (sorted(centre.order_states()), centre.card_count()) == ([1, 3], 0)


def test_a_centre_that_is_away_is_named(centre: ServedCentre, station: Station) -> None:
    with CentreClient("http://127.0.0.1:9", centre.token, pause=lambda _: None) as away:
        served = serve(station, away, client_of(SoftCard()))
    assert served.outcome is Outcome.INTERRUPTED
    assert "127.0.0.1:9" in served.text("ru")


def test_a_wrong_pin_says_how_many_attempts_are_left(
    client: CentreClient, station: Station
) -> None:
    soft = SoftCard()
    issue(station, client, client_of(soft))
    card = client_of(soft)
    card.select()
    with pytest.raises(AttemptError) as caught:
        card.change_pin("00000000", "135791")
    assert caught.value.attempts_remaining == PIN_ATTEMPTS - 1
    assert str(PIN_ATTEMPTS - 1) in caught.value.text("ru")
