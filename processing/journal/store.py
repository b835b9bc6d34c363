"""Journalled decisions as the database has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from processing.kernel.database import DatabasePool
from processing.wire.outcome import Outcome
from processing.wire.transaction import DecidedLine, Decision

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK: Final = """
    SELECT e.request_digest, e.outcome, e.approval_code, e.posting_date, e.decided_at, e.lane,
        e.block, e.ordinal, e.covered_kopecks, e.paid_kopecks, b.leaf_count
    FROM journal.event AS e
    INNER JOIN journal.block AS b USING (lane, block)
    WHERE e.lane = $1 AND e.block = $2 ORDER BY e.ordinal
"""


class JournalStore:
    """Reads the journal; nothing here writes."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def block(self, lane: int, block: int) -> list[Decision]:
        """Return a block's decisions in order; empty when there is no such block.

        Empty, too, when some of them were archived: from the others alone no receipt can be made,
        since their Merkle root is not the block's.
        """
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_BLOCK, lane, block)
        if rows and rows[0]["leaf_count"] != len(rows):
            return []
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
