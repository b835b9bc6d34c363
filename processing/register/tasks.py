"""What the register does by itself every day."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Final, cast

from structlog.typing import FilteringBoundLogger

from processing.kernel.child import run_child
from processing.kernel.database import Connection

PROLONG_DAYS_BEFORE: Final = 30
"""How long before its end a policy that goes on by itself is prolonged."""

DELIVERY_PAUSE_SECONDS: Final = 60
"""How soon a database that was away is told the rights of holders whom it serves."""

DELIVERY_TIMEOUT_SECONDS: Final = 600
"""Longest time that telling may take; what is not told by then is told the next time."""

CALENDAR_DAYS_BACK: Final = 31
"""How many days a centre may be down and miss nothing that the calendar changes."""


async def prolong_policies(connection: Connection, today: date) -> int:
    """Prolong by a year the policies whose end is near as of `today`; return how many.

    One change, made by the task; running it again on the same day prolongs none. The citizen's
    rights to medical care are prolonged along. Needs the role spk_register.
    """
    count = await connection.fetchval(
        "SELECT register.prolong_policies($1, $2)", today, PROLONG_DAYS_BEFORE
    )
    return cast("int", count)


async def follow_calendar(connection: Connection, today: date) -> int:
    """Let cards act for whom the calendar says from `today` on; return how many act otherwise.

    Somebody's term as a representative began or ended, somebody came of age. Needs the role
    spk_register.
    """
    count = await connection.fetchval(
        "SELECT cards.follow_calendar($1, $2)", today, CALENDAR_DAYS_BACK
    )
    return cast("int", count)


async def keep_delivering(command: Sequence[str], log: FilteringBoundLogger) -> None:
    """Run `command`, which tells other databases what is due to them, until cancelled.

    A process of its own, since this one must not have the register's login.
    """
    while True:
        fault, _ = await run_child(command, DELIVERY_TIMEOUT_SECONDS)
        if fault:
            log.error("rights not told to every database", fault=fault)
        await asyncio.sleep(DELIVERY_PAUSE_SECONDS)
