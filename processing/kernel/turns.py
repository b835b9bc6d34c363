"""Turns at something scarce: so many at a time, so many in the queue, no more.

Look-ups that a stranger can cause take turns, so that a flood of them leaves the other connections
of the pool to the work of those who are known.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from processing.kernel.errors import DatabaseBusyError


class Turns:
    """An async context manager; entering raises `DatabaseBusyError` when the queue is full."""

    def __init__(self, at_once_max: int, waiting_max: int) -> None:
        self._places = asyncio.Semaphore(at_once_max)
        self._waiting_max = waiting_max
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._waiting >= self._waiting_max:
            raise DatabaseBusyError(f"{self._waiting_max} look-ups wait already")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._places.release()
