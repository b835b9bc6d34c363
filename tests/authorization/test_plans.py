"""However many rows there are, a batch finds its own through indexes."""

from __future__ import annotations

import re
from datetime import timedelta

import asyncpg
import pytest

from processing.authorization.model import Case
from tests.authorization.world import (
    DAY,
    NOW,
    Centre,
    completion,
    goods_back,
    grant,
    inquiry,
    pills,
    reserve,
    reversal,
    sale,
)
from tests.plugins.postgres import Database

ROWS = 20_000

_FILL = """
    SELECT journal.ensure_partitions('2025-09-01', '2026-09-30');
    INSERT INTO rights.allowance
    SELECT rights.bucket_of(h), h, gen_random_uuid(), gen_random_uuid(), 'FULL', 'VETERAN',
        'federal', 'PILL', 796, 0, 100, n % 6, '2026-01-01', '2026-12-31', 100
    FROM (SELECT n, md5(n::text)::uuid AS h FROM generate_series(1, {rows}) AS n) AS x;
    INSERT INTO rights.counter
    SELECT a.bucket, a.allowance_id, '2026-03-02', 1, a.granted FROM rights.allowance AS a;
    INSERT INTO rights.card_authority
    SELECT a.bucket, a.holder_id, gen_random_uuid(), 66, NULL, '2026-01-01', '2026-12-31', 1,
        '2030-12-31'
    FROM rights.allowance AS a;
    INSERT INTO journal.event
    SELECT 1, '2025-09-01'::date + n % 390, 'T' || lpad((n % 500)::text, 7, '0'), n, 2, 0, 9, n, 0,
        1, FALSE, 1, gen_random_uuid(), gen_random_uuid(), 'MED', 2, NULL, NULL, NULL, NULL, now(),
        '2026-01-01', '2026-01-01', now(), '\\x00', '\\x00', '', 602, '', NULL, NULL, NULL
    FROM generate_series(1, {rows}) AS n;
    INSERT INTO journal.line
    SELECT e.bucket, e.business_date, e.terminal_id, e.stan, e.message_class, e.assigned, 1, 1,
        'PILL', 1, 1, 1, 0, NULL, NULL, 0
    FROM journal.event AS e;
    ANALYZE rights.allowance, rights.counter, rights.card_authority, journal.event, journal.line;
"""

_CHILDREN = """
    INSERT INTO journal.child
    SELECT e.bucket, e.business_date, e.terminal_id, e.stan, e.message_class, e.assigned, 1, 6, 0,
        e.business_date, e.terminal_id, e.stan, 4, 0
    FROM journal.event AS e;
    INSERT INTO rights.reservation
    SELECT e.bucket, e.business_date, e.terminal_id, e.stan, 0, '2027-01-01'
    FROM journal.event AS e;
    ANALYZE journal.child, rights.reservation;
"""


async def plans_of(world: asyncpg.Connection, centre: Centre, *cases: Case) -> str:
    """Return the plan of every statement that deciding a batch, or an expiry, runs."""
    plans: list[str] = []
    world.add_log_listener(lambda _, message: plans.append(str(message)))
    await world.execute(
        "LOAD 'auto_explain'; SET LOCAL auto_explain.log_min_duration = 0;"
        "SET LOCAL auto_explain.log_nested_statements = on; SET LOCAL client_min_messages = log;"
        "SET LOCAL auto_explain.log_analyze = on; SET LOCAL auto_explain.log_timing = off;"
        "SET LOCAL auto_explain.log_level = log"
    )
    if cases:
        await centre.decide(*cases)
    else:
        await world.execute(
            "SELECT engine.expire($1, $2, $3, $4, 9)",
            centre.lane,
            centre.block,
            NOW + timedelta(hours=1),
            DAY,
        )
    await world.execute("SET LOCAL auto_explain.log_min_duration = -1")
    return "\n".join(plans)


async def test_a_batch_reads_through_indexes(built: Database) -> None:
    # The rows are no decisions, so this world is not audited.
    async with built.connect() as world:
        transaction = world.transaction()
        await transaction.start()
        await world.execute(_FILL.format(rows=ROWS))
        pill = await grant(world, "PILL", 50)
        centre = Centre(world)
        before = sale(1, pills(1, 100))
        await centre.decide(before)
        plans = await plans_of(
            world,
            centre,
            before,
            sale(2, pills(1, 100), pills(2, 100)),
            sale(3, pills(1, 100), advice=True),
            inquiry(4),
            reversal(5, before),
        )
        assert await centre.used(pill) == 4
        await transaction.rollback()

    assert re.findall(r"Seq Scan on [^\n]*", plans) == []
    for table, index in (
        ("allowance", "allowance_pkey"),
        ("counter", "counter_pkey"),
        ("card_authority", "card_authority_(pkey|card)"),
        ("child", "(child_pkey|child_key)"),
        ("event_2026_03", "event_2026_03_pkey"),
        ("line_2026_03", "line_2026_03_pkey"),
    ):
        assert re.search(rf"Index (Only )?Scan using {index} on {table}\b", plans), index
    # Of the months only the request's own is looked into.
    touched = re.findall(r"Scan (?:using \S+ )?on (?:event|line)_(\w+) [^\n]*\(actual", plans)
    assert set(touched) == {f"{DAY:%Y_%m}"}


