"""What changes from one version of a regulation to the next, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from processing.regulations.document import Case, Clause, Regulation
from processing.regulations.faults import Language

_LABELS: Final = {
    "name_ru": ("название", "name in Russian"),
    "name_en": ("английское название", "name in English"),
    "agency_ru": ("ведомство", "agency in Russian"),
    "agency_en": ("ведомство по-английски", "agency in English"),
    "basis_ru": ("правовое основание", "legal basis"),
    "provider_kinds": ("виды поставщиков", "kinds of providers"),
    "valid_from": ("первый день", "first day"),
    "valid_to": ("последний день", "last day"),
    "grace_days": ("дней отсрочки для терминалов", "days of grace for terminals"),
    "consumes": ("что расходует строка", "what a line consumes"),
    "shortage": ("если остатка не хватает", "when less is left"),
    "evidence": ("чем подтверждается присутствие", "evidence of presence"),
    "reserve_minutes": ("на сколько минут можно отложить", "minutes goods stay put aside"),
    "text_ru": ("текст", "text in Russian"),
    "text_en": ("английский текст", "text in English"),
    "measure": ("мера", "measure"),
    "percent": ("процент покрытия", "percentage covered"),
    "capped": ("предельная цена действует", "cap price applies"),
    "tariff": ("тариф", "tariff"),
}
_SAYS: Final = {
    "ru": ("было {before}, стало {after}", "добавлен", "исключён", "ничего не изменилось"),
    "en": ("was {before}, is {after}", "added", "removed", "nothing changes"),
}


def changes(before: Regulation, after: Regulation, language: Language) -> list[str]:
    """Return one line for each thing that changes, at least one."""
    lines = [
        *_field_changes("", before.regulation, after.regulation, language),
        *_field_changes("", before.transaction, after.transaction, language),
        *_clause_changes(before, after, language),
        *_case_changes(before, after, language),
    ]
    return lines or [_SAYS[language][3]]


def _field_changes(
    head: str, before: msgspec.Struct, after: msgspec.Struct, language: Language
) -> Iterator[str]:
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    for name, (russian, english) in _LABELS.items():
        if name in old and old[name] != new[name]:
            label = russian if language == "ru" else english
            says = _SAYS[language][0].format(
                before=_shown(old[name], language), after=_shown(new[name], language)
            )
            yield f"{head}{label}: {says}"


def _clause_changes(before: Regulation, after: Regulation, language: Language) -> Iterator[str]:
    old: dict[str, Clause] = {clause.clause: clause for clause in before.clauses}
    new: dict[str, Clause] = {clause.clause: clause for clause in after.clauses}
    _, added, removed, _ = _SAYS[language]
    word = "пункт" if language == "ru" else "clause"
    for number in sorted(old.keys() | new.keys(), key=_in_order):
        if number not in new:
            yield f"{word} {number}: {removed}"
        elif number not in old:
            text = new[number].text_ru if language == "ru" else new[number].text_en
            yield f"{word} {number}: {added}: {text}"
        else:
            yield from _field_changes(f"{word} {number}, ", old[number], new[number], language)


def _case_changes(before: Regulation, after: Regulation, language: Language) -> Iterator[str]:
    _, added, removed, _ = _SAYS[language]
    word = "пример" if language == "ru" else "case"
    old: list[Case] = [case for case in before.cases if case not in after.cases]
    yield from (f"{word} «{case.title_ru}»: {removed}" for case in old)
    new = [case for case in after.cases if case not in before.cases]
    yield from (f"{word} «{case.title_ru}»: {added}" for case in new)


def _in_order(number: str) -> tuple[int, ...]:
    return tuple(map(int, number.split(".")))


def _shown(value: Any, language: Language) -> str:
    match value:
        case None:
            return "—"
        case bool():
            return {"ru": ("нет", "да"), "en": ("no", "yes")}[language][value]
        case tuple():
            return ", ".join(map(str, value))
        case str():
            return f"«{value}»" if language == "ru" else f"“{value}”"
        case _:
            return str(value)
