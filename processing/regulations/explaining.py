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
from processing.regulations.words import (
    amount_words,
    duration,
    norm_words,
    outcome_words,
    word_of,
)
from processing.wire.figures import format_kopecks
from processing.wire.outcome import TEXTS, Outcome

_RULES: Final[dict[Language, dict[Consumes | Shortage | EvidenceWord, str]]] = {
    "ru": {
        Consumes.QUANTITY: "Каждая строка берёт из права столько, сколько в ней отпущено.",
        Consumes.KOPECKS: "Каждая строка берёт из права столько рублей, сколько покрыто.",
        Consumes.ONE_PER_LINE: "Каждая строка берёт из права одну единицу.",
        Consumes.NOTHING: "Право не нужно и не расходуется: услуга только записывается.",
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
        Consumes.NOTHING: "No right is needed, and none is used: the service is only recorded.",
        Shortage.REFUSE: "When less is left than is asked for, the whole is refused.",
        Shortage.COVER_WHAT_IS_LEFT: (
            "When less is left than is asked for, what is left is covered; the citizen pays the "
            "rest."
        ),
        EvidenceWord.TAP: "Tapping the card is enough.",
        EvidenceWord.PIN: "The card and its PIN are needed.",
    },
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
    if transaction.consumes is not Consumes.NOTHING:
        yield rules[transaction.shortage]
    yield from _conditions(regulation, language)
    if (minutes := transaction.reserve_minutes) is not None:
        yield (
            f"Можно отложить на срок до {duration(minutes, language)}."
            if russian
            else f"May be put aside for up to {duration(minutes, language)}."
        )
    for clause in regulation.clauses:
        yield ""
        yield f"## {'Пункт' if russian else 'Clause'} {clause.clause}"
        yield ""
        yield f"{clause.text_ru if russian else clause.text_en}."
        if clause.measure is not None:
            yield _price(clause, clause.measure, directory, language)
        yield from _norms(regulation, clause, language)
        if russian:
            cases = [case for case in regulation.cases if case.clause == clause.clause]
            yield from ("", "Примеры:", "", *(f"* {_example(case)}" for case in cases))
    yield from _requirements(regulation, language)
    yield from _refusals(regulation, language)


def _conditions(regulation: Regulation, language: Language) -> Iterator[str]:
    """Give what else is asked of a transaction."""
    russian, transaction, visit = language == "ru", regulation.transaction, regulation.visit
    if not transaction.substitution:
        yield (
            "Назначенное по торговому наименованию другим того же класса не заменяется."
            if russian
            else "What was granted by its trade name is not replaced by another of its class."
        )
    if (percent := transaction.refill_percent) is not None:
        days = transaction.refill_days
        ru = f" и {days} сут до того" if days else ""
        en = f", less {days} d" if days else ""
        yield (
            f"Курс выдаётся по частям: следующая — когда прошло {percent} % срока, на который "
            f"рассчитано выданное{ru}."
            if russian
            else f"A course is given in parts: the next when {percent} % of the time is over for "
            f"which what was given is meant{en}."
        )
    if visit is not None:
        longest = duration(visit.minutes_max, language)
        yield (
            f"Карту прикладывают в начале и в конце; не позже чем через {longest} после начала, "
            "иначе услуга не засчитывается."
            if russian
            else f"The card is presented at the start and at the finish, within {longest}; else "
            "the service does not count."
        )
        if not visit.required:
            yield (
                "Можно провести и сразу, без начала и окончания."
                if russian
                else "It may be rung up at once as well, without start and finish."
            )
    if regulation.report.notify or regulation.report.to:
        notify, to = (
            ", ".join(word_of(word, language) for word in words) or "—"
            for words in (regulation.report.notify, regulation.report.to)
        )
        yield (
            f"Гражданину сообщают: {notify}. Отчёт: {to}."
            if russian
            else f"The citizen is told: {notify}. Reported: {to}."
        )


def _norms(regulation: Regulation, clause: Clause, language: Language) -> Iterator[str]:
    for norm in regulation.norms:
        if norm.clause == clause.clause:
            whose = norm_words(norm, language)
            yield f"{whose[0].upper()}{whose[1:]}: {amount_words(norm, language)}."


def _requirements(regulation: Regulation, language: Language) -> Iterator[str]:
    for one in regulation.requirements:
        russian = language == "ru"
        yield from ("", f"## {'Условие' if russian else 'Condition'} {one.clause}", "")
        yield f"{one.text_ru if russian else one.text_en}."
        cases = [case for case in regulation.cases if case.clause == one.clause]
        if russian:
            yield from ("", "Примеры:", "", *(f"* {_example(case)}" for case in cases))


def _refusals(regulation: Regulation, language: Language) -> Iterator[str]:
    if regulation.refusals:
        yield from ("", "## Отказы" if language == "ru" else "## Refusals", "")
    for one in regulation.refusals:
        said = (one.text_ru, one.remedy_ru) if language == "ru" else (one.text_en, one.remedy_en)
        yield f"* {outcome_words(one, language)}: {said[0]}. {said[1]}."


def _price(clause: Clause, code: str, directory: Directory, language: Language) -> str:
    measure = f"{directory.measures.get(code, '?')} ({code})"
    only = ", ".join(clause.categories)
    if language == "ru":
        cap = " от цены не выше предельной" if clause.capped else " от цены"
        whom = f" Только для категорий {only}." if only else ""
        return f"Мера: {measure}. Покрывается {clause.percent} %{cap}. Тариф {clause.tariff}.{whom}"
    cap = " of the price up to the cap" if clause.capped else " of the price"
    whom = f" Only for {only}." if only else ""
    return f"Measure: {measure}. Covered: {clause.percent} %{cap}. Tariff {clause.tariff}.{whom}"


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


def _term(first: date, last: date, language: Language) -> str:
    if language == "ru":
        return f"Действует с {first:%d.%m.%Y} по {last:%d.%m.%Y}"
    return f"In force from {first} to {last}"
