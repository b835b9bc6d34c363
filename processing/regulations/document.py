"""A service regulation as an official writes it: one TOML document per service and version.

Each table of the document is a struct here, each word a member of a closed enum. A field that is
not known, missing, or of another type is a fault with its place; all tables are looked at, so that
one reading shows what is wrong with each.
"""

from __future__ import annotations

import ast
import difflib
import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

import msgspec

from processing.regulations.faults import DocumentError, Fault, Path
from processing.regulations.source import Source, read_source
from processing.wire.outcome import Outcome


class Consumes(StrEnum):
    """What one line takes from an allowance."""

    QUANTITY = "quantity"
    KOPECKS = "kopecks"
    ONE_PER_LINE = "one per line"


class Shortage(StrEnum):
    """What happens when less is left than is asked for."""

    REFUSE = "refuse"
    COVER_WHAT_IS_LEFT = "cover what is left"


class EvidenceWord(StrEnum):
    """The least that proves the citizen's presence."""

    TAP = "tap"
    PIN = "pin"


class Period(StrEnum):
    """After which time an allowance is full again."""

    TERM = "term"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


CODES: Final[dict[StrEnum, int]] = {
    Consumes.QUANTITY: 1,
    Consumes.KOPECKS: 2,
    Consumes.ONE_PER_LINE: 3,
    Shortage.REFUSE: 1,
    Shortage.COVER_WHAT_IS_LEFT: 2,
    EvidenceWord.TAP: 1,
    EvidenceWord.PIN: 2,
    Period.TERM: 0,
    Period.DAY: 1,
    Period.WEEK: 2,
    Period.MONTH: 3,
    Period.QUARTER: 4,
    Period.YEAR: 5,
}
"""The document's words as the database's codes (sql/schema/10_regulations.sql, 30_rights.sql)."""

RESERVE_MAX_MINUTES: Final = 44_640
"""Longest time for which a reservation may stand: 31 days."""

_CODE: Final = r"^[A-Z0-9][A-Z0-9.-]{0,15}$"
_ITEM: Final = r"^[A-Za-z0-9][A-Za-z0-9./-]{0,19}$"
_TARIFF: Final = r"^[A-Za-z0-9][A-Za-z0-9./-]{0,31}$"
_NUMBER: Final = r"^[0-9]{1,3}(\.[0-9]{1,3}){0,3}$"
_FORMS: Final = {
    _CODE: (
        "до 16 знаков: заглавные латинские буквы, цифры, точка, дефис",
        "up to 16 of: capital letters A-Z, digits, dot, hyphen",
    ),
    _ITEM: (
        "до 20 знаков: латинские буквы, цифры, точка, дефис, косая черта",
        "up to 20 of: letters A-Z a-z, digits, dot, hyphen, slash",
    ),
    _TARIFF: (
        "до 32 знаков: латинские буквы, цифры, точка, дефис, косая черта",
        "up to 32 of: letters A-Z a-z, digits, dot, hyphen, slash",
    ),
    _NUMBER: ("номер пункта, например 2.1", "the number of a clause, such as 2.1"),
}

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
_Code = Annotated[str, msgspec.Meta(pattern=_CODE)]
_Item = Annotated[str, msgspec.Meta(pattern=_ITEM)]
_Number = Annotated[str, msgspec.Meta(pattern=_NUMBER)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Kopecks = Annotated[int, msgspec.Meta(ge=0, le=10**12 - 1)]


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[regulation]`: which service, which version, whose, since when and until when.

    A transaction signed under this version is honoured for `grace_days` after `valid_to`.
    """

    service: _Code
    version: Annotated[int, msgspec.Meta(ge=1, le=9_999)]
    name_ru: _Name
    name_en: _Name
    agency_ru: _Name
    agency_en: _Name
    basis_ru: _Text
    provider_kinds: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    valid_from: date
    valid_to: date
    grace_days: Annotated[int, msgspec.Meta(ge=0, le=31)] = 3


class Transaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[transaction]`: how one is carried out and what it takes from the citizen's rights.

    `reserve_minutes` says how long goods stay put aside; left out, the service takes no
    reservations.
    """

    consumes: Consumes
    shortage: Shortage
    evidence: EvidenceWord
    reserve_minutes: Annotated[int, msgspec.Meta(ge=1, le=RESERVE_MAX_MINUTES)] | None = None


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[clause]]`: a measure that opens the service, and what it covers of the price.

    `percent` of the price is covered, of a capped one at most up to the item's cap price.
    """

    clause: _Number
    text_ru: _Text
    text_en: _Text
    measure: _Code
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)]
    capped: bool
    tariff: Annotated[str, msgspec.Meta(pattern=_TARIFF)]


