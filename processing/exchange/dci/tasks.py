"""What the exchange does by the clock: notices are made, messages posted, old rows erased."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import asyncpg
from structlog.typing import FilteringBoundLogger

from processing.exchange.dci.notices import Notices
from processing.exchange.dci.outbox import DELIVERIES_MAX, Outbox
from processing.exchange.dci.store import DciStore
from processing.kernel.clock import Clock
from processing.kernel.database import LOST
from processing.kernel.errors import DatabaseError

PAUSE_SECONDS: Final = 2
"""How often the outbox is looked at while nothing is due."""

FORGET_SECONDS: Final = 3_600
"""How often old rows are erased."""

MESSAGE_IDS_KEPT_HOURS: Final = 24
"""How long a message id is remembered: far longer than a message's time may differ from ours."""

REQUESTS_KEPT_DAYS: Final = 90
"""How long it can be asked what became of a request."""

_AWAY: Final = (DatabaseError, asyncpg.InterfaceError, *LOST)
_HOUR_MS: Final = 3_600_000


async def keep_exchanging(
    outbox: Outbox, notices: Notices, store: DciStore, clock: Clock, log: FilteringBoundLogger
) -> None:
    """Deliver and notify until cancelled."""
    forgotten_ns = 0
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        while True:
            busy = False
            try:
                await notices.make_due()
                busy = await outbox.deliver_due(session) == DELIVERIES_MAX
                if clock.monotonic_ns() - forgotten_ns > FORGET_SECONDS * 1_000_000_000:
                    forgotten_ns = clock.monotonic_ns()
                    await forget_old(store, clock)
            except _AWAY as error:
                # What is queued stays queued.
                log.error("exchange stands still", fault=str(error))
            if not busy:
                await asyncio.sleep(PAUSE_SECONDS)


async def forget_old(store: DciStore, clock: Clock) -> int:
    """Erase what was kept for long enough; how many rows."""
    now_ms = clock.utc_ms()
    return await store.forget(
        now_ms - MESSAGE_IDS_KEPT_HOURS * _HOUR_MS, now_ms - REQUESTS_KEPT_DAYS * 24 * _HOUR_MS
    )
