"""`spk journal`: list the months of history, archive them to Parquet files, restore them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from processing.journal.key_audit import KeyConflict
from processing.journal.key_audit import audit_keys as audit
from processing.journal.month import ArchiveRefused, Month, MonthOverview
from processing.journal.month_store import ARCHIVE_LIMITS, MonthStore
from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets

APPLICATION_NAME: Final = "spk journal"
WIDTH_WITHOUT_TERMINAL: Final = 120

app = cyclopts.App(name="journal", help="List, archive and restore months of history.")


@app.command
def partitions() -> None:
    """List the months of history: where they are, how large, from when, and whether settled."""
    overviews = asyncio.run(_overview())
    table = Table(title="Journal")
    several = len({number for number, _ in overviews}) > 1
    for heading in (*(("target",) if several else ()), "month", "state", "settled"):
        table.add_column(heading)
    for heading in ("events", "lines", "MB", "first posting", "last posting"):
        table.add_column(heading, justify="right")
    for number, seen in overviews:
        table.add_row(
            *((str(number),) if several else ()),
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
    Of several databases (SPK_TARGETS) each has a folder of its own in the archive, target-N.
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
        months = set()
        async with _stores() as stores:
            chosen = {
                number: choose(await store.overview(), order) for number, store in stores.items()
            }
            for number, store in stores.items():
                archive = Archive(store, _folder(out, number, len(stores)), _watch(console))
                for seen in chosen[number]:
                    await archive.archive(seen, drop=drop)
                    months.add(seen.month)
        return len(months)

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
        known = False
        async with _stores() as stores:
            for number, store in stores.items():
                place = _folder(archive or Path(), number, len(stores))
                for seen in await store.overview():
                    if seen.month == wanted:
                        known = True
                        await Archive(store, place, _watch(console)).restore(seen)
        if not known:
            raise ArchiveRefused(
                f"the journal has no month {wanted}; spk journal partitions lists them"
            )

    asyncio.run(work())


@app.command
def audit_keys(
    *, day: Annotated[str, Parameter(name="--date", help="The business date, YYYY-MM-DD.")]
) -> int:
    """Find numbers that a terminal used for two citizens whose rights lie in different databases.

    What is found is kept for settlement. Exits with 1 when there is any; run it for each business
    date once its late advices are in.
    """
    try:
        business_date = date.fromisoformat(day)
    except ValueError:
        raise ConfigurationError(f"{day} is not a date; write it as YYYY-MM-DD") from None
    conflicts = asyncio.run(_audit_keys(business_date))
    console = _console()
    if not conflicts:
        console.print(f"{day}: no number was decided in two databases.")
        return 0
    table = Table(title=f"Numbers decided in two databases, {day}")
    for heading in ("terminal", "number", "class", "target", "lane/block/ordinal", "outcome"):
        table.add_column(heading)
    for found in conflicts:
        table.add_section()
        for use in found.uses:
            table.add_row(
                found.terminal_id,
                f"{found.stan:06d}",
                str(found.message_class),
                str(use.target),
                f"{use.lane}/{use.block}/{use.ordinal}",
                str(use.outcome),
            )
    console.print(table)
    return 1


async def _audit_keys(day: date) -> list[KeyConflict]:
    settings = read_settings(os.environ)
    async with open_targets(settings, Role.OPERATOR, APPLICATION_NAME, REPORTING_LIMITS) as targets:
        return [found async for found in audit(targets, day)]


@asynccontextmanager
async def _stores() -> AsyncIterator[dict[int, MonthStore]]:
    settings = read_settings(os.environ)
    async with open_targets(settings, Role.OPERATOR, APPLICATION_NAME, ARCHIVE_LIMITS) as targets:
        yield {number: MonthStore(pool) for number, pool in targets.pools.items()}


def _folder(archive: Path, number: int, count: int) -> Path:
    """Return where a target's months are in the archive; a lone database has no folder more."""
    return archive if count == 1 else archive / f"target-{number}"


async def _overview() -> list[tuple[int, MonthOverview]]:
    async with _stores() as stores:
        return [
            (number, seen) for number, store in stores.items() for seen in await store.overview()
        ]


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
