"""People of the region are believable: ages, names and who lives with whom."""

from itertools import pairwise

import pytest

from processing.region.families import ADULT_AGE, MOTHER_AGES, age_on
from processing.region.generate import RegionSources
from processing.region.model import Citizen, Household, Relation
from processing.region.population import feminine
from processing.register.identifiers import enp_fits, read_enp, read_inn, read_snils
from tests.region.conftest import ORDER, TODAY


def age(citizen: Citizen) -> int:
    return age_on(citizen.person.birth_date, TODAY)


def of(household: Household, relation: Relation) -> list[Citizen]:
    return [one for one in household.members if one.person.relation is relation]


@pytest.mark.parametrize(
    ("masculine", "expected"),
    [
        ("Иванов", "Иванова"),
        ("Лебедев", "Лебедева"),
        ("Соловьёв", "Соловьёва"),
        ("Никитин", "Никитина"),
        ("Покровский", "Покровская"),
        ("Трубецкой", "Трубецкая"),
        ("Черных", "Черных"),
        ("Русских", "Русских"),
        ("Шевченко", "Шевченко"),
        ("Шмидт", "Шмидт"),
    ],
)
def test_feminine_surnames(masculine: str, expected: str) -> None:
    assert feminine(masculine) == expected


def test_there_are_as_many_citizens_as_ordered(drawn: tuple[Household, ...]) -> None:
    assert sum(len(household.members) for household in drawn) == ORDER.citizens


def test_every_household_has_one_head_who_is_of_age(drawn: tuple[Household, ...]) -> None:
    for household in drawn:
        (head,) = of(household, Relation.HEAD)
        assert age(head) >= ADULT_AGE
        assert len(of(household, Relation.SPOUSE)) <= 1


def test_nobody_is_unborn_or_too_old(drawn: tuple[Household, ...]) -> None:
    ages = [age(citizen) for household in drawn for citizen in household.members]
    assert min(ages) >= 0
    assert max(ages) <= 110
    minors = sum(one < ADULT_AGE for one in ages)
    seniors = sum(one >= 60 for one in ages)
    assert 0.15 < minors / len(ages) < 0.35
    assert 0.12 < seniors / len(ages) < 0.35


def test_couples_and_children_have_fitting_ages(drawn: tuple[Household, ...]) -> None:
    for household in drawn:
        (head,) = of(household, Relation.HEAD)
        for spouse in of(household, Relation.SPOUSE):
            assert spouse.person.sex != head.person.sex
            assert age(spouse) >= ADULT_AGE
            assert abs(age(spouse) - age(head)) <= 10
        parents = [head, *of(household, Relation.SPOUSE)]
        for child in of(household, Relation.CHILD):
            born = child.person.birth_date
            for parent in parents:
                assert age_on(parent.person.birth_date, born) >= 16
            mothers = [one for one in parents if one.person.sex == "f"]
            for mother in mothers:
                at_birth = age_on(mother.person.birth_date, born)
                assert MOTHER_AGES[0] - 1 <= at_birth <= MOTHER_AGES[1] + 1


def test_siblings_are_not_born_within_a_year(drawn: tuple[Household, ...]) -> None:
    for household in drawn:
        births = sorted(child.person.birth_date for child in of(household, Relation.CHILD))
        gaps = [(later - earlier).days for earlier, later in pairwise(births)]
        assert all(gap >= 365 for gap in gaps)


def test_patronymics_come_from_fathers(
    drawn: tuple[Household, ...], sources: RegionSources
) -> None:
    patronymics = {
        father: forms
        for names in sources.names.things
        for father, forms in names.patronymics.items()
    }
    checked = 0
    for household in drawn:
        fathers = [
            one
            for one in household.members
            if one.person.sex == "m" and one.person.relation is Relation.HEAD
        ]
        for child in of(household, Relation.CHILD) if fathers else []:
            forms = patronymics[fathers[0].person.first_name]
            assert child.person.patronymic == forms[0 if child.person.sex == "m" else 1]
            checked += 1
    assert checked > 300


def test_numbers_are_valid_and_unique(drawn: tuple[Household, ...]) -> None:
    citizens = [citizen for household in drawn for citizen in household.members]
    for citizen in citizens:
        assert read_snils(citizen.snils) == citizen.snils
        # No СНИЛС that starts with 9 belongs to anybody.
        assert citizen.snils.startswith("9")
        if citizen.enp is not None:
            assert read_enp(citizen.enp) == citizen.enp
            assert enp_fits(citizen.enp, citizen.person.birth_date, citizen.person.sex)
        if citizen.inn is not None:
            assert read_inn(citizen.inn) == citizen.inn
    for numbers in (
        [one.snils for one in citizens],
        [one.enp for one in citizens if one.enp],
        [one.inn for one in citizens if one.inn],
        [one.citizen_id for one in citizens],
        [number for household in drawn for number, _ in household.accounts],
    ):
        assert len(set(numbers)) == len(numbers)


def test_most_are_insured(drawn: tuple[Household, ...]) -> None:
    citizens = [citizen for household in drawn for citizen in household.members]
    insured = sum(citizen.enp is not None for citizen in citizens)
    assert 0.97 < insured / len(citizens) < 1
