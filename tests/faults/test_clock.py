"""Clocks that are wrong, that jump, and days that are not twenty-four hours long.

The centre's wall clock stamps decisions and begins allowance periods; nothing waits by it. In
whole processes it is moved with libfaketime (Debian's package faketime), which leaves the
monotonic clock alone as a jump of a machine's clock does; in this process it is a `ManualClock`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from hsm_stub.key_material import KeyMaterial
from processing.kernel.clock import ManualClock
from processing.wire.outcome import Outcome
from processing.wire.transaction import MessageClass, TransactionKey
from tests.faults.auditor import audit_run, receipt_public_key_of
from tests.faults.counters import TRAFFIC, Counted, Counters
from tests.faults.load import Load
from tests.faults.pair import end_sessions, serving_pair
from tests.plugins.centre import Programs
from tests.plugins.faults import SEEN, FaultPlan
from tests.plugins.live_centre import LiveCentre, Port
from tests.plugins.postgres import Database
from tests.plugins.targets import Databases
from tests.plugins.town import (
    SHOPS,
    ZONE,
    Shop,
    add_citizen,
    build_town,
    business_day,
    citizen,
    now_ms,
)
from tests.workers.crew import Crew

FAKETIME: Final = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
HOUR_SECONDS: Final = 3_600
TOLD_BETWEEN: Final = 40
RECOVERED_SECONDS: Final = 30.0
"""So soon after a jump, with all database sessions ended, decisions must come again; a wait that
lasted until the wall clock is back would take an hour."""

DAILY, MONTHLY, YEARLY = 1, 3, 5
SKEWS: Final = (HOUR_SECONDS, 0, -HOUR_SECONDS, 26 * HOUR_SECONDS, 0)


@pytest.mark.timeout(240)
@pytest.mark.skipif(not FAKETIME, reason="needs the Debian package faketime")
async def test_a_jump_of_the_centres_clock_expires_and_stalls_nothing(
    programs: Programs,
    database: Database,
    town_keys: KeyMaterial,
    tmp_path: Path,
    fault_plan: FaultPlan,
    record_property: Callable[[str, object], None],
) -> None:
    async with database.connect() as connection:
        await build_town(connection, granted=60)
    clock = tmp_path / "clock"
    clock.write_text("+0s\n")
    crew = Crew(
        programs,
        SPK_DSN=database.superuser_dsn,
        LD_PRELOAD=str(FAKETIME[0]),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        DONT_FAKE_MONOTONIC="1",
    )
    counters = Counters()
    load = Load(crew.line, counters, fault_plan.seed)
    idle, shop = await crew.line(SHOPS[0]), Shop(SHOPS[0], 900_000)
    async with load.running():
        for _ in fault_plan.rounds():
            for skew_seconds in SKEWS:
                await load.more(TOLD_BETWEEN)
                cut = counters[Counted.LINES_CUT]
                clock.write_text(f"{skew_seconds:+d}s\n")
                counters.add(Counted.CLOCK_JUMPS)
                # By the wall clock this connection was silent for longer than it may be.
                sale = shop.sale(citizen(1))
                answer = await idle.decide(sale)
                await load.ledger.enter(sale, answer)
                wrong = answer.outcome is Outcome.CLOCK_WRONG
                assert wrong is (skew_seconds != 0), (skew_seconds, answer)
                assert wrong is ({"centre", "signed"} <= answer.facts.keys())
                began = time.monotonic()
                await end_sessions(database)
                await load.more(TOLD_BETWEEN)
                assert time.monotonic() - began < RECOVERED_SECONDS
                assert counters[Counted.LINES_CUT] == cut
        await load.more(0, TRAFFIC)
    await idle.close()
    await load.ask_all_again()
    async with database.connect() as connection:
        found = await audit_run(connection, load.ledger, receipt_public_key_of(town_keys))
    record_property(SEEN, f"{counters}")
    assert found == []
    counters.check({*TRAFFIC, Counted.CLOCK_JUMPS})


def at(text: str) -> int:
    """Return a UTC moment in milliseconds since 1970."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


