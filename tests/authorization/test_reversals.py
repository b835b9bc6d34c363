"""Taking back: what was debited returns, once, and whatever comes late finds the key closed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from processing.authorization.model import Case
from processing.wire.outcome import Outcome
from processing.wire.transaction import MessageClass, TransactionKey
from tests.authorization.world import (
    CHILD,
    NOW,
    OTHER_CARD,
    OTHER_TERMINAL,
    TERMINAL,
    Centre,
    amounts,
    grant,
    inquiry,
    outcomes,
    pills,
    reversal,
    sale,
)

ORIGINAL = sale(1, pills(2, 200))


async def test_after_the_original_everything_returns(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 3)
    half = await grant(world, "PILL", 5, "HALF", priority=200)
    original = sale(1, pills(4, 4_000), pills(1, 99))
    given = await centre.decide_one(original)
    assert amounts(given) == [(3_500, 500), (50, 49)]
    assert (await centre.used(pill), await centre.used(half)) == (3, 2)

    taken_back = await centre.decide_one(reversal(2, original))
    assert (taken_back.outcome, taken_back.facts) == (Outcome.APPROVED, {})
    assert amounts(taken_back) == amounts(given)
    assert (await centre.used(pill), await centre.used(half)) == (0, 0)
    assert await centre.parts(reversal(2, original)) == [
        (line, -quantity, -gross, -covered, -debited)
        for line, quantity, gross, covered, debited in await centre.parts(original)
    ]
    # The original keeps its answer, and what it held serves another.
    assert (await centre.decide_one(original)).decision == given.decision
    assert (await centre.decide_one(sale(3, pills(8, 1)))).outcome == Outcome.APPROVED


@pytest.mark.parametrize("one_batch", [True, False])
async def test_before_the_original_the_key_is_closed(
    world: asyncpg.Connection, centre: Centre, one_batch: bool
) -> None:
    pill = await grant(world, "PILL", 3)
    asked = [reversal(2, ORIGINAL), ORIGINAL]
    if one_batch:
        rulings = await centre.decide(*asked)
    else:
        rulings = [await centre.decide_one(one) for one in asked]
    assert outcomes(rulings) == [Outcome.APPROVED, Outcome.REVERSED_BEFORE]
    assert rulings[0].facts == {"original": "unknown"}
    assert rulings[1].decision is None
    assert (await centre.decide_one(ORIGINAL)).outcome == Outcome.REVERSED_BEFORE
    again = await centre.decide_one(reversal(2, ORIGINAL))
    assert (again.replayed, again.decision) == (True, rulings[0].decision)
    assert await centre.used(pill) == 0
    # The tombstone is an event of its own in the reversal's block.
    assert await world.fetchval("SELECT sum(leaf_count) FROM journal.block") == 2


async def test_original_and_reversal_in_one_batch(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 3)
    rulings = await centre.decide(ORIGINAL, reversal(2, ORIGINAL))
    assert outcomes(rulings) == [Outcome.APPROVED] * 2
    assert amounts(rulings[1]) == [(200, 0)]
    assert await centre.used(pill) == 0


@pytest.mark.parametrize("one_batch", [True, False])
async def test_twice_returns_once(
    world: asyncpg.Connection, centre: Centre, one_batch: bool
) -> None:
    pill = await grant(world, "PILL", 5)
    await centre.decide(ORIGINAL, sale(9, pills(3, 300)))
    asked = [reversal(2, ORIGINAL), reversal(3, ORIGINAL)]
    if one_batch:
        rulings = await centre.decide(*asked)
    else:
        rulings = [await centre.decide_one(one) for one in asked]
    assert [(one.outcome, one.facts, amounts(one)) for one in rulings] == [
        (Outcome.APPROVED, {}, [(200, 0)]),
        (Outcome.APPROVED, {"original": "reversed"}, []),
    ]
    assert await centre.used(pill) == 3


async def test_a_retry_of_a_reversal_is_its_replay(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    await centre.decide(ORIGINAL, sale(9, pills(3, 300)))
    first = await centre.decide_one(reversal(2, ORIGINAL))
    again = await centre.decide_one(reversal(2, ORIGINAL, advice=True))
    assert (again.replayed, again.decision, again.facts) == (True, first.decision, first.facts)
    assert await centre.used(pill) == 3
    other = await centre.decide_one(reversal(2, sale(9)))
    assert (other.outcome, other.decision) == (Outcome.KEY_REUSED, None)


# What is asked to be taken back, how the wish differs; outcome, facts.
OTHERWISE: list[tuple[str, Case | TransactionKey, dict[str, Any], int, dict[str, str]]] = [
    ("declined", sale(8, pills(99, 1)), {}, 703, {"original": "declined"}),
    ("another card", ORIGINAL, {"card": OTHER_CARD}, 502, {"field": "card or holder"}),
    ("another holder", ORIGINAL, {"holder": CHILD}, 502, {"field": "card or holder"}),
    ("another terminal", ORIGINAL, {"terminal": OTHER_TERMINAL}, 502, {"field": "parent"}),
    ("an inquiry", inquiry(7), {}, 502, {"field": "kind"}),
    (
        "a reversal",
        TransactionKey(date(2026, 3, 2), TERMINAL, 6, MessageClass.REVERSAL),
        {},
        502,
        {"field": "parent"},
    ),
    ("unknown", sale(77), {}, 703, {"original": "unknown"}),
    ("reversed", sale(5, pills(1, 1)), {}, 703, {"original": "reversed"}),
    ("unknown and reversed", sale(4), {}, 703, {"original": "reversed"}),
]


@pytest.mark.parametrize(
    ("original", "changes", "outcome", "facts"),
    [pytest.param(*row, id=name) for name, *row in OTHERWISE],
)
async def test_what_cannot_be_taken_back(
    world: asyncpg.Connection,
    centre: Centre,
    original: Case | TransactionKey,
    changes: dict[str, Any],
    outcome: int,
    facts: dict[str, str],
) -> None:
    pill = await grant(world, "PILL", 5)
    await centre.decide(
        ORIGINAL,
        sale(5, pills(1, 1)),
        inquiry(7),
        sale(8, pills(99, 1)),
        reversal(6, sale(5)),
        reversal(3, sale(4)),
    )
    ruling = await centre.decide_one(reversal(20, original, **changes))
    assert (ruling.outcome, ruling.facts, amounts(ruling)) == (outcome, facts, [])
    assert ruling.decision is not None
    assert await centre.used(pill) == 2


async def test_a_partial_approval_returns_what_it_took(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 3)
    original = sale(1, pills(5, 500), service="PART")
    await centre.decide_one(original)
    assert amounts(await centre.decide_one(reversal(2, original))) == [(300, 200)]
    assert await centre.used(pill) == 0


async def test_debits_return_to_the_period_they_were_taken_from(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5, period=1)
    await centre.decide_one(ORIGINAL)
    later = NOW + timedelta(days=1)
    today = date(2026, 3, 3)
    other = sale(2, pills(1, 100), signed_at=later, business_date=today)
    wish = reversal(3, ORIGINAL, signed_at=later, business_date=today)
    await centre.decide(other, wish, at=later, posting=today)
    rows = await world.fetch("SELECT period_start, used FROM rights.counter ORDER BY 1")
    assert [tuple(row) for row in rows] == [(date(2026, 3, 2), 0), (today, 1)]
    row = await world.fetchrow(
        "SELECT local_date, posting_date FROM journal.event WHERE message_class = 4"
    )
    assert row is not None
    assert tuple(row) == (date(2026, 3, 2), today)


async def test_a_reversal_returns_after_the_limit_was_lowered(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    await centre.decide(ORIGINAL, sale(2, pills(3, 300)))
    await world.execute("UPDATE rights.allowance SET granted = 1")
    assert (await centre.decide_one(reversal(3, ORIGINAL))).outcome == Outcome.APPROVED
    assert await centre.used(pill) == 3
    assert (await centre.decide_one(sale(4, pills(1, 1)))).outcome == Outcome.ALLOWANCE_EXHAUSTED


async def test_an_advice_in_conflict_is_taken_back_with_its_excess(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 3)
    original = sale(1, pills(5, 500), advice=True)
    assert (await centre.decide_one(original)).outcome == Outcome.RECORDED_IN_CONFLICT
    wish = reversal(2, original, advice=True)
    assert amounts(await centre.decide_one(wish)) == [(300, 200)]
    assert await centre.used(pill) == 0
    assert await world.fetchval("SELECT sum(excess) FROM journal.line") == 0


async def test_a_reversal_advice_whose_key_is_taken_gets_an_assigned_one(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    other = sale(9, pills(1, 100))
    await centre.decide(ORIGINAL, other)
    await centre.decide_one(reversal(2, other))
    late = reversal(2, ORIGINAL, advice=True)
    first = await centre.decide_one(late)
    assert (first.outcome, amounts(first)) == (Outcome.APPROVED, [(200, 0)])
    assert await centre.used(pill) == 0
    assert (await centre.decide_one(late)).decision == first.decision
    assert len(await centre.parts(late, assigned=1)) == 1


async def test_of_two_under_one_key_the_one_that_was_given_is_taken_back(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    await centre.decide_one(ORIGINAL)
    refused = sale(1, pills(1, 100), advice=True, proof=3)
    assert (await centre.decide_one(refused)).outcome == Outcome.SIGNATURE_WRONG
    assert amounts(await centre.decide_one(reversal(2, ORIGINAL))) == [(200, 0)]
    assert await centre.used(pill) == 0


async def test_a_reversal_needs_no_rule_but_its_terminal(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5)
    await centre.decide_one(ORIGINAL)
    await world.execute("UPDATE rights.card_authority SET card_state = 2")
    await world.execute("UPDATE terminals.terminal SET state = 2")
    far = NOW + timedelta(days=90)
    wish = reversal(2, ORIGINAL)
    ruling = await centre.decide_one(wish, at=far, posting=far.date())
    assert (ruling.outcome, amounts(ruling)) == (Outcome.APPROVED, [(200, 0)])
    stored = msgspec.structs.replace(ruling, replayed=True)
    assert await centre.decide_one(wish) == stored
