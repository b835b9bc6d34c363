"""A rule of eligibility as an official writes it: one TOML document per measure and version.

Numbered clauses make a tree: clause 2.1 belongs to clause 2, and clauses without a dot must all
hold. A clause either compares one fact, or says which of its sub-clauses must hold.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from processing.eligibility.fact_names import FactName
from processing.eligibility.facts import Answer, Facts
from processing.regulations.document import Period
from processing.regulations.source import Source, read_source
from processing.regulations.tables import CODE, ITEM, NUMBER, WORD, read_tables

CLAUSES_MAX: Final = 64
"""Most clauses of one rule; a law of more is several measures."""


class Combination(StrEnum):
    """Which sub-clauses must hold."""

    ALL = "all"
    ANY = "any"
    NONE = "none"


class HolderWord(StrEnum):
    """Who gets the right."""

    CITIZEN = "citizen"
    HOUSEHOLD = "household"


class Granting(StrEnum):
    """What a life event brings: a right by itself, one that a person approves, or an offer."""

    AUTOMATIC = "automatic"
    APPROVED = "approved"
    OFFER = "offer"


class Consent(StrEnum):
    """What a citizen may have agreed to (`register.consent`)."""

    PROACTIVE = "proactive"
    PROCESSING = "processing"


class Start(StrEnum):
    """The first day of what is granted."""

    DECISION = "decision"
    EVENT = "event"
    NEXT_MONTH = "next month"


_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
_Code = Annotated[str, msgspec.Meta(pattern=CODE)]
_Word = Annotated[str, msgspec.Meta(pattern=WORD)]
_Number = Annotated[str, msgspec.Meta(pattern=NUMBER)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12 - 1)]
_Codes = Annotated[tuple[_Code, ...], msgspec.Meta(max_length=64)]


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[eligibility]`: which measure, which version, whose, since when and until when.

    An application is decided within `decision_days`, an offer waits `offer_days` for an answer.
    """

    measure: _Code
    version: Annotated[int, msgspec.Meta(ge=1, le=9_999)]
    name_ru: _Name
    name_en: _Name
    agency_ru: _Name
    agency_en: _Name
    basis_ru: _Text
    valid_from: date
    valid_to: date
    decision_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 10
    offer_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 90


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[grant]`: to whom, under which category, from when until when.

    It is recorded under the first category held of those that the rule asks for, or `category`. It
    ends with the earliest of what is named; something has to be named.
    """

    holder: HolderWord = HolderWord.CITIZEN
    category: _Code
    start: Start = Start.DECISION
    valid_days: Annotated[int, msgspec.Meta(ge=1, le=36_600)] | None = None
    until_age: Annotated[int, msgspec.Meta(ge=1, le=120)] | None = None
    until_year_end: bool = False
    until_category_end: bool = False


class Right(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[right]]`: what the person gets; none where a plan or a prescription says it.

    `amount` counts the smallest unit of the class in each period, for each member of the household
    where `per_member`.
    """

    item_class: Annotated[str, msgspec.Meta(pattern=ITEM)]
    amount: Annotated[int, msgspec.Meta(ge=1, le=10**12 - 1)]
    per_member: bool = False
    period: Period
    priority: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 100


class Proactive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[proactive]`: the life events that make people candidates, and what follows.

    Candidates are the citizen of the event, or everybody in the household.
    `consent` is the scope that the citizen must have agreed to before a right comes unasked.
    """

    events: Annotated[tuple[_Word, ...], msgspec.Meta(min_length=1, max_length=16)]
    granting: Granting
    consent: Consent = Consent.PROACTIVE
    candidates: HolderWord = HolderWord.CITIZEN


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[clause]]`: one condition with its text."""

    clause: _Number
    text_ru: _Text
    text_en: _Text
    holds: Combination | None = None
    fact: FactName | None = None
    younger_than: Annotated[int, msgspec.Meta(ge=1, le=120)] | None = None
    event: _Word | None = None
    parameter: _Code | None = None
    at_least: _Count | None = None
    at_most: _Count | None = None
    one_of: tuple[str, ...] = ()
    equals: bool | None = None

    @property
    def parent(self) -> str:
        """The number of the clause that this one belongs to; "" for one without a dot."""
        return self.clause.rpartition(".")[0]


class Paper(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[document]]`: a paper that is needed: always, or only where `fact` is not known."""

    name_ru: _Name
    name_en: _Name
    fact: FactName | None = None


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer to a choice."""

    option: _Code
    text_ru: _Name
    text_en: _Name


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[choice]]`: what only the citizen can say."""

    choice: _Code
    question_ru: _Name
    question_en: _Name
    options: Annotated[tuple[Option, ...], msgspec.Meta(min_length=2, max_length=32)]


class CaseFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The person of a test case; what is left out is not known."""

    birth_date: date | None = None
    sex: str | None = None
    categories: _Codes | None = None
    household_births: tuple[date, ...] | None = None
    income_kopecks: _Count | None = None
    resident: bool | None = None
    pregnant: bool | None = None
    employed: bool | None = None
    pensioner: bool | None = None
    events: dict[str, date] | None = None
    measures: _Codes | None = None
    year_measures: _Codes | None = None
    records: tuple[str, ...] | None = None

    def known(self) -> Facts:
        """Return the facts as the register would give them."""
        given = msgspec.structs.asdict(self)
        if self.categories is not None:
            given["categories"] = dict.fromkeys(self.categories, date.max)
        return Facts(**given)


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[case]]`: a person, and what must be answered, because of `clause`.

    It happens on `day`, by default the rule's first; `amounts_kopecks` are the region's amounts.
    """

    clause: _Number
    title_ru: _Name
    day: date | None = None
    person: CaseFacts
    amounts_kopecks: dict[str, _Count] = {}
    expect: Answer


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The whole document, with where everything in it stands."""

    source: Source
    eligibility: Head
    grant: Grant
    rights: tuple[Right, ...]
    proactive: Proactive | None
    clauses: tuple[Clause, ...]
    papers: tuple[Paper, ...]
    choices: tuple[Choice, ...]
    cases: tuple[Case, ...]

    @property
    def title(self) -> str:
        """Measure and version, as people quote them."""
        return f"{self.eligibility.measure} v{self.eligibility.version}"

    def children(self, number: str) -> tuple[Clause, ...]:
        """Return the clauses right below a clause, in their order; of "" those without a dot."""
        return tuple(clause for clause in self.clauses if clause.parent == number)


_TABLES: Final = {"eligibility": Head, "grant": Grant, "proactive": Proactive}
_LISTS: Final = {
    "right": Right,
    "clause": Clause,
    "document": Paper,
    "choice": Choice,
    "case": Case,
}
_OPTIONAL: Final = ("proactive", "right", "document", "choice")


def read_rule(data: bytes, name: str) -> Rule:
    """Return the document in `data`; `name` is for messages.

    Only its form is looked at (`processing.eligibility.check` does the rest). Raises
    `DocumentError` with what is wrong in each table.
    """
    source = read_source(data, name)
    found = read_tables(source, _TABLES, _LISTS, _OPTIONAL)
    return Rule(
        source=source,
        eligibility=found["eligibility"],
        grant=found["grant"],
        rights=found["right"],
        proactive=found["proactive"],
        clauses=found["clause"],
        papers=found["document"],
        choices=found["choice"],
        cases=found["case"],
    )
