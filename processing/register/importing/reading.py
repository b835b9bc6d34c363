"""From a file to chunks: what of a file is rows, and what each chunk brings to the database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

import msgspec

from processing.register.importing.headers import Header, Recognizer
from processing.register.importing.rejects import Opening, Reject, kept
from processing.register.importing.rows import RowReader, Staged
from processing.register.importing.sheet import HEADER_ROW_MAX, Cell, Record, SheetFile
from processing.register.kinds.shape import RecordKind

CHUNK_RECORDS_MAX: Final = 5_000
"""Records of a file that are taken in one transaction."""


class Chunk(msgspec.Struct, frozen=True):
    """Some rows of a file, read: the sound ones with how they came, and the unsound ones."""

    first_line: int
    last_line: int
    record_count: int
    blank_count: int
    staged: tuple[Staged, ...]
    kept: tuple[bytes, ...]
    rejects: tuple[Reject, ...]


def find_header(
    sheet: SheetFile, recognizer: Recognizer, saved: dict[str, str], chosen: dict[str, str]
) -> tuple[Header, Opening]:
    """Return the header of a file, and its rows down to the header as they stand.

    Raises `ImportRefused` when the file has none.
    """
    first = list(itertools.islice(sheet.records(), HEADER_ROW_MAX))
    cells: Sequence[Sequence[Cell]] = [record.cells for record in first]
    header = recognizer.find(cells, saved, chosen)
    opening = Opening(
        tuple(kept(record, sheet.form) for record in first[: header.record]),
        kept(first[header.record], sheet.form),
        len(header.columns),
    )
    return header, opening


def read_chunks(
    sheet: SheetFile, header: Header, kind: RecordKind, today: date, *, done: int = 0
) -> Iterator[Chunk]:
    """Give a file's rows in chunks, without the first `done` records below the header.

    Raises `ImportRefused`, `OSError`.
    """
    reader = RowReader(kind, header, today)
    records = itertools.islice(sheet.records(), header.record + 1 + done, None)
    while taken := list(itertools.islice(records, CHUNK_RECORDS_MAX)):
        yield _chunk(taken, reader, sheet)


def _chunk(records: list[Record], reader: RowReader, sheet: SheetFile) -> Chunk:
    staged: list[Staged] = []
    came: list[bytes] = []
    rejects: list[Reject] = []
    blank_count = 0
    for record in records:
        if record.is_blank and record.broken is None:
            blank_count += 1
            continue
        read = reader.read(record)
        if isinstance(read, Staged):
            staged.append(read)
            came.append(kept(record, sheet.form))
        else:
            rejects.append(Reject(record.line, kept(record, sheet.form), read))
    return Chunk(
        records[0].line,
        records[-1].line,
        len(records),
        blank_count,
        tuple(staged),
        tuple(came),
        tuple(rejects),
    )
