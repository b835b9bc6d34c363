"""One person, one rule: the answer with a trace of every clause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import Enum

import msgspec

from processing.eligibility.document import Clause, Combination, Rule
from processing.eligibility.fact_names import DISABILITY_CATEGORIES, FACTS, FactName
from processing.eligibility.facts import Answer, Facts, Setting, age_on
from processing.kernel.clock import years_after


class Missing(Enum):
    """Why a fact has no value."""

    UNKNOWN = "nobody has told it"
    NONE = "there is none"


Value = int | bool | str | tuple[str, ...] | Missing


class Found(msgspec.Struct, frozen=True):
    """A clause and its answer; `value` is the fact's, None of a clause with sub-clauses.

    `wanted` is what the answer must be for the measure: `NO` below a "none".
    """

    clause: Clause
    answer: Answer
    wanted: Answer
    value: Value | None

    @property
    def met(self) -> Answer:
        """Whether the clause does its part for the measure."""
        return self.answer if self.wanted is Answer.YES else self.answer.opposite


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a rule for one person on one day, clause by clause in the document's order."""

    measure: str
    version: int
    day: date
    answer: Answer
    found: tuple[Found, ...]

    def of(self, number: str) -> Found:
        """Return the clause with this number."""
        return next(one for one in self.found if one.clause.clause == number)

    @property
    def missing(self) -> tuple[FactName, ...]:
        """The facts that stand between the person and an answer, each once."""
        names = (
            one.clause.fact
            for one in self.found
            if one.answer is Answer.UNKNOWN and one.clause.fact is not None
        )
        return tuple(dict.fromkeys(names)) if self.answer is Answer.UNKNOWN else ()


def evaluate(rule: Rule, facts: Facts, setting: Setting) -> Trace:
    """Return what a checked rule answers for a person. Total: it raises nothing."""
    found: dict[str, Found] = {}
    tops = [
        _clause(rule, clause, facts, setting, Answer.YES, found) for clause in rule.children("")
    ]
    return Trace(
        measure=rule.eligibility.measure,
        version=rule.eligibility.version,
        day=setting.day,
        answer=_all(tops),
        found=tuple(found[clause.clause] for clause in rule.clauses),
    )


def _clause(
    rule: Rule,
    clause: Clause,
    facts: Facts,
    setting: Setting,
    wanted: Answer,
    found: dict[str, Found],
) -> Answer:
    value: Value | None = None
    if clause.holds is None:
        value = fact_value(clause, facts, setting)
        answer = _compared(clause, value)
    else:
        below = wanted.opposite if clause.holds is Combination.NONE else wanted
        answers = [
            _clause(rule, child, facts, setting, below, found)
            for child in rule.children(clause.clause)
        ]
        answer = _combined(clause.holds, answers)
    found[clause.clause] = Found(clause, answer, wanted, value)
    return answer


def _combined(holds: Combination, answers: list[Answer]) -> Answer:
    match holds:
        case Combination.ALL:
            return _all(answers)
        case Combination.ANY:
            return _any(answers)
        case Combination.NONE:
            return _any(answers).opposite


def _all(answers: list[Answer]) -> Answer:
    if Answer.NO in answers:
        return Answer.NO
    return Answer.UNKNOWN if Answer.UNKNOWN in answers else Answer.YES


def _any(answers: list[Answer]) -> Answer:
    return _all([answer.opposite for answer in answers]).opposite


def _compared(clause: Clause, value: Value) -> Answer:
    if value is Missing.UNKNOWN:
        return Answer.UNKNOWN
    return Answer.YES if _holds(clause, value) else Answer.NO


def _holds(clause: Clause, value: Value) -> bool:
    match value:
        case Missing():
            return False
        case bool():
            return value is clause.equals
        case int():
            return (clause.at_least is None or value >= clause.at_least) and (
                clause.at_most is None or value <= clause.at_most
            )
        case str():
            return value in clause.one_of
        case tuple():
            return not set(value).isdisjoint(clause.one_of)


def fact_value(clause: Clause, facts: Facts, setting: Setting) -> Value:
    """Return the value of a clause's fact."""
    assert clause.fact is not None  # noqa: S101 - a checked clause without sub-clauses has one
    held = getattr(facts, FACTS[clause.fact].field)
    if held is None:
        return Missing.UNKNOWN
    match clause.fact:
        case FactName.CATEGORY:
            return tuple(held)
        case (
            FactName.SEX
            | FactName.RESIDENT
            | FactName.PREGNANT
            | FactName.EMPLOYED
            | FactName.PENSIONER
            | FactName.MEASURE
            | FactName.MEASURE_THIS_YEAR
            | FactName.RECORD
        ):
            value: bool | str | tuple[str, ...] = held
            return value
        case _:
            return _number(clause, facts, setting)


def _number(clause: Clause, facts: Facts, setting: Setting) -> Value:
    births = facts.household_births or ()
    match clause.fact:
        case FactName.AGE:
            assert facts.birth_date is not None  # noqa: S101 - looked at by the caller
            return age_on(facts.birth_date, setting.day)
        case FactName.DISABILITY_GROUP:
            return next(_groups(facts), Missing.NONE)
        case FactName.CHILDREN:
            limit = clause.younger_than or 0
            return sum(years_after(birth, limit) > setting.day for birth in births)
        case FactName.DAYS_SINCE_EVENT:
            day = (facts.events or {}).get(clause.event or "")
            return Missing.NONE if day is None else (setting.day - day).days
        case FactName.INCOME_PERCENT:
            amount = setting.amounts_kopecks.get(clause.parameter or "")
            if not births or not amount or facts.income_kopecks is None:
                return Missing.UNKNOWN
            return -(-facts.income_kopecks * 100 // (amount * len(births)))
        case FactName.INCOME_PER_HEAD:
            if not births or facts.income_kopecks is None:
                return Missing.UNKNOWN
            return -(-facts.income_kopecks // len(births))
        case _:
            return len(births)


def _groups(facts: Facts) -> Iterator[int]:
    for group, category in DISABILITY_CATEGORIES.items():
        if category in (facts.categories or {}):
            yield group
