"""The day's transactions as CSV (RFC 4180): one row per part of a line, amounts net.

The headings are a contract: a column keeps its name and meaning, new ones are added at the end of
a release. Kopecks are integers; roubles repeat them with two decimals. Times are UTC.

| flavour | separator | decimals | begins with | text |
| --- | --- | --- | --- | --- |
| PLAIN | comma | point | nothing | as it is |
| EXCEL | semicolon | comma | byte order mark | guarded (see `guarded`) |
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Final, TextIO

import asyncpg
import msgspec

from processing.reconciliation.model import Amounts
from processing.wire.outcome import Outcome
from processing.wire.transaction import Kind


class Flavour(Enum):
    """How the file is written."""

    PLAIN = "plain"
    EXCEL = "excel"


class Dialect(msgspec.Struct, frozen=True):
    """The characters of a flavour; `encoding` is the codec's name."""

    separator: str
    decimal_mark: str
    encoding: str
    guards_text: bool


DIALECTS: Final[dict[Flavour, Dialect]] = {
    Flavour.PLAIN: Dialect(",", ".", "utf-8", guards_text=False),
    Flavour.EXCEL: Dialect(";", ",", "utf-8-sig", guards_text=True),
}

Cell = Callable[[asyncpg.Record], str | int | None]


class Column(msgspec.Struct, frozen=True):
    """A heading and where its value comes from; `text` values are guarded in Excel's flavour."""

    name: str
    cell: Cell
    text: bool = False


def _plain(name: str) -> Column:
    return Column(name, lambda row: row[name])


def _text(name: str) -> Column:
    return Column(name, lambda row: row[name], text=True)


def _place(row: asyncpg.Record) -> str:
    return f"{row['lane']}-{row['block']}-{row['ordinal']}"


_COLUMNS: Final = (
    _plain("business_date"),
    _plain("posting_date"),
    Column("decided_at_utc", lambda row: f"{row['decided_at']:%Y-%m-%d %H:%M:%S}"),
    _text("provider_code"),
    _text("provider_inn"),
    _text("contract"),
    _text("terminal_id"),
    _plain("stan"),
    # Above 0 only for an advice whose number was taken: the centre assigned it.
    _plain("assigned"),
    Column("kind", lambda row: Kind(row["kind"]).name.lower()),
    Column("advice", lambda row: "yes" if row["advice"] else "no"),
    _plain("outcome"),
    Column("outcome_name", lambda row: Outcome(row["outcome"]).name),
    _text("approval_code"),
    _plain("original_business_date"),
    _plain("original_stan"),
    _text("service"),
    _plain("service_version"),
    _plain("line_no"),
    _plain("part"),
    _text("item"),
    # In the smallest unit: 12500 of scale 3 are 12.5 of the unit with this ОКЕИ code.
    _plain("quantity"),
    _plain("scale"),
    _plain("unit_okei"),
    _plain("gross_kopecks"),
    _plain("covered_kopecks"),
    _plain("paid_kopecks"),
    _text("measure"),
    _text("funding"),
    _text("tariff"),
    _plain("excess"),
    Column("journal_place", _place, text=True),
)
_SENSITIVE: Final = (_text("category"), _text("entitlement_id"))
"""What tells about the person: never in a file for one provider."""

_AMOUNTS: Final = ("gross", "covered", "paid")


def headings(*, with_categories: bool) -> tuple[str, ...]:
    """Return the headings of a file, in order."""
    columns = [column.name for column in _columns(with_categories=with_categories)]
    return (*columns, *(f"{name}_roubles" for name in _AMOUNTS))


def roubles(amount_kopecks: int, decimal_mark: str = ".") -> str:
    """Return kopecks as roubles with two decimals: -5 is "-0.05"."""
    whole, rest = divmod(abs(amount_kopecks), 100)
    return f"{'-' if amount_kopecks < 0 else ''}{whole}{decimal_mark}{rest:02}"


def guarded(text: str) -> str:
    """Return text so that a spreadsheet shows it as it is.

    What does not begin with a letter could be taken for a number (an ИНН would lose its leading
    zero), for a date (item 10/12) or for a formula, so it is written as the formula ="text".
    """
    if not text or text[0].isalpha():
        return text
    return '="' + text.replace('"', '""') + '"'


class DayFile:
    """Writes rows of reconciliation.day_line to an open text file, the headings first."""

    def __init__(self, file: TextIO, dialect: Dialect, *, with_categories: bool) -> None:
        self._columns = _columns(with_categories=with_categories)
        self._dialect = dialect
        self._writer = csv.writer(file, delimiter=dialect.separator, lineterminator="\r\n")
        self._writer.writerow(headings(with_categories=with_categories))

    def write(self, rows: Iterable[asyncpg.Record]) -> None:
        """Write rows. Raises OSError."""
        self._writer.writerows(self._cells(row) for row in rows)

    def _cells(self, row: asyncpg.Record) -> list[object]:
        guards_text = self._dialect.guards_text
        cells: list[object] = []
        for column in self._columns:
            value = column.cell(row)
            if value is not None and column.text:
                value = guarded(str(value)) if guards_text else str(value)
            cells.append(value)
        mark = self._dialect.decimal_mark
        return cells + [roubles(row[f"{name}_kopecks"], mark) for name in _AMOUNTS]


class FileSums(msgspec.Struct, frozen=True):
    """What a finished file says: its rows, its sums by terminal, rows whose roubles are wrong."""

    row_count: int
    by_terminal: Mapping[str, Amounts]
    contradictory_rows: Sequence[int]


def read_sums(file: TextIO, dialect: Dialect) -> FileSums:
    """Add a written file up again, from its text alone."""
    by_terminal: defaultdict[str, Amounts] = defaultdict(Amounts)
    contradictory_rows = []
    row_number = 0
    for row_number, row in enumerate(csv.DictReader(file, delimiter=dialect.separator), start=1):
        kopecks = [row[f"{name}_kopecks"] for name in _AMOUNTS]
        terminal_id = row["terminal_id"].removeprefix('="').removesuffix('"')
        by_terminal[terminal_id] += Amounts(*map(int, kopecks))
        shown = [roubles(int(amount), dialect.decimal_mark) for amount in kopecks]
        if shown != [row[f"{name}_roubles"] for name in _AMOUNTS]:
            contradictory_rows.append(row_number)
    return FileSums(row_number, dict(by_terminal), contradictory_rows)


def _columns(*, with_categories: bool) -> tuple[Column, ...]:
    return (*_COLUMNS, *_SENSITIVE) if with_categories else _COLUMNS
