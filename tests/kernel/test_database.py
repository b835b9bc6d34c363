"""The pool: it acts as its role, is bounded in number and time, and refuses what is not durable."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from processing.kernel.database import (
    ONLINE_LIMITS,
    DatabasePool,
    SessionLimits,
    open_pool,
    server_name,
)
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseTimeoutError,
    DatabaseUnavailableError,
    DurabilityError,
)
from processing.kernel.roles import Role
from tests.plugins.postgres import Database

QUICK = SessionLimits(connections_max=1, acquire_timeout_ms=100)


@contextlib.asynccontextmanager
async def opened(
    database: Database, limits: SessionLimits = ONLINE_LIMITS, role: Role = Role.PROCESSING
) -> AsyncIterator[DatabasePool]:
    pool = await open_pool(database.dsn(role), role, "spk test", limits)
    try:
        yield pool
    finally:
        await pool.close()


async def test_a_session_acts_as_its_role(empty_database: Database) -> None:
    expected = {
        "role": "spk_processing",
        "application_name": "spk test",
        "TimeZone": "UTC",
        "statement_timeout": "4s",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "10s",
        "client_connection_check_interval": "1s",
        "jit": "off",
    }
    async with opened(empty_database) as pool:
        for _ in range(2):
            async with pool.connection() as connection:
                shown = {name: await connection.fetchval(f"SHOW {name}") for name in expected}
                assert shown == expected
                assert await connection.fetchval("SELECT current_user") == "spk_processing"
                # The next borrower must not find this.
                await connection.execute("SET statement_timeout = 1; RESET ROLE")
                assert await connection.fetchval("SELECT current_user") == "spk_processing"


async def test_a_transaction_commits_or_rolls_back(empty_database: Database) -> None:
    async with empty_database.connect() as admin:
        await admin.execute("CREATE TABLE entry (value int); GRANT ALL ON entry TO spk_processing")

    async def insert(pool: DatabasePool, value: int, then: str, fault: bool) -> None:
        async with pool.transaction() as connection:
            await connection.execute("INSERT INTO entry VALUES ($1)", value)
            await connection.execute(then)
            if fault:
                raise ValueError("on purpose")

    async with opened(empty_database) as pool:
        await insert(pool, 1, "SELECT 1", fault=False)
        with pytest.raises(ValueError, match="on purpose"):
            await insert(pool, 2, "SELECT 1", fault=True)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await insert(pool, 3, "SELECT 1/0", fault=False)
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT array_agg(value) FROM entry") == [1]


async def test_waiting_for_a_connection_ends(empty_database: Database) -> None:
    async with opened(empty_database, QUICK) as pool, pool.connection():
        with pytest.raises(DatabaseBusyError, match="became free within 100 ms"):
            await pool.connection().__aenter__()


async def test_the_servers_time_out_leaves_the_connection_usable(empty_database: Database) -> None:
    limits = msgspec.structs.replace(QUICK, statement_timeout_ms=50)
    async with opened(empty_database, limits) as pool:
        async with pool.connection() as connection:
            before = await connection.fetchval("SELECT pg_backend_pid()")
        for use in (pool.connection, pool.transaction):
            with pytest.raises(DatabaseTimeoutError, match="the server stopped a statement"):
                async with use() as connection:
                    await connection.execute("SELECT pg_sleep(10)")
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") == before


async def test_a_lock_wait_ends(empty_database: Database) -> None:
    limits = msgspec.structs.replace(ONLINE_LIMITS, lock_timeout_ms=50)
    async with opened(empty_database, limits) as pool, pool.transaction() as holder:
        await holder.execute("SELECT pg_advisory_xact_lock(1)")
        with pytest.raises(DatabaseTimeoutError, match="a lock stayed taken"):
            async with pool.transaction() as waiter:
                await waiter.execute("SELECT pg_advisory_xact_lock(1)")


async def test_a_server_short_of_disk_is_away(empty_database: Database) -> None:
    async with opened(empty_database) as pool:
        with pytest.raises(DatabaseUnavailableError, match=r"short of disk or memory.*device"):
            async with pool.connection() as connection:
                await connection.execute(
                    "DO $$ BEGIN RAISE 'No space left on device' USING ERRCODE = '53100'; END $$"
                )
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_after_the_clients_time_out_the_connection_is_thrown_away(
    empty_database: Database, in_transaction: bool
) -> None:
    limits = msgspec.structs.replace(QUICK, command_timeout_ms=100, acquire_timeout_ms=5_000)
    async with opened(empty_database, limits) as pool:
        async with pool.connection() as connection:
            before = await connection.fetchval("SELECT pg_backend_pid()")
        use = pool.transaction if in_transaction else pool.connection
        with pytest.raises(DatabaseTimeoutError, match="whether the command took effect"):
            async with use() as connection:
                await connection.execute("SELECT pg_sleep(60)")
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") != before
        await assert_gone(empty_database, before)


async def test_a_cancelled_task_does_not_hand_its_connection_on(empty_database: Database) -> None:
    started = asyncio.Event()
    backends: list[int] = []
    async with opened(empty_database, msgspec.structs.replace(QUICK, acquire_timeout_ms=5_000)) as pool:  # noqa: E501 # fmt: skip

        async def work() -> None:
            async with pool.transaction() as connection:
                backends.append(await connection.fetchval("SELECT pg_backend_pid()"))
                started.set()
                await connection.execute("SELECT pg_sleep(60)")

        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") not in backends
        await assert_gone(empty_database, backends[0])


async def assert_gone(database: Database, backend: int) -> None:
    """Wait until the server ended that backend, as it does once it sees its client gone."""
    async with database.connect() as admin:
        async with asyncio.timeout(20):
            while await admin.fetchval("SELECT 1 FROM pg_stat_activity WHERE pid = $1", backend):
                await admin.execute("SELECT pg_sleep(0.05)")
        left = await admin.fetchval("SELECT 1 FROM pg_stat_activity WHERE pid = $1", backend)
        assert left is None


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_a_lost_connection_is_told_and_replaced(
    empty_database: Database, in_transaction: bool
) -> None:
    async def work(pool: DatabasePool, *, lose: bool) -> object:
        use = pool.transaction if in_transaction else pool.connection
        async with use() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
            if lose:
                async with empty_database.connect() as admin:
                    await admin.execute("SELECT pg_terminate_backend($1, 5000)", backend)
            return await connection.fetchval("SELECT 1")

    async with opened(empty_database, QUICK) as pool:
        with pytest.raises(DatabaseUnavailableError, match="connection to the database was lost"):
            await work(pool, lose=True)
        assert await work(pool, lose=False) == 1


async def test_close_does_not_wait_for_ever(empty_database: Database) -> None:
    limits = msgspec.structs.replace(QUICK, command_timeout_ms=100)
    pool = await open_pool(empty_database.dsn(), Role.PROCESSING, "spk test", limits)
    async with pool.connection() as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        await pool.close()
    await assert_gone(empty_database, backend)


REFUSED = [
    ("postgresql://u:hunter2@/spk?host=/nonexistent", DatabaseUnavailableError, "does not answer"),
    ("postgresql://u:hunter2@127.0.0.1:1/spk", DatabaseUnavailableError, "127.0.0.1:1/spk"),
]


@pytest.mark.parametrize(("dsn", "kind", "message"), REFUSED)
async def test_nobody_there(dsn: str, kind: type[DatabaseError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        await open_pool(dsn, Role.PROCESSING, "spk test")
    assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(bool(os.environ.get("SPK_TEST_DSN")), reason="its logins are not ours")
async def test_a_login_cannot_take_another_role(empty_database: Database) -> None:
    with pytest.raises(DatabaseError, match="GRANT spk_register TO the login"):
        await open_pool(empty_database.dsn(Role.PROCESSING), Role.REGISTER, "spk test")


async def test_a_missing_database_is_told(empty_database: Database) -> None:
    dsn = empty_database.server.dsn(Role.PROCESSING, "nowhere")
    with pytest.raises(DatabaseUnavailableError, match="create it with createdb"):
        await open_pool(dsn, Role.PROCESSING, "spk test")


NAMES = [
    ("postgresql://u:p@db.example:5432/spk?x=1", "db.example:5432/spk"),
    ("postgresql://u@/spk?host=/run/postgresql&passfile=/p", "/run/postgresql/spk"),
    ("postgresql:///spk", "localhost/spk"),
    ("postgresql://u:p@[::1]:port/spk", "the database named by the DSN"),
]


@pytest.mark.parametrize(("dsn", "name"), NAMES)
def test_server_name_shows_no_login(dsn: str, name: str) -> None:
    assert server_name(dsn) == name


UNSAFE = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("synchronous_commit", "local"),
    ("synchronous_commit", "remote_write"),
]


async def set_on_server(server: EmbeddedPostgres, name: str, value: str | None) -> None:
    """Set and reload, and wait until a new session sees it: a reload is a signal."""
    assignment = f"SET {name} = {value}" if value else f"RESET {name}"
    connection = await asyncpg.connect(server.superuser_dsn())
    await connection.execute(f"ALTER SYSTEM {assignment}")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    async with asyncio.timeout(20):
        while True:
            probe = await asyncpg.connect(server.superuser_dsn())
            shown = await probe.fetchval(f"SHOW {name}")
            await probe.close()
            if shown == (value or "on"):
                return


@pytest.mark.parametrize(("name", "value"), UNSAFE)
async def test_a_server_that_could_lose_transactions_is_refused(
    scratch: EmbeddedPostgres, name: str, value: str
) -> None:
    await set_on_server(scratch, name, value)
    try:
        with pytest.raises(DurabilityError) as caught:
            await open_pool(scratch.dsn(Role.PROCESSING), Role.PROCESSING, "spk test")
    finally:
        await set_on_server(scratch, name, None)
    assert f"{name} is {value} (set by: configuration file) and must be on" in str(caught.value)
    assert "ALTER SYSTEM SET" in str(caught.value)
    assert caught.value.exit_code == 2
    safe = await open_pool(scratch.dsn(Role.PROCESSING), Role.PROCESSING, "spk test")
    await safe.close()


async def test_several_faults_are_named_together(scratch: EmbeddedPostgres) -> None:
    await set_on_server(scratch, "fsync", "off")
    await set_on_server(scratch, "full_page_writes", "off")
    try:
        with pytest.raises(DurabilityError, match=r"fsync is off .*; full_page_writes is off"):
            await open_pool(scratch.dsn(Role.PROCESSING), Role.PROCESSING, "spk test")
    finally:
        await set_on_server(scratch, "fsync", None)
        await set_on_server(scratch, "full_page_writes", None)


async def test_a_database_or_login_set_unsafe_is_refused(empty_database: Database) -> None:
    async with empty_database.connect() as admin:
        await admin.execute(f"ALTER DATABASE {empty_database.name} SET synchronous_commit = 'off'")
    with pytest.raises(DurabilityError, match=r"synchronous_commit is off \(set by: database\)"):
        await open_pool(empty_database.dsn(), Role.PROCESSING, "spk test")
    async with empty_database.connect() as admin:
        await admin.execute(
            f"ALTER DATABASE {empty_database.name} SET synchronous_commit = 'remote_apply'"
        )
    async with opened(empty_database):
        pass


async def test_a_connection_opened_later_is_checked_too(empty_database: Database) -> None:
    limits = msgspec.structs.replace(ONLINE_LIMITS, connections_max=2)
    async with opened(empty_database, limits) as pool, pool.connection():
        async with empty_database.connect() as admin:
            await admin.execute(
                f"ALTER DATABASE {empty_database.name} SET synchronous_commit = 'off'"
            )
        with pytest.raises(DurabilityError):
            await pool.connection().__aenter__()
