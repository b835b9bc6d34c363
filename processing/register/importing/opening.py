"""Opens a file of rows by what is in it, never by its name."""

from __future__ import annotations

from pathlib import Path

from processing.register.importing.csv_file import CsvFile, HeaderScore, survey_csv
from processing.register.importing.errors import ImportRefused
from processing.register.importing.sheet import Form, Format, SheetFile
from processing.register.importing.xlsx_file import is_workbook, survey_xlsx


def open_sheet(path: Path, score: HeaderScore) -> SheetFile:
    """Survey a file of rows; raises `ImportRefused`.

    `score` tells how many of a row's cells are names of columns.
    """
    try:
        return survey_xlsx(path) if is_workbook(path) else survey_csv(path, score)
    except OSError as error:
        raise unreadable(path, error) from error


def as_before(sheet: SheetFile, form: Form) -> SheetFile:
    """Return the same file to be read as it was when its import began."""
    return CsvFile(sheet.path, form) if form.format is Format.CSV else sheet


def unreadable(path: Path, error: OSError) -> ImportRefused:
    """Return the refusal of a file that the system does not give."""
    return ImportRefused(
        f"{path}: файл не читается: {error.strerror or error}",
        f"{path}: the file cannot be read: {error.strerror or error}",
    )
