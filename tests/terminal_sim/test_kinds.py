"""Reservations, completions and returns at the till: what is sent, kept, refused and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from card_personalization.chip.transport.inprocess import InProcessTransport
from processing.wire.iso8583.messages import TerminalTotals
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import ProfileName
from processing.wire.transaction import Evidence, Kind, Line, MessageClass, Request, TransactionKey
from terminal_sim.card import PresentedCard
from terminal_sim.errors import TerminalError
from terminal_sim.link import Link, LinkLimits
from terminal_sim.parent_lines import chosen, less
from terminal_sim.results import Result, Sale
from terminal_sim.state import NO_TOTALS, RESERVATIONS_KEPT, Asked, Decided
from terminal_sim.store import Store
from terminal_sim.terminal import Terminal
from terminal_sim.till import Till
from tests.terminal_sim import world
from tests.terminal_sim.fake_centre import Does, FakeCentre

LIMITS = LinkLimits(answer_timeout_ms=200, attempts=2, first_pause_ms=1)
LINES = (
    Line("ENALAPRIL-10-20", 2, 778, 0, 29_100),
    Line("METFORMIN-850-60", 1, 778, 0, 28_990),
)
SALE = Sale(holder_id=world.MOTHER, service="MEDICINE", version=1, lines=LINES)
RESERVE = msgspec.structs.replace(SALE, kind=Kind.RESERVE)


@contextmanager
def till_at(folder: Path, port: int, profile: ProfileName = ProfileName.BINARY) -> Iterator[Till]:
    """A terminal on this folder, talking to this port."""
    file = world.parameters(port, profile=profile)
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


# What is typed, and the lines that follow of two packs of enalapril for 291.00 and one of
# metformin for 289.90: quantity and price each.
CHOSEN = [
    ((), [(2, 29_100), (1, 28_990)]),
    (("ENALAPRIL-10-20",), [(2, 29_100)]),
    (("enalapril-10-20=1",), [(1, 14_550)]),
    (("METFORMIN-850-60",), [(0, 0), (1, 28_990)]),
    (("METFORMIN-850-60=1", "ENALAPRIL-10-20=1"), [(1, 14_550), (1, 28_990)]),
    (("ENALAPRIL-10-20=1@100",), [(1, 10_000)]),
]


@pytest.mark.parametrize(("words", "expected"), CHOSEN)
def test_words_choose_of_what_is_left(
    words: tuple[str, ...], expected: list[tuple[int, int]]
) -> None:
    lines = chosen(words, LINES, world.parameters())
    assert [(line.quantity, line.gross_kopecks) for line in lines] == expected
    assert [line.item for line in lines] == [line.item for line in LINES[: len(lines)]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ENALAPRIL-10-20=3",), "2 are left"),
        (("ENALAPRIL-10-20=1@300",), "at most 291,00"),
        (("WATER.COLD=1",), "Left are: ENALAPRIL-10-20, METFORMIN-850-60"),
        (("ENALAPRIL-10-20=1", "ENALAPRIL-10-20=1"), "there is no ENALAPRIL-10-20"),
        (("ASPIRIN=1",), "knows no item"),
        (("ENALAPRIL-10-20=0",), "above zero"),
    ],
)
def test_more_than_is_left_is_refused_here(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(TerminalError) as caught:
        chosen(words, LINES, world.parameters())
    assert told in caught.value.text("en").replace("\u00a0", " ")


def test_pieces_of_an_odd_price_add_up() -> None:
    left: tuple[Line, ...] = (Line("ENALAPRIL-10-20", 3, 778, 0, 10_001),)
    prices = []
    for _ in range(3):
        piece = chosen(("ENALAPRIL-10-20=1",), left, world.parameters())
        prices.append(piece[0].gross_kopecks)
        left = less(left, [piece])
    assert prices == [3_334, 3_334, 3_333]
    with pytest.raises(TerminalError, match="nothing is left"):
        chosen((), left, world.parameters())


BOTH = pytest.mark.parametrize("profile", ProfileName)


@BOTH
def test_reserved_then_given_in_part(
    tmp_path: Path, card: PresentedCard, profile: ProfileName
) -> None:
    centre = FakeCentre(profile=profile.profile)
    with centre, till_at(tmp_path, centre.port, profile) as till:
        reserved = till.sell(card, RESERVE, pin)
        assert reserved.exit_code == 0
        assert [entry.request for entry in till.reservations()] == [reserved.request]
        assert till.store.state.totals == {}
        given = till.complete(reserved.request.key, ["ENALAPRIL-10-20=1"])
        assert given.exit_code == 0
        assert till.reservations() == []
        totals = till.store.state.totals[world.TODAY]
        assert (totals.approved_count, totals.gross_kopecks) == (1, 14_550)
    assert [message.decoded.mti for message in centre.received] == ["0100", "0220"]
    completion = centre.requests[1]
    assert completion.parent == reserved.request.key
    assert (completion.evidence, completion.signature) == (Evidence.NONE, b"")
    assert completion.holder_id == reserved.request.holder_id
    assert completion.card_id == reserved.request.card_id


def test_a_completion_goes_out_once_the_centre_is_back(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre(Does.APPROVE, Does.HANG_UP, Does.HANG_UP) as centre:
        with till_at(tmp_path, centre.port) as till:
            reserved = till.sell(card, RESERVE, pin)
            given = till.complete(reserved.request.key, [])
            assert (given.offline, given.decided, given.exit_code) == (True, False, 2)
            assert till.reservations() == []
            with pytest.raises(TerminalError, match="completed already"):
                till.complete(reserved.request.key, [])
        with till_at(tmp_path, centre.port) as till:
            assert [one.exit_code for one in till.repeat_pending()] == [0]
            assert till.store.state.totals[world.TODAY].approved_count == 1
    mtis = [message.decoded.mti for message in centre.received]
    assert mtis == ["0100", "0220", "0221", "0220"]
    assert len({one.key for one in centre.requests[1:]}) == 1


def test_a_repeated_reserve_keeps_its_number(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre(Does.STAY_SILENT) as centre, till_at(tmp_path, centre.port) as till:
        assert till.sell(card, RESERVE, pin).exit_code == 0
    assert [message.decoded.mti for message in centre.received] == ["0100", "0101"]
    assert len({one.key for one in centre.requests}) == 1


def test_an_offline_reservation_can_be_given_before_the_centre_heard_of_it(
    tmp_path: Path, card: PresentedCard
) -> None:
    offline = msgspec.structs.replace(RESERVE, offline=True)
    with FakeCentre() as centre, till_at(tmp_path, centre.port) as till:
        reserved = till.sell(card, offline, pin)
        assert [entry.request for entry in till.reservations()] == [reserved.request]
        till.complete(reserved.request.key, [], offline=True)
        assert centre.requests == []
        assert [one.exit_code for one in till.repeat_pending()] == [0, 0]
    assert [message.decoded.mti for message in centre.received] == ["0120", "0220"]


def a_reversal(till: Till, reserved: Result) -> None:
    till.reverse(reserved.request.key)


def a_completion(till: Till, reserved: Result) -> None:
    till.complete(reserved.request.key, [])


@pytest.mark.parametrize(
    ("script", "before", "told"),
    [
        ((), a_reversal, "was reversed"),
        ((), a_completion, "completed already"),
        ((Does.DECLINE,), None, "was declined"),
        ((Does.CONFLICT,), None, "was declined"),
        ((Does.STAY_SILENT, Does.STAY_SILENT), None, "not decided yet"),
    ],
)
def test_what_cannot_be_given(
    tmp_path: Path,
    card: PresentedCard,
    script: tuple[Does, ...],
    before: Callable[[Till, Result], None] | None,
    told: str,
) -> None:
    with FakeCentre(*script) as centre, till_at(tmp_path, centre.port) as till:
        reserved = till.sell(card, RESERVE, pin)
        if before is not None:
            before(till, reserved)
        asked = len(centre.requests)
        with pytest.raises(TerminalError) as caught:
            till.complete(reserved.request.key, [])
        assert told in caught.value.text("en")
        assert len(centre.requests) == asked
        assert till.reservations() == []


def test_a_sale_is_no_reservation_and_a_reservation_no_sale(
    tmp_path: Path, card: PresentedCard
) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port) as till:
        sold, reserved = till.sell(card, SALE, pin), till.sell(card, RESERVE, pin)
        with pytest.raises(TerminalError, match="is no reservation"):
            till.complete(sold.request.key, [])
        with pytest.raises(TerminalError, match="is no sale"):
            till.give_back(card, reserved.request.key, [])
        strange = TransactionKey(world.TODAY, "AP000001", 777, MessageClass.FINANCIAL)
        with pytest.raises(TerminalError, match="000777"):
            till.complete(strange, [])


@BOTH
def test_goods_come_back_in_pieces(
    tmp_path: Path, card: PresentedCard, profile: ProfileName
) -> None:
    centre = FakeCentre(profile=profile.profile)
    with centre, till_at(tmp_path, centre.port, profile) as till:
        sold = till.sell(card, SALE, pin).request.key
        assert till.give_back(card, sold, ["ENALAPRIL-10-20=1"]).exit_code == 0
        assert till.give_back(card, sold, ["METFORMIN-850-60=1"]).exit_code == 0
        assert till.give_back(card, sold, []).exit_code == 0
        with pytest.raises(TerminalError, match="nothing is left"):
            till.give_back(card, sold, [])
        totals = till.store.state.totals[world.TODAY]
    returns = centre.requests[1:]
    assert [one.kind for one in returns] == [Kind.RETURN] * 3
    assert {one.parent for one in returns} == {sold}
    assert {one.evidence for one in returns} == {Evidence.TAP}
    back = [[(line.quantity, line.gross_kopecks) for line in one.lines] for one in returns]
    assert back == [[(1, 14_550)], [(0, 0), (1, 28_990)], [(1, 14_550)]]
    assert totals == TerminalTotals(
        approved_count=1,
        gross_kopecks=58_090,
        covered_kopecks=58_090,
        paid_kopecks=0,
        reversed_count=0,
        reversed_covered_kopecks=0,
        returned_count=3,
        returned_covered_kopecks=58_090,
    )


def test_a_declined_return_may_be_brought_again(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre(Does.APPROVE, Does.DECLINE) as centre, till_at(tmp_path, centre.port) as till:
        sold = till.sell(card, SALE, pin).request.key
        assert till.give_back(card, sold, []).exit_code == 1
        assert till.store.state.totals[world.TODAY].returned_count == 0
        assert till.give_back(card, sold, []).exit_code == 0
    assert centre.requests[1].lines == centre.requests[2].lines == LINES


def test_what_was_taken_back_cannot_come_back(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port) as till:
        sold = till.sell(card, SALE, pin).request.key
        till.reverse(sold)
        with pytest.raises(TerminalError, match="was reversed"):
            till.give_back(card, sold, [])


def test_a_completion_is_sold_goods_like_any(tmp_path: Path, card: PresentedCard) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port) as till:
        reserved = till.sell(card, RESERVE, pin).request.key
        given = till.complete(reserved, []).request.key
        assert till.give_back(card, given, ["METFORMIN-850-60=1"]).exit_code == 0
    assert centre.requests[2].parent == given


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("{sold}", Kind.SALE),
        ("{reserved:06}", Kind.RESERVE),
        ("20260305-AP000001-{reserved:06}", Kind.RESERVE),
    ],
)
def test_a_cashier_names_a_transaction_by_its_last_digits(
    tmp_path: Path, card: PresentedCard, form: str, kind: Kind
) -> None:
    with FakeCentre() as centre, till_at(tmp_path, centre.port) as till:
        for want in (SALE, RESERVE):
            till.sell(card, want, pin)
        sold, reserved = (request.key.stan for request in centre.requests)
        text = form.format(sold=sold, reserved=reserved)
        assert till.known(till.numbered(text)).request.kind is kind
        with pytest.raises(TerminalError, match="knows no transaction 999999"):
            till.numbered("999999")


def counted_after(*decisions: tuple[Kind, Outcome, dict[str, str]]) -> TerminalTotals:
    """The day's totals after these decisions, each on what came before it; half is covered."""
    terminal = world.terminal()
    parent: Request | None = None
    for kind, outcome, facts in decisions:
        match kind:
            case Kind.RESERVE:
                request = world.reserve(terminal)
            case Kind.SALE:
                request = world.sale(terminal)
            case Kind.COMPLETION:
                assert parent is not None
                request = terminal.completion(parent, parent.lines, world.NOW_MS)
            case Kind.RETURN:
                assert parent is not None
                request = world.goods_return(terminal, parent)
            case _:
                assert parent is not None
                request = terminal.reversal(parent, world.NOW_MS)
        answer = world.answer(request, outcome, covered=50, facts=facts)
        if (
            request.kind is Kind.REVERSAL
            and parent is not None
            and facts.get("original") != "unknown"
        ):
            lines = world.decision(parent, Outcome.APPROVED, covered=50).lines
            assert answer.decision is not None
            decision = msgspec.structs.replace(answer.decision, lines=lines)
            answer = msgspec.structs.replace(answer, decision=decision)
        terminal.state.apply(Asked(request))
        terminal.state.apply(Decided(request.key, answer))
        parent = request
    return terminal.state.totals.get(world.TODAY, NO_TOTALS)


