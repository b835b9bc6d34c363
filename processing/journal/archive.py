"""Archives months of history to Parquet files, and puts them back.

A month goes through closed, written, verified, detached, dropped. Where it stands is told by the
database (`journal.archive_step`, the tables themselves) and by the files that have their names, so
the work can be stopped at any moment and started again: no step leaves the journal before the one
that secures it is on disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from processing.journal.archive_tables import BLOCK, EVENT, LINE, TABLES, ArchiveTable, Kind
from processing.journal.month import (
    ArchiveMismatchError,
    ArchiveRefused,
    Month,
    MonthOverview,
    MonthState,
)
from processing.journal.month_folder import MonthFolder
from processing.journal.month_store import MonthStore, Row
from processing.journal.parquet import ParquetWriter, read_metadata, read_rows
from processing.journal.tally import Figures, Tally

WHOLE_MONTHS_KEPT: Final = 3
"""How many whole months before the current one stay in the journal unless forced.

A terminal that stays offline for longer cannot have its advices recorded any more.
"""


class Stage(StrEnum):
    """How far a month is; told to whoever watches, before the work of the stage begins."""

    CLOSING = "closing"
    WRITING = "writing"
    VERIFYING = "verifying"
    KEEPING = "keeping"
    DETACHING = "detaching"
    DROPPING = "dropping"
    RESTORING = "restoring"
    ATTACHING = "attaching"
    DONE = "done"


Watch = Callable[[Month, Stage, str], None]
"""Is told the month, the stage, and the table that it is about (or nothing)."""


class ArchiveOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be archived: every month before `before`, in the current month `this_month`."""

    before: Month
    this_month: Month
    force: bool = False
    even_unsettled: bool = False
    drop: bool = False


def choose(overviews: list[MonthOverview], order: ArchiveOrder) -> list[MonthOverview]:
    """Return the months to work on, oldest first.

    Raises `ArchiveRefused`, naming the first month in the way, when one of them should stay.
    """
    chosen = [seen for seen in overviews if seen.month is not None and seen.month < order.before]
    for seen in chosen:
        if seen.month is None or seen.state is not MonthState.OPEN:
            continue
        age = seen.month.whole_months_until(order.this_month)
        if age < WHOLE_MONTHS_KEPT and not order.force:
            raise ArchiveRefused(
                f"{seen.month} is too young: {WHOLE_MONTHS_KEPT} whole months stay in the journal, "
                "so that late advices and reversals find their place. Give an earlier --before, "
                "or --force"
            )
        if not seen.settled and not order.even_unsettled:
            raise ArchiveRefused(
                f"{seen.month} is not settled: {seen.conflicts} advices recorded in conflict, "
                f"{seen.unsettled_days} terminal days without totals in balance. Settle them "
                "(spk export totals DATE shows a day), or give --even-unsettled"
            )
    return chosen


