"""Tables of a document as frozen structs: what does not fit is a fault with its place, in words.

A field that is not known, missing, or of another type is a fault; all tables are looked at, so that
one reading shows what is wrong with each.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, Final, TypeVar

import msgspec

from processing.regulations.faults import DocumentError, Fault, Path
from processing.regulations.source import Source

CODE: Final = r"^[A-Z0-9][A-Z0-9.-]{0,15}$"
ITEM: Final = r"^[A-Za-z0-9][A-Za-z0-9./-]{0,19}$"
TARIFF: Final = r"^[A-Za-z0-9][A-Za-z0-9./-]{0,31}$"
NUMBER: Final = r"^[0-9]{1,3}(\.[0-9]{1,3}){0,3}$"
WORD: Final = r"^[a-z][a-z_]{0,31}$"
FORMS: Final = {
    CODE: (
        "до 16 знаков: заглавные латинские буквы, цифры, точка, дефис",
        "up to 16 of: capital letters A-Z, digits, dot, hyphen",
    ),
    ITEM: (
        "до 20 знаков: латинские буквы, цифры, точка, дефис, косая черта",
        "up to 20 of: letters A-Z a-z, digits, dot, hyphen, slash",
    ),
    TARIFF: (
        "до 32 знаков: латинские буквы, цифры, точка, дефис, косая черта",
        "up to 32 of: letters A-Z a-z, digits, dot, hyphen, slash",
    ),
    WORD: (
        "слово из строчных латинских букв и подчёркиваний",
        "a word of small letters a-z and underscores",
    ),
    NUMBER: ("номер пункта, например 2.1", "the number of a clause, such as 2.1"),
}


Table = TypeVar("Table")


def read_tables(
    source: Source,
    tables: Mapping[str, type],
    lists: Mapping[str, type],
    optional: Collection[str] = (),
) -> dict[str, Any]:
    """Return `[tables]` as structs and `[[lists]]` as tuples of structs, each by its name.

    Each has to be there, but for the `optional` ones: None and () where they are not. Raises
    `DocumentError` with what is wrong in each table.
    """
    faults = list(_unknown_tables(source, [*tables, *lists]))
    found: dict[str, Any] = {}
    for key, kind in tables.items():
        if key in source.value:
            found[key] = _read_table(source, (key,), source.value[key], kind, faults)
        else:
            found[key] = None
            if key not in optional:
                ru = f"нет раздела [{key}]; добавьте его"
                faults.append(source.fault((), ru, f"there is no table [{key}]; add it"))
    for key, kind in lists.items():
        entries = source.value.get(key, [])
        if isinstance(entries, list) and (entries or key in optional):
            found[key] = tuple(
                _read_table(source, (key, number), entry, kind, faults)
                for number, entry in enumerate(entries)
            )
        else:
            ru = f"нет ни одного раздела [[{key}]]; добавьте хотя бы один"
            faults.append(source.fault((), ru, f"there is no table [[{key}]]; add at least one"))
    if faults:
        raise DocumentError(source.name, faults)
    return found


def _unknown_tables(source: Source, known: list[str]) -> list[Fault]:
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
        ru, en = FORMS[ast.literal_eval(form[1])]
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
