"""A service regulation as an official writes it: one TOML document per service and version.

Each table of the document is a struct here, each word a member of a closed enum. A field that is
not known, missing, or of another type is a fault with its place; all tables are looked at, so that
one reading shows what is wrong with each.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from processing.regulations.source import Source, read_source
from processing.regulations.tables import CODE, ITEM, NUMBER, TARIFF, read_tables
from processing.wire.outcome import Outcome


class Consumes(StrEnum):
    """What one line takes from an allowance."""

    QUANTITY = "quantity"
    KOPECKS = "kopecks"
    ONE_PER_LINE = "one per line"


class Shortage(StrEnum):
    """What happens when less is left than is asked for."""

    REFUSE = "refuse"
    COVER_WHAT_IS_LEFT = "cover what is left"


class EvidenceWord(StrEnum):
    """The least that proves the citizen's presence."""

    TAP = "tap"
    PIN = "pin"


class Period(StrEnum):
    """After which time an allowance is full again."""

    TERM = "term"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


CODES: Final[dict[StrEnum, int]] = {
    Consumes.QUANTITY: 1,
    Consumes.KOPECKS: 2,
    Consumes.ONE_PER_LINE: 3,
    Shortage.REFUSE: 1,
    Shortage.COVER_WHAT_IS_LEFT: 2,
    EvidenceWord.TAP: 1,
    EvidenceWord.PIN: 2,
    Period.TERM: 0,
    Period.DAY: 1,
    Period.WEEK: 2,
    Period.MONTH: 3,
    Period.QUARTER: 4,
    Period.YEAR: 5,
}
"""The document's words as the database's codes (sql/schema/10_regulations.sql, 30_rights.sql)."""

RESERVE_MAX_MINUTES: Final = 44_640
"""Longest time for which a reservation may stand: 31 days."""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
_Code = Annotated[str, msgspec.Meta(pattern=CODE)]
_Item = Annotated[str, msgspec.Meta(pattern=ITEM)]
_Number = Annotated[str, msgspec.Meta(pattern=NUMBER)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Kopecks = Annotated[int, msgspec.Meta(ge=0, le=10**12 - 1)]


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[regulation]`: which service, which version, whose, since when and until when.

    A transaction signed under this version is honoured for `grace_days` after `valid_to`.
    """

    service: _Code
    version: Annotated[int, msgspec.Meta(ge=1, le=9_999)]
    name_ru: _Name
    name_en: _Name
    agency_ru: _Name
    agency_en: _Name
    basis_ru: _Text
    provider_kinds: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    valid_from: date
    valid_to: date
    grace_days: Annotated[int, msgspec.Meta(ge=0, le=31)] = 3


class Transaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[transaction]`: how one is carried out and what it takes from the citizen's rights.

    `reserve_minutes` says how long goods stay put aside; left out, the service takes no
    reservations.
    """

    consumes: Consumes
    shortage: Shortage
    evidence: EvidenceWord
    reserve_minutes: Annotated[int, msgspec.Meta(ge=1, le=RESERVE_MAX_MINUTES)] | None = None


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[clause]]`: a measure that opens the service, and what it covers of the price.

    `percent` of the price is covered, of a capped one at most up to the item's cap price.
    """

    clause: _Number
    text_ru: _Text
    text_en: _Text
    measure: _Code
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)]
    capped: bool
    tariff: Annotated[str, msgspec.Meta(pattern=TARIFF)]


class CaseRight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A right that the citizen of a test case has; `used` of `granted` is gone already.

    Amounts count the smallest unit: of the item's, or kopecks where the service takes these.
    """

    measure: _Code
    item_class: _Item
    granted: Annotated[int, msgspec.Meta(ge=0)]
    used: Annotated[int, msgspec.Meta(ge=0)] = 0
    period: Period = Period.TERM
    priority: int = 100


class CaseLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line that is rung up in a test case."""

    item: _Item
    quantity: _Positive
    gross_kopecks: _Kopecks


class CaseExpect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the centre must answer: of each line what is covered, of each right what is left."""

    outcome: str
    covered_kopecks: tuple[_Kopecks, ...] = ()
    remaining: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[case]]`: an example that shows what a clause means, and that is run before publication.

    It happens at noon of `day`, by default on the regulation's first day.
    """

    clause: _Number
    title_ru: _Name
    day: date | None = None
    evidence: EvidenceWord | None = None
    rights: tuple[CaseRight, ...] = ()
    lines: Annotated[tuple[CaseLine, ...], msgspec.Meta(min_length=1, max_length=28)]
    expect: CaseExpect

    @property
    def outcome(self) -> Outcome:
        """The expected outcome; the document was checked to name one."""
        return Outcome[self.expect.outcome]


class Regulation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole document, with where everything in it stands."""

    source: Source
    regulation: Head
    transaction: Transaction
    clauses: tuple[Clause, ...]
    cases: tuple[Case, ...]

    @property
    def title(self) -> str:
        """Service and version, as people quote them."""
        return f"{self.regulation.service} v{self.regulation.version}"


_TABLES: Final = {"regulation": Head, "transaction": Transaction}
_LISTS: Final = {"clause": Clause, "case": Case}


def read_regulation(data: bytes, name: str) -> Regulation:
    """Return the document in `data`; `name` is for messages.

    Only its form is looked at (`processing.regulations.check` does the rest). Raises
    `DocumentError` with what is wrong in each table.
    """
    source = read_source(data, name)
    found = read_tables(source, _TABLES, _LISTS)
    return Regulation(
        source=source,
        regulation=found["regulation"],
        transaction=found["transaction"],
        clauses=found["clause"],
        cases=found["case"],
    )
