"""Visits in one database: sql/views/visits. The pool acts as `spk_operator` or `spk_finance`.

Every method raises the errors of `processing.kernel.database.DatabasePool`.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import asyncpg

from processing.kernel.database import DatabasePool
from processing.visits.model import Visit

VISITS_LISTED_MAX: Final = 1_000
"""Most visits in one list, of each database."""

_OPEN: Final = """
    SELECT v.* FROM journal.open_visit AS v
    WHERE $1 = '' OR v.provider_code = $1
    ORDER BY v.expires_at, v.terminal_id, v.stan
    LIMIT $2
"""
_FORGOTTEN: Final = """
    SELECT v.* FROM journal.forgotten_visit AS v
    WHERE v.forgotten_on BETWEEN $1 AND $2 AND ($3 = '' OR v.provider_code = $3)
    ORDER BY v.expires_at, v.terminal_id, v.stan
    LIMIT $4
"""


class VisitStore:
    """Reads the visits of one database."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def open_visits(self, provider_code: str = "") -> tuple[Visit, ...]:
        """Return what has begun and not ended, what ends first in front."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_OPEN, provider_code, VISITS_LISTED_MAX)
        return tuple(_visit(row, ended=False) for row in rows)

    async def forgotten_visits(
        self, first: date, last: date, provider_code: str = ""
    ) -> tuple[Visit, ...]:
        """Return what the centre ended on these days because nobody did, the oldest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_FORGOTTEN, first, last, provider_code, VISITS_LISTED_MAX)
        return tuple(_visit(row, ended=True) for row in rows)


def _visit(row: asyncpg.Record, *, ended: bool) -> Visit:
    return Visit(
        number=f"{row['business_date']:%Y%m%d}-{row['terminal_id']}-{row['stan']:06}",
        provider_code=row["provider_code"],
        service_ru=row["service_ru"] or row["service"],
        service_en=row["service_en"] or row["service"],
        held=row["held"] or "",
        began_at=row["began_at"],
        expires_at=row["expires_at"],
        time_zone=row["time_zone"] or "UTC",
        began_offline=row["began_offline"],
        ended_at=row["ended_at"] if ended else None,
    )
