"""A terminal's totals of a business day beside the centre's (0500)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from processing.kernel.database import DatabasePool
from processing.wire.iso8583.messages import Settlement, TerminalTotals, Totals, TotalsAnswer
from processing.wire.outcome import Outcome

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SETTLE: Final = """
    SELECT * FROM reconciliation.settle_terminal($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""


class TerminalSettlement:
    """Compares and keeps terminals' totals."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def settle(self, message: Totals, received_at_ms: int) -> TotalsAnswer:
        """Keep both sides' totals and return the centre's with the comparison.

        Raises the errors of `processing.kernel.database.DatabasePool`.
        """
        claimed = message.totals
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(
                _SETTLE,
                message.terminal_id,
                message.business_date,
                message.stan,
                _EPOCH + timedelta(milliseconds=received_at_ms),
                claimed.approved_count,
                claimed.gross_kopecks,
                claimed.covered_kopecks,
                claimed.paid_kopecks,
                claimed.reversed_count,
                claimed.reversed_covered_kopecks,
                claimed.returned_count,
                claimed.returned_covered_kopecks,
            )
        counted = TerminalTotals(**dict(row or {}))
        balanced = counted == claimed
        return TotalsAnswer(
            outcome=Outcome.APPROVED,
            settlement=Settlement.IN_BALANCE if balanced else Settlement.OUT_OF_BALANCE,
            totals=counted,
        )
