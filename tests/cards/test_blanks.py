"""Stock of blanks on real PostgreSQL: nothing is given that is not there, every count adds up."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.cards.blanks import BlankMove, BlankMoveKind, BlankMoveResult
from processing.cards.store import CardStore
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.wire.batches import BlankBalance
from tests.cards import population as p
from tests.cards.ordering import CLERK, OTHER_STATION, STATION, TODAY, OrderingOffice
from tests.plugins.postgres import Database

RECEIVED, GIVEN, RETURNED, SPOILED, DESTROYED = BlankMoveKind
LOT = "Y-2026/1"


@pytest.fixture
async def office(populated: Database, store: CardStore) -> OrderingOffice:
    made = OrderingOffice(populated, store)
    await made.set_up()
    return made


async def move(
    office: OrderingOffice,
    kind: BlankMoveKind,
    blanks: int,
    *,
    lot: str = LOT,
    station: str = STATION,
    family: str = "yubico",
    on: date = TODAY,
) -> BlankMoveResult:
    return await office.blanks.move(
        BlankMove(
            kind=kind,
            blanks=blanks,
            moved_on=on,
            made_by=CLERK,
            reason="накладная 5",
            lot=None if kind is SPOILED else lot,
            family=family if kind is RECEIVED else None,
            station_id=station if kind in (GIVEN, RETURNED, SPOILED) else None,
        )
    )


async def count(office: OrderingOffice, left: int, on: date = TODAY) -> BlankBalance:
    balance = await office.blanks.count(STATION, on, left, CLERK)
    assert balance is not None
    came = balance.opening + balance.given - balance.returned
    went = balance.good + balance.spoiled + balance.counted_left
    assert came == went + balance.missing
    return balance


async def test_nothing_is_given_that_is_not_there(office: OrderingOffice) -> None:
    cases: list[tuple[BlankMoveKind, int, dict[str, Any], BlankMoveResult]] = [
        (GIVEN, 1, {}, BlankMoveResult.LOT_UNKNOWN),
        (RECEIVED, 100, {}, BlankMoveResult.WRITTEN),
        (RECEIVED, 1, {"family": "openfips201"}, BlankMoveResult.OTHER_FAMILY),
        (GIVEN, 101, {}, BlankMoveResult.NOT_SO_MANY),
        (GIVEN, 60, {"station": "nowhere"}, BlankMoveResult.STATION_UNKNOWN),
        (GIVEN, 60, {}, BlankMoveResult.WRITTEN),
        (DESTROYED, 41, {}, BlankMoveResult.NOT_SO_MANY),
        (DESTROYED, 1, {}, BlankMoveResult.WRITTEN),
        (RETURNED, 61, {}, BlankMoveResult.NOT_SO_MANY),
        (RETURNED, 1, {"station": OTHER_STATION}, BlankMoveResult.NOT_SO_MANY),
        (RETURNED, 10, {}, BlankMoveResult.WRITTEN),
    ]
    for kind, blanks, options, expected in cases:
        assert await move(office, kind, blanks, **options) is expected, (kind, blanks)
    (lot,) = await office.blanks.lots()
    assert (lot.received, lot.given, lot.returned, lot.destroyed, lot.in_store) == (
        100,
        60,
        10,
        1,
        49,
    )


async def test_givings_at_once_never_give_more_than_there_is(office: OrderingOffice) -> None:
    await move(office, RECEIVED, 10)
    results = await asyncio.gather(*(move(office, GIVEN, 4) for _ in range(4)))
    assert sorted(results) == [*[BlankMoveResult.WRITTEN] * 2, *[BlankMoveResult.NOT_SO_MANY] * 2]


async def test_a_day_adds_up_or_is_an_alarm(office: OrderingOffice) -> None:
    await move(office, RECEIVED, 100)
    await move(office, GIVEN, 20)
    batch = await office.taken_batch(p.LONE, p.MOTHER)
    first, second = await office.orders(batch)
    await office.issued(first)
    await office.batches.spoil(STATION, second.order_id, "сломан чип")
    assert (await count(office, 17)).missing == 1
    # Counted again: the last count of a day stands.
    assert (await count(office, 18)).missing == 0
    tomorrow = TODAY + timedelta(days=1)
    await move(office, SPOILED, 2, on=tomorrow)
    balance = await count(office, 17, tomorrow)
    assert (balance.opening, balance.good, balance.spoiled, balance.missing) == (18, 0, 2, -1)
    shown = await office.blanks.counts(TODAY, tomorrow, 10)
    assert [one.missing for one in shown] == [0, -1]
    assert await office.blanks.count("nowhere", TODAY, 1, CLERK) is None


async def test_the_books_cannot_be_rewritten_and_need_the_right(
    office: OrderingOffice, populated: Database
) -> None:
    await move(office, RECEIVED, 1)
    await count(office, 0)
    for statement in ("UPDATE cards.blank_move SET blanks = 9", "DELETE FROM cards.blank_count"):
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await office.rows(statement)
    pool = await open_pool(populated.dsn(Role.OPERATOR), Role.OPERATOR, "test")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await OrderingOffice(populated, CardStore(pool)).blanks.count(STATION, TODAY, 1, CLERK)
    finally:
        await pool.close()


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(BlankMoveKind), st.integers(1, 30), st.booleans()), max_size=30
    )
)
def test_stock_adds_up_after_any_moves(
    populated: Database, moves: list[tuple[BlankMoveKind, int, bool]]
) -> None:
    asyncio.run(check_stock(populated, moves))


async def check_stock(populated: Database, moves: list[tuple[BlankMoveKind, int, bool]]) -> None:
    """Make movements in a transaction of their own, against sums kept in Python."""
    async with populated.connect() as connection:
        trial = connection.transaction()
        await trial.start()
        for name in (STATION, OTHER_STATION):
            await connection.execute("SELECT cards.add_station($1, $2, FALSE)", name, bytes(32))
        store, at, spoiled = 0, {STATION: 0, OTHER_STATION: 0}, {STATION: 0, OTHER_STATION: 0}
        known = False
        for kind, blanks, other in moves:
            station = OTHER_STATION if other else STATION
            placed = kind in (GIVEN, RETURNED, SPOILED)
            result = await connection.fetchval(
                "SELECT cards.move_blanks($1::smallint, $2, 'yubico', $3, $4, $5, 'Ольга', '')",
                int(kind),
                None if kind is SPOILED else LOT,
                station if placed else None,
                blanks,
                TODAY,
            )
            known = known or kind is RECEIVED
            allowed = {
                RECEIVED: True,
                GIVEN: known and blanks <= store,
                DESTROYED: known and blanks <= store,
                RETURNED: known and blanks <= at[station],
                SPOILED: True,
            }[kind]
            assert (result == BlankMoveResult.WRITTEN) is allowed, (kind, blanks, store, at)
            if not allowed:
                continue
            store += {RECEIVED: blanks, RETURNED: blanks, SPOILED: 0}.get(kind, -blanks)
            at[station] += {GIVEN: blanks, RETURNED: -blanks}.get(kind, 0)
            spoiled[station] += blanks if kind is SPOILED else 0
        if known:
            assert await connection.fetchval("SELECT in_store FROM cards.blank_store") == store
        for station, left in at.items():
            row = await connection.fetchrow(
                "SELECT missing FROM cards.count_blanks($1, $2, $3, 'Ольга')",
                station,
                TODAY,
                max(0, left - spoiled[station]),
            )
            assert row is not None
            assert row["missing"] == min(0, left - spoiled[station])
        await trial.rollback()
