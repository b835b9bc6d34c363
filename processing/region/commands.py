"""`spk region`: create a synthetic region."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Final

import cyclopts
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.region.generate import RegionOrder, check_order, generate, load_sources
from processing.region.store import Loaded, load_region

APPLICATION_NAME: Final = "spk region create"
CITIZENS_DEFAULT: Final = 10_000

app = cyclopts.App(name="region", help="Create a synthetic region.")


@app.command
def create(
    *,
    citizens: Annotated[int, cyclopts.Parameter(name=["--citizens", "-n"])] = CITIZENS_DEFAULT,
    seed: int = 1,
    today: datetime | None = None,
) -> None:
    """Fill an empty, migrated database with invented citizens, rights, providers and terminals.

    The same numbers and the same day always give the same region. People of the demonstration's
    cast are in every region.

    Args:
        citizens: How many citizens, the cast included.
        seed: Which of the many possible regions.
        today: The day (YYYY-MM-DD) that prescriptions are valid on; by default today's date in
            the region.
    """
    settings = read_settings(os.environ)
    sources = load_sources()
    zone = sources.catalogue.region.time_zone
    day = today.date() if today is not None else SystemClock(zone).local_date()
    order = RegionOrder(citizens=citizens, seed=seed, today=day)
    check_order(order, sources)
    console = Console(highlight=False)
    with _progress(console) as progress:
        task = progress.add_task("Citizens", total=citizens)

        async def load(advance: Callable[[int], None]) -> Loaded:
            async with open_targets(
                settings, Role.OWNER, APPLICATION_NAME, REPORTING_LIMITS
            ) as targets:
                return await load_region(targets, generate(order, sources), advance)

        with _without_collector():
            loaded = asyncio.run(load(lambda count: progress.advance(task, count)))
    console.print(_summary(order, loaded))


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the cycle collector: rows form no cycles, and walking over them takes a sixth more."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _summary(order: RegionOrder, loaded: Loaded) -> Table:
    table = Table("table", "rows", title=f"Region of seed {order.seed} as of {order.today}")
    table.columns[1].justify = "right"
    for name, count in loaded.rows_by_table.items():
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("all", f"{loaded.row_count:,}")
    table.add_row("seconds", f"{loaded.total_ms / 1000:.1f}")
    table.add_row("of these generating rows", f"{loaded.generating_ms / 1000:.1f}")
    return table
