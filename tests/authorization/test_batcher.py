"""The queue before the database: batches form by themselves, keys never share one, bounds hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from processing.authorization.batcher import (
    BATCH_MAX,
    WAITING_MAX,
    Batcher,
    BatchMetrics,
    QueueFullError,
)
from processing.authorization.model import Case
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer
from tests.authorization.world import pills, sale


class Desk:
    """Decides batches when told to, and remembers their STANs."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.fault: Exception | None = None

    async def decide(self, cases: Sequence[Case]) -> list[Answer]:
        """Approve everything once the desk is open."""
        self.batches.append([case.request.key.stan for case in cases])
        await self.open.wait()
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        return [Answer(outcome=Outcome.APPROVED, key=case.request.key) for case in cases]


def started(desk: Desk) -> tuple[Batcher, CollectorRegistry]:
    registry = CollectorRegistry()
    batcher = Batcher(desk.decide, BatchMetrics(registry))
    batcher.start()
    return batcher, registry


def submit(batcher: Batcher, *stans: int) -> list[asyncio.Task[Answer]]:
    loop = asyncio.get_running_loop()
    return [loop.create_task(batcher.submit(sale(stan, pills(1, 1)))) for stan in stans]


async def turns(count: int = 5) -> None:
    """Let the other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_waits_during_one_batch_is_the_next() -> None:
    desk = Desk()
    batcher, _ = started(desk)
    tasks = submit(batcher, 1)
    await turns()
    tasks += submit(batcher, *range(2, 12))
    await turns()
    desk.open.set()
    answers = await asyncio.gather(*tasks)
    assert desk.batches == [[1], list(range(2, 12))]
    assert [answer.key.stan for answer in answers] == list(range(1, 12))
    await batcher.drain()


async def test_a_batch_has_a_greatest_size() -> None:
    desk = Desk()
    batcher, registry = started(desk)
    desk.open.set()
    await asyncio.gather(*submit(batcher, *range(1, BATCH_MAX + 3)))
    assert [len(batch) for batch in desk.batches] == [BATCH_MAX, 2]
    assert registry.get_sample_value("spk_authorization_batch_size_count") == 2
    await batcher.drain()


async def test_one_key_never_stands_twice_in_a_batch() -> None:
    desk = Desk()
    batcher, _ = started(desk)
    desk.open.set()
    await asyncio.gather(*submit(batcher, 1, 2, 1, 1, 3, 2))
    assert desk.batches == [[1, 2, 3], [1, 2], [1]]
    await batcher.drain()


async def test_past_the_bound_a_case_is_turned_away_at_once() -> None:
    desk = Desk()
    batcher, registry = started(desk)
    tasks = submit(batcher, *range(1, WAITING_MAX + 2))
    await turns()
    assert registry.get_sample_value("spk_authorization_turned_away_total") == 1
    desk.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in results].count(QueueFullError) == 1
    assert sum(len(batch) for batch in desk.batches) == WAITING_MAX
    await batcher.drain()


async def test_drain_decides_what_was_accepted_and_takes_no_more() -> None:
    desk = Desk()
    batcher, _ = started(desk)
    tasks = submit(batcher, 1, 2)
    await turns()
    draining = asyncio.get_running_loop().create_task(batcher.drain())
    await turns()
    with pytest.raises(QueueFullError):
        await batcher.submit(sale(3))
    desk.open.set()
    await draining
    assert [task.result().outcome for task in tasks] == [Outcome.APPROVED] * 2


async def test_who_went_away_does_not_disturb_the_rest() -> None:
    desk = Desk()
    batcher, _ = started(desk)
    gone, stays = submit(batcher, 1, 2)
    await turns()
    gone.cancel()
    await turns()
    desk.open.set()
    assert (await stays).outcome == Outcome.APPROVED
    await batcher.drain()


async def test_a_fault_in_one_batch_does_not_end_the_queue() -> None:
    desk = Desk()
    batcher, _ = started(desk)
    desk.fault = KeyError("balance")
    tasks = submit(batcher, 1, 2)
    await turns()
    tasks += submit(batcher, 3)
    desk.open.set()
    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, KeyError)
    assert isinstance(second, KeyError)
    assert isinstance(third, Answer)
    await batcher.drain()