APPROVED, CONFLICT = Outcome.APPROVED, Outcome.RECORDED_IN_CONFLICT
OF_RETURN = {"original": "return"}
# Decisions in order, each about the one before; then approved, covered, reversed, its covered,
# returned, its covered.
COUNTED = [
    ([(Kind.RESERVE, APPROVED, world.EXPIRES)], (0, 0, 0, 0, 0, 0)),
    ([(Kind.RESERVE, APPROVED, world.EXPIRES), (Kind.REVERSAL, APPROVED, {})], (0, 0, 0, 0, 0, 0)),
    (
        [(Kind.RESERVE, APPROVED, world.EXPIRES), (Kind.COMPLETION, APPROVED, {})],
        (1, 14_550, 0, 0, 0, 0),
    ),
    (
        [
            (Kind.RESERVE, APPROVED, world.EXPIRES),
            (Kind.COMPLETION, APPROVED, {}),
            (Kind.REVERSAL, APPROVED, {}),
        ],
        (1, 14_550, 1, 14_550, 0, 0),
    ),
    (
        [(Kind.RESERVE, APPROVED, world.EXPIRES), (Kind.COMPLETION, CONFLICT, {})],
        (1, 0, 0, 0, 0, 0),
    ),
    ([(Kind.SALE, APPROVED, {}), (Kind.RETURN, APPROVED, {})], (1, 14_550, 0, 0, 1, 14_550)),
    (
        [(Kind.SALE, APPROVED, {}), (Kind.RETURN, Outcome.AMOUNT_WRONG, {})],
        (1, 14_550, 0, 0, 0, 0),
    ),
    (
        [
            (Kind.SALE, APPROVED, {}),
            (Kind.RETURN, APPROVED, {}),
            (Kind.REVERSAL, APPROVED, OF_RETURN),
        ],
        (1, 14_550, 0, 0, 0, 0),
    ),
    (
        [
            (Kind.SALE, APPROVED, {}),
            (Kind.RETURN, APPROVED, {}),
            (Kind.REVERSAL, Outcome.ALLOWANCE_EXHAUSTED, {}),
        ],
        (1, 14_550, 0, 0, 1, 14_550),
    ),
]


