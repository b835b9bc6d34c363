"""Every transaction that a draft decides otherwise, as CSV or XLSX, row by row as they come."""

from __future__ import annotations

import contextlib
import csv
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import xlsxwriter

from processing.kernel.errors import ConfigurationError
from processing.regulations.faults import Language
from processing.regulations.replay_model import Change
from processing.regulations.replay_words import outcome_words, why

XLSX_ROWS_MAX: Final = 1_048_575
"""What a sheet holds below its heading; more changes need CSV."""

_HEADINGS: Final = {
    "ru": (
        *("получатель", "дата", "терминал", "номер", "вид", "категория", "поставщик"),
        *("было", "покрыто было, коп.", "стало", "покрыто стало, коп.", "почему"),
    ),
    "en": (
        *("holder", "date", "terminal", "stan", "kind", "category", "provider"),
        *("before", "covered before, kopecks", "after", "covered after, kopecks", "why"),
    ),
}


@contextlib.contextmanager
def change_file(path: Path, language: Language) -> Iterator[Callable[[Change], None]]:
    """Give what writes one change after another into a file, which appears when it is whole.

    The ending of its name says what it is: `.csv` (UTF-8 with a byte order mark, semicolons) or
    `.xlsx`. Raises `ConfigurationError` for another ending, a folder that cannot be written, and
    more rows than a sheet holds.
    """
    if path.suffix not in (".csv", ".xlsx"):
        raise ConfigurationError(f"{path}: give a name that ends in .csv or .xlsx")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    os.close(handle)
    draft = Path(name)
    try:
        with _csv(draft, language) if path.suffix == ".csv" else _xlsx(draft, language) as write:
            yield write
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _row(change: Change, language: Language) -> tuple[str | int, ...]:
    return (
        str(change.holder_id),
        change.business_date.isoformat(),
        change.terminal_id,
        change.stan,
        change.kind,
        change.category,
        change.provider,
        outcome_words(change.before_outcome, language),
        change.before_kopecks,
        outcome_words(change.after_outcome, language),
        change.after_kopecks,
        why(change, language),
    )


@contextlib.contextmanager
def _csv(path: Path, language: Language) -> Iterator[Callable[[Change], None]]:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(_HEADINGS[language])
        yield lambda change: writer.writerow(_row(change, language))


@contextlib.contextmanager
def _xlsx(path: Path, language: Language) -> Iterator[Callable[[Change], None]]:
    # One row in memory at a time.
    book = xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet("replay")
    sheet.write_row(0, 0, _HEADINGS[language])
    sheet.freeze_panes(1, 0)
    rows = 0

    def write(change: Change) -> None:
        nonlocal rows
        rows += 1
        if rows > XLSX_ROWS_MAX:
            raise ConfigurationError(
                f"more than {XLSX_ROWS_MAX} transactions change, which no sheet holds: "
                "export them as .csv"
            )
        sheet.write_row(rows, 0, _row(change, language))

    try:
        yield write
    finally:
        book.close()
