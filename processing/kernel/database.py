"""Connections to PostgreSQL: bounded in number and in time, and refused when not durable.

Every wait has a name and a limit in `SessionLimits`. The server's own time-out is the shorter
one, because after it the state of the connection is known; the client's is the net below it, and
a connection that falls into it is thrown away, never used again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from processing.kernel.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseTimeoutError,
    DatabaseUnavailableError,
    DurabilityError,
    MigrationError,
)
from processing.kernel.roles import Role

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""What a query can be sent over, borrowed from a pool or opened alone."""

Check: TypeAlias = Callable[[Connection], Coroutine[Any, Any, None]]
"""Looks at a new connection, and raises when it must not be used."""

SERVER_MAJOR_MIN: Final = 16
"""The oldest PostgreSQL whose role memberships the migrations understand."""

DISCONNECT_CHECK_INTERVAL_MS: Final = 1_000
"""How often the server looks whether a client that it works for is still there."""

DURABILITY: Final = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
}
"""Settings without which a crash could lose what was acknowledged, with the values accepted."""


PLANNED_BY_INDEX: Final = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""How the processing role's sessions are planned: each row looked up through an index. The function
engine.plan_by_index tells why, and sets the same where a session was opened without."""

LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # asyncpg was told of the end of the session while it was about to ask something.
    asyncpg.InternalClientError,
    OSError,
)
"""What an exchange over a connection that broke may raise."""

BROKEN: Final = (*LOST, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a ROLLBACK may raise on a connection that can no longer be used."""


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections, and how long each wait may last, in milliseconds."""

    connections_max: int = 8
    connect_timeout_ms: int = 10_000
    acquire_timeout_ms: int = 2_000
    statement_timeout_ms: int = 4_000
    lock_timeout_ms: int = 3_000
    idle_in_transaction_timeout_ms: int = 10_000
    command_timeout_ms: int = 6_000


ONLINE_LIMITS: Final = SessionLimits()
"""For whoever a terminal waits for."""

REPORTING_LIMITS: Final = SessionLimits(
    connections_max=4,
    acquire_timeout_ms=10_000,
    statement_timeout_ms=300_000,
    command_timeout_ms=310_000,
)
"""For imports, exports and reports."""


class DatabasePool:
    """Connections that all act as one role. Made by `open_pool`, closed with `close`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], limits: SessionLimits) -> None:
        self._pool = pool
        self._limits = limits

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection; each statement commits by itself.

        Raises `DatabaseBusyError` when none gets free, `DatabaseTimeoutError` and
        `DatabaseUnavailableError` for what happens inside the block. After a client time-out, a
        cancellation or a lost connection it is not known whether the last statement took effect.
        """
        connection = await self._acquire()
        try:
            with _translated(connection):
                yield connection
        finally:
            await self._pool.release(connection)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Borrow a connection for one transaction (read committed), committed at the block's end.

        Raises as `connection` does; with every exception of the block it is rolled back.
        """
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except (TimeoutError, asyncio.CancelledError):
                # The connection is about to be thrown away; a ROLLBACK would only wait again.
                raise
            except BaseException:
                try:
                    await transaction.rollback()
                except BROKEN:
                    _throw_away(connection)
                raise
            await transaction.commit()

    async def close(self) -> None:
        """Wait for borrowed connections as long as a command may take, then close all."""
        try:
            await asyncio.wait_for(self._pool.close(), self._limits.command_timeout_ms / 1000)
        except TimeoutError:
            self._pool.terminate()

    async def _acquire(self) -> PoolConnectionProxy[asyncpg.Record]:
        try:
            return await self._pool.acquire(timeout=self._limits.acquire_timeout_ms / 1000)
        except TimeoutError as error:
            raise DatabaseBusyError(
                f"no database connection became free within {self._limits.acquire_timeout_ms} ms"
            ) from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _refused(error) from error


async def open_pool(
    dsn: str,
    role: Role,
    application_name: str,
    limits: SessionLimits = ONLINE_LIMITS,
    *,
    unchanging: bool = False,
    connections_min: int = 1,
    check: Check | None = None,
) -> DatabasePool:
    """Connect to `dsn` and act there as `role` on every connection.

    `application_name` appears in the server's own views and log. Each new connection passes
    `check`, by default that the server is durable; with `connections_min` 0 none is opened yet.
    `unchanging` promises that no statement changes its session (SET, LISTEN, an advisory lock),
    which saves a trip to the server each time a connection is given back.
    Raises `DatabaseUnavailableError`, `DurabilityError`, `DatabaseError`.
    """
    pool = asyncpg.create_pool(
        dsn,
        min_size=connections_min,
        max_size=limits.connections_max,
        timeout=limits.connect_timeout_ms / 1000,
        command_timeout=limits.command_timeout_ms / 1000,
        server_settings=session_settings(role, application_name, limits),
        init=check or check_server,
        reset=_leave_as_it_is if unchanging else None,
    )
    try:
        await pool
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _refused(error, dsn, role) from error
    return DatabasePool(pool, limits)


async def _leave_as_it_is(_connection: Connection) -> None:
    """Give a connection back without a RESET."""


