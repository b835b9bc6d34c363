"""A file of СНИЛС, one application a row: each row becomes an application or comes back with why.

CSV in any usual encoding and separator, or XLSX. One column holds the holder's СНИЛС; another may
hold the one of the person whom the holder is to act for. Their names stand in the first row; a file
of one column needs none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from processing.cards.application_words import APPLY, word
from processing.cards.applications import (
    APPLICATIONS_AT_ONCE_MAX,
    ApplicationStore,
    ApplyResult,
    Desk,
    Wish,
)
from processing.kernel.errors import ConfigurationError
from processing.kernel.private_file import write_private_file
from processing.register.identifiers import IdentifierError, read_snils
from processing.register.importing.errors import ImportRefused
from processing.register.importing.opening import open_sheet
from processing.register.importing.sheet import Cell, Record
from processing.wire.figures import Language

ROWS_MAX: Final = 100_000
"""Most rows of one file: a month of a large office."""

_HOLDER: Final = ("снилс", "snils")
_REPRESENTED: Final = ("снилс представляемого", "represented snils", "represents")


class FileRow(msgspec.Struct, frozen=True):
    """A row of the file: its line, its cells, and the wish or what is wrong with it in ru, en."""

    line: int
    cells: tuple[str, ...]
    wish: Wish | None
    fault: tuple[str, str] | None


class Refused(msgspec.Struct, frozen=True):
    """A row that became no application, and why."""

    row: FileRow
    why: tuple[str, str]


class Taken(msgspec.Struct, frozen=True):
    """Rows in = ordered + refused."""

    rows: int
    numbers: tuple[int, ...]
    refused: tuple[Refused, ...]


def read_rows(path: Path) -> list[FileRow]:
    """Return the rows of a file; raises `ImportRefused` or `ConfigurationError` for the whole."""
    sheet = open_sheet(path, _score)
    records = iter(sheet.records())
    rows: list[FileRow] = []
    columns: tuple[int, int | None] | None = None
    for record in records:
        if record.is_blank:
            continue
        if columns is None:
            named = _columns(record.cells)
            columns = named or (0, None)
            if named is not None:
                continue
        if len(rows) == ROWS_MAX:
            raise ConfigurationError(
                f"{path}: больше {ROWS_MAX} строк, разделите файл / more than {ROWS_MAX} rows: "
                "split the file"
            )
        rows.append(_row(record, *columns))
    return rows


async def take_file(store: ApplicationStore, rows: Sequence[FileRow], desk: Desk) -> Taken:
    """Take an application for each row that allows it; again takes only what was not taken."""
    numbers: list[int] = []
    refused = [Refused(row, row.fault) for row in rows if row.fault is not None]
    wishes = list(_wishes(rows))
    for start in range(0, len(wishes), APPLICATIONS_AT_ONCE_MAX):
        part = wishes[start : start + APPLICATIONS_AT_ONCE_MAX]
        answers = await store.apply([wish for _, wish in part], desk)
        for (row, _), answer in zip(part, answers, strict=True):
            if answer.result is ApplyResult.APPLIED and answer.number is not None:
                numbers.append(answer.number)
            else:
                refused.append(Refused(row, APPLY[answer.result]))
    refused.sort(key=lambda one: one.row.line)
    return Taken(len(rows), tuple(numbers), tuple(refused))


def write_refused(path: Path, refused: Sequence[Refused], language: Language) -> None:
    """Write the refused rows with their reasons as a new CSV file that only its owner may read."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    russian = language == "ru"
    writer.writerow(("СНИЛС", "Строка", "Причина") if russian else ("СНИЛС", "Row", "Reason"))
    for one in refused:
        snils = one.row.cells[0] if one.row.cells else ""
        # A cell that a spreadsheet would take for a formula is made a text.
        shown = f"'{snils}" if snils[:1] in ("=", "+", "-", "@") else snils
        writer.writerow((shown, one.row.line, word(one.why, language)))
    write_private_file(path, text.getvalue().encode("utf-8-sig"))


def _wishes(rows: Sequence[FileRow]) -> Iterator[tuple[FileRow, Wish]]:
    for row in rows:
        if row.wish is not None:
            yield row, row.wish


def _score(cells: Sequence[Cell]) -> int:
    return sum(_plain(cell) in (*_HOLDER, *_REPRESENTED) for cell in cells)


def _columns(cells: Sequence[Cell]) -> tuple[int, int | None] | None:
    """Return the places of holder and represented, if this row names them."""
    names = [_plain(cell) for cell in cells]
    holder = next((place for place, name in enumerate(names) if name in _HOLDER), None)
    if holder is None:
        return None
    return holder, next((place for place, name in enumerate(names) if name in _REPRESENTED), None)


def _plain(cell: Cell) -> str:
    return " ".join(cell.split()).casefold() if isinstance(cell, str) else ""


def _row(record: Record, holder: int, represented: int | None) -> FileRow:
    snils = _text(record.cells, holder)
    if record.broken is not None:
        return FileRow(record.line, (snils,), None, record.broken)
    try:
        other = "" if represented is None else _text(record.cells, represented)
        wish = Wish(snils=read_snils(snils), represents_snils=read_snils(other) if other else None)
    except IdentifierError as error:
        return FileRow(record.line, (snils,), None, (error.ru, error.en))
    return FileRow(record.line, (snils,), wish, None)


def _text(cells: Sequence[Cell], place: int) -> str:
    value = cells[place] if place < len(cells) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # A workbook keeps a number without its leading zeros.
    return f"{value:011d}" if isinstance(value, int) else str(value or "").strip()


def refused_as_a_whole(error: ImportRefused) -> ConfigurationError:
    """Return why a file is not taken at all, in both languages."""
    return ConfigurationError(f"{error.ru} / {error.en}")