class CaseRight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A right that the citizen of a test case has; `used` of `granted` is gone already.

    Amounts count the smallest unit: of the item's, or kopecks where the service takes these.
    """

    measure: _Code
    item_class: _Item
    granted: Annotated[int, msgspec.Meta(ge=0)]
    used: Annotated[int, msgspec.Meta(ge=0)] = 0
    period: Period = Period.TERM
    priority: int = 100


class CaseLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line that is rung up in a test case."""

    item: _Item
    quantity: _Positive
    gross_kopecks: _Kopecks


class CaseExpect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the centre must answer: of each line what is covered, of each right what is left."""

    outcome: str
    covered_kopecks: tuple[_Kopecks, ...] = ()
    remaining: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[case]]`: an example that shows what a clause means, and that is run before publication.

    It happens at noon of `day`, by default on the regulation's first day.
    """

    clause: _Number
    title_ru: _Name
    day: date | None = None
    evidence: EvidenceWord | None = None
    rights: tuple[CaseRight, ...] = ()
    lines: Annotated[tuple[CaseLine, ...], msgspec.Meta(min_length=1, max_length=28)]
    expect: CaseExpect

    @property
    def outcome(self) -> Outcome:
        """The expected outcome; the document was checked to name one."""
        return Outcome[self.expect.outcome]