PERIODS = [
    # Moscow's midnight is 21:00 UTC, all the year
    (ZONE, DAILY, "2026-11-21T20:59:59.999", "2026-11-21T21:00:00"),
    (ZONE, MONTHLY, "2027-02-28T20:59:59.999", "2027-02-28T21:00:00"),
    (ZONE, MONTHLY, "2028-02-29T20:59:59.999", "2028-02-29T21:00:00"),
    (ZONE, YEARLY, "2026-12-31T20:59:59.999", "2026-12-31T21:00:00"),
    # Berlin: a day of 23 hours
    ("Europe/Berlin", DAILY, "2026-03-28T22:59:59.999", "2026-03-28T23:00:00"),
    ("Europe/Berlin", DAILY, "2026-03-29T21:59:59.999", "2026-03-29T22:00:00"),
    # and one of 25
    ("Europe/Berlin", DAILY, "2026-10-24T21:59:59.999", "2026-10-24T22:00:00"),
    ("Europe/Berlin", DAILY, "2026-10-25T22:59:59.999", "2026-10-25T23:00:00"),
    # the hour that comes twice, and the one that never comes, are inside of a day
    ("Europe/Berlin", MONTHLY, "2026-10-31T22:59:59.999", "2026-10-31T23:00:00"),
    # a region where the clocks change at midnight: this day begins at one o'clock
    ("America/Havana", DAILY, "2026-03-08T04:59:59.999", "2026-03-08T05:00:00"),
    ("America/Havana", DAILY, "2026-03-09T03:59:59.999", "2026-03-09T04:00:00"),
]


@pytest.mark.parametrize("zone", sorted({zone for zone, *_ in PERIODS}))
async def test_periods_begin_at_the_regions_midnight(
    database: Database, town_keys: KeyMaterial, zone: str
) -> None:
    async with database.connect() as connection:
        await build_town(connection, citizens=0)
        await connection.execute("UPDATE regulations.region SET time_zone = $1", zone)
        for number, row in enumerate(PERIODS, 1):
            await add_citizen(connection, citizen(number), 1)
            await connection.execute(
                "UPDATE rights.allowance SET period = $1 WHERE holder_id = $2::uuid",
                row[1],
                citizen(number).holder_id.hex(),
            )
    clock = ManualClock(zone, 0)
    databases = Databases({1: database})
    async with LiveCentre(databases, town_keys, Port(clock=clock)).serving() as live:
        line, shop = await live.line(), Shop()
        for number, (of_zone, _, last, first) in enumerate(PERIODS, 1):
            if of_zone != zone:
                continue
            given = []
            half_an_hour = timedelta(minutes=30) // timedelta(milliseconds=1)
            for moment in (at(last) - half_an_hour, at(last), at(first), at(first) + half_an_hour):
                clock.set_utc_ms(moment)
                key = TransactionKey(
                    clock.local_date(), shop.terminal_id, shop.stan(), MessageClass.FINANCIAL
                )
                sale = shop.sale(citizen(number), key=key, signed_at_ms=moment)
                given.append((await line.decide(sale)).outcome)
            once = [Outcome.APPROVED, Outcome.ALLOWANCE_EXHAUSTED]
            assert given == once + once, (zone, last, given)


