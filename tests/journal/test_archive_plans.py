"""What a transaction costs does not grow with history: deciding touches the months it names.

The months are analysed while they are empty and filled afterwards, as at every turn of a month:
the statistics that the planner then has say that there is nothing in them.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import asyncpg
import pytest

from processing.authorization.model import Case
from tests.authorization.world import pills, reversal, sale
from tests.journal.history import SPRING, centre_of
from tests.plugins.postgres import Database

ROWS_PER_MONTH = 10_000
MONTHS = ("2026_02", "2026_03", "2026_04")
BY_INDEX = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
SCAN = re.compile(
    r"(?P<how>[A-Z][A-Za-z ]*Scan)(?: Backward)?(?: using \S+)? on "
    r"(?P<table>(?:event|line)_(?:\d{4}_\d\d|other))\b.*?\((?P<actual>actual|never executed)"
)
FILL = """
    INSERT INTO journal.{table}
    SELECT r.*
    FROM journal.{table} AS t
    CROSS JOIN generate_series(1, $2::integer) AS n
    CROSS JOIN LATERAL jsonb_populate_record(t, jsonb_build_object(
        'business_date', $1::date + n % 28, 'posting_date', $1::date + n % 28,
        'terminal_id', format('H%s', lpad((n % 50)::text, 7, '0')), 'stan', 100000 + n,
        'lane', 1000, 'block', 1 + n / 100, 'ordinal', n % 100
    )) AS r
    WHERE t.stan = 1 AND t.business_date = '2026-02-27'
"""


@pytest.fixture
async def long_history(history: Database) -> Database:
    """Give the history with many rows in each month, and statistics from before them."""
    async with history.connect() as admin:
        await admin.execute("SELECT journal.ensure_partitions('2026-05-01', '2027-12-31')")
        for month in MONTHS:
            for table in ("event", "line"):
                await admin.execute(
                    f"ALTER TABLE journal.{table}_{month} SET (autovacuum_enabled = off)"
                )
        for month in MONTHS:
            for table in ("event", "line"):
                first_day = date.fromisoformat(f"{month.replace('_', '-')}-01")
                await admin.execute(FILL.format(table=table), first_day, ROWS_PER_MONTH)
    return history


async def scans_of(connection: asyncpg.Connection, *cases: Case) -> set[tuple[str, str]]:
    """Return how the decision of `cases` in April read which table, as it was really done."""
    told: list[str] = []

    def hear(_: Any, message: asyncpg.PostgresLogMessage) -> None:
        told.append(str(message))

    connection.add_log_listener(hear)
    await connection.execute("""
        LOAD 'auto_explain';
        SET auto_explain.log_min_duration = 0;
        SET auto_explain.log_nested_statements = on;
        SET auto_explain.log_analyze = on;
        SET auto_explain.log_timing = off;
        SET client_min_messages = log;
    """)
    centre = centre_of(connection)
    centre.block = 100
    transaction = connection.transaction()
    await transaction.start()
    await centre.decide(*cases, at=SPRING, posting=SPRING.date())
    await transaction.rollback()
    connection.remove_log_listener(hear)
    return {
        (found["how"], found["table"])
        for message in told
        for found in SCAN.finditer(message)
        if found["actual"] == "actual"
    }


def april_sale(stan: int) -> Case:
    return sale(stan, pills(1, 100), business_date=SPRING.date(), signed_at=SPRING)


async def test_deciding_reads_only_the_months_it_names(long_history: Database) -> None:
    sales = [april_sale(stan) for stan in range(10, 40)]
    replay = sale(1, pills(2, 500), business_date=date(2026, 2, 27))
    original = sale(3, pills(1, 100), pills(1, 250, "PILL-B"))
    back = reversal(60, original, business_date=SPRING.date(), signed_at=SPRING)
    async with long_history.connect() as admin:
        read = [await scans_of(admin, *cases) for cases in (sales, [replay], [back])]
        rows = await admin.fetch(
            "EXPLAIN (COSTS OFF) SELECT * FROM journal.event WHERE lane = 1000 AND block = 7 "
            "ORDER BY ordinal"
        )
    assert [{table for _, table in scans} for scans in read] == [
        {"event_2026_04"},
        {"event_2026_02"},
        {"event_2026_03", "event_2026_04", "line_2026_03"},
    ]
    assert {how for scans in read for how, _ in scans} <= BY_INDEX
    # A block is found by its place, whatever month it lies in.
    plan = "\n".join(row[0] for row in rows)
    for month in MONTHS:
        assert f"event_{month}_lane_block_ordinal_idx" in plan
        assert f"Seq Scan on event_{month}" not in plan
