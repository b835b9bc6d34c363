"""A whole centre of processes on a database of its own, all of which can be killed under load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import asyncpg

from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.sql_files import read_sql_folder, sql_root
from tests.faults.auditor import Finding, audit_run
from tests.faults.counters import Counted, Counters
from tests.faults.load import Load
from tests.faults.pair import Expiry
from tests.plugins.centre import Programs
from tests.plugins.line import Line
from tests.plugins.town import build_town
from tests.workers.crew import Crew, until

CITIZENS: Final = 8
EXPIRE_ATTEMPTS_MAX: Final = 200
BACK_LATER: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    OSError,
)
"""What a session of a database meets that was killed, or starts again."""

KEY_SERVICE_AWAY_SECONDS: Final = 0.5
"""Longest time for which the key service stays away after it was killed."""

Harm: TypeAlias = "Callable[[Stage], Awaitable[None]]"


class Stage:
    """The centre (`workers` processes under a supervisor, or one process), and what may hit it."""

    def __init__(
        self, programs: Programs, database: EmbeddedPostgres, workers: int, seed: int
    ) -> None:
        self.programs = programs
        self.database = database
        self.counters = Counters()
        self.chance = random.Random(seed)
        self.crew = Crew(programs, workers=workers)
        self._expiry = Expiry(self.counters)

    async def connect(self, terminal_id: str) -> Line:
        """Connect in the name of a terminal, to the centre that serves just now."""
        return await self.crew.line(terminal_id)

    async def kill_worker(self) -> None:
        """Kill one worker and wait until another has its place."""
        worker = self.chance.choice(list(self.crew.processes()))
        killed = self.crew.kill(worker)
        self.counters.add(Counted.WORKERS_KILLED)
        await self.crew.replaced(worker, killed)

    async def kill_workers(self) -> None:
        """Kill all workers, but not what supervises them."""
        killed = {worker: self.crew.kill(worker) for worker in self.crew.processes()}
        self.counters.add(Counted.WORKERS_KILLED, len(killed))
        for worker, process in killed.items():
            await self.crew.replaced(worker, process)

    async def kill_centre(self) -> None:
        """Kill every process of the centre, and start it again."""
        await self._kill_processes()
        self.counters.add(Counted.CENTRES_KILLED)
        await asyncio.to_thread(self.crew.start)

    async def kill_session(self) -> None:
        """Kill one server process of PostgreSQL that works for the centre: all sessions end."""
        connection = await asyncpg.connect(self.database.superuser_dsn())
        try:
            sessions = await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'spk centre%' "
                "ORDER BY (state = 'active') DESC, query_start DESC LIMIT 3"
            )
        finally:
            await connection.close()
        # It may have ended since.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.chance.choice(sessions)["pid"], signal.SIGKILL)
            self.counters.add(Counted.SESSIONS_KILLED)

    async def kill_database(self) -> None:
        """Kill PostgreSQL's first process; the centre starts another by itself."""
        killed = self._kill_postmaster()
        self.counters.add(Counted.DATABASES_KILLED)
        await self._database_back(killed)

    async def kill_both(self) -> None:
        """Kill database and centre at one moment, and start the centre again."""
        killed = self._kill_postmaster()
        await self._kill_processes()
        self.counters.add(Counted.BOTH_KILLED)
        await asyncio.to_thread(self.crew.start)
        await self._database_back(killed)

    async def kill_key_service(self) -> None:
        """Kill the key service, leave it away for a moment, start it again."""
        await asyncio.to_thread(self.crew.hsm.kill)
        self.counters.add(Counted.KEY_SERVICES_KILLED)
        await asyncio.sleep(self.chance.uniform(0, KEY_SERVICE_AWAY_SECONDS))
        self.crew.hsm = await asyncio.to_thread(self.programs.start_hsm)

    async def expire(self) -> None:
        """End every reservation that is open now, once the database is back from its last harm."""
        for _ in range(EXPIRE_ATTEMPTS_MAX):
            try:
                connection = await asyncpg.connect(self.database.superuser_dsn())
                try:
                    await self._expiry(connection)
                finally:
                    await connection.close()
            except BACK_LATER:
                await asyncio.sleep(0.1)
            else:
                return
        raise AssertionError("the database did not come back")

    async def findings(self, load: Load, receipt_public_key: bytes) -> list[Finding]:
        """Audit, ask for everything again, audit once more."""
        connection = await asyncpg.connect(self.database.superuser_dsn())
        try:
            found = await audit_run(connection, load.ledger, receipt_public_key)
            await load.ask_all_again()
            return found + await audit_run(connection, load.ledger, receipt_public_key)
        finally:
            await connection.close()

    async def _kill_processes(self) -> None:
        for worker in self.crew.processes():
            # A single process has no workers; one that was just replaced may be gone.
            with contextlib.suppress(ProcessLookupError):
                self.crew.kill(worker)
        await asyncio.to_thread(self.crew.centre.kill)

    def _kill_postmaster(self) -> int:
        process = self.database.status().process_id
        assert process is not None, self.database.status()
        os.kill(process, signal.SIGKILL)
        return process

    async def _database_back(self, killed: int) -> None:
        async def back() -> bool:
            return self.database.status().process_id not in (None, killed)

        await until(back, "the database runs again")


@contextlib.asynccontextmanager
async def standing(
    programs: Programs, workers: int, seed: int, granted: int
) -> AsyncIterator[Stage]:
    """Give a centre that serves the town; each citizen is granted `granted` units."""
    database = EmbeddedPostgres(programs.folder)
    await asyncio.to_thread(database.start)
    try:
        await migrate(database.superuser_dsn(), read_sql_folder(sql_root()))
        connection = await asyncpg.connect(database.superuser_dsn())
        await build_town(connection, CITIZENS, granted)
        await connection.close()
        stage = Stage(programs, database, workers, seed)
        yield stage
        assert await asyncio.to_thread(stage.crew.centre.end) == 0
    finally:
        await asyncio.to_thread(database.stop)