class Archive:
    """The archive in one folder.

    Methods raise the errors of `MonthStore`, and `ArchiveMismatchError` when files and database
    do not hold the same.
    """

    def __init__(self, store: MonthStore, folder: Path, watch: Watch) -> None:
        self._store = store
        self._folder = folder
        self._watch = watch

    async def archive(self, seen: MonthOverview, *, drop: bool) -> None:
        """Bring a month as far as it can go: out of the journal, with `drop` into files only.

        A month that was archived already is only compared with its files.
        """
        month = _month_of(seen)
        files = await self._files(seen, month)
        if drop and seen.state is not MonthState.DROPPED:
            self._watch(month, Stage.DROPPING, "")
            await self._store.drop(month, files)
        self._watch(month, Stage.DONE, "")

    async def restore(self, seen: MonthOverview) -> None:
        """Put a month back into the journal, from its kept tables or from its files."""
        month = _month_of(seen)
        match seen.state:
            case MonthState.OPEN | MonthState.CLOSED:
                raise ArchiveRefused(f"{month} is in the journal; there is nothing to restore")
            case MonthState.DETACHED:
                pass
            case MonthState.DROPPED | MonthState.RESTORING:
                folder = MonthFolder(self._folder, month)
                _files_as_recorded(seen, folder)
                await self._store.prepare_restore(month)
                for table in (EVENT, LINE):
                    self._watch(month, Stage.RESTORING, table.name)
                    await self._store.copy(table, month, _rows_to_insert(folder, table))
        self._watch(month, Stage.ATTACHING, "")
        await self._store.attach(month)
        self._watch(month, Stage.DONE, "")

    async def _files(self, seen: MonthOverview, month: Month) -> dict[str, str]:
        """Return the SHA-256 of the month's files, made if need be; the month is detached then."""
        folder = MonthFolder(self._folder, month)
        match seen.state:
            case MonthState.OPEN | MonthState.CLOSED:
                folder.make()
                return await self._secure(month, folder)
            case MonthState.DETACHED | MonthState.DROPPED:
                return _files_as_recorded(seen, folder)
            case MonthState.RESTORING:
                raise ArchiveRefused(
                    f"{month} was being restored: run spk journal restore {month} again first"
                )

    async def _secure(self, month: Month, folder: MonthFolder) -> dict[str, str]:
        """Close the month, write and verify its files, and take it out of the journal.

        Returns the files' SHA-256.
        """
        self._watch(month, Stage.CLOSING, "")
        await self._store.close(month)
        figures = {table: await self._secure_table(month, folder, table) for table in TABLES}
        if figures[EVENT].block_count != figures[BLOCK].row_count:
            raise ArchiveMismatchError(
                f"{month}: the events name {figures[EVENT].block_count} blocks, but the journal "
                f"knows {figures[BLOCK].row_count} of them; nothing was detached"
            )
        files = folder.sha256_by_name()
        folder.write_sums(files)
        self._watch(month, Stage.DETACHING, "")
        await self._store.detach(month, figures[EVENT].row_count, figures[LINE].row_count, files)
        return files

    async def _secure_table(
        self, month: Month, folder: MonthFolder, table: ArchiveTable
    ) -> Figures:
        """Return the figures of a table whose verified file has its name when this returns."""
        kept = folder.file(table)
        if kept.is_file():
            # Left by an attempt that was stopped, or by the month's first time in the archive.
            self._watch(month, Stage.VERIFYING, table.name)
            tally = Tally(table)
            async for rows in self._store.rows(table, month):
                tally.add(rows)
            figures = tally.figures()
            await self._compare(month, table, kept, figures)
            return figures
        self._watch(month, Stage.WRITING, table.name)
        aside = folder.aside(table)
        figures = await self._write(month, folder, table, aside)
        self._watch(month, Stage.VERIFYING, table.name)
        await self._compare(month, table, aside, figures)
        self._watch(month, Stage.KEEPING, table.name)
        folder.keep(table)
        return figures

    async def _write(
        self, month: Month, folder: MonthFolder, table: ArchiveTable, aside: Path
    ) -> Figures:
        tally = Tally(table)
        try:
            with ParquetWriter(aside, table) as writer:
                async for rows in self._store.rows(table, month):
                    tally.add(rows)
                    writer.add(rows)
                figures = tally.figures()
                writer.finish(folder.metadata(table, figures))
        except OSError as error:
            raise ArchiveRefused(
                f"{aside} cannot be written: {error.strerror or error}; {month} stays in the "
                "journal. Make room or give another --out, and run the command again"
            ) from error
        return figures

    async def _compare(
        self, month: Month, table: ArchiveTable, path: Path, figures: Figures
    ) -> None:
        """Hold a file to what was read of the database, and that to the server's own sums."""
        tally = Tally(table)
        for rows in read_rows(path, table):
            tally.add(rows)
        differences = tally.figures().differences(figures)
        told = read_metadata(path, table)
        if told.get("spk.rows_sha256") != figures.rows_sha256:
            differences.append("metadata")
        sums = await self._store.sums(table, month)
        if sums != {"row_count": figures.row_count, **figures.sums}:
            differences.append("the server's own sums")
        if differences:
            raise ArchiveMismatchError(
                f"{path} does not hold the rows of journal.{table.name}_{month.suffix}: "
                f"{', '.join(differences)} differ. {month} stays in the journal; move the file "
                "away and run the command again"
            )


def _month_of(seen: MonthOverview) -> Month:
    if seen.month is None:
        raise ArchiveRefused("what lies in no month's tables is not archived")
    return seen.month


def _files_as_recorded(seen: MonthOverview, folder: MonthFolder) -> dict[str, str]:
    """Return the files' digests, read now, if they are those that were recorded."""
    found, recorded = folder.sha256_by_name(), seen.files or {}
    changed = [name for name in found if found[name] != recorded.get(name)]
    if changed:
        right = ", ".join(f"{name} {recorded.get(name, 'unknown')}" for name in changed)
        raise ArchiveMismatchError(
            f"{folder.path} does not hold the files that were verified when {seen.month} was "
            f"detached. Take them from a copy of the archive; their SHA-256: {right}"
        )
    return found


async def _rows_to_insert(folder: MonthFolder, table: ArchiveTable) -> AsyncIterator[Row]:
    uuids = [n for n, column in enumerate(table.columns) if column.kind is Kind.UUID]
    for rows in read_rows(folder.file(table), table):
        for row in rows:
            values: list[Any] = list(row)
            for position in uuids:
                if values[position] is not None:
                    values[position] = UUID(bytes=values[position])
            yield tuple(values)
