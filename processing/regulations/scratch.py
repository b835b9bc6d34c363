"""Scratch databases: made beside a target's own on the same server, and dropped when done.

Work that must not touch live data is done in one. Whoever makes one holds an advisory lock named
after it in the target's own database for as long as it lives; so the next who makes one sees which
were left behind by a program that was killed, and drops them first.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from processing.kernel.errors import DatabaseError, DatabaseUnavailableError
from processing.kernel.migrate import migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root

PREFIX: Final = "spk_scratch_"
CONNECT_TIMEOUT_SECONDS: Final = 10.0

_LEFT: Final = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
_OWN_OID: Final = "SELECT oid FROM pg_database WHERE datname = current_database()"
_TABLES: Final = """
    SELECT c.oid::regclass::text AS name FROM pg_class AS c
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relispartition
"""


@contextlib.asynccontextmanager
async def scratch_database(administrator_dsn: str, workshop: str) -> AsyncIterator[str]:
    """Make an empty, migrated database with the SQL files of sql/scratch/`workshop` run in it.

    Gives its address for `administrator_dsn`'s login, which may create databases; drops it at the
    block's end, whatever happened, and before that all that earlier runs left. Raises
    `DatabaseError` that says what an administrator has to allow.
    """
    keeper = await _connect(administrator_dsn)
    try:
        own = await keeper.fetchval(_OWN_OID)
        await _sweep(keeper, f"{PREFIX}{own}_")
        name = f"{PREFIX}{own}_{secrets.token_hex(6)}"
        await keeper.execute("SELECT pg_advisory_lock($1)", _lock_of(name))
        try:
            await keeper.execute(f'CREATE DATABASE "{name}"')
        except asyncpg.InsufficientPrivilegeError as error:
            raise DatabaseError(
                "this login may not create the scratch database. Let a superuser run: ALTER ROLE "
                f"{await keeper.fetchval('SELECT quote_ident(session_user)')} CREATEDB;"
            ) from error
        try:
            dsn = urlsplit(administrator_dsn)._replace(path=f"/{name}").geturl()
            await migrate(dsn, read_sql_folder(sql_root()))
            async with scratch_session(dsn) as session:
                for file in sorted((sql_root() / "scratch" / workshop).glob("*.sql")):
                    await session.execute(file.read_text("utf-8"))
            yield dsn
        finally:
            await keeper.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await keeper.close(timeout=CONNECT_TIMEOUT_SECONDS)


@contextlib.asynccontextmanager
async def scratch_session(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Open a session in a scratch database that waits for no disk, as `spk_owner`."""
    connection = await _connect(
        dsn,
        role=Role.OWNER.value,
        synchronous_commit="off",
        work_mem="128MB",
        jit="off",
        TimeZone="UTC",
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def forget_at_crash(session: asyncpg.Connection) -> None:
    """Let the partitions made so far, which must be empty, write no log."""
    for row in await session.fetch(_TABLES):
        await session.execute(f"ALTER TABLE {row['name']} SET UNLOGGED")


async def _sweep(keeper: asyncpg.Connection, prefix: str) -> None:
    """Drop the scratch databases that nobody holds any more."""
    for row in await keeper.fetch(_LEFT, prefix):
        lock = _lock_of(row["datname"])
        if await keeper.fetchval("SELECT pg_try_advisory_lock($1)", lock):
            await keeper.execute(f'DROP DATABASE IF EXISTS "{row["datname"]}" WITH (FORCE)')
            await keeper.fetchval("SELECT pg_advisory_unlock($1)", lock)


def _lock_of(name: str) -> int:
    """Return the advisory lock that tells that a scratch database is in use."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


async def _connect(dsn: str, **settings: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": "spk scratch", **settings},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailableError(f"the scratch database does not answer: {error}") from error
