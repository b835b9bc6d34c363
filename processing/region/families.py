"""Draws families: who lives together, how old they are, and how their names go together."""

from __future__ import annotations

from datetime import date
from typing import Final, assert_never

import msgspec

from processing.region.chance import Chance, Weighted
from processing.region.model import Person, Relation, Sex
from processing.region.population import HouseholdKind, Names

YEAR_DAYS: Final = 365.2425
ADULT_AGE: Final = 18
GENERATION_YEARS: Final = 27
"""How much older a father is taken to be when only his name matters."""

MOTHER_AGES: Final = (20, 42)
"""Ages at which women of the region have children, both included."""

SENIOR_AGES: Final = (60, 92)
WORKING_AGES: Final = (19, 59)
PARENT_AGES: Final = (22, 54)
TAKES_HUSBANDS_NAME: Final = 0.87

Surname = tuple[str, str]


class Family(msgspec.Struct, frozen=True):
    """People of one household, its head first, and what kind of household it is."""

    kind: HouseholdKind
    members: tuple[Person, ...]


class FamilyDraw:
    """Draws families from one stream of chances, as of the day `today`."""

    def __init__(
        self,
        chance: Chance,
        names: Weighted[Names],
        kinds: Weighted[HouseholdKind],
        children: Weighted[int],
        today: date,
    ) -> None:
        self._chance = chance
        self._traditions = names
        self._kinds = kinds
        self._children = children
        self._today = today.toordinal()

    def draw(self) -> Family:
        """Return the next family."""
        kind = self._chance.one_of(self._kinds)
        names = self._chance.one_of(self._traditions)
        return Family(kind, tuple(self._members(kind, names)))

    def _members(self, kind: HouseholdKind, names: Names) -> list[Person]:
        chance = self._chance
        surname = names.surname(chance)
        match kind:
            case HouseholdKind.SINGLE_SENIOR:
                # Women outlive men, and more of them live alone.
                sex: Sex = "f" if chance.happens(0.73) else "m"
                born = self._senior_born()
                return [self._adult(names, sex, surname, born, Relation.HEAD)]
            case HouseholdKind.SINGLE_ADULT:
                sex = "m" if chance.happens(0.54) else "f"
                born = self._born(WORKING_AGES)
                return [self._adult(names, sex, surname, born, Relation.HEAD)]
            case HouseholdKind.SENIOR_COUPLE:
                return self._couple(names, surname, SENIOR_AGES, self._senior_born())
            case HouseholdKind.COUPLE:
                return self._couple(names, surname, WORKING_AGES, self._born(WORKING_AGES))
            case HouseholdKind.COUPLE_WITH_CHILDREN:
                born = self._born(PARENT_AGES)
                father, mother = self._couple(names, surname, PARENT_AGES, born)
                return [father, mother, *self._minors(names, surname, mother, father)]
            case HouseholdKind.MOTHER_WITH_CHILDREN:
                born = self._born(PARENT_AGES)
                mother = self._adult(names, "f", surname, born, Relation.HEAD)
                return [mother, *self._minors(names, surname, mother, None)]
            case HouseholdKind.THREE_GENERATIONS:
                return self._three_generations(names, surname)
            case HouseholdKind.PARENT_WITH_ADULT_CHILD:
                return self._with_adult_child(names, surname)
            case _:
                assert_never(kind)

    def _couple(
        self, names: Names, surname: Surname, ages: tuple[int, int], wife_born: int
    ) -> list[Person]:
        """Draw a husband, the head, and his wife, mostly somewhat younger and of his name."""
        chance = self._chance
        earliest, latest = self._span(ages[0], ages[1] + 6)
        husband_born = wife_born - chance.between(-3 * 365, 8 * 365)
        husband = self._adult(
            names, "m", surname, min(max(husband_born, earliest), latest), Relation.HEAD
        )
        own = surname if chance.happens(TAKES_HUSBANDS_NAME) else names.surname(chance)
        return [husband, self._adult(names, "f", own, wife_born, Relation.SPOUSE)]

    def _three_generations(self, names: Names, surname: Surname) -> list[Person]:
        """Draw a couple with children and the husband's mother."""
        chance = self._chance
        father, mother = self._couple(names, surname, PARENT_AGES, self._born(PARENT_AGES))
        age_at_birth = chance.between(*MOTHER_AGES)
        born = (
            father.birth_date.toordinal() - int(age_at_birth * YEAR_DAYS) - chance.between(1, 300)
        )
        grandmother = self._adult(names, "f", surname, born, Relation.OTHER)
        return [father, mother, *self._minors(names, surname, mother, father), grandmother]

    def _with_adult_child(self, names: Names, surname: Surname) -> list[Person]:
        """Draw a senior and a grown-up son or daughter."""
        chance = self._chance
        sex: Sex = "f" if chance.happens(0.7) else "m"
        parent = self._adult(names, sex, surname, self._born((58, 88)), Relation.HEAD)
        age_at_birth = chance.between(*MOTHER_AGES) * YEAR_DAYS
        latest = self._today - int((ADULT_AGE + 1) * YEAR_DAYS)
        born = min(parent.birth_date.toordinal() + int(age_at_birth), latest)
        child = self._child(names, surname, born, parent if sex == "m" else None)
        return [parent, child]

    def _minors(
        self, names: Names, surname: Surname, mother: Person, father: Person | None
    ) -> list[Person]:
        """Draw children under age, the eldest first, none while their mother was too young."""
        chance = self._chance
        wanted = chance.one_of(self._children)
        mother_born = mother.birth_date.toordinal()
        earliest = max(
            mother_born + int(MOTHER_AGES[0] * YEAR_DAYS),
            self._today - int(ADULT_AGE * YEAR_DAYS) + 2,
        )
        latest = min(mother_born + int((MOTHER_AGES[1] + 1) * YEAR_DAYS) - 1, self._today - 1)
        # The eldest of many was born early enough for the others to follow.
        born = chance.between(earliest, earliest + (latest - earliest) // wanted)
        children: list[Person] = []
        while born <= latest and len(children) < wanted:
            children.append(self._child(names, surname, born, father))
            born += chance.between(400, 1500)
        return children

    def _child(self, names: Names, surname: Surname, born: int, father: Person | None) -> Person:
        chance = self._chance
        sex: Sex = "m" if chance.happens(0.514) else "f"
        birth_date = date.fromordinal(born)
        fathers_name = father.first_name if father else self._fathers_name(names, born)
        return Person(
            Relation.CHILD,
            sex,
            surname[0 if sex == "m" else 1],
            names.first_name(chance, sex, birth_date),
            names.patronymic(fathers_name, sex),
            birth_date,
        )

    def _adult(
        self, names: Names, sex: Sex, surname: Surname, born: int, relation: Relation
    ) -> Person:
        birth_date = date.fromordinal(born)
        return Person(
            relation,
            sex,
            surname[0 if sex == "m" else 1],
            names.first_name(self._chance, sex, birth_date),
            names.patronymic(self._fathers_name(names, born), sex),
            birth_date,
        )

    def _fathers_name(self, names: Names, born: int) -> str:
        """Draw the name of a father who is not part of the household."""
        his_birth = date.fromordinal(born - int(GENERATION_YEARS * YEAR_DAYS))
        return names.first_name(self._chance, "m", his_birth)

    def _span(self, age_from: int, age_to: int) -> tuple[int, int]:
        """Return the first and last birthday (ordinals) of people of these whole years today."""
        earliest = self._today - int((age_to + 1) * YEAR_DAYS) + 2
        return earliest, self._today - int(age_from * YEAR_DAYS) - 2

    def _senior_born(self) -> int:
        # The later of two birthdays: the older, the fewer.
        return max(self._born(SENIOR_AGES), self._born(SENIOR_AGES))

    def _born(self, ages: tuple[int, int]) -> int:
        return self._chance.between(*self._span(*ages))


def age_on(birth_date: date, day: date) -> int:
    """Return whole years of life on `day`."""
    had_birthday = (day.month, day.day) >= (birth_date.month, birth_date.day)
    return day.year - birth_date.year - (not had_birthday)
