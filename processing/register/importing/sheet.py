"""A file of rows, whatever its format: what the readers give and the rest of the import takes.

A file is read twice. The survey looks at every byte: it tells the file's hash and form, and refuses
what cannot be imported before anything has started. Then the rows are read, one at a time.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import msgspec

from processing.register.importing.errors import ImportRefused

FILE_BYTES_MAX: Final = 4 * 1024**3
"""Longest file that is imported."""

COLUMNS_MAX: Final = 500
"""Most columns of a table that is imported."""

HEADER_ROW_MAX: Final = 20
"""The names of the columns are looked for in so many first rows."""

READ_BYTES: Final = 1024 * 1024

Cell: TypeAlias = "str | int | float | bool | dt.date | dt.time | dt.timedelta | None"
"""A value as the file has it; a CSV file has texts only. `datetime` is a `date`."""


class Format(StrEnum):
    """How a file is written."""

    CSV = "csv"
    XLSX = "xlsx"


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What the survey found out. `encoding` and `delimiter` are a CSV file's, `sheet` a workbook's.

    `record_count` counts all records, blank ones and those above the header too.
    """

    format: Format
    sha256: bytes
    size_bytes: int
    record_count: int
    encoding: str = ""
    delimiter: str = ""
    newline: str = ""
    sheet: str = ""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One row of a file. `line` is the line of a text, or the row of a sheet, where it begins.

    `raw` are a CSV file's own bytes with the line's end; a sheet's row has none, its cells are all
    there is. `broken` tells in ru and en why the row cannot be taken apart; its `cells` are then
    what could be made out.
    """

    line: int
    cells: Sequence[Cell]
    raw: bytes = b""
    broken: tuple[str, str] | None = None

    @property
    def is_blank(self) -> bool:
        """Tell whether nothing stands in the row."""
        return not any(map(_filled, self.cells))


class SheetFile(Protocol):
    """A surveyed file."""

    @property
    def path(self) -> Path:
        """Where the file lies."""

    @property
    def form(self) -> Form:
        """What the survey found out."""

    def records(self) -> Iterator[Record]:
        """Give all records from the first on. Raises `ImportRefused`, `OSError`."""


def sha256_of(path: Path) -> tuple[bytes, int]:
    """Return the hash and the length of a file. Raises `ImportRefused`."""
    digest = hashlib.sha256()
    size_bytes = 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            size_bytes += len(block)
            if size_bytes > FILE_BYTES_MAX:
                raise ImportRefused(
                    f"{path.name}: файл больше {FILE_BYTES_MAX // 1024**3} ГиБ; разделите его",
                    f"{path.name}: larger than {FILE_BYTES_MAX // 1024**3} GiB; split it",
                )
    return digest.digest(), size_bytes


def _filled(cell: Cell) -> bool:
    return bool(cell.strip()) if isinstance(cell, str) else cell is not None
