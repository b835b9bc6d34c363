"""What is done every day: offers lapse, corrected events open tasks, endings are reminded of.

Each part is idempotent: twice on one day changes nothing.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec

from processing.kernel.database import Connection

DONE_BY: Final = "spk eligibility daily"
DAYS_BEFORE: Final = (60, 30, 7)
"""How many days before its end something is reminded of."""

LAPSED: Final = "гражданин не ответил в срок"


class Upkeep(msgspec.Struct, frozen=True, kw_only=True):
    """How many offers lapsed, tasks were opened, reminders were made."""

    lapsed: int
    follow_ups: int
    reminders: int


async def daily(connection: Connection, today: date) -> Upkeep:
    """Do all of it; return what is new."""
    return Upkeep(
        lapsed=await connection.fetchval(
            "SELECT eligibility.lapse_offers($1, $2, $3)", today, DONE_BY, LAPSED
        ),
        follow_ups=await connection.fetchval("SELECT eligibility.follow_events()"),
        reminders=await connection.fetchval(
            "SELECT eligibility.remind($1, $2)", today, list(DAYS_BEFORE)
        ),
    )
