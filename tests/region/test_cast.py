"""The demonstration's cast: who they are and what they are entitled to, to the unit."""

from datetime import date, timedelta

import pytest

from processing.region.cast import CastMember
from processing.region.generate import RegionSources
from processing.region.model import Household
from processing.region.rows import ALLOWANCE, PRESCRIPTION
from processing.region.tables import Table
from processing.register.identifiers import enp_fits, read_enp, read_inn, read_snils
from tests.region.conftest import TODAY

Rows = dict[Table, list[dict[str, object]]]

KEYS = ["sokolova", "irina", "sergey", "alexey", "pavel", "anna", "orlov", "lebedeva", "gromova"]
TERM, DAY, MONTH, YEAR = 0, 1, 3, 5


def allowances(rows: Rows, holder_id: bytes) -> set[tuple[object, ...]]:
    columns = ("measure", "category", "item_class", "unit_okei", "scale", "granted", "period")
    return {
        tuple(row[column] for column in columns)
        for row in rows[ALLOWANCE]
        if row["holder_id"] == holder_id
    }


VISITS = ("OMS", "INSURED", "OMS.VISIT", 642, 0, 24, YEAR)


def trips(category: str) -> tuple[object, ...]:
    return ("TRANSPORT", category, "TRIP", 642, 0, 50, MONTH)


def day_care(category: str) -> tuple[object, ...]:
    return ("CARE.DAY", category, "DAY.CARE", 355, 0, 2_400, MONTH)


RIDES = ("TAXI.SOCIAL", "DISABLED.2", "TAXI.RIDE", 642, 0, 8, MONTH)
CARE = ("CARE.HOME", "DISABLED.2", "HOME.CARE", 355, 0, 1_200, MONTH)
MEALS = {
    ("SCHOOL.MEAL", "FAMILY.LARGE", meal, 642, 0, 1, DAY)
    for meal in ("MEAL.BREAKFAST", "MEAL.LUNCH")
}
VOUCHER = ("VOUCHER.CHILD", "FAMILY.LARGE", "VOUCHER.CHILD", 642, 0, 1, YEAR)


@pytest.mark.parametrize(
    ("key", "rights"),
    [
        (
            "sokolova",
            {
                VISITS,
                trips("VETERAN.LABOUR"),
                day_care("VETERAN.LABOUR"),
                RIDES,
                CARE,
                ("MED.FED", "DISABLED.2", "ENALAPRIL", 778, 0, 3, TERM),
                ("MED.REG", "VETERAN.LABOUR", "METFORMIN", 778, 0, 2, TERM),
            },
        ),
        ("irina", {VISITS}),
        ("alexey", {VISITS, *MEALS, VOUCHER}),
        (
            "pavel",
            {VISITS, *MEALS, VOUCHER, ("MED.FED", "FAMILY.LARGE", "CETIRIZINE", 778, 0, 1, TERM)},
        ),
        ("orlov", {VISITS}),
        (
            "lebedeva",
            {
                VISITS,
                trips("DISABLED.3"),
                ("CERT", "DISABLED.3", "CERT", 383, 2, 1_500_000, TERM),
            },
        ),
        (
            "gromova",
            {
                VISITS,
                trips("VETERAN.LABOUR"),
                day_care("VETERAN.LABOUR"),
                ("MED.REG", "VETERAN.LABOUR", "AMLODIPINE", 778, 0, 2, TERM),
            },
        ),
    ],
)
def test_what_each_is_entitled_to(
    sources: RegionSources, rows: Rows, key: str, rights: set[tuple[object, ...]]
) -> None:
    assert allowances(rows, sources.cast.member(key).citizen_id.bytes) == rights


@pytest.mark.parametrize(
    ("key", "category", "water", "power"),
    [
        ("pavel", "FAMILY.LARGE", 20_650, 350),
        ("sokolova", "VETERAN.LABOUR", 4_130, 90),
        ("orlov", None, 0, 0),
    ],
)
def test_utility_norms_belong_to_the_household(
    sources: RegionSources, rows: Rows, key: str, category: str | None, water: int, power: int
) -> None:
    expected = category and {
        ("UTIL.50", category, "WATER.COLD", 113, 3, water, MONTH),
        ("UTIL.50", category, "POWER", 245, 0, power, MONTH),
    }
    household = sources.cast.household_of(key)
    assert allowances(rows, household.household_id.bytes) == (expected or set())


def test_metformin_costs_more_than_its_cap(sources: RegionSources) -> None:
    item = next(one for one in sources.catalogue.item if one.item_class == "METFORMIN")
    assert item.cap_kopecks is not None
    assert item.cap_kopecks < item.price_kopecks


@pytest.mark.parametrize("key", KEYS)
def test_their_numbers_are_valid(sources: RegionSources, key: str) -> None:
    member = sources.cast.member(key)
    assert read_snils(member.snils) == member.snils
    assert read_enp(member.enp) == member.enp
    assert enp_fits(member.enp, member.birth_date, member.sex)
    assert member.inn is None or read_inn(member.inn) == member.inn


def test_the_cast_is_complete(sources: RegionSources) -> None:
    assert [member.key for member in sources.cast.members] == KEYS


def test_prescriptions_are_dated_from_today(rows: Rows, sources: RegionSources) -> None:
    written = {
        row["number"]: row["prescribed_on"] for row in rows[PRESCRIPTION] if row["series"] == "9926"
    }
    for member in sources.cast.members:
        for one in member.prescriptions:
            assert written[one.number] == TODAY - timedelta(days=one.days_ago)


def test_cast_members_are_in_the_region(
    sources: RegionSources, drawn: tuple[Household, ...]
) -> None:
    first = [citizen.citizen_id for household in drawn[:5] for citizen in household.members]
    assert first == [member.citizen_id.bytes for member in sources.cast.members]


def test_the_large_family_is_large_on_every_day_of_the_catalogue(sources: RegionSources) -> None:
    children: list[CastMember] = [
        member for member in sources.cast.household_of("irina").member if member.relation == "child"
    ]
    last = sources.last_day
    assert len(children) == 3
    assert all(date(c.birth_date.year + 18, c.birth_date.month, 1) > last for c in children)
