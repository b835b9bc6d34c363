"""Rejected rows as the user's own file: same format, columns and order, the bad cells marked.

A CSV row goes back with the bytes it came with, a sheet's row with the same cells; a last column
says what is wrong. In a workbook the bad cells are coloured and carry the reason as a comment. The
file appears whole or not at all.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec
import xlsxwriter
import xlsxwriter.exceptions
from xlsxwriter.worksheet import Worksheet

from processing.register.importing.errors import ImportRefused
from processing.register.importing.headers import REJECTS_COLUMNS, plain
from processing.register.importing.sheet import Cell, Form, Format, Record
from processing.register.importing.xlsx_file import pack, unpack
from processing.wire.figures import Language

COMMENTS_MAX: Final = 10_000
"""Cells of a returned workbook that carry a comment; further ones are coloured, and their reason
stands in the last column as for all. Excel becomes slow with more."""

CELL_WIDTH: Final = 18
REASONS_WIDTH: Final = 80
"""Of a returned workbook's columns, in characters."""

OWNER_ONLY: Final = 0o600

_BAD_CELL: Final = {"bg_color": "#FFC7CE", "font_color": "#9C0006"}
_DATE_FORMATS: Final = {"d": "dd.mm.yyyy", "t": "dd.mm.yyyy hh:mm", "h": "hh:mm:ss", "s": "[h]:mm"}


class RowFault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong with a row: the cell's place from 0 (None: the row), the field, and why."""

    column: int | None = None
    label_ru: str = ""
    label_en: str = ""
    ru: str
    en: str

    def sentence(self, language: Language) -> str:
        """Return the reason with the field it concerns."""
        label, what = (self.label_ru, self.ru) if language == "ru" else (self.label_en, self.en)
        return f"{label}: {what}" if label else what


class Reject(msgspec.Struct, frozen=True):
    """A row that was not taken: where it stood, how it came (`kept`), and what is wrong."""

    line: int
    kept: bytes
    faults: tuple[RowFault, ...]


class Opening(msgspec.Struct, frozen=True):
    """What stands above the rows of a file: the records before the header, and the header."""

    above: tuple[bytes, ...]
    header: bytes
    column_count: int


def kept(record: Record, form: Form) -> bytes:
    """Return a row's bytes to keep, from which the row is written again exactly."""
    return record.raw if form.format is Format.CSV else pack(record.cells)


async def write_rejects(
    path: Path, form: Form, opening: Opening, rejects: AsyncIterator[Reject], language: Language
) -> int:
    """Write the rejected rows, replacing an older file; return how many.

    Raises `ImportRefused` when the place cannot be written or is full; nothing is left then.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with _removed_at_the_end(aside):
            os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
            writer = _CsvRejects if form.format is Format.CSV else _XlsxRejects
            count = 0
            with writer(aside, form, opening, language) as rows:
                async for reject in rejects:
                    rows.write(reject)
                    count += 1
            aside.replace(path)
    except (OSError, xlsxwriter.exceptions.XlsxFileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImportRefused(
            f"{path}: файл не записан: {reason}. Отклонённые строки целы; освободите место или"
            " укажите другую папку (--to) и повторите",
            f"{path}: not written: {reason}. The rejected rows are safe; make room or give"
            " another folder (--to) and try again",
        ) from None
    return count


class _Writer(Protocol):
    def write(self, reject: Reject) -> None: ...


class _CsvRejects(contextlib.AbstractContextManager["_CsvRejects"]):
    """The rows' own bytes with a column of reasons after them."""

    def __init__(self, path: Path, form: Form, opening: Opening, language: Language) -> None:
        self._path = path
        self._form = form
        self._opening = opening
        self._language = language
        self._encoding = "utf-8" if form.encoding == "utf-8-sig" else form.encoding
        self._file: IO[bytes] = path.open("wb")
        header = self._cells(opening.header)
        self._had_reasons = bool(header) and plain(header[-1]) in _OWN

    def __enter__(self) -> _CsvRejects:
        if self._form.encoding == "utf-8-sig":
            self._file.write(codecs.BOM_UTF8)
        for raw in self._opening.above:
            self._file.write(raw)
        self._put(self._opening.header, REJECTS_COLUMNS[self._language])
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            with contextlib.suppress(OSError):
                self._file.close()

    def write(self, reject: Reject) -> None:
        """Add a row with its reasons."""
        self._put(reject.kept, "; ".join(f.sentence(self._language) for f in reject.faults))

    def _put(self, raw: bytes, reason: str) -> None:
        body = raw.rstrip(b"\r\n")
        delimiter = self._form.delimiter
        cells = self._cells(body)
        width = self._opening.column_count
        if self._had_reasons:
            width -= 1
            if len(cells) > width:
                body = _without_last_cell(body, delimiter.encode())
        written = io.StringIO()
        csv.writer(written, delimiter=delimiter, lineterminator="").writerow([reason, ""])
        padding = delimiter * max(0, width - max(1, len(cells)))
        cell = written.getvalue().removesuffix(delimiter)
        end = raw[len(raw.rstrip(b"\r\n")) :] or self._form.newline.encode()
        added = f"{padding}{delimiter}{cell}".encode(self._encoding, errors="replace")
        self._file.write(body + added + end)

    def _cells(self, raw: bytes) -> list[str]:
        text = raw.decode(self._encoding, errors="replace")
        try:
            return next(csv.reader([text], delimiter=self._form.delimiter), [])
        except csv.Error:
            return text.split(self._form.delimiter)


