"""One cell of a file becomes one value of a field, as the register's own fields read texts.

What is added here is what spreadsheets do to values: numbers instead of texts, dates as days since
1900, zeros dropped in front, long numbers rounded. A loss that can be made good is made good and
proven by the number's check digits; another is refused in words.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from processing.register.fields import Fault, FaultCode, Field, FieldType, Value, read_field
from processing.register.importing.sheet import Cell

EXACT_NUMBER_MAX: Final = 10**15
"""Spreadsheets keep fifteen digits of a number and replace further ones by zeros."""

ZEROS_MAX: Final = 3
"""Most zeros in front that are taken for dropped."""

READ_TEXTS_MAX: Final = 20_000
"""Different texts of one column whose values are remembered: names and dates come again."""

_DAY_ZERO: Final = dt.date(1899, 12, 30)
_DAY_NUMBERS: Final = range(1, 109_575)
"""Days since 1900 as a spreadsheet counts them, to 2199."""

_ROUNDED: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eEЕе]\+\d+")
_MIDNIGHT: Final = re.compile(r"\s+0?0:00(?::00)?(?:\.0+)?$")

_CHECKED: Final = {FieldType.SNILS: (11,), FieldType.ENP: (16,), FieldType.INN: (12,)}
"""Numbers with check digits, and how long they are."""

_DATES: Final = frozenset({FieldType.DATE, FieldType.MONTH})
_RECURRING: Final = frozenset(
    {
        FieldType.PERSON_NAME,
        FieldType.DATE,
        FieldType.MONTH,
        FieldType.CHOICE,
        FieldType.FLAG,
        FieldType.CODE,
        FieldType.INTEGER,
    }
)


class CellReader:
    """Reads the cells of one column."""

    def __init__(self, field: Field, today: dt.date) -> None:
        self._field = field
        self._today = today
        self._known: dict[str, Value | Fault] | None = {} if field.type in _RECURRING else None

    def read(self, cell: Cell) -> Value | Fault:
        """Return the cell's value; None when it is empty, even if the field is required."""
        if cell is None:
            return None
        if not isinstance(cell, str):
            return self._read_typed(cell)
        known = self._known
        if known is None:
            return self._read_text(cell)
        if cell in known:
            return known[cell]
        found = self._read_text(cell)
        if len(known) < READ_TEXTS_MAX:
            known[cell] = found
        return found

    def _read_text(self, text: str) -> Value | Fault:
        bare = text.strip()
        if not bare:
            return None
        field = self._field
        if "\0" in bare:
            return _zero_byte(field)
        if "+" in bare and _ROUNDED.fullmatch(bare):
            return _rounded(field)
        if field.type in _DATES:
            bare = _MIDNIGHT.sub("", bare)
            if bare.isdigit() and len(bare) == 5:
                return self._read_day_number(int(bare))
        value = read_field(field, bare, self._today)
        if isinstance(value, Fault) and bare.isdigit():
            return self._with_zeros(bare, value, was_number=False)
        return value

    def _read_typed(self, cell: Cell) -> Value | Fault:
        """Read a cell of a workbook that holds no text."""
        field = self._field
        is_date = field.type in _DATES
        if isinstance(cell, bool):
            return read_field(field, "да" if cell else "нет", self._today)
        if isinstance(cell, dt.date):
            if not is_date:
                return _became_date(field)
            day = cell.date() if isinstance(cell, dt.datetime) else cell
            return read_field(field, f"{day.day:02}.{day.month:02}.{day.year:04}", self._today)
        if isinstance(cell, int | float):
            if not abs(cell) < EXACT_NUMBER_MAX:
                return _rounded(field)
            if is_date:
                return self._read_day_number(int(cell))
            text = str(int(cell)) if cell == int(cell) else repr(cell)
            value = read_field(field, text, self._today)
            if isinstance(value, Fault) and text.isdigit():
                return self._with_zeros(text, value, was_number=True)
            return value
        return _became_date(field)

    def _read_day_number(self, number: int) -> Value | Fault:
        if number not in _DAY_NUMBERS:
            return read_field(self._field, str(number), self._today)
        day = _DAY_ZERO + dt.timedelta(days=number)
        return read_field(self._field, day.isoformat(), self._today)

    def _with_zeros(self, digits: str, fault: Fault, *, was_number: bool) -> Value | Fault:
        """Put back zeros that a spreadsheet dropped, where it is certain that it did."""
        field = self._field
        lengths = _CHECKED.get(field.type) or ((field.digits,) if field.digits else ())
        for length in lengths:
            if 0 < length - len(digits) <= ZEROS_MAX:
                value = read_field(field, digits.zfill(length), self._today)
                if not isinstance(value, Fault) and (was_number or field.type in _CHECKED):
                    return value
                return _zeros_dropped(field, length)
        return fault


def _rounded(field: Field) -> Fault:
    return Fault(
        field.name,
        FaultCode.WRONG_DIGITS,
        f"{field.ru}: программа таблиц округлила число (вида 7,8E+10) и потеряла цифры; задайте"
        " столбцу формат «Текстовый» и внесите номер заново",
        f"{field.en}: the spreadsheet rounded the number (like 7.8E+10) and lost digits; set the"
        " column's format to Text and type the number again",
    )


def _became_date(field: Field) -> Fault:
    return Fault(
        field.name,
        FaultCode.WRONG_CHARACTERS,
        f"{field.ru}: программа таблиц превратила значение в дату или время; задайте столбцу"
        " формат «Текстовый» и внесите значение заново",
        f"{field.en}: the spreadsheet turned the value into a date or time; set the column's"
        " format to Text and type it again",
    )


def _zeros_dropped(field: Field, length: int) -> Fault:
    return Fault(
        field.name,
        FaultCode.WRONG_DIGITS,
        f"{field.ru}: нужно цифр: {length}; похоже, программа таблиц отбросила нули впереди —"
        " допишите их и задайте столбцу формат «Текстовый»",
        f"{field.en}: {length} digits are expected; a spreadsheet seems to have dropped zeros in"
        " front: add them and set the column's format to Text",
    )


def _zero_byte(field: Field) -> Fault:
    return Fault(
        field.name,
        FaultCode.NOT_TEXT,
        f"{field.ru}: есть нулевой знак; наберите значение заново",
        f"{field.en}: holds a zero byte; type the value again",
    )
