"""A lane of the journal: one worker's own row of blocks, numbered without gaps.

A worker holds its lane with a session-level advisory lock on a connection of its own, so a killed
worker's lane is free as soon as the server notices.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from processing.kernel.database import Connection
from processing.kernel.errors import DatabaseUnavailableError

LANES_MAX: Final = 1024
"""Most workers that may share one database."""

_LOCK_CLASS: Final = 0x6C616E65
"""First half of the advisory locks that hold lanes: "lane" in ASCII."""

_CLAIM: Final = """
    SELECT lane FROM generate_series($2::integer, $3::integer) AS lane
    WHERE pg_try_advisory_lock($1, lane) LIMIT 1
"""
_LAST_BLOCK: Final = "SELECT coalesce(max(block), 0) FROM journal.block WHERE lane = $1"

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]
"""Opens a connection that the lane may keep."""


class Lane:
    """The lane of this worker.

    It is claimed at the first `next_block`, and again, perhaps under another number, when the
    connection that held it was lost. `first` is the first lane of the database: a receipt names
    its lane, so the lanes of several databases differ.
    """

    def __init__(self, connect: Connect, first: int = 1) -> None:
        self._connect = connect
        self._first = first
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._number = 0

    @property
    def number(self) -> int:
        """Return the lane's number, from `first`; 0 before the first claim."""
        return self._number

    async def next_block(self) -> int:
        """Return the number of the lane's next block, as the database has it.

        Raises `DatabaseUnavailableError` when all lanes are taken or the database is away.
        """
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            number = await self._connection.fetchval(
                _CLAIM, _LOCK_CLASS, self._first, self._first + LANES_MAX - 1
            )
            if number is None:
                raise DatabaseUnavailableError(
                    f"all {LANES_MAX} lanes of the journal are taken: let fewer workers share "
                    "this database"
                )
            self._number = int(number)
        return 1 + int(await self._connection.fetchval(_LAST_BLOCK, self._number))

    async def release(self) -> None:
        """Give the lane back by closing the connection that holds it."""
        if self._connection is not None:
            await self._connection.close(timeout=2)


async def lanes_held(connection: Connection) -> int:
    """Return how many lanes are claimed on this database (for health and metrics)."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = $1",
            _LOCK_CLASS,
        )
    )
