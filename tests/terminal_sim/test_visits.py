"""Visits at the till: two taps, the centre's number between them, and what an outage leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_personalization.chip.transport.inprocess import InProcessTransport
from processing.wire.transaction import Evidence, Kind, Line, TransactionKey
from terminal_sim.card import PresentedCard
from terminal_sim.errors import Language, TerminalError
from terminal_sim.link import Link, LinkLimits
from terminal_sim.order import OrderError, check_way, known_service
from terminal_sim.receipt_text import receipt_text
from terminal_sim.results import Result, Sale
from terminal_sim.store import Store
from terminal_sim.terminal import Terminal
from terminal_sim.till import Till
from terminal_sim.visits import finish, lasted, open_visits
from tests.terminal_sim import world
from tests.terminal_sim.fake_centre import Does, FakeCentre

LIMITS = LinkLimits(answer_timeout_ms=200, attempts=2, first_pause_ms=1)
MINUTE_MS = 60_000
HOUR = (
    Line("HOME.CLEANING", 40, 355, 0, 28_000),
    Line("HOME.HYGIENE", 20, 355, 0, 18_000),
)
START = Sale(
    holder_id=world.MOTHER,
    service="HOME.SERVICE",
    version=1,
    lines=HOUR,
    kind=Kind.VISIT_START,
)


class Clock:
    """The terminal's clock, moved by hand."""

    def __init__(self) -> None:
        self.minutes = 0

    def now_ms(self) -> int:
        return world.NOW_MS + self.minutes * MINUTE_MS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def till_at(folder: Path, port: int, clock: Clock) -> Iterator[Till]:
    """A terminal on this folder, talking to this port."""
    file = world.parameters(port)
    with Store.open(folder, file, clock.now_ms()) as store:
        terminal = Terminal(file, store.state, lambda count: b"\x07" * count)
        link = Link(file, clock.now_ms, LIMITS)
        try:
            yield Till(terminal, store, link, clock.now_ms, lambda _: None)
        finally:
            link.close()


@pytest.fixture
def card() -> PresentedCard:
    """Maria's card at the reader."""
    transport = InProcessTransport(world.issued_card())
    return PresentedCard.read(transport, world.parameters(), world.NOW_MS)


def begin(till: Till, card: PresentedCard, sale: Sale = START) -> TransactionKey:
    result = till.sell(card, sale, lambda: world.PIN)
    assert result.exit_code == 0 or sale.offline
    return result.request.key


def test_two_taps_and_the_centres_number(tmp_path: Path, card: PresentedCard, clock: Clock) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port, clock) as till:
        key = begin(till, card)
        assert till.store.state.totals == {}
        assert [one.request.key for one in open_visits(till.store.state)] == [key]
        assert till.reservations() == []
        clock.minutes = 45
        ended = finish(till, card, None, [])
        assert (ended.exit_code, ended.offline, ended.parent) == (0, False, centre.requests[0])
        assert open_visits(till.store.state) == []
        # 40 minutes of the one and 5 of the other: 280.00 and 5/20 of 180.00.
        totals = till.store.state.totals[world.TODAY]
        assert (totals.approved_count, totals.gross_kopecks) == (1, 32_500)
    assert [message.decoded.mti for message in centre.received] == ["0100", "0200"]
    request = centre.requests[1]
    assert (request.parent, request.challenge) == (key, world.CHALLENGE)
    assert (request.kind, request.evidence) == (Kind.VISIT_FINISH, Evidence.TAP)
    assert [(line.quantity, line.gross_kopecks) for line in request.lines] == [
        (40, 28_000),
        (5, 4_500),
    ]


# Words at the finish after 45 minutes, and the lines that are sent; quantity and price each.
CHARGED = [
    ((), [(40, 28_000), (5, 4_500)]),
    (("HOME.CLEANING=30",), [(30, 21_000)]),
    (("HOME.HYGIENE=20",), [(0, 0), (20, 18_000)]),
    (("HOME.CLEANING=25", "HOME.HYGIENE=20"), [(25, 17_500), (20, 18_000)]),
]


@pytest.mark.parametrize(("words", "expected"), CHARGED)
def test_what_is_charged(
    tmp_path: Path,
    card: PresentedCard,
    clock: Clock,
    words: tuple[str, ...],
    expected: list[tuple[int, int]],
) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port, clock) as till:
        begin(till, card)
        clock.minutes = 45
        assert finish(till, card, None, words).exit_code == 0
    lines = centre.requests[1].lines
    assert [(line.quantity, line.gross_kopecks) for line in lines] == expected


