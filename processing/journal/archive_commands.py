"""`spk journal`: list the months of history, archive them to Parquet files, restore them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from processing.journal.month import ArchiveRefused, Month, MonthOverview
from processing.journal.month_store import ARCHIVE_LIMITS, MonthStore
from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import open_pool
from processing.kernel.locate import database_dsn
from processing.kernel.migrate import check_migrated
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root

APPLICATION_NAME: Final = "spk journal"
WIDTH_WITHOUT_TERMINAL: Final = 120

app = cyclopts.App(name="journal", help="List, archive and restore months of history.")


@app.command
def partitions() -> None:
    """List the months of history: where they are, how large, from when, and whether settled."""
    overviews = asyncio.run(_overview())
    table = Table(title="Journal")
    for heading in ("month", "state", "settled"):
        table.add_column(heading)
    for heading in ("events", "lines", "MB", "first posting", "last posting"):
        table.add_column(heading, justify="right")
    for seen in overviews:
        table.add_row(
            "other" if seen.month is None else str(seen.month),
            seen.state.value,
            _settled(seen),
            f"{seen.event_count:,}",
            f"{seen.line_count:,}",
            f"{seen.size_bytes / 1_000_000:,.1f}",
            str(seen.first_posting_date or ""),
            str(seen.last_posting_date or ""),
        )
    _console().print(table)


@app.command
def archive(
    *,
    before: Annotated[str, Parameter(help="Archive every month before this one, YYYY-MM.")],
    out: Annotated[Path, Parameter(help="The archive: a folder with a folder per month.")],
    drop: Annotated[
        bool, Parameter(negative="", help="Drop the tables of months whose files are verified.")
    ] = False,
    force: Annotated[
        bool, Parameter(negative="", help="Also months of which terminals may still send advices.")
    ] = False,
    even_unsettled: Annotated[
        bool, Parameter(negative="", help="Also months with conflicts or days without totals.")
    ] = False,
) -> None:
    """Write old months to Parquet files, verify them, and take them out of the journal.

    A month's tables are kept beside the journal until the command is given with --drop. It can be
    stopped at any moment and run again. Nothing can be added to a month once it was begun.
    """
    # pyarrow comes with the extra "archive"; listing months does without.
    from processing.journal.archive import Archive, ArchiveOrder, choose

    settings = read_settings(os.environ)
    this_month = Month.of(SystemClock(settings.time_zone).local_date())
    order = ArchiveOrder(
        before=Month.parse(before),
        this_month=this_month,
        force=force,
        even_unsettled=even_unsettled,
        drop=drop,
    )
    console = _console()

    async def work() -> int:
        async with _store() as store:
            chosen = choose(await store.overview(), order)
            archive = Archive(store, out, _watch(console))
            for seen in chosen:
                await archive.archive(seen, drop=drop)
        return len(chosen)

    count = asyncio.run(work())
    where = "in files only" if drop else "beside the journal and in files"
    console.print(f"{count} months before {before} are {where}: {out}", soft_wrap=True)


@app.command
def restore(
    month: Annotated[str, Parameter(help="The month, YYYY-MM.")],
    /,
    *,
    archive: Annotated[
        Path | None,
        Parameter(name="--from", help="The archive; not needed while the tables are kept."),
    ] = None,
) -> None:
    """Put an archived month back into the journal, to be read; it stays closed.

    Its rows are held to those that were detached. `spk journal archive` takes it out again.
    """
    from processing.journal.archive import Archive

    wanted = Month.parse(month)
    console = _console()

    async def work() -> None:
        async with _store() as store:
            for seen in await store.overview():
                if seen.month == wanted:
                    place = archive or Path()
                    await Archive(store, place, _watch(console)).restore(seen)
                    return
        raise ArchiveRefused(
            f"the journal has no month {wanted}; spk journal partitions lists them"
        )

    asyncio.run(work())


@asynccontextmanager
async def _store() -> AsyncIterator[MonthStore]:
    dsn = await asyncio.to_thread(database_dsn, read_settings(os.environ), Role.OPERATOR)
    pool = await open_pool(dsn, Role.OPERATOR, APPLICATION_NAME, ARCHIVE_LIMITS)
    try:
        async with pool.connection() as connection:
            await check_migrated(connection, read_sql_folder(sql_root()))
        yield MonthStore(pool)
    finally:
        await pool.close()


async def _overview() -> list[MonthOverview]:
    async with _store() as store:
        return await store.overview()


def _settled(seen: MonthOverview) -> str:
    if seen.conflicts is None or seen.unsettled_days is None:
        return ""
    if seen.settled:
        return "yes"
    return f"no: {seen.conflicts} conflicts, {seen.unsettled_days} days"


def _watch(console: Console) -> Callable[[Month, str, str], None]:
    def told(month: Month, stage: str, table: str) -> None:
        console.print(f"{month}  {stage} {table}".rstrip())

    return told


def _console() -> Console:
    console = Console(highlight=False)
    return (
        console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL, highlight=False)
    )
