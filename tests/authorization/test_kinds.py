"""Reserve, completion, return, reversal and expiry: docs/kinds.md, row by row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from processing.authorization.model import Case, Ruling
from processing.wire.outcome import Outcome
from processing.wire.transaction import Line
from tests.authorization.world import (
    BLOCKED_CARD,
    CHILD,
    DAY,
    HOLDER,
    NOW,
    OTHER_CARD,
    OTHER_TERMINAL,
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
    visit,
    water,
)

HALF_AN_HOUR = timedelta(minutes=30)
EXPIRES = {"expires": "2026-03-02T09:30:00Z"}
HELD = reserve(1, pills(4, 4_000))
SOLD = sale(1, pills(4, 4_000))


async def expire(centre: Centre, after: timedelta = HALF_AN_HOUR, limit: int = 9) -> int:
    """End what is due and return how many were ended."""
    number = await centre.connection.fetchval(
        "SELECT engine.expire($1, $2, $3, $4, $5)",
        centre.lane,
        centre.block,
        NOW + after,
        DAY,
        limit,
    )
    centre.block += number > 0
    return int(number)


def told(ruling: Ruling) -> tuple[int, dict[str, str], list[tuple[int, int]]]:
    """Return outcome, facts and amounts."""
    return int(ruling.outcome), ruling.facts, amounts(ruling)


async def test_a_reservation_holds_and_its_completion_keeps_what_was_used(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    held = await centre.decide_one(HELD)
    assert told(held) == (703, EXPIRES, [(4_000, 0)])
    assert await centre.used(pill) == 4
    # What is held is promised to nobody else.
    assert (await centre.decide_one(sale(2, pills(2, 200)))).outcome == Outcome.ALLOWANCE_EXHAUSTED
    done = completion(3, HELD, pills(3, 2_900))
    first = await centre.decide_one(done)
    assert told(first) == (703, {}, [(2_900, 0)])
    assert await centre.used(pill) == 3
    assert await world.fetchval("SELECT count(*) FROM rights.reservation") == 0
    again = await centre.decide_one(msgspec.structs.replace(done))
    assert (again.replayed, again.decision) == (True, first.decision)
    assert (await centre.decide_one(HELD)).decision == held.decision
    assert await centre.used(pill) == 3


# What was reserved (its lines), what is completed; outcome, facts, amounts; what is used after.
COMPLETED: list[tuple[str, list[Line], list[Line], int, dict[str, str], list[Any], int]] = [
    ("all", [pills(4, 4_000)], [pills(4, 4_000)], 703, {}, [(4_000, 0)], 4),
    ("nothing", [pills(4, 4_000)], [pills(0, 0)], 703, {}, [(0, 0)], 0),
    ("cheaper", [pills(4, 4_000)], [pills(4, 3_000)], 703, {}, [(3_000, 0)], 4),
    (
        "one of two lines",
        [pills(2, 100), pills(2, 200)],
        [pills(0, 0), pills(1, 99)],
        703,
        {},
        [(0, 0), (99, 0)],
        1,
    ),
    ("the first line alone", [pills(2, 100), pills(2, 200)], [pills(1, 50)], 703, {}, [(50, 0)], 1),
    (
        "more pieces",
        [pills(4, 4_000)],
        [pills(6, 4_000)],
        701,
        {"reason": "405", "line": "1", "item": "PILL", "remaining": "4"},
        [(4_000, 0)],
        4,
    ),
    (
        "dearer",
        [pills(4, 4_000)],
        [pills(2, 5_000)],
        701,
        {"reason": "405", "line": "1", "item": "PILL", "remaining": "4"},
        [(4_000, 1_000)],
        2,
    ),
    (
        "another item",
        [pills(4, 4_000)],
        [pills(1, 100, "PILL-B")],
        701,
        {"reason": "502", "field": "item", "line": "1", "item": "PILL-B"},
        [(0, 100)],
        0,
    ),
    (
        "a line more",
        [pills(1, 100)],
        [pills(1, 100), pills(1, 100)],
        701,
        {"reason": "502", "field": "item", "line": "2", "item": "PILL"},
        [(100, 0), (0, 100)],
        1,
    ),
]


@pytest.mark.parametrize(
    ("reserved", "completed", "outcome", "facts", "covered", "used"),
    [pytest.param(*row, id=name) for name, *row in COMPLETED],
)
async def test_completions(
    world: asyncpg.Connection,
    centre: Centre,
    reserved: list[Line],
    completed: list[Line],
    outcome: int,
    facts: dict[str, str],
    covered: list[tuple[int, int]],
    used: int,
) -> None:
    pill = await grant(world, "PILL", 9)
    held = reserve(1, *reserved)
    await centre.decide_one(held)
    ruling = await centre.decide_one(completion(2, held, *completed))
    assert told(ruling) == (outcome, facts, covered)
    assert await centre.used(pill) == used
    excess = await world.fetchval("SELECT sum(excess) FROM journal.line")
    beyond = sum(line.quantity for line in completed) - used
    assert excess == max(0, beyond)


# What stands under number 1 or is named instead, what happened to it, what differs in the wish.
UNFIT: list[tuple[str, list[Case], Case, dict[str, Any], dict[str, str]]] = [
    ("unknown", [], HELD, {}, {"reason": "501", "original": "unknown"}),
    (
        "declined",
        [reserve(1, pills(99, 1))],
        HELD,
        {},
        {"reason": "501", "original": "declined"},
    ),
    (
        "completed",
        [HELD, completion(5, HELD, pills(1, 1_000))],
        HELD,
        {},
        {"reason": "501", "original": "completed"},
    ),
    ("reversed", [HELD, reversal(5, HELD)], HELD, {}, {"reason": "501", "original": "reversed"}),
    ("closed before", [reversal(5, HELD)], HELD, {}, {"reason": "501", "original": "reversed"}),
    (
        "in conflict",
        [reserve(1, pills(1, 1), advice=True, card=BLOCKED_CARD)],
        reserve(1, pills(1, 1), card=BLOCKED_CARD),
        {},
        {"reason": "501", "original": "conflict"},
    ),
    ("a sale", [SOLD], SOLD, {}, {"reason": "502", "field": "kind"}),
    (
        "an inquiry",
        [inquiry(1)],
        inquiry(1),
        {"service": "ALL"},
        {"reason": "502", "field": "kind"},
    ),
    (
        "another card",
        [HELD],
        HELD,
        {"card": OTHER_CARD},
        {"reason": "502", "field": "card or holder"},
    ),
    (
        "another holder",
        [HELD],
        HELD,
        {"holder": CHILD},
        {"reason": "502", "field": "card or holder"},
    ),
    ("another service", [HELD], HELD, {"service": "PART"}, {"reason": "502", "field": "service"}),
    (
        "another terminal",
        [HELD],
        HELD,
        {"terminal": OTHER_TERMINAL},
        {"reason": "502", "field": "parent"},
    ),
]


@pytest.mark.parametrize(
    ("before", "original", "changes", "facts"),
    [pytest.param(*row, id=name) for name, *row in UNFIT],
)
async def test_a_completion_of_what_is_not_open_debits_nothing(
    world: asyncpg.Connection,
    centre: Centre,
    before: list[Case],
    original: Case,
    changes: dict[str, Any],
    facts: dict[str, str],
) -> None:
    pill = await grant(world, "PILL", 9)
    for one in before:
        await centre.decide_one(one)
    used = await centre.used(pill)
    opened = await world.fetchval("SELECT count(*) FROM rights.reservation")
    done = completion(7, original, pills(2, 2_000), **changes)
    assert told(await centre.decide_one(done)) == (701, facts, [(0, 2_000)])
    assert await centre.used(pill) == used
    assert await world.fetchval("SELECT count(*) FROM rights.reservation") == opened
    assert [part[1:] for part in await centre.parts(done)] == [(2, 2_000, 0, 0)]


async def test_a_completion_that_was_reversed_before_it_came_leaves_the_reservation_open(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    done = completion(2, HELD, pills(4, 4_000))
    await centre.decide(HELD, reversal(3, done))
    late = await centre.decide_one(done)
    assert told(late) == (701, {"reason": "204"}, [(0, 4_000)])
    assert await centre.used(pill) == 4
    assert (await centre.decide_one(completion(4, HELD, pills(1, 500)))).outcome == 703
    assert await centre.used(pill) == 1


# Service, what it consumes is told there; grant, lines, completed: covered, used.
@pytest.mark.parametrize(
    ("service", "unit", "granted", "held", "used", "covered", "left"),
    [
        ("PART", {}, 3, [pills(5, 500)], [pills(4, 400)], [(300, 100)], 3),
        ("PART", {}, 3, [pills(5, 500)], [pills(2, 200)], [(200, 0)], 2),
        (
            "PURSE",
            {"unit_okei": 383, "scale": 2},
            9_000,
            [pills(2, 900)],
            [pills(1, 450)],
            [(450, 0)],
            450,
        ),
        ("VISIT", {"unit_okei": 642}, 1, [visit(700)], [visit(700)], [(700, 0)], 1),
    ],
)
async def test_completions_by_what_a_service_consumes(
    world: asyncpg.Connection,
    centre: Centre,
    service: str,
    unit: dict[str, Any],
    granted: int,
    held: list[Line],
    used: list[Line],
    covered: list[tuple[int, int]],
    left: int,
) -> None:
    one = await grant(world, held[0].item, granted, **unit)
    original = reserve(1, *held, service=service)
    await centre.decide_one(original)
    done = completion(2, original, *used)
    assert amounts(await centre.decide_one(done)) == covered
    assert await centre.used(one) == left


async def test_a_service_without_minutes_takes_no_reservations(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5)
    await world.execute("UPDATE regulations.service SET reserve_minutes = NULL")
    assert told(await centre.decide_one(HELD)) == (403, {"version": "2", "reserve": "no"}, [])
    late = reserve(2, pills(1, 1), advice=True)
    facts = {"version": "2", "reserve": "no", "reason": "403"}
    assert told(await centre.decide_one(late)) == (701, facts, [(0, 1)])
    assert (await centre.decide_one(sale(3, pills(1, 1)))).outcome == Outcome.APPROVED


async def test_a_reserve_advice_holds_what_there_is(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 3)
    late = reserve(1, pills(4, 4_000), advice=True)
    ruling = await centre.decide_one(late)
    facts = {"reason": "602", "item": "PILL", "remaining": "3"} | EXPIRES
    assert told(ruling) == (701, facts, [(3_000, 1_000)])
    done = completion(2, late, pills(4, 4_000))
    assert told(await centre.decide_one(done)) == (703, {}, [(3_000, 1_000)])
    assert await centre.used(pill) == 3
    assert await world.fetchval("SELECT sum(excess) FROM journal.line") == 1
    await centre.decide_one(reversal(3, done))
    assert await centre.used(pill) == 0


# What happens first; what is then taken back, outcome and facts; what is used after.
TAKEN_BACK: list[tuple[str, list[Case], Case, int, dict[str, str], int]] = [
    ("open", [HELD], HELD, 703, {}, 0),
    (
        "completed",
        [HELD, completion(2, HELD, pills(3, 3_000))],
        HELD,
        502,
        {"original": "completed"},
        3,
    ),
    (
        "a completion",
        [HELD, completion(2, HELD, pills(3, 3_000))],
        completion(2, HELD, pills(3, 3_000)),
        703,
        {},
        0,
    ),
    ("reversed", [HELD, reversal(2, HELD)], HELD, 703, {"original": "reversed"}, 0),
    ("unknown", [], HELD, 703, {"original": "unknown"}, 0),
    (
        "a sale of which something came back",
        [SOLD, goods_back(2, SOLD, pills(1, 1_000))],
        SOLD,
        703,
        {},
        0,
    ),
    (
        "a return",
        [SOLD, goods_back(2, SOLD, pills(1, 1_000))],
        goods_back(2, SOLD, pills(1, 1_000)),
        703,
        {"original": "return"},
        4,
    ),
    (
        "a return that was taken back",
        [
            SOLD,
            goods_back(2, SOLD, pills(1, 1_000)),
            reversal(3, goods_back(2, SOLD, pills(1, 1_000))),
        ],
        goods_back(2, SOLD, pills(1, 1_000)),
        703,
        {"original": "reversed"},
        4,
    ),
    (
        "a return of what was taken back",
        [SOLD, goods_back(2, SOLD, pills(1, 1_000)), reversal(3, SOLD)],
        goods_back(2, SOLD, pills(1, 1_000)),
        703,
        {"original": "reversed"},
        0,
    ),
    (
        "a return that is not here",
        [SOLD],
        goods_back(2, SOLD, pills(1, 1_000)),
        703,
        {"original": "unknown"},
        4,
    ),
    (
        "a return whose goods were sold to somebody else",
        [SOLD, goods_back(2, SOLD, pills(2, 2_000)), sale(3, pills(4, 4_000))],
        goods_back(2, SOLD, pills(2, 2_000)),
        602,
        {"item": "PILL", "remaining": "0"},
        6,
    ),
]


@pytest.mark.parametrize("one_batch", [False, True])
@pytest.mark.parametrize(
    ("before", "original", "outcome", "facts", "used"),
    [pytest.param(*row, id=name) for name, *row in TAKEN_BACK],
)
async def test_reversals(
    world: asyncpg.Connection,
    centre: Centre,
    before: list[Case],
    original: Case,
    outcome: int,
    facts: dict[str, str],
    used: int,
    one_batch: bool,
) -> None:
    pill = await grant(world, "PILL", 6)
    wish = reversal(9, original)
    if one_batch:
        ruling = (await centre.decide(*before, wish))[-1]
    else:
        for one in before:
            await centre.decide_one(one)
        ruling = await centre.decide_one(wish)
    assert told(ruling)[:2] == (outcome, facts)
    assert await centre.used(pill) == used
    assert (await centre.decide_one(wish)).decision == ruling.decision
    assert await centre.used(pill) == used


async def test_the_reversal_of_a_return_by_advice_is_recorded(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 4)
    back = goods_back(2, SOLD, pills(2, 2_000))
    await centre.decide(SOLD, back, sale(3, pills(1, 100)))
    ruling = await centre.decide_one(reversal(4, back, advice=True))
    assert told(ruling) == (701, {"reason": "602", "item": "PILL", "remaining": "1"}, [])
    assert await centre.used(pill) == 3
    await centre.decide_one(reversal(5, sale(3, pills(1, 100))))
    assert amounts(await centre.decide_one(reversal(6, back))) == [(2_000, 0)]
    assert await centre.used(pill) == 4


async def test_a_sale_and_an_assigned_advice_are_taken_back_once_each(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 9)
    await centre.decide(SOLD)
    await centre.decide_one(sale(1, pills(2, 200), advice=True))
    assert await centre.used(pill) == 6
    for stan, covered in ((2, [(200, 0)]), (3, [(4_000, 0)]), (4, [])):
        assert amounts(await centre.decide_one(reversal(stan, SOLD))) == covered
    assert await centre.used(pill) == 0


async def test_expiry_gives_the_hold_back_as_an_event(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 9)
    done = reserve(2, pills(1, 100))
    await centre.decide(HELD, done, reserve(3, pills(2, 200)), completion(4, done, pills(1, 100)))
    assert await expire(centre, HALF_AN_HOUR - timedelta(seconds=1)) == 0
    assert await expire(centre, limit=1) == 1
    assert await expire(centre) == 1
    assert await expire(centre) == 0
    assert await centre.used(pill) == 1
    rows = await world.fetch(
        "SELECT stan, message_class, kind, outcome, covered_kopecks, parent_stan, holder_id "
        "FROM journal.event WHERE kind = 9 ORDER BY stan"
    )
    assert [tuple(row) for row in rows] == [
        (1, 9, 9, 703, [4_000], 1, HOLDER),
        (3, 9, 9, 703, [200], 3, HOLDER),
    ]
    late = await centre.decide_one(completion(5, HELD, pills(4, 4_000)))
    assert told(late) == (701, {"reason": "501", "original": "expired"}, [(0, 4_000)])
    taken_back = await centre.decide_one(reversal(6, HELD))
    assert told(taken_back) == (703, {"original": "expired"}, [])
    assert await centre.used(pill) == 1


async def test_a_completion_after_the_time_but_before_the_expiry_completes(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 9)
    await centre.decide_one(HELD)
    late = {"at": NOW + 2 * HALF_AN_HOUR}
    done = completion(2, HELD, pills(4, 4_000))
    assert (await centre.decide_one(done, **late)).outcome == Outcome.APPROVED
    assert await expire(centre, 3 * HALF_AN_HOUR) == 0


async def test_water_is_reserved_and_completed_by_the_litre(
    world: asyncpg.Connection, centre: Centre
) -> None:
    norm = await grant(world, "WATER", 10_000, "HALFCAP", unit_okei=113, scale=3)
    held = reserve(1, water(9_000, 50_000))
    # Half of the cap of 45.67 for each of 9 cubic metres; then of 4.5.
    assert amounts(await centre.decide_one(held)) == [(20_552, 29_448)]
    done = await centre.decide_one(completion(2, held, water(4_500, 25_000)))
    assert amounts(done) == [(10_276, 14_724)]
    assert await centre.used(norm) == 4_500
    assert outcomes([done]) == [Outcome.APPROVED]
