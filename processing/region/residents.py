"""Makes residents of families: numbers, categories, prescriptions, certificates, an address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import msgspec

from processing.region.catalogue import Catalogue
from processing.region.chance import Chance, Shuffled, Weighted
from processing.region.families import ADULT_AGE, YEAR_DAYS, Family, age_on
from processing.region.model import Certificate, Citizen, Holding, Household, Person, Prescription
from processing.region.population import HoldingShare, HouseholdKind, MedicineShare, Population
from processing.register.identifiers import make_enp, make_person_inn, make_snils

# Primes below a power of ten: the numbers above them are the cast's (cast.toml).
SNILS_PRIME: Final = 99_999_989
INN_PRIME: Final = 9_999_991
ACCOUNT_PRIME: Final = 99_999_989
PRESCRIPTION_PRIME: Final = 9_999_999_967

SNILS_FIRST: Final = 900_000_000
"""No СНИЛС that starts with 9 has been given to anybody."""

INN_FIRST: Final = 99_800_000_00
"""Tax offices 9980 to 9989, which do not exist."""

FOR_LIFE: Final = date(2099, 12, 31)
HOLDER_AGE_DAYS_MIN: Final = 120
"""Nobody younger has a benefit category of their own."""

PRESCRIBED_DAYS_AGO_MAX: Final = 20
VALID_DAYS: Final = Weighted((30, 90), (2, 3))
"""Terms of a prescription, in days; all drawn ones are still valid."""

MEDICINE_MEASURES: Final = ("MED.FED", "MED.REG")
"""Measures that pay for prescriptions; a category uses the first that it opens."""

MUNICIPAL: Final = "MED.MUN"
"""What pays for the medicines of poor families, of whom one in `MUNICIPAL_EVERY` has an order."""

MUNICIPAL_EVERY: Final = 3
MUNICIPAL_DAYS: Final = 30
COURSE_EVERY: Final = 4
"""Of the orders for several packs over `COURSE_DAYS` one in so many is a course, pack by pack."""

COURSE_DAYS: Final = 90


class Numbers:
    """Hands out document numbers, each once."""

    def __init__(self, chance: Chance, region: int) -> None:
        self._region = region
        self._snils = Shuffled(SNILS_PRIME, chance)
        self._inn = Shuffled(INN_PRIME, chance)
        self._accounts = Shuffled(ACCOUNT_PRIME, chance)
        self._prescriptions = Shuffled(PRESCRIPTION_PRIME, chance)
        self._enp_serials: dict[tuple[date, str], int] = {}
        self._households = 0

    def snils(self) -> str:
        """Return a new СНИЛС."""
        return make_snils(SNILS_FIRST + self._snils.take())

    def inn(self) -> str:
        """Return a new ИНН of a person."""
        return make_person_inn(*divmod(INN_FIRST + self._inn.take(), 1_000_000))

    def enp(self, person: Person) -> str:
        """Return a new policy number that fits the person's birth date and sex."""
        key = (person.birth_date, person.sex)
        serial = self._enp_serials.get(key, 0)
        self._enp_serials[key] = serial + 1
        return make_enp(self._region, person.birth_date, person.sex, serial)

    def household(self) -> str:
        """Return the number of a new household's file."""
        self._households += 1
        return f"{self._region:02d}-{self._households:07d}"

    def account(self, provider: int) -> str:
        """Return a new personal account at the provider numbered `provider` (1 to 8)."""
        return f"{provider}0{self._accounts.take():08d}"

    def prescription(self) -> str:
        """Return a new prescription number."""
        return f"{self._prescriptions.take():010d}"


