"""Ends reservations whose time is over: calls `engine.expire` (docs/kinds.md)."""

from __future__ import annotations

from datetime import date
from typing import Final

import asyncpg

from processing.authorization.store import BatchCollisionError, at_time
from processing.kernel.database import DatabasePool

EXPIRED_IN_BATCH_MAX: Final = 256
"""How many reservations one database transaction ends."""

_EXPIRE: Final = "SELECT engine.expire($1, $2, $3, $4, $5)"


class ExpiryStore:
    """Ends what is due. Several centres may do so at once on one database."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def expire(self, lane: int, block: int, decided_at_ms: int, posting_date: date) -> int:
        """End at most `EXPIRED_IN_BATCH_MAX` reservations and return how many were ended.

        Their events are block `block` of the lane, which is not used when there were none. Raises
        `BatchCollisionError` when it met a worker's batch and nothing was ended, and the errors
        of `processing.kernel.database.DatabasePool`.
        """
        async with self._pool.connection() as connection:
            try:
                number = await connection.fetchval(
                    _EXPIRE,
                    lane,
                    block,
                    at_time(decided_at_ms),
                    posting_date,
                    EXPIRED_IN_BATCH_MAX,
                )
            except (
                asyncpg.SerializationError,
                asyncpg.DeadlockDetectedError,
                asyncpg.UniqueViolationError,
            ) as error:
                raise BatchCollisionError(str(error)) from error
        return int(number)
