"""«Почему?»: a trace in words, clause by clause, for somebody who may know it.

A cashier learns nothing of it: a category or an income is nobody's business at a counter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from processing.eligibility.directory import Directory
from processing.eligibility.document import Rule
from processing.eligibility.evaluating import Found, Trace
from processing.eligibility.fact_names import FACTS, FactName
from processing.eligibility.facts import Answer, Facts
from processing.eligibility.wording import ANSWERS, condition, one_of, remedy, value_text
from processing.regulations.faults import Language
from processing.wire.explanation import Audience
from processing.wire.figures import format_date

VERDICTS: Final[dict[Answer, tuple[str, str]]] = {
    Answer.YES: ("положено", "entitled"),
    Answer.NO: ("не положено", "not entitled"),
    Answer.UNKNOWN: ("нельзя решить: не хватает сведений", "cannot be told: facts are missing"),
}
_CASHIER: Final = (
    "На кассе не говорят, почему мера положена или нет: это скажут гражданину соцзащита и портал",
    "A counter is not told why: the citizen can ask the social protection office or the portal",
)


class Record(msgspec.Struct, frozen=True):
    """A record of the register that a fact was read from: `field` is that of `Facts`."""

    field: str
    kind: str
    record_id: str
    version: int


def why(
    rule: Rule,
    trace: Trace,
    facts: Facts,
    records: Sequence[Record],
    directory: Directory,
    language: Language,
    audience: Audience,
) -> list[str]:
    """Return the trace as lines: the answer, each clause, what is to be brought."""
    if audience is Audience.CASHIER:
        return [one_of(language, _CASHIER)]
    head = rule.eligibility
    name = one_of(language, (head.name_ru, head.name_en))
    day = format_date(trace.day, language)
    lines = [f"{name} ({rule.title}), {day}: {one_of(language, VERDICTS[trace.answer])}"]
    for found in trace.found:
        lines += _clause_lines(trace, found, facts, records, directory, language, audience)
    lines += _papers(rule, trace, language)
    return lines


def _clause_lines(
    trace: Trace,
    found: Found,
    facts: Facts,
    records: Sequence[Record],
    directory: Directory,
    language: Language,
    audience: Audience,
) -> Iterator[str]:
    clause = found.clause
    indent = "  " * (1 + clause.clause.count("."))
    mark = {Answer.YES: "✓", Answer.NO: "✗", Answer.UNKNOWN: "?"}[found.met]
    text = one_of(language, (clause.text_ru, clause.text_en))
    answer = one_of(language, ANSWERS[found.answer])
    if found.answer is Answer.YES and found.met is Answer.NO:
        answer += one_of(language, (", а не должен быть", ", and must not"))
    yield f"{indent}{mark} {clause.clause}. {text} — {answer}"
    indent += "    "
    if clause.holds is not None:
        yield f"{indent}{condition(clause, directory, language)}"
        return
    found_word = one_of(language, ("в регистре", "on record"))
    value = value_text(found, directory, language)
    yield f"{indent}{condition(clause, directory, language)}; {found_word}: {value}"
    if audience is Audience.OPERATOR and clause.fact is not None:
        yield from (f"{indent}{line}" for line in _sources(clause.fact, records, language))
    told = remedy(found, facts, directory, language)
    if told and trace.answer is not Answer.YES:
        label = one_of(language, ("что изменит", "what would change it"))
        yield f"{indent}{label}: {told}"


def _sources(fact: FactName, records: Sequence[Record], language: Language) -> Iterator[str]:
    """Give the records behind a fact, each kind in one line."""
    label = one_of(language, ("запись", "record"))
    version = one_of(language, ("версия", "version"))
    for record in records:
        if record.field == FACTS[fact].field:
            yield f"{label}: {record.kind} {record.record_id}, {version} {record.version}"


def _papers(rule: Rule, trace: Trace, language: Language) -> Iterator[str]:
    """Give what has to be brought: what the rule always needs, and what proves missing facts."""
    if trace.answer is Answer.NO:
        return
    missing = set(trace.missing)
    needed = [paper for paper in rule.papers if paper.fact is None or paper.fact in missing]
    if needed:
        yield one_of(language, ("Нужны документы:", "Documents needed:"))
        for paper in needed:
            yield f"  — {one_of(language, (paper.name_ru, paper.name_en))}"
