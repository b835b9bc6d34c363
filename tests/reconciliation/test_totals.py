"""A day's totals by terminal, worked out by hand in tests/reconciliation/day.py."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import pytest

from processing.kernel.database import REPORTING_LIMITS, open_pool
from processing.kernel.roles import Role
from processing.kernel.target_pools import alone
from processing.reconciliation.export import read_day
from processing.reconciliation.model import Amounts, Balance, DayBasis, DayOrder, DayReport
from processing.wire.iso8583.messages import Settlement, TerminalTotals
from tests.plugins.postgres import Database
from tests.reconciliation.day import (
    CLINIC,
    DAY,
    NEXT_DAY,
    PHARMACY,
    PHARMACY_1,
    PHARMACY_2,
    QUIET_DAY,
    SETTLEMENTS,
    decide,
    line,
    reversal,
    sale,
    settle,
)

Result = TypeVar("Result")


def wait(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end; the fixtures of this folder need no running loop."""
    return asyncio.run(work)


async def report_of(database: Database, order: DayOrder) -> DayReport:
    """Read a day as finance does."""
    pool = await open_pool(database.dsn(Role.FINANCE), Role.FINANCE, "tests", REPORTING_LIMITS)
    try:
        return await read_day(alone(pool), order)
    finally:
        await pool.close()


CASES = [
    (
        "business date",
        DayOrder(DAY),
        {
            CLINIC: (1, 0, Amounts(150_000, 150_000, 0)),
            PHARMACY_1: (5, 1, Amounts(40_503, 17_552, 22_951)),
            PHARMACY_2: (1, 0, Amounts(200, 100, 100)),
        },
    ),
    (
        "next business date",
        DayOrder(NEXT_DAY),
        {PHARMACY_2: (0, 1, Amounts(-200, -100, -100))},
    ),
    (
        "posting date",
        DayOrder(DAY, DayBasis.POSTING),
        {
            CLINIC: (1, 0, Amounts(150_000, 150_000, 0)),
            PHARMACY_1: (3, 1, Amounts(40_003, 17_502, 22_501)),
            PHARMACY_2: (1, 0, Amounts(200, 100, 100)),
        },
    ),
    (
        "next posting date",
        DayOrder(NEXT_DAY, DayBasis.POSTING),
        {
            PHARMACY_1: (2, 0, Amounts(500, 50, 450)),
            PHARMACY_2: (0, 1, Amounts(-200, -100, -100)),
        },
    ),
    (
        "one provider",
        DayOrder(DAY, DayBasis.BUSINESS, PHARMACY),
        {
            PHARMACY_1: (5, 1, Amounts(40_503, 17_552, 22_951)),
            PHARMACY_2: (1, 0, Amounts(200, 100, 100)),
        },
    ),
    ("quiet day", DayOrder(QUIET_DAY), {}),
]


def test_totals(region: Database) -> None:
    for name, order, expected in CASES:
        report = wait(report_of(region, order))
        found = {
            one.terminal_id: (one.sale_count, one.reversal_count, one.amounts)
            for one in report.terminals
        }
        assert found == expected, name
        whole = sum((amounts for _, _, amounts in expected.values()), Amounts())
        assert report.amounts == whole, name
        nothing = Balance.NOT_SETTLED if order.basis is DayBasis.BUSINESS else Balance.NOT_COMPARED
        assert {one.balance for one in report.terminals} <= {nothing}, name


def test_a_sale_and_its_reversal_are_nothing(region: Database) -> None:
    async def work() -> None:
        pool = await open_pool(region.dsn(), Role.PROCESSING, "tests")
        try:
            given = sale(CLINIC, 7, line("VISIT-1", 1, 99_999), service="VISIT")
            await decide(pool, 101, DAY, given)
            await decide(pool, 102, DAY, reversal(CLINIC, 8, 7))
        finally:
            await pool.close()

    before = {one.terminal_id: one for one in wait(report_of(region, DayOrder(DAY))).terminals}
    wait(work())
    after = {one.terminal_id: one for one in wait(report_of(region, DayOrder(DAY))).terminals}
    assert after[CLINIC].amounts == before[CLINIC].amounts
    assert (after[CLINIC].sale_count, after[CLINIC].reversal_count) == (2, 1)
    assert after[PHARMACY_1] == before[PHARMACY_1]


