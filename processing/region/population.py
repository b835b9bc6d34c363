"""How the synthetic population is made up (population.toml) and what it is called (names.toml)."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from processing.region.chance import Chance, Weighted
from processing.region.documents import read_document
from processing.region.model import Sex

POPULATION: Final = "population.toml"
NAMES: Final = "names.toml"

COHORTS_FROM: Final = (1960, 1985, 2005)
"""Years of birth from which names.toml gives other frequencies."""

INDECLINABLE: Final = ("ых", "их")
"""Endings of surnames that are the same for women and men although they look like adjectives."""


class HouseholdKind(StrEnum):
    """Who lives together."""

    SINGLE_SENIOR = "single senior"
    SINGLE_ADULT = "single adult"
    SENIOR_COUPLE = "senior couple"
    COUPLE = "couple"
    COUPLE_WITH_CHILDREN = "couple with children"
    MOTHER_WITH_CHILDREN = "mother with children"
    THREE_GENERATIONS = "three generations"
    PARENT_WITH_ADULT_CHILD = "parent with adult child"


class HouseholdShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How common a kind of household is."""

    kind: HouseholdKind
    weight: float


class ChildrenShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of one, two, three, … children in a family that has some."""

    weights: tuple[float, ...]


class HoldingShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How common a benefit category is among people of these ages; see population.toml."""

    category: str
    ages: tuple[int, int]
    share: float
    years: int
    prescriptions: tuple[float, ...]
    certificate_share: float


class LargeFamily(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The category of families with at least so many children under age."""

    category: str
    children: int
    prescribed_to_age: int
    prescriptions: tuple[float, ...]


class LowIncome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The category of families below the minimum, and how common it is among which."""

    category: str
    share: float
    mother_share: float
    large_share: float


class FamilyShares(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Categories that a whole family has together."""

    large: LargeFamily
    low_income: LowIncome


class CertificateShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Social certificates: `from_kopecks` plus up to `steps` times `step_kopecks`."""

    measure: str
    item_class: str
    from_kopecks: int
    step_kopecks: int
    steps: int


class MedicineShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a medicine is prescribed to people of these ages, and how many packs."""

    item_class: str
    ages: tuple[int, int]
    weight: float
    packs: tuple[int, int]


class Settlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A town or village and how many live there."""

    name: str
    weight: float


class Streets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of streets, the same in every settlement."""

    names: tuple[str, ...]


class Population(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document population.toml."""

    insured_share: float
    adult_inn_share: float
    child_inn_share: float
    household: tuple[HouseholdShare, ...]
    children: ChildrenShare
    holding: tuple[HoldingShare, ...]
    family: FamilyShares
    certificate: CertificateShare
    medicine: tuple[MedicineShare, ...]
    settlement: tuple[Settlement, ...]
    streets: Streets


class People(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tradition of names: first names with patronymics and frequencies by cohort."""

    share: float
    surnames: tuple[tuple[str, int], ...]
    male: tuple[tuple[str, str, str, int, int, int, int], ...]
    female: tuple[tuple[str, int, int, int, int], ...]


class NamesDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document names.toml."""

    people: tuple[People, ...]


class Names:
    """One tradition of names, ready for drawing."""

    def __init__(self, people: People) -> None:
        cohorts = range(len(COHORTS_FROM) + 1)
        self._surnames = Weighted(
            [(name, feminine(name)) for name, _ in people.surnames],
            [weight for _, weight in people.surnames],
        )
        self._male = [
            Weighted([row[0] for row in people.male], [row[3:][cohort] for row in people.male])
            for cohort in cohorts
        ]
        self._female = [
            Weighted([row[0] for row in people.female], [row[1:][cohort] for row in people.female])
            for cohort in cohorts
        ]
        self.patronymics = {row[0]: (row[1], row[2]) for row in people.male}

    def surname(self, chance: Chance) -> tuple[str, str]:
        """Draw a surname; return its masculine and feminine form."""
        return chance.one_of(self._surnames)

    def first_name(self, chance: Chance, sex: Sex, born: date) -> str:
        """Draw a first name as common as it was when the person was born."""
        cohort = sum(born.year >= year for year in COHORTS_FROM)
        return chance.one_of((self._male if sex == "m" else self._female)[cohort])

    def patronymic(self, father: str, sex: Sex) -> str:
        """Return the patronymic of a child whose father is called `father`."""
        return self.patronymics[father][0 if sex == "m" else 1]


def feminine(surname: str) -> str:
    """Return a woman's form of a Russian surname given in a man's form."""
    if surname.endswith(INDECLINABLE):
        return surname
    if surname.endswith(("ов", "ев", "ёв", "ин", "ын")):
        return surname + "а"
    if surname.endswith(("ий", "ый", "ой")):
        return surname[:-2] + "ая"
    return surname


def load_population() -> Population:
    """Return population.toml; raises `ConfigurationError` naming the field."""
    return read_document(POPULATION, Population)


def load_names() -> Weighted[Names]:
    """Return the traditions of names with their shares; raises `ConfigurationError`."""
    people = read_document(NAMES, NamesDocument).people
    return Weighted([Names(one) for one in people], [one.share for one in people])
