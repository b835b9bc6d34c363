"""What the register does by itself every day."""

from __future__ import annotations

from datetime import date
from typing import Final, cast

from processing.kernel.database import Connection

PROLONG_DAYS_BEFORE: Final = 30
"""How long before its end a policy that goes on by itself is prolonged."""

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
