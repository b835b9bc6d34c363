"""Issuing end to end: software cards, a real key service, a served centre, real PostgreSQL."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from cryptography import x509

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.errors import AttemptError, CardError, CardFault
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import (
    FACTORY_MANAGEMENT_KEY,
    Profile,
    factory_state,
)
from card_personalization.chip.transport.inprocess import InProcessTransport
from card_personalization.chip.transport.pcsc import PcscContext
from card_personalization.readers.virtual import VirtualReaders
from card_personalization.station.centre import CentreClient
from card_personalization.station.faults import (
    CentreAway,
    CentreRefused,
    StationError,
    StationFault,
)
from card_personalization.station.issuing import IssueFailed, OrderFate, issue_card
from card_personalization.station.management import ADMIN_KEY_ALGORITHM, HsmManagementKey
from card_personalization.station.reading import challenge, read_card
from card_personalization.station.reset import reset_card
from card_personalization.station.steps import (
    FACTORY_PIN,
    PIN_ATTEMPTS,
    STEPS,
    recognise,
    report,
    send_report,
    unlock,
)
from processing.wire.api import IssuedCard, IssueReport, OrderState, ProblemType
from tests.cards import population as p
from tests.station.office import (
    Letters,
    RemovedAt,
    ServedCentre,
    client_of,
    unwatched,
    workplace,
)


def issue(centre: ServedCentre, client: CentreClient, card: PivClient) -> IssuedCard:
    return issue_card(workplace(centre, client, card, p.MOTHER, replace=True), unwatched)


def failed(centre: ServedCentre, client: CentreClient, card: PivClient) -> IssueFailed:
    with pytest.raises(IssueFailed) as caught:
        issue(centre, client, card)
    return caught.value


def check_issued(
    centre: ServedCentre, card: PivClient, issued: IssuedCard, letters: Letters
) -> None:
    """Hold the card itself and the centre's rows against what the station was told."""
    card.select()
    view = read_card(card)
    assert (view.card_id, view.card_number) == (issued.card_id, issued.card_number)
    assert (view.expires_on, view.pin_attempts) == (issued.valid_to, PIN_ATTEMPTS)
    (letter,) = letters.handed_over
    assert letter.card_number == issued.card_number
    assert (len(letter.pin), len(letter.puk)) == (6, 8)
    authority = x509.load_der_x509_certificate(centre.hsm.public_keys().issuing_certificates[0])
    card.verify_pin(letter.pin)
    for certificate in view.certificates:
        x509.load_der_x509_certificate(certificate.der).verify_directly_issued_by(authority)
        challenge(card, certificate.slot, certificate.point)
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


def test_one_card_in_process(centre: ServedCentre, client: CentreClient) -> None:
    soft, letters, seen = SoftCard(), Letters(), list[str]()
    place = workplace(centre, client, client_of(soft), p.MOTHER, letters)
    issued = issue_card(place, lambda step: seen.append(step.en))
    assert seen == [step.en for step in STEPS]
    assert issued.holder_count == 4
    check_issued(centre, client_of(soft), issued, letters)
    assert centre.order_states() == [2]
    card = client_of(soft)
    card.select()
    factory = LocalManagementKey(FACTORY_MANAGEMENT_KEY, ADMIN_KEY_ALGORITHM)
    with pytest.raises(CardError) as refused:
        card.authenticate_management(factory)
    assert refused.value.fault is CardFault.MANAGEMENT_KEY_WRONG


@pytest.mark.pcsc
def test_one_card_over_a_real_pcscd(
    centre: ServedCentre, client: CentreClient, readers: VirtualReaders
) -> None:
    letters = Letters()
    reader = readers.insert_card(SoftCard())
    with PcscContext() as context, context.connect(reader) as transport:
        card = PivClient(open_channel(transport))
        issued = issue_card(workplace(centre, client, card, p.MOTHER, letters), unwatched)
    with PcscContext() as context, context.connect(reader) as transport:
        check_issued(centre, PivClient(open_channel(transport)), issued, letters)


