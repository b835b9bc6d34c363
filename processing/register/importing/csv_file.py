"""CSV files as people have them: UTF-8 or Windows-1251, `;`, `,` or tab, quoted line breaks.

Every record keeps its own bytes, so that a rejected one goes back exactly as it came. A record is
what Python's csv reader takes for one; its bytes are the lines that it took.
"""

from __future__ import annotations

import codecs
import csv
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from processing.register.importing.errors import ImportRefused
from processing.register.importing.sheet import COLUMNS_MAX, HEADER_ROW_MAX, Form, Format, Record
from processing.register.importing.sheet import sha256_of as _sha256_of

RECORD_BYTES_MAX: Final = 1024 * 1024
"""Longest record of a CSV file. A longer one mostly is a quotation mark that nobody closed."""

SAMPLE_BYTES: Final = 8 * 1024
DELIMITERS: Final = (";", ",", "\t")
FOREIGN_ENCODINGS: Final = ("cp866", "koi8-r")
"""Old encodings that any bytes fit; recognised to tell the user, not read."""

HeaderScore = Callable[[list[str]], int]
"""Tells how many of a row's cells are names of columns."""

_UNDOUBLED: Final = (
    "кавычки внутри ячейки не удвоены; исправьте строку",
    "quotation marks within a cell are not doubled; mend the row",
)
_STRAY_BREAK: Final = (
    "внутри ячейки без кавычек стоит перевод строки; исправьте строку",
    "a line break stands within a cell without quotation marks; mend the row",
)


class CsvFile(msgspec.Struct, frozen=True):
    """A surveyed CSV file."""

    path: Path
    form: Form

    def records(self) -> Iterator[Record]:
        """Give all records from the first on. Raises `ImportRefused`, `OSError`."""
        return read_records(self.path, self.form.encoding, self.form.delimiter)


def survey_csv(path: Path, score: HeaderScore) -> CsvFile:
    """Look at a whole CSV file; raises `ImportRefused`, `OSError`.

    `score` recognises the header, which tells the delimiter.
    """
    _refuse_other_content(path)
    sha256, size_bytes = _sha256_of(path)
    encoding = _encoding_of(path)
    delimiter = _delimiter_of(path, encoding, score)
    count = 0
    for record in read_records(path, encoding, delimiter):
        count += 1
        if len(record.cells) > COLUMNS_MAX:
            raise _refused(
                path,
                f"строка {record.line}: столбцов больше {COLUMNS_MAX}",
                f"line {record.line}: more than {COLUMNS_MAX} columns",
            )
    return CsvFile(
        path,
        Form(
            format=Format.CSV,
            sha256=sha256,
            size_bytes=size_bytes,
            record_count=count,
            encoding=encoding,
            delimiter=delimiter,
            newline=_newline_of(path),
        ),
    )


def read_records(path: Path, encoding: str, delimiter: str) -> Iterator[Record]:
    """Give the records of a CSV file with their bytes. Raises `ImportRefused`, `OSError`."""
    taken: list[bytes] = []
    with path.open("rb") as file:
        if encoding == "utf-8-sig":
            file.seek(len(codecs.BOM_UTF8))
        lines = _lines(file, path, "utf-8" if encoding == "utf-8-sig" else encoding, taken)
        reader = csv.reader(lines, delimiter=delimiter)
        line = 1
        while True:
            cells: list[str] = []
            broken = None
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "field larger" in str(error):
                    raise _endless(path, line) from None
                broken = _STRAY_BREAK
            raw = b"".join(taken)
            if b'"' in raw and broken is None:
                broken = _quoting_fault(path, raw, line, encoding, delimiter)
            yield Record(line, cells, raw, broken)
            line += len(taken)
            taken.clear()


def _lines(file: IO[bytes], path: Path, encoding: str, taken: list[bytes]) -> Iterator[str]:
    """Give the file's lines as text; `taken` keeps the bytes of those of the present record."""
    raws = iter(functools.partial(file.readline, RECORD_BYTES_MAX + 1), b"")
    for number, raw in enumerate(raws, start=1):
        if len(raw) > RECORD_BYTES_MAX or (taken and sum(map(len, taken)) > RECORD_BYTES_MAX):
            raise _endless(path, number - len(taken))
        taken.append(raw)
        try:
            yield raw.decode(encoding)
        except UnicodeDecodeError:
            raise _refused(
                path,
                f"строка {number}: байты не в кодировке {encoding}; сохраните файл как CSV UTF-8",
                f"line {number}: bytes that are not {encoding}; save the file as CSV UTF-8",
            ) from None