@given(
    st.lists(st.tuples(st.integers(1, 600), st.integers(0, 10**6)), min_size=1, max_size=5),
    st.integers(0, 2_000),
)
def test_no_more_minutes_than_passed(wanted: list[tuple[int, int]], passed: int) -> None:
    """Whatever was held: what is charged is the smaller of what was held and what passed."""
    held = tuple(Line("HOME.CLEANING", one, 355, 0, gross) for one, gross in wanted)
    if passed == 0:
        with pytest.raises(OrderError, match="just begun"):
            lasted(held, passed)
        return
    charged = lasted(held, passed)
    total = sum(line.quantity for line in held)
    assert sum(line.quantity for line in charged) == min(passed, total)
    for before, after in zip(held, charged, strict=True):
        assert after.gross_kopecks <= before.gross_kopecks
        assert (after == before) == (after.quantity == before.quantity)


def test_what_counts_no_minutes_stays_whole() -> None:
    visit = Line("B01.047.001", 1, 642, 0, 0)
    assert lasted((visit,), 0) == (visit,)


@pytest.mark.parametrize(
    ("minutes", "words", "told"),
    [
        (0, (), "just begun"),
        (10, ("HOME.CLEANING=11",), "10 min passed"),
        (50, ("HOME.CLEANING=41",), "40 are left"),
        (50, ("ENALAPRIL-10-20=1",), "there is no ENALAPRIL"),
    ],
)
def test_what_cannot_be_finished_so(
    tmp_path: Path,
    card: PresentedCard,
    clock: Clock,
    minutes: int,
    words: tuple[str, ...],
    told: str,
) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port, clock) as till:
        begin(till, card)
        clock.minutes = minutes
        with pytest.raises(TerminalError) as caught:
            finish(till, card, None, words)
        assert told in caught.value.text("en").replace("\u00a0", " ")
        assert len(open_visits(till.store.state)) == 1
    assert len(centre.requests) == 1


def test_an_open_visit_outlives_the_terminal(
    tmp_path: Path, card: PresentedCard, clock: Clock
) -> None:
    with FakeCentre() as centre:
        with till_at(tmp_path, centre.port, clock) as till:
            key = begin(till, card)
        for minutes in (10, 20):
            clock.minutes = minutes
            with till_at(tmp_path, centre.port, clock) as till:
                assert [one.request.key for one in open_visits(till.store.state)] == [key]
        with till_at(tmp_path, centre.port, clock) as till:
            assert finish(till, card, key, []).exit_code == 0
            with pytest.raises(TerminalError, match="finished already"):
                finish(till, card, key, [])
    assert centre.requests[1].challenge == world.CHALLENGE


def test_a_finish_that_finds_no_centre_is_told_later(
    tmp_path: Path, card: PresentedCard, clock: Clock
) -> None:
    """Two answers are lost, an hour passes: the same finish goes out as an advice."""
    with FakeCentre(Does.APPROVE, Does.HANG_UP, Does.HANG_UP) as centre:
        with till_at(tmp_path, centre.port, clock) as till:
            begin(till, card)
            clock.minutes = 30
            ended = finish(till, card, None, [])
            assert (ended.offline, ended.decided, ended.exit_code) == (True, False, 2)
            assert open_visits(till.store.state) == []
        clock.minutes = 90
        with till_at(tmp_path, centre.port, clock) as till:
            assert [one.exit_code for one in till.repeat_pending()] == [0]
            assert till.store.state.totals[world.TODAY].approved_count == 1
    assert [one.decoded.mti for one in centre.received] == ["0100", "0200", "0201", "0220"]
    finishes = centre.requests[1:]
    assert len({(one.key, one.signature, one.signed_at_ms) for one in finishes}) == 1


def test_a_visit_that_began_offline(tmp_path: Path, card: PresentedCard, clock: Clock) -> None:
    offline = msgspec.structs.replace(START, offline=True)
    script = (Does.APPROVE, Does.CONFLICT)
    with FakeCentre(*script) as centre, till_at(tmp_path, centre.port, clock) as till:
        begin(till, card, offline)
        assert len(open_visits(till.store.state)) == 1
        clock.minutes = 20
        assert finish(till, card, None, []).offline
        assert [one.exit_code for one in till.repeat_pending()] == [0, 0]
        assert open_visits(till.store.state) == []
    assert [one.decoded.mti for one in centre.received] == ["0120", "0220"]
    assert centre.requests[1].challenge == b""


