"""A file's row becomes a record to be staged, or a list of what is wrong with it.

An empty cell leaves what the register knows of the record. Required fields have to be filled in
every row, so that a row says the same whether the record is known already or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

import msgspec

from processing.register.fields import Fault, FaultCode, Field, Value, missing
from processing.register.importing.cells import CellReader
from processing.register.importing.headers import Header, Wanted
from processing.register.importing.rejects import RowFault
from processing.register.importing.sheet import Cell, Record
from processing.register.kinds.shape import RecordKind
from processing.register.records import check_record, settled

FULL_NAME: Final = "full_name"
"""A column with a whole name, which becomes the three fields of `NAME_FIELDS`."""

NAME_FIELDS: Final = ("last_name", "first_name", "patronymic")
"""In the order in which they stand in a full name."""

_FULL_NAME_WANTED: Final = Wanted(
    name=FULL_NAME,
    label_ru="Фамилия, имя, отчество",
    label_en="Full name",
    names=("ФИО", "Ф.И.О.", "Фамилия Имя Отчество", "ФИО гражданина", "fio", "name"),
    required=False,
)

_ENCODER: Final = msgspec.json.Encoder()


class Staged(msgspec.Struct, frozen=True, gc=False):
    """A sound row: its natural key, the columns it sets, and what it refers to, as JSON."""

    line: int
    key: str
    body: str
    references: str


class RowReader:
    """Reads the rows of one file."""

    def __init__(self, kind: RecordKind, header: Header, today: date) -> None:
        self._kind = kind
        self._today = today
        self._width = max(column.index for column in header.columns) + 1
        self._places = header.fields
        self._full_name = self._places.get(FULL_NAME)
        self._columns: list[tuple[Field, int, CellReader]] = [
            (field, self._places[field.name], CellReader(field, today))
            for field in kind.fields
            if field.name in self._places
        ]
        self._names = [
            (kind.field(name), CellReader(kind.field(name), today))
            for name in (NAME_FIELDS if self._full_name is not None else ())
        ]
        self._references = [field for field in kind.fields if field.refers_to is not None]
        self._own = [field for field in kind.fields if field.refers_to is None]

    def read(self, record: Record) -> Staged | tuple[RowFault, ...]:
        """Return the row's record, or what is wrong with it."""
        if record.broken is not None:
            return (RowFault(ru=record.broken[0], en=record.broken[1]),)
        cells = record.cells
        faults: list[Fault] = []
        values: dict[str, Value] = {}
        width = len(cells)
        for field, place, reader in self._columns:
            value = reader.read(cells[place]) if place < width else None
            if value is None:
                if field.required:
                    faults.append(missing(field))
            elif isinstance(value, Fault):
                faults.append(value)
            else:
                values[field.name] = value
        if (named := self._full_name) is not None:
            self._read_full_name(cells[named] if named < width else None, values, faults)
        if width > self._width and any(_is_filled(cell) for cell in cells[self._width :]):
            return (*map(self._placed, faults), _too_wide(width, self._width))
        if not faults:
            values = settled(self._kind, values)
            faults = check_record(self._kind, values, self._today)
        if faults:
            return tuple(map(self._placed, faults))
        return self._staged(record.line, values)

    def _staged(self, line: int, values: Mapping[str, Value]) -> Staged:
        get = values.get
        key = [get(name) for name in self._kind.natural_key]
        body = {f.column: v for f in self._own if (v := get(f.name)) is not None}
        refers = {f.column: v for f in self._references if (v := get(f.name)) is not None}
        encode = _ENCODER.encode
        return Staged(line, encode(key).decode(), encode(body).decode(), encode(refers).decode())

    def _read_full_name(self, cell: Cell, values: dict[str, Value], faults: list[Fault]) -> None:
        words = str(cell or "").split()
        if len(words) < 2:
            faults.append(
                Fault(
                    FULL_NAME,
                    FaultCode.MISSING,
                    "Фамилия, имя, отчество: нужны хотя бы фамилия и имя через пробел",
                    "Full name: at least the last and the first name are needed, with a space",
                )
            )
            return
        parts = (words[0], words[1], " ".join(words[2:]))
        for (field, reader), part in zip(self._names, parts, strict=True):
            if field.name in self._places:
                continue
            value = reader.read(part)
            if isinstance(value, Fault):
                faults.append(Fault(FULL_NAME, value.code, value.ru, value.en))
            elif value is not None:
                values[field.name] = value

    def _placed(self, fault: Fault) -> RowFault:
        return RowFault(column=self._places.get(fault.field), ru=fault.ru, en=fault.en)


def wanted_of(kind: RecordKind) -> list[Wanted]:
    """Return what the columns of a file of `kind` may hold."""
    wanted = [
        Wanted(
            name=field.name,
            label_ru=field.ru,
            label_en=field.en,
            names=field.synonyms,
            required=field.required,
        )
        for field in kind.fields
    ]
    if set(NAME_FIELDS) <= set(kind.by_name):
        wanted.append(_FULL_NAME_WANTED)
    return wanted


def missing_columns(kind: RecordKind, header: Header) -> list[Field]:
    """Return the required fields that no column of a file holds."""
    held = set(header.fields)
    if FULL_NAME in held:
        held |= {"last_name", "first_name"}
    return [field for field in kind.fields if field.required and field.name not in held]


def _is_filled(cell: Cell) -> bool:
    return bool(cell.strip()) if isinstance(cell, str) else cell is not None


def _too_wide(cells: int, columns: int) -> RowFault:
    return RowFault(
        ru=f"в строке ячеек {cells}, а столбцов в заголовке {columns}; проверьте разделители",
        en=f"the row has {cells} cells, the header {columns} columns; check the delimiters",
    )
