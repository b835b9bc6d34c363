"""Gathers cases into batches without a timer: what waits while one batch runs is the next batch.

Idle, a case goes at once, alone; under load the batch grows by itself up to `BATCH_MAX`. Past
`WAITING_MAX` a case is turned away at once. Two cases with one key never share a batch: the later
one goes with the next and then meets the stored decision of the first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from processing.authorization.model import Case
from processing.kernel.metrics import BATCH_SIZE_BUCKETS
from processing.wire.transaction import Answer

BATCH_MAX: Final = 256
"""Most cases in one database call."""

WAITING_MAX: Final = 4 * BATCH_MAX
"""Most cases that wait for a batch; the next is told to try later."""

Decide = Callable[[Sequence[Case]], Awaitable[list[Answer]]]
"""Decides a batch whose keys differ; returns the answers in order and does not raise."""


class QueueFullError(Exception):
    """The queue is at its bound: nothing was decided, the caller may try later."""


class BatchMetrics:
    """What operators see of the queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.waiting = Gauge(
            "spk_authorization_waiting", "Transactions waiting for a batch", registry=registry
        )
        self.turned_away = Counter(
            "spk_authorization_turned_away", "Transactions told to try later", registry=registry
        )
        self.size = Histogram(
            "spk_authorization_batch_size",
            "Transactions decided in one database call",
            buckets=BATCH_SIZE_BUCKETS,
            registry=registry,
        )


class Batcher:
    """One queue and the task that empties it. Start with `start`, end with `drain`."""

    def __init__(self, decide: Decide, metrics: BatchMetrics) -> None:
        self._decide = decide
        self._metrics = metrics
        self._waiting: deque[tuple[Case, asyncio.Future[Answer]]] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        metrics.waiting.set_function(lambda: len(self._waiting))

    def check_room(self) -> None:
        """Raise `QueueFullError` when `submit` would, so that nothing is prepared in vain."""
        if self._closing or len(self._waiting) >= WAITING_MAX:
            self._metrics.turned_away.inc()
            raise QueueFullError

    def start(self) -> None:
        """Begin to decide; needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def submit(self, case: Case) -> Answer:
        """Return the answer once its decision is committed; raises `QueueFullError` at once."""
        self.check_room()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((case, future))
        self._arrived.set()
        return await future

    async def drain(self) -> None:
        """Take no more, decide what was accepted, then end."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not (self._closing and not self._waiting):
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            batch = self._next_batch()
            self._metrics.size.observe(len(batch))
            try:
                answers = await self._decide([case for case, _ in batch])
                decided = list(zip(batch, answers, strict=True))
            except Exception as error:
                # A fault of one batch is told to whoever waits for it; the next one goes on.
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in decided:
                # The connection that asked may be gone; its decision stands all the same.
                if not future.done():
                    future.set_result(answer)

    def _next_batch(self) -> list[tuple[Case, asyncio.Future[Answer]]]:
        keys = set()
        batch: list[tuple[Case, asyncio.Future[Answer]]] = []
        later = []
        while self._waiting and len(batch) < BATCH_MAX:
            entry = self._waiting.popleft()
            key = entry[0].request.key
            if key in keys:
                later.append(entry)
                continue
            keys.add(key)
            batch.append(entry)
        self._waiting.extendleft(reversed(later))
        return batch
