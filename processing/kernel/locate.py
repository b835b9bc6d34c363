"""Where the database is: the server that SPK_DSN names, or else the embedded one."""

from __future__ import annotations

from processing.kernel.config import Settings
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.roles import Role


def database_dsn(settings: Settings, role: Role) -> str:
    """Return the address to connect to as `role`, starting the embedded server if need be.

    Blocks while the server starts: call it before the event loop runs, or in a thread. Raises
    `EmbeddedServerError`. The address holds no password unless SPK_DSN does.
    """
    if settings.dsn is not None:
        return settings.dsn
    embedded = EmbeddedPostgres(settings.home)
    embedded.start()
    return embedded.dsn(role)


def database_address(settings: Settings, role: Role) -> str:
    """Return the same address as `database_dsn`, without starting anything."""
    return settings.dsn or EmbeddedPostgres(settings.home).dsn(role)


def administrator_dsn(settings: Settings) -> str:
    """Return the address that migrations run with: SPK_DSN, or the embedded superuser's."""
    if settings.dsn is not None:
        return settings.dsn
    embedded = EmbeddedPostgres(settings.home)
    embedded.start()
    return embedded.superuser_dsn()
