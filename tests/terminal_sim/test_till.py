"""A terminal at work against a scripted centre: kept first, repeated, believed last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from card_personalization.chip.errors import AttemptError
from card_personalization.chip.transport.inprocess import InProcessTransport
from processing.wire.digest import canonical_bytes
from processing.wire.iso8583.messages import Settlement, TerminalTotals
from processing.wire.outcome import Outcome
from processing.wire.transaction import Evidence, Kind, MessageClass, TransactionKey
from terminal_sim.card import PresentedCard
from terminal_sim.errors import TerminalError
from terminal_sim.link import Link, LinkError, LinkLimits
from terminal_sim.results import Sale
from terminal_sim.state import NO_TOTALS
from terminal_sim.store import Store
from terminal_sim.terminal import Terminal
from terminal_sim.till import Till
from tests.terminal_sim import world
from tests.terminal_sim.fake_centre import Does, FakeCentre

LIMITS = LinkLimits(answer_timeout_ms=200, attempts=2, first_pause_ms=1)
SALE = Sale(holder_id=world.MOTHER, service="MEDICINE", version=1, lines=(world.TWO_PACKS,))


@contextmanager
def till_at(folder: Path, port: int) -> Iterator[Till]:
    """A terminal on this folder, talking to this port."""
    file = world.parameters(port)
    with Store.open(folder, file, world.NOW_MS) as store:
        terminal = Terminal(file, store.state, lambda count: b"\x07" * count)
        link = Link(file, lambda: world.NOW_MS, LIMITS)
        try:
            yield Till(terminal, store, link, lambda: world.NOW_MS, lambda _: None)
        finally:
            link.close()


@pytest.fixture
def card() -> PresentedCard:
    """Maria's card at the reader."""
    transport = InProcessTransport(world.issued_card())
    return PresentedCard.read(transport, world.parameters(), world.NOW_MS)


def pin() -> str:
    return world.PIN


