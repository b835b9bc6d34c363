"""Where the databases are: the servers that the settings name, or else the embedded one."""

from __future__ import annotations

import asyncpg

from processing.kernel.config import Settings
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.errors import DatabaseUnavailableError
from processing.kernel.roles import Role
from processing.kernel.targets import Target, TargetMap, target_dsn

CONNECT_TIMEOUT_SECONDS = 10.0


def uses_embedded(targets: TargetMap) -> bool:
    """Whether any target lies in the embedded server."""
    return any(target.dsn is None for target in targets.targets)


def start_embedded(settings: Settings, targets: TargetMap) -> None:
    """Start the embedded server if a target lies there and it does not run.

    Blocks while the server starts: call it before the event loop runs, or in a thread. Raises
    `EmbeddedServerError`.
    """
    if uses_embedded(targets):
        EmbeddedPostgres(settings.home).start()


def located_dsn(settings: Settings, target: Target, role: Role) -> str:
    """Return the address of a target for `role`, starting the embedded server if need be.

    Blocks and raises as `start_embedded` does. It holds no password unless the settings do.
    """
    if target.dsn is None:
        EmbeddedPostgres(settings.home).start()
    return target_dsn(settings, target, role)


def administrator_dsn(settings: Settings, target: Target) -> str:
    """Return the address that migrations of a target run with: its own, or the superuser's."""
    if target.dsn is not None:
        return target.dsn
    embedded = EmbeddedPostgres(settings.home)
    if target.database is None:
        return embedded.superuser_dsn()
    return embedded.superuser_dsn(target.database)


async def ensure_database(settings: Settings, target: Target) -> None:
    """Create a target's database in the embedded server, which must run, if it is not there."""
    if target.dsn is not None or target.database is None:
        return
    try:
        connection = await asyncpg.connect(
            EmbeddedPostgres(settings.home).superuser_dsn(), timeout=CONNECT_TIMEOUT_SECONDS
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailableError(f"{target.place} does not answer: {error}") from error
    try:
        # The name is lower-case letters, digits and underscores (`DATABASE_PATTERN`).
        await connection.execute(f'CREATE DATABASE "{target.database}" OWNER {Role.OWNER.value}')
    except asyncpg.DuplicateDatabaseError:
        pass
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
