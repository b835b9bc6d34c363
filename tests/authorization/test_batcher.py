"""The queue before the database: batches form by themselves, keys never share one, bounds hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from processing.authorization.batcher import BATCH_MAX, WAITING_MAX, Batcher, BatchMetrics
from processing.authorization.model import Waiting
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer
from tests.authorization.world import pills, sale


class Desk:
    """Decides batches when told to, and remembers their STANs."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()

    async def decide(self, batch: Sequence[Waiting]) -> None:
        """Approve everything once the desk is open."""
        self.batches.append([waiting.case.request.key.stan for waiting in batch])
        await self.open.wait()
        for waiting in batch:
            key = waiting.case.request.key
            waiting.asker.answered(Answer(outcome=Outcome.APPROVED, key=key))


class Client:
    """Puts cases, and keeps the STANs of those answered and of those turned away."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self.answered_stans: list[int] = []
        self.turned_away: list[int] = []

    def put(self, *stans: int) -> None:
        """Put cases as the engine does."""
        for stan in stans:
            if self._batcher.admits():
                self._batcher.put(Waiting(sale(stan, pills(1, 1)), self))
            else:
                self.turned_away.append(stan)

    def answered(self, answer: Answer) -> None:
        """Take an answer."""
        self.answered_stans.append(answer.key.stan)


def started(desk: Desk) -> tuple[Batcher, Client, CollectorRegistry]:
    registry = CollectorRegistry()
    batcher = Batcher(desk.decide, BatchMetrics(registry))
    batcher.start()
    return batcher, Client(batcher), registry


async def turns(count: int = 5) -> None:
    """Let the other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_waits_during_one_batch_is_the_next() -> None:
    desk = Desk()
    batcher, client, _ = started(desk)
    client.put(1)
    await turns()
    client.put(*range(2, 12))
    await turns()
    desk.open.set()
    await batcher.drain()
    assert desk.batches == [[1], list(range(2, 12))]
    assert client.answered_stans == list(range(1, 12))


async def test_a_batch_has_a_greatest_size() -> None:
    desk = Desk()
    batcher, client, registry = started(desk)
    desk.open.set()
    client.put(*range(1, BATCH_MAX + 3))
    await batcher.drain()
    assert [len(batch) for batch in desk.batches] == [BATCH_MAX, 2]
    assert registry.get_sample_value("spk_authorization_batch_size_count") == 2


async def test_one_key_never_stands_twice_in_a_batch() -> None:
    desk = Desk()
    batcher, client, _ = started(desk)
    desk.open.set()
    client.put(1, 2, 1, 1, 3, 2)
    await batcher.drain()
    assert desk.batches == [[1, 2, 3], [1, 2], [1]]


async def test_past_the_bound_a_case_is_turned_away_at_once() -> None:
    desk = Desk()
    batcher, client, registry = started(desk)
    client.put(*range(1, WAITING_MAX + 2))
    assert client.turned_away == [WAITING_MAX + 1]
    assert registry.get_sample_value("spk_authorization_turned_away_total") == 1
    desk.open.set()
    await batcher.drain()
    assert client.answered_stans == list(range(1, WAITING_MAX + 1))


async def test_drain_decides_what_was_accepted_and_takes_no_more() -> None:
    desk = Desk()
    batcher, client, _ = started(desk)
    client.put(1, 2)
    await turns()
    draining = asyncio.get_running_loop().create_task(batcher.drain())
    await turns()
    client.put(3)
    assert client.turned_away == [3]
    desk.open.set()
    await draining
    assert client.answered_stans == [1, 2]
