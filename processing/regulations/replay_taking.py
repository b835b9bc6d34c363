"""What a replay takes from the live database, as it was at one moment, into its scratch database.

Nothing live is written: everything is read under one snapshot and copied as PostgreSQL's own binary
rows. What rights held when the period began is told by going back: from what the counters hold now,
all that the journal debited since is subtracted. That a right was there, and how much of it, is
told by what was drawn on it in the period, though it may have ended or shrunk since.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Final

import asyncpg
import msgspec

from processing.kernel.spread import SPREAD_TABLES

CHUNKS_WAITING_MAX: Final = 16
"""Pieces of copied rows that wait for the scratch database, each of at most 64 KiB or one row."""

BEFORE_PERIOD_DAYS: Final = 45
"""How far back the business date of anything posted in the period may lie: a reservation stands
31 days."""

_OWN: Final = f"""
    e.service = $1 AND e.posting_date BETWEEN $2 AND $3 AND e.bucket BETWEEN $4 AND $5
    AND e.kind <> 1 AND e.business_date BETWEEN $2 - {BEFORE_PERIOD_DAYS} AND $3 + 2
"""
_KEY: Final = "business_date, terminal_id, stan, message_class, assigned"
_CHILD: Final = """
    t.child_business_date = e.business_date AND t.child_terminal_id = e.terminal_id
    AND t.child_stan = e.stan AND t.child_message_class = e.message_class
    AND t.child_assigned = e.assigned
"""
_COLUMNS: Final = """
    SELECT a.attname FROM pg_attribute AS a
    WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
_OF_HOLDERS: Final = """
    SELECT c.oid::regclass::text AS name
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
    WHERE n.nspname = 'rights' AND c.relkind = 'r' AND c.relname <> 'card_authority'
        AND 2 = (
            SELECT count(*) FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attname IN ('bucket', 'holder_id')
        )
"""

_PREPARE: Final = f"""
    CREATE TEMPORARY TABLE active ON COMMIT DROP AS
    SELECT DISTINCT e.bucket, e.holder_id FROM journal.event AS e WHERE {_OWN};
    ANALYZE active;
    CREATE TEMPORARY TABLE earlier ON COMMIT DROP AS
    WITH original AS (
        SELECT e.business_date, e.terminal_id, e.stan, e.message_class, e.assigned
        FROM (
            SELECT DISTINCT
                e.parent_business_date, e.parent_terminal_id, e.parent_stan,
                e.parent_message_class
            FROM journal.event AS e
            WHERE {_OWN} AND e.parent_stan IS NOT NULL
        ) AS p
        INNER JOIN journal.event AS e
            ON p.parent_business_date = e.business_date AND p.parent_terminal_id = e.terminal_id
                AND p.parent_stan = e.stan AND p.parent_message_class = e.message_class
        WHERE e.posting_date < $2
    ), family AS (
        SELECT o.* FROM original AS o
        UNION
        SELECT c.business_date, c.terminal_id, c.stan, c.message_class, c.assigned
        FROM original AS o
        INNER JOIN journal.child AS c
            ON o.business_date = c.child_business_date AND o.terminal_id = c.child_terminal_id
                AND o.stan = c.child_stan AND o.message_class = c.child_message_class
                AND o.assigned = c.child_assigned
    )
    SELECT f.* FROM family AS f
    UNION
    SELECT
        c.child_business_date, c.child_terminal_id, c.child_stan, c.child_message_class,
        c.child_assigned
    FROM family AS f
    INNER JOIN journal.child AS c USING ({_KEY})
    INNER JOIN journal.event AS e
        ON c.child_business_date = e.business_date AND c.child_terminal_id = e.terminal_id
            AND c.child_stan = e.stan AND c.child_message_class = e.message_class
            AND c.child_assigned = e.assigned
    WHERE e.posting_date < $2;
    ANALYZE earlier
"""

_BULK: Final = f"""
    SET LOCAL enable_nestloop = off;
    SET LOCAL enable_mergejoin = off;
    CREATE TEMPORARY TABLE since ON COMMIT DROP AS
    SELECT
        l.allowance_id, l.period_start, sum(l.debited) AS debited,
        max(e.local_date) FILTER (WHERE e.posting_date <= $3 AND l.debited > 0) AS last_day
    FROM journal.event AS e
    INNER JOIN journal.line AS l USING ({_KEY})
    WHERE e.posting_date >= $2 AND e.bucket BETWEEN $4 AND $5 AND l.bucket BETWEEN $4 AND $5
        AND e.business_date >= $2 - {BEFORE_PERIOD_DAYS}
        AND l.business_date >= $2 - {BEFORE_PERIOD_DAYS}
        AND l.allowance_id IS NOT NULL
    GROUP BY l.allowance_id, l.period_start;
    ANALYZE since;
    CREATE TEMPORARY TABLE proven ON COMMIT DROP AS
    SELECT
        s.allowance_id, max(s.last_day) AS last_day, max(c.granted) AS granted
    FROM since AS s
    INNER JOIN rights.counter AS c
        ON s.allowance_id = c.allowance_id AND s.period_start = c.period_start
    WHERE s.last_day IS NOT NULL AND c.bucket BETWEEN $4 AND $5
    GROUP BY s.allowance_id;
    ANALYZE proven
"""

