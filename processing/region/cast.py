"""The demonstration's cast (cast.toml): the same people in every region.

    cast = load_cast()
    cast.member("sokolova").citizen_id

`cast_households(cast, catalogue, today)` gives them with their documents dated for `today`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final
from uuid import UUID

import msgspec

from processing.kernel.errors import ConfigurationError
from processing.region.catalogue import Catalogue
from processing.region.documents import read_document
from processing.region.model import (
    Certificate,
    Citizen,
    Holding,
    Household,
    Person,
    Prescription,
    Relation,
    Sex,
)

CAST: Final = "cast.toml"


class CastHolding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A benefit category; `document` fills {number} in the category's evidence."""

    category: str
    valid_from: date
    valid_to: date
    document: str


class CastPrescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prescription written `days_ago`; `measure` and `category` say who pays and why."""

    measure: str
    category: str
    item_class: str
    packs: int
    series: str
    number: str
    days_ago: int
    valid_days: int


class CastCertificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A social certificate decided `days_ago`."""

    category: str
    amount_kopecks: int
    days_ago: int


class CastMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the cast; `key` is what the demonstration calls them."""

    key: str
    citizen_id: UUID
    relation: Relation
    last_name: str
    first_name: str
    patronymic: str
    birth_date: date
    sex: Sex
    snils: str
    enp: str
    inn: str | None = None
    holdings: tuple[CastHolding, ...] = ()
    prescriptions: tuple[CastPrescription, ...] = ()
    certificates: tuple[CastCertificate, ...] = ()


class CastAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A household's account at a utility provider."""

    account_number: str
    provider_code: str


class CastHousehold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People of the cast who live together."""

    household_id: UUID
    address: str
    accounts: tuple[CastAccount, ...]
    member: tuple[CastMember, ...]


class Cast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole document."""

    household: tuple[CastHousehold, ...]

    @property
    def members(self) -> tuple[CastMember, ...]:
        """Everybody, in the document's order."""
        return tuple(member for household in self.household for member in household.member)

    def member(self, key: str) -> CastMember:
        """Return one of the cast; raises KeyError."""
        return {member.key: member for member in self.members}[key]

    def household_of(self, key: str) -> CastHousehold:
        """Return the household in which one of the cast lives; raises KeyError."""
        return {m.key: household for household in self.household for m in household.member}[key]


def load_cast() -> Cast:
    """Return the cast; raises `ConfigurationError` naming the field."""
    return read_document(CAST, Cast)


def cast_households(cast: Cast, catalogue: Catalogue, today: date) -> Iterator[Household]:
    """Give the cast's households as of `today`; a wrong category raises `ConfigurationError`."""
    evidence = {entry.category: entry.evidence for entry in catalogue.category}
    for household in cast.household:
        yield Household(
            household_id=household.household_id.bytes,
            # The last digits of its identifier, above all numbers that are drawn.
            number=f"{catalogue.region.region:02d}-99999{household.household_id.hex[-2:].upper()}",
            address=household.address,
            accounts=tuple((a.account_number, a.provider_code) for a in household.accounts),
            members=tuple(_citizen(member, evidence, today) for member in household.member),
        )


def _citizen(member: CastMember, evidence: dict[str, str], today: date) -> Citizen:
    if unknown := {holding.category for holding in member.holdings} - set(evidence):
        raise ConfigurationError(f"{CAST}: {member.key}: there is no category {min(unknown)}")
    return Citizen(
        citizen_id=member.citizen_id.bytes,
        person=Person(
            member.relation,
            member.sex,
            member.last_name,
            member.first_name,
            member.patronymic,
            member.birth_date,
        ),
        snils=member.snils,
        enp=member.enp,
        inn=member.inn,
        holdings=tuple(
            Holding(
                holding.category,
                holding.valid_from,
                holding.valid_to,
                evidence[holding.category].format(number=holding.document),
            )
            for holding in member.holdings
        ),
        prescriptions=tuple(
            Prescription(
                written.measure,
                written.category,
                written.item_class,
                written.packs,
                written.series,
                written.number,
                today - timedelta(days=written.days_ago),
                written.valid_days,
            )
            for written in member.prescriptions
        ),
        certificates=tuple(
            Certificate(
                certificate.category,
                certificate.amount_kopecks,
                today - timedelta(days=certificate.days_ago),
            )
            for certificate in member.certificates
        ),
    )
