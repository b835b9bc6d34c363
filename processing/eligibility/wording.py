"""Clauses, values and remedies in words, for "Почему?" and for the rule as a notice."""

from __future__ import annotations

from datetime import date
from typing import Final

from processing.eligibility.directory import Directory
from processing.eligibility.document import Clause, Combination
from processing.eligibility.evaluating import Found, Missing, Value
from processing.eligibility.fact_names import FACTS, FactName
from processing.eligibility.facts import Answer, Facts
from processing.kernel.clock import years_after
from processing.regulations.faults import Language
from processing.wire.figures import format_date, format_kopecks

ANSWERS: Final[dict[Answer, tuple[str, str]]] = {
    Answer.YES: ("выполнен", "holds"),
    Answer.NO: ("не выполнен", "does not hold"),
    Answer.UNKNOWN: ("неизвестно", "not known"),
}
_COMBINATIONS: Final[dict[Combination, tuple[str, str]]] = {
    Combination.ALL: ("нужны все подпункты", "all sub-clauses must hold"),
    Combination.ANY: ("достаточно одного из подпунктов", "one of the sub-clauses is enough"),
    Combination.NONE: ("не должно быть ни одного из подпунктов", "no sub-clause may hold"),
}
_SEXES: Final = {"f": ("женский", "female"), "m": ("мужской", "male")}


def one_of(language: Language, pair: tuple[str, str]) -> str:
    """Return the Russian or the English of a pair."""
    return pair[0] if language == "ru" else pair[1]


def condition(clause: Clause, directory: Directory, language: Language) -> str:
    """Return what a clause asks for, such as "возраст, полных лет: не меньше 18"."""
    if clause.holds is not None:
        return one_of(language, _COMBINATIONS[clause.holds])
    assert clause.fact is not None  # noqa: S101 - a checked clause without sub-clauses has one
    label = _label(clause, clause.fact, directory, language)
    return f"{label}: {_wanted(clause, clause.fact, directory, language)}"


def _label(clause: Clause, fact: FactName, directory: Directory, language: Language) -> str:
    info = FACTS[fact]
    label = one_of(language, (info.ru, info.en))
    if clause.younger_than is not None:
        years = clause.younger_than
        return f"{label} {one_of(language, (f'младше {years} лет', f'under {years}'))}"
    code = clause.event or clause.parameter
    if not code:
        return label
    name = directory.name(code, language)
    return f"{label} {one_of(language, (f'«{name}»', f'“{name}”'))}"


def _wanted(clause: Clause, fact: FactName, directory: Directory, language: Language) -> str:
    if clause.equals is not None:
        return _truth(clause.equals, language)
    if clause.one_of:
        words = [_word(word, directory, language) for word in clause.one_of]
        return one_of(language, (" или ", " or ")).join(words)
    parts = []
    if clause.at_least is not None:
        least = _amount(clause.at_least, fact)
        parts.append(one_of(language, (f"не меньше {least}", f"at least {least}")))
    if clause.at_most is not None:
        most = _amount(clause.at_most, fact)
        parts.append(one_of(language, (f"не больше {most}", f"at most {most}")))
    return one_of(language, (" и ", " and ")).join(parts)


def _amount(number: int, fact: FactName) -> str:
    if fact is FactName.INCOME_PER_HEAD:
        return format_kopecks(number)
    return f"{number}\u00a0%" if fact is FactName.INCOME_PERCENT else str(number)


def _truth(value: bool, language: Language) -> str:
    return one_of(language, ("да", "yes") if value else ("нет", "no"))


def _word(word: str, directory: Directory, language: Language) -> str:
    return one_of(language, _SEXES[word]) if word in _SEXES else directory.name(word, language)


def value_text(found: Found, directory: Directory, language: Language) -> str:
    """Return the fact's value as people read it; "" of a clause with sub-clauses."""
    value: Value | None = found.value
    match value:
        case None:
            return ""
        case Missing.UNKNOWN:
            return one_of(language, ("сведений нет", "nothing is known"))
        case Missing.NONE:
            return one_of(language, ("нет", "none"))
        case bool():
            return _truth(value, language)
        case int():
            assert found.clause.fact is not None  # noqa: S101 - a value is of a fact
            return _amount(value, found.clause.fact)
        case str():
            return _word(value, directory, language)
        case tuple():
            # Of all that somebody holds, only what the clause asks about is told.
            held = [word for word in value if word in found.clause.one_of]
            if not held:
                return one_of(language, ("нет", "none"))
            return ", ".join(_word(word, directory, language) for word in held)


def remedy(found: Found, facts: Facts, directory: Directory, language: Language) -> str:
    """Return what would change a clause that is not met; "" where it is, or nothing would."""
    clause = found.clause
    if found.met is Answer.YES or clause.fact is None:
        return ""
    info = FACTS[clause.fact]
    if found.answer is Answer.UNKNOWN:
        return one_of(
            language,
            (
                f"эти сведения есть у: {info.holder_ru}; принесите: {info.bring_ru}",
                f"held by {info.holder_en}; bring {info.bring_en}",
            ),
        )
    if found.wanted is Answer.NO:
        return one_of(language, ("когда это кончится", "when this is over"))
    return _would_hold(found, clause, facts, directory, language)


def _would_hold(
    found: Found, clause: Clause, facts: Facts, directory: Directory, language: Language
) -> str:
    match clause.fact:
        case FactName.AGE:
            return _age_remedy(found, clause, facts, language)
        case FactName.SEX:
            return ""
        case FactName.DAYS_SINCE_EVENT:
            return _event_remedy(found, clause, facts, language)
        case FactName.CATEGORY | FactName.RECORD:
            words = _wanted(clause, clause.fact, directory, language)
            return one_of(
                language,
                (f"если будет подтверждено: {words}", f"if this is confirmed: {words}"),
            )
        case None:
            return ""
        case _:
            wanted = _wanted(clause, clause.fact, directory, language)
            return one_of(language, (f"если станет: {wanted}", f"if it becomes: {wanted}"))


def _age_remedy(found: Found, clause: Clause, facts: Facts, language: Language) -> str:
    born: date | None = facts.birth_date
    if born is None or clause.at_least is None or not isinstance(found.value, int):
        return ""
    if found.value >= clause.at_least:
        # Nobody becomes younger.
        return ""
    reached = years_after(born, clause.at_least)
    told = format_date(reached, language)
    return one_of(language, (f"будет выполнен с {told}", f"will hold from {told}"))


def _event_remedy(found: Found, clause: Clause, facts: Facts, language: Language) -> str:
    if found.value is Missing.NONE:
        told = one_of(language, ("если событие будет подтверждено", "if the event is confirmed"))
        return f"{told}: {FACTS[FactName.DAYS_SINCE_EVENT].bring_ru}" if language == "ru" else told
    if isinstance(found.value, int) and found.value > (clause.at_most or found.value):
        return one_of(language, ("срок после события прошёл", "the time after it is over"))
    return ""