def test_a_card_in_use_is_not_written_again(centre: ServedCentre, client: CentreClient) -> None:
    soft = SoftCard()
    issued = issue(centre, client, client_of(soft))
    before = soft.to_state()
    failure = failed(centre, client, client_of(soft))
    assert isinstance(failure.cause, StationError)
    assert failure.cause.fault is StationFault.CARD_IN_USE
    assert issued.card_number in failure.text("ru")
    assert failure.fate is OrderFate.NONE
    assert failure.undone[0].run is unlock
    assert soft.to_state() == before
    assert centre.order_states() == [2]


def test_a_card_with_another_factory_key_is_left_alone(
    centre: ServedCentre, client: CentreClient
) -> None:
    soft = SoftCard(msgspec.structs.replace(factory_state(), management_key=bytes(24)))
    failure = failed(centre, client, client_of(soft))
    assert isinstance(failure.cause, StationError)
    assert failure.cause.fault is StationFault.FACTORY_KEY_WRONG
    assert "Карта не изменена" in failure.text("ru")
    assert centre.order_states() == []
    assert soft.changes == 0


def test_a_strict_card_is_said_to_be_unsuited(centre: ServedCentre, client: CentreClient) -> None:
    failure = failed(centre, client, client_of(SoftCard(factory_state(Profile.STRICT))))
    assert isinstance(failure.cause, StationError)
    assert failure.cause.fault is StationFault.FAMILY_UNSUITED
    assert failure.undone[0].run is recognise


def test_an_unknown_citizen_leaves_the_card_as_it_was(
    centre: ServedCentre, client: CentreClient
) -> None:
    soft = SoftCard()
    place = workplace(centre, client, client_of(soft), p.HOUSEHOLD)
    with pytest.raises(IssueFailed) as caught:
        issue_card(place, unwatched)
    assert isinstance(caught.value.cause, CentreRefused)
    assert caught.value.cause.problem.kind is ProblemType.CITIZEN_UNKNOWN
    assert "Карта не изменена" in caught.value.text("ru")
    assert soft.state.objects == {}


def test_a_wrong_token_is_refused_in_words(centre: ServedCentre) -> None:
    with CentreClient(centre.address, "office-1.wrong") as stranger:
        failure = failed(centre, stranger, client_of(SoftCard()))
    assert isinstance(failure.cause, CentreRefused)
    assert failure.cause.problem.kind is ProblemType.STATION_UNKNOWN
    assert "spk cards add-station" in failure.text("en")


def count_commands(centre: ServedCentre, client: CentreClient) -> int:
    transport = RemovedAt(InProcessTransport(SoftCard()), 10_000, after=False)
    issue(centre, client, PivClient(open_channel(transport)))
    return transport.commands


def check_words(failure: IssueFailed) -> None:
    """Hold that both languages say where it broke off, and of a written card what was done."""
    broken = failure.undone[0]
    for text, step, done in (
        (failure.text("ru"), broken.ru, "Сделано: "),
        (failure.text("en"), broken.en, "Done: "),
    ):
        assert f"{len(failure.done) + 1} " in text
        assert step in text
        assert (done in text) is failure.card_written
        assert ("spk card reset" in text) is failure.card_written


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after", [False, True], ids=["lost command", "lost answer"])
def test_a_card_pulled_out_at_any_command_never_counts(
    centre: ServedCentre, client: CentreClient, after: bool
) -> None:
    commands = count_commands(centre, client)
    counted = centre.card_count()
    assert commands > 30
    for at in range(1, commands + 1):
        soft = SoftCard()
        transport = RemovedAt(InProcessTransport(soft), at, after=after)
        failure = failed(centre, client, PivClient(open_channel(transport)))
        assert isinstance(failure.cause, CardError), at
        assert failure.cause.fault is CardFault.CARD_REMOVED, at
        expected = OrderFate.NONE if failure.order is None else OrderFate.GIVEN_UP
        assert failure.fate is expected, at
        assert len(failure.done) + len(failure.undone) == len(STEPS)
        check_words(failure)
        assert centre.card_count() == counted, at
        if at % 6 == 0 or at == commands:
            card = client_of(soft)
            reset_card(card, client)
            assert soft.state == factory_state(Profile.YUBICO, soft.state.serial)
            card.select()
            card.verify_pin(FACTORY_PIN)
    assert set(centre.order_states()) == {2, 3}