def test_a_sale_is_on_the_disk_before_it_is_sent(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre(Does.STAY_SILENT, Does.STAY_SILENT) as centre:
        with till_at(tmp_path, centre.port) as till:
            result = till.sell(card, SALE, pin)
            assert result.exit_code == 2
            assert isinstance(result.fault, LinkError)
        with till_at(tmp_path, centre.port) as till:
            assert [one.exit_code for one in till.repeat_pending()] == [0]
            assert till.store.state.pending == {}
            assert till.store.state.totals[world.TODAY].covered_kopecks == 29_100
    assert len({canonical_bytes(one) for one in centre.requests}) == 1
    assert [one.repeat for one in centre.requests] == [False, True, True]


@pytest.mark.parametrize(
    ("does", "outcome", "exit_code", "pending"),
    [
        (Does.APPROVE, Outcome.APPROVED, 0, 0),
        (Does.DECLINE, Outcome.ALLOWANCE_EXHAUSTED, 1, 0),
        (Does.TRY_LATER, Outcome.TRY_LATER, 2, 1),
        (Does.MALFORMED, Outcome.MALFORMED, 2, 1),
        (Does.SIGN_WRONGLY, None, 2, 1),
        (Does.DECIDE_OTHER_REQUEST, None, 2, 1),
    ],
)
def test_what_the_cashier_is_told(
    tmp_path: Path,
    card: PresentedCard,
    does: Does,
    outcome: Outcome | None,
    exit_code: int,
    pending: int,
) -> None:
    with FakeCentre(does, does) as centre, till_at(tmp_path, centre.port) as till:
        result = till.sell(card, SALE, pin)
        assert (result.answer.outcome if result.answer else None) is outcome
        assert result.exit_code == exit_code
        assert len(till.store.state.pending) == pending


def test_a_taken_number_is_replaced(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre(Does.KEY_REUSED) as centre, till_at(tmp_path, centre.port) as till:
        assert till.sell(card, SALE, pin).exit_code == 0
        assert till.store.state.pending == {}
    first, second = centre.requests
    assert second.key.stan == first.key.stan + 1
    assert second.signature != first.signature


def test_a_wrong_pin_sends_and_keeps_nothing(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port) as till:
        by_pin = msgspec.structs.replace(SALE, evidence=Evidence.PIN)
        with pytest.raises(AttemptError):
            till.sell(card, by_pin, lambda: "000000")
        assert till.store.state.pending == {}
        assert till.sell(card, by_pin, pin).exit_code == 0
    assert [one.evidence for one in centre.requests] == [Evidence.PIN]


def test_offline_sales_wait_and_are_sent_as_advices(tmp_path: Path, card: PresentedCard) -> None:
    offline = msgspec.structs.replace(SALE, offline=True)
    with FakeCentre(Does.HANG_UP) as centre, till_at(tmp_path, centre.port) as till:
        for _ in range(3):
            assert till.sell(card, offline, pin).exit_code == 2
        assert centre.requests == []
        # The first cannot be sent: the others are not even tried.
        assert len(till.repeat_pending()) == 1
        assert [one.exit_code for one in till.repeat_pending()] == [0, 0, 0]
    assert [one.advice for one in centre.requests] == [True] * 4
    assert [message.decoded.mti for message in centre.received][:2] == ["0220", "0220"]


def test_a_reversal_gives_back(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port) as till:
        sold = till.sell(card, SALE, pin)
        assert till.reverse(sold.request.key).exit_code == 0
        totals = till.store.state.totals[world.TODAY]
        assert (totals.reversed_count, totals.reversed_covered_kopecks) == (1, 29_100)
    assert [one.kind for one in centre.requests] == [Kind.SALE, Kind.REVERSAL]
    assert centre.requests[1].parent == sold.request.key


def test_a_lost_sale_can_be_reversed_and_is_then_cleared_up(
    tmp_path: Path, card: PresentedCard
) -> None:
    silent = (Does.STAY_SILENT, Does.STAY_SILENT)
    with FakeCentre(*silent) as centre, till_at(tmp_path, centre.port) as till:
        sold = till.sell(card, SALE, pin)
        assert till.reverse(sold.request.key).exit_code == 0
        assert till.store.state.pending == {}
        assert till.store.state.totals[world.TODAY].reversed_count == 1
    kinds = [one.kind for one in centre.requests]
    assert kinds == [Kind.SALE, Kind.SALE, Kind.REVERSAL, Kind.SALE]


def test_what_the_terminal_never_sold_it_cannot_reverse(tmp_path: Path) -> None:
    with till_at(tmp_path, 1) as till:
        strange = TransactionKey(world.TODAY, "AP000001", 7, MessageClass.FINANCIAL)
        with pytest.raises(TerminalError, match="20260305-AP000001-000007"):
            till.reverse(strange)


def test_rights_are_turned_page_by_page(tmp_path: Path, card: PresentedCard) -> None:
    many = tuple(
        world.right(bytes([number]) * 16, "MEDICINE", f"CLASS-{number}", number)
        for number in range(60)
    )
    centre = FakeCentre(Does.STAY_SILENT, rights=many)
    with centre, till_at(tmp_path, centre.port) as till:
        asked = till.rights(card)
        assert asked.rights == many
        assert till.store.state.pending == {}
    assert len(centre.requests) > 3
    assert len({canonical_bytes(one) for one in centre.requests}) == 1


def test_no_link_no_rights(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre(Does.HANG_UP, Does.HANG_UP) as centre, till_at(tmp_path, centre.port) as till:
        with pytest.raises(LinkError, match="hung up"):
            till.rights(card)
        assert till.rights(card).answer.outcome is Outcome.APPROVED


THEIRS = TerminalTotals(
    approved_count=2,
    gross_kopecks=58_200,
    covered_kopecks=58_200,
    paid_kopecks=0,
    reversed_count=0,
    reversed_covered_kopecks=0,
)


@pytest.mark.parametrize(
    ("theirs", "settlement"),
    [(None, Settlement.IN_BALANCE), (THEIRS, Settlement.OUT_OF_BALANCE)],
)
def test_totals_beside_the_centres(
    tmp_path: Path,
    card: PresentedCard,
    theirs: TerminalTotals | None,
    settlement: Settlement,
) -> None:
    with FakeCentre(Does.APPROVE, Does.HANG_UP) as centre, till_at(tmp_path, centre.port) as till:
        centre.centre_totals = theirs
        till.sell(card, SALE, pin)
        compared = till.totals(world.TODAY)
        assert compared.mine.approved_count == 1
        assert compared.mine != NO_TOTALS
        assert compared.answer.settlement is settlement
        assert compared.answer.totals == (theirs or compared.mine)


def test_echo(tmp_path: Path) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port) as till:
        assert till.echo().centre_time_ms == world.NOW_MS
    assert [message.decoded.mti for message in centre.received] == ["0800"]
