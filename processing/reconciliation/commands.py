"""`spk export`: the day's transactions as CSV, and the day's totals beside the terminals' own."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AbstractAsyncContextManager
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS
from processing.kernel.roles import Role
from processing.kernel.target_pools import TargetPools, open_targets
from processing.reconciliation.day_file import Flavour
from processing.reconciliation.errors import ExportRefused
from processing.reconciliation.export import FileOrder, export_day, read_day
from processing.reconciliation.model import DayBasis, DayOrder, DayReport
from processing.reconciliation.screen import WIDTH_WITHOUT_TERMINAL, show_report
from processing.reconciliation.texts import Language, Phrase
from processing.reconciliation.whole_file import WholeFile, whole_file

APPLICATION_NAME: Final = "spk export"
EXIT_CODE_DIFFERENT: Final = 3
"""Some terminal's totals are not the centre's."""

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

app = cyclopts.App(name="export", help="Write the day's transactions and totals.")

Day = Annotated[str, Parameter(name="DATE", help="The day, as YYYY-MM-DD.")]
Provider = Annotated[str | None, Parameter(help="Only this provider, by its code.")]
By = Annotated[
    DayBasis,
    Parameter(help="Whose day: the terminals' business date, or the centre's posting date."),
]
Lang = Annotated[Language, Parameter(help="The language of what is shown.")]


@app.command(name="day")
def write_day(
    day: Day,
    /,
    *,
    out: Annotated[Path, Parameter(help="The CSV file; an older one is replaced.")],
    provider: Provider = None,
    by: By = DayBasis.BUSINESS,
    excel: Annotated[
        bool, Parameter(help="For Excel: byte order mark, semicolons, decimal commas.")
    ] = False,
    with_categories: Annotated[
        bool,
        Parameter(help="Add benefit category and entitlement; not for one provider's file."),
    ] = False,
    lang: Lang = "ru",
) -> int:
    """Write the day's transactions as CSV, a row per part of a line, and show the totals.

    The file appears whole or not at all, and only if it adds up to the decisions in the journal.
    Exits with 3 when a terminal's own totals are different.
    """
    if with_categories and provider is not None:
        raise ExportRefused(
            "a file for one provider never shows benefit categories: leave out --with-categories "
            "or --provider"
        )
    order = DayOrder(day_of(day), by, provider)
    flavour = Flavour.EXCEL if excel else Flavour.PLAIN
    file_order = FileOrder(out, flavour, with_categories)
    with whole_file(out) as place:
        report, rows = asyncio.run(_write(order, file_order, place))
    console = _console()
    exit_code = _show(console, report, lang)
    written = Phrase.WRITTEN.say(lang, path=out, rows=rows)
    console.print(written, markup=False, highlight=False, soft_wrap=True)
    return exit_code


@app.command
def totals(
    day: Day, /, *, provider: Provider = None, by: By = DayBasis.BUSINESS, lang: Lang = "ru"
) -> int:
    """Show the day's totals by provider and terminal beside what the terminals sent.

    Exits with 3 when a terminal's own totals are different.
    """
    report = asyncio.run(_read(DayOrder(day_of(day), by, provider)))
    return _show(_console(), report, lang)


def day_of(text: str) -> date:
    """Return the date written as YYYY-MM-DD. Raises `ExportRefused`."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError as error:
        raise ExportRefused(f"there is no date {text}: {error}") from None
    raise ExportRefused(f"{text} is not a date; write it as YYYY-MM-DD, such as 2026-03-02")


def _targets() -> AbstractAsyncContextManager[TargetPools]:
    return open_targets(read_settings(os.environ), Role.FINANCE, APPLICATION_NAME, REPORTING_LIMITS)


async def _write(order: DayOrder, file_order: FileOrder, place: WholeFile) -> tuple[DayReport, int]:
    async with _targets() as targets:
        report, sums = await export_day(targets, order, file_order, place)
    place.keep()
    return report, sums.row_count


async def _read(order: DayOrder) -> DayReport:
    async with _targets() as targets:
        return await read_day(targets, order)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)


def _show(console: Console, report: DayReport, language: Language) -> int:
    show_report(console, report, language)
    return EXIT_CODE_DIFFERENT if report.different else 0
