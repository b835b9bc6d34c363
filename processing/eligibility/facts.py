"""What the register knows of a person on a day, and how sure an answer can be.

A fact that is None is not known: nobody may take it for a "no". A fact whose holder is the register
itself (categories, life events, measures, records) is known even when there is nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

import msgspec

from processing.kernel.clock import years_after


class Answer(StrEnum):
    """Whether something holds (Kleene's three-valued logic, that of SQL)."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "not known"

    @property
    def opposite(self) -> Answer:
        """The answer to the negated question."""
        match self:
            case Answer.YES:
                return Answer.NO
            case Answer.NO:
                return Answer.YES
            case Answer.UNKNOWN:
                return Answer.UNKNOWN


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one person on one day, as `eligibility.facts` returns them.

    `categories` gives the last day of each benefit category held that day. `household_births` are
    the dates of birth of all members of the household, the person too; `income_kopecks` is what
    they have together in a month. `events` gives the latest day of each kind of life event.
    `measures` are held that day, `year_measures` on any day of its calendar year; `records` are the
    kinds of other records in force.
    """

    birth_date: date | None = None
    sex: str | None = None
    categories: Mapping[str, date] | None = None
    household_births: tuple[date, ...] | None = None
    income_kopecks: int | None = None
    resident: bool | None = None
    pregnant: bool | None = None
    employed: bool | None = None
    pensioner: bool | None = None
    events: Mapping[str, date] | None = None
    measures: tuple[str, ...] | None = None
    year_measures: tuple[str, ...] | None = None
    records: tuple[str, ...] | None = None


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """When and where a question is asked: the day, and the region's amounts on that day.

    `amounts_kopecks` are those of `eligibility.parameter`, such as the subsistence minimum; one
    that is missing makes what compares with it "not known".
    """

    day: date
    amounts_kopecks: Mapping[str, int]


def age_on(birth_date: date, day: date) -> int:
    """Return the whole years of somebody born on `birth_date`."""
    years = day.year - birth_date.year
    return years if years_after(birth_date, years) <= day else years - 1
