"""The state machine: numbers, days, totals, and which answers it believes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import msgspec
import pytest

from processing.wire.iso8583.messages import TerminalTotals
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import ProfileName
from processing.wire.receipt import Receipt, ReceiptFault
from processing.wire.transaction import (
    STAN_MAX,
    Answer,
    Kind,
    Line,
    MessageClass,
    Request,
    faults_of,
)
from terminal_sim.errors import TerminalError
from terminal_sim.state import Asked, Counted, DayClosed, Decided, Undecided
from terminal_sim.terminal import PENDING_MAX, Doubt, Terminal, Verdict, opened, zone_of
from tests.terminal_sim import world

DAY_MS = 86_400_000


def changed_decision(answer: Answer, *, resign: bool = True, **changes: object) -> Answer:
    """The answer with a changed decision, signed anew or with the old receipt."""
    assert answer.decision is not None
    decision = msgspec.structs.replace(answer.decision, **changes)
    receipt = world.receipt(decision) if resign else answer.receipt
    return msgspec.structs.replace(answer, decision=decision, receipt=receipt)


def with_more_leaves(answer: Answer) -> Answer:
    """The answer of a block of two, whose path found no room."""
    receipt = Receipt.decode(answer.receipt)
    return msgspec.structs.replace(
        answer, receipt=msgspec.structs.replace(receipt, leaf_count=2).encode()
    )


Spoil = Callable[[Answer], Answer]
JUDGED: list[tuple[str, Outcome, Spoil, Verdict, str]] = [
    ("sound approval", Outcome.APPROVED, lambda a: a, Verdict.DECIDED, ""),
    ("sound part", Outcome.APPROVED_PARTLY, lambda a: a, Verdict.DECIDED, ""),
    ("sound refusal", Outcome.CARD_BLOCKED, lambda a: a, Verdict.DECIDED, ""),
    ("number taken", Outcome.KEY_REUSED, lambda a: a, Verdict.DECIDED, ""),
    ("reversed before it came", Outcome.REVERSED_BEFORE, lambda a: a, Verdict.DECIDED, ""),
    (
        "month closed",
        Outcome.CLOCK_WRONG,
        lambda a: msgspec.structs.replace(a, decision=None, receipt=b""),
        Verdict.DECIDED,
        "",
    ),
    ("overloaded", Outcome.TRY_LATER, lambda a: a, Verdict.NOT_DECIDED, ""),
    ("unread", Outcome.MALFORMED, lambda a: a, Verdict.NOT_DECIDED, ""),
    (
        "refusal without a receipt",
        Outcome.NO_ENTITLEMENT,
        lambda a: msgspec.structs.replace(a, receipt=b""),
        Verdict.DECIDED,
        "",
    ),
    (
        "approval without a receipt",
        Outcome.APPROVED,
        lambda a: msgspec.structs.replace(a, receipt=b""),
        Verdict.NOT_BELIEVED,
        "cannot be read",
    ),
    (
        "approval without a decision",
        Outcome.APPROVED,
        lambda a: msgspec.structs.replace(a, decision=None),
        Verdict.NOT_BELIEVED,
        "no decision",
    ),
    (
        "signed by another key",
        Outcome.APPROVED,
        lambda a: msgspec.structs.replace(
            a, receipt=world.receipt(a.decision, world.OTHER_KEY) if a.decision else b""
        ),
        Verdict.NOT_BELIEVED,
        "another key",
    ),
    (
        "another request's",
        Outcome.APPROVED,
        lambda a: changed_decision(a, request_digest=bytes(32)),
        Verdict.NOT_BELIEVED,
        "another request",
    ),
    (
        "a refusal presented as an approval",
        Outcome.NO_ENTITLEMENT,
        lambda a: msgspec.structs.replace(a, outcome=Outcome.APPROVED),
        Verdict.NOT_BELIEVED,
        "two outcomes",
    ),
    (
        "a changed outcome under the old receipt",
        Outcome.NO_ENTITLEMENT,
        lambda a: msgspec.structs.replace(
            changed_decision(a, resign=False, outcome=Outcome.CARD_BLOCKED),
            outcome=Outcome.CARD_BLOCKED,
        ),
        Verdict.NOT_BELIEVED,
        "not in the signed block",
    ),
    (
        "amounts that do not add up",
        Outcome.APPROVED,
        lambda a: changed_decision(a, lines=()),
        Verdict.NOT_BELIEVED,
        "do not add up",
    ),
    (
        "another place in the journal",
        Outcome.APPROVED,
        lambda a: changed_decision(a, resign=False, block=346),
        Verdict.NOT_BELIEVED,
        "another place",
    ),
    ("no path", Outcome.APPROVED, with_more_leaves, Verdict.NOT_BELIEVED, "no path"),
]


@pytest.mark.parametrize(
    ("outcome", "spoil", "verdict", "reason"),
    [case[1:] for case in JUDGED],
    ids=[case[0] for case in JUDGED],
)
def test_what_an_answer_is_worth(
    outcome: Outcome, spoil: Spoil, verdict: Verdict, reason: str
) -> None:
    terminal = world.terminal()
    request = world.sale(terminal)
    judged = terminal.judge(request, spoil(world.answer(request, outcome, covered=50)))
    assert judged.verdict is verdict
    told = judged.doubt.text("en") if judged.doubt else ""
    assert reason in told
    assert bool(told) is (verdict is Verdict.NOT_BELIEVED)


def test_every_fault_of_a_receipt_has_words() -> None:
    assert {fault.name for fault in ReceiptFault} <= {doubt.name for doubt in Doubt}
    assert all(doubt.text("ru") != doubt.text("en") for doubt in Doubt)


def test_the_hex_port_does_without_the_path_and_says_so() -> None:
    terminal = world.terminal(world.parameters(profile=ProfileName.HEX))
    request = world.sale(terminal)
    judged = terminal.judge(request, with_more_leaves(world.answer(request)))
    assert (judged.verdict, judged.whole_proof) == (Verdict.DECIDED, False)


def decided(terminal: Terminal, request: Request, answer: Answer) -> None:
    """Put a request and its decision into the state."""
    terminal.state.apply(Asked(request))
    terminal.state.apply(Decided(request.key, answer))


def test_every_kind_of_request_is_sound() -> None:
    terminal = world.terminal()
    original = world.sale(terminal)
    terminal.state.apply(Asked(original))
    inquiry = terminal.inquiry(world.CARD, world.NOW_MS)
    inquiry = msgspec.structs.replace(inquiry, signature=b"\x05" * 64)
    for request in (original, inquiry, terminal.reversal(original, world.NOW_MS)):
        assert faults_of(request) == []


def test_numbers_never_repeat_within_a_day() -> None:
    terminal = world.terminal()
    keys = []
    for _ in range(3):
        request = world.sale(terminal)
        keys.append(request.key)
        terminal.state.apply(Asked(request))
        counted = terminal.counted(world.NOW_MS)
        terminal.state.apply(counted)
    assert [key.stan for key in keys] == sorted({key.stan for key in keys})
    sequences = [entry.request.terminal_sequence for entry in terminal.state.pending.values()]
    assert sequences == sorted(set(sequences))


def test_each_day_counts_from_one_and_the_first_from_the_time_of_day() -> None:
    terminal = world.terminal()
    seconds_of_the_day = 12 * 3600 + 30 * 60
    first = terminal.next_key(MessageClass.FINANCIAL, world.NOW_MS)
    assert first.stan == seconds_of_the_day * 11 + 1
    tomorrow = terminal.next_key(MessageClass.FINANCIAL, world.NOW_MS + DAY_MS)
    assert (tomorrow.business_date, tomorrow.stan) == (world.TODAY + timedelta(days=1), 1)


def test_a_day_without_numbers_left_says_so() -> None:
    terminal = world.terminal()
    terminal.state.apply(Counted(world.TODAY, STAN_MAX, 1))
    with pytest.raises(TerminalError, match="used up"):
        world.sale(terminal)


def test_after_the_close_the_next_day_begins() -> None:
    terminal = world.terminal()
    terminal.state.apply(DayClosed(world.TODAY))
    assert terminal.business_date(world.NOW_MS) == date(2026, 3, 6)
    assert terminal.business_date(world.NOW_MS + DAY_MS) == date(2026, 3, 6)


@pytest.mark.parametrize(
    ("utc_hour", "day"), [(18, date(2026, 3, 5)), (19, date(2026, 3, 6)), (0, date(2026, 3, 5))]
)
def test_the_business_date_is_the_regions(utc_hour: int, day: date) -> None:
    midnight_ms = world.NOW_MS - 7 * 3_600_000 - 30 * 60_000
    assert world.terminal().business_date(midnight_ms + utc_hour * 3_600_000) == day


def test_too_much_undecided_stops_the_sale() -> None:
    terminal = world.terminal()
    for _ in range(PENDING_MAX):
        terminal.state.apply(Asked(world.sale(terminal)))
    with pytest.raises(TerminalError, match="undecided"):
        world.sale(terminal)


# outcome of a sale of 291.00 covered by half, its share of the day's totals
COUNTED = [
    (Outcome.APPROVED, (1, 29_100, 14_550, 14_550)),
    (Outcome.APPROVED_PARTLY, (1, 29_100, 14_550, 14_550)),
    (Outcome.CARD_BLOCKED, (0, 0, 0, 0)),
    (Outcome.KEY_REUSED, (0, 0, 0, 0)),
]


@pytest.mark.parametrize(("outcome", "counted"), COUNTED)
def test_totals_count_what_was_approved(
    outcome: Outcome, counted: tuple[int, int, int, int]
) -> None:
    terminal = world.terminal()
    request = world.sale(terminal)
    decided(terminal, request, world.answer(request, outcome, covered=50))
    totals = terminal.state.totals.get(world.TODAY)
    found = (0, 0, 0, 0)
    if totals is not None:
        found = (
            totals.approved_count,
            totals.gross_kopecks,
            totals.covered_kopecks,
            totals.paid_kopecks,
        )
    assert found == counted


def taken_back(reversal: Request, sale: Request) -> Answer:
    """An approved reversal repeats what its original had covered and left to pay."""
    lines = world.decision(sale, Outcome.APPROVED, covered=50).lines
    return changed_decision(world.answer(reversal), lines=lines)


@pytest.mark.parametrize("original_first", [True, False])
def test_a_reversal_counts_once_whichever_was_decided_first(original_first: bool) -> None:
    terminal = world.terminal()
    sale = world.sale(terminal)
    terminal.state.apply(Asked(sale))
    reversal = terminal.reversal(sale, world.NOW_MS)
    terminal.state.apply(Asked(reversal))
    both = [
        Decided(sale.key, world.answer(sale, covered=50)),
        Decided(reversal.key, taken_back(reversal, sale)),
    ]
    for record in both if original_first else reversed(both):
        terminal.state.apply(record)
    # Taking it back once more is approved too, but gives nothing back.
    again = terminal.reversal(sale, world.NOW_MS)
    decided(terminal, again, world.answer(again, facts={"original": "reversed"}))
    assert terminal.state.totals[world.TODAY] == TerminalTotals(
        approved_count=1,
        gross_kopecks=29_100,
        covered_kopecks=14_550,
        paid_kopecks=14_550,
        reversed_count=1,
        reversed_covered_kopecks=14_550,
    )


def test_a_sale_that_came_after_its_reversal_counts_nowhere() -> None:
    terminal = world.terminal()
    sale = world.sale(terminal)
    terminal.state.apply(Asked(sale))
    reversal = terminal.reversal(sale, world.NOW_MS)
    decided(terminal, reversal, world.answer(reversal, facts={"original": "unknown"}))
    terminal.state.apply(Decided(sale.key, world.answer(sale, Outcome.REVERSED_BEFORE)))
    assert terminal.state.totals == {}
    assert terminal.state.pending == {}


def test_a_record_about_nothing_is_refused() -> None:
    terminal = world.terminal()
    request = world.sale(terminal)
    with pytest.raises(ValueError, match="no request is pending"):
        terminal.state.apply(Undecided(request.key, None))


def test_lines_that_are_wrong_are_named() -> None:
    terminal = world.terminal()
    unsound = world.sale(terminal, Line("ENALAPRIL-10-20", 0, 778, 0, 1))
    assert faults_of(unsound) == ["lines[1].quantity: 1 to 10 digits, 1 or more"]
    assert unsound.kind is Kind.SALE


def test_a_new_epoch_is_above_the_last_even_when_the_clock_went_back() -> None:
    far = 10**10
    assert opened(far, world.parameters(), world.NOW_MS).epoch == far + 1
    assert opened(3, world.parameters(), world.NOW_MS).epoch == world.NOW_MS // 1000


@pytest.mark.parametrize("name", ["Nowhere/City", "../etc/passwd", ""])
def test_an_unknown_time_zone_is_told_in_words(name: str) -> None:
    with pytest.raises(TerminalError, match="tzdata"):
        zone_of(name)
