"""Which kinds are money: totals and export of a day with reservations, completions and returns."""

from __future__ import annotations

from datetime import timedelta

from processing.kernel.roles import Role
from tests.authorization.world import (
    DAY,
    NOW,
    TERMINAL,
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

_SUMS = """
    SELECT kind, sum(covered_kopecks)::bigint, sum(paid_kopecks)::bigint
    FROM reconciliation.{source} WHERE business_date = $1 GROUP BY kind ORDER BY kind
"""


async def test_a_day_with_every_kind_adds_up(database: Database) -> None:
    async with database.connect() as world, database.connect(Role.FINANCE) as finance:
        await build(world)
        await grant(world, "PILL", 20)
        centre = Centre(world)
        sold, held = sale(1, pills(4, 4_000)), reserve(2, pills(5, 5_000))
        taken_back, expiring = reserve(3, pills(1, 100)), reserve(4, pills(1, 100))
        done = completion(5, held, pills(3, 3_000))
        back, undone = goods_back(6, sold, pills(1, 1_000)), goods_back(7, done, pills(1, 1_000))
        await centre.decide(sold, held, taken_back, expiring, done, back, undone)
        await centre.decide(reversal(8, taken_back), reversal(9, undone), reversal(10, sold))
        ended = await world.fetchval(
            "SELECT engine.expire(1::smallint, 3, $1, $2, 9)", NOW + timedelta(hours=1), DAY
        )
        assert ended == 1
        # Sale, completion, two returns; the sale's rest reversed, one return sold again.
        expected = [(3, 4_000, 0), (4, 3_000, 0), (5, -2_000, 0), (6, -3_000 + 1_000, 0)]
        for source in ("event_total", "day_line"):
            rows = await finance.fetch(_SUMS.format(source=source), DAY)
            assert [tuple(row) for row in rows] == expected, source
        row = await finance.fetchrow(
            "SELECT sale_count, reversal_count, return_count, covered_kopecks "
            "FROM reconciliation.day_totals($1, FALSE, NULL)",
            DAY,
        )
        assert row is not None
        assert tuple(row) == (2, 2, 2, 3_000)
        counted = await finance.fetchrow(
            "SELECT * FROM reconciliation.totals_of($1, $2)", TERMINAL, DAY
        )
        assert counted is not None
        assert dict(counted) == {
            "approved_count": 2,
            "gross_kopecks": 7_000,
            "covered_kopecks": 7_000,
            "paid_kopecks": 0,
            "reversed_count": 1,
            "reversed_covered_kopecks": 3_000,
            "returned_count": 1,
            "returned_covered_kopecks": 1_000,
        }