def _quoting_fault(
    path: Path, raw: bytes, line: int, encoding: str, delimiter: str
) -> tuple[str, str] | None:
    """Read a record again, strictly: the usual reader guesses silently where quotes are wrong."""
    text = raw.decode("utf-8" if encoding == "utf-8-sig" else encoding)
    try:
        next(csv.reader([text], delimiter=delimiter, strict=True), None)
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise _endless(path, line) from None
        return _UNDOUBLED
    return None


def _refuse_other_content(path: Path) -> None:
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    if not sample.removeprefix(codecs.BOM_UTF8).strip():
        raise _refused(path, "файл пуст", "the file is empty")
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _refused(
            path,
            "файл в кодировке UTF-16 («Текст Юникод»); сохраните его как «CSV UTF-8»",
            "the file is UTF-16 text; save it as “CSV UTF-8”",
        )
    if b"\0" in sample:
        raise _refused(
            path,
            "это не таблица CSV и не книга XLSX; сохраните таблицу в одном из этих форматов",
            "neither a CSV table nor an XLSX workbook; save the table as one of these",
        )
    if b"\n" not in sample and b"\r" in sample:
        raise _refused(
            path,
            "строки разделены знаком CR (старый Mac); сохраните файл как «CSV UTF-8»",
            "lines end with CR alone (old Mac); save it as “CSV UTF-8”",
        )


def _encoding_of(path: Path) -> str:
    """Return the encoding; any bytes would fit Windows-1251, so UTF-8 is tried first."""
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
            return "utf-8-sig"
    decoder = codecs.getincrementaldecoder("utf-8")()
    seen_beyond_ascii = False
    with path.open("rb") as file:
        for line in iter(functools.partial(file.readline, RECORD_BYTES_MAX), b""):
            try:
                text = decoder.decode(line)
            except UnicodeDecodeError:
                # After words that only UTF-8 can have made, a stray byte is a fault of the file;
                # the reader names its line.
                return "utf-8" if seen_beyond_ascii else "cp1251"
            seen_beyond_ascii = seen_beyond_ascii or not text.isascii()
    return "utf-8"


def _delimiter_of(path: Path, encoding: str, score: HeaderScore) -> str:
    """Return the delimiter by which the header is recognised best."""
    scores = {each: _score(path, encoding, each, score) for each in DELIMITERS}
    best = max(DELIMITERS, key=lambda each: scores[each])
    if scores[best][0] == 0 and encoding == "cp1251":
        for foreign in FOREIGN_ENCODINGS:
            if max(_score(path, foreign, each, score) for each in DELIMITERS)[0] > 0:
                raise _refused(
                    path,
                    f"файл в кодировке {foreign}; сохраните его как «CSV UTF-8»",
                    f"the file's encoding is {foreign}; save it as “CSV UTF-8”",
                )
    return best


def _score(path: Path, encoding: str, delimiter: str, score: HeaderScore) -> tuple[int, int]:
    """Return the most column names in a row, and (for files without any) its number of cells."""
    best = (0, 0)
    for number, record in enumerate(read_records(path, encoding, delimiter), start=1):
        if number > HEADER_ROW_MAX:
            break
        cells = [str(cell) for cell in record.cells[:COLUMNS_MAX]]
        best = max(best, (score(cells), len(cells)))
    return best


def _newline_of(path: Path) -> str:
    with path.open("rb") as file:
        return "\r\n" if file.readline(RECORD_BYTES_MAX).endswith(b"\r\n") else "\n"


def _endless(path: Path, line: int) -> ImportRefused:
    return _refused(
        path,
        f"строка {line}: кавычки открыты и не закрыты, или запись длиннее"
        f" {RECORD_BYTES_MAX // 1024} КиБ; исправьте файл",
        f"line {line}: a quotation mark is not closed, or the record is longer than"
        f" {RECORD_BYTES_MAX // 1024} KiB; mend the file",
    )


def _refused(path: Path, ru: str, en: str) -> ImportRefused:
    return ImportRefused(f"{path.name}: {ru}", f"{path.name}: {en}")
