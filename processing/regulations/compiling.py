"""A regulation as the flat rows that SQL joins (sql/schema/10_regulations.sql)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec

from processing.regulations.document import CODES, Regulation
from processing.wire.outcome import Outcome


class ServiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of regulations.service."""

    service: str
    version: int
    name_ru: str
    name_en: str
    consumes: int
    shortage: int
    evidence: int
    valid_from: date
    valid_to: date
    grace_days: int
    reserve_minutes: int | None
    visit: int
    substitution: bool
    refill_percent: int | None
    refill_days: int
    conditional: bool
    notifies: tuple[str, ...]
    reports: tuple[str, ...]


class PriceRuleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of regulations.price_rule."""

    service: str
    version: int
    measure: str
    percent: int
    capped: bool
    tariff: str
    clause: str
    categories: tuple[str, ...] | None
    excluded: bool


class RequirementRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of regulations.requirement."""

    service: str
    version: int
    clause: str
    fact: str
    of_provider: bool
    prolonged_days: int


class NormRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of regulations.norm."""

    service: str
    version: int
    clause: str
    measure: str
    item_class: str
    people_from: int
    people_to: int
    quantity: int
    each: bool
    period: int


class RefusalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of regulations.refusal."""

    service: str
    version: int
    outcome: int
    text_ru: str
    text_en: str
    remedy_ru: str
    remedy_en: str


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What one regulation is in the database."""

    service: ServiceRow
    price_rules: tuple[PriceRuleRow, ...]
    requirements: tuple[RequirementRow, ...] = ()
    norms: tuple[NormRow, ...] = ()
    refusals: tuple[RefusalRow, ...] = ()

    @property
    def values(self) -> tuple[object, ...]:
        """The rows as the database's regulations.version_rows."""
        tables = (self.price_rules, self.requirements, self.norms, self.refusals)
        lists = ([msgspec.structs.astuple(row) for row in rows] for rows in tables)
        return (msgspec.structs.astuple(self.service), *lists)


def compile_regulation(regulation: Regulation) -> Rows:
    """Return the rows of a regulation that was checked."""
    return Rows(
        service=_service_row(regulation),
        price_rules=tuple(_price_rules(regulation)),
        requirements=tuple(
            RequirementRow(
                **_key(regulation),
                clause=one.clause,
                fact=one.fact.value,
                of_provider=one.of_this_provider,
                prolonged_days=one.prolonged_days,
            )
            for one in regulation.requirements
        ),
        norms=tuple(_norm_rows(regulation)),
        refusals=tuple(
            RefusalRow(
                **_key(regulation),
                outcome=int(Outcome[one.outcome]),
                text_ru=one.text_ru,
                text_en=one.text_en,
                remedy_ru=one.remedy_ru,
                remedy_en=one.remedy_en,
            )
            for one in regulation.refusals
        ),
    )


def _key(regulation: Regulation) -> dict[str, Any]:
    return {"service": regulation.regulation.service, "version": regulation.regulation.version}


def _service_row(regulation: Regulation) -> ServiceRow:
    head, transaction, visit = regulation.regulation, regulation.transaction, regulation.visit
    return ServiceRow(
        **_key(regulation),
        name_ru=head.name_ru,
        name_en=head.name_en,
        consumes=CODES[transaction.consumes],
        shortage=CODES[transaction.shortage],
        evidence=CODES[transaction.evidence],
        valid_from=head.valid_from,
        valid_to=head.valid_to,
        grace_days=head.grace_days,
        reserve_minutes=transaction.reserve_minutes if visit is None else visit.minutes_max,
        visit=0 if visit is None else 1 + visit.required,
        substitution=transaction.substitution,
        refill_percent=transaction.refill_percent,
        refill_days=transaction.refill_days,
        conditional=bool(regulation.requirements),
        notifies=tuple(word.value for word in regulation.report.notify),
        reports=tuple(word.value for word in regulation.report.to),
    )


def _price_rules(regulation: Regulation) -> Iterator[PriceRuleRow]:
    """Give a rule for each clause; one without categories is for all that its twins do not name."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for clause in regulation.clauses:
        if clause.measure is not None:
            named[clause.measure].update(clause.categories)
    for clause in regulation.clauses:
        if clause.measure is None:
            continue
        categories = clause.categories or tuple(sorted(named[clause.measure]))
        yield PriceRuleRow(
            **_key(regulation),
            measure=clause.measure,
            percent=clause.percent,
            capped=clause.capped,
            tariff=clause.tariff,
            clause=clause.clause,
            categories=categories or None,
            excluded=bool(categories) and not clause.categories,
        )


def _norm_rows(regulation: Regulation) -> Iterator[NormRow]:
    measures = {clause.clause: clause.measure for clause in regulation.clauses}
    for norm in regulation.norms:
        measure = measures[norm.clause]
        if measure is not None:
            yield NormRow(
                **_key(regulation),
                clause=norm.clause,
                measure=measure,
                item_class=norm.item_class,
                people_from=norm.people_from,
                people_to=norm.people_to,
                quantity=norm.quantity,
                each=norm.each,
                period=CODES[norm.period],
            )
