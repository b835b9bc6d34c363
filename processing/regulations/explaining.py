"""A regulation in sentences, as a notice for the people who work by it (Markdown)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from processing.regulations.directory import Directory
from processing.regulations.document import (
    Case,
    Clause,
    Consumes,
    EvidenceWord,
    Regulation,
    Shortage,
)
from processing.regulations.faults import Language
from processing.wire.figures import format_kopecks
from processing.wire.outcome import TEXTS, Outcome

_RULES: Final[dict[Language, dict[Consumes | Shortage | EvidenceWord, str]]] = {
    "ru": {
        Consumes.QUANTITY: "Каждая строка берёт из права столько, сколько в ней отпущено.",
        Consumes.KOPECKS: "Каждая строка берёт из права столько рублей, сколько покрыто.",
        Consumes.ONE_PER_LINE: "Каждая строка берёт из права одну единицу.",
        Shortage.REFUSE: "Если остатка не хватает, операция отклоняется целиком.",
        Shortage.COVER_WHAT_IS_LEFT: (
            "Если остатка не хватает, покрывается то, что осталось; за прочее платит гражданин."
        ),
        EvidenceWord.TAP: "Достаточно приложить карту.",
        EvidenceWord.PIN: "Нужны карта и её ПИН-код.",
    },
    "en": {
        Consumes.QUANTITY: "Each line takes from the right what is handed over in it.",
        Consumes.KOPECKS: "Each line takes from the right as many roubles as are covered.",
        Consumes.ONE_PER_LINE: "Each line takes one unit from the right.",
        Shortage.REFUSE: "When less is left than is asked for, the whole is refused.",
        Shortage.COVER_WHAT_IS_LEFT: (
            "When less is left than is asked for, what is left is covered; the citizen pays the "
            "rest."
        ),
        EvidenceWord.TAP: "Tapping the card is enough.",
        EvidenceWord.PIN: "The card and its PIN are needed.",
    },
}


_UNITS: Final[dict[Language, tuple[str, str, str]]] = {
    "ru": ("сут", "ч", "мин"),
    "en": ("d", "h", "min"),
}


def explain_regulation(regulation: Regulation, directory: Directory, language: Language) -> str:
    """Return the whole regulation in words."""
    return "\n".join(_lines(regulation, directory, language)) + "\n"


def _lines(regulation: Regulation, directory: Directory, language: Language) -> Iterator[str]:
    head, transaction, russian = regulation.regulation, regulation.transaction, language == "ru"
    yield f"# {head.name_ru if russian else head.name_en}"
    yield ""
    yield (
        f"{regulation.title}. {head.agency_ru if russian else head.agency_en}. "
        f"{_term(head.valid_from, head.valid_to, language)}."
    )
    if russian:
        yield f"Основание: {head.basis_ru}."
    yield ""
    yield f"## {'Порядок' if russian else 'Procedure'}"
    yield ""
    rules = _RULES[language]
    yield rules[transaction.evidence]
    yield rules[transaction.consumes]
    yield rules[transaction.shortage]
    if (minutes := transaction.reserve_minutes) is not None:
        yield (
            f"Можно отложить на срок до {_duration(minutes, language)}."
            if russian
            else f"May be put aside for up to {_duration(minutes, language)}."
        )
    for clause in regulation.clauses:
        yield ""
        yield f"## {'Пункт' if russian else 'Clause'} {clause.clause}"
        yield ""
        yield f"{clause.text_ru if russian else clause.text_en}."
        yield _price(clause, directory, language)
        if russian:
            cases = [case for case in regulation.cases if case.clause == clause.clause]
            yield from ("", "Примеры:", "", *(f"* {_example(case)}" for case in cases))


def _price(clause: Clause, directory: Directory, language: Language) -> str:
    measure = f"{directory.measures.get(clause.measure, '?')} ({clause.measure})"
    if language == "ru":
        cap = " от цены не выше предельной" if clause.capped else " от цены"
        return f"Мера: {measure}. Покрывается {clause.percent} %{cap}. Тариф {clause.tariff}."
    cap = " of the price up to the cap" if clause.capped else " of the price"
    return f"Measure: {measure}. Covered: {clause.percent} %{cap}. Tariff {clause.tariff}."


def _example(case: Case) -> str:
    asked = sum(line.gross_kopecks for line in case.lines)
    answer = TEXTS[case.outcome].ru
    if not Outcome[case.expect.outcome].approved:
        return f"{case.title_ru}: {format_kopecks(asked)} → {answer.lower()}"
    covered = sum(case.expect.covered_kopecks)
    return (
        f"{case.title_ru}: {format_kopecks(asked)} → покрыто {format_kopecks(covered)}, "
        f"платит гражданин {format_kopecks(asked - covered)}"
    )


def _duration(minutes: int, language: Language) -> str:
    """Return days, hours and minutes as far as there are any."""
    days, rest = divmod(minutes, 24 * 60)
    parts = zip((days, *divmod(rest, 60)), _UNITS[language], strict=True)
    return " ".join(f"{count}\N{NO-BREAK SPACE}{unit}" for count, unit in parts if count)


def _term(first: date, last: date, language: Language) -> str:
    if language == "ru":
        return f"Действует с {first:%d.%m.%Y} по {last:%d.%m.%Y}"
    return f"In force from {first} to {last}"
