"""`spk db`: start, stop, migrate and look into the centre's database."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Annotated
from urllib.parse import unquote, urlsplit

import asyncpg
import cyclopts
from rich.console import Console
from rich.table import Table

from processing.kernel.config import Settings, read_settings
from processing.kernel.database import server_name
from processing.kernel.embedded import EmbeddedPostgres, ServerState
from processing.kernel.errors import ConfigurationError, DatabaseUnavailableError
from processing.kernel.locate import administrator_dsn, database_dsn
from processing.kernel.migrate import migrate as apply_migrations
from processing.kernel.migrate import missing_from
from processing.kernel.roles import Role
from processing.kernel.sql_files import SqlFolder, read_sql_folder, sql_root

CONNECT_TIMEOUT_SECONDS = 10.0

app = cyclopts.App(name="db", help="Start, stop, migrate and inspect the database.")


@app.command
def start() -> None:
    """Start the embedded PostgreSQL, or say that it runs already."""
    embedded = _embedded(read_settings(os.environ))
    before = embedded.status()
    address = embedded.start()
    status = embedded.status()
    word = "runs already" if before.state is ServerState.RUNNING else "started"
    console = Console(highlight=False)
    console.print(f"PostgreSQL {status.major} {word}, process {status.process_id}.")
    console.print(f"Data: {status.data_folder}", soft_wrap=True)
    console.print(f"Address: {address}", soft_wrap=True)


@app.command
def stop() -> None:
    """Stop the embedded PostgreSQL; transactions under way are rolled back."""
    stopped = _embedded(read_settings(os.environ)).stop()
    Console().print("PostgreSQL stopped." if stopped else "PostgreSQL was not running.")


@app.command
def status() -> int:
    """Show the server and the migrations. Exits with 1 unless it runs and is migrated."""
    settings = read_settings(os.environ)
    folder = read_sql_folder(sql_root())
    table = Table("what", "state", title="Database", show_header=False, min_width=60)
    dsn = settings.dsn
    if dsn is None:
        embedded = EmbeddedPostgres(settings.home)
        found = embedded.status()
        table.add_row("embedded PostgreSQL", f"{found.major}, {found.state.value}")
        table.add_row("data folder", str(found.data_folder))
        table.add_row("socket folder", str(found.socket_folder))
        if found.state is ServerState.RUNNING:
            dsn = embedded.superuser_dsn()
    else:
        table.add_row("SPK_DSN", server_name(dsn))
    ready = False
    if dsn is not None:
        missing = asyncio.run(_missing(dsn, folder))
        ready = not missing
        table.add_row("migrations of this release", str(len(folder.migrations)))
        table.add_row("functions and views", str(len(folder.routines)))
        table.add_row("to apply", ", ".join(missing) if missing else "nothing")
    Console().print(table)
    return 0 if ready else 1


@app.command
def migrate() -> None:
    """Bring the database to this release's schema; starts the embedded server if need be."""
    settings = read_settings(os.environ)
    folder = read_sql_folder(sql_root())
    report = asyncio.run(apply_migrations(administrator_dsn(settings), folder))
    console = Console(highlight=False)
    for path in report.migrations_applied:
        console.print(f"applied  {path}")
    for path in report.routines_applied:
        console.print(f"created  {path}")
    if not report.migrations_applied and not report.routines_applied:
        console.print(f"Nothing to do: all {report.already_applied} migrations are there.")


@app.command
def psql(
    *arguments: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True)],
    role: Role = Role.OPERATOR,
) -> None:
    """Open psql on the database.

    Args:
        arguments: Passed on to psql; write them after `--`.
        role: The group role to act as.
    """
    settings = read_settings(os.environ)
    dsn, password = _without_password(database_dsn(settings, role))
    environment = {**os.environ, "PGOPTIONS": f"-c role={role.value}"}
    if password is not None:
        environment["PGPASSWORD"] = password
    program = shutil.which("psql")
    if settings.dsn is None:
        program = str(_embedded(settings).program("psql"))
    if program is None:
        raise ConfigurationError("there is no psql on PATH: install PostgreSQL's client programs")
    os.execve(program, [program, dsn, *arguments], environment)  # noqa: S606 - psql takes over


def _embedded(settings: Settings) -> EmbeddedPostgres:
    if settings.dsn is not None:
        raise ConfigurationError(
            f"SPK_DSN names {server_name(settings.dsn)}, so the embedded PostgreSQL is not in "
            "use: start and stop that server where it runs, or unset SPK_DSN"
        )
    return EmbeddedPostgres(settings.home)


async def _missing(dsn: str, folder: SqlFolder) -> tuple[str, ...]:
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailableError(f"{server_name(dsn)} does not answer: {error}") from error
    try:
        return await missing_from(connection, folder)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


def _without_password(dsn: str) -> tuple[str, str | None]:
    """Take the password out of `dsn`: a command line can be read by every user of the machine."""
    parts = urlsplit(dsn)
    if parts.password is None:
        return dsn, None
    login, _, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return parts._replace(netloc=f"{user}@{place}").geturl(), unquote(parts.password)
