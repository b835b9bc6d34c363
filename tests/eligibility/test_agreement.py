"""The evaluator with its trace and the compiled rule are one: random rules, random people."""

from __future__ import annotations

import uuid
from datetime import date

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.eligibility.columns import facts_of, row_of
from processing.eligibility.compiling import compile_clause, compile_rule
from processing.eligibility.document import Rule
from processing.eligibility.evaluating import evaluate
from processing.eligibility.facts import Answer, Facts, Setting
from tests.eligibility import people
from tests.plugins.postgres import Database

AMOUNTS = {"PM": 100_000, "PM.CHILD": 97_001}
DAYS = st.sampled_from([people.DAY, date(2026, 2, 28), date(2024, 2, 28), date(2024, 2, 29)])
settings_of_day = DAYS.map(lambda day: Setting(day=day, amounts_kopecks=AMOUNTS))
ANSWERS = {True: Answer.YES, False: Answer.NO, None: Answer.UNKNOWN}
COLUMNS = Facts.__struct_fields__


async def answers_of(
    connection: asyncpg.Connection, rule: Rule, crowd: list[Facts], setting: Setting
) -> list[dict[str, Answer]]:
    """Return what the database answers for each person: the whole rule under "", each clause."""
    await connection.execute("TRUNCATE eligibility.fact")
    places = ", ".join(f"${number}" for number in range(2, len(COLUMNS) + 2))
    for person in crowd:
        await connection.execute(
            f"INSERT INTO eligibility.fact (citizen_id, region, {', '.join(COLUMNS)}) "  # noqa: S608
            f"VALUES ($1, 99, {places})",
            uuid.uuid4(),
            *row_of(person).values(),
        )
    conditions = {"": compile_rule(rule, setting)} | {
        clause.clause: compile_clause(rule, clause, setting) for clause in rule.clauses
    }
    chosen = ", ".join(f'{sql} AS "c{number}"' for number, sql in conditions.items())
    rows = await connection.fetch(
        f"SELECT {chosen}, f.* FROM eligibility.fact AS f ORDER BY f.ctid"  # noqa: S608
    )
    assert [facts_of(row) for row in rows] == crowd
    return [{number: ANSWERS[row[f"c{number}"]] for number in conditions} for row in rows]


async def test_the_database_answers_as_the_evaluator(database: Database) -> None:
    async with database.connect() as connection:

        @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(people.rules, st.lists(people.facts, min_size=1, max_size=6), settings_of_day)
        def check(rule: Rule, crowd: list[Facts], setting: Setting) -> None:
            cases.append((rule, crowd, setting))

        cases: list[tuple[Rule, list[Facts], Setting]] = []
        check()
        for rule, crowd, setting in cases:
            in_bulk = await answers_of(connection, rule, crowd, setting)
            for person, found in zip(crowd, in_bulk, strict=True):
                trace = evaluate(rule, person, setting)
                one_by_one = {"": trace.answer} | {
                    one.clause.clause: one.answer for one in trace.found
                }
                assert found == one_by_one, (rule.clauses, person)
