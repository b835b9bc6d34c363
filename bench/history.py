"""Years of history in minutes: copies of journalled sales under other days and terminals.

The columns are asked of the database, so that the copy is of whatever the journal keeps. Two
sessions write at a time, and nothing is waited for to become durable: what is lost in a crash of
the machine is a measurement.
"""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Final

import asyncpg

BASE_ROWS: Final = 10_000
"""Sales that are copied; a copy shifts their day and renames their terminal."""

DAYS: Final = 90
LANE: Final = 1024
SESSIONS: Final = 2
COPIES_MAX: Final = 1_000 * DAYS
"""Most copies: a terminal's new name has three digits for them, on each day."""

TABLES: Final = ("journal.event", "journal.line")
_KEY: Final = "business_date, terminal_id, stan, message_class, assigned"
_COLUMNS: Final = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""


async def add_history(dsn: str, today: date, rows: int) -> int:
    """Copy today's first sales until the journal has `rows` more; return how many were added.

    They lie on the `DAYS` days before today, in partitions made for them. `dsn` is a superuser's.
    Raises ValueError when there is nothing to copy, or too many copies would be needed.
    """
    connections = [await asyncpg.connect(dsn) for _ in range(SESSIONS)]
    try:
        first = connections[0]
        await first.execute(
            "SELECT journal.ensure_partitions($1, $2)", today - timedelta(days=DAYS + 1), today
        )
        base = min([await _remember(connection, today) for connection in connections])
        copies = -(-rows // base) if base else 0
        if not base or copies > COPIES_MAX:
            raise ValueError(f"today's {base} sales cannot be copied until there are {rows} more")
        await asyncio.gather(
            *(
                _write(connection, range(number, copies, SESSIONS))
                for number, connection in enumerate(connections)
            )
        )
        await asyncio.gather(
            *(
                connection.execute(f"VACUUM ANALYZE {table}")
                for connection, table in zip(connections, TABLES, strict=True)
            )
        )
        # Else what follows would pay for the pages that this has touched.
        await first.execute("CHECKPOINT")
    finally:
        for connection in connections:
            await connection.close()
    return copies * base


async def _remember(connection: asyncpg.Connection[asyncpg.Record], today: date) -> int:
    """Keep the sales to be copied in the session's own tables; return how many there are."""
    await connection.execute("SET synchronous_commit = off")
    await connection.execute(
        f"CREATE TEMPORARY TABLE base AS SELECT {_KEY} FROM journal.event "  # noqa: S608
        "WHERE business_date = $1 AND kind = 3 AND outcome > 700 "
        f"ORDER BY {_KEY} LIMIT $2",
        today,
        BASE_ROWS,
    )
    for table in TABLES:
        await connection.execute(
            f"CREATE TEMPORARY TABLE {_own(table)} AS SELECT t.* "  # noqa: S608
            f"FROM base NATURAL JOIN {table} AS t"
        )
    return int(await connection.fetchval("SELECT count(*) FROM base"))


async def _write(connection: asyncpg.Connection[asyncpg.Record], copies: range) -> None:
    columns = {
        table: [row["attname"] for row in await connection.fetch(_COLUMNS, table)]
        for table in TABLES
    }
    for copy in copies:
        for table in TABLES:
            await connection.execute(_insertion(table, columns[table], copy))


def _insertion(table: str, columns: list[str], copy: int) -> str:
    day = 1 + copy % DAYS
    # Three digits of the copy and four of the terminal make another terminal.
    changed = {
        "business_date": f"t.business_date - {day}",
        "posting_date": f"t.posting_date - {day}",
        "local_date": f"t.local_date - {day}",
        "terminal_id": f"'H' || '{copy // DAYS:03d}' || right(t.terminal_id, 4)",
        "lane": f"{LANE}",
        "block": f"{copy + 1}",
    }
    values = ", ".join(changed.get(column, f"t.{column}") for column in columns)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} "  # noqa: S608
        f"FROM {_own(table)} AS t"
    )


def _own(table: str) -> str:
    return table.replace(".", "_")
