"""XLSX workbooks: the first visible sheet with anything in it, its cells with their types.

The container is looked into before a library unpacks it (ECMA-376, part 2: a ZIP archive): macros,
a password, an archive that unpacks to more than its declared or permitted size are refused. The
sheet is then held in memory by calamine; the guide states how much that takes.
"""

from __future__ import annotations

import datetime as dt
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import python_calamine

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


class XlsxFile:
    """A surveyed workbook, kept open: reading a million rows into memory takes its time."""

    def __init__(self, path: Path, form: Form, workbook: python_calamine.CalamineWorkbook) -> None:
        self.path: Final = path
        self.form: Final = form
        self._sheet: Final = workbook.get_sheet_by_name(form.sheet)

    def records(self) -> Iterator[Record]:
        """Give all rows of the sheet from the first on."""
        return _records(self._sheet)


def survey_xlsx(path: Path) -> XlsxFile:
    """Look at a whole workbook; raises `ImportRefused`, `OSError`."""
    sha256, size_bytes = sha256_of(path)
    _look_into(path)
    workbook = _opened(path)
    name, count = _sheet_of(path, workbook)
    form = Form(
        format=Format.XLSX, sha256=sha256, size_bytes=size_bytes, record_count=count, sheet=name
    )
    return XlsxFile(path, form, workbook)


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


def _records(sheet: python_calamine.CalamineSheet) -> Iterator[Record]:
    start = sheet.start
    offset: list[Cell] = [None] * (start[1] if start is not None else 0)
    for row, values in enumerate(sheet.iter_rows(), start=1):
        cells: list[Cell] = offset + [None if value == "" else value for value in values]
        broken = None
        for cell in cells:
            if isinstance(cell, str) and len(cell) > CELL_CHARACTERS_MAX:
                broken = (
                    f"в ячейке больше {CELL_CHARACTERS_MAX} знаков; сократите её",
                    f"a cell holds more than {CELL_CHARACTERS_MAX} characters; shorten it",
                )
        yield Record(row, cells, broken=broken)


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


def _sheet_of(path: Path, workbook: python_calamine.CalamineWorkbook) -> tuple[str, int]:
    """Return the first visible sheet that holds anything, and its number of rows."""
    for found in workbook.sheets_metadata:
        if found.visible != python_calamine.SheetVisibleEnum.Visible:
            continue
        if found.typ != python_calamine.SheetTypeEnum.WorkSheet:
            continue
        sheet = workbook.get_sheet_by_name(found.name)
        if sheet.start is None or sheet.end is None:
            continue
        rows, columns = sheet.end[0] + 1, sheet.end[1] + 1
        if columns > COLUMNS_MAX or rows > ROWS_MAX:
            raise _refused(
                path,
                f"лист «{found.name}»: столбцов {columns} (можно {COLUMNS_MAX}), строк {rows}"
                f" (можно {ROWS_MAX}); удалите лишнее",
                f"sheet “{found.name}”: {columns} columns (at most {COLUMNS_MAX}), {rows} rows"
                f" (at most {ROWS_MAX}); remove what is not needed",
            )
        return found.name, rows
    raise _refused(path, "в книге нет листа с данными", "no sheet of the workbook holds data")


def _opened(path: Path) -> python_calamine.CalamineWorkbook:
    try:
        return python_calamine.load_workbook(path)
    except python_calamine.CalamineError:
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
