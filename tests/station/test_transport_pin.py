"""The transport PIN at the desk: no letter, one change at first use, and the centre knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from card_personalization.chip.errors import AttemptError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.centre import CentreClient
from card_personalization.station.faults import (
    CentreAway,
    CentreRefused,
    StationError,
    StationFault,
)
from card_personalization.station.issuing import Station
from card_personalization.station.journal import Journal
from card_personalization.station.lot import Lot
from card_personalization.station.own_pin import change_pin
from card_personalization.station.pin_letter import PinLetter
from card_personalization.station.steps import Step
from processing.wire.api import CardStatus, IssuedCard, ProblemType, own_pin_digest, transport_pin
from tests.cards import population as p
from tests.station.office import ServedCentre, client_of, unwatched, walk_in
from tests.station.rig import Letters, MemoryCentre, ModuleKeys, Queue

OWN_PIN = "402871"


def nobody_prints(_letter: PinLetter, _again: bool) -> None:
    raise AssertionError("a card with a transport PIN has no letter")


def not_asked() -> str:
    raise AssertionError("nobody is asked for a transport PIN")


@pytest.fixture
def soft() -> SoftCard:
    return SoftCard()


@pytest.fixture
def issued(
    centre: ServedCentre, client: CentreClient, tmp_path: Path, soft: SoftCard
) -> IssuedCard:
    with Journal.open(tmp_path / "station") as journal:
        station = Station(
            journal, ServiceKeys(centre.hsm), Lot(), nobody_prints, client, transport_pins=True
        )
        served = station.serve(client_of(soft), walk_in(client, p.MOTHER), unwatched)
    assert served.issued is not None, served.text("en")
    return served.issued


def flag(centre: ServedCentre, issued: IssuedCard) -> tuple[object, ...]:
    """Give what the centre keeps: whether the PIN is a transport PIN, the card's version."""
    query = "SELECT pin_is_transport, version FROM cards.card WHERE card_id = $1"
    (row,) = centre.rows(query, issued.card_id)
    return row


def reasons(centre: ServedCentre, issued: IssuedCard) -> list[tuple[object, ...]]:
    """Give the last step of a card's life."""
    return centre.rows(
        "SELECT from_stage, to_stage, made_by, reason FROM cards.card_life WHERE card_id = $1 "
        "ORDER BY number DESC LIMIT 1",
        issued.card_id,
    )


def after(card: PivClient, pin: str, asked: UUID, challenge: bytes) -> bytes:
    """Have slot 9A sign what the centre asked for."""
    card.select()
    card.verify_pin(pin)
    return card.sign_digest(Slot.AUTHENTICATION, own_pin_digest(asked, challenge))


def test_the_holder_sets_a_pin(
    centre: ServedCentre, client: CentreClient, soft: SoftCard, issued: IssuedCard
) -> None:
    assert flag(centre, issued) == (True, 1)
    assert change_pin(client_of(soft), client, not_asked, lambda: OWN_PIN)
    assert flag(centre, issued) == (False, 2)
    assert reasons(centre, issued) == [
        (
            "active",
            "active",
            "station office-1",
            "the holder set a PIN in the place of the transport PIN",
        )
    ]
    # From here on it is a PIN like any other, and is asked for.
    with pytest.raises(AttemptError):
        change_pin(client_of(soft), client, lambda: "00000000", lambda: "135790")
    assert not change_pin(client_of(soft), client, lambda: OWN_PIN, lambda: "135790")
    assert not change_pin(client_of(soft), None, lambda: "135790", lambda: OWN_PIN)
    assert flag(centre, issued) == (False, 2)


@pytest.mark.parametrize(
    ("new", "online", "fault"),
    [
        (transport_pin, True, StationFault.PIN_TRANSPORT),
        (lambda _: "12ab", True, StationFault.PIN_FORM),
        (lambda _: OWN_PIN, False, StationFault.PIN_AT_CENTRE),
    ],
    ids=["the same", "no PIN", "without the centre"],
)
def test_what_is_refused_changes_nothing(
    centre: ServedCentre,
    client: CentreClient,
    soft: SoftCard,
    issued: IssuedCard,
    new: Callable[[str], str],
    online: bool,
    fault: StationFault,
) -> None:
    number = issued.card_number
    with pytest.raises(StationError) as refused:
        change_pin(
            client_of(soft),
            client if online else None,
            lambda: transport_pin(number),
            lambda: new(number),
        )
    assert refused.value.fault is fault
    assert flag(centre, issued) == (True, 1)
    card = client_of(soft)
    card.select()
    card.verify_pin(transport_pin(number))


