"""Brings what every database must hold (`REFERENCE_TABLES`) from home to the others.

Each table is made equal to home's, row by row, in one transaction of each database: whoever decides
there meanwhile sees all of the old or all of the new. Cards are told otherwise
(`processing.cards.copies`), since there are many and they change every hour.
"""

from __future__ import annotations

from typing import Any, Final

from processing.kernel.database import Connection
from processing.kernel.target_pools import TargetPools
from processing.kernel.targets import REFERENCE_TABLES

SPREAD_TABLES: Final = tuple(name for name in REFERENCE_TABLES if name != "cards.card")

_COLUMNS: Final = """
    SELECT a.attname AS name, a.attnum = ANY (k.indkey) AS in_key
    FROM pg_attribute AS a
    INNER JOIN pg_index AS k ON a.attrelid = k.indrelid AND k.indisprimary
    WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""


async def spread(targets: TargetPools) -> dict[str, int]:
    """Make the others equal to home; return how many of their rows changed, by table.

    The pools act as spk_owner. Raises the errors of `DatabasePool`; again is harmless.
    """
    changed = dict.fromkeys(SPREAD_TABLES, 0)
    if len(targets) == 1:
        return changed
    rows: dict[str, list[tuple[Any, ...]]] = {}
    async with targets.home.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for table in SPREAD_TABLES:
            # The names are constants of this program.
            found = await connection.fetch(f"SELECT t AS whole FROM {table} AS t")  # noqa: S608
            rows[table] = [tuple(row["whole"]) for row in found]
    for pool in targets.elsewhere.values():
        async with pool.transaction() as connection:
            for table in SPREAD_TABLES:
                changed[table] += await _take_over(connection, table, rows[table])
            # What refers to a row goes before the row.
            for table in reversed(SPREAD_TABLES):
                changed[table] += await _leave_out(connection, table, rows[table])
    return changed


async def _take_over(connection: Connection, table: str, rows: list[tuple[Any, ...]]) -> int:
    """Add and change rows."""
    columns = await connection.fetch(_COLUMNS, table)
    key = ", ".join(column["name"] for column in columns if column["in_key"])
    others = [column["name"] for column in columns if not column["in_key"]]
    conflict = "NOTHING"
    if others:
        new = ", ".join(f"{name} = excluded.{name}" for name in others)
        before = ", ".join(f"t.{name}" for name in others)
        after = ", ".join(f"excluded.{name}" for name in others)
        conflict = f"UPDATE SET {new} WHERE ROW({before}) IS DISTINCT FROM ROW({after})"
    done = await connection.execute(
        f"INSERT INTO {table} AS t SELECT (n).* FROM unnest($1::{table}[]) AS n "  # noqa: S608
        f"ON CONFLICT ({key}) DO {conflict}",
        rows,
    )
    return int(done.rpartition(" ")[2])


async def _leave_out(connection: Connection, table: str, rows: list[tuple[Any, ...]]) -> int:
    """Delete rows whose key home does not have."""
    columns = await connection.fetch(_COLUMNS, table)
    same = " AND ".join(f"n.{c['name']} = t.{c['name']}" for c in columns if c["in_key"])
    done = await connection.execute(
        f"DELETE FROM {table} AS t WHERE NOT EXISTS "  # noqa: S608
        f"(SELECT FROM unnest($1::{table}[]) AS n WHERE {same})",
        rows,
    )
    return int(done.rpartition(" ")[2])
