"""XLSX workbooks: the first visible sheet with anything in it, its cells with their types.

The container is looked into before anything is made of it (ECMA-376, part 2: a ZIP archive):
macros, a password, an archive that unpacks to more than its declared or permitted size are refused.
Rows are then read one at a time; of the workbook only its different texts are held in memory.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

import msgspec
from lxml import etree

from processing.register.importing.errors import ImportRefused
from processing.register.importing.sheet import (
    COLUMNS_MAX,
    READ_BYTES,
    Cell,
    Form,
    Format,
    Record,
    sha256_of,
)
from processing.register.importing.xlsx_parts import (
    TEXT_BYTES_MAX,
    Parts,
    SheetPart,
    Shown,
    Texts,
    unescaped,
)
from processing.register.importing.xlsx_rows import raw_rows

UNPACKED_BYTES_MAX: Final = 3 * 1024**3
"""Largest workbook after unpacking; a million rows of twenty columns take about one GiB."""

PACKED_RATIO_MAX: Final = 300
"""How many times its packed size a part of a workbook may have; real sheets stay below 50."""

RATIO_FREE_BYTES: Final = 16 * 1024**2
"""Parts below this size may be packed however well."""

PARTS_MAX: Final = 10_000
"""Most files in a workbook's archive."""

ROWS_MAX: Final = 1_048_576
"""Rows of a sheet, the header included (the format's own limit)."""

CELL_CHARACTERS_MAX: Final = 32_767
"""Longest text in a cell (Excel's own limit); a row with a longer one is refused."""

ZIP_MAGIC: Final = b"PK\x03\x04"
OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


_TOO_LONG: Final = (
    f"в ячейке больше {CELL_CHARACTERS_MAX} знаков; сократите её",
    f"a cell holds more than {CELL_CHARACTERS_MAX} characters; shorten it",
)

_DAY_ZERO: Final = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - a cell has no time zone
_DAY_ZERO_1904: Final = dt.datetime(1904, 1, 1)  # noqa: DTZ001
_FALSE_LEAP_DAY: Final = 60
"""The 29 February 1900 that there never was, but spreadsheets count."""


class XlsxFile:
    """A surveyed workbook."""

    def __init__(self, path: Path, form: Form, sheet: SheetPart, width: int) -> None:
        self.path: Final = path
        self.form: Final = form
        self._sheet: Final = sheet
        self._width: Final = width

    def records(self) -> Iterator[Record]:
        """Give all rows of the sheet from the first on."""
        with _opened(self.path) as parts:
            rows = _Rows(parts.texts(), parts.styles(), from_1904=parts.counts_from_1904())
            records = rows.read(parts, self._sheet.part, self._width)
            yield from itertools.islice(records, self.form.record_count)


def survey_xlsx(path: Path) -> XlsxFile:
    """Look at a whole workbook; raises `ImportRefused`, `OSError`."""
    sha256, size_bytes = sha256_of(path)
    _look_into(path)
    with _opened(path) as parts:
        sheet, count, width = _sheet_of(path, parts)
    form = Form(
        format=Format.XLSX,
        sha256=sha256,
        size_bytes=size_bytes,
        record_count=count,
        sheet=sheet.name,
    )
    return XlsxFile(path, form, sheet, width)


def is_workbook(path: Path) -> bool:
    """Tell by its first bytes whether a file is an XLSX workbook.

    Raises `ImportRefused` for an old or encrypted one, which begin alike.
    """
    with path.open("rb") as file:
        magic = file.read(len(OLE_MAGIC))
    if magic == OLE_MAGIC:
        raise _refused(
            path,
            "книга старого формата (.xls) или под паролем; сохраните её как .xlsx без пароля",
            "an old (.xls) or password-protected workbook; save it as .xlsx without a password",
        )
    return magic.startswith(ZIP_MAGIC)


def pack(cells: Sequence[Cell]) -> bytes:
    """Return a sheet's row as bytes that `unpack` gives back with the types of its cells."""
    return msgspec.json.encode([_packed(cell) for cell in cells])


def unpack(raw: bytes) -> list[Cell]:
    """Return the cells that `pack` was given."""
    return [_unpacked(each) for each in msgspec.json.decode(raw)]


class _Rows:
    """Makes records of a sheet's rows."""

    def __init__(self, texts: Texts, styles: list[Shown], *, from_1904: bool) -> None:
        self._texts = texts
        self._styles = styles
        self._day_zero = _DAY_ZERO_1904 if from_1904 else _DAY_ZERO

    def read(self, parts: Parts, part: str, width: int) -> Iterator[Record]:
        """Give the rows of a sheet, those that the file leaves out too, `width` cells each."""
        before = 0
        with parts.open(part) as opened:
            for number, raw in raw_rows(opened):
                for left_out in range(before + 1, number):
                    yield Record(left_out, [None] * width)
                before = number
                cells: list[Cell] = [None] * width
                broken = None
                for place, kind, style, text in raw:
                    value = self._value(kind, style, text)
                    cells[place] = value if value != "" else None
                    if isinstance(value, str) and len(value) > CELL_CHARACTERS_MAX:
                        broken = _TOO_LONG
                yield Record(number, cells, broken=broken)

    def _value(self, kind: str, style: str | None, text: str) -> Cell:
        """Return what a cell holds (§18.3.1.4, §18.18.11); of a formula its last result."""
        match kind:
            case "s":
                return self._texts[int(text)]
            case "n":
                return self._number(float(text), style)
            case "b":
                return text.strip() in ("1", "true")
            case "d":
                moment = dt.datetime.fromisoformat(text)
                return moment.date() if moment.time() == dt.time() else moment
            case _:
                # a text in its place, a formula's text, or an error such as #N/A
                return unescaped(text)

    def _number(self, number: float, style: str | None) -> Cell:
        shown = self._styles[int(style)] if style and int(style) < len(self._styles) else None
        if shown is Shown.DURATION:
            return dt.timedelta(days=number)
        if shown is not Shown.MOMENT:
            return number
        days = number
        if self._day_zero is _DAY_ZERO and days < _FALSE_LEAP_DAY:
            days += 1
        try:
            moment = self._day_zero + dt.timedelta(seconds=round(days * 86_400, 3))
        except OverflowError:
            return number
        if 0 <= number < 1:
            return moment.time()
        return moment.date() if moment.time() == dt.time() else moment


