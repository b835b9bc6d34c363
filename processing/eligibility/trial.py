"""Runs the test cases of a rule: both ways of evaluating must say what the case expects."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from processing.eligibility.document import Case, Rule
from processing.eligibility.evaluating import Trace, evaluate
from processing.eligibility.facts import Answer, Facts, Setting
from processing.eligibility.wording import one_of
from processing.regulations.faults import Language

_WORDS = {
    Answer.YES: ("положено", "yes"),
    Answer.NO: ("не положено", "no"),
    Answer.UNKNOWN: ("неизвестно", "not known"),
}


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """A test case and what came of it; `number` counts the document's cases from 1.

    `in_bulk` is what the database answers by the compiled rule; None where it was not asked.
    """

    number: int
    case: Case
    trace: Trace
    in_bulk: Answer | None = None

    @property
    def shows_clause(self) -> bool:
        """Whether the clause that the case names is the reason of the answer."""
        return self.trace.of(self.case.clause).met is self.case.expect

    @property
    def passed(self) -> bool:
        """Whether the rule answers what the case expects, by the clause that it shows."""
        return (
            self.trace.answer is self.case.expect
            and self.shows_clause
            and self.in_bulk in (None, self.case.expect)
        )

    def sentence(self, language: Language) -> str:
        """Return what was expected and what was found, in one line."""
        wanted, found = (
            one_of(language, _WORDS[answer]) for answer in (self.case.expect, self.trace.answer)
        )
        if self.passed:
            return found
        if self.trace.answer is not self.case.expect:
            told = (f"ожидалось: {wanted}; получено: {found}", f"expected {wanted}, found {found}")
        elif not self.shows_clause:
            told = (
                f"ответ верен, но пункт {self.case.clause} в нём ни при чём; назовите другой пункт",
                f"the answer is right, but not because of clause {self.case.clause}",
            )
        else:
            told = (
                "база данных отвечает иначе, чем разбор по пунктам; сообщите разработчикам",
                "the database answers otherwise than the trace; tell the developers",
            )
        return one_of(language, told)


def case_setting(rule: Rule, case: Case) -> Setting:
    """Return the day and the amounts of a case."""
    return Setting(
        day=case.day or rule.eligibility.valid_from, amounts_kopecks=case.amounts_kopecks
    )


def run_cases(rule: Rule) -> list[CaseResult]:
    """Return the results of all test cases of a checked rule, in the document's order."""
    return [
        CaseResult(
            number=number,
            case=case,
            trace=evaluate(rule, case.person.known(), case_setting(rule, case)),
        )
        for number, case in enumerate(rule.cases, 1)
    ]


def case_people(rule: Rule) -> Iterator[tuple[Facts, Setting]]:
    """Give the person and the setting of each case."""
    for case in rule.cases:
        yield case.person.known(), case_setting(rule, case)
