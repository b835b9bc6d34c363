"""What is covered and what the citizen pays, to the kopeck; and from which allowance."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.wire.outcome import Outcome
from processing.wire.transaction import Line
from tests.authorization.audit import audit
from tests.authorization.world import (
    CUBIC_METRE,
    ROUBLE,
    Centre,
    amounts,
    grant,
    pills,
    sale,
    undone,
    visit,
    water,
)

PERCENT = {"FULL": 100, "HALF": 50, "CAP": 100, "HALFCAP": 50, "ZERO": 0}
CAPPED = {"CAP", "HALFCAP"}

# One allowance, large enough; cap of a PILL 50.00, of a cubic metre of WATER 45.67.
SINGLE = [
    ("whole price", "FULL", pills(3, 12_345), (12_345, 0)),
    ("half", "HALF", pills(2, 10_000), (5_000, 5_000)),
    ("half of an odd price is rounded up", "HALF", pills(1, 12_345), (6_173, 6_172)),
    ("half of a kopeck is a kopeck", "HALF", pills(1, 1), (1, 0)),
    ("half of nothing", "HALF", pills(1, 0), (0, 0)),
    ("counted only", "ZERO", pills(1, 777), (0, 777)),
    ("above the cap: 3 at 50.00", "CAP", pills(3, 21_000), (15_000, 6_000)),
    ("at the cap", "CAP", pills(3, 15_000), (15_000, 0)),
    ("a kopeck above the cap", "CAP", pills(3, 15_001), (15_000, 1)),
    ("below the cap", "CAP", pills(3, 14_999), (14_999, 0)),
    ("half of the cap: half of 100.00", "HALFCAP", pills(2, 30_000), (5_000, 25_000)),
    ("no cap on this item", "CAP", pills(1, 99_999, "PILL-B"), (99_999, 0)),
    # 13.500 m³ at 45.67 are 616.545: half-up 616.55
    ("cap with scale, rounded up", "CAP", water(13_500, 70_000), (61_655, 8_345)),
    # 13.499 m³ are 616.49933
    ("cap with scale, rounded down", "CAP", water(13_499, 70_000), (61_650, 8_350)),
    # half of 616.545 is 308.2725: rounded once, not twice
    ("half of a cap with scale", "HALFCAP", water(13_500, 70_000), (30_827, 39_173)),
    ("a litre at the cap is 4.567 kopecks", "CAP", water(1, 100), (5, 95)),
    ("the largest line", "HALF", pills(10**10 - 1, 10**12 - 1), (500_000_000_000, 499_999_999_999)),
    ("the largest line, capped", "CAP", water(10**10 - 1, 10**12 - 1), (45_669_999_995, None)),
]


async def ample(world: asyncpg.Connection, measure: str) -> None:
    await grant(world, "PILL", 10**10, measure)
    await grant(world, "WATER", 10**10, measure, unit_okei=CUBIC_METRE, scale=3)


@pytest.mark.parametrize(
    ("measure", "line", "expected"), [pytest.param(*row, id=name) for name, *row in SINGLE]
)
async def test_one_allowance(
    world: asyncpg.Connection,
    centre: Centre,
    measure: str,
    line: Line,
    expected: tuple[int, int | None],
) -> None:
    await ample(world, measure)
    asked = sale(1, line)
    ruling = await centre.decide_one(asked)
    covered = expected[0]
    assert ruling.outcome == Outcome.APPROVED
    assert amounts(ruling) == [(covered, line.gross_kopecks - covered)]
    assert expected[1] in {None, line.gross_kopecks - covered}
    assert await centre.parts(asked) == [
        (1, line.quantity, line.gross_kopecks, covered, line.quantity)
    ]


# Allowances (granted, measure, priority), lines, service; then the parts: line, quantity, gross,
# covered, debited. Every sum is worked out beside its row.
SPLIT: list[tuple[str, list[tuple[int, str, int]], list[Line], str, list[tuple[int, ...]]]] = [
    (
        "two of five in full, the rest half: 40.00 of 40.00, 30.01 of 60.01",
        [(2, "FULL", 1), (9, "HALF", 2)],
        [pills(5, 10_001)],
        "MED",
        [(1, 2, 4_000, 4_000, 2), (1, 3, 6_001, 3_001, 3)],
    ),
    (
        "priority goes before the percentage",
        [(9, "FULL", 2), (2, "HALF", 1)],
        [pills(5, 10_000)],
        "MED",
        [(1, 2, 4_000, 2_000, 2), (1, 3, 6_000, 6_000, 3)],
    ),
    (
        "one percentage over three allowances: the parts are what the whole is, rounded once",
        [(1, "HALF", 1), (1, "HALF", 2), (1, "HALF", 3)],
        [pills(3, 101)],
        "MED",
        # 33.66 → 33, 67.33 → 67, 101; half of 33 is 17, of 67 34, of 101 51
        [(1, 1, 33, 17, 1), (1, 1, 34, 17, 1), (1, 1, 34, 17, 1)],
    ),
    (
        "a cap is spread over the parts: 3 of 5 at 50.00 of 70.00",
        [(3, "CAP", 1), (9, "HALFCAP", 2)],
        [pills(5, 35_000)],
        "MED",
        [(1, 3, 21_000, 15_000, 3), (1, 2, 14_000, 5_000, 2)],
    ),
    (
        "two lines over one allowance, then over the next",
        [(3, "FULL", 1), (9, "HALF", 2)],
        [pills(2, 200), pills(2, 300)],
        "MED",
        [(1, 2, 200, 200, 2), (2, 1, 150, 150, 1), (2, 1, 150, 75, 1)],
    ),
    (
        "what is left is covered, the rest is paid",
        [(2, "HALF", 1)],
        [pills(3, 1_000)],
        "PART",
        # 2 of 3 are 6.66, half of it 3.33
        [(1, 2, 666, 333, 2), (1, 1, 334, 0, 0)],
    ),
    (
        "one visit per line, whatever its price",
        [(2, "FULL", 1)],
        [pills(7, 900), pills(1, 100)],
        "VISIT",
        [(1, 7, 900, 900, 1), (2, 1, 100, 100, 1)],
    ),
    (
        "meals: the second line finds nothing left",
        [(1, "FULL", 1)],
        [pills(1, 900), pills(1, 100)],
        "MEAL",
        [(1, 1, 900, 900, 1), (2, 1, 100, 0, 0)],
    ),
]

# The same with allowances in kopecks.
PURSES: list[tuple[str, list[tuple[int, str, int]], list[Line], str, list[tuple[int, ...]]]] = [
    (
        "half of 200.00 out of 500.00",
        [(50_000, "HALF", 1)],
        [pills(1, 20_000)],
        "MONEY",
        [(1, 1, 20_000, 10_000, 10_000)],
    ),
    (
        "30.00 left of the 100.00 needed",
        [(3_000, "HALF", 1)],
        [pills(1, 20_000)],
        "MONEY",
        # 30/100 of 200.00; of one piece 0.3, rounded down
        [(1, 0, 6_000, 3_000, 3_000), (1, 1, 14_000, 0, 0)],
    ),
    (
        "30.00 in full, then half of the other 70.00",
        [(3_000, "FULL", 1), (50_000, "HALF", 2)],
        [pills(1, 10_000)],
        "PURSE",
        [(1, 0, 3_000, 3_000, 3_000), (1, 1, 7_000, 3_500, 3_500)],
    ),
    (
        "half of 60.00 is 30.00, then the other 40.00 in full",
        [(3_000, "HALF", 1), (50_000, "FULL", 2)],
        [pills(1, 10_000)],
        "PURSE",
        [(1, 0, 6_000, 3_000, 3_000), (1, 1, 4_000, 4_000, 4_000)],
    ),
    (
        "up to the cap of 50.00, then what the cap leaves uncovered is paid",
        [(2_500, "CAP", 1), (50_000, "FULL", 2)],
        [pills(1, 10_000)],
        "PURSE",
        [(1, 0, 5_000, 2_500, 2_500), (1, 1, 5_000, 5_000, 5_000)],
    ),
    (
        "two lines share a purse",
        [(3_000, "FULL", 1)],
        [pills(1, 2_000), pills(1, 2_000)],
        "MONEY",
        [(1, 1, 2_000, 2_000, 2_000), (2, 0, 1_000, 1_000, 1_000), (2, 1, 1_000, 0, 0)],
    ),
    (
        "a gift takes no kopeck and is still a line",
        [(3_000, "FULL", 1)],
        [pills(1, 0), pills(2, 700)],
        "PURSE",
        [(1, 1, 0, 0, 0), (2, 2, 700, 700, 700)],
    ),
    (
        "an allowance that only counts takes nothing, the next covers",
        [(3_000, "ZERO", 1), (3_000, "HALF", 2)],
        [pills(1, 700)],
        "PURSE",
        [(1, 1, 700, 350, 350)],
    ),
    (
        "nothing but counting",
        [(3_000, "ZERO", 1)],
        [pills(1, 700)],
        "PURSE",
        [(1, 1, 700, 0, 0)],
    ),
]


@pytest.mark.parametrize(
    ("allowances", "lines", "service", "parts", "unit"),
    [pytest.param(*row, {}, id=name) for name, *row in SPLIT]
    + [pytest.param(*row, {"unit_okei": ROUBLE, "scale": 2}, id=name) for name, *row in PURSES],
)
async def test_several_allowances(
    world: asyncpg.Connection,
    centre: Centre,
    allowances: list[tuple[int, str, int]],
    lines: list[Line],
    service: str,
    parts: list[tuple[int, ...]],
    unit: dict[str, int],
) -> None:
    for granted, measure, priority in allowances:
        await grant(world, "PILL", granted, measure, priority=priority, **unit)
    asked = sale(1, *lines, service=service)
    ruling = await centre.decide_one(asked)
    assert await centre.parts(asked) == parts
    assert ruling.outcome in {Outcome.APPROVED, Outcome.APPROVED_PARTLY}
    uncovered = any(part[4] == 0 and part[2] > 0 for part in parts) and "ZERO" not in str(
        allowances
    )
    assert (ruling.outcome == Outcome.APPROVED_PARTLY) is uncovered
    assert amounts(ruling) == [
        (
            sum(part[3] for part in parts if part[0] == number),
            line.gross_kopecks - sum(part[3] for part in parts if part[0] == number),
        )
        for number, line in enumerate(lines, 1)
    ]


async def test_of_one_priority_what_ends_first_is_used_first(
    world: asyncpg.Connection, centre: Centre
) -> None:
    late = await grant(world, "PILL", 5)
    early = await grant(world, "PILL", 2, valid_to=sale(1).request.key.business_date)
    first = await grant(world, "PILL", 1, priority=99)
    assert (await centre.decide_one(sale(1, pills(4, 400)))).outcome == Outcome.APPROVED
    assert [await centre.used(one) for one in (first, early, late)] == [1, 2, 1]


async def test_used_up_allowances_do_not_hide_the_one_that_is_left(
    world: asyncpg.Connection, centre: Centre
) -> None:
    for number in range(40):
        await grant(world, "PILL", 1, priority=number)
    rulings = [await centre.decide_one(sale(stan, pills(10, 100))) for stan in range(1, 6)]
    assert [ruling.outcome for ruling in rulings] == [703, 703, 703, 703, 602]


async def test_a_balance_tells_what_the_last_line_left(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5)
    await grant(world, "SYRUP", 9, "HALF")
    ruling = await centre.decide_one(sale(1, pills(2, 1), pills(1, 1, "SYRUP"), pills(1, 1)))
    assert [
        (right.item_class, right.granted, right.remaining, right.percent)
        for right in ruling.balances
    ] == [("SYRUP", 9, 8, 50), ("PILL", 5, 2, 100)]


async def test_visits_without_a_price(world: asyncpg.Connection, centre: Centre) -> None:
    right = await grant(world, "VISIT", 1, unit_okei=642)
    rulings = await centre.decide(
        sale(1, visit(), service="VISIT"), sale(2, visit(), service="VISIT")
    )
    assert [one.outcome for one in rulings] == [703, 602]
    assert amounts(rulings[0]) == [(0, 0)]
    assert await centre.used(right) == 1


def half_up(value: Fraction) -> int:
    return (value + Fraction(1, 2)).__floor__()


def covered_model(line: Line, granted: list[tuple[int, str]], cap: int | None) -> int:
    """The covered kopecks of one line of a service that counts pieces, with exact fractions.

    The line is laid out piece by piece; each allowance covers its stretch of the price, which
    ends at whole kopecks, and is rounded where the line so far is.
    """
    done, total, before = 0, 0, 0
    for amount, measure in granted:
        taken = min(amount, line.quantity - done)
        if taken == 0:
            continue
        done += taken
        upto = (Fraction(line.gross_kopecks * done, line.quantity)).__floor__()
        covered = Fraction(PERCENT[measure], 100)
        if measure in CAPPED and cap is not None and line.gross_kopecks:
            whole = Fraction(cap * line.quantity, 10**line.scale)
            covered *= min(Fraction(1), whole / line.gross_kopecks)
        total += half_up(covered * upto) - half_up(covered * before)
        before = upto
    return total


ALLOWANCES = st.lists(
    st.tuples(st.integers(0, 6_000), st.sampled_from(sorted(PERCENT))), min_size=1, max_size=4
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    allowances=ALLOWANCES,
    litres=st.integers(1, 20_000),
    gross=st.integers(0, 200_000),
    pieces=st.booleans(),
)
async def test_covered_amount_equals_the_model(
    world: asyncpg.Connection,
    allowances: list[tuple[int, str]],
    litres: int,
    gross: int,
    pieces: bool,
) -> None:
    line = pills(litres, gross) if pieces else water(litres, gross)
    unit: dict[str, Any] = {} if pieces else {"unit_okei": CUBIC_METRE, "scale": 3}
    async with undone(world) as centre:
        for priority, (granted, measure) in enumerate(allowances):
            item_class = "PILL" if pieces else "WATER"
            await grant(world, item_class, granted, measure, priority=priority, **unit)
        asked = sale(1, line, service="PART")
        ruling = await centre.decide_one(asked)
        parts = await centre.parts(asked)
        assert await audit(world) == []
    available = sum(granted for granted, _ in allowances)
    if available == 0:
        assert ruling.outcome == Outcome.ALLOWANCE_EXHAUSTED
        return
    covered = covered_model(line, allowances, 5_000 if pieces else 4_567)
    assert amounts(ruling) == [(covered, gross - covered)]
    assert (ruling.outcome == Outcome.APPROVED) is (available >= litres)
    assert sum(part[1] for part in parts) == litres
    assert sum(part[2] for part in parts) == gross
    assert sum(part[4] for part in parts) == min(available, litres)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    allowances=st.lists(
        st.tuples(st.integers(0, 60_000), st.sampled_from(sorted(PERCENT))), min_size=1, max_size=4
    ),
    quantity=st.integers(1, 20),
    gross=st.integers(0, 200_000),
)
async def test_kopecks_never_cover_more_than_the_line_costs(
    world: asyncpg.Connection, allowances: list[tuple[int, str]], quantity: int, gross: int
) -> None:
    async with undone(world) as centre:
        for priority, (granted, measure) in enumerate(allowances):
            unit = {"unit_okei": ROUBLE, "scale": 2}
            await grant(world, "PILL", granted, measure, priority=priority, **unit)
        asked = sale(1, pills(quantity, gross), service="MONEY")
        ruling = await centre.decide_one(asked)
        parts = await centre.parts(asked)
        assert await audit(world) == []
    # The first allowances' shares of the need, exactly; each change of percentage may round one
    # kopeck against the citizen.
    met, exact, changes = Fraction(0), Fraction(0), 0
    for granted, measure in allowances:
        whole = min(gross, 5_000 * quantity) if measure in CAPPED else gross
        need = half_up(Fraction(whole * PERCENT[measure], 100))
        if need and met < 1:
            taken = min(Fraction(granted), (1 - met) * need)
            met, exact, changes = met + taken / need, exact + taken, changes + 1
    covered = sum(part[3] for part in parts)
    assert exact - changes <= covered <= exact or ruling.outcome == Outcome.ALLOWANCE_EXHAUSTED
    assert all(0 <= part[3] <= part[2] for part in parts)
