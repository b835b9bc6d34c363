"""What the register's records become: the facts of one person, and of everybody at once."""

from __future__ import annotations

from datetime import date, timedelta

import asyncpg
import pytest

from processing.eligibility.bulk import count_answers, entitled, gathered
from processing.eligibility.facts import Facts
from processing.eligibility.store import EligibilityStore
from processing.kernel.roles import Role
from tests.eligibility.town import (
    BABY,
    BACHELOR,
    DISABLED,
    ELDEST,
    FAMILY,
    FATHER,
    MOTHER,
    PEOPLE,
    SECOND,
    TODAY,
    Citizen,
    change,
    town,
)
from tests.plugins.postgres import Database


async def facts_on(database: Database, one: Citizen, day: date) -> Facts:
    async with database.connect(Role.REGISTER) as connection:
        people = await EligibilityStore(connection).people([one.citizen_id], day, "olga", "test")
    return people[one.citizen_id].facts


async def test_a_family_is_read_from_its_records(database: Database) -> None:
    async with town(database):
        eldest = await facts_on(database, ELDEST, TODAY)
        assert eldest == Facts(
            birth_date=ELDEST.birth_date,
            sex="m",
            categories={},
            household_births=tuple(
                one.birth_date for one in (FATHER, MOTHER, ELDEST, SECOND, BABY)
            ),
            income_kopecks=6_000_000,
            resident=None,
            pregnant=False,
            employed=False,
            pensioner=None,
            events={},
            measures=(),
            year_measures=(),
            records=(),
        )
        mother = await facts_on(database, MOTHER, TODAY)
        assert (mother.employed, mother.pensioner, mother.resident) == (True, False, True)
        assert mother.pregnant is None
        assert mother.events == {"child_born": BABY.birth_date}
        # Nobody's income is known of November.
        late = await facts_on(database, MOTHER, TODAY + timedelta(days=120))
        assert (late.income_kopecks, late.employed) == (None, None)
        man = await facts_on(database, DISABLED, TODAY)
        assert man.categories == {"DISABLED.2": date(2027, 11, 30)}
        assert man.income_kopecks is None
        alone = await facts_on(database, BACHELOR, TODAY)
        assert (alone.household_births, alone.resident) == (None, None)


async def test_the_records_behind_the_facts_are_named(database: Database) -> None:
    async with town(database), database.connect(Role.REGISTER) as connection:
        store = EligibilityStore(connection)
        await store.people([MOTHER.citizen_id], TODAY, "olga", "test")
        found = await store.sources(MOTHER.citizen_id, TODAY, "olga")
        behind = {(one.field, one.kind) for one in found}
        assert behind == {
            ("birth_date", "citizen"),
            ("sex", "citizen"),
            ("household_births", "household_member"),
            ("income_kopecks", "income"),
            ("employed", "income"),
            ("pensioner", "income"),
            ("resident", "address"),
            ("events", "life_event"),
        }
        assert all(one.version == 1 for one in found)
        # Who did not read the facts does not learn where they stand.
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await store.sources(MOTHER.citizen_id, TODAY, "ivan")


async def test_the_dead_have_no_rights(database: Database) -> None:
    async with town(database), database.connect() as connection:
        async with change(connection):
            await connection.execute(
                "UPDATE register.citizen SET death_date = $1 WHERE citizen_id = $2",
                TODAY,
                FATHER.citizen_id,
            )
        store = EligibilityStore(connection)
        assert await store.people([FATHER.citizen_id], TODAY, "olga", "test") == {}
        family = await facts_on(database, MOTHER, TODAY)
        assert len(family.household_births or ()) == 4
        # Only the mother's income is left.
        assert family.income_kopecks == 2_000_000


async def test_everybody_at_once_is_everybody_one_by_one(database: Database) -> None:
    async with town(database), database.connect(Role.REGISTER) as connection:
        store = EligibilityStore(connection)
        ids = [one.citizen_id for one in PEOPLE]
        one_by_one = await store.people(ids, TODAY, "olga", "test")
        async with gathered(connection, TODAY, "olga", "test") as count:
            assert count == len(PEOPLE)
            rows = await connection.fetch("SELECT * FROM eligibility.fact")
        singles = await connection.fetch(
            "SELECT * FROM eligibility.people($1, $2, 'olga', 'test')", ids, TODAY
        )
        assert sorted(map(tuple, rows)) == sorted(map(tuple, singles))
        assert set(one_by_one) == set(ids)
        assert one_by_one[BABY.citizen_id].household_id == FAMILY
        assert await connection.fetch("SELECT * FROM eligibility.fact") == []


async def test_a_rule_is_asked_of_everybody(database: Database) -> None:
    async with town(database), database.connect(Role.REGISTER) as connection:
        store = EligibilityStore(connection)
        rules, settings = await store.rules_on(TODAY), await store.settings_on(TODAY)
        meals, transport = rules["SCHOOL.MEAL"].rule, rules["TRANSPORT"].rule
        async with gathered(connection, TODAY, "olga", "test"):
            counts = await count_answers(connection, meals, settings)
            assert (counts[""].yes, counts[""].no, counts[""].unknown) == (2, 5, 0)
            assert counts["2.2"].yes == 5
            assert counts["2.2"].unknown == 1
            assert await entitled(connection, meals, settings, 10) == [
                ELDEST.citizen_id,
                SECOND.citizen_id,
            ]
            assert await entitled(connection, meals, settings, 1) == [ELDEST.citizen_id]
            assert await entitled(connection, transport, settings, 10) == [DISABLED.citizen_id]


async def test_reading_is_noted_and_there_is_no_other_way(database: Database) -> None:
    async with town(database), database.connect(Role.REGISTER) as connection:
        for table in ("register.citizen", "eligibility.application", "eligibility.document"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {table}")  # noqa: S608
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM eligibility.facts($1, $2)", [], TODAY)
        await EligibilityStore(connection).people([BABY.citizen_id], TODAY, "olga", "приём")
        async with database.connect() as superuser:
            noted = await superuser.fetch(
                "SELECT citizen_id, read_by, purpose, way FROM register.read_log"
            )
        assert [tuple(row) for row in noted] == [(BABY.citizen_id, "olga", "приём", "eligibility")]
