"""Rights of holders whom other databases serve: told to those, and never forgotten.

A change that rights rest on writes what other databases have to know into register.rights_delivery
with itself. Telling is harmless to repeat: whoever finds rows that an interrupted program left
behind may finish its work.
"""

from __future__ import annotations

from typing import Final

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
        while pool is not None:
            async with targets.home.connection() as connection:
                due = await connection.fetch(
                    "SELECT * FROM register.rights_due($1, $2, $3)",
                    *target.buckets,
                    DELIVERIES_AT_ONCE_MAX,
                )
            if not due:
                break
            try:
                async with pool.connection() as connection:
                    await connection.execute(
                        "SELECT rights.accept($1, $2)",
                        [row["action"] for row in due],
                        [row["body"] for row in due],
                    )
            except DatabaseError:
                away.append(target.number)
                break
            async with targets.home.connection() as connection:
                await connection.execute(
                    "SELECT register.rights_delivered($1)", [row["delivery_id"] for row in due]
                )
    return tuple(away)
