"""What changes from one version of a regulation to the next, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from processing.regulations.document import Case, Clause, Regulation, Requirement
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
    "substitution": ("замена внутри класса разрешена", "substitution within the class"),
    "refill_percent": (
        "следующая выдача после процента срока",
        "next supply after % of time",
    ),
    "refill_days": ("и раньше на столько дней", "and so many days before"),
    "minutes_max": ("минут от начала до окончания, не больше", "most minutes from start to finish"),
    "required": ("начало и окончание обязательны", "start and finish are required"),
    "notify": ("о чём сообщают гражданину", "of what the citizen is told"),
    "to": ("кому отчитываются", "to whom it is reported"),
    "measure": ("мера", "measure"),
    "categories": ("только для категорий", "only for categories"),
    "fact": ("что должно быть известно", "what must be known"),
    "of_this_provider": ("у этого поставщика", "of this provider"),
    "prolonged_days": ("дней продления", "days of prolongation"),
    "item_class": ("класс товара", "class of items"),
    "people_from": ("человек от", "people from"),
    "people_to": ("человек до", "people to"),
    "quantity": ("норма", "norm"),
    "each": ("на каждого", "for each"),
    "period": ("период", "period"),
    "outcome": ("отказ", "refusal"),
    "remedy_ru": ("что делать", "what to do, in Russian"),
    "remedy_en": ("что делать, по-английски", "what to do, in English"),
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
        *_table_changes(("начало и окончание", "visit"), before.visit, after.visit, language),
        *_field_changes("", before.report, after.report, language),
        *_clause_changes(before, after, language),
        *_entry_changes(("норма", "norm"), before.norms, after.norms, language),
        *_entry_changes(("слова отказа", "refusal"), before.refusals, after.refusals, language),
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


def _table_changes(
    name: tuple[str, str],
    before: msgspec.Struct | None,
    after: msgspec.Struct | None,
    language: Language,
) -> Iterator[str]:
    """Give the changes of a table that a document may leave out."""
    _, added, removed, _ = _SAYS[language]
    word = name[0] if language == "ru" else name[1]
    if before is not None and after is not None:
        yield from _field_changes("", before, after, language)
    elif before is not after:
        yield f"{word}: {removed if after is None else added}"


def _entry_changes(
    name: tuple[str, str],
    before: Sequence[msgspec.Struct],
    after: Sequence[msgspec.Struct],
    language: Language,
) -> Iterator[str]:
    """Give the entries of a list that has no numbers which are gone, and those which are new."""
    _, added, removed, _ = _SAYS[language]
    word = name[0] if language == "ru" else name[1]
    for entries, others, says in ((before, after, removed), (after, before, added)):
        for entry in entries:
            if entry not in others:
                fields = msgspec.structs.asdict(entry)
                told = ", ".join(_shown(value, language) for value in fields.values())
                yield f"{word}: {says}: {told}"


def _clause_changes(before: Regulation, after: Regulation, language: Language) -> Iterator[str]:
    old, new = (_numbered(one) for one in (before, after))
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


def _numbered(regulation: Regulation) -> dict[str, Clause | Requirement]:
    """Return clauses and requirements by their numbers."""
    entries: list[Clause | Requirement] = [*regulation.clauses, *regulation.requirements]
    return {entry.clause: entry for entry in entries}


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
