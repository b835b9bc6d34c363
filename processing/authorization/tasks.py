"""What authorization does by the clock: reservations expire."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
from structlog.typing import FilteringBoundLogger

from processing.authorization.expiry import EXPIRED_IN_BATCH_MAX, ExpiryStore
from processing.journal.lane import Lane
from processing.kernel.clock import Clock
from processing.kernel.database import LOST
from processing.kernel.errors import DatabaseError

EXPIRY_PAUSE_SECONDS: Final = 60
"""How often the centre looks for reservations whose time is over."""

EXPIRY_BATCHES_MAX: Final = 64
"""How many batches are ended at one time; what is left waits for the next."""

_AWAY: Final = (DatabaseError, asyncpg.InterfaceError, *LOST)


async def keep_expiring(
    store: ExpiryStore, lane: Lane, clock: Clock, log: FilteringBoundLogger
) -> None:
    """End what is due each minute, on a lane of its own, until cancelled."""
    while True:
        await asyncio.sleep(EXPIRY_PAUSE_SECONDS)
        try:
            ended = await expire_due(store, lane, clock)
        except _AWAY as error:
            # What is held stays held; the next minute ends it.
            log.error("reservations not ended", fault=str(error))
        else:
            if ended:
                log.info("reservations ended", count=ended)


async def expire_due(store: ExpiryStore, lane: Lane, clock: Clock) -> int:
    """End what is due now, at most `EXPIRY_BATCHES_MAX` batches; return how many were ended."""
    ended = 0
    for _ in range(EXPIRY_BATCHES_MAX):
        block = await lane.next_block()
        now_ms = clock.utc_ms()
        number = await store.expire(lane.number, block, now_ms, clock.local_date(now_ms))
        ended += number
        if number < EXPIRED_IN_BATCH_MAX:
            break
    return ended
