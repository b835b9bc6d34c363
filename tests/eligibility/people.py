"""Random rules, random people: for tests that hold both ways of evaluating together."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import strategies as st

from processing.eligibility.document import (
    Clause,
    Combination,
    Grant,
    Head,
    Rule,
)
from processing.eligibility.fact_names import FactName
from processing.eligibility.facts import Facts
from processing.regulations.source import Source

DAY = date(2026, 3, 1)
CATEGORIES = ("DISABLED.1", "DISABLED.2", "DISABLED.3", "FAMILY.LARGE", "VETERAN.WAR")
MEASURES = ("CERT", "OMS", "UTIL.50")
RECORDS = ("service_plan", "policy")
EVENTS = ("child_born", "retirement")
PARAMETERS = ("PM", "PM.CHILD")

births = st.dates(date(1896, 1, 1), DAY) | st.sampled_from(
    [date(2008, 2, 29), date(2008, 2, 28), date(2008, 3, 1), date(2008, 3, 2), date(1996, 2, 29)]
)


def some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=3).map(tuple)


facts = st.builds(
    Facts,
    birth_date=births,
    sex=st.sampled_from(["f", "m", None]),
    categories=st.none() | some(CATEGORIES).map(lambda codes: dict.fromkeys(codes, DAY)),
    household_births=st.none() | st.lists(births, min_size=1, max_size=4).map(tuple),
    income_kopecks=st.sampled_from([None, 0, 50_000, 50_001, 100_000, 100_001, 200_000, 400_000]),
    resident=st.sampled_from([True, False, None]),
    pregnant=st.sampled_from([True, False, None]),
    employed=st.sampled_from([True, False, None]),
    pensioner=st.sampled_from([True, False, None]),
    events=st.none()
    | st.dictionaries(st.sampled_from(EVENTS), st.dates(date(2025, 1, 1), DAY), max_size=2),
    measures=st.none() | some(MEASURES),
    year_measures=st.none() | some(MEASURES),
    records=st.none() | some(RECORDS),
)


def bounds(highest: int, *usual: int) -> st.SearchStrategy[dict[str, int]]:
    """Give limits; the `usual` ones are often met exactly, where `<` and `<=` differ."""
    number = st.sampled_from(usual) if usual else st.integers(0, highest)
    return (
        number.map(lambda least: {"at_least": least})
        | number.map(lambda most: {"at_most": most})
        | st.tuples(number, number).map(lambda two: {"at_least": min(two), "at_most": max(two)})
    )


def words(values: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    chosen = st.lists(st.sampled_from(values), unique=True, min_size=1, max_size=3)
    return chosen.map(lambda codes: {"one_of": tuple(codes)})


def comparison(fact: FactName) -> st.SearchStrategy[dict[str, Any]]:
    """Give what a clause may say of a fact."""
    match fact:
        case FactName.AGE:
            return bounds(80) | bounds(80, 17, 18, 19)
        case FactName.DISABILITY_GROUP:
            return bounds(3)
        case FactName.CHILDREN:
            years = st.integers(1, 23).map(lambda limit: {"younger_than": limit})
            return st.tuples(bounds(3), years).map(lambda two: two[0] | two[1])
        case FactName.HOUSEHOLD_SIZE:
            return bounds(5)
        case FactName.INCOME_PERCENT:
            code = st.sampled_from([*PARAMETERS, "PM.PENSION"]).map(lambda one: {"parameter": one})
            return st.tuples(bounds(200, 0, 50, 51, 100, 101, 200), code).map(
                lambda two: two[0] | two[1]
            )
        case FactName.INCOME_PER_HEAD:
            return bounds(200_000, 0, 50_000, 50_001, 100_000, 200_000)
        case FactName.DAYS_SINCE_EVENT:
            event = st.sampled_from(EVENTS).map(lambda one: {"event": one})
            return st.tuples(bounds(400), event).map(lambda two: two[0] | two[1])
        case FactName.SEX:
            return words(("f", "m"))
        case FactName.CATEGORY:
            return words(CATEGORIES)
        case FactName.MEASURE | FactName.MEASURE_THIS_YEAR:
            return words(MEASURES)
        case FactName.RECORD:
            return words(RECORDS)
        case FactName.RESIDENT | FactName.PREGNANT | FactName.EMPLOYED | FactName.PENSIONER:
            return st.booleans().map(lambda truth: {"equals": truth})


def leaf(number: str) -> st.SearchStrategy[list[Clause]]:
    def filled(fact: FactName) -> st.SearchStrategy[list[Clause]]:
        return comparison(fact).map(
            lambda said: [Clause(clause=number, text_ru="т", text_en="t", fact=fact, **said)]
        )

    return st.sampled_from(FactName).flatmap(filled)


def tree(number: str, depth: int) -> st.SearchStrategy[list[Clause]]:
    """Give a clause with all that is below it."""
    if depth == 0:
        return leaf(number)

    def parent(holds: Combination, count: int) -> st.SearchStrategy[list[Clause]]:
        head = Clause(clause=number, text_ru="т", text_en="t", holds=holds)
        below = st.tuples(*(tree(f"{number}.{one}", depth - 1) for one in range(1, count + 1)))
        return below.map(lambda parts: [head, *(clause for part in parts for clause in part)])

    combined = st.tuples(st.sampled_from(Combination), st.integers(1, 3)).flatmap(
        lambda two: parent(*two)
    )
    return leaf(number) | combined


def rule_of(clauses: list[Clause]) -> Rule:
    """Return a rule of these clauses; the rest of it does not matter."""
    head = Head(
        measure="CERT",
        version=1,
        name_ru="т",
        name_en="t",
        agency_ru="т",
        agency_en="t",
        basis_ru="т",
        valid_from=DAY,
        valid_to=DAY,
    )
    return Rule(
        source=Source("rule.toml", b"", {}, {}),
        eligibility=head,
        grant=Grant(category="LOW.INCOME", valid_days=1),
        rights=(),
        proactive=None,
        clauses=tuple(clauses),
        papers=(),
        choices=(),
        cases=(),
    )


rules = (
    st.integers(1, 3)
    .flatmap(lambda count: st.tuples(*(tree(str(one), 2) for one in range(1, count + 1))))
    .map(lambda parts: rule_of([clause for part in parts for clause in part]))
)
