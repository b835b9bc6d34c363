"""What card keeping does by the clock: lists are issued, cards come to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from structlog.typing import FilteringBoundLogger

from processing.kernel.child import run_child

STOP_LIST_PAUSE_SECONDS: Final = 600
"""How long after one stop-list the next is issued."""
CRL_PAUSE_SECONDS: Final = 3_600
"""How long after the revocation lists the next are issued; OCSP answers know at once."""
EXPIRY_PAUSE_SECONDS: Final = 3_600
"""How long after the cards whose last day has passed were looked for they are looked for again."""
STOP_LIST_TIMEOUT_SECONDS: Final = 300
"""Longest time that making one may take: a million cards take half a minute."""


async def keep_issuing(command: Sequence[str], log: FilteringBoundLogger) -> None:
    """Run `command`, which issues a stop-list, at once and every ten minutes, until cancelled."""
    await _keep(command, "stop-list issued", "stop-list not issued", STOP_LIST_PAUSE_SECONDS, log)


async def keep_listing(command: Sequence[str], log: FilteringBoundLogger) -> None:
    """Run `command`, which issues revocation lists, at once and every hour, until cancelled."""
    await _keep(
        command, "revocation lists issued", "revocation lists not issued", CRL_PAUSE_SECONDS, log
    )


async def keep_expiring_cards(command: Sequence[str], log: FilteringBoundLogger) -> None:
    """Run `command`, which ends cards that are past their last day, at once and every hour."""
    await _keep(command, "cards expired", "cards not expired", EXPIRY_PAUSE_SECONDS, log)


async def _keep(
    command: Sequence[str], done: str, failed: str, pause_seconds: int, log: FilteringBoundLogger
) -> None:
    """Run `command` in a process of its own: no terminal waits while a million cards are hashed."""
    while True:
        fault, told = await run_child(command, STOP_LIST_TIMEOUT_SECONDS)
        if fault:
            # Its readers go on by the list they have, as long as its age allows.
            log.error(failed, fault=fault)
        else:
            log.info(done, told=told)
        await asyncio.sleep(pause_seconds)