def _look_into(path: Path) -> None:
    """Refuse what must not be unpacked; reads every part once, in blocks."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            _refuse_contents(path, parts)
            for part in parts:
                with archive.open(part) as opened:
                    # zipfile checks length and checksum, so that no part unpacks to more than
                    # it declares.
                    while opened.read(READ_BYTES):
                        pass
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise _damaged(path) from None


def _refuse_contents(path: Path, parts: list[zipfile.ZipInfo]) -> None:
    names = {part.filename.lower() for part in parts}
    if "xl/workbook.xml" not in names:
        raise _refused(
            path,
            "это архив, но не книга XLSX; сохраните таблицу как .xlsx или .csv",
            "an archive, but no XLSX workbook; save the table as .xlsx or .csv",
        )
    if any(name.endswith("vbaproject.bin") for name in names):
        raise _refused(
            path,
            "в книге есть макросы; сохраните её как .xlsx без макросов",
            "the workbook has macros; save it as .xlsx without them",
        )
    unpacked = sum(part.file_size for part in parts)
    swollen = any(
        part.file_size > RATIO_FREE_BYTES
        and part.file_size > PACKED_RATIO_MAX * max(1, part.compress_size)
        for part in parts
    )
    if len(parts) > PARTS_MAX or unpacked > UNPACKED_BYTES_MAX or swollen:
        raise _refused(
            path,
            "архив распаковывается в несоразмерно большой файл и потому не открыт; сохраните"
            " таблицу заново или как .csv",
            "the archive unpacks to a file out of all proportion and was not opened; save the"
            " table anew or as .csv",
        )


def _sheet_of(path: Path, parts: Parts) -> tuple[SheetPart, int, int]:
    """Return the first visible sheet that holds anything, its number of rows and of columns."""
    for sheet in parts.sheets():
        rows, columns = _extent_of(parts, sheet.part)
        if not rows:
            continue
        if columns > COLUMNS_MAX or rows > ROWS_MAX:
            raise _refused(
                path,
                f"лист «{sheet.name}»: столбцов {columns} (можно {COLUMNS_MAX}), строк {rows}"
                f" (можно {ROWS_MAX}); удалите лишнее",
                f"sheet “{sheet.name}”: {columns} columns (at most {COLUMNS_MAX}), {rows} rows"
                f" (at most {ROWS_MAX}); remove what is not needed",
            )
        return sheet, rows, columns
    raise _refused(path, "в книге нет листа с данными", "no sheet of the workbook holds data")


def _extent_of(parts: Parts, part: str) -> tuple[int, int]:
    """Return the last row and column of a sheet with something in it, from 1; 0, 0: none has."""
    rows = columns = 0
    with parts.open(part) as opened:
        for number, cells in raw_rows(opened):
            if cells:
                rows, columns = number, max(columns, *(cell[0] + 1 for cell in cells))
    return rows, columns


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Parts]:
    """Open a workbook; whatever is wrong inside it is a refusal."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield Parts(archive)
    except OverflowError:
        raise _refused(
            path,
            f"в книге больше {TEXT_BYTES_MAX // 1024**2} МиБ разных текстов; сохраните её как .csv",
            f"the workbook has more than {TEXT_BYTES_MAX // 1024**2} MiB of different texts; save"
            " it as .csv",
        ) from None
    except (
        etree.XMLSyntaxError, expat.ExpatError, zipfile.BadZipFile, zlib.error, EOFError, KeyError,
        ValueError, IndexError,
    ):  # fmt: skip
        raise _damaged(path) from None


def _damaged(path: Path) -> ImportRefused:
    return _refused(
        path,
        "книга повреждена; откройте её в Excel и сохраните заново",
        "the workbook is damaged; open it in Excel and save it anew",
    )


def _packed(cell: Cell) -> Any:
    match cell:
        case dt.datetime():
            return {"t": cell.isoformat()}
        case dt.date():
            return {"d": cell.isoformat()}
        case dt.time():
            return {"h": cell.isoformat()}
        case dt.timedelta():
            return {"s": cell.total_seconds()}
        case _:
            return cell


def _unpacked(value: Any) -> Cell:
    match value:
        case {"t": text}:
            return dt.datetime.fromisoformat(text)
        case {"d": text}:
            return dt.date.fromisoformat(text)
        case {"h": text}:
            return dt.time.fromisoformat(text)
        case {"s": seconds}:
            return dt.timedelta(seconds=seconds)
        case _:
            cell: Cell = value
            return cell


def _refused(path: Path, ru: str, en: str) -> ImportRefused:
    return ImportRefused(f"{path.name}: {ru}", f"{path.name}: {en}")
