"""Reads a day for finance: sql/views/reconciliation and sql/functions/reconciliation.

The pool acts as `spk_finance`. Everything read through one `DayReading` belongs to one moment, so
that totals and lines can be compared while the centre goes on deciding.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Final

import asyncpg

from processing.kernel.database import Connection, DatabasePool
from processing.reconciliation.model import (
    Amounts,
    Balance,
    DayBasis,
    DayOrder,
    LastSettlement,
    TerminalDay,
)
from processing.wire.iso8583.messages import TerminalTotals

ROWS_PER_FETCH: Final = 1_000
"""How many rows of an export are in memory at a time."""

PROVIDERS_NAMED_MAX: Final = 10_000
"""How many provider codes are looked through for the one that was meant."""

_ONE_MOMENT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_PROVIDER_CODES: Final = "SELECT code FROM terminals.provider ORDER BY code LIMIT $1"
_TOTALS: Final = "SELECT * FROM reconciliation.day_totals($1, $2, $3)"
_TOTALS_OF: Final = "SELECT * FROM reconciliation.totals_of($1, $2)"
_LINES: Final = {
    basis: f"""
        SELECT * FROM reconciliation.day_line
        WHERE {column} = $1 AND ($2::text IS NULL OR provider_code = $2)
        ORDER BY business_date, terminal_id, stan, message_class, assigned, line_no, part
    """  # noqa: S608 - the column is one of two names written here
    for basis, column in (
        (DayBasis.BUSINESS, "business_date"),
        (DayBasis.POSTING, "posting_date"),
    )
}


class DayReading:
    """One moment of the journal. Raises the errors of `processing.kernel.database.DatabasePool`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def provider_codes(self) -> list[str]:
        """Return the codes of all providers, at most `PROVIDERS_NAMED_MAX`."""
        rows = await self._connection.fetch(_PROVIDER_CODES, PROVIDERS_NAMED_MAX)
        return [row["code"] for row in rows]

    async def totals(self, order: DayOrder) -> tuple[TerminalDay, ...]:
        """Return the day's totals by terminal, summed from the decisions, not from their lines."""
        by_posting = order.basis is DayBasis.POSTING
        rows = await self._connection.fetch(_TOTALS, order.day, by_posting, order.provider_code)
        return tuple(_terminal_day(row, order.basis) for row in rows)

    async def centre_totals(self, terminal_id: str, day: date) -> TerminalTotals:
        """Return what is counted here for one terminal and business date."""
        row = await self._connection.fetchrow(_TOTALS_OF, terminal_id, day)
        return TerminalTotals(**dict(row or {}))

    async def lines(self, order: DayOrder) -> AsyncIterator[Sequence[asyncpg.Record]]:
        """Yield the rows of reconciliation.day_line, `ROWS_PER_FETCH` at a time.

        They come by business date, terminal, STAN, line and part: the order of the journal's key.
        """
        cursor = await self._connection.cursor(_LINES[order.basis], order.day, order.provider_code)
        while rows := await cursor.fetch(ROWS_PER_FETCH):
            yield rows


@contextlib.asynccontextmanager
async def one_moment(pool: DatabasePool) -> AsyncIterator[DayReading]:
    """Read within one snapshot of the database."""
    async with pool.transaction() as connection:
        await connection.execute(_ONE_MOMENT)
        yield DayReading(connection)


def _terminal_day(row: asyncpg.Record, basis: DayBasis) -> TerminalDay:
    settlement = _settlement(row)
    if basis is DayBasis.POSTING:
        balance = Balance.NOT_COMPARED
    elif settlement is None:
        balance = Balance.NOT_SETTLED
    elif settlement.terminal == settlement.centre:
        balance = Balance.IN_BALANCE
    else:
        balance = Balance.DIFFERENT
    return TerminalDay(
        provider_code=row["provider_code"],
        terminal_id=row["terminal_id"],
        sale_count=row["sale_count"],
        reversal_count=row["reversal_count"],
        return_count=row["return_count"],
        amounts=Amounts(row["gross_kopecks"], row["covered_kopecks"], row["paid_kopecks"]),
        balance=balance,
        settlement=settlement,
    )


def _settlement(row: asyncpg.Record) -> LastSettlement | None:
    if row["settled_at"] is None:
        return None
    terminal, centre = (
        TerminalTotals(**{name: row[f"{side}_{name}"] for name in TerminalTotals.__struct_fields__})
        for side in ("terminal", "centre")
    )
    return LastSettlement(row["settled_at"], terminal, centre)
