"""A few weeks of history in the world of `tests.authorization.world`, decided by the engine.

| business date | posting date | what | outcome |
| --- | --- | --- | --- |
| 27 February | 2 March | sale of 2 pills | approved; its block lies in two months |
| 2 March | 2 March | sale of 3 pills; sale of 2 in two lines; an unknown service; an inquiry | |
| 2 March | 3 March | offline, 90 pills of 20 left: an excess | recorded in conflict |
| 3 March | 3 March | takes the sale of 3 pills back | approved |
| 2 April | 2 April | sale of 1 pill | approved |
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

import asyncpg

from processing.authorization.model import Case
from processing.kernel.roles import Role
from processing.wire.outcome import Outcome
from tests.authorization.world import NOW, Centre, build, grant, inquiry, pills, reversal, sale
from tests.plugins.postgres import Database

FEBRUARY: Final = date(2026, 2, 1)
MARCH: Final = date(2026, 3, 1)
APRIL: Final = date(2026, 4, 1)
NEXT_DAY: Final = date(2026, 3, 3)
NEXT_NOON: Final = datetime(2026, 3, 3, 9, tzinfo=UTC)
SPRING: Final = datetime(2026, 4, 2, 9, tzinfo=UTC)

SOLD: Final = sale(2, pills(3, 900))
OFFLINE: Final = sale(20, pills(90, 9_000), advice=True)
BATCHES: Final[tuple[tuple[datetime, tuple[Case, ...]], ...]] = (
    (NOW, (sale(1, pills(2, 500), business_date=date(2026, 2, 27)), SOLD)),
    (
        NOW,
        (
            sale(3, pills(1, 100), pills(1, 250, "PILL-B")),
            sale(4, pills(1, 100), service="GHOST"),
            inquiry(5),
        ),
    ),
    (NEXT_NOON, (OFFLINE,)),
    (
        NEXT_NOON,
        (reversal(6, SOLD, business_date=NEXT_DAY, signed_at=NEXT_NOON),),
    ),
    (SPRING, (sale(1, pills(1, 100), business_date=SPRING.date(), signed_at=SPRING),)),
)
OUTCOMES: Final = (
    (Outcome.APPROVED, Outcome.APPROVED),
    (Outcome.APPROVED, Outcome.SERVICE_UNKNOWN, Outcome.APPROVED),
    (Outcome.RECORDED_IN_CONFLICT,),
    (Outcome.APPROVED,),
    (Outcome.APPROVED,),
)


async def fill(database: Database) -> None:
    """Make the world, three months of partitions and the history."""
    async with database.connect() as admin:
        await build(admin)
        await grant(admin, "PILL", 27)
        await admin.execute("SELECT journal.ensure_partitions($1, $2)", FEBRUARY, APRIL)
        # As after the first round of autovacuum, with the months still empty.
        await admin.execute("ANALYZE")
        centre = centre_of(admin)
        for (moment, cases), outcomes in zip(BATCHES, OUTCOMES, strict=True):
            rulings = await centre.decide(*cases, at=moment, posting=moment.date())
            assert tuple(one.outcome for one in rulings) == outcomes


def centre_of(connection: asyncpg.Connection) -> Centre:
    """Return a worker that acts as the processing role, on a lane of its own."""
    return Centre(connection, role=Role.PROCESSING)


async def snapshot(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """Return every row of the journal's tables, in the journal or beside it, as text."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'journal'::regnamespace "
        r"AND relkind = 'r' AND relname ~ '^(event|line)_\d' ORDER BY relname"
    )
    found = {}
    for (name,) in map(tuple, tables):
        rows = await connection.fetch(f"SELECT t::text FROM journal.{name} AS t ORDER BY 1")  # noqa: S608
        found[name] = [row[0] for row in rows]
    return found
