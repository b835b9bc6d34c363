"""Years of history in a minute: copies of journalled sales under other days and terminals.

The columns are asked of the database, so that the copy is of whatever the journal keeps.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import asyncpg

BASE_ROWS: Final = 10_000
"""Sales that are copied; a copy shifts their day and renames their terminal."""

DAYS: Final = 90
LANE: Final = 1024
_KEY: Final = "business_date, terminal_id, stan, message_class, assigned"
_COLUMNS: Final = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""


async def add_history(
    connection: asyncpg.Connection[asyncpg.Record], today: date, rows: int
) -> int:
    """Copy today's first sales until the journal has `rows` more; return how many were added.

    They lie on the `DAYS` days before today, in partitions made for them.
    """
    await connection.execute(
        "SELECT journal.ensure_partitions($1, $2)", today - timedelta(days=DAYS + 1), today
    )
    await connection.execute(
        f"CREATE TEMPORARY TABLE base AS SELECT {_KEY} FROM journal.event "  # noqa: S608
        "WHERE business_date = $1 AND kind = 3 AND outcome > 700 LIMIT $2",
        today,
        BASE_ROWS,
    )
    base = int(await connection.fetchval("SELECT count(*) FROM base"))
    if not base:
        raise ValueError("history is copied from today's sales, and there are none")
    added = 0
    for copy in range(-(-rows // base)):
        for table in ("journal.event", "journal.line"):
            await _copy(connection, table, copy)
        added += base
    await connection.execute("DROP TABLE base")
    await connection.execute("VACUUM ANALYZE")
    return added


async def _copy(connection: asyncpg.Connection[asyncpg.Record], table: str, copy: int) -> None:
    columns = [row["attname"] for row in await connection.fetch(_COLUMNS, table)]
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
    await connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} "  # noqa: S608
        f"FROM base NATURAL JOIN {table} AS t"
    )
