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
    NOTHING = "nothing"


class Shortage(StrEnum):
    """What happens when less is left than is asked for."""

    REFUSE = "refuse"
    COVER_WHAT_IS_LEFT = "cover what is left"


class EvidenceWord(StrEnum):
    """The least that proves the citizen's presence."""

    TAP = "tap"
    PIN = "pin"


class HolderFact(StrEnum):
    """What a service may ask about a citizen: a policy in force, the provider attached to."""

    POLICY = "policy"
    ATTACHMENT = "attachment"


class Notice(StrEnum):
    """Of what the citizen is told."""

    APPROVED = "approved"
    DECLINED = "declined"
    USED_UP = "used up"
    EXPIRED = "expired"


class Report(StrEnum):
    """To whom it is reported what was given."""

    AGENCY = "agency"
    EGISSO = "egisso"
    FFOMS = "ffoms"


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
    Consumes.NOTHING: 4,
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

PEOPLE_MAX: Final = 99
"""Most people of one household that a norm counts."""

VISIT_MAX_MINUTES: Final = 1_440
"""Longest time for which a visit may last: a day."""

RESERVE_MAX_MINUTES: Final = 44_640
"""Longest time for which a reservation may stand: 31 days."""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
_Code = Annotated[str, msgspec.Meta(pattern=CODE)]
_Item = Annotated[str, msgspec.Meta(pattern=ITEM)]
_Number = Annotated[str, msgspec.Meta(pattern=NUMBER)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_NotNegative = Annotated[int, msgspec.Meta(ge=0)]
_People = Annotated[int, msgspec.Meta(ge=1, le=PEOPLE_MAX)]
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
    reservations. `substitution` tells whether a right to one item is open to others of its class.
    Of a course the next is given when `refill_percent` of the time is over for which what was given
    is meant, less `refill_days`; left out, whenever it is asked for.
    """

    consumes: Consumes
    shortage: Shortage
    evidence: EvidenceWord
    substitution: bool = True
    refill_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    refill_days: Annotated[int, msgspec.Meta(ge=0, le=90)] = 0
    reserve_minutes: Annotated[int, msgspec.Meta(ge=1, le=RESERVE_MAX_MINUTES)] | None = None


class Visit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[visit]`: the card is presented at the start and again at the finish.

    A visit that was not finished `minutes_max` after its start is as if it had not been.
    `required`: it cannot be rung up at once instead.
    """

    minutes_max: Annotated[int, msgspec.Meta(ge=1, le=VISIT_MAX_MINUTES)]
    required: bool


class Reporting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[report]`: of what the citizen is told, and to whom it is reported."""

    notify: tuple[Notice, ...] = ()
    to: tuple[Report, ...] = ()


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[clause]]`: a measure that opens the service, and what it covers of the price.

    `percent` of the price is covered, of a capped one at most up to the item's cap price. With
    `categories` it is for these only, without for all that no other clause of the measure names.
    Only a service that consumes nothing has clauses without a measure.
    """

    clause: _Number
    text_ru: _Text
    text_en: _Text
    measure: _Code | None = None
    categories: tuple[_Code, ...] = ()
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)]
    capped: bool
    tariff: Annotated[str, msgspec.Meta(pattern=TARIFF)]


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[requirement]]`: what must be known of the citizen for the service to be given.

    `of_this_provider`: it must name the provider that gives the service. For `prolonged_days` after
    its end it still counts, while it is being prolonged.
    """

    clause: _Number
    text_ru: _Text
    text_en: _Text
    fact: HolderFact
    of_this_provider: bool = False
    prolonged_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 0


class Norm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[norm]]`: how much the measure of `clause` grants a household of so many people.

    `quantity` counts the smallest unit, for all together or, with `each`, for each of them.
    """

    clause: _Number
    item_class: _Item
    people_from: _People = 1
    people_to: _People = PEOPLE_MAX
    quantity: _NotNegative
    each: bool
    period: Period

    def granted(self, people: int) -> int:
        """Return what so many people have."""
        return self.quantity * people if self.each else self.quantity


class RefusalWords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[refusal]]`: what is said at the counter instead of an outcome's usual words."""

    outcome: str
    text_ru: _Name
    text_en: _Name
    remedy_ru: _Name
    remedy_en: _Name


