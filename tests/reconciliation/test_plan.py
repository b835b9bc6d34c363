"""How PostgreSQL reads a day: one month's partition, through an index, in the order of the key."""

from __future__ import annotations

import asyncio
import re

import pytest

from processing.kernel.roles import Role
from processing.reconciliation.model import DayBasis
from processing.reconciliation.store import _LINES
from tests.plugins.postgres import Database
from tests.reconciliation.day import DAY

# Two days of a month with another month beside it: enough that a plan for a few rows differs.
COPIES = """
    SET session_replication_role = replica;
    INSERT INTO journal.event SELECT (jsonb_populate_record(e, jsonb_build_object(
        'business_date', d, 'posting_date', d, 'stan', 1000 + n))).*
    FROM journal.event AS e, generate_series(1, 1500) AS n,
        unnest(ARRAY['2026-11-20', '2026-11-25', '2026-12-10']::date []) AS d
    WHERE e.stan = 1 AND e.terminal_id = 'CL000001';
    INSERT INTO journal.line SELECT (jsonb_populate_record(l, jsonb_build_object(
        'business_date', d, 'stan', 1000 + n))).*
    FROM journal.line AS l, generate_series(1, 1500) AS n,
        unnest(ARRAY['2026-11-20', '2026-11-25', '2026-12-10']::date []) AS d
    WHERE l.stan = 1 AND l.terminal_id = 'CL000001';
    ANALYZE;
"""


def plan_of(database: Database, query: str, *arguments: object) -> str:
    """Return the plan that finance's session gets."""

    async def work() -> str:
        async with database.connect() as admin:
            await admin.execute(COPIES)
        async with database.connect(Role.FINANCE) as connection:
            rows = await connection.fetch(f"EXPLAIN {query}", *arguments)
        return "\n".join(row[0] for row in rows)

    return asyncio.run(work())


@pytest.mark.parametrize("provider", [None, "APTEKA-1"])
def test_lines_of_a_business_date_come_from_one_partition(
    region: Database, provider: str | None
) -> None:
    plan = plan_of(region, _LINES[DayBasis.BUSINESS], DAY, provider)
    assert set(re.findall(r"\b(?:event|line)_(?:20\d\d_\d\d|other)\b", plan)) == {
        "event_2026_11",
        "line_2026_11",
    }
    assert "Seq Scan on event_" not in plan


def test_events_of_a_posting_date_come_through_its_index(region: Database) -> None:
    plan = plan_of(region, _LINES[DayBasis.POSTING], DAY, None)
    assert "event_2026_11_posting_date_terminal_id_idx" in plan
    assert "Seq Scan on event_2026_11" not in plan


def test_totals_of_a_business_date_come_from_one_partition(region: Database) -> None:
    query = "SELECT * FROM reconciliation.event_total WHERE business_date = $1"
    plan = plan_of(region, query, DAY)
    assert set(re.findall(r"\bevent_(?:20\d\d_\d\d|other)\b", plan)) == {"event_2026_11"}