def test_a_card_that_broke_off_is_reset_and_issued(
    centre: ServedCentre, client: CentreClient
) -> None:
    soft = SoftCard()
    commands = count_commands(centre, client)
    broken = RemovedAt(InProcessTransport(soft), commands - 3, after=True)
    assert failed(centre, client, PivClient(open_channel(broken))).fate is OrderFate.GIVEN_UP
    again = failed(centre, client, client_of(soft))
    assert isinstance(again.cause, StationError)
    assert again.cause.fault is StationFault.CARD_NOT_BLANK
    assert "spk card reset" in again.text("ru")
    reset_card(client_of(soft), client)
    letters = Letters()
    place = workplace(centre, client, client_of(soft), p.MOTHER, letters, replace=True)
    check_issued(centre, client_of(soft), issue_card(place, unwatched), letters)


def test_an_active_card_is_not_reset(centre: ServedCentre, client: CentreClient) -> None:
    soft = SoftCard()
    issued = issue(centre, client, client_of(soft))
    before = soft.to_state()
    with pytest.raises(StationError, match=str(issued.card_id)):
        reset_card(client_of(soft), client)
    assert soft.to_state() == before
    client.block(issued.card_id)
    reset_card(client_of(soft), client)
    assert soft.state.objects == {}


class LosesReports(CentreClient):
    """A way to the centre that loses answers: reports arrive, and nobody learns of it."""

    lost = True

    def report(self, order_id: UUID, report: IssueReport) -> IssuedCard:
        issued = super().report(order_id, report)
        if self.lost:
            raise CentreAway("test", "the answer was lost")
        return issued


def test_a_lost_answer_to_the_report_is_repeated_not_given_up(centre: ServedCentre) -> None:
    soft = SoftCard()
    with LosesReports(centre.address, centre.token, pause=lambda _: None) as client:
        failure = failed(centre, client, client_of(soft))
        assert failure.fate is OrderFate.UNKNOWN
        assert failure.order is not None
        assert f"spk card report {failure.order.order_id}" in failure.text("ru")
        assert centre.order_states() == [2]
        client.lost = False
        card = client_of(soft)
        card.select()
        view = read_card(card)
        certificates = {each.slot: each.der for each in view.certificates}
        order = client.read_order(failure.order.order_id)
        assert order.state is OrderState.ISSUED
        issued = send_report(card, client, order, certificates)
    assert issued.card_id == view.card_id
    assert centre.card_count() == 1


class RefusesReports(CentreClient):
    """Swaps the certificates in every report, which the centre must refuse."""

    def report(self, order_id: UUID, report: IssueReport) -> IssuedCard:
        swapped = IssueReport(
            certificate_tap=report.certificate_pin,
            certificate_pin=report.certificate_tap,
            proof=report.proof,
        )
        return super().report(order_id, swapped)


def test_a_refused_report_gives_the_order_up(centre: ServedCentre) -> None:
    with RefusesReports(centre.address, centre.token) as client:
        failure = failed(centre, client, client_of(SoftCard()))
    assert isinstance(failure.cause, CentreRefused)
    assert failure.cause.problem.kind is ProblemType.CERTIFICATE_WRONG
    assert "certificate_tap" in failure.text("en")
    assert failure.undone[0].run is report
    assert failure.fate is OrderFate.GIVEN_UP
    assert (centre.order_states(), centre.card_count()) == ([3], 0)


def test_a_centre_that_is_away_is_named(centre: ServedCentre) -> None:
    with CentreClient("http://127.0.0.1:9", centre.token, pause=lambda _: None) as client:
        failure = failed(centre, client, client_of(SoftCard()))
    assert isinstance(failure.cause, StationError)
    assert failure.cause.fault is StationFault.CENTRE_AWAY
    assert "127.0.0.1:9" in failure.text("ru")


def test_a_wrong_pin_says_how_many_attempts_are_left(
    centre: ServedCentre, client: CentreClient
) -> None:
    soft = SoftCard()
    issue(centre, client, client_of(soft))
    card = client_of(soft)
    card.select()
    with pytest.raises(AttemptError) as caught:
        card.change_pin("00000000", "135791")
    assert caught.value.attempts_remaining == PIN_ATTEMPTS - 1
    assert str(PIN_ATTEMPTS - 1) in caught.value.text("ru")
