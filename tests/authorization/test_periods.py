"""Where the periods of an allowance begin and end, and which day counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.authorization.world import DAY, NOW, Centre, grant, outcomes, pills, sale

FROM, TO = date(2023, 5, 17), date(2029, 3, 31)
TERM, DAILY, WEEKLY, MONTHLY, QUARTERLY, YEARLY = range(6)

PERIODS = [
    (TERM, date(2026, 3, 2), FROM, TO),
    (DAILY, date(2028, 2, 29), date(2028, 2, 29), date(2028, 2, 29)),
    (WEEKLY, date(2026, 3, 2), date(2026, 3, 2), date(2026, 3, 8)),
    (WEEKLY, date(2026, 3, 8), date(2026, 3, 2), date(2026, 3, 8)),
    # over New Year, and over February 29
    (WEEKLY, date(2027, 1, 1), date(2026, 12, 28), date(2027, 1, 3)),
    (WEEKLY, date(2028, 2, 29), date(2028, 2, 28), date(2028, 3, 5)),
    (MONTHLY, date(2028, 2, 29), date(2028, 2, 1), date(2028, 2, 29)),
    (MONTHLY, date(2027, 2, 28), date(2027, 2, 1), date(2027, 2, 28)),
    (MONTHLY, date(2026, 12, 31), date(2026, 12, 1), date(2026, 12, 31)),
    (QUARTERLY, date(2028, 2, 29), date(2028, 1, 1), date(2028, 3, 31)),
    (QUARTERLY, date(2026, 4, 1), date(2026, 4, 1), date(2026, 6, 30)),
    (QUARTERLY, date(2026, 12, 31), date(2026, 10, 1), date(2026, 12, 31)),
    (YEARLY, date(2028, 2, 29), date(2028, 1, 1), date(2028, 12, 31)),
    # cut short by the end of the allowance
    (WEEKLY, date(2029, 3, 30), date(2029, 3, 26), TO),
    (QUARTERLY, date(2029, 3, 1), date(2029, 1, 1), TO),
    (YEARLY, date(2029, 1, 1), date(2029, 1, 1), TO),
]


@pytest.mark.parametrize(("period", "day", "start", "end"), PERIODS)
async def test_period(
    world: asyncpg.Connection, period: int, day: date, start: date, end: date
) -> None:
    row = await world.fetchrow(
        "SELECT s, rights.period_end($1, s, $4) AS e FROM rights.period_start($1, $2, $3) AS s",
        period,
        day,
        FROM,
        TO,
    )
    assert row is not None
    assert tuple(row) == (start, end)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    period=st.integers(DAILY, YEARLY),
    day=st.dates(min_value=date(1990, 1, 1), max_value=date(2090, 1, 1)),
)
async def test_periods_follow_each_other_without_gap(
    world: asyncpg.Connection, period: int, day: date
) -> None:
    row = await world.fetchrow(
        """
        SELECT s, e, rights.period_start($1, s, $3) AS of_start,
            rights.period_start($1, e, $3) AS of_end, rights.period_start($1, e + 1, $3) AS next
        FROM rights.period_start($1, $2, $3) AS s, rights.period_end($1, s, $4) AS e
        """,
        period,
        day,
        FROM,
        date.max,
    )
    assert row is not None
    assert row["s"] <= day <= row["e"]
    assert (row["of_start"], row["of_end"]) == (row["s"], row["s"])
    assert row["next"] == row["e"] + timedelta(days=1)


# 19:00 UTC is midnight in Yekaterinburg.
MIDNIGHT = [
    (datetime(2026, 3, 2, 18, 59, 59, 999_000, tzinfo=UTC), date(2026, 3, 2)),
    (datetime(2026, 3, 2, 19, 0, tzinfo=UTC), date(2026, 3, 3)),
    (datetime(2026, 3, 31, 19, 0, tzinfo=UTC), date(2026, 4, 1)),
]


@pytest.mark.parametrize(("moment", "local"), MIDNIGHT)
async def test_online_the_centre_says_which_day_it_is_in_the_region(
    world: asyncpg.Connection, centre: Centre, moment: datetime, local: date
) -> None:
    await grant(world, "PILL", 5, period=DAILY)
    # The terminal's clock is five minutes off either way and does not count.
    for stan, off in enumerate((-5, 5), 1):
        asked = sale(
            stan,
            pills(1, 100),
            signed_at=moment + timedelta(minutes=off),
            business_date=local,
        )
        await centre.decide(asked, at=moment, posting=local)
    rows = await world.fetch("SELECT DISTINCT local_date FROM journal.event")
    assert [row["local_date"] for row in rows] == [local]
    rows = await world.fetch("SELECT period_start, used FROM rights.counter")
    assert [tuple(row) for row in rows] == [(local, 2)]


@pytest.mark.parametrize(("moment", "local"), MIDNIGHT)
async def test_offline_the_signed_time_counts(
    world: asyncpg.Connection, centre: Centre, moment: datetime, local: date
) -> None:
    await grant(world, "PILL", 5, period=DAILY)
    asked = sale(1, pills(1, 100), signed_at=moment, advice=True)
    await centre.decide(asked, at=moment + timedelta(days=2), posting=date(2026, 3, 5))
    rows = await world.fetch("SELECT local_date, posting_date FROM journal.event")
    assert [tuple(row) for row in rows] == [(local, date(2026, 3, 5))]
    rows = await world.fetch("SELECT period_start, used FROM rights.counter")
    assert [tuple(row) for row in rows] == [(local, 1)]


async def test_the_cards_region_counts_not_the_terminals(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await world.execute("UPDATE rights.card_authority SET region = 77")
    await grant(world, "PILL", 5, period=DAILY)
    moment = datetime(2026, 3, 2, 19, 30, tzinfo=UTC)
    await centre.decide(sale(1, pills(1, 100), signed_at=moment), at=moment)
    # 22:30 in Moscow, half past midnight in Yekaterinburg.
    assert await world.fetchval("SELECT local_date FROM journal.event") == DAY


@pytest.mark.parametrize(
    ("period", "next_period"),
    [
        (DAILY, date(2026, 3, 3)),
        (WEEKLY, date(2026, 3, 9)),
        (MONTHLY, date(2026, 4, 1)),
        (QUARTERLY, date(2026, 4, 1)),
    ],
)
async def test_a_new_period_brings_a_new_grant(
    world: asyncpg.Connection, centre: Centre, period: int, next_period: date
) -> None:
    await grant(world, "PILL", 2, period=period)
    noon = NOW.replace(hour=9)

    async def on(day: date, stan: int) -> int:
        at = noon + (day - DAY)
        asked = sale(stan, pills(2, 100), signed_at=at, business_date=day)
        return (await centre.decide_one(asked, at=at, posting=day)).outcome

    last = next_period - timedelta(days=1)
    assert [await on(DAY, 1), await on(last, 2)] == [703, 602]
    assert [await on(next_period, 3), await on(next_period, 4)] == [703, 602]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (DAY, DAY, 703),
        (DAY + timedelta(days=1), date(2026, 12, 31), 601),
        (date(2026, 1, 1), DAY - timedelta(days=1), 601),
    ],
)
async def test_an_allowance_counts_from_its_first_day_to_its_last(
    world: asyncpg.Connection, centre: Centre, first: date, last: date, expected: int
) -> None:
    await grant(world, "PILL", 2, valid_from=first, valid_to=last)
    assert outcomes(await centre.decide(sale(1, pills(1, 100)))) == [expected]