class Residents:
    """Turns families into households, as of `today`, from one stream of chances."""

    def __init__(
        self, chance: Chance, catalogue: Catalogue, population: Population, today: date
    ) -> None:
        self._chance = chance
        self._today = today
        self._population = population
        self._numbers = Numbers(chance, catalogue.region.region)
        self._poor = population.family.low_income.category
        self._utilities = [one.code for one in catalogue.provider if one.kind == "utility"]
        self._evidence = {entry.category: entry.evidence for entry in catalogue.category}
        self._pays = {
            entry.category: next((m for m in MEDICINE_MEASURES if m in entry.measures), None)
            for entry in catalogue.category
        }
        self._series = f"{catalogue.region.region:02d}{today.year % 100:02d}"
        self._settlements = Weighted(
            [place.name for place in population.settlement],
            [place.weight for place in population.settlement],
        )
        self._counts = {
            weights: Weighted(range(len(weights)), weights)
            for weights in (
                *(share.prescriptions for share in population.holding),
                population.family.large.prescriptions,
            )
        }
        self._medicines: dict[int, Weighted[MedicineShare]] = {}

    def household(self, family: Family, room: int) -> Household:
        """Return the family as a household of at most `room` citizens."""
        chance = self._chance
        members = family.members[:room]
        shared = self._family_holdings(family.kind, members)
        return Household(
            household_id=chance.next_id(),
            number=self._numbers.household(),
            address=self._address(),
            accounts=tuple(
                (self._numbers.account(place), code)
                for place, code in enumerate(self._utilities, 1)
            ),
            members=tuple(self._citizen(person, shared) for person in members),
        )

    def _address(self) -> str:
        chance = self._chance
        place = chance.one_of(self._settlements)
        street = chance.any_of(self._population.streets.names)
        house = chance.between(1, 98)
        if not place.startswith("г."):
            return f"{place}, {street}, д. {house}"
        return f"{place}, {street}, д. {house}, кв. {chance.between(1, 160)}"

    def _citizen(self, person: Person, shared: tuple[Holding, ...]) -> Citizen:
        chance, population = self._chance, self._population
        age = age_on(person.birth_date, self._today)
        inn_share = population.adult_inn_share if age >= ADULT_AGE else population.child_inn_share
        citizen_id = chance.next_id()
        holdings: list[Holding] = []
        prescriptions: list[Prescription] = []
        certificates: list[Certificate] = []
        for share in self._drawn_categories(person, age):
            holding = self._holding(share.category, person, share.years)
            holdings.append(holding)
            prescriptions += self._prescriptions(holding, age, share.prescriptions, prescriptions)
            if not certificates and chance.happens(share.certificate_share):
                certificates.append(self._certificate(holding))
        large = population.family.large
        for holding in shared:
            first = max(holding.valid_from, person.birth_date)
            holdings.append(Holding(holding.category, first, holding.valid_to, holding.evidence))
            if holding.category == large.category and age <= large.prescribed_to_age:
                prescriptions += self._prescriptions(
                    holdings[-1], age, large.prescriptions, prescriptions
                )
            low_income = holding.category == population.family.low_income.category
            if low_income and person.relation == "head" and not certificates:
                certificates.append(self._certificate(holding))
        citizen = Citizen(
            citizen_id=citizen_id,
            person=person,
            snils=self._numbers.snils(),
            enp=self._numbers.enp(person) if chance.happens(population.insured_share) else None,
            inn=self._numbers.inn() if chance.happens(inn_share) else None,
            holdings=tuple(holdings),
            prescriptions=tuple(prescriptions),
            certificates=tuple(certificates),
        )
        return self._municipal(citizen, age) if shared else citizen

    def _drawn_categories(self, person: Person, age: int) -> Iterator[HoldingShare]:
        """Give a person's own categories, at most one of each family of them."""
        if (self._today - person.birth_date).days < HOLDER_AGE_DAYS_MIN:
            return
        taken: set[str] = set()
        for share in self._population.holding:
            if not share.ages[0] <= age <= share.ages[1]:
                continue
            group = share.category.partition(".")[0]
            if group not in taken and self._chance.happens(share.share):
                taken.add(group)
                yield share

    def _holding(self, category: str, person: Person, years: int) -> Holding:
        """Draw when a category was found and how long it holds; it holds today."""
        longest = years * 365 if years else 15 * 365
        since_birth = (self._today - person.birth_date).days
        days_ago = self._chance.between(30, min(longest, since_birth) - 30)
        first = self._today - timedelta(days=days_ago)
        last = first + timedelta(days=int(years * YEAR_DAYS)) if years else FOR_LIFE
        return Holding(category, first, last, self._document(category))

    def _document(self, category: str) -> str:
        number = self._chance.between(10_000, 2_999_999)
        return self._evidence[category].format(number=number)

    def _prescriptions(
        self,
        holding: Holding,
        age: int,
        weights: tuple[float, ...],
        present: list[Prescription],
    ) -> list[Prescription]:
        """Draw what a category's measure pays for, no medicine twice for one person."""
        chance = self._chance
        measure = self._pays[holding.category]
        wanted = chance.one_of(self._counts[weights])
        if measure is None or wanted == 0:
            return []
        have = {written.item_class for written in present}
        written = []
        for _ in range(wanted):
            medicine = chance.one_of(self._medicines_at(age))
            if medicine.item_class in have:
                continue
            have.add(medicine.item_class)
            days_ago = chance.between(0, PRESCRIBED_DAYS_AGO_MAX)
            written.append(
                _in_courses(
                    Prescription(
                        measure,
                        holding.category,
                        medicine.item_class,
                        chance.between(*medicine.packs),
                        self._series,
                        self._numbers.prescription(),
                        max(holding.valid_from, self._today - timedelta(days=days_ago)),
                        chance.one_of(VALID_DAYS),
                    )
                )
            )
        return written

    def _municipal(self, citizen: Citizen, age: int) -> Citizen:
        """Return a citizen of a poor family with what the city pays for, if anything.

        It follows from the citizen's number: the stream of chances stays as it was.
        """
        held = next((one for one in citizen.holdings if one.category == self._poor), None)
        number = int(citizen.snils[:9])
        if held is None or citizen.prescriptions or number % MUNICIPAL_EVERY:
            return citizen
        medicines = [m for m in self._population.medicine if m.ages[0] <= age <= m.ages[1]]
        if not medicines:
            return citizen
        medicine = medicines[number // MUNICIPAL_EVERY % len(medicines)]
        # A СНИЛС is nobody else's; so is a number made of its first nine digits.
        order = Prescription(
            MUNICIPAL,
            held.category,
            medicine.item_class,
            medicine.packs[0],
            f"{self._series[:2]}М{self._series[2:]}",
            citizen.snils[:9],
            max(held.valid_from, self._today - timedelta(days=number % 10)),
            MUNICIPAL_DAYS,
        )
        return msgspec.structs.replace(citizen, prescriptions=(order,))

    def _medicines_at(self, age: int) -> Weighted[MedicineShare]:
        """Return what is prescribed at an age, kept for the next person of that age."""
        if age not in self._medicines:
            fitting = [m for m in self._population.medicine if m.ages[0] <= age <= m.ages[1]]
            self._medicines[age] = Weighted(fitting, [m.weight for m in fitting])
        return self._medicines[age]

    def _certificate(self, holding: Holding) -> Certificate:
        chance, terms = self._chance, self._population.certificate
        decided_on = self._today - timedelta(days=chance.between(1, 200))
        amount_kopecks = terms.from_kopecks + terms.step_kopecks * chance.between(0, terms.steps)
        return Certificate(holding.category, amount_kopecks, max(decided_on, holding.valid_from))

    def _family_holdings(
        self, kind: HouseholdKind, members: tuple[Person, ...]
    ) -> tuple[Holding, ...]:
        """Draw what a family has together: the category of large ones, of poor ones."""
        family = self._population.family
        births = sorted(
            person.birth_date
            for person in members
            if age_on(person.birth_date, self._today) < ADULT_AGE
        )
        holdings = []
        is_large = len(births) >= family.large.children
        if is_large:
            # The term begins with the birth that makes the family large and ends when one child
            # too many has come of age.
            first = births[family.large.children - 1]
            leaves = births[len(births) - family.large.children]
            last = leaves + timedelta(days=int(ADULT_AGE * YEAR_DAYS))
            category = family.large.category
            holdings.append(Holding(category, first, last, self._document(category)))
        poor = family.low_income
        share = poor.share
        if kind is HouseholdKind.MOTHER_WITH_CHILDREN:
            share = poor.mother_share
        elif is_large:
            share = poor.large_share
        if self._chance.happens(share):
            first = self._today - timedelta(days=self._chance.between(10, 330))
            last = first + timedelta(days=365)
            holdings.append(Holding(poor.category, first, last, self._document(poor.category)))
        return tuple(holdings)


def _in_courses(order: Prescription) -> Prescription:
    """Return an order that is given pack by pack, if it is one of those; its number tells."""
    long = order.valid_days == COURSE_DAYS and order.packs > 1
    if not long or int(order.number) % COURSE_EVERY:
        return order
    return msgspec.structs.replace(order, course_days=COURSE_DAYS)