MINUTE_MS: Final = 60_000
WRONG_CLOCKS: list[tuple[int, int, bool, Outcome]] = [
    # the terminal's clock minus the centre's in ms, its date minus the centre's, advice, outcome
    (0, 0, False, Outcome.APPROVED),
    (14 * MINUTE_MS, 0, False, Outcome.APPROVED),
    (-14 * MINUTE_MS, 0, False, Outcome.APPROVED),
    (16 * MINUTE_MS, 0, False, Outcome.CLOCK_WRONG),
    (-16 * MINUTE_MS, 0, False, Outcome.CLOCK_WRONG),
    (-60 * MINUTE_MS, 0, False, Outcome.CLOCK_WRONG),
    (0, 1, False, Outcome.APPROVED),
    (0, 2, False, Outcome.CLOCK_WRONG),
    (0, -3, False, Outcome.APPROVED),
    (0, -4, False, Outcome.CLOCK_WRONG),
    # what happened is recorded, in conflict where it cannot have happened then
    (-60 * MINUTE_MS, 0, True, Outcome.APPROVED),
    (16 * MINUTE_MS, 0, True, Outcome.RECORDED_IN_CONFLICT),
    (0, -4, True, Outcome.RECORDED_IN_CONFLICT),
]


async def test_a_terminal_with_a_wrong_clock_is_told_both_times(live: LiveCentre) -> None:
    line, shop = await live.line(), Shop()
    for skew_ms, days, advice, outcome in WRONG_CLOCKS:
        signed_at_ms = now_ms() + skew_ms
        day = business_day() + timedelta(days=days)
        key = TransactionKey(day, shop.terminal_id, shop.stan(), MessageClass.FINANCIAL)
        sale = shop.sale(citizen(1), key=key, signed_at_ms=signed_at_ms, advice=advice)
        answer = await line.decide(sale)
        assert answer.outcome is outcome, (skew_ms, days, advice)
        if outcome is Outcome.CLOCK_WRONG:
            signed = datetime.fromtimestamp(signed_at_ms // 1000, UTC)
            assert answer.facts["signed"] == f"{signed:%Y-%m-%dT%H:%M:%SZ}"
            centre = datetime.fromisoformat(answer.facts["centre"]).timestamp()
            assert abs(centre - now_ms() / 1000) < RECOVERED_SECONDS


@pytest.mark.parametrize(
    "midnight", ["2028-02-29T21:00:00", "2026-12-31T21:00:00"], ids=["leap month", "year"]
)
async def test_a_load_over_midnight_with_a_clock_that_goes_back(
    database: Database,
    town_keys: KeyMaterial,
    monkeypatch: pytest.MonkeyPatch,
    midnight: str,
    fault_plan: FaultPlan,
    record_property: Callable[[str, object], None],
) -> None:
    clock = ManualClock(ZONE, at(midnight) - 2 * MINUTE_MS)
    # The terminals' clocks agree with the centre's.
    monkeypatch.setattr("tests.plugins.town.now_ms", clock.utc_ms)
    async with serving_pair(database, town_keys, clock=clock) as pair:
        async with database.connect() as connection:
            await connection.execute("UPDATE rights.allowance SET period = $1", MONTHLY)
        load = Load(pair.connect, pair.counters, fault_plan.seed, pause_seconds=0.01)
        async with load.running():
            for offset_minutes in (-1, 0, 1, -59, 60, 0, 2):
                await load.more(TOLD_BETWEEN)
                clock.set_utc_ms(at(midnight) + offset_minutes * MINUTE_MS)
                pair.counters.add(Counted.CLOCK_JUMPS)
            await load.more(TOLD_BETWEEN, TRAFFIC)
        found = await pair.findings(load)
    record_property(SEEN, f"{pair.counters}")
    assert found == []
    pair.counters.check({*TRAFFIC, Counted.CLOCK_JUMPS})
    async with database.connect() as connection:
        days = await connection.fetch("SELECT DISTINCT posting_date FROM journal.event")
        periods = await connection.fetch("SELECT DISTINCT period_start FROM rights.counter")
    first = datetime.fromisoformat(midnight).date() + timedelta(days=1)
    assert {row["posting_date"] for row in days} == {first - timedelta(days=1), first}
    assert {row["period_start"] for row in periods} == {first, _month_before(first)}


def _month_before(first: date) -> date:
    return (first - timedelta(days=1)).replace(day=1)