@pytest.mark.parametrize(("decisions", "counted"), COUNTED)
def test_totals_of_each_kind(
    decisions: list[tuple[Kind, Outcome, dict[str, str]]], counted: tuple[int, ...]
) -> None:
    totals = counted_after(*decisions)
    assert (
        totals.approved_count,
        totals.covered_kopecks,
        totals.reversed_count,
        totals.reversed_covered_kopecks,
        totals.returned_count,
        totals.returned_covered_kopecks,
    ) == counted


def test_open_reservations_are_kept_through_compaction_and_bounded(
    tmp_path: Path, card: PresentedCard
) -> None:
    with FakeCentre() as centre:
        with till_at(tmp_path, centre.port) as till:
            done, open_one = (till.sell(card, RESERVE, pin).request for _ in range(2))
            till.complete(done.key, [])
            till.store._compact()
            # Sales since have pushed both out of the list of decisions.
            till.store.state.decided.clear()
            till.store._compact()
        with till_at(tmp_path, centre.port) as till:
            assert [entry.request for entry in till.reservations()] == [open_one]
            assert till.complete(open_one.key, []).exit_code == 0
    terminal = world.terminal()
    for _ in range(RESERVATIONS_KEPT + 3):
        request = world.reserve(terminal)
        terminal.state.apply(Asked(request))
        whole = world.answer(request, facts=world.EXPIRES)
        answer = msgspec.structs.replace(whole, receipt=b"")
        terminal.state.apply(Decided(request.key, answer))
    assert len(terminal.state.reservations) == RESERVATIONS_KEPT


def test_a_completion_that_its_reversal_overtook_leaves_the_reservation_open() -> None:
    terminal = world.terminal()
    reserve = world.reserve(terminal)
    completion = terminal.completion(reserve, reserve.lines, world.NOW_MS)
    for request, answer in (
        (reserve, world.answer(reserve, facts=world.EXPIRES)),
        (completion, world.answer(completion, CONFLICT, facts={"reason": "204"})),
    ):
        terminal.state.apply(Asked(request))
        terminal.state.apply(Decided(request.key, answer))
    assert list(terminal.state.reservations) == [reserve.key]
