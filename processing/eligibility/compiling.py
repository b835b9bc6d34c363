"""One rule, a million people: a rule as an SQL expression over rows of `eligibility.fact`.

The expression is true, false or NULL, as the evaluator says yes, no or not known: SQL's own logic
is the same three-valued one. Day, codes and numbers are written into the text, the codes after a
look at their form.
"""

from __future__ import annotations

import re
from typing import Final

from processing.eligibility.document import Clause, Combination, Rule
from processing.eligibility.fact_names import DISABILITY_CATEGORIES, FACTS, FactName, FactType
from processing.eligibility.facts import Setting

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,31}")
_UNKNOWN: Final = "NULL::boolean"


def compile_rule(rule: Rule, setting: Setting) -> str:
    """Return the condition of a checked rule for rows `f` of one region (`setting`'s amounts)."""
    return _joined([compile_clause(rule, clause, setting) for clause in rule.children("")], "AND")


def compile_clause(rule: Rule, clause: Clause, setting: Setting) -> str:
    """Return the condition of one clause with all that is below it."""
    if clause.holds is None:
        return _comparison(clause, setting)
    below = [compile_clause(rule, child, setting) for child in rule.children(clause.clause)]
    match clause.holds:
        case Combination.ALL:
            return _joined(below, "AND")
        case Combination.ANY:
            return _joined(below, "OR")
        case Combination.NONE:
            return f"NOT {_joined(below, 'OR')}"


def _day(setting: Setting) -> str:
    return f"date '{setting.day}'"


def _joined(conditions: list[str], word: str) -> str:
    return f"({f' {word} '.join(conditions)})"


def _comparison(clause: Clause, setting: Setting) -> str:
    assert clause.fact is not None  # noqa: S101 - a checked clause without sub-clauses has one
    info = FACTS[clause.fact]
    match info.type:
        case FactType.TRUTH:
            return f"(f.{info.field} = {str(clause.equals).upper()})"
        case FactType.WORDS:
            words = _array(clause.one_of)
            if clause.fact is FactName.SEX:
                return f"(f.sex = ANY ({words}))"
            operator = "?|" if clause.fact is FactName.CATEGORY else "&&"
            return f"(f.{info.field} {operator} {words})"
        case FactType.NUMBER:
            return _number(clause, setting)


def _number(clause: Clause, setting: Setting) -> str:
    members = "cardinality(f.household_births)"
    match clause.fact:
        case FactName.AGE:
            return _age(clause, setting)
        case FactName.DISABILITY_GROUP:
            groups = [
                category
                for group, category in DISABILITY_CATEGORIES.items()
                if (clause.at_least or 0)
                <= group
                <= (group if clause.at_most is None else clause.at_most)
            ]
            milder = [
                category
                for group, category in DISABILITY_CATEGORIES.items()
                if group < (clause.at_least or 0)
            ]
            inside = f"(f.categories ?| {_array(groups)})"
            return f"({inside} AND NOT f.categories ?| {_array(milder)})" if milder else inside
        case FactName.CHILDREN:
            count = (
                # The number was read as one and looked at.
                "(SELECT count(*) FROM unnest(f.household_births) AS b "  # noqa: S608
                f"WHERE NOT {_reached('b', clause.younger_than or 0, setting)})"
            )
            within = _between(count, clause)
            return f"CASE WHEN f.household_births IS NOT NULL THEN {within} END"
        case FactName.DAYS_SINCE_EVENT:
            event = _quoted(clause.event or "")
            days = f"({_day(setting)} - (f.events ->> {event})::date)"
            return (
                f"CASE WHEN f.events IS NULL THEN {_UNKNOWN} "
                f"WHEN f.events ? {event} THEN {_between(days, clause)} ELSE FALSE END"
            )
        case FactName.INCOME_PERCENT:
            amount = setting.amounts_kopecks.get(clause.parameter or "")
            if not amount:
                return _UNKNOWN
            return _rounded_up(
                clause, "(f.income_kopecks * 100)", f"({amount}::bigint * {members})"
            )
        case FactName.INCOME_PER_HEAD:
            return _rounded_up(clause, "f.income_kopecks", f"{members}::bigint")
        case _:
            return _between(members, clause)


def _reached(birth: str, years: int, setting: Setting) -> str:
    """Return whether somebody born on `birth` has reached an age.

    29 February counts as everywhere in the register: in a common year it comes on the 28th. Except
    on those days themselves the birth is compared with one day, which needs no arithmetic.
    """
    day = setting.day
    if day.month == 2 and day.day >= 28:
        return f"(({birth} + interval '{years} years')::date <= {_day(setting)})"
    if years >= day.year:
        raise ValueError(years)
    return f"({birth} <= date '{day.replace(year=day.year - years)}')"


def _age(clause: Clause, setting: Setting) -> str:
    parts = []
    if clause.at_least is not None:
        parts.append(_reached("f.birth_date", clause.at_least, setting))
    if clause.at_most is not None:
        parts.append(f"NOT {_reached('f.birth_date', clause.at_most + 1, setting)}")
    return _joined(parts, "AND")


def _between(value: str, clause: Clause) -> str:
    parts = []
    if clause.at_least is not None:
        parts.append(f"{value} >= {clause.at_least}")
    if clause.at_most is not None:
        parts.append(f"{value} <= {clause.at_most}")
    return _joined(parts, "AND")


def _rounded_up(clause: Clause, dividend: str, divisor: str) -> str:
    """Return limits of a quotient that is rounded up, without dividing."""
    parts = []
    if clause.at_least is not None:
        parts.append(f"{dividend} > {clause.at_least - 1} * {divisor}")
    if clause.at_most is not None:
        parts.append(f"{dividend} <= {clause.at_most} * {divisor}")
    return _joined(parts, "AND")


def _array(words: tuple[str, ...] | list[str]) -> str:
    return f"ARRAY[{', '.join(_quoted(word) for word in words)}]::text[]"


def _quoted(word: str) -> str:
    if not _WORD.fullmatch(word):
        raise ValueError(word)
    return f"'{word}'"
