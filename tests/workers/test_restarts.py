"""Database and key service are restarted under load, and no worker has to be."""

from __future__ import annotations

import asyncio
import os
import signal

import asyncpg
import pytest

from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.sql_files import read_sql_folder, sql_root
from tests.authorization.audit import audit
from tests.plugins.centre import Programs
from tests.plugins.town import build_town
from tests.workers.crew import Crew, Load

SALES_BETWEEN = 40


@pytest.mark.timeout(300)
async def test_database_and_key_service_restart_under_load(programs: Programs) -> None:
    embedded = EmbeddedPostgres(programs.folder)
    await asyncio.to_thread(embedded.start)
    try:
        await _check_both_restarts(programs, embedded)
    finally:
        await asyncio.to_thread(embedded.stop)


async def _check_both_restarts(programs: Programs, embedded: EmbeddedPostgres) -> None:
    await migrate(embedded.superuser_dsn(), read_sql_folder(sql_root()))
    connection = await asyncpg.connect(embedded.superuser_dsn())
    await build_town(connection, granted=1_000_000)
    await connection.close()
    crew = Crew(programs)
    workers = crew.processes()
    load = Load(crew)
    await load.more(SALES_BETWEEN)

    # An immediate shutdown: sessions end in mid-statement, the next start replays the log.
    postmaster = embedded.status().process_id
    assert postmaster is not None
    os.kill(postmaster, signal.SIGQUIT)
    await load.more(SALES_BETWEEN)
    assert embedded.status().process_id != postmaster

    await asyncio.to_thread(crew.hsm.kill)
    crew.hsm = await asyncio.to_thread(programs.start_hsm)
    await load.more(SALES_BETWEEN)
    await load.end()

    count = await load.asked_again()
    assert crew.processes() == workers
    assert sum(till.repeats for till in load.tills) > 0
    connection = await asyncpg.connect(embedded.superuser_dsn())
    try:
        assert await audit(connection) == []
        assert await connection.fetchval("SELECT count(*) FROM journal.event") == count
        assert await connection.fetchval("SELECT sum(used) FROM rights.counter") == count
    finally:
        await connection.close()
    assert await asyncio.to_thread(crew.centre.end) == 0
