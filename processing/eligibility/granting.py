"""What exactly a person gets: category, term and allowances, from rule, facts and days."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import msgspec

from processing.eligibility.check import grounds
from processing.eligibility.document import HolderWord, Rule, Start
from processing.eligibility.facts import Facts
from processing.eligibility.store import Person
from processing.kernel.clock import years_after
from processing.regulations.document import CODES


class GrantedAllowance(msgspec.Struct, frozen=True, kw_only=True):
    """One allowance, in the smallest unit of its class; `period` is the database's code."""

    allowance_id: UUID
    item_class: str
    granted: int
    period: int
    priority: int


class GrantedRights(msgspec.Struct, frozen=True, kw_only=True):
    """An entitlement as `eligibility.grant_application` takes it."""

    holder_id: UUID
    entitlement_id: UUID
    category: str
    valid_from: date
    valid_to: date
    allowances: tuple[GrantedAllowance, ...]

    @property
    def lasts(self) -> bool:
        """Whether there is a day on which it is in force."""
        return self.valid_from <= self.valid_to


def rights_of(
    rule: Rule, person: Person, day: date, happened_on: date | None, ids: list[UUID]
) -> GrantedRights | None:
    """Return what a decision on `day` grants; None: whose right it is, is unknown.

    `ids` are one for the entitlement and one for each right of the rule.
    """
    holder = person.citizen_id
    if rule.grant.holder is HolderWord.HOUSEHOLD:
        if person.household_id is None:
            return None
        holder = person.household_id
    category = _category(rule, person.facts)
    first = _first_day(rule, day, happened_on)
    members = len(person.facts.household_births or ()) or 1
    return GrantedRights(
        holder_id=holder,
        entitlement_id=ids[0],
        category=category,
        valid_from=first,
        valid_to=_last_day(rule, person.facts, category, first),
        allowances=tuple(
            GrantedAllowance(
                allowance_id=one_id,
                item_class=right.item_class,
                granted=right.amount * (members if right.per_member else 1),
                period=CODES[right.period],
                priority=right.priority,
            )
            for right, one_id in zip(rule.rights, ids[1:], strict=True)
        ),
    )


def _category(rule: Rule, facts: Facts) -> str:
    held = facts.categories or {}
    return next((one for one in grounds(rule) if one in held), rule.grant.category)


def _first_day(rule: Rule, day: date, happened_on: date | None) -> date:
    match rule.grant.start:
        case Start.DECISION:
            return day
        case Start.EVENT:
            return happened_on or day
        case Start.NEXT_MONTH:
            return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _last_day(rule: Rule, facts: Facts, category: str, first: date) -> date:
    grant, ends = rule.grant, []
    if grant.valid_days is not None:
        ends.append(first + timedelta(days=grant.valid_days - 1))
    if grant.until_age is not None and facts.birth_date is not None:
        ends.append(years_after(facts.birth_date, grant.until_age) - timedelta(days=1))
    if grant.until_year_end:
        ends.append(date(first.year, 12, 31))
    if grant.until_category_end and facts.categories and category in facts.categories:
        ends.append(facts.categories[category])
    # Where only an unknown birthday or category would end it, it ends with the year.
    return min(ends, default=date(first.year, 12, 31))
