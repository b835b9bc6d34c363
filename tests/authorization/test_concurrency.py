"""Several workers on one database: no overspending, one decision per key, no lost claim."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from processing.authorization.model import Case, Ruling
from processing.authorization.store import BatchCollisionError
from processing.kernel.roles import Role
from processing.wire.outcome import Outcome
from tests.authorization.world import Centre, amounts, grant, outcomes, pills, reversal, sale
from tests.plugins.postgres import Database

ROUNDS = 20
ATTEMPTS_MAX = 8


@contextlib.asynccontextmanager
async def workers(live: Database, count: int) -> AsyncIterator[list[Centre]]:
    """Give workers, each with a connection and a lane of its own."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            Centre(await stack.enter_async_context(live.connect(Role.PROCESSING)), lane)
            for lane in range(1, count + 1)
        ]


async def insist(worker: Centre, *cases: Case) -> list[Ruling]:
    """Decide a batch as the engine does: again after each collision."""
    for _ in range(ATTEMPTS_MAX):
        with contextlib.suppress(BatchCollisionError):
            return await worker.decide(*cases)
    raise AssertionError(f"the batch collided {ATTEMPTS_MAX} times")


async def at_once(pairs: Sequence[tuple[Centre, Sequence[Case]]]) -> list[list[Ruling]]:
    """Decide one batch per worker, all at the same time."""
    return await asyncio.gather(*(insist(worker, *cases) for worker, cases in pairs))


async def test_the_last_unit_is_given_once(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as pair:
        for number in range(ROUNDS):
            pill = await grant(world, "PILL", 1, priority=number)
            cases = [sale(10 * number + side, pills(1, 100)) for side in (1, 2)]
            decided = await at_once(
                [(worker, [one]) for worker, one in zip(pair, cases, strict=True)]
            )
            rulings = [ruling for batch in decided for ruling in batch]
            assert sorted(outcomes(rulings)) == [602, 703]
            assert await pair[0].used(pill) == 1
            loser = next(one for one in rulings if one.outcome == Outcome.ALLOWANCE_EXHAUSTED)
            assert loser.facts["remaining"] == "0"


async def test_the_loser_of_a_lock_is_told_to_decide_again(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as (first, second):
        pill = await grant(world, "PILL", 3)
        await first.decide_one(sale(1, pills(1, 100)))
        holding = first.connection.transaction()
        await holding.start()
        await first.decide_one(sale(2, pills(2, 200)))
        # It saw 2 left, waits for the row, and finds that they are gone.
        waiting = asyncio.create_task(second.decide_one(sale(3, pills(1, 100))))
        await blocked(live)
        await holding.commit()
        with pytest.raises(BatchCollisionError, match="another worker debited"):
            await waiting
        assert (await second.decide_one(sale(3, pills(1, 100)))).outcome == 602
        assert await first.used(pill) == 3


async def blocked(live: Database) -> None:
    """Return as soon as a connection of this database waits for another's lock."""
    async with live.connect() as watcher, asyncio.timeout(10):
        waiting = 0
        while not waiting:
            waiting = await watcher.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
            )


async def test_one_key_on_two_connections_is_decided_once(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as pair:
        pill = await grant(world, "PILL", 2 * ROUNDS)
        for number in range(1, ROUNDS + 1):
            one = sale(number, pills(1, 100))
            (first,), (second,) = await at_once([(worker, [one]) for worker in pair])
            assert first.decision == second.decision
            assert sorted([first.replayed, second.replayed]) == [False, True]
            assert await pair[0].used(pill) == number


async def test_two_contents_of_one_key_at_once(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as pair:
        pill = await grant(world, "PILL", 2 * ROUNDS)
        for number in range(1, ROUNDS + 1):
            contents = [[sale(number, pills(1, price))] for price in (100, 200)]
            decided = await at_once(list(zip(pair, contents, strict=True)))
            assert sorted(outcomes([batch[0] for batch in decided])) == [201, 703]
            assert await pair[0].used(pill) == number


async def test_advices_of_one_key_at_once_get_keys_of_their_own(live: Database) -> None:
    async with live.connect() as world, workers(live, 3) as trio:
        pill = await grant(world, "PILL", 3 * ROUNDS)
        for number in range(1, ROUNDS + 1):
            contents = [[sale(number, pills(1, price), advice=True)] for price in (1, 2, 3)]
            decided = await at_once(list(zip(trio, contents, strict=True)))
            assert outcomes([batch[0] for batch in decided]) == [703] * 3
            assert await trio[0].used(pill) == 3 * number


async def test_a_reversal_races_its_original(live: Database) -> None:
    seen = set()
    async with live.connect() as world, workers(live, 2) as (first, second):
        pill = await grant(world, "PILL", ROUNDS)
        for number in range(1, 2 * ROUNDS + 1):
            original = sale(2 * number, pills(1, 100))
            wish = reversal(2 * number + 1, original)
            pairs = [(first, [original]), (second, [wish])]
            # Who starts first decides who mostly wins; both ways shall be seen.
            decided = await at_once(pairs if number % 2 else pairs[::-1])
            (given,), (taken_back,) = decided if number % 2 else decided[::-1]
            late = taken_back.facts.get("original") == "unknown"
            assert taken_back.outcome == Outcome.APPROVED
            assert given.outcome == (Outcome.REVERSED_BEFORE if late else Outcome.APPROVED)
            assert amounts(taken_back) == ([] if late else [(100, 0)])
            assert await first.used(pill) == 0
            seen.add(late)
    assert seen == {False, True}


async def test_two_reversals_at_once_return_once(live: Database) -> None:
    async with live.connect() as world, workers(live, 2) as pair:
        pill = await grant(world, "PILL", 5)
        await pair[0].decide_one(sale(999, pills(1, 100)))
        for number in range(ROUNDS):
            original = sale(10 * number + 1, pills(1, 100))
            await pair[0].decide_one(original)
            wishes = [[reversal(10 * number + side, original)] for side in (2, 3)]
            decided = await at_once(list(zip(pair, wishes, strict=True)))
            rulings = [batch[0] for batch in decided]
            assert outcomes(rulings) == [Outcome.APPROVED] * 2
            assert sorted(len(amounts(ruling)) for ruling in rulings) == [0, 1]
            assert await pair[0].used(pill) == 1


async def test_batches_that_cross_are_decided_all_the_same(live: Database) -> None:
    """Many small allowances and keys, taken and returned in opposite orders by three workers."""
    async with live.connect() as world, workers(live, 3) as trio:
        rights = [
            await grant(world, item_class, 4, priority=priority)
            for priority in range(3)
            for item_class in ("PILL", "SYRUP")
        ]
        for number in range(6):
            base = 1 + number * 100
            batches = []
            for side in range(3):
                stans = range(base + 10 * side, base + 10 * side + 8)
                items = ["PILL", "SYRUP"] if side % 2 else ["SYRUP", "PILL"]
                sales = [sale(stan, pills(1, 10, items[stan % 2])) for stan in stans]
                batches.append(
                    [*sales, *(reversal(one.request.key.stan + 50, one) for one in sales)]
                )
            decided = await at_once(list(zip(trio, batches, strict=True)))
            assert {ruling.outcome for batch in decided for ruling in batch} <= {703, 602}
            assert [await trio[0].used(one) for one in rights] == [0] * len(rights)