class Regulation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole document, with where everything in it stands."""

    source: Source
    regulation: Head
    transaction: Transaction
    clauses: tuple[Clause, ...]
    cases: tuple[Case, ...]

    @property
    def title(self) -> str:
        """Service and version, as people quote them."""
        return f"{self.regulation.service} v{self.regulation.version}"


Table = TypeVar("Table")
_TABLES: Final = {"regulation": Head, "transaction": Transaction}
_LISTS: Final = {"clause": Clause, "case": Case}


def read_regulation(data: bytes, name: str) -> Regulation:
    """Return the document in `data`; `name` is for messages.

    Only its form is looked at (`processing.regulations.check` does the rest). Raises
    `DocumentError` with what is wrong in each table.
    """
    source = read_source(data, name)
    faults = list(_unknown_tables(source))
    found: dict[str, Any] = {}
    for key, kind in _TABLES.items():
        if key not in source.value:
            ru = f"нет раздела [{key}]; добавьте его"
            faults.append(source.fault((), ru, f"there is no table [{key}]; add it"))
        else:
            found[key] = _read_table(source, (key,), source.value[key], kind, faults)
    for key, kind in _LISTS.items():
        entries = source.value.get(key, [])
        if not isinstance(entries, list) or not entries:
            ru = f"нет ни одного раздела [[{key}]]; добавьте хотя бы один"
            faults.append(source.fault((), ru, f"there is no table [[{key}]]; add at least one"))
            continue
        found[key] = [
            _read_table(source, (key, number), entry, kind, faults)
            for number, entry in enumerate(entries)
        ]
    if faults:
        raise DocumentError(name, faults)
    return Regulation(
        source=source,
        regulation=found["regulation"],
        transaction=found["transaction"],
        clauses=tuple(found["clause"]),
        cases=tuple(found["case"]),
    )


def _unknown_tables(source: Source) -> list[Fault]:
    known = [*_TABLES, *_LISTS]
    return [source.fault((key,), *_unknown(key, known)) for key in source.value if key not in known]


def _unknown(key: str, known: list[str]) -> tuple[str, str]:
    near = difflib.get_close_matches(key, known, 1)
    if near:
        return f"неизвестное поле; может быть, {near[0]}?", f"unknown; did you mean {near[0]}?"
    listed = ", ".join(known)
    return f"неизвестное поле; бывают {listed}", f"unknown; there are {listed}"


def _read_table(
    source: Source, path: Path, value: object, kind: type[Table], faults: list[Fault]
) -> Table | None:
    """Return one table as `kind`, or None after adding what is wrong with it to `faults`."""
    try:
        # A date in quotes is a string: what looks right to a reader would not sort as one.
        return msgspec.convert(value, kind, builtin_types=(date,))
    except msgspec.ValidationError as error:
        faults.append(_type_fault(source, path, kind, str(error)))
        return None


_STEP: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_WORDINGS: Final = (
    (
        r"Object missing required field `(.+)`",
        "нет поля {0}; добавьте его",
        "field {0} is missing; add it",
    ),
    (
        r"Invalid enum value (.+)",
        "такого слова нет: {0}; бывают: {words}",
        "there is no such word: {0}; there are: {words}",
    ),
    (
        r"Expected `(?:str|array)` of length (>=|<=) (\d+)",
        "длина должна быть {0} {1}",
        "its length must be {0} {1}",
    ),
    (r"Expected `int` (>=|<=) (-?\d+)", "число должно быть {0} {1}", "it must be {0} {1}"),
    (
        r"Expected `(.+)`, got `(.+)`",
        "ожидается {0}, а здесь {1}",
        "expected {0}, found {1}",
    ),
)
_NAMES_RU: Final = {
    "int": "целое число",
    "str": "строка в кавычках",
    "bool": "true или false",
    "date": "дата без кавычек, например 2026-01-31",
    "array": "список в квадратных скобках",
    "object": "таблица",
    "float": "дробное число",
    "null": "ничего",
    "datetime": "дата со временем",
    "time": "время",
    ">=": "не меньше",
    "<=": "не больше",
}
_NAMES_EN: Final = {
    "int": "a whole number",
    "str": "a string in quotes",
    "bool": "true or false",
    "date": "a date without quotes, such as 2026-01-31",
    "array": "a list in square brackets",
    "object": "a table",
    "float": "a fraction",
    "null": "nothing",
    "datetime": "a date with a time",
    "time": "a time of day",
    ">=": "at least",
    "<=": "at most",
}


def _type_fault(source: Source, path: Path, kind: type, message: str) -> Fault:
    """Return what msgspec found wrong in a table, in words of both languages."""
    what, _, where = message.partition(" - at `$")
    within: Path = tuple(name or int(index) for name, index in _STEP.findall(where))
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", what):
        known = _fields_at(kind, within)
        return source.fault((*path, *within, unknown[1]), *_unknown(unknown[1], known))
    if form := re.fullmatch(r"Expected `str` matching regex (.+)", what):
        ru, en = _FORMS[ast.literal_eval(form[1])]
        return source.fault((*path, *within), f"ожидается: {ru}", f"expected: {en}")
    for pattern, ru, en in _WORDINGS:
        if match := re.fullmatch(pattern, what):
            words = ", ".join(_words_at(kind, within))
            return source.fault(
                (*path, *within),
                ru.format(
                    *(_translated(group, _NAMES_RU) for group in match.groups()), words=words
                ),
                en.format(
                    *(_translated(group, _NAMES_EN) for group in match.groups()), words=words
                ),
            )
    return source.fault((*path, *within), f"значение не подходит ({what})", what)


def _translated(types: str, names: dict[str, str]) -> str:
    """Return msgspec's names of types (`int | null`) as an official says them."""
    parts = [names.get(part, part) for part in types.split(" | ") if part != "null"]
    return " / ".join(parts) or names["null"]


def _type_at(kind: Any, within: Path) -> Any:
    """Return the description of the type at a path inside a struct."""
    info: Any = msgspec.inspect.type_info(kind)
    for step in within:
        if isinstance(info, msgspec.inspect.UnionType):
            info = next(one for one in info.types if not isinstance(one, msgspec.inspect.NoneType))
        if isinstance(step, int):
            info = info.item_type
        else:
            info = next(field.type for field in info.fields if field.name == step)
    if isinstance(info, msgspec.inspect.UnionType):
        info = next(one for one in info.types if not isinstance(one, msgspec.inspect.NoneType))
    return info


def _fields_at(kind: type, within: Path) -> list[str]:
    return [field.name for field in _type_at(kind, within).fields]


def _words_at(kind: type, within: Path) -> list[str]:
    info = _type_at(kind, within)
    return [str(word) for word in info.cls] if isinstance(info, msgspec.inspect.EnumType) else []
