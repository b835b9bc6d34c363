"""What a region is made of, before it becomes rows: households with people and their rights.

Identifiers are UUIDs of 16 bytes; dates are calendar dates of the region.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal

import msgspec

Sex = Literal["m", "f"]


class Relation(StrEnum):
    """What a member is to the household's head."""

    HEAD = "head"
    SPOUSE = "spouse"
    CHILD = "child"
    OTHER = "other"


class Person(msgspec.Struct, frozen=True, gc=False):
    """A member of a family as families are drawn: a name, a birthday, a place in the family."""

    relation: Relation
    sex: Sex
    last_name: str
    first_name: str
    patronymic: str
    birth_date: date


class Holding(msgspec.Struct, frozen=True, gc=False):
    """A benefit category that a citizen has, and the document that proves it."""

    category: str
    valid_from: date
    valid_to: date
    evidence: str


class Prescription(msgspec.Struct, frozen=True, gc=False):
    """A doctor's order; `measure` pays for it and `category` opens the measure.

    `course_days`: for how long all packs together are meant, where they are given one by one.
    """

    measure: str
    category: str
    item_class: str
    packs: int
    series: str
    number: str
    prescribed_on: date
    valid_days: int
    course_days: int | None = None


class Certificate(msgspec.Struct, frozen=True, gc=False):
    """A social certificate of `amount_kopecks`, decided on `decided_on`."""

    category: str
    amount_kopecks: int
    decided_on: date


class Citizen(msgspec.Struct, frozen=True, kw_only=True):
    """A citizen with what was found, prescribed and granted to them."""

    citizen_id: bytes
    person: Person
    snils: str
    enp: str | None
    inn: str | None
    holdings: tuple[Holding, ...] = ()
    prescriptions: tuple[Prescription, ...] = ()
    certificates: tuple[Certificate, ...] = ()


class Household(msgspec.Struct, frozen=True, kw_only=True):
    """People who live together; `accounts` are numbers at utility providers, by provider code."""

    household_id: bytes
    number: str
    address: str
    accounts: tuple[tuple[str, str], ...]
    members: tuple[Citizen, ...]


class Allowance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A countable right; `granted` counts the smallest unit, `period` is the database's code."""

    allowance_id: bytes
    item_class: str
    unit_okei: int
    scale: int
    granted: int
    period: int
    valid_from: date
    valid_to: date
    priority: int = 100
    item: str | None = None
    course_days: int | None = None


class Entitlement(msgspec.Struct, frozen=True, kw_only=True):
    """A measure granted to a citizen or a household, with its allowances."""

    holder_id: bytes
    entitlement_id: bytes
    measure: str
    category: str
    funding: str
    valid_from: date
    valid_to: date
    decision_number: str
    decided_on: date
    allowances: tuple[Allowance, ...]


class HolderFact(msgspec.Struct, frozen=True, gc=False):
    """What services ask about a citizen: a policy in force, the provider attached to (its code)."""

    holder_id: bytes
    fact: str
    valid_from: date
    valid_to: date
    provider_code: str | None


class PrescribedAllowance(msgspec.Struct, frozen=True, gc=False):
    """Which allowance a citizen's prescription became, which budget pays, and what share."""

    citizen_id: bytes
    prescription: Prescription
    funding: str
    percent: int
    allowance_id: bytes
