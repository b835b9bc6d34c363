"""Whether the test cases of a rule can be run, and show every clause."""

from __future__ import annotations

from collections.abc import Iterator

from processing.eligibility.directory import Directory
from processing.eligibility.document import Rule
from processing.eligibility.fact_names import SEXES
from processing.eligibility.facts import Answer
from processing.regulations.faults import Fault, Path


def case_faults(rule: Rule, directory: Directory) -> Iterator[Fault]:
    """Give what is wrong with the cases."""
    shown = {case.clause for case in rule.cases}
    leaves = {clause.clause for clause in rule.clauses if clause.holds is None}
    for place, clause in enumerate(rule.clauses):
        if clause.holds is None and clause.clause not in shown:
            yield rule.source.fault(
                ("clause", place),
                f"пункт {clause.clause} не показан ни одним примером; добавьте [[case]]",
                f"no example shows clause {clause.clause}; add a [[case]]",
            )
    for place, case in enumerate(rule.cases):
        if case.clause not in leaves:
            yield rule.source.fault(
                ("case", place, "clause"),
                f"пункта {case.clause}, который что-то проверяет, нет; назовите другой",
                f"there is no clause {case.clause} that tests something; name another",
            )
        yield from _person_faults(rule, place, directory)
    for answer, ru in ((Answer.YES, "положен"), (Answer.NO, "не положен")):
        if all(case.expect is not answer for case in rule.cases):
            yield rule.source.fault(
                (),
                f'нет примера того, кому мера {ru}; добавьте [[case]] с expect = "{answer}"',
                f"no example expects “{answer}”; add a [[case]]",
            )


def _person_faults(rule: Rule, place: int, directory: Directory) -> Iterator[Fault]:
    case, head = rule.cases[place], rule.eligibility
    path: Path = ("case", place)
    day = case.day or head.valid_from
    if not head.valid_from <= day <= head.valid_to:
        yield rule.source.fault(
            (*path, "day"),
            f"правило действует с {head.valid_from} по {head.valid_to}; возьмите день между ними",
            f"the rule is in force from {head.valid_from} to {head.valid_to}; take a day between",
        )
    person = case.person
    codes = (
        ("categories", person.categories, directory.categories),
        ("measures", person.measures, directory.measures),
        ("year_measures", person.year_measures, directory.measures),
        ("records", person.records, directory.records),
        ("events", person.events, directory.events),
        ("sex", (person.sex,) if person.sex is not None else None, SEXES),
    )
    for name, used, known in codes:
        for code in used or ():
            if code not in known:
                yield rule.source.fault(
                    (*path, "person", name),
                    f"{code} нет в справочнике; проверьте код",
                    f"there is no {code}; check the code",
                )
    for code in case.amounts_kopecks:
        if code not in directory.parameters:
            yield rule.source.fault(
                (*path, "amounts_kopecks", code),
                f"величины {code} нет в справочнике; проверьте код",
                f"there is no amount {code}; check the code",
            )
    days = [person.birth_date, *(person.household_births or ()), *(person.events or {}).values()]
    if any(one is not None and one > day for one in days):
        yield rule.source.fault(
            (*path, "person"),
            f"дата позже дня примера ({day}); исправьте её",
            f"a date is after the day of the case ({day}); correct it",
        )