_CARDS: Final = f"""
    SELECT
        e.bucket, e.holder_id, e.card_id, coalesce(a.region, t.region), NULL::text[],
        '2000-01-01'::date, '2999-12-31'::date, 1::smallint, '2999-12-31'::date
    FROM (
        SELECT e.bucket, e.holder_id, e.card_id, min(e.terminal_id) AS terminal_id
        FROM journal.event AS e
        WHERE {_OWN}
        GROUP BY e.bucket, e.holder_id, e.card_id
    ) AS e
    LEFT JOIN rights.card_authority AS a
        ON e.bucket = a.bucket AND e.holder_id = a.holder_id AND e.card_id = a.card_id
    INNER JOIN terminals.terminal AS t ON e.terminal_id = t.terminal_id
"""

_COUNTERS: Final = """
    SELECT h.bucket, h.allowance_id, h.period_start, h.used, greatest(h.used, h.granted)
    FROM (
        SELECT
            c.bucket, c.allowance_id, c.period_start, w.granted,
            greatest(0, c.used - coalesce(since.debited, 0))::bigint AS used
        FROM active AS h
        INNER JOIN rights.allowance AS w USING (bucket, holder_id)
        INNER JOIN rights.counter AS c USING (bucket, allowance_id)
        LEFT JOIN since USING (allowance_id, period_start)
    ) AS h
"""

# What was drawn on stood on that day with the limit that its counter kept.
_AS_PROVEN: Final = {
    "granted": "greatest(t.granted, p.granted)",
    "valid_to": "greatest(t.valid_to, p.last_day)",
}
_ALLOWANCES: Final = """
    SELECT {columns} FROM active
    INNER JOIN rights.allowance AS t USING (bucket, holder_id)
    LEFT JOIN proven AS p USING (allowance_id)
"""

_ELSEWHERE: Final = f"""
    SELECT
        e.decided_at, e.lane, e.block, e.ordinal, e.posting_date, e.bucket, e.holder_id,
        l.allowance_id, l.period_start, sum(l.debited)::bigint
    FROM journal.event AS e
    INNER JOIN journal.line AS l USING ({_KEY})
    INNER JOIN active AS h ON e.bucket = h.bucket AND e.holder_id = h.holder_id
    WHERE e.service <> $1 AND e.posting_date BETWEEN $2 AND $3 AND e.bucket BETWEEN $4 AND $5
        AND e.business_date BETWEEN $2 - {BEFORE_PERIOD_DAYS} AND $3 + 2
        AND l.business_date BETWEEN $2 - {BEFORE_PERIOD_DAYS} AND $3 + 2
        AND l.measure = ANY ($6) AND l.debited <> 0
    GROUP BY
        e.decided_at, e.lane, e.block, e.ordinal, e.posting_date, e.bucket, e.holder_id,
        l.allowance_id, l.period_start
"""

_RESERVATIONS: Final = f"""
    SELECT
        e.bucket, e.business_date, e.terminal_id, e.stan, e.assigned,
        (e.facts ->> 'expires')::timestamptz
    FROM earlier AS k
    INNER JOIN journal.event AS e USING ({_KEY})
    WHERE e.kind IN (2, 7) AND e.facts ? 'expires' AND NOT EXISTS (
        SELECT FROM earlier AS k
        INNER JOIN journal.child AS c
            ON k.business_date = c.child_business_date AND k.terminal_id = c.child_terminal_id
                AND k.stan = c.child_stan AND k.message_class = c.child_message_class
                AND k.assigned = c.child_assigned
        WHERE c.business_date = e.business_date AND c.terminal_id = e.terminal_id
            AND c.stan = e.stan AND c.message_class = e.message_class AND c.assigned = e.assigned
    )
"""


class Period(msgspec.Struct, frozen=True):
    """Whose transactions are replayed: a service's, posted on these days, of these buckets."""

    service: str
    first_day: date
    last_day: date
    buckets: tuple[int, int]

    @property
    def arguments(self) -> tuple[str, date, date, int, int]:
        """The parameters $1 to $5 of the queries here."""
        return (self.service, self.first_day, self.last_day, *self.buckets)


async def take(
    live: asyncpg.Connection, scratch: asyncpg.Connection, period: Period, measures: Sequence[str]
) -> None:
    """Copy what `period` needs into a scratch database made with sql/scratch/regulation_replay.

    `measures` are those that the draft opens; allowances of these, and of every version before,
    are shared with other services. `live` acts as the owner and changes nothing.
    """
    async with live.transaction(isolation="repeatable_read"):
        await live.execute(
            "SET LOCAL work_mem = '128MB'; SET LOCAL max_parallel_workers_per_gather = 0"
        )
        await _run(live, _PREPARE, period)
        for table in SPREAD_TABLES:
            await scratch.execute(f"DELETE FROM {table}")
        for table in SPREAD_TABLES:
            await _copy(live, scratch, f"SELECT {{columns}} FROM {table} AS t", table)
        await _take_originals(live, scratch)
        await _run(live, _BULK, period)
        await _take_rights(live, scratch, period)
        await _take_journal(live, scratch, period)
        opened = await live.fetch(
            "SELECT DISTINCT measure FROM regulations.price_rule WHERE service = $1", period.service
        )
        shared = sorted({*measures, *(row["measure"] for row in opened)})
        query = await _inlined(live, _ELSEWHERE, *period.arguments, shared)
        await _copy(live, scratch, query, "replay.elsewhere")
    await scratch.execute(
        "ANALYZE replay.taken; ANALYZE replay.taken_line; ANALYZE replay.elsewhere"
    )


