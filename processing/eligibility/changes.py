"""What changes from one version of a rule to the next, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from processing.eligibility.document import Case, Choice, Clause, Paper, Right, Rule
from processing.eligibility.wording import one_of
from processing.regulations.faults import Language
from processing.wire.figures import format_date

_LABELS: Final = {
    "name_ru": ("название", "name in Russian"),
    "name_en": ("английское название", "name in English"),
    "agency_ru": ("ведомство", "agency in Russian"),
    "agency_en": ("ведомство по-английски", "agency in English"),
    "basis_ru": ("правовое основание", "legal basis"),
    "valid_from": ("первый день", "first day"),
    "valid_to": ("последний день", "last day"),
    "decision_days": ("дней на решение", "days to decide"),
    "offer_days": ("дней на ответ гражданина", "days for the citizen's answer"),
    "holder": ("чьё право", "whose right"),
    "category": ("основание, если категории нет", "category where none is asked for"),
    "start": ("с какого дня", "from which day"),
    "valid_days": ("на сколько дней", "for how many days"),
    "until_age": ("до какого возраста", "until which age"),
    "until_year_end": ("до конца года", "until the end of the year"),
    "until_category_end": ("пока есть категория", "as long as the category is held"),
    "events": ("жизненные события", "life events"),
    "granting": ("как назначается", "how it is granted"),
    "consent": ("какое согласие нужно", "consent needed"),
    "candidates": ("кого касается событие", "whom an event concerns"),
    "amount": ("сколько", "amount"),
    "per_member": ("на каждого члена семьи", "for each member"),
    "period": ("за какой период", "period"),
    "priority": ("очерёдность", "priority"),
    "text_ru": ("текст", "text in Russian"),
    "text_en": ("английский текст", "text in English"),
    "holds": ("сколько подпунктов нужно", "which sub-clauses must hold"),
    "fact": ("что проверяется", "what is tested"),
    "younger_than": ("дети младше", "children under"),
    "event": ("событие", "event"),
    "parameter": ("с чем сравнивается доход", "what income is compared with"),
    "at_least": ("не меньше", "at least"),
    "at_most": ("не больше", "at most"),
    "one_of": ("одно из", "one of"),
    "equals": ("должно быть", "must be"),
    "question_ru": ("вопрос", "question in Russian"),
    "question_en": ("вопрос по-английски", "question in English"),
    "options": ("ответы", "options"),
}
_ADDED: Final = ("добавлен", "added")
_REMOVED: Final = ("исключён", "removed")
_NOTHING: Final = ("ничего не изменилось", "nothing changes")

Entry = TypeVar("Entry", Right, Clause, Paper, Choice, Case)


def changes(before: Rule, after: Rule, language: Language) -> list[str]:
    """Return one line for each thing that changes, at least one."""
    tables = (
        (before.eligibility, after.eligibility),
        (before.grant, after.grant),
        (before.proactive, after.proactive),
    )
    lines = [line for old, new in tables for line in _fields("", old, new, language)]
    lines += [
        *_entries(("право на", "right to"), _class, before.rights, after.rights, language),
        *_entries(("пункт", "clause"), _number, before.clauses, after.clauses, language),
        *_entries(("документ", "document"), _paper, before.papers, after.papers, language),
        *_entries(("выбор", "choice"), _choice, before.choices, after.choices, language),
        *_entries(("пример", "case"), _case, before.cases, after.cases, language),
    ]
    return lines or [one_of(language, _NOTHING)]


def _class(right: Right) -> str:
    return right.item_class


def _number(clause: Clause) -> str:
    return clause.clause


def _paper(paper: Paper) -> str:
    return f"«{paper.name_ru}»"


def _choice(choice: Choice) -> str:
    return choice.choice


def _case(case: Case) -> str:
    return f"«{case.title_ru}»"


def _fields(
    head: str, before: msgspec.Struct | None, after: msgspec.Struct | None, language: Language
) -> Iterator[str]:
    old = msgspec.structs.asdict(before) if before is not None else {}
    new = msgspec.structs.asdict(after) if after is not None else {}
    for name, label in _LABELS.items():
        was, becomes = old.get(name), new.get(name)
        if was != becomes:
            told = one_of(language, ("было {}, стало {}", "was {}, is {}"))
            said = told.format(_shown(was, language), _shown(becomes, language))
            yield f"{head}{one_of(language, label)}: {said}"


def _entries(
    word: tuple[str, str],
    key: Callable[[Entry], str],
    before: Sequence[Entry],
    after: Sequence[Entry],
    language: Language,
) -> Iterator[str]:
    old: dict[str, Entry] = {key(entry): entry for entry in before}
    new: dict[str, Entry] = {key(entry): entry for entry in after}
    for name in dict.fromkeys([*old, *new]):
        head = f"{one_of(language, word)} {name}"
        if name not in new:
            yield f"{head}: {one_of(language, _REMOVED)}"
        elif name not in old:
            yield f"{head}: {one_of(language, _ADDED)}"
        elif old[name] != new[name]:
            told = list(_fields(f"{head}, ", old[name], new[name], language))
            # What has no label, such as the person of a case, is told as changed.
            yield from told or [f"{head}: {one_of(language, ('изменён', 'changed'))}"]


def _shown(value: Any, language: Language) -> str:
    match value:
        case None | ():
            return "—"
        case bool():
            return one_of(language, ("да", "yes") if value else ("нет", "no"))
        case date():
            return format_date(value, language)
        case tuple():
            return ", ".join(_shown(one, language) for one in value)
        case StrEnum():
            return str(value)
        case str():
            return one_of(language, (f"«{value}»", f"“{value}”"))
        case msgspec.Struct():
            return str(next(iter(msgspec.structs.asdict(value).values())))
        case _:
            return str(value)
