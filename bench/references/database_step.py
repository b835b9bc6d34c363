"""The database step alone: engine.authorize without a wire, without cryptography, without receipts.

Batches of 256 go over as many connections as there are workers; one call per request goes over as
many as pgbench has clients. Each connection is a lane of the journal, as a worker's is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import msgspec

from bench.references.pgbench import CLIENTS
from bench.rig import Rig, RigError
from bench.traffic import Sales, Traffic
from processing.authorization.model import Case, Proof
from processing.authorization.store import AuthorizationStore, BatchCollisionError
from processing.journal.lane import Lane
from processing.kernel.bucket import bucket_of
from processing.kernel.database import SessionLimits, open_pool, open_session
from processing.kernel.roles import Role
from processing.wire.digest import canonical_bytes

BATCH: Final = 256
BATCH_CONNECTIONS: Final = 2
SINGLE_CONNECTIONS: Final = CLIENTS
COLLISIONS_MAX: Final = 50
LIMITS: Final = SessionLimits(connections_max=SINGLE_CONNECTIONS)


class StepRun(msgspec.Struct, frozen=True, kw_only=True):
    """Sales decided, per second by the clock, and this process' own CPU time per sale.

    `warmed` were decided before the clock started.
    """

    count: int
    warmed: int
    rate_per_second: float
    client_cpu_us: float
    collisions: int


def database_step(rig: Rig, first_number: int, count: int, size: int, duration_ms: int) -> StepRun:
    """Decide up to `count` sales in batches of `size` for a while.

    One batch per connection comes before the clock starts: a session learns types and plans in its
    first call, and a centre's sessions live for days.
    """
    cases = list(cases_of(rig, first_number, count))
    batches = [cases[start : start + size] for start in range(0, len(cases), size)]
    connections = BATCH_CONNECTIONS if size > 1 else SINGLE_CONNECTIONS
    return asyncio.run(_decide(rig, batches, connections, duration_ms))


async def _decide(
    rig: Rig, batches: list[list[Case]], connections: int, duration_ms: int
) -> StepRun:
    dsn = rig.embedded.dsn(Role.PROCESSING)
    pool = await open_pool(dsn, Role.PROCESSING, "bench", LIMITS)
    store = AuthorizationStore(pool)
    waiting = iter(batches)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        lanes = []
        for _ in range(connections):
            lane = Lane(lambda: open_session(dsn, Role.PROCESSING, "bench lane"))
            stack.push_async_callback(lane.release)
            lanes.append((lane, await lane.next_block()))
        warm = [next(waiting, None) for _ in lanes]
        await asyncio.gather(
            *(
                _work(rig, store, lane, block, iter([batch]), math.inf)
                for (lane, block), batch in zip(lanes, warm, strict=True)
                if batch is not None
            )
        )
        begun, cpu = time.perf_counter(), time.process_time()
        end = begun + duration_ms / 1000
        counts = await asyncio.gather(
            *(_work(rig, store, lane, block + 1, waiting, end) for lane, block in lanes)
        )
        elapsed = time.perf_counter() - begun
        cpu_us = (time.process_time() - cpu) * 1_000_000
    warmed = sum(len(batch) for batch in warm if batch is not None)
    count = sum(one for one, _ in counts)
    return StepRun(
        count=count,
        warmed=warmed,
        rate_per_second=count / elapsed,
        client_cpu_us=cpu_us / max(1, count),
        collisions=sum(collisions for _, collisions in counts),
    )


async def _work(
    rig: Rig,
    store: AuthorizationStore,
    lane: Lane,
    block: int,
    batches: Iterator[list[Case]],
    end: float,
) -> tuple[int, int]:
    """Decide batches until they or the time end; return sales decided and batches tried again."""
    count = collisions = 0
    while time.perf_counter() < end and (batch := next(batches, None)) is not None:
        while not await decided(rig, store, lane.number, block, batch):
            collisions += 1
            if collisions > COLLISIONS_MAX:
                raise RigError("the database step collides without end")
        block += 1
        count += len(batch)
    return count, collisions


async def decided(
    rig: Rig, store: AuthorizationStore, lane: int, block: int, batch: Sequence[Case]
) -> bool:
    """Decide one batch; False when it collided with another. Raises `RigError` on a refusal."""
    now_ms = time.time_ns() // 1_000_000
    day = rig.world.business_date
    try:
        rulings = await store.authorize(lane, block, now_ms, day, batch)
    except BatchCollisionError:
        return False
    if not all(ruling.outcome.approved for ruling in rulings):
        refused = next(ruling for ruling in rulings if not ruling.outcome.approved)
        raise RigError(f"the database step refused a sale: {refused.outcome.name} {refused.facts}")
    return True


def cases_of(
    rig: Rig, first_number: int, count: int, traffic: Traffic = Traffic.SINGLE
) -> Iterator[Case]:
    """Yield sales as the engine hands them to its store, their signatures taken for right."""
    sales = Sales(rig.world, traffic)
    signed_at_ms = time.time_ns() // 1_000_000
    for number in range(first_number, first_number + count):
        request = sales.request(sales.draft(number), signed_at_ms)
        canonical = canonical_bytes(request)
        yield Case(
            request,
            canonical,
            hashlib.sha256(canonical).digest(),
            Proof.RIGHT,
            UUID(bytes=request.holder_id),
            bucket_of(request.holder_id),
        )
