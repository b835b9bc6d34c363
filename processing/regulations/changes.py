"""What changes from one version of a regulation to the next, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from processing.regulations.document import (
    Case,
    Clause,
    Norm,
    RefusalWords,
    Regulation,
    Requirement,
    Visit,
)
from processing.regulations.faults import Language
from processing.regulations.words import (
    amount_words,
    duration,
    norm_words,
    outcome_words,
    word_of,
)

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
    "reserve_minutes": ("на сколько можно отложить", "how long goods stay put aside"),
    "text_ru": ("текст", "text in Russian"),
    "text_en": ("английский текст", "text in English"),
    "substitution": ("замена внутри класса разрешена", "substitution within the class"),
    "refill_percent": (
        "следующая выдача после процента срока",
        "next supply after % of time",
    ),
    "refill_days": ("и раньше на столько дней", "and so many days before"),
    "minutes_max": ("от начала до окончания не больше", "longest from start to finish"),
    "required": ("начало и окончание обязательны", "start and finish are required"),
    "notify": ("гражданину сообщают", "the citizen is told"),
    "to": ("отчитываются", "it is reported"),
    "measure": ("мера", "measure"),
    "categories": ("только для категорий", "only for categories"),
    "fact": ("что должно быть известно", "what must be known"),
    "of_this_provider": ("у этого поставщика", "of this provider"),
    "prolonged_days": ("дней продления", "days of prolongation"),
    "quantity": ("количество", "quantity"),
    "each": ("на каждого", "for each"),
    "period": ("период", "period"),
    "remedy_ru": ("что делать", "what to do, in Russian"),
    "remedy_en": ("что делать, по-английски", "what to do, in English"),
    "percent": ("процент покрытия", "percentage covered"),
    "capped": ("предельная цена действует", "cap price applies"),
    "tariff": ("тариф", "tariff"),
}
_Entry = TypeVar("_Entry", Norm, RefusalWords)

_MINUTES: Final = ("reserve_minutes", "minutes_max")
_SAYS: Final = {
    "ru": ("было {before}, стало {after}", "добавлен", "исключён", "ничего не изменилось"),
    "en": ("was {before}, is {after}", "added", "removed", "nothing changes"),
}


def changes(before: Regulation, after: Regulation, language: Language) -> list[str]:
    """Return one line for each thing that changes, at least one."""
    lines = [
        *_field_changes("", before.regulation, after.regulation, language),
        *_field_changes("", before.transaction, after.transaction, language),
        *_visit_changes(before.visit, after.visit, language),
        *_field_changes("", before.report, after.report, language),
        *_clause_changes(before, after, language),
        *_norm_changes(before, after, language),
        *_refusal_changes(before, after, language),
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
            shown = (_shown(one[name], language, minutes=name in _MINUTES) for one in (old, new))
            says = _SAYS[language][0].format(before=next(shown), after=next(shown))
            yield f"{head}{label}: {says}"


def _visit_changes(before: Visit | None, after: Visit | None, language: Language) -> Iterator[str]:
    _, added, removed, _ = _SAYS[language]
    word = "порядок визита" if language == "ru" else "procedure of visits"
    if before is not None and after is not None:
        yield from _field_changes("", before, after, language)
    elif after is not None:
        longest = duration(after.minutes_max, language)
        labels = {name: _LABELS[name][language == "en"] for name in ("minutes_max", "required")}
        yield (
            f"{word}: {added}: {labels['minutes_max']} {longest}, {labels['required']}: "
            f"{_shown(after.required, language)}"
        )
    elif before is not None:
        yield f"{word}: {removed}"


def _norm_changes(before: Regulation, after: Regulation, language: Language) -> Iterator[str]:
    yield from _named_changes(
        {norm_words(norm, language): norm for norm in before.norms},
        {norm_words(norm, language): norm for norm in after.norms},
        lambda norm: amount_words(norm, language),
        language,
    )


def _refusal_changes(before: Regulation, after: Regulation, language: Language) -> Iterator[str]:
    def name(refusal: RefusalWords) -> str:
        usual = outcome_words(refusal, language)
        return f"слова отказа «{usual}»" if language == "ru" else f"words of “{usual}”"

    yield from _named_changes(
        {name(one): one for one in before.refusals},
        {name(one): one for one in after.refusals},
        lambda one: one.text_ru if language == "ru" else one.text_en,
        language,
    )


def _named_changes(
    before: Mapping[str, _Entry],
    after: Mapping[str, _Entry],
    told: Callable[[_Entry], str],
    language: Language,
) -> Iterator[str]:
    """Give the entries of a list that come, go and change, by the name that each has."""
    _, added, removed, _ = _SAYS[language]
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{name}: {removed}"
        elif name not in before:
            yield f"{name}: {added}: {told(after[name])}"
        else:
            yield from _field_changes(f"{name}, ", before[name], after[name], language)


def _clause_changes(before: Regulation, after: Regulation, language: Language) -> Iterator[str]:
    old, new = (_numbered(one) for one in (before, after))
    _, added, removed, _ = _SAYS[language]
    word = "пункт" if language == "ru" else "clause"
    for number in sorted(old.keys() | new.keys(), key=_in_order):
        was, becomes = old.get(number), new.get(number)
        if was is not None and type(was) is type(becomes):
            yield from _field_changes(f"{word} {number}, ", was, becomes, language)
            continue
        if was is not None:
            yield f"{word} {number}: {removed}"
        if becomes is not None:
            yield f"{word} {number}: {added}: {_told(becomes, language)}"


def _told(entry: Clause | Requirement, language: Language) -> str:
    """Return a clause or a condition as it is added: its text and what it rests on."""
    text = entry.text_ru if language == "ru" else entry.text_en
    if isinstance(entry, Requirement):
        return f"{text} ({word_of(entry.fact, language)})"
    return f"{text} ({entry.percent} %)"


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


def _shown(value: Any, language: Language, *, minutes: bool = False) -> str:
    match value:
        case None:
            return "—"
        case bool():
            return {"ru": ("нет", "да"), "en": ("no", "yes")}[language][value]
        case tuple():
            return ", ".join(_shown(one, language) for one in value) or "—"
        case StrEnum():
            return word_of(value, language)
        case str():
            return f"«{value}»" if language == "ru" else f"“{value}”"
        case date():
            return f"{value:%d.%m.%Y}" if language == "ru" else str(value)
        case int() if minutes:
            return duration(value, language)
        case _:
            return str(value)
