"""A batch behaves exactly as if its transactions ran one by one in order (promise 2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.authorization.model import Case, Proof, Ruling
from processing.wire.transaction import Line
from tests.authorization.audit import audit
from tests.authorization.world import (
    BLOCKED_CARD,
    CARD,
    CHILD,
    HOLDER,
    NOW,
    OTHER_CARD,
    ROUBLE,
    Centre,
    amounts,
    completion,
    goods_back,
    grant,
    inquiry,
    outcomes,
    pills,
    reserve,
    reversal,
    sale,
    stripped,
    undone,
)

_STATE = {
    "counter": "SELECT * FROM rights.counter ORDER BY 1, 2, 3",
    "line": "SELECT * FROM journal.line ORDER BY 2, 3, 4, 5, 6, 7, 8",
    "reservation": "SELECT * FROM rights.reservation ORDER BY 1, 2, 3, 4, 5",
    "child": "SELECT * FROM journal.child ORDER BY 2, 3, 4, 5, 6, 7",
    "event": """
        SELECT bucket, business_date, terminal_id, stan, message_class, assigned, kind, advice,
            card_id, holder_id, local_date, request_digest, outcome, covered_kopecks,
            paid_kopecks, facts
        FROM journal.event ORDER BY 2, 3, 4, 5, 6
    """,
}


async def run(
    world: asyncpg.Connection, batches: Sequence[Sequence[Case]]
) -> tuple[list[Ruling], dict[str, list[asyncpg.Record]]]:
    """Decide batch after batch in a world that is as it was before, afterwards."""
    async with undone(world) as centre:
        rulings = [stripped(ruling) for batch in batches for ruling in await centre.decide(*batch)]
        state = {name: await world.fetch(query) for name, query in _STATE.items()}
        assert await audit(world) == []
    return rulings, state


async def assert_same(world: asyncpg.Connection, batch: Sequence[Case], before: int = 0) -> None:
    """Compare one batch with its requests one by one; the first `before` are decided alone."""
    alone = [[one] for one in batch]
    whole = [*alone[:before], batch[before:]] if batch[before:] else alone
    one_by_one = await run(world, alone)
    assert await run(world, whole) == one_by_one


ALLOWANCES = st.lists(
    st.fixed_dictionaries(
        {
            "item_class": st.sampled_from(["PILL", "SYRUP"]),
            "granted": st.integers(0, 6),
            "measure": st.sampled_from(["FULL", "HALF", "CAP", "HALFCAP"]),
            "priority": st.integers(1, 3),
            "period": st.integers(0, 5),
            "holder": st.sampled_from([HOLDER, CHILD]),
        }
    ),
    min_size=1,
    max_size=5,
)
LINES = st.lists(
    st.builds(
        pills, st.integers(1, 4), st.integers(0, 999), st.sampled_from(["PILL", "PILL-B", "SYRUP"])
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def requests(draw: st.DrawFn) -> list[Case]:
    """A few requests whose keys differ, some of them children of others, before or after."""
    cases: list[Case] = []
    for stan in range(1, draw(st.integers(2, 9))):
        changes: dict[str, Any] = {
            "service": draw(st.sampled_from(["MED", "MED", "PART", "VISIT", "MEAL"])),
            "holder": draw(st.sampled_from([HOLDER, HOLDER, CHILD])),
            "advice": draw(st.booleans()),
        }
        if changes["advice"]:
            changes["signed_at"] = NOW - timedelta(days=draw(st.sampled_from([0, 1, 2, 40])))
        if draw(st.integers(0, 9)) == 0:
            changes |= draw(st.sampled_from([{"card": BLOCKED_CARD}, {"proof": Proof.WRONG}]))
        parent_stan, with_holder = draw(st.integers(1, 9)), {"holder": changes["holder"]}
        match draw(
            st.sampled_from(
                [
                    *["sale", "sale", "sale", "inquiry", "reserve", "reserve"],
                    *["complete", "complete", "return", "reversal"],
                ]
            )
        ):
            case "sale":
                cases.append(sale(stan, *draw(LINES), **changes))
            case "reserve":
                cases.append(reserve(stan, *draw(LINES), **changes))
            case "complete":
                parent = reserve(parent_stan, card=CARD, service=changes["service"], **with_holder)
                cases.append(completion(stan, parent, *draw(LINES)))
            case "return":
                parent = sale(parent_stan, service=changes["service"], **with_holder)
                cases.append(goods_back(stan, parent, *draw(LINES), advice=changes["advice"]))
            case "inquiry":
                cases.append(inquiry(stan, holder=changes["holder"]))
            case _:
                of = draw(st.sampled_from([sale, reserve]))
                cases.append(reversal(stan, of(parent_stan, card=CARD, **with_holder)))
    return cases


# Twice some eighty statements per example: slow where several workers share two cores.
@pytest.mark.timeout(300)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    allowances=ALLOWANCES,
    batch=requests(),
    before=st.integers(0, 3),
    again=st.lists(st.integers(0, 7), max_size=3),
)
async def test_a_batch_equals_its_requests_one_by_one(
    world: asyncpg.Connection,
    allowances: list[dict[str, Any]],
    batch: list[Case],
    before: int,
    again: list[int],
) -> None:
    transaction = world.transaction()
    await transaction.start()
    for allowance in allowances:
        await grant(world, **allowance)
    # Some of what was decided before is asked again, and other content under its keys.
    decided = batch[:before]
    repeats = {at: decided[at] for at in again if at < len(decided)}
    reused = [
        sale(one.request.key.stan, pills(1, 7), advice=at % 2 == 0)
        for at, one in enumerate(decided)
        if at not in repeats and one.request.key.message_class == 2
    ]
    await assert_same(world, [*batch, *repeats.values(), *reused], before)
    await transaction.rollback()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    granted=st.lists(
        st.tuples(st.integers(0, 2_000), st.sampled_from(["FULL", "HALF", "CAP"])),
        min_size=1,
        max_size=3,
    ),
    prices=st.lists(
        st.lists(st.integers(0, 1_500), min_size=1, max_size=3), min_size=2, max_size=6
    ),
    service=st.sampled_from(["MONEY", "PURSE"]),
)
async def test_a_batch_over_purses_equals_its_requests_one_by_one(
    world: asyncpg.Connection,
    granted: list[tuple[int, str]],
    prices: list[list[int]],
    service: str,
) -> None:
    transaction = world.transaction()
    await transaction.start()
    for priority, (amount, measure) in enumerate(granted):
        unit = {"unit_okei": ROUBLE, "scale": 2}
        await grant(world, "PILL", amount, measure, priority=priority, **unit)
    await assert_same(
        world,
        [
            sale(stan, *(pills(1, price) for price in lines), service=service)
            for stan, lines in enumerate(prices, 1)
        ],
    )
    await transaction.rollback()


async def test_what_a_refused_request_held_goes_to_the_next(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill, syrup = await grant(world, "PILL", 3), await grant(world, "SYRUP", 1)
    rulings = await centre.decide(
        # 3 PILL would do, 2 SYRUP would not: nothing is taken.
        sale(1, pills(3, 300), pills(2, 200, "SYRUP")),
        sale(2, pills(3, 300)),
        sale(3, pills(1, 100, "SYRUP")),
    )
    assert outcomes(rulings) == [602, 703, 703]
    assert (await centre.used(pill), await centre.used(syrup)) == (3, 1)


async def test_a_reversal_in_the_middle_serves_what_follows(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 2)
    first, second, third = (sale(stan, pills(2, 200)) for stan in (1, 2, 3))
    rulings = await centre.decide(first, second, reversal(4, first), third)
    assert outcomes(rulings) == [703, 602, 703, 703]
    assert [one.decision.ordinal for one in rulings if one.decision] == [0, 1, 2, 3]
    assert await centre.used(pill) == 2


async def test_a_batch_of_the_greatest_size(world: asyncpg.Connection, centre: Centre) -> None:
    pill = await grant(world, "PILL", 5_000)
    lines: list[Line] = [pills(1, 100 + number) for number in range(28)]
    cards = [CARD, OTHER_CARD]
    cases = [sale(stan, *lines, card=cards[stan % 2]) for stan in range(1, 257)]
    rulings = await centre.decide(*cases)
    # 5000 / 28: the first 178 find enough.
    assert outcomes(rulings) == [703] * 178 + [602] * 78
    assert amounts(rulings[0]) == [(100 + number, 0) for number in range(28)]
    assert await centre.used(pill) == 178 * 28
