"""`spk db`: start, stop, migrate and look into the centre's database."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import unquote, urlsplit

import asyncpg
import cyclopts
from rich.console import Console
from rich.table import Table

from processing.kernel.config import Settings, read_settings
from processing.kernel.database import REPORTING_LIMITS, Connection, server_name
from processing.kernel.embedded import EmbeddedPostgres, ServerState
from processing.kernel.errors import ConfigurationError, DatabaseUnavailableError
from processing.kernel.locate import (
    administrator_dsn,
    ensure_database,
    located_dsn,
    start_embedded,
    uses_embedded,
)
from processing.kernel.migrate import MigrationReport, missing_from
from processing.kernel.migrate import migrate as apply_migrations
from processing.kernel.roles import Role
from processing.kernel.spread import spread as spread_reference
from processing.kernel.sql_files import SqlFolder, read_sql_folder, sql_root
from processing.kernel.target_pools import open_targets
from processing.kernel.targets import (
    CHECKSUM,
    HOME,
    REFERENCE_TABLES,
    Target,
    TargetMap,
    assign_target,
    check_target,
    target_map,
)

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
    """Show the servers and their migrations. Exits with 1 unless all run and are migrated."""
    settings = read_settings(os.environ)
    folder = read_sql_folder(sql_root())
    targets = target_map(settings)
    table = Table("what", "state", title="Database", show_header=False, min_width=60)
    running = _add_embedded(table, settings, targets)
    ready = True
    for target in targets.targets:
        if len(targets) > 1:
            first, last = target.buckets
            table.add_section()
            table.add_row(f"target {target.number}, buckets {first} to {last}", target.place)
        elif target.dsn is not None:
            table.add_row("SPK_DSN", target.place)
        if target.dsn is None and not running:
            ready = False
            continue
        missing = asyncio.run(_missing(settings, targets, target, folder))
        ready = ready and not missing
        table.add_row("migrations of this release", str(len(folder.migrations)))
        table.add_row("functions and views", str(len(folder.routines)))
        table.add_row("to apply", ", ".join(missing) if missing else "nothing")
    Console().print(table)
    return 0 if ready else 1


@app.command
def migrate() -> None:
    """Bring every database to this release's schema; starts the embedded server if need be.

    Of several databases (SPK_TARGETS), each is told which buckets it serves. One that holds
    anything of other buckets is refused.
    """
    settings = read_settings(os.environ)
    folder = read_sql_folder(sql_root())
    targets = target_map(settings)
    start_embedded(settings, targets)
    console = Console(highlight=False)
    for target in targets.targets:
        report, assigned = asyncio.run(_migrate(settings, targets, target, folder))
        if len(targets) > 1:
            console.print(f"target {target.number}: {target.place}", soft_wrap=True)
        for path in report.migrations_applied:
            console.print(f"applied  {path}")
        for path in report.routines_applied:
            console.print(f"created  {path}")
        if assigned:
            first, last = target.buckets
            console.print(f"serves   buckets {first} to {last}")
        if not report.migrations_applied and not report.routines_applied:
            console.print(f"Nothing to do: all {report.already_applied} migrations are there.")


@app.command
def compare() -> int:
    """Compare what must be the same in every database: regulations, terminals, cards.

    Exits with 1 when a table differs, and says which.
    """
    settings = read_settings(os.environ)
    found = asyncio.run(_compare(settings))
    table = Table("table", title="Reference data")
    for number in next(iter(found.values())):
        table.add_column(f"target {number}, rows", justify="right")
    table.add_column("verdict")
    different = 0
    for name, counts in found.items():
        same = len(set(counts.values())) == 1
        different += not same
        rows = (f"{count:,}" for count, _ in counts.values())
        table.add_row(name, *rows, "the same" if same else "DIFFERENT")
    Console().print(table)
    return 1 if different else 0


@app.command
def spread() -> None:
    """Bring regulations and terminals from the first database to the others.

    For a database that was away while they were changed; `spk db compare` tells whether it is
    needed. Cards are told by the centre itself.
    """
    changed = asyncio.run(_spread(read_settings(os.environ)))
    console = Console(highlight=False)
    for name, count in changed.items():
        if count:
            console.print(f"{name}: {count} rows changed")
    if not any(changed.values()):
        console.print("Nothing to do: the others have what the first has.")


@app.command
def psql(
    *arguments: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True)],
    role: Role = Role.OPERATOR,
    target: int = HOME,
) -> None:
    """Open psql on the database.

    Args:
        arguments: Passed on to psql; write them after `--`.
        role: The group role to act as.
        target: Which of several databases (SPK_TARGETS), by its number.
    """
    settings = read_settings(os.environ)
    chosen = _chosen(target_map(settings), target)
    dsn, password = _without_password(located_dsn(settings, chosen, role))
    environment = {**os.environ, "PGOPTIONS": f"-c role={role.value}"}
    if password is not None:
        environment["PGPASSWORD"] = password
    program = shutil.which("psql")
    if chosen.dsn is None:
        program = str(_embedded(settings).program("psql"))
    if program is None:
        raise ConfigurationError("there is no psql on PATH: install PostgreSQL's client programs")
    os.execve(program, [program, dsn, *arguments], environment)  # noqa: S606 - psql takes over


def _embedded(settings: Settings) -> EmbeddedPostgres:
    targets = target_map(settings)
    if not uses_embedded(targets):
        named = "SPK_DSN" if settings.targets_file is None else "SPK_TARGETS"
        raise ConfigurationError(
            f"{named} names {targets.targets[0].place}, so the embedded PostgreSQL is not in "
            f"use: start and stop that server where it runs, or unset {named}"
        )
    return EmbeddedPostgres(settings.home)


def _chosen(targets: TargetMap, number: int) -> Target:
    for target in targets.targets:
        if target.number == number:
            return target
    raise ConfigurationError(f"there is no target {number}: they are numbered 1 to {len(targets)}")


def _add_embedded(table: Table, settings: Settings, targets: TargetMap) -> bool:
    """Add what is known of the embedded server, if a target lies there; whether it runs."""
    if not uses_embedded(targets):
        return False
    found = EmbeddedPostgres(settings.home).status()
    table.add_row("embedded PostgreSQL", f"{found.major}, {found.state.value}")
    table.add_row("data folder", str(found.data_folder))
    table.add_row("socket folder", str(found.socket_folder))
    return found.state is ServerState.RUNNING


@asynccontextmanager
async def _administrator(settings: Settings, target: Target) -> AsyncIterator[Connection]:
    dsn = administrator_dsn(settings, target)
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailableError(f"{server_name(dsn)} does not answer: {error}") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def _missing(
    settings: Settings, targets: TargetMap, target: Target, folder: SqlFolder
) -> tuple[str, ...]:
    async with _administrator(settings, target) as connection:
        missing = await missing_from(connection, folder)
        if not missing:
            await check_target(connection, target, len(targets))
        return missing


async def _migrate(
    settings: Settings, targets: TargetMap, target: Target, folder: SqlFolder
) -> tuple[MigrationReport, bool]:
    """Migrate one target and tell it what it serves; whether that was news to it."""
    await ensure_database(settings, target)
    report = await apply_migrations(administrator_dsn(settings, target), folder)
    async with _administrator(settings, target) as connection:
        return report, await assign_target(connection, target, len(targets))


async def _compare(settings: Settings) -> dict[str, dict[int, tuple[int, int]]]:
    """Return row count and checksum of each table that is reference data, by target."""
    found: dict[str, dict[int, tuple[int, int]]] = {name: {} for name in REFERENCE_TABLES}
    async with open_targets(settings, Role.OPERATOR, "spk db", REPORTING_LIMITS) as targets:
        for number, pool in targets.pools.items():
            async with pool.connection() as connection:
                for name, counts in found.items():
                    # The names are constants of processing.kernel.targets.
                    row = await connection.fetchrow(CHECKSUM.format(table=name))
                    counts[number] = (row["row_count"], row["checksum"]) if row else (0, 0)
    return found


async def _spread(settings: Settings) -> dict[str, int]:
    async with open_targets(settings, Role.OWNER, "spk db", REPORTING_LIMITS) as targets:
        return await spread_reference(targets)


def _without_password(dsn: str) -> tuple[str, str | None]:
    """Take the password out of `dsn`: a command line can be read by every user of the machine."""
    parts = urlsplit(dsn)
    if parts.password is None:
        return dsn, None
    login, _, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return parts._replace(netloc=f"{user}@{place}").geturl(), unquote(parts.password)