async def test_usual_sales_are_decided_and_written_by_one_statement(built: Database) -> None:
    async with built.connect() as world:
        transaction = world.transaction()
        await transaction.start()
        await world.execute(_FILL.format(rows=ROWS))
        await grant(world, "PILL", 50)
        centre = Centre(world)
        await centre.decide(sale(1, pills(1, 100)))
        plans = await plans_of(world, centre, *(sale(stan, pills(1, 100)) for stan in range(2, 9)))
        await transaction.rollback()

    assert "Insert on event" in plans
    # What is not usual goes through engine.claims, by joins of the batch's arrays.
    assert "Hash" not in plans
    assert re.findall(r"Seq Scan on [^\n]*", plans) == []
    # Seven draw on one allowance; its counter is raised once.
    assert re.search(r"Update on counter [^\n]*\n *-> +Nested Loop [^\n]*rows=1(\.00)? ", plans)
    assert re.search(r"Index Scan using counter_pkey on counter\b", plans)


@pytest.mark.parametrize(("pages", "rows"), [(0, 0), (1, 0), (1, 1), (1, 60), (1000, 60_000)])
async def test_counters_are_locked_in_the_batch_s_order_whatever_the_statistics(
    built: Database, pages: int, rows: float
) -> None:
    # A scan of all counters looks cheap where next to nothing was counted. They would then be
    # locked in the order in which they lie there, and two batches block each other in a circle.
    async with built.connect() as world:
        transaction = world.transaction()
        await transaction.start()
        await grant(world, "PILL", 50)
        centre = Centre(world)
        await centre.decide(sale(1, pills(1, 100)))
        await world.execute(
            "SELECT pg_restore_relation_stats('schemaname', 'rights', 'relname', 'counter',"
            " 'relpages', $1::integer, 'reltuples', $2::real)",
            pages,
            rows,
        )
        plans = await plans_of(world, centre, *(sale(stan, pills(1, 100)) for stan in range(2, 9)))
        await transaction.rollback()

    _, update, below = plans.partition("Update on counter")
    assert update
    assert below.index("Sort") < below.index("Index Scan using counter_pkey on counter")


async def test_what_changes_another_is_found_through_indexes(built: Database) -> None:
    async with built.connect() as world:
        transaction = world.transaction()
        await transaction.start()
        await world.execute(_FILL.format(rows=ROWS))
        await world.execute(_CHILDREN)
        await grant(world, "PILL", 50)
        centre = Centre(world)
        held, sold, due = reserve(1, pills(2, 200)), sale(2, pills(3, 300)), reserve(3, pills(1, 1))
        back = goods_back(4, sold, pills(1, 100))
        await centre.decide(held, sold, due, back)
        plans = await plans_of(
            world,
            centre,
            completion(5, held, pills(1, 100)),
            goods_back(6, sold, pills(1, 100)),
            reversal(7, back),
        )
        plans += await plans_of(world, centre)
        expired = await world.fetchval("SELECT count(*) FROM journal.event WHERE kind = 9")
        await transaction.rollback()

    assert expired == 1
    assert re.findall(r"Seq Scan on [^\n]*", plans) == []
    for table, index in (
        ("reservation", "reservation_(due|pkey)"),
        ("child", "child_pkey"),
        ("child", "child_key"),
        ("line_2026_03", "line_2026_03_pkey"),
    ):
        assert re.search(rf"Index (Only )?Scan using {index} on {table}\b", plans), index
    touched = re.findall(
        r"Scan (?:using \S+ )?on (?:event|line)_(\d\w+|other) [^\n]*\(actual", plans
    )
    assert set(touched) == {f"{DAY:%Y_%m}"}
    # No look-up reads more than a few rows of a table that grows.
    rows = [
        float(n)
        for n in re.findall(r" on (?:event|line|child|reservation)\w* .*rows=([\d.]+) loops", plans)
    ]
    assert max(rows) <= 20