class _XlsxRejects(contextlib.AbstractContextManager["_XlsxRejects"]):
    """A workbook with the rows' cells, the bad ones coloured."""

    def __init__(self, path: Path, form: Form, opening: Opening, language: Language) -> None:
        self._language = language
        # The sheet's parts, until they are put together: gone at the end whatever happens.
        self._parts = tempfile.TemporaryDirectory(prefix=".spk-import-", dir=path.parent)
        self._book = xlsxwriter.Workbook(
            str(path),
            {
                "constant_memory": True,
                "tmpdir": self._parts.name,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
            },
        )
        self._sheet: Worksheet = self._book.add_worksheet(form.sheet or None)
        self._formats: dict[tuple[str, bool], Any] = {}
        header = unpack(opening.header)
        had_reasons = bool(header) and plain(str(header[-1] or "")) in _OWN
        self._width = opening.column_count - had_reasons
        self._row = 0
        self._comments = 0
        self._wrapped = self._book.add_format({"text_wrap": True, "valign": "top"})
        # Without a width Excel shows dates as a row of # and cuts the reasons off.
        self._sheet.set_column(0, max(0, self._width - 1), CELL_WIDTH)
        self._sheet.set_column(self._width, self._width, REASONS_WIDTH)
        for raw in opening.above:
            self._put(unpack(raw), {}, "")
        self._put(header, {}, REJECTS_COLUMNS[language])
        self._sheet.freeze_panes(self._row, 0)

    def __enter__(self) -> _XlsxRejects:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # After a fault too, since the library complains of a workbook that was never closed.
        with self._parts, contextlib.suppress(*((Exception,) if kind else ())):
            self._book.close()

    def write(self, reject: Reject) -> None:
        """Add a row with its reasons."""
        reasons: dict[int, str] = {}
        for fault in reject.faults:
            place = fault.column if fault.column is not None else 0
            before = f"{reasons[place]}\n" if place in reasons else ""
            reasons[place] = before + fault.sentence(self._language)
        whole = "; ".join(fault.sentence(self._language) for fault in reject.faults)
        self._put(unpack(reject.kept), reasons, whole)

    def _put(self, cells: Sequence[Cell], reasons: dict[int, str], whole: str) -> None:
        for place in range(max(self._width, max(reasons, default=-1) + 1)):
            cell = cells[place] if place < len(cells) else None
            self._put_cell(place, cell, place in reasons)
            if place in reasons and self._comments < COMMENTS_MAX:
                self._comments += 1
                self._sheet.write_comment(self._row, place, reasons[place], {"x_scale": 2})
        self._sheet.write_string(self._row, self._width, whole, self._wrapped)
        self._row += 1

    def _put_cell(self, place: int, cell: Cell, is_bad: bool) -> None:
        packed = msgspec.json.decode(pack([cell]))[0]
        shown = _DATE_FORMATS[next(iter(packed))] if isinstance(packed, dict) else ""
        style = self._style(shown, is_bad) if shown or is_bad else None
        if cell is None:
            self._sheet.write_blank(self._row, place, None, style)
        elif isinstance(cell, str):
            self._sheet.write_string(self._row, place, cell, style)
        elif isinstance(cell, bool):
            self._sheet.write_boolean(self._row, place, cell, style)
        elif isinstance(cell, int | float):
            self._sheet.write_number(self._row, place, cell, style)
        else:
            self._sheet.write_datetime(self._row, place, cell, style)

    def _style(self, shown: str, is_bad: bool) -> Any:
        key = (shown, is_bad)
        if key not in self._formats:
            look: dict[str, Any] = dict(_BAD_CELL) if is_bad else {}
            if shown:
                look["num_format"] = shown
            self._formats[key] = self._book.add_format(look)
        return self._formats[key]


def _without_last_cell(raw: bytes, delimiter: bytes) -> bytes:
    """Return a record without its last cell and the delimiter before it."""
    quoted = False
    end = len(raw)
    for place in range(len(raw)):
        byte = raw[place : place + 1]
        if byte == b'"':
            quoted = not quoted
        elif byte == delimiter and not quoted:
            end = place
    return raw[:end]


@contextlib.contextmanager
def _removed_at_the_end(aside: Path) -> Any:
    try:
        yield
    finally:
        aside.unlink(missing_ok=True)


_OWN: Final = frozenset(plain(name) for name in REJECTS_COLUMNS.values())
