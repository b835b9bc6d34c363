"""Reconciliation over several databases: each counts its own, and here it is added up.

A terminal serves citizens of every database, so its totals are compared with the sum over all of
them: when one is away the terminal is told to try later. A day that finance reads is one moment
of each database; lines and decisions of one transaction lie in one database, so a file's sums are
checked as strictly as with one.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import asyncpg
import msgspec

from processing.kernel.merge import merged
from processing.kernel.target_pools import TargetPools
from processing.reconciliation.model import (
    Amounts,
    Balance,
    DayOrder,
    LastSettlement,
    TerminalDay,
)
from processing.reconciliation.store import ROWS_PER_FETCH, DayReading, one_moment
from processing.reconciliation.terminal_totals import TerminalSettlement
from processing.wire.iso8583.messages import Settlement, TerminalTotals, Totals, TotalsAnswer
from processing.wire.outcome import Outcome

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS: Final = TerminalTotals.__struct_fields__
_TOTALS_OF: Final = "SELECT * FROM reconciliation.totals_of($1, $2)"
_KEEP: Final = "SELECT reconciliation.keep_totals($1, $2, $3, $4, $5, $6)"
_ORDER: Final = (
    "business_date",
    "terminal_id",
    "stan",
    "message_class",
    "assigned",
    "line_no",
    "part",
)


class Settling(Protocol):
    """What compares a terminal's totals with the centre's."""

    async def settle(self, message: Totals, received_at_ms: int) -> TotalsAnswer:
        """Keep both sides' totals and return the centre's with the comparison."""


class SettlementOfTargets:
    """`TerminalSettlement` of a centre with several databases."""

    def __init__(self, targets: TargetPools) -> None:
        self._targets = targets

    async def settle(self, message: Totals, received_at_ms: int) -> TotalsAnswer:
        """Count in all databases, keep both sides' totals in each, and return the centre's.

        Raises the errors of `processing.kernel.database.DatabasePool`; asking again is harmless.
        """
        shares = []
        for pool in self._targets.pools.values():
            async with pool.connection() as connection:
                row = await connection.fetchrow(
                    _TOTALS_OF, message.terminal_id, message.business_date
                )
            shares.append(TerminalTotals(**dict(row or {})))
        counted = sum_of(shares)
        for pool in self._targets.pools.values():
            async with pool.connection() as connection:
                await connection.execute(
                    _KEEP,
                    message.terminal_id,
                    message.business_date,
                    message.stan,
                    _EPOCH + timedelta(milliseconds=received_at_ms),
                    list(msgspec.structs.astuple(message.totals)),
                    list(msgspec.structs.astuple(counted)),
                )
        balanced = counted == message.totals
        return TotalsAnswer(
            outcome=Outcome.APPROVED,
            settlement=Settlement.IN_BALANCE if balanced else Settlement.OUT_OF_BALANCE,
            totals=counted,
        )


def terminal_settlement(targets: TargetPools) -> Settling:
    """Return what compares totals, as fits the number of databases."""
    return TerminalSettlement(targets.home) if len(targets) == 1 else SettlementOfTargets(targets)


def sum_of(shares: Sequence[TerminalTotals]) -> TerminalTotals:
    """Return the sums of totals, number by number."""
    return TerminalTotals(**{name: sum(getattr(one, name) for one in shares) for name in _FIELDS})


class DayOfTargets:
    """`DayReading` over several databases."""

    def __init__(self, readings: Sequence[DayReading]) -> None:
        self._readings = readings

    async def provider_codes(self) -> list[str]:
        """As `DayReading.provider_codes`: every database knows all providers."""
        return await self._readings[0].provider_codes()

    async def totals(self, order: DayOrder) -> tuple[TerminalDay, ...]:
        """As `DayReading.totals`, added up terminal by terminal."""
        found: dict[str, dict[int, TerminalDay]] = {}
        for place, reading in enumerate(self._readings):
            for one in await reading.totals(order):
                found.setdefault(one.terminal_id, {})[place] = one
        days = [await self._terminal_day(order, shares) for shares in found.values()]
        return tuple(sorted(days, key=lambda one: (one.provider_code, one.terminal_id)))

    async def lines(self, order: DayOrder) -> AsyncIterator[Sequence[asyncpg.Record]]:
        """As `DayReading.lines`, the databases' rows merged in one order."""
        rows: list[asyncpg.Record] = []
        streams = [_rows(reading, order) for reading in self._readings]
        async for _, row in merged(streams, _line_order):
            rows.append(row)
            if len(rows) == ROWS_PER_FETCH:
                yield rows
                rows = []
        if rows:
            yield rows

    async def _terminal_day(self, order: DayOrder, shares: dict[int, TerminalDay]) -> TerminalDay:
        one = next(iter(shares.values()))
        settlement = await self._settlement(order, one.terminal_id, shares)
        balance = one.balance
        if settlement is not None:
            same = settlement.terminal == settlement.centre
            balance = Balance.IN_BALANCE if same else Balance.DIFFERENT
        counts = {
            name: sum(getattr(share, name) for share in shares.values())
            for name in TerminalDay.__struct_fields__
            if name.endswith("_count")
        }
        return msgspec.structs.replace(
            one,
            amounts=sum((share.amounts for share in shares.values()), Amounts()),
            balance=balance,
            settlement=settlement,
            **counts,
        )

    async def _settlement(
        self, order: DayOrder, terminal_id: str, shares: dict[int, TerminalDay]
    ) -> LastSettlement | None:
        """Return what the terminal sent last, beside what all databases count now."""
        told = [share.settlement for share in shares.values() if share.settlement is not None]
        if not told:
            return None
        counted = []
        for place, reading in enumerate(self._readings):
            share = shares.get(place)
            if share is not None and share.settlement is not None:
                counted.append(share.settlement.centre)
            else:
                # The totals did not reach this database; what it counts is asked for all the same.
                counted.append(await reading.centre_totals(terminal_id, order.day))
        last = max(told, key=lambda settlement: settlement.received_at)
        return LastSettlement(last.received_at, last.terminal, sum_of(counted))


Reading = DayReading | DayOfTargets


@contextlib.asynccontextmanager
async def one_moment_each(targets: TargetPools) -> AsyncIterator[Reading]:
    """Read within one snapshot of each database."""
    async with contextlib.AsyncExitStack() as moments:
        readings = [
            await moments.enter_async_context(one_moment(pool)) for pool in targets.pools.values()
        ]
        yield readings[0] if len(readings) == 1 else DayOfTargets(readings)


async def _rows(reading: DayReading, order: DayOrder) -> AsyncIterator[asyncpg.Record]:
    async for rows in reading.lines(order):
        for row in rows:
            yield row


def _line_order(row: asyncpg.Record) -> tuple[Any, ...]:
    return tuple(row[name] for name in _ORDER)
