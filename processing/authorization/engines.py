"""The engines of a worker: one for each database, and the way to the right one."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable

from structlog.typing import FilteringBoundLogger

from processing.authorization.batcher import BatchMetrics
from processing.authorization.engine import Engine
from processing.authorization.proof import CardCache
from processing.authorization.store import AuthorizationStore
from processing.authorization.targets import Decider, Targets, TargetStore, card_key_anywhere
from processing.journal.lane import Lane
from processing.journal.receipts import BlockSigner
from processing.journal.store import JournalStore
from processing.kernel.clock import Clock
from processing.kernel.target_pools import TargetPools
from processing.kernel.targets import HOME, Target

NewLane = Callable[[Target], Lane]
"""Makes a lane of a target, which claims its number when it is first asked."""


@contextlib.asynccontextmanager
async def running_engines(
    pools: TargetPools,
    new_lane: NewLane,
    signer: BlockSigner,
    clock: Clock,
    log: FilteringBoundLogger,
    metrics: BatchMetrics,
) -> AsyncIterator[Decider]:
    """Start an engine for each database; at the end each decides what it accepted.

    With one database that is its engine itself: nothing stands between.
    """
    engines: dict[int, Engine] = {}
    alone = len(pools) == 1
    async with contextlib.AsyncExitStack() as rooms:
        for target in pools.map.targets:
            lane = new_lane(target)
            rooms.push_async_callback(lane.release)
            pool = pools.pools[target.number]
            engine = engines[target.number] = Engine(
                store=AuthorizationStore(pool) if alone else TargetStore(pools, target.number),
                journal=JournalStore(pool),
                signer=signer,
                lane=lane,
                clock=clock,
                log=log if alone else log.bind(target=target.number),
                metrics=metrics,
            )
            engine.start()
            rooms.push_async_callback(engine.drain)
        if alone:
            yield engines[HOME]
        else:
            cards = CardCache(functools.partial(card_key_anywhere, pools))
            targets = Targets(pools.map, engines, cards)
            rooms.push_async_callback(targets.drain)
            yield targets
