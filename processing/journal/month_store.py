"""Calls of sql/functions/journal that list, close, detach, drop and restore months.

The pool acts as `spk_operator`. Every method raises the errors of
`processing.kernel.database.DatabasePool`, and `ArchiveRefused` with what the database says when
the month is not in the state that the call needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

import asyncpg
import msgspec

from processing.journal.archive_tables import ArchiveTable
from processing.journal.month import ArchiveRefused, Month, MonthOverview, MonthState
from processing.kernel.database import DatabasePool, SessionLimits
from processing.kernel.errors import DatabaseTimeoutError

ARCHIVE_LIMITS: Final = SessionLimits(
    connections_max=2,
    acquire_timeout_ms=10_000,
    # Checksums of a month are one statement.
    statement_timeout_ms=3_600_000,
    command_timeout_ms=3_610_000,
    # Between two fetches a row group is written.
    idle_in_transaction_timeout_ms=120_000,
)
"""For whoever archives: nobody waits for it."""

ROWS_PER_FETCH: Final = 4_096
"""How many rows are fetched at a time."""

Row = tuple[object, ...]
"""A row in the order of its table's columns."""

_ONE_MOMENT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class MonthStore:
    """The months of history in the database."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def overview(self) -> list[MonthOverview]:
        """Return every month, oldest first; last what lies in no month's tables."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch("SELECT * FROM journal.month_overview()")
        return [_overview(row) for row in rows]

    async def close(self, month: Month) -> None:
        """Let nothing be added to the month any more."""
        await self._call("SELECT journal.close_month($1)", month.first_day)

    async def detach(
        self, month: Month, event_count: int, line_count: int, files: dict[str, str]
    ) -> None:
        """Take the closed month out of the journal; `files` are what was verified."""
        await self._call(
            "SELECT journal.detach_month($1, $2, $3, $4)",
            month.first_day,
            event_count,
            line_count,
            _json(files),
        )

    async def drop(self, month: Month, files: dict[str, str]) -> None:
        """Drop the tables of the detached month; `files` are as they were just read."""
        await self._call("SELECT journal.drop_month($1, $2)", month.first_day, _json(files))

    async def prepare_restore(self, month: Month) -> None:
        """Make empty tables for the dropped month."""
        await self._call("SELECT journal.prepare_restore($1)", month.first_day)

    async def attach(self, month: Month) -> None:
        """Put the month's tables back into the journal if they hold what was detached."""
        await self._call("SELECT journal.attach_month($1)", month.first_day)

    async def rows(self, table: ArchiveTable, month: Month) -> AsyncIterator[list[Row]]:
        """Yield the month's rows of `table` in its order, `ROWS_PER_FETCH` at a time."""
        async with self._pool.transaction() as connection:
            await connection.execute(_ONE_MOMENT)
            cursor = await connection.cursor(table.select(month.suffix))
            while rows := await cursor.fetch(ROWS_PER_FETCH):
                yield [tuple(row) for row in rows]

    async def sums(self, table: ArchiveTable, month: Month) -> dict[str, int]:
        """Return what the server itself counts and sums up over the month's rows."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(table.select_sums(month.suffix))
        return {name: int(value) for name, value in row.items()} if row else {}

    async def copy(self, table: ArchiveTable, month: Month, rows: AsyncIterator[Row]) -> None:
        """Write rows to the month's table, all or none."""
        with _explained():
            async with self._pool.transaction() as connection:
                await connection.copy_records_to_table(
                    f"{table.name}_{month.suffix}",
                    schema_name="journal",
                    columns=[column.name for column in table.columns],
                    records=rows,
                )

    async def _call(self, query: str, *arguments: object) -> None:
        with _explained():
            async with self._pool.connection() as connection:
                await connection.execute(query, *arguments)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except asyncpg.ObjectNotInPrerequisiteStateError as error:
        raise ArchiveRefused(str(error)) from error
    except DatabaseTimeoutError as error:
        raise DatabaseTimeoutError(
            f"{error}. Nothing was changed: run the command again when long exports and reports "
            "have ended"
        ) from error


def _overview(row: asyncpg.Record) -> MonthOverview:
    files = row["files"]
    return MonthOverview(
        month=None if row["month"] is None else Month.of(row["month"]),
        state=MonthState(row["state"]),
        event_count=row["event_count"],
        line_count=row["line_count"],
        size_bytes=row["size_bytes"],
        first_posting_date=row["first_posting_date"],
        last_posting_date=row["last_posting_date"],
        conflicts=row["conflicts"],
        unsettled_days=row["unsettled_days"],
        files=None if files is None else msgspec.json.decode(files, type=dict[str, str]),
    )


def _json(files: dict[str, str]) -> str:
    return msgspec.json.encode(files).decode()
