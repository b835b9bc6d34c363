"""Exports a day: the file and the totals of one moment, each checked against the other."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from processing.kernel.target_pools import TargetPools
from processing.reconciliation.day_file import DIALECTS, DayFile, FileSums, Flavour, read_sums
from processing.reconciliation.errors import ExportMismatchError, ExportRefused
from processing.reconciliation.model import Amounts, DayOrder, DayReport
from processing.reconciliation.targets import Reading, one_moment_each
from processing.reconciliation.whole_file import WholeFile, explained

MISMATCHES_NAMED_MAX: Final = 5
"""How many terminals an error about differing sums names."""


class FileOrder(msgspec.Struct, frozen=True):
    """How the file is written."""

    path: Path
    flavour: Flavour = Flavour.PLAIN
    with_categories: bool = False


async def read_day(targets: TargetPools, order: DayOrder) -> DayReport:
    """Return a day's totals. Raises `ExportRefused` and what `DatabasePool` raises."""
    async with one_moment_each(targets) as reading:
        return await _report(reading, order)


async def export_day(
    targets: TargetPools, order: DayOrder, file_order: FileOrder, place: WholeFile
) -> tuple[DayReport, FileSums]:
    """Write a day's file to `place` and return the day's totals, which are the file's too.

    The totals are summed in the database from the decisions; the file is made of their lines,
    read again when it is finished and added up. The caller keeps the file (`WholeFile.keep`).
    Raises `ExportRefused`, `ExportMismatchError` and what `DatabasePool` raises.
    """
    dialect = DIALECTS[file_order.flavour]
    with place.write(dialect.encoding) as text:
        day_file = DayFile(text, dialect, with_categories=file_order.with_categories)
        async with one_moment_each(targets) as reading:
            report = await _report(reading, order)
            async for rows in reading.lines(order):
                # Named here: further out it would be taken for a fault of the database.
                with explained(file_order.path):
                    day_file.write(rows)
    with place.read(dialect.encoding) as text:
        sums = read_sums(text, dialect)
    check_sums(sums, report)
    return report, sums


def check_sums(sums: FileSums, report: DayReport) -> None:
    """Raise `ExportMismatchError` unless file and totals agree terminal by terminal."""
    if sums.contradictory_rows:
        raise ExportMismatchError(
            f"roubles and kopecks differ in row {sums.contradictory_rows[0]} of the file; the "
            "file was not kept"
        )
    decided = {one.terminal_id: one.amounts for one in report.terminals}
    faults = [
        f"{terminal_id}: lines {_shown(lines)}, decisions {_shown(decisions)}"
        for terminal_id, lines, decisions in _pairs(sums.by_terminal, decided)
        if lines != decisions
    ]
    if faults:
        more = len(faults) - MISMATCHES_NAMED_MAX
        raise ExportMismatchError(
            "the journal contradicts itself: its lines do not add up to its signed decisions. "
            f"{'; '.join(faults[:MISMATCHES_NAMED_MAX])}"
            f"{f'; and {more} more terminals' if more > 0 else ''}. The file was not kept: have "
            "the journal verified before anything is paid"
        )


def _pairs(
    lines: Mapping[str, Amounts], decisions: Mapping[str, Amounts]
) -> list[tuple[str, Amounts, Amounts]]:
    nothing = Amounts()
    return [
        (terminal_id, lines.get(terminal_id, nothing), decisions.get(terminal_id, nothing))
        for terminal_id in sorted(lines.keys() | decisions.keys())
    ]


def _shown(amounts: Amounts) -> str:
    return f"{amounts.covered_kopecks} covered and {amounts.paid_kopecks} paid kopecks"


async def _report(reading: Reading, order: DayOrder) -> DayReport:
    if order.provider_code is not None:
        codes = await reading.provider_codes()
        if order.provider_code not in codes:
            raise ExportRefused(_unknown_provider(order.provider_code, codes))
    return DayReport(order, await reading.totals(order))


def _unknown_provider(code: str, codes: list[str]) -> str:
    by_folded = {known.casefold(): known for known in codes}
    near = difflib.get_close_matches(code.casefold(), by_folded, n=3)
    meant = ", ".join(by_folded[one] for one in near)
    hint = f"did you mean {meant}?" if meant else "`spk export totals DATE` shows the codes"
    return f"there is no provider {code}; {hint}"
