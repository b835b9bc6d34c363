"""A replay: the version in force changes nothing; a draft changes what its rules say, and no more."""

from __future__ import annotations

from datetime import date, timedelta

import asyncpg
import pytest

from processing.regulations.replay import Done, Place, Under, replay
from processing.regulations.replay_model import Sums
from processing.regulations.scratch import PREFIX
from tests.authorization.world import (
    CHILD,
    DAY,
    NOW,
    Centre,
    build,
    completion,
    goods_back,
    grant,
    pills,
    reserve,
    reversal,
    sale,
)
from tests.plugins.postgres import Database
from tests.regulations.history import DAYS, History

LAST_DAY = DAY + timedelta(days=3 * DAYS)


def places(database: Database) -> list[Place]:
    dsn = database.superuser_dsn
    return [Place(dsn, dsn, (0, 511)), Place(dsn, dsn, (512, 1023))]


def total(done: Done) -> Sums:
    (found,) = (one for one in done.sums if one.level == "all")
    return found


async def net_kopecks(connection: asyncpg.Connection, service: str, first_day: date) -> int:
    """Return what the journal says was covered, net, by another way than the replay's."""
    return int(
        await connection.fetchval(
            "SELECT coalesce(sum(l.covered_kopecks), 0)::bigint FROM reconciliation.day_line AS l "
            "WHERE l.service = $1 AND l.posting_date >= $2 AND l.category IS NOT NULL",
            service,
            first_day,
        )
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("seed", "service", "version", "first_day"),
    [
        (1, "MED", 2, DAY),
        (2, "PART", 1, DAY),
        # what was sold, held and taken back before the period reaches into it
        (3, "MED", 2, DAY + timedelta(days=4)),
        (4, "MONEY", 1, DAY + timedelta(days=2)),
    ],
)
async def test_the_version_in_force_changes_nothing(
    database: Database, seed: int, service: str, version: int, first_day: date
) -> None:
    async with database.connect() as connection:
        await build(connection)
        history = History(Centre(connection), seed)
        await history.live(steps=150)
        expected_kopecks = await net_kopecks(connection, service, first_day)
    done = await replay(places(database), Under(service, version), first_day, LAST_DAY)
    found = total(done)
    assert done.changes == ()
    assert found.transactions > 20
    assert (found.changed, found.gainers, found.losers) == (0, 0, 0)
    assert found.before_kopecks == found.after_kopecks == expected_kopecks
    assert found.before_approved == found.after_approved
    assert found.before_refused == found.after_refused
