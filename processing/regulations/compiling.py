"""A regulation as the flat rows that SQL joins (sql/schema/10_regulations.sql)."""

from __future__ import annotations

from datetime import date

import msgspec

from processing.regulations.document import CODES, Regulation


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


class PriceRuleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of regulations.price_rule."""

    service: str
    version: int
    measure: str
    percent: int
    capped: bool
    tariff: str


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What one regulation is in the database."""

    service: ServiceRow
    price_rules: tuple[PriceRuleRow, ...]


def compile_regulation(regulation: Regulation) -> Rows:
    """Return the rows of a regulation that was checked."""
    head, transaction = regulation.regulation, regulation.transaction
    return Rows(
        service=ServiceRow(
            service=head.service,
            version=head.version,
            name_ru=head.name_ru,
            name_en=head.name_en,
            consumes=CODES[transaction.consumes],
            shortage=CODES[transaction.shortage],
            evidence=CODES[transaction.evidence],
            valid_from=head.valid_from,
            valid_to=head.valid_to,
            grace_days=head.grace_days,
            reserve_minutes=transaction.reserve_minutes,
        ),
        price_rules=tuple(
            PriceRuleRow(
                service=head.service,
                version=head.version,
                measure=clause.measure,
                percent=clause.percent,
                capped=clause.capped,
                tariff=clause.tariff,
            )
            for clause in regulation.clauses
        ),
    )