def test_a_refused_finish_leaves_the_visit_open(
    tmp_path: Path, card: PresentedCard, clock: Clock
) -> None:
    script = (Does.APPROVE, Does.DECLINE)
    with FakeCentre(*script) as centre, till_at(tmp_path, centre.port, clock) as till:
        key = begin(till, card)
        clock.minutes = 20
        assert finish(till, card, None, []).exit_code == 1
        assert [one.request.key for one in open_visits(till.store.state)] == [key]
        assert finish(till, card, None, []).exit_code == 0
    assert len({one.key for one in centre.requests}) == 3


@pytest.mark.parametrize(
    ("script", "undone", "told"),
    [
        ((), True, "was reversed"),
        ((Does.DECLINE,), False, "was declined"),
        ((Does.STAY_SILENT, Does.STAY_SILENT), False, "has not confirmed"),
    ],
)
def test_what_was_not_begun(
    tmp_path: Path,
    card: PresentedCard,
    clock: Clock,
    script: tuple[Does, ...],
    undone: bool,
    told: str,
) -> None:
    with FakeCentre(*script) as centre, till_at(tmp_path, centre.port, clock) as till:
        key = till.sell(card, START, lambda: world.PIN).request.key
        if undone:
            till.reverse(key)
        clock.minutes = 20
        with pytest.raises(TerminalError, match="no visit was begun here"):
            finish(till, card, None, [])
        with pytest.raises(TerminalError) as caught:
            finish(till, card, key, [])
        assert told in caught.value.text("en")


def test_of_several_visits_one_is_named(tmp_path: Path, card: PresentedCard, clock: Clock) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port, clock) as till:
        first, second = begin(till, card), begin(till, card)
        clock.minutes = 5
        with pytest.raises(TerminalError, match="several visits") as caught:
            finish(till, card, None, [])
        assert f"{second.stan:06}" in caught.value.text("ru")
        assert finish(till, card, first, []).exit_code == 0
        assert [one.request.key for one in open_visits(till.store.state)] == [second]


@pytest.mark.parametrize(
    ("kind", "service", "told"),
    [
        (Kind.SALE, "HOME.SERVICE", "visit start, then visit finish"),
        (Kind.RESERVE, "HOME.SERVICE", "These do: MEDICINE"),
        (Kind.VISIT_START, "MEDICINE", "These have: OMS.VISIT, HOME.SERVICE"),
        (Kind.SALE, "OMS.VISIT", ""),
        (Kind.VISIT_START, "OMS.VISIT", ""),
        (Kind.RESERVE, "MEDICINE", ""),
    ],
)
def test_a_service_is_rung_up_in_its_own_way(kind: Kind, service: str, told: str) -> None:
    parameters = world.parameters()
    wanted = known_service(service, parameters)
    if not told:
        check_way(kind, wanted, parameters)
        return
    with pytest.raises(OrderError) as caught:
        check_way(kind, wanted, parameters)
    assert told in caught.value.text("en")


def receipts(till: Till, results: list[Result], language: Language) -> list[str]:
    parameters = till.terminal.parameters
    return [receipt_text(one, parameters, language, world.CARD_NUMBER) for one in results]


def test_the_receipts_say_what_begins_and_ends(
    tmp_path: Path, card: PresentedCard, clock: Clock
) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port, clock) as till:
        begun = till.sell(card, START, lambda: world.PIN)
        clock.minutes = 45
        ended = finish(till, card, None, [])
        first, second = receipts(till, [begun, ended], "ru")
    assert "НАЧАЛО ПОСЕЩЕНИЯ" in first
    assert "Закончить до            05.03.2026 20:30" in first
    assert "ПРИ ОКОНЧАНИИ" in first
    assert "ОКОНЧАНИЕ ПОСЕЩЕНИЯ" in second
    assert "Начато" in second
    assert "не взято, снова на остатке" in second


def test_a_regulations_own_words_reach_the_cashier(
    tmp_path: Path, card: PresentedCard, clock: Clock
) -> None:
    with FakeCentre(Does.DECLINE) as centre, till_at(tmp_path, centre.port, clock) as till:
        refused = till.sell(card, START, lambda: world.PIN)
        (text,) = receipts(till, [refused], "en")
    said = " ".join(text.split())
    assert "The plan has not enough minutes left for this month" in said
    assert "Start with less time" in said
