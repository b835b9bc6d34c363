"""What the register refuses, row by row: good rows of a file are taken, bad ones say why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.register.identifiers import make_enp, make_snils
from processing.register.importing.store import Import, ImportStore
from processing.register.records import KIND_BY_NAME
from processing.register.store import RegisterStore
from tests.plugins.postgres import Database
from tests.register.importing.office import CHIEF, TODAY, Office, csv_file, person
from tests.register.people import (
    CHILD,
    CLERK,
    FATHER,
    MEDICINES,
    MOTHER,
    PENSIONER,
    SNILS,
    approved,
    new,
    populate,
)

BORN = TODAY.replace(1950, 1, 1)
ENPS = [make_enp(99, BORN, "m", serial) for serial in (1, 2)]
Row = Mapping[str, str]


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    """Give an office over a register with a family, a pensioner and his right to medicines."""
    async with database.connect() as admin:
        await populate(admin)
        async with database.connect(Role.REGISTER) as clerk:
            store = RegisterStore(clerk)
            await approved(store, new("entitlement", 0xE1, **MEDICINES))
            home = new("household", 0xA9, number="99-9", address="—")
            await store.make_change(CLERK, "дело", [home])
        pool = await open_pool(database.dsn(Role.REGISTER), Role.REGISTER, "test import")
        yield Office(pool, admin)
        await pool.close()


def policy(serial: int, **other: str) -> Row:
    return {
        "snils": SNILS[PENSIONER], "enp": ENPS[serial], "insurer": "СМО", "prolongs": "да",
        "valid_from": "01.01.2020",
    } | other  # fmt: skip


def acts(whom: str, who: str, **other: str) -> Row:
    return {
        "snils": whom, "representative_snils": who, "basis": "опекун", "document": "решение 1",
        "valid_from": "01.01.2026",
    } | other  # fmt: skip


def lives(who: str, relation: str) -> Row:
    return {"household_number": "99-9", "snils": who, "relation": relation}


def granted(valid_from: str, valid_to: str) -> Row:
    return {
        "snils": SNILS[FATHER], "measure": "MED.FED", "category": "DISABLED.2",
        "decision_number": f"от {valid_from}", "decided_on": "10.01.2026",
        "valid_from": valid_from, "valid_to": valid_to,
    }  # fmt: skip


def written(number: str, **other: str) -> Row:
    return {
        "series": "9926", "number": number, "snils": SNILS[PENSIONER], "item_class": "ENALAPRIL",
        "quantity": "3", "funding": "федеральный", "payment_percent": "0",
        "prescribed_on": "10.11.2026", "valid_days": "30",
    } | other  # fmt: skip


def citizen(number: int, **other: str) -> Row:
    """Return a citizen's row by the names of its fields."""
    labels = {field.ru: field.name for field in KIND_BY_NAME["citizen"].fields}
    return {labels[label]: value for label, value in person(number).items()} | other


BAD: dict[str, tuple[str, Row, Row, str, str]] = {
    "a wrong check digit of a СНИЛС": (
        "citizen", citizen(1), citizen(2, snils="112-233-445 96"), "контрольная", "check digit",
    ),
    "a wrong check digit of a policy": (
        "citizen", citizen(1), citizen(2, enp="9955840882999994"), "контрольная", "check digit",
    ),
    "an impossible date": (
        "citizen", citizen(1), citizen(2, birth_date="31.02.1951"), "28 дн.", "has 28 days",
    ),
    "a date that has not come": (
        "citizen", citizen(1), citizen(2, birth_date="21.11.2026"), "не наступила", "not come yet",
    ),
    "the СНИЛС of another person": (
        "citizen", citizen(1), citizen(2, snils=SNILS[MOTHER]), "с этим СНИЛС другой человек",
        "another person with this SNILS",
    ),
    "a СНИЛС that nobody has": (
        "policy", policy(0), policy(1, snils=make_snils(7_777_777)), "сначала внесите",
        "enter that first",
    ),
    "two open policies": (
        "policy", policy(0), policy(1, valid_from="01.01.2026"), "уже есть полис", "has a policy",
    ),
    "a representative of oneself": (
        "representative", acts(SNILS[CHILD], SNILS[MOTHER]), acts(SNILS[FATHER], SNILS[FATHER]),
        "самого себя", "represents themselves",
    ),
    "a ring of representatives": (
        "representative", acts(SNILS[MOTHER], SNILS[FATHER]), acts(SNILS[FATHER], SNILS[MOTHER]),
        "представ", "represent",
    ),
    "a child of one's own child": (
        "household_member", lives(SNILS[CHILD], "глава"), lives(SNILS[MOTHER], "ребёнок"),
        "ребён", "child",
    ),
    "overlapping entitlements": (
        "entitlement", granted("01.02.2026", "31.12.2026"), granted("01.06.2026", "31.12.2027"),
        "уже назначена", "is granted for these days",
    ),
    "a prescription past its validity": (
        "prescription", written("1"), written("2", prescribed_on="01.10.2026"), "истёк 31.10.2026",
        "ended on",
    ),
    "a prescription that nothing pays for": (
        "prescription", written("1"), written("2", funding="муниципальный"),
        "нет меры", "no entitlement pays",
    ),
}  # fmt: skip


async def taken(office: Office, kind: str, path: Path) -> Import:
    """Import a file, with another person's approval where rights rest on it."""
    done = await office.take(path, kind)
    if done.state != "proposed":
        return done
    async with office.pool.transaction() as connection:
        assert await ImportStore(connection).approve(done.import_id, CHIEF)
    return await office.runner.apply(done.import_id, lambda count: None)


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_row_says_why_and_the_good_one_is_taken(
    office: Office, tmp_path: Path, name: str
) -> None:
    kind, good, bad, ru, en = BAD[name]
    labels = {field.name: field.ru for field in KIND_BY_NAME[kind].fields}
    rows = [{labels[field]: row.get(field, "") for field in {**good, **bad}} for row in (good, bad)]
    done = await taken(office, kind, csv_file(tmp_path / "файл.csv", rows))
    assert done.state == "done"
    assert (done.sums.rows, done.sums.created, done.sums.rejected) == (2, 1, 1)
    async with office.pool.connection() as connection:
        (reject,) = [one async for one in ImportStore(connection).rejects(done.import_id)]
    assert reject.line == 3
    (fault,) = reject.faults
    assert ru.lower() in fault.ru.lower()
    assert en.lower() in fault.en.lower()
    assert fault.column is not None
