"""The exchange as one running room: the server, and what it does by the clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from processing.exchange.dci.notices import Notices
from processing.exchange.dci.outbox import Outbox
from processing.exchange.dci.server import Server
from processing.exchange.dci.store import DciStore
from processing.exchange.dci.tasks import keep_exchanging
from processing.exchange.dci.tokens import ExchangeFolder
from processing.kernel.clock import Clock
from processing.kernel.roles import Role
from processing.kernel.target_pools import TargetPools

OpenPools = Callable[[Role], AbstractAsyncContextManager[TargetPools]]
"""Connects to every target as a role."""


@contextlib.asynccontextmanager
async def running_exchange(
    home: Path, open_pools: OpenPools, clock: Clock, log: FilteringBoundLogger
) -> AsyncIterator[Server | None]:
    """Deliver and notify until the end of the block, and give who takes messages.

    None while the exchange was not set up under `home` (`spk exchange init`). Raises
    `ConfigurationError` when its keys or its name are broken.
    """
    folder = ExchangeFolder(home)
    if not folder.exists():
        yield None
        return
    keys, sender_id = folder.keys(), folder.sender_id()
    async with open_pools(Role.EXCHANGE) as pools:
        store = DciStore(pools.home)
        outbox = Outbox(store, keys, folder.tokens(), sender_id, clock, log)
        notices = Notices(store, sender_id, clock)
        task = asyncio.create_task(keep_exchanging(outbox, notices, store, clock, log))
        try:
            yield Server(store, keys, sender_id, clock)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