async def open_session(
    dsn: str, role: Role, application_name: str, limits: SessionLimits = ONLINE_LIMITS
) -> asyncpg.Connection[asyncpg.Record]:
    """Open one connection outside any pool, for what must live as long as its session (locks).

    Raises as `open_pool` does.
    """
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=limits.connect_timeout_ms / 1000,
            command_timeout=limits.command_timeout_ms / 1000,
            server_settings=session_settings(role, application_name, limits),
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _refused(error, dsn, role) from error
    try:
        await check_server(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


def session_settings(role: Role, application_name: str, limits: SessionLimits) -> dict[str, str]:
    """Return what a session asks for when it connects; RESET comes back to these values.

    `synchronous_commit` is deliberately absent: `check_durability` must see what the server, the
    database and the login are set to.
    """
    return {
        "role": role.value,
        "application_name": application_name,
        "TimeZone": "UTC",
        "jit": "off",
        "statement_timeout": f"{limits.statement_timeout_ms}",
        "lock_timeout": f"{limits.lock_timeout_ms}",
        "idle_in_transaction_session_timeout": f"{limits.idle_in_transaction_timeout_ms}",
        "client_connection_check_interval": f"{DISCONNECT_CHECK_INTERVAL_MS}",
        **(PLANNED_BY_INDEX if role is Role.PROCESSING else {}),
    }


async def check_durability(connection: Connection) -> None:
    """Raise `DurabilityError` naming each setting that could lose an acknowledged transaction."""
    rows = await connection.fetch(
        "SELECT name, setting, source FROM pg_catalog.pg_settings WHERE name = ANY($1::text[])",
        list(DURABILITY),
    )
    faults = [
        f"{row['name']} is {row['setting']} (set by: {row['source']}) and must be "
        f"{' or '.join(DURABILITY[row['name']])}"
        for row in sorted(rows, key=lambda row: list(DURABILITY).index(row["name"]))
        if row["setting"] not in DURABILITY[row["name"]]
    ]
    if faults:
        raise DurabilityError(
            "this PostgreSQL could lose acknowledged transactions in a crash: "
            f"{'; '.join(faults)}. Run `ALTER SYSTEM SET` with the value named and "
            "`SELECT pg_reload_conf()`; if the source is a database or a user, run "
            "`ALTER DATABASE` or `ALTER ROLE ... RESET` for it. Then start again."
        )


def server_name(dsn: str) -> str:
    """Return the host and database of `dsn` for messages, without login or password."""
    try:
        parts = urlsplit(dsn)
        place = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the database named by the DSN"
    return f"{place}{port}/{parts.path.lstrip('/')}"


async def check_server(connection: Connection) -> None:
    """Raise `DatabaseError` for a server too old, `DurabilityError` for one not durable."""
    major = connection.get_server_version().major
    if major < SERVER_MAJOR_MIN:
        raise DatabaseError(
            f"this is PostgreSQL {major}; version {SERVER_MAJOR_MIN} or newer is needed"
        )
    await check_durability(connection)


@contextlib.contextmanager
def _translated(connection: PoolConnectionProxy[asyncpg.Record]) -> Iterator[None]:
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise DatabaseTimeoutError(f"the server stopped a statement: {error}") from error
    except asyncpg.LockNotAvailableError as error:
        raise DatabaseTimeoutError(f"a lock stayed taken for too long: {error}") from error
    except (
        asyncpg.UndefinedTableError,
        asyncpg.UndefinedFunctionError,
        asyncpg.InvalidSchemaNameError,
    ) as error:
        raise MigrationError(
            f"the database is not at the schema of this release ({error}): run `spk db migrate`"
        ) from error
    except asyncpg.InsufficientResourcesError as error:
        # No fault of what was asked: whatever comes next would fail in the same way.
        raise DatabaseUnavailableError(
            f"the database server is short of disk or memory: {error}"
        ) from error
    except TimeoutError as error:
        _throw_away(connection)
        raise DatabaseTimeoutError(
            "the database did not answer in time; whether the command took effect is unknown"
        ) from error
    except asyncio.CancelledError:
        _throw_away(connection)
        raise
    except LOST as error:
        _throw_away(connection)
        raise DatabaseUnavailableError(
            f"the connection to the database was lost: {error}; whether the command took effect "
            "is unknown"
        ) from error
    except asyncpg.InterfaceError as error:
        # asyncpg says so when it finds the connection closed under it.
        if not _lost(connection):
            raise
        raise DatabaseUnavailableError(
            f"the connection to the database was lost: {error}"
        ) from error


def _throw_away(connection: Connection) -> None:
    # A connection that the pool took back when it broke is closed already.
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


def _lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool took the connection back when it broke, and answers no question about it.
        return True


def _refused(error: Exception, dsn: str | None = None, role: Role | None = None) -> DatabaseError:
    """Return why a connection could not be opened, in words of the operator."""
    place = server_name(dsn) if dsn else "the database"
    match error:
        case asyncpg.InsufficientPrivilegeError() | asyncpg.InvalidParameterValueError() if role:
            return DatabaseError(
                f"the login for {place} may not act as {role.value}: run `spk db migrate`, then "
                f"GRANT {role.value} TO the login ({error})"
            )
        case asyncpg.InvalidAuthorizationSpecificationError():
            return DatabaseUnavailableError(
                f"{place} turned the login away: check user and password in SPK_DSN ({error})"
            )
        case asyncpg.InvalidCatalogNameError():
            return DatabaseUnavailableError(f"{place}: {error}; create it with createdb")
        case asyncpg.TooManyConnectionsError():
            return DatabaseUnavailableError(
                f"{place} has no connection left: raise max_connections or run fewer workers"
            )
        case _:
            return DatabaseUnavailableError(f"{place} does not answer: {error}")
