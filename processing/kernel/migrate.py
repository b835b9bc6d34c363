"""Brings a database to the schema of this release, once, whoever asks and however often.

Migrations are forward SQL files, each applied in one transaction and recorded with its SHA-256;
a file that was applied never changes again. Functions and views are created again, all of them
in one transaction, whenever one of their files changed or a migration ran. They are run twice:
first unchecked, so that they may name each other in any order, then checked by PostgreSQL.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Final

import asyncpg
import msgspec

from processing.kernel.database import Connection, check_server, server_name
from processing.kernel.errors import DatabaseUnavailableError, MigrationError
from processing.kernel.roles import Role, ensure_group_roles, ensure_owner_may_create
from processing.kernel.sql_files import SqlFile, SqlFolder

MIGRATION_LOCK_KEY: Final = 0x73706B6D69677261
"""Advisory lock that keeps two migrators apart: "spkmigra" in ASCII."""

MIGRATION_LOCK_WAIT_MS: Final = 300_000
"""How long a second migrator waits for the first."""

TABLE_LOCK_WAIT_MS: Final = 10_000
"""How long a migration waits for a table; longer would hold up the transactions behind it."""

CONNECT_TIMEOUT_SECONDS: Final = 10.0

BOOKKEEPING: Final = """
    CREATE TABLE IF NOT EXISTS public.spk_migration (
        number integer PRIMARY KEY,
        name text NOT NULL,
        sha256 bytea NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        applied_by text NOT NULL DEFAULT session_user
    );
    CREATE TABLE IF NOT EXISTS public.spk_routine_file (
        path text PRIMARY KEY,
        sha256 bytea NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    GRANT SELECT ON public.spk_migration, public.spk_routine_file TO PUBLIC;
"""


class MigrationReport(msgspec.Struct, frozen=True):
    """What `migrate` did: the files it applied, and how many migrations were there before."""

    migrations_applied: tuple[str, ...]
    routines_applied: tuple[str, ...]
    already_applied: int


async def migrate(dsn: str, folder: SqlFolder) -> MigrationReport:
    """Apply what is missing from `folder` to the database at `dsn`.

    The login is a superuser, or one with CREATEROLE that owns the database. Safe to run twice
    and by two at once. Raises `MigrationError` naming the file, `DatabaseUnavailableError`.
    """
    async with _administrator(dsn) as connection:
        await check_server(connection)
        async with _only_migrator(connection):
            await ensure_group_roles(connection)
            await ensure_owner_may_create(connection)
            return await _apply_missing(connection, folder)


async def missing_from(connection: Connection, folder: SqlFolder) -> tuple[str, ...]:
    """Return the paths of files of `folder` that the database lacks or has in another version.

    Raises `MigrationError` when the database was migrated by a newer release, or when an applied
    migration differs from its file. Any login may ask.
    """
    if await connection.fetchval("SELECT to_regclass('public.spk_routine_file')") is None:
        return tuple(file.path for file in (*folder.migrations, *folder.routines))
    pending = await _pending_migrations(connection, folder)
    return tuple(file.path for file in (*pending, *await _changed_routines(connection, folder)))


async def check_migrated(connection: Connection, folder: SqlFolder) -> None:
    """Raise `MigrationError` unless the database has exactly the schema of this release."""
    if missing := await missing_from(connection, folder):
        raise MigrationError(
            f"the database lacks {len(missing)} SQL files of this release, first "
            f"{missing[0]}: run `spk db migrate`"
        )


async def apply_schema(connection: asyncpg.Connection, folder: SqlFolder) -> None:
    """Create the schema from sql/schema and the routines in an empty database.

    For the test that migrations and schema give the same; a real database is only ever migrated.
    """
    await ensure_group_roles(connection)
    await ensure_owner_may_create(connection)
    async with connection.transaction():
        for file in folder.schema:
            await _execute(connection, file)
    await _apply_routines(connection, folder.routines)


async def _apply_missing(connection: Connection, folder: SqlFolder) -> MigrationReport:
    await connection.execute(f"SET ROLE {Role.OWNER.value}")
    await connection.execute(BOOKKEEPING)
    await connection.execute("RESET ROLE")
    pending = await _pending_migrations(connection, folder)
    for file in pending:
        await _apply_migration(connection, file)
    changed = await _changed_routines(connection, folder)
    # A migration may have dropped what a routine stood on, and the routine with it.
    if pending or changed:
        await _apply_routines(connection, folder.routines)
    return MigrationReport(
        migrations_applied=tuple(file.path for file in pending),
        routines_applied=tuple(file.path for file in changed),
        already_applied=len(folder.migrations) - len(pending),
    )


async def _pending_migrations(connection: Connection, folder: SqlFolder) -> tuple[SqlFile, ...]:
    rows = await connection.fetch("SELECT number, name, sha256 FROM public.spk_migration")
    applied = {row["number"]: row for row in rows}
    known = {file.number: file for file in folder.migrations}
    for number in sorted(applied):
        name = applied[number]["name"]
        if number not in known:
            raise MigrationError(
                f"the database has migration {name}, which this release does not know: it was "
                "migrated by a newer release; install that one"
            )
        if known[number].name != name or known[number].sha256 != applied[number]["sha256"]:
            raise MigrationError(
                f"{known[number].path} differs from what was applied here as {name}: put the "
                "file back as it was, and write the change as a new migration"
            )
    return tuple(file for file in folder.migrations if file.number not in applied)


async def _changed_routines(connection: Connection, folder: SqlFolder) -> tuple[SqlFile, ...]:
    rows = await connection.fetch("SELECT path, sha256 FROM public.spk_routine_file")
    applied = {row["path"]: row["sha256"] for row in rows}
    return tuple(file for file in folder.routines if applied.get(file.path) != file.sha256)


async def _apply_migration(connection: Connection, file: SqlFile) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {TABLE_LOCK_WAIT_MS}")
        began_as = await connection.fetchval("SELECT pg_current_xact_id()::text")
        await _execute(connection, file)
        if await connection.fetchval("SELECT pg_current_xact_id_if_assigned()::text") != began_as:
            raise MigrationError(
                f"{file.path} ends its transaction itself and was applied without being "
                "recorded: take COMMIT or ROLLBACK out of it and restore the database"
            )
        await connection.execute(f"SET LOCAL ROLE {Role.OWNER.value}")
        await connection.execute(
            "INSERT INTO public.spk_migration (number, name, sha256) VALUES ($1, $2, $3)",
            file.number,
            file.name,
            file.sha256,
        )


async def _apply_routines(connection: Connection, routines: Iterable[SqlFile]) -> None:
    files = tuple(routines)
    async with connection.transaction():
        for check in ("off", "on"):
            await connection.execute(
                f"SET LOCAL ROLE {Role.OWNER.value};"
                f"SET LOCAL lock_timeout = {TABLE_LOCK_WAIT_MS};"
                f"SET LOCAL check_function_bodies = {check}"
            )
            for file in files:
                await _execute(connection, file)
        if await connection.fetchval("SELECT to_regclass('public.spk_routine_file')") is None:
            return
        await connection.execute("DELETE FROM public.spk_routine_file")
        await connection.executemany(
            "INSERT INTO public.spk_routine_file (path, sha256) VALUES ($1, $2)",
            [(file.path, file.sha256) for file in files],
        )


async def _execute(connection: Connection, file: SqlFile) -> None:
    try:
        await connection.execute(file.text)
    except asyncpg.PostgresError as error:
        position = error.as_dict().get("position")
        line = f" line {file.text.count(chr(10), 0, int(position)) + 1}" if position else ""
        hint = f" ({error.hint})" if getattr(error, "hint", None) else ""
        raise MigrationError(f"{file.path}{line}: {error.args[0]}{hint}") from error


@contextlib.asynccontextmanager
async def _administrator(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": "spk db migrate", "TimeZone": "UTC"},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailableError(f"{server_name(dsn)} does not answer: {error}") from error
    try:
        yield connection
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{server_name(dsn)}: {error}") from error
    except (OSError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailableError(
            f"the connection to {server_name(dsn)} was lost: {error}; run `spk db migrate` again"
        ) from error
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


@contextlib.asynccontextmanager
async def _only_migrator(connection: asyncpg.Connection) -> AsyncIterator[None]:
    await connection.execute(f"SET lock_timeout = {MIGRATION_LOCK_WAIT_MS}")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK_KEY)
    except asyncpg.LockNotAvailableError as error:
        raise MigrationError(
            f"another migration has been running for {MIGRATION_LOCK_WAIT_MS // 1000} s: "
            "wait for its end and start again"
        ) from error
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK_KEY)
