"""How PostgreSQL answers participants and gathers a month: by index, or everything in one go."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from bench.egisso import MONTH, MONTH_END
from bench.egisso import fill as fill_month
from bench.register_search import fill as fill_town
from processing.kernel.roles import Role
from tests.plugins.plans import watched
from tests.plugins.postgres import Database

PEOPLE = 4_000
FACTS = 3_000
FOUND_MAX = 400
SNILS = "90000000007"
SEARCH = """
    SELECT * FROM exchange.search(
        'partner', 'benefits', $1, $2, $3, $4, 0, 20, $5, '{identifier}', NULL
    )
"""
OLDEST_FIRST = '[{"attribute": "birth_date", "sort_order": "asc"}]'


def is_equal(attribute: str, *values: str) -> dict[str, Any]:
    return {"attribute": attribute, "operator": "in", "values": list(values)}


async def test_equal_values_are_found_by_an_index(database: Database) -> None:
    async with database.connect() as owner:
        await fill_town(owner, PEOPLE)
        one = await owner.fetchrow("SELECT * FROM register.citizen WHERE snils = $1", SNILS)
    assert one is not None
    surname = is_equal("surname", one["last_name"], "Никто")
    conditions = [
        is_equal("snils", SNILS, "x"),
        is_equal("birth_date", str(one["birth_date"])),
        surname,
        {"all": [surname, is_equal("given_name", one["first_name"]), is_equal("region", "99")]},
        {"all": [is_equal("snils", SNILS), is_equal("group_size", "3", "2", "1")]},
    ]
    async with watched(database, Role.EXCHANGE) as watch:
        for condition in conditions:
            for entity in ("Member", "Group"):
                watch.plans.clear()
                found = await watch.connection.fetchrow(
                    SEARCH, False, entity, json.dumps(condition), OLDEST_FIRST, FOUND_MAX
                )
                assert found is not None
                assert 0 < found["matched"] <= FOUND_MAX, condition
                assert watch.whole_reads({"citizen", "household_member"}) == [], condition
                assert watch.long_reads(FOUND_MAX) == [], condition


async def test_too_many_are_not_put_in_order(database: Database) -> None:
    async with database.connect() as owner:
        await fill_town(owner, PEOPLE)
    async with watched(database, Role.EXCHANGE) as watch:
        found = await watch.connection.fetchrow(
            SEARCH, False, "Member", json.dumps(is_equal("region", "99")), OLDEST_FIRST, 50
        )
        assert found is not None
        assert (found["matched"], found["record_ids"]) == (51, [])
        assert watch.long_reads(100) == []


async def test_consents_are_asked_of_all_at_once(database: Database) -> None:
    async with database.connect() as owner:
        await fill_town(owner, PEOPLE)
        async with owner.transaction():
            await owner.execute("SELECT register.begin_change('test', 'test', 'edit')")
            await owner.execute(
                "INSERT INTO register.consent (record_id, citizen_id, scope, given_on) "
                "SELECT gen_random_uuid(), c.citizen_id, 'exchange', '2026-01-01' "
                "FROM register.citizen AS c WHERE c.snils = $1",
                SNILS,
            )
        await owner.execute("ANALYZE register.consent")
    async with watched(database, Role.EXCHANGE) as watch:
        found = await watch.connection.fetchrow(
            SEARCH, True, "Member", json.dumps(is_equal("region", "99")), "[]", FOUND_MAX
        )
        assert found is not None
        assert found["matched"] == 1
        # asked one by one, a step would run once for each of the people
        assert [step for step in watch.steps() if step.loops > 10] == []


async def test_a_month_is_gathered_and_compared_in_one_go(database: Database) -> None:
    async with database.connect() as owner:
        await fill_month(owner, FACTS)
    async with watched(database, Role.EXCHANGE) as watch:
        for told in (FACTS, 0):
            watch.plans.clear()
            await watch.connection.execute(
                "INSERT INTO exchange.egisso_gathered SELECT $1, 'provided', p.* "
                "FROM exchange.provided($1, $2) AS p",
                MONTH,
                MONTH_END,
            )
            at = datetime(2026, 11, 5, tzinfo=UTC)
            export = await watch.connection.fetchval(
                "SELECT exchange.draw_facts($1, 'test', $2, TRUE)", MONTH, at
            )
            assert await _told(watch.connection, export) == told
            # Foreign keys are checked row by row, each through its index.
            slow = [s for s in watch.steps() if s.loops > 31 or s.rows > 3 * FACTS]
            assert slow == []
        watch.plans.clear()
        await watch.connection.fetch("SELECT * FROM exchange.package_records(1, 1, 100)")
        assert watch.long_reads(100) == []


async def _told(connection: Any, export: int) -> int:
    query = "SELECT record_count FROM exchange.egisso_export WHERE export_id = $1"
    return int(await connection.fetchval(query, export))
