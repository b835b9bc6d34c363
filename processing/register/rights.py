"""Rights of holders whom other databases serve: told to those, and never forgotten.

A change that rights rest on writes what other databases have to know into register.rights_delivery
with itself. Telling is harmless to repeat: whoever finds rows that an interrupted program left
behind may finish its work.
"""

from __future__ import annotations

import itertools
from typing import Final

from processing.kernel.database import DatabasePool
from processing.kernel.errors import DatabaseError
from processing.kernel.target_pools import TargetPools

DELIVERIES_AT_ONCE_MAX: Final = 1_000
"""Most rows that one call of a database takes over."""


async def deliver_rights(targets: TargetPools) -> tuple[int, ...]:
    """Tell every other database what is due to it; the numbers of those that are away.

    Needs the role spk_register. Raises what the first database raises.
    """
    away: list[int] = []
    for target in targets.map.targets:
        pool = targets.elsewhere.get(target.number)
        try:
            while pool is not None and await _tell(targets.home, pool, target.buckets):
                pass
        except _AwayError:
            away.append(target.number)
    return tuple(away)


class _AwayError(Exception):
    """The other database does not take what is due to it."""


async def _tell(home: DatabasePool, pool: DatabasePool, buckets: tuple[int, int]) -> int:
    """Tell a database the oldest of what is due to it; how much that was.

    One program at a time does, until it is noted as told: nothing old arrives after the new.
    """
    async with home.transaction() as connection:
        due = await connection.fetch(
            "SELECT * FROM register.rights_due($1, $2, $3)", *buckets, DELIVERIES_AT_ONCE_MAX
        )
        if not due:
            return 0
        try:
            async with pool.transaction() as other:
                for _, rows in itertools.groupby(due, key=lambda row: row["round"]):
                    told = [(row["action"], row["body"]) for row in rows]
                    await other.execute("SELECT rights.accept($1, $2)", *zip(*told, strict=True))
        except DatabaseError as error:
            raise _AwayError from error
        await connection.execute(
            "SELECT register.rights_delivered($1)", [row["delivery_id"] for row in due]
        )
    return len(due)
