"""Writes a region into the database: one transaction, by COPY, into empty tables only.

Of several databases each has its own transaction; all are committed together at the very end. The
catalogue and the terminals go to all of them, the register to the first, rights to the one that
serves the holder's bucket.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

import asyncpg
import msgspec

from processing.kernel.database import Connection
from processing.kernel.errors import ConfigurationError, DatabaseError
from processing.kernel.target_pools import TargetPools
from processing.kernel.targets import HOME, TargetMap
from processing.region.rows import CITIZEN, TABLES, Batch, Row
from processing.region.tables import Table

MADE_BY: Final = "spk region create"
MADE_WHY: Final = "a synthetic region"
"""Who made the register's first change, and why."""

LOCK_NAME: Final = "processing.region.create"
"""Two programs that create a region at once wait for each other under this lock."""


HOME_SCHEMAS: Final = ("register", "eligibility")
"""Schemas that only the first database fills."""


class RegionExists(ConfigurationError):
    """The database already holds what would be written; nothing was changed."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, and how long the parts took.

    `generating_ms` is the time spent making rows, `total_ms` all of it, with the database's work
    and the final statistics.
    """

    rows_by_table: dict[str, int]
    generating_ms: int
    total_ms: int

    @property
    def row_count(self) -> int:
        """How many rows were written."""
        return sum(self.rows_by_table.values())


async def load_region(
    targets: TargetPools, batches: Iterator[Batch], on_citizens: Callable[[int], None]
) -> Loaded:
    """Write all batches in one transaction a database, then gather the planner's statistics.

    `on_citizens` is told how many citizens each batch brought. Raises `RegionExists`,
    `DatabaseError`; after any failure the database is as it was.
    """
    began = time.monotonic()
    written = dict.fromkeys(TABLES, 0)
    generating = 0.0
    async with contextlib.AsyncExitStack() as transactions:
        connections: dict[int, Connection] = {}
        for number, pool in targets.pools.items():
            connection = await transactions.enter_async_context(pool.transaction())
            await _only_writer(connection)
            await _refuse_filled(connection)
            await _send_identifiers_as_bytes(connection)
            connections[number] = connection
        await connections[HOME].execute(
            "SELECT register.begin_change($1, $2, 'region')", MADE_BY, MADE_WHY
        )
        batch, seconds = await asyncio.to_thread(_take, batches)
        while batch is not None:
            generating += seconds
            # The next batch is made in a thread while the database digests this one.
            following = asyncio.create_task(asyncio.to_thread(_take, batches))
            try:
                await _copy_all(connections, targets.map, batch)
            finally:
                upcoming, seconds = await following
            for table, rows in batch.rows.items():
                written[table] += len(rows)
            on_citizens(batch.citizen_count)
            batch = upcoming
    await _analyze(targets)
    return Loaded(
        rows_by_table={table.full_name: count for table, count in written.items()},
        generating_ms=int(generating * 1000),
        total_ms=int((time.monotonic() - began) * 1000),
    )


def _take(batches: Iterator[Batch]) -> tuple[Batch | None, float]:
    """Return the next batch, or None after the last, and the seconds it took to make."""
    began = time.monotonic()
    return next(batches, None), time.monotonic() - began


async def _only_writer(connection: Connection) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", LOCK_NAME)


async def _refuse_filled(connection: Connection) -> None:
    """Raise `RegionExists` if any table to be written has a row, the citizens' first."""
    for table in (CITIZEN, *TABLES):
        # The names are constants of processing.region.rows.
        query = f"SELECT EXISTS (SELECT FROM {table.full_name})"  # noqa: S608
        if await connection.fetchval(query):
            what = "citizens" if table is CITIZEN else f"rows in {table.full_name}"
            raise RegionExists(
                f"the database already holds {what}; nothing was changed. A region is created "
                "only once, because the journal refers to it and is never deleted. To begin "
                "anew, give another folder with SPK_HOME or another database with SPK_DSN, run "
                "`spk db migrate` and then this command."
            )


async def _send_identifiers_as_bytes(connection: Connection) -> None:
    """Let columns of type uuid take 16 bytes, so that no object is made for each of them."""
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary"
    )


async def _copy_all(connections: dict[int, Connection], targets: TargetMap, batch: Batch) -> None:
    """Write a batch's rows where they belong."""
    for table, rows in batch.rows.items():
        for number, theirs in _places(table, rows, targets).items():
            if theirs:
                await _copy(connections[number], table, theirs)


def _places(table: Table, rows: list[Row], targets: TargetMap) -> dict[int, list[Row]]:
    """Return the rows by the number of the target that keeps them."""
    if len(targets) == 1 or table.schema in HOME_SCHEMAS:
        return {HOME: rows}
    found: dict[int, list[Row]] = {target.number: [] for target in targets.targets}
    if table.schema != "rights":
        return dict.fromkeys(found, rows)
    bucket = table.columns.index("bucket")
    for row in rows:
        found[targets.number_of(int(row[bucket]))].append(row)  # type: ignore[arg-type]
    return found


async def _copy(connection: Connection, table: Table, rows: list[Row]) -> None:
    try:
        await connection.copy_records_to_table(
            table.name, schema_name=table.schema, columns=table.columns, records=rows
        )
    except asyncpg.PostgresError as error:
        # The server's own message names the constraint; its detail would quote a person.
        raise DatabaseError(f"{table.full_name} could not be written: {error.args[0]}") from None


async def _analyze(targets: TargetPools) -> None:
    """Gather statistics, and mark pages visible, so that the first queries are planned well."""
    tables = ", ".join(table.full_name for table in TABLES)
    for pool in targets.pools.values():
        async with pool.connection() as connection:
            await connection.execute(f"VACUUM (ANALYZE) {tables}")
