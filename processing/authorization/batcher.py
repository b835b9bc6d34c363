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

from processing.authorization.model import Waiting
from processing.kernel.metrics import BATCH_SIZE_BUCKETS

BATCH_MAX: Final = 256
"""Most cases in one database call."""

WAITING_MAX: Final = 4 * BATCH_MAX
"""Most cases that wait for a batch; the next is told to try later."""

Decide = Callable[[Sequence[Waiting]], Awaitable[None]]
"""Decides a batch whose keys differ and sees to it that each asker is told; does not raise.

It may return before they are told: then the next batch is decided meanwhile.
"""


class BatchMetrics:
    """What operators see of the queues, one for each database."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queues: list[Callable[[], int]] = []
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
        self.waiting.set_function(lambda: sum(length() for length in self._queues))

    def watch(self, length: Callable[[], int]) -> None:
        """Count a queue, whose length `length` tells, among those waiting."""
        self._queues.append(length)


class Batcher:
    """One queue and the task that empties it. Start with `start`, end with `drain`."""

    def __init__(self, decide: Decide, metrics: BatchMetrics) -> None:
        self._decide = decide
        self._metrics = metrics
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        metrics.watch(lambda: len(self._waiting))

    def admits(self) -> bool:
        """Whether one more case may be put; asked before anything is prepared in vain.

        A case that may not is counted as turned away.
        """
        if self._closing or len(self._waiting) >= WAITING_MAX:
            self._metrics.turned_away.inc()
            return False
        return True

    def put(self, waiting: Waiting) -> None:
        """Queue a case for the next batch with room for it."""
        if not self._waiting:
            self._arrived.set()
        self._waiting.append(waiting)

    def start(self) -> None:
        """Begin to decide; needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

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
            await self._decide(batch)

    def _next_batch(self) -> list[Waiting]:
        keys = set()
        batch: list[Waiting] = []
        later = []
        while self._waiting and len(batch) < BATCH_MAX:
            waiting = self._waiting.popleft()
            key = waiting.case.request.key
            if key in keys:
                later.append(waiting)
                continue
            keys.add(key)
            batch.append(waiting)
        self._waiting.extendleft(reversed(later))
        return batch