async def _take_rights(
    live: asyncpg.Connection, scratch: asyncpg.Connection, period: Period
) -> None:
    for row in await live.fetch(_OF_HOLDERS):
        table = row["name"]
        if table == "rights.allowance":
            await _copy(live, scratch, _ALLOWANCES, table, _AS_PROVEN)
            continue
        query = f"SELECT {{columns}} FROM active INNER JOIN {table} AS t USING (bucket, holder_id)"
        await _copy(live, scratch, query, table)
    cards = await _inlined(live, _CARDS, *period.arguments)
    await _copy(live, scratch, cards, "rights.card_authority")
    counters = await _inlined(live, _COUNTERS, *period.arguments)
    await _copy(live, scratch, counters, "rights.counter")


async def _take_originals(live: asyncpg.Connection, scratch: asyncpg.Connection) -> None:
    """Copy what was decided before the period and had a sequel in it."""
    for query, table in (
        (f"SELECT {{columns}} FROM earlier INNER JOIN journal.event AS t USING ({_KEY})", "event"),
        (f"SELECT {{columns}} FROM earlier INNER JOIN journal.line AS t USING ({_KEY})", "line"),
        (
            f"SELECT {{columns}} FROM earlier AS e INNER JOIN journal.child AS t ON {_CHILD}",
            "child",
        ),
    ):
        await _copy(live, scratch, query, f"journal.{table}")
    await _copy(live, scratch, _RESERVATIONS, "rights.reservation")


async def _take_journal(
    live: asyncpg.Connection, scratch: asyncpg.Connection, period: Period
) -> None:
    """Copy the period's transactions, their lines, and to what those belong that name nothing."""
    own = await _inlined(live, _OWN, *period.arguments)
    days = await _inlined(
        live,
        f"t.business_date BETWEEN $2 - {BEFORE_PERIOD_DAYS} AND $3 + 2 "
        "AND t.bucket BETWEEN $4 AND $5",
        *period.arguments,
    )
    for query, table in (
        (f"SELECT {{columns}} FROM journal.event AS t WHERE {own.replace('e.', 't.')}", "taken"),
        (
            (
                "SELECT {columns} FROM journal.event AS e "
                f"INNER JOIN journal.line AS t USING ({_KEY}) WHERE {own} AND {days}"
            ),
            "taken_line",
        ),
        (
            (
                f"SELECT {{columns}} FROM journal.child AS t INNER JOIN journal.event AS e "
                f"ON {_CHILD} WHERE {own} AND e.facts ->> 'original' = 'unknown'"
            ),
            "taken_child",
        ),
    ):
        await _copy(live, scratch, query, f"replay.{table}")


async def _copy(
    live: asyncpg.Connection,
    scratch: asyncpg.Connection,
    query: str,
    table: str,
    otherwise: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Copy the rows of a query into a table; `{columns}` stands for those of the table.

    `otherwise` says of some columns how they are worked out.
    """
    names = [row["attname"] for row in await scratch.fetch(_COLUMNS, table)]
    listed = ", ".join(otherwise.get(name, f"t.{name}") for name in names)
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(CHUNKS_WAITING_MAX)

    async def read() -> None:
        await live.copy_from_query(
            query.replace("{columns}", listed), output=chunks.put, format="binary"
        )
        await chunks.put(None)

    async def received() -> AsyncIterator[bytes]:
        while (chunk := await chunks.get()) is not None:
            yield chunk

    schema, name = table.split(".")
    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(
            scratch.copy_to_table(
                name, schema_name=schema, columns=names, source=received(), format="binary"
            )
        )


async def _run(live: asyncpg.Connection, script: str, period: Period) -> None:
    for statement in script.split(";\n"):
        await live.execute(await _inlined(live, statement, *period.arguments))


async def _inlined(live: asyncpg.Connection, query: str, *values: object) -> str:
    """Return a query with its parameters written in, as COPY and CREATE TABLE AS need it."""
    for number in range(len(values), 0, -1):
        literal = await live.fetchval(
            "SELECT quote_literal($1::text)", _text_of(values[number - 1])
        )
        query = query.replace(f"${number}", literal + _CASTS[type(values[number - 1])])
    return query


_CASTS: Final = {str: "::text", date: "::date", int: "::smallint", list: "::text[]"}


def _text_of(value: object) -> str:
    if isinstance(value, list):
        # Measures are codes without a quote or comma in them.
        return "{" + ",".join(value) + "}"
    return str(value)