class CaseRight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A right that the citizen of a test case has; `used` of `granted` is gone already.

    Amounts count the smallest unit: of the item's, or kopecks where the service takes these. Left
    out, `granted` is the norm for the people of the case. `item` is the trade name that was
    prescribed, `category` what opens the measure; a course is meant for `course_days`, the case's
    day being `running_days` after it began.
    """

    measure: _Code
    item_class: _Item
    granted: _NotNegative | None = None
    used: _NotNegative = 0
    period: Period | None = None
    priority: int = 100
    category: _Code | None = None
    item: _Item | None = None
    course_days: Annotated[int, msgspec.Meta(ge=1, le=366)] | None = None
    running_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 0


class CaseFact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of the citizen of a test case; `ended_days` before its day it ended."""

    fact: HolderFact
    of_this_provider: bool = True
    ended_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 0


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

    It happens at noon of `day`, by default on the regulation's first day. With `minutes` it is a
    visit of that length, whose finish has `finish_lines`, by default the start's. `people` live in
    the household.
    """

    clause: _Number
    title_ru: _Name
    day: date | None = None
    evidence: EvidenceWord | None = None
    people: _People | None = None
    rights: tuple[CaseRight, ...] = ()
    facts: tuple[CaseFact, ...] = ()
    lines: Annotated[tuple[CaseLine, ...], msgspec.Meta(min_length=1, max_length=28)]
    minutes: Annotated[int, msgspec.Meta(ge=0, le=VISIT_MAX_MINUTES * 2)] | None = None
    finish_lines: tuple[CaseLine, ...] | None = None
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
    visit: Visit | None
    report: Reporting
    clauses: tuple[Clause, ...]
    requirements: tuple[Requirement, ...]
    norms: tuple[Norm, ...]
    refusals: tuple[RefusalWords, ...]
    cases: tuple[Case, ...]

    @property
    def title(self) -> str:
        """Service and version, as people quote them."""
        return f"{self.regulation.service} v{self.regulation.version}"

    def norm(self, measure: str, item_class: str, people: int) -> Norm | None:
        """Return what the document says of so many people's right; None if it says nothing."""
        numbers = {clause.clause for clause in self.clauses if clause.measure == measure}
        for norm in self.norms:
            fits = norm.clause in numbers and norm.item_class == item_class
            if fits and norm.people_from <= people <= norm.people_to:
                return norm
        return None

    def granted(self, case: Case, right: CaseRight) -> tuple[int, Period]:
        """Return amount and period of a test case's right: its own, or the norm's."""
        norm = self.norm(right.measure, right.item_class, case.people or 1)
        amount = norm.granted(case.people or 1) if right.granted is None and norm else right.granted
        period = right.period or (norm.period if right.granted is None and norm else Period.TERM)
        return amount or 0, period


_TABLES: Final = {
    "regulation": Head,
    "transaction": Transaction,
    "visit": Visit,
    "report": Reporting,
}
_LISTS: Final = {
    "clause": Clause,
    "requirement": Requirement,
    "norm": Norm,
    "refusal": RefusalWords,
    "case": Case,
}
_OPTIONAL: Final = {"visit", "report", "requirement", "norm", "refusal"}


def read_regulation(data: bytes, name: str) -> Regulation:
    """Return the document in `data`; `name` is for messages.

    Only its form is looked at (`processing.regulations.check` does the rest). Raises
    `DocumentError` with what is wrong in each table.
    """
    source = read_source(data, name)
    found = read_tables(source, _TABLES, _LISTS, _OPTIONAL)
    return Regulation(
        source=source,
        regulation=found["regulation"],
        transaction=found["transaction"],
        visit=found["visit"],
        report=found["report"] or Reporting(),
        clauses=found["clause"],
        requirements=found["requirement"],
        norms=found["norm"],
        refusals=found["refusal"],
        cases=found["case"],
    )