def test_while_the_centre_is_away_only_a_holders_own_pin_is_changed(
    centre: ServedCentre, client: CentreClient, soft: SoftCard, issued: IssuedCard
) -> None:
    number = issued.card_number
    with CentreClient("http://127.0.0.1:9", centre.token, pause=lambda _: None) as away:
        with pytest.raises(CentreAway):
            change_pin(client_of(soft), away, lambda: transport_pin(number), lambda: OWN_PIN)
        assert change_pin(client_of(soft), client, not_asked, lambda: OWN_PIN)
        assert not change_pin(client_of(soft), away, lambda: OWN_PIN, lambda: "135790")


class LosesTheReport(CentreClient):
    """A line that breaks between the change and its report."""

    def own_pin(self, card_id: UUID, proof: bytes) -> CardStatus:
        raise CentreAway("test", "the line broke")


def test_a_change_that_was_not_reported_is_finished(
    centre: ServedCentre, client: CentreClient, soft: SoftCard, issued: IssuedCard
) -> None:
    with (
        LosesTheReport(centre.address, centre.token) as broken,
        pytest.raises(CentreAway),
    ):
        change_pin(client_of(soft), broken, not_asked, lambda: OWN_PIN)
    assert flag(centre, issued) == (True, 1)
    # Somebody mistypes the new PIN: two attempts are lost, and all come back with the right one.
    with pytest.raises(AttemptError) as wrong:
        change_pin(client_of(soft), client, not_asked, lambda: "999999")
    assert wrong.value.attempts_remaining == 3
    assert change_pin(client_of(soft), client, not_asked, lambda: OWN_PIN)
    assert flag(centre, issued) == (False, 2)


def test_a_report_may_be_repeated_and_proves_the_last_challenge(
    centre: ServedCentre, client: CentreClient, soft: SoftCard, issued: IssuedCard
) -> None:
    card, number, card_id = client_of(soft), issued.card_number, issued.card_id
    first = client.ask_own_pin(card_id)
    asked = client.ask_own_pin(card_id)
    assert first is not None
    assert asked is not None
    assert asked.pin_is_transport
    early = after(card, transport_pin(number), card_id, first.challenge)
    proof = after(card, transport_pin(number), card_id, asked.challenge)
    for wrong in (early, bytes(64)):
        with pytest.raises(CentreRefused) as refused:
            client.own_pin(card_id, wrong)
        assert refused.value.problem.kind is ProblemType.PIN_PROOF_WRONG
    assert flag(centre, issued) == (True, 1)
    for _ in range(2):
        assert not client.own_pin(card_id, proof).pin_is_transport
    assert flag(centre, issued) == (False, 2)
    assert client.ask_own_pin(UUID(int=1)) is None


def test_an_old_challenge_is_none(
    centre: ServedCentre, client: CentreClient, soft: SoftCard, issued: IssuedCard
) -> None:
    asked = client.ask_own_pin(issued.card_id)
    assert asked is not None
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    centre.rows("UPDATE cards.pin_challenge SET made_at = $1", long_ago)
    proof = after(
        client_of(soft), transport_pin(issued.card_number), issued.card_id, asked.challenge
    )
    with pytest.raises(CentreRefused, match="minutes ago"):
        client.own_pin(issued.card_id, proof)


class PowerCut(BaseException):
    """The station's process is gone: nothing of it runs any more."""


@pytest.mark.parametrize("begun_with", [True, False])
@pytest.mark.parametrize(("cut_at", "kept"), [(Step.KEYS, False), (Step.LOCK, True)])
def test_a_card_keeps_the_pin_that_was_drawn_for_it(
    tmp_path: Path, soft: SoftCard, begun_with: bool, cut_at: Step, kept: bool
) -> None:
    keys = ModuleKeys()
    centre, letters = MemoryCentre(keys.authority()), Letters()
    orders = Queue([centre.make()])

    def cut(step: Step) -> None:
        if step is cut_at:
            raise PowerCut

    def station(journal: Journal, transport_pins: bool) -> Station:
        return Station(
            journal, ServiceKeys(keys), Lot(), letters, centre, transport_pins=transport_pins
        )

    with Journal.open(tmp_path) as journal, pytest.raises(PowerCut):
        station(journal, begun_with).serve(client_of(soft), orders, cut)
    with Journal.open(tmp_path) as journal:
        served = station(journal, not begun_with).serve(client_of(soft), orders, unwatched)
    assert served.issued is not None, served.text("en")
    expected = begun_with if kept else not begun_with
    (report,) = centre.reports.values()
    assert report.pin_is_transport is expected
    assert len(letters.given) == (0 if expected else 1)
    pin = transport_pin(served.issued.card_number) if expected else letters.given[0].pin
    card = client_of(soft)
    card.select()
    card.verify_pin(pin)
