"""A rule of eligibility in sentences, as a notice for officials and citizens (Markdown)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from processing.eligibility.directory import Directory
from processing.eligibility.document import Granting, HolderWord, Right, Rule, Start
from processing.eligibility.facts import Answer
from processing.eligibility.wording import condition, one_of
from processing.regulations.document import Period
from processing.regulations.faults import Language
from processing.wire.figures import (
    ROUBLE_OKEI,
    UNITS,
    counted,
    format_date,
    format_kopecks,
    format_quantity,
)

_PERIODS: Final[dict[Period, tuple[str, str]]] = {
    Period.TERM: ("на весь срок", "for the whole term"),
    Period.DAY: ("в день", "a day"),
    Period.WEEK: ("в неделю", "a week"),
    Period.MONTH: ("в месяц", "a month"),
    Period.QUARTER: ("в квартал", "a quarter"),
    Period.YEAR: ("в год", "a year"),
}
_GRANTING: Final[dict[Granting, tuple[str, str]]] = {
    Granting.AUTOMATIC: (
        "назначается без заявления, сразу",
        "granted without an application, at once",
    ),
    Granting.APPROVED: (
        "назначается без заявления, после утверждения сотрудником",
        "granted without an application, once an official approves",
    ),
    Granting.OFFER: (
        "гражданину предлагается заполненное заявление",
        "the citizen is offered a filled-in application",
    ),
}
_STARTS: Final[dict[Start, tuple[str, str]]] = {
    Start.DECISION: ("со дня решения", "from the day of the decision"),
    Start.EVENT: ("со дня события", "from the day of the event"),
    Start.NEXT_MONTH: ("с первого числа следующего месяца", "from the first of the next month"),
}
_ANSWERS: Final[dict[Answer, tuple[str, str]]] = {
    Answer.YES: ("положено", "entitled"),
    Answer.NO: ("не положено", "not entitled"),
    Answer.UNKNOWN: ("не хватает сведений", "facts are missing"),
}


def explain_rule(rule: Rule, directory: Directory, language: Language) -> str:
    """Return the whole rule in words."""
    return "\n".join(_lines(rule, directory, language)) + "\n"


def _lines(rule: Rule, directory: Directory, language: Language) -> Iterator[str]:
    head = rule.eligibility
    agency = one_of(language, (head.agency_ru, head.agency_en))
    first, last = (format_date(day, language) for day in (head.valid_from, head.valid_to))
    yield f"# {one_of(language, (head.name_ru, head.name_en))}"
    yield ""
    term = one_of(language, (f"Действует с {first} по {last}", f"In force from {first} to {last}"))
    yield f"{rule.title}. {agency}. {term}."
    if language == "ru":
        yield f"Основание: {head.basis_ru}."
    yield ""
    yield f"## {one_of(language, ('Что положено', 'What is given'))}"
    yield ""
    yield from _given(rule, directory, language)
    yield ""
    yield f"## {one_of(language, ('Кому положено', 'Who may have it'))}"
    yield ""
    yield one_of(
        language,
        (
            "Должны быть выполнены все пункты без точки в номере.",
            "All clauses without a dot must hold.",
        ),
    )
    yield ""
    for clause in rule.clauses:
        indent = "  " * clause.clause.count(".")
        text = one_of(language, (clause.text_ru, clause.text_en))
        yield f"{indent}* {clause.clause}. {text} ({condition(clause, directory, language)})"
    yield from _asked(rule, language)
    if language == "ru":
        yield from ("", "## Примеры", "")
        for case in rule.cases:
            yield f"* Пункт {case.clause}. {case.title_ru}: {_ANSWERS[case.expect][0]}"


def _given(rule: Rule, directory: Directory, language: Language) -> Iterator[str]:
    grant, measure = rule.grant, rule.eligibility.measure
    household = grant.holder is HolderWord.HOUSEHOLD
    whose = ("Право семьи", "The household's right") if household else ("Право", "A right")
    yield f"* {one_of(language, whose)}: {directory.name(measure, language)} ({measure})"
    yield from (f"* {_right(right, directory, language)}" for right in rule.rights)
    yield f"* {one_of(language, ('Срок', 'Term'))}: {_term(rule, language)}"
    if rule.proactive is not None:
        events = ", ".join(directory.name(one, language) for one in rule.proactive.events)
        told = one_of(language, _GRANTING[rule.proactive.granting])
        when = one_of(language, ("После события", "After the event"))
        yield f"* {when} ({events}): {told}"
    days = rule.eligibility.decision_days
    yield "* " + one_of(
        language,
        (f"Решение по заявлению: за {days} дн.", f"An application is decided in {days} days"),
    )


def _right(right: Right, directory: Directory, language: Language) -> str:
    unit = directory.item_classes[right.item_class]
    if unit.unit_okei == ROUBLE_OKEI:
        amount = format_kopecks(right.amount)
    elif unit.unit_okei in UNITS:
        amount = counted(right.amount, unit.scale, UNITS[unit.unit_okei], language)
    else:
        amount = format_quantity(right.amount, unit.scale)
    each = one_of(language, (" на каждого члена семьи", " for each member of the household"))
    period = one_of(language, _PERIODS[right.period])
    return f"{right.item_class}: {amount} {period}{each if right.per_member else ''}"


def _term(rule: Rule, language: Language) -> str:
    grant = rule.grant
    parts = [one_of(language, _STARTS[grant.start])]
    if grant.valid_days is not None:
        days = grant.valid_days
        parts.append(one_of(language, (f"на {days} дн.", f"for {days} days")))
    if grant.until_age is not None:
        age = grant.until_age
        parts.append(one_of(language, (f"до {age} лет", f"until the age of {age}")))
    if grant.until_year_end:
        parts.append(one_of(language, ("до конца года", "until the end of the year")))
    if grant.until_category_end:
        parts.append(one_of(language, ("пока есть категория", "as long as the category is held")))
    return ", ".join(parts)


def _asked(rule: Rule, language: Language) -> Iterator[str]:
    """Give the papers and the choices."""
    if rule.papers:
        yield from ("", f"## {one_of(language, ('Документы', 'Documents'))}", "")
        only = one_of(language, ("если сведений нет", "if nothing is known"))
        for paper in rule.papers:
            name = one_of(language, (paper.name_ru, paper.name_en))
            yield f"* {name}" + (f" ({only})" if paper.fact is not None else "")
    if rule.choices:
        title = ("Что решает сам гражданин", "What the citizen decides")
        yield from ("", f"## {one_of(language, title)}", "")
        for choice in rule.choices:
            options = " / ".join(
                one_of(language, (one.text_ru, one.text_en)) for one in choice.options
            )
            yield f"* {one_of(language, (choice.question_ru, choice.question_en))} {options}"
