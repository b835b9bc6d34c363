"""Tasks that nobody waits for one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Errands:
    """Runs coroutines that see to their own faults; keeps them from being forgotten half-way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, errand: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that does not raise; needs a running event loop."""
        task = asyncio.get_running_loop().create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def done(self) -> None:
        """Return when none is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)
