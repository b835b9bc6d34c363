"""The database step alone: engine.authorize without a wire, without cryptography, without receipts.

What is measured is the database, so the arguments of every call are made before the clock starts
and the answers are read after it has stopped, both by the worker's own store over a connection that
only takes down (`Taken`). Batches of 256 go over as many connections as there are workers; one call
per request goes over as many as pgbench has clients. Each connection is a lane of the journal, as a
worker's is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from typing import Final, cast
from uuid import UUID

import asyncpg
import msgspec

from bench.references.pgbench import CLIENTS
from bench.rig import Rig, RigError
from bench.traffic import Sales, Traffic
from processing.authorization.model import Case, Proof, Ruling
from processing.authorization.store import AuthorizationStore, BatchCollisionError
from processing.journal.lane import Lane
from processing.kernel.bucket import bucket_of
from processing.kernel.database import DatabasePool, SessionLimits, open_pool, open_session
from processing.kernel.roles import Role
from processing.wire.digest import canonical_bytes

BATCH: Final = 256
BATCH_CONNECTIONS: Final = 2
SINGLE_CONNECTIONS: Final = CLIENTS
COLLISIONS: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
)
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
    pool = await open_pool(dsn, Role.PROCESSING, "bench", LIMITS, unchanging=True)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        calls: list[list[Taken]] = []
        for number in range(connections):
            lane = Lane(lambda: open_session(dsn, Role.PROCESSING, "bench lane"))
            stack.push_async_callback(lane.release)
            block = await lane.next_block()
            calls.append(
                [
                    await taken(rig, lane.number, block + place, batch)
                    for place, batch in enumerate(batches[number::connections])
                ]
            )
        await asyncio.gather(*(_work(pool, share[:1], math.inf) for share in calls))
        begun, cpu = time.perf_counter(), time.process_time()
        end = begun + duration_ms / 1000
        collided = await asyncio.gather(*(_work(pool, share[1:], end) for share in calls))
        elapsed = time.perf_counter() - begun
        cpu_us = (time.process_time() - cpu) * 1_000_000
    warmed = [call for share in calls for call in share[:1]]
    made = [call for share in calls for call in share[1:] if call.rows is not None]
    for call in (*warmed, *made):
        await call.check_approved()
    count = sum(len(call.cases) for call in made)
    return StepRun(
        count=count,
        warmed=sum(len(call.cases) for call in warmed),
        rate_per_second=count / elapsed,
        client_cpu_us=cpu_us / max(1, count),
        collisions=sum(collided),
    )


class Taken:
    """One call of the store, taken down before it is made; then the rows that answered it.

    To the store this is a pool with one connection: the first question is remembered and goes
    nowhere; once `rows` are there, they are the answer.
    """

    def __init__(self, lane: int, block: int, day: date, cases: Sequence[Case]) -> None:
        self.cases = cases
        self.query = ""
        self.arguments: tuple[object, ...] = ()
        self.rows: list[asyncpg.Record] | None = None
        self._place = (lane, block, time.time_ns() // 1_000_000, day)

    async def ask(self) -> list[Ruling]:
        """Let the store call; raises `_TakenDownError` when that was the first time."""
        return await AuthorizationStore(cast("DatabasePool", self)).authorize(
            *self._place, self.cases
        )

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Taken]:
        """Be the connection as well."""
        yield self

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Take a question down, or answer it."""
        if self.rows is None:
            self.query, self.arguments = query, arguments
            raise _TakenDownError
        return self.rows

    async def check_approved(self) -> None:
        """Raise `RigError` when a sale was refused."""
        check_approved(await self.ask())


class _TakenDownError(Exception):
    """The question is known now."""


async def taken(rig: Rig, lane: int, block: int, cases: Sequence[Case]) -> Taken:
    """Return the call that decides `cases` as a block of a lane."""
    call = Taken(lane, block, rig.world.business_date, cases)
    with contextlib.suppress(_TakenDownError):
        await call.ask()
    return call


async def _work(pool: DatabasePool, calls: Sequence[Taken], end: float) -> int:
    """Make calls until they or the time end; return how often one collided and was repeated."""
    collisions = 0
    async with pool.connection() as connection:
        for call in calls:
            if time.perf_counter() >= end:
                break
            while call.rows is None:
                try:
                    call.rows = await connection.fetch(call.query, *call.arguments)
                except COLLISIONS:
                    collisions += 1
                    if collisions > COLLISIONS_MAX:
                        raise RigError("the database step collides without end") from None
    return collisions


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
    check_approved(rulings)
    return True


def check_approved(rulings: Sequence[Ruling]) -> None:
    """Raise `RigError` when a sale was refused."""
    for ruling in rulings:
        if not ruling.outcome.approved:
            raise RigError(
                f"the database step refused a sale: {ruling.outcome.name} {ruling.facts}"
            )


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
