"""A trace as it is kept with an application, and back: a refusal can be read years later."""

from __future__ import annotations

from datetime import date

import msgspec

from processing.eligibility.document import Rule
from processing.eligibility.evaluating import Found, Missing, Trace, Value
from processing.eligibility.facts import Answer


class StoredClause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One clause's answer; `value` is the fact's, `missing` why there is none."""

    clause: str
    answer: Answer
    wanted: Answer = Answer.YES
    value: int | bool | str | tuple[str, ...] | None = None
    missing: str | None = None


def stored(trace: Trace) -> list[StoredClause]:
    """Return a trace in the form that is kept."""
    return [
        StoredClause(
            clause=one.clause.clause,
            answer=one.answer,
            wanted=one.wanted,
            value=None if isinstance(one.value, Missing) else one.value,
            missing=one.value.name if isinstance(one.value, Missing) else None,
        )
        for one in trace.found
    ]


def restored(rule: Rule, day: date, answer: Answer, kept: str) -> Trace:
    """Return a kept trace (JSON), by the very version of the rule that was asked."""
    by_number = {clause.clause: clause for clause in rule.clauses}
    return Trace(
        measure=rule.eligibility.measure,
        version=rule.eligibility.version,
        day=day,
        answer=answer,
        found=tuple(
            Found(by_number[one.clause], one.answer, one.wanted, _value(one))
            for one in msgspec.json.decode(kept, type=list[StoredClause])
        ),
    )


def _value(one: StoredClause) -> Value | None:
    return one.value if one.missing is None else Missing[one.missing]
