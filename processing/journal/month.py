"""Months of history: each month of business dates lies in tables of its own."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Final, Self

import msgspec

from processing.kernel.errors import SpkError

_MONTH: Final = re.compile(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])")


class ArchiveRefused(SpkError):
    """What was asked for cannot or should not be done; the message says what can."""

    exit_code = 2


class ArchiveMismatchError(SpkError):
    """Files and tables of a month do not hold the same; nothing was detached or dropped."""

    exit_code = 4


class Month(msgspec.Struct, frozen=True, order=True):
    """A calendar month; years from 1000 to 9999."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the month written as YYYY-MM. Raises `ArchiveRefused`."""
        if match := _MONTH.fullmatch(text):
            return cls(int(match[1]), int(match[2]))
        raise ArchiveRefused(f"{text} is not a month; write it as YYYY-MM, such as 2026-03")

    @classmethod
    def of(cls, day: date) -> Self:
        """Return the month that `day` lies in."""
        return cls(day.year, day.month)

    @property
    def first_day(self) -> date:
        """The month's first day: what SQL functions name it by."""
        return date(self.year, self.number, 1)

    @property
    def suffix(self) -> str:
        """The end of its tables' names, such as 2026_03."""
        return f"{self.year:04}_{self.number:02}"

    def whole_months_until(self, other: Month) -> int:
        """Return how many whole months lie between this one and `other`; of neighbours, 0."""
        return (other.year - self.year) * 12 + other.number - self.number - 1

    def __str__(self) -> str:
        """Return the month as YYYY-MM."""
        return f"{self.year:04}-{self.number:02}"


class MonthState(StrEnum):
    """Where a month's rows are (sql/functions/journal/month_state.sql)."""

    OPEN = "open"
    """In the journal; rows may still be added."""

    CLOSED = "closed"
    """In the journal; nothing can be added any more."""

    DETACHED = "detached"
    """In tables beside the journal, and in verified files."""

    DROPPED = "dropped"
    """In files only."""

    RESTORING = "restoring"
    """In files, and perhaps already in tables beside the journal."""


class MonthOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A month as `journal.month_overview` sees it; `month` None is what lies in no month's tables.

    Of a dropped month `first_posting_date` to `unsettled_days` are None. `files` are the SHA-256
    (hex) of the files that were verified when the month was detached.
    """

    month: Month | None
    state: MonthState
    event_count: int
    line_count: int
    size_bytes: int
    first_posting_date: date | None
    last_posting_date: date | None
    conflicts: int | None
    unsettled_days: int | None
    files: dict[str, str] | None

    @property
    def settled(self) -> bool:
        """Whether no conflict and no terminal's day waits for settlement."""
        return not self.conflicts and not self.unsettled_days