def test_terminals_in_balance(region: Database) -> None:
    for terminal_id, totals in SETTLEMENTS.items():
        answer = wait(settle(region, terminal_id, totals))
        assert (answer.settlement, answer.totals) == (Settlement.IN_BALANCE, totals), terminal_id
    report = wait(report_of(region, DayOrder(DAY)))
    assert {one.balance for one in report.terminals} == {Balance.IN_BALANCE}
    assert report.different == ()
    for one in report.terminals:
        assert one.settlement is not None
        assert one.settlement.terminal == one.settlement.centre == SETTLEMENTS[one.terminal_id]


@pytest.mark.parametrize("field", TerminalTotals.__struct_fields__)
def test_one_number_off_is_a_difference(region: Database, field: str) -> None:
    mine = SETTLEMENTS[PHARMACY_1]
    wrong = msgspec.structs.replace(mine, **{field: getattr(mine, field) + 1})
    answer = wait(settle(region, PHARMACY_1, wrong))
    assert (answer.settlement, answer.totals) == (Settlement.OUT_OF_BALANCE, mine)
    (one,) = wait(report_of(region, DayOrder(DAY))).different
    assert one.terminal_id == PHARMACY_1
    assert one.settlement is not None
    assert (one.settlement.terminal, one.settlement.centre) == (wrong, mine)


def test_the_last_settlement_counts(region: Database) -> None:
    mine = SETTLEMENTS[CLINIC]
    wrong = msgspec.structs.replace(mine, paid_kopecks=5)
    wait(settle(region, CLINIC, wrong))
    wait(settle(region, CLINIC, mine, after_minutes=1))
    balances = {
        one.terminal_id: one.balance for one in wait(report_of(region, DayOrder(DAY))).terminals
    }
    assert balances[CLINIC] is Balance.IN_BALANCE
    wait(settle(region, CLINIC, wrong, after_minutes=2))
    assert [one.terminal_id for one in wait(report_of(region, DayOrder(DAY))).different] == [CLINIC]


def test_what_comes_after_the_settlement_is_a_difference(region: Database) -> None:
    wait(settle(region, CLINIC, SETTLEMENTS[CLINIC]))

    async def late() -> None:
        pool = await open_pool(region.dsn(), Role.PROCESSING, "tests")
        try:
            request = sale(CLINIC, 9, line("VISIT-1", 1, 100), service="VISIT", advice=True)
            await decide(pool, 101, NEXT_DAY, request)
        finally:
            await pool.close()

    wait(late())
    (one,) = wait(report_of(region, DayOrder(DAY))).different
    assert one.settlement is not None
    assert one.settlement.centre.approved_count == SETTLEMENTS[CLINIC].approved_count + 1


def test_a_terminal_that_settled_and_sold_nothing(region: Database) -> None:
    nothing = TerminalTotals(
        approved_count=0,
        gross_kopecks=0,
        covered_kopecks=0,
        paid_kopecks=0,
        reversed_count=0,
        reversed_covered_kopecks=0,
    )

    async def settle_quiet_day() -> None:
        async with region.connect(Role.PROCESSING) as connection:
            await connection.execute(
                "SELECT reconciliation.settle_terminal($1, $2, 1, $3, 0, 0, 0, 0, 0, 0, 0, 0)",
                CLINIC,
                QUIET_DAY,
                datetime(2026, 11, 19, 12, tzinfo=UTC),
            )

    wait(settle_quiet_day())
    (one,) = wait(report_of(region, DayOrder(QUIET_DAY))).terminals
    assert (one.terminal_id, one.provider_code) == (CLINIC, "CLINIC-1")
    assert (one.amounts, one.balance) == (Amounts(), Balance.IN_BALANCE)
    assert one.settlement is not None
    assert one.settlement.centre == nothing


def test_a_reversal_of_an_assigned_advice_takes_back_that_one(region: Database) -> None:
    """Number 1 of PH000001 names two transactions; the card's latest is the one taken back."""

    async def work() -> None:
        pool = await open_pool(region.dsn(), Role.PROCESSING, "tests")
        try:
            await decide(pool, 101, NEXT_DAY, reversal(PHARMACY_1, 50, 1, NEXT_DAY))
        finally:
            await pool.close()

    wait(work())
    mine = msgspec.structs.replace(SETTLEMENTS[PHARMACY_1], reversed_count=2)
    answer = wait(settle(region, PHARMACY_1, mine))
    assert answer.totals == mine
