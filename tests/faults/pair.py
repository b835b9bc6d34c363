"""Two workers in the test's loop over one database: quick, and open to mutations."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from hsm_stub.key_material import KeyMaterial
from processing.kernel.clock import Clock
from processing.wire.iso8583.mac import Mac
from tests.faults.auditor import Finding, audit_run, receipt_public_key_of
from tests.faults.counters import Counted, Counters
from tests.faults.load import Load
from tests.plugins.line import Line, open_line
from tests.plugins.live_centre import LiveCentre, Port
from tests.plugins.postgres import Database
from tests.plugins.targets import Databases
from tests.plugins.town import build_town, business_day

EXPIRY_LANE: Final = 1_000
"""No worker of a test has so high a lane."""

EXPIRIES_MAX: Final = 256


class Pair:
    """Two centres that share a database, each with a lane and a port of its own."""

    def __init__(
        self, database: Database, material: KeyMaterial, clock: Clock | None = None
    ) -> None:
        self.database = database
        self.counters = Counters()
        port = Port() if clock is None else Port(clock=clock)
        self.centres = [LiveCentre(Databases({1: database}), material, port) for _ in range(2)]
        self.receipt_public_key = receipt_public_key_of(material)
        self._turns = itertools.cycle(self.centres)
        self._macs: dict[str, Mac] = {}
        self._expiry = Expiry(self.counters)
        self._later: set[asyncio.Task[None]] = set()

    async def connect(self, terminal_id: str) -> Line:
        """Connect in the name of a terminal, to each centre in turn."""
        centre = next(self._turns)
        if terminal_id not in self._macs:
            self._macs[terminal_id] = await centre.mac(terminal_id)
        return await open_line(centre.number, self._macs[terminal_id])

    async def expire(self) -> None:
        """End every reservation that is open now."""
        async with self.database.connect() as connection:
            await self._expiry(connection)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the test; it is waited for before the audit."""
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def end_sessions(self) -> None:
        """End every session of the database, in the middle of whatever it does."""
        self.counters.add(Counted.SESSIONS_KILLED, await end_sessions(self.database))

    async def findings(self, load: Load) -> list[Finding]:
        """Audit, ask for everything again, audit once more."""
        async with self.database.connect() as connection:
            await asyncio.gather(*self._later)
            found = await audit_run(connection, load.ledger, self.receipt_public_key)
            await load.ask_all_again()
            await asyncio.gather(*self._later)
            return found + await audit_run(connection, load.ledger, self.receipt_public_key)


class Expiry:
    """Ends open reservations as if their time were over, on a lane of its own."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._block = 1

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """End every reservation that is open now."""
        decided_at = datetime.now(UTC) + timedelta(hours=1)
        while True:
            with contextlib.suppress(*_MET_ANOTHER):
                ended = await connection.fetchval(
                    "SELECT engine.expire($1, $2, $3, $4, $5)",
                    EXPIRY_LANE, self._block, decided_at, business_day(), EXPIRIES_MAX,
                )  # fmt: skip
                self._block += ended > 0
                self._counters.add(Counted.EXPIRIES, ended)
                return


_MET_ANOTHER: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
)


async def end_sessions(database: Database) -> int:
    """End every session of a database; return how many there were."""
    async with database.connect() as connection:
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    return len(ended)


@contextlib.asynccontextmanager
async def serving_pair(
    database: Database, material: KeyMaterial, *, granted: int = 60, clock: Clock | None = None
) -> AsyncIterator[Pair]:
    """Serve the town from two centres; its allowances are small enough to run out."""
    async with database.connect() as connection:
        await build_town(connection, granted=granted)
        await connection.execute(
            "SELECT journal.ensure_partitions($1::date, $1::date + 1)", business_day()
        )
    pair = Pair(database, material, clock)
    async with contextlib.AsyncExitStack() as ends:
        for centre in pair.centres:
            await ends.enter_async_context(centre.serving())
        yield pair
