"""Journalled decisions as the database has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from processing.kernel.database import DatabasePool
from processing.wire.outcome import Outcome
from processing.wire.transaction import DecidedLine, Decision

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK: Final = """
    SELECT request_digest, outcome, approval_code, posting_date, decided_at, lane, block, ordinal,
        covered_kopecks, paid_kopecks
    FROM journal.event WHERE lane = $1 AND block = $2 ORDER BY ordinal
"""


class JournalStore:
    """Reads the journal; nothing here writes."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def block(self, lane: int, block: int) -> list[Decision]:
        """Return a block's decisions in order; empty when there is no such block."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_BLOCK, lane, block)
        return [
            Decision(
                request_digest=row["request_digest"],
                outcome=Outcome(row["outcome"]),
                approval_code=row["approval_code"],
                posting_date=row["posting_date"],
                decided_at_ms=(row["decided_at"] - _EPOCH) // timedelta(milliseconds=1),
                lane=row["lane"],
                block=row["block"],
                ordinal=row["ordinal"],
                lines=tuple(
                    DecidedLine(covered, paid)
                    for covered, paid in zip(
                        row["covered_kopecks"] or (), row["paid_kopecks"] or (), strict=True
                    )
                ),
            )
            for row in rows
        ]
