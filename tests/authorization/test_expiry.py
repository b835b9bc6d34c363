"""Reservations expire once, whoever looks, and race with what else would end them."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import asyncpg

from processing.authorization.expiry import EXPIRED_IN_BATCH_MAX, ExpiryStore
from processing.authorization.tasks import expire_due
from processing.journal.lane import Lane
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.wire.expiry import expiry_bytes, expiry_digest
from tests.authorization.test_concurrency import at_once, insist, workers
from tests.authorization.world import (
    DAY,
    NOW,
    Centre,
    completion,
    goods_back,
    grant,
    ms,
    outcomes,
    pills,
    reserve,
    reversal,
    sale,
)
from tests.plugins.postgres import Database

ROUNDS = 12
LATER = NOW + timedelta(minutes=31)


async def expire(worker: Centre, limit: int = 9) -> int:
    """End what is due, again after each collision."""
    for _ in range(9):
        try:
            ended = await worker.connection.fetchval(
                "SELECT engine.expire($1, $2, $3, $4, $5)",
                worker.lane,
                worker.block,
                LATER,
                DAY,
                limit,
            )
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            continue
        worker.block += ended > 0
        return int(ended)
    raise AssertionError("the expiry collided nine times")


async def test_an_expirys_bytes_are_those_of_the_page(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 9)
    held = reserve(7, pills(1, 100))
    await centre.decide_one(held)
    assert await expire(centre) == 1
    row = await world.fetchrow(
        "SELECT request, request_digest, signature FROM journal.event WHERE kind = 9"
    )
    assert row is not None
    told = (held.request.key, 0, held.digest, ms(NOW + timedelta(minutes=30)))
    assert tuple(row) == (expiry_bytes(*told), expiry_digest(*told), b"")


async def test_a_completion_races_the_expiry(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as (till, clock):
        pill = await grant(world, "PILL", 9)
        for number in range(1, 2 * ROUNDS, 2):
            held = reserve(number, pills(1, 100))
            await till.decide_one(held)
            done = completion(number + 1, held, pills(1, 100))
            (ruling,), ended = await asyncio.gather(insist(till, done), expire(clock))
            assert (int(ruling.outcome), ended) in {(703, 0), (701, 1)}
            assert ruling.facts.get("original") == ("expired" if ended else None)
            assert await till.used(pill) == 1 - ended
            if not ended:
                await till.decide_one(reversal(500 + number, done))


async def test_two_completions_of_one_reservation_keep_one(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as pair:
        pill = await grant(world, "PILL", 5 * ROUNDS)
        for number in range(ROUNDS):
            held = reserve(10 * number + 1, pills(3, 300))
            await pair[0].decide_one(held)
            done = [[completion(10 * number + side, held, pills(2, 200))] for side in (2, 3)]
            decided = await at_once(list(zip(pair, done, strict=True)))
            assert sorted(outcomes([batch[0] for batch in decided])) == [701, 703]
            assert await pair[0].used(pill) == 2 * (number + 1)


async def test_two_returns_of_the_last_unit_give_one_back(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as pair:
        pill = await grant(world, "PILL", ROUNDS)
        for number in range(ROUNDS):
            sold = sale(10 * number + 1, pills(1, 100))
            await pair[0].decide_one(sold)
            back = [[goods_back(10 * number + side, sold, pills(1, 100))] for side in (2, 3)]
            decided = await at_once(list(zip(pair, back, strict=True)))
            assert sorted(outcomes([batch[0] for batch in decided])) == [405, 703]
            assert await pair[0].used(pill) == 0


async def test_a_return_races_the_reversal_of_its_sale(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as pair:
        pill = await grant(world, "PILL", 3)
        for number in range(ROUNDS):
            sold = sale(10 * number + 1, pills(3, 300))
            await pair[0].decide_one(sold)
            cases = [
                [goods_back(10 * number + 2, sold, pills(1, 100))],
                [reversal(10 * number + 3, sold)],
            ]
            (back,), (taken_back,) = await at_once(list(zip(pair, cases, strict=True)))
            assert int(taken_back.outcome) == 703
            assert (int(back.outcome), back.facts) in [(703, {}), (501, {"original": "reversed"})]
            assert await pair[0].used(pill) == 0


async def test_two_centres_end_each_reservation_once(live: Database) -> None:
    async with live.connect() as world, workers(live, 3) as (till, *clocks):
        pill = await grant(world, "PILL", 40)
        await till.decide(*(reserve(stan, pills(1, 100)) for stan in range(1, 41)))
        ended = 0
        while await world.fetchval("SELECT count(*) FROM rights.reservation"):
            ended += sum(await asyncio.gather(*(expire(clock, 7) for clock in clocks)))
        assert ended == 40
        assert await till.used(pill) == 0


async def test_the_task_ends_what_is_due(live: Database) -> None:
    async with live.connect() as world, workers(live, 1) as (till,):
        pill = await grant(world, "PILL", 500)
        for first in (1, 201):
            await till.decide(*(reserve(first + at, pills(1, 1)) for at in range(200)))
        assert EXPIRED_IN_BATCH_MAX < 400
        pool = await open_pool(live.dsn(Role.PROCESSING), Role.PROCESSING, "expiry")
        lane = Lane(lambda: asyncpg.connect(live.dsn(Role.PROCESSING)))
        try:
            assert await expire_due(ExpiryStore(pool), lane, _Later()) == 400
        finally:
            await lane.release()
            await pool.close()
        assert await till.used(pill) == 0


class _Later:
    """A clock that stands when all is over."""

    def utc_ms(self) -> int:
        return ms(LATER)

    def monotonic_ns(self) -> int:
        return 0

    def local_date(self, utc_ms: int | None = None) -> date:
        assert utc_ms in (None, ms(LATER))
        return DAY
