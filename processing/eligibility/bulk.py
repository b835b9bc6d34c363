"""One rule asked of everybody: facts are gathered once, each rule is one statement over them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from processing.eligibility.columns import row_of
from processing.eligibility.compiling import compile_clause, compile_rule
from processing.eligibility.document import Rule
from processing.eligibility.facts import Answer, Facts
from processing.eligibility.store import EligibilityStore, Settings
from processing.eligibility.trial import case_people
from processing.kernel.database import Connection

GATHER_LOCK: Final = "processing.eligibility.gather"
"""Two programs that gather everybody's facts wait for each other under this lock."""

PIECE_MAX: Final = 20_000
"""Most people whose facts are gathered by one statement."""

ANSWERS: Final = {True: Answer.YES, False: Answer.NO, None: Answer.UNKNOWN}


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many people a rule, or one clause of it, answers yes, no, not known."""

    yes: int
    no: int
    unknown: int

    @property
    def people(self) -> int:
        """All of them."""
        return self.yes + self.no + self.unknown


@contextlib.asynccontextmanager
async def gathered(connection: Connection, day: date, by: str, purpose: str) -> AsyncIterator[int]:
    """Keep everybody's facts of a day at hand inside the block; give how many people there are."""
    await connection.execute("SELECT pg_advisory_lock(hashtext($1))", GATHER_LOCK)
    try:
        await connection.execute("SELECT eligibility.begin_gathering($1, $2)", by, purpose)
        after: UUID | None = None
        while True:
            after = await connection.fetchval(
                "SELECT eligibility.gather($1, $2, $3)", after, PIECE_MAX, day
            )
            if after is None:
                break
        yield await connection.fetchval("SELECT eligibility.end_gathering()")
    finally:
        await connection.execute("SELECT eligibility.forget()")
        await connection.execute("SELECT pg_advisory_unlock(hashtext($1))", GATHER_LOCK)


async def count_answers(connection: Connection, rule: Rule, settings: Settings) -> dict[str, Count]:
    """Return the answers of a rule (under "") and of each clause, counted over what is gathered."""
    totals: dict[str, list[int]] = {}
    for region in await _regions(connection):
        conditions = {"": compile_rule(rule, settings.of(region))} | {
            clause.clause: compile_clause(rule, clause, settings.of(region))
            for clause in rule.clauses
        }
        found_out = ", ".join(f"{sql} AS c{place}" for place, sql in enumerate(conditions.values()))
        chosen = ", ".join(
            f"count(*) FILTER (WHERE c{place}), count(*) FILTER (WHERE NOT c{place}), count(*)"
            for place in range(len(conditions))
        )
        # Conditions are compiled from a checked rule.
        (row,) = await connection.fetch(
            f"SELECT {chosen} FROM (SELECT {found_out} "  # noqa: S608
            "FROM eligibility.fact AS f WHERE f.region = $1 OFFSET 0) AS a",
            region,
        )
        counts = list(row.values())
        for place, number in enumerate(conditions):
            found = totals.setdefault(number, [0, 0, 0])
            for which in range(3):
                found[which] += counts[3 * place + which]
    return {
        number: Count(yes=yes, no=no, unknown=people - yes - no)
        for number, (yes, no, people) in totals.items()
    }


async def entitled(
    connection: Connection, rule: Rule, settings: Settings, limit: int
) -> list[UUID]:
    """Return up to `limit` of the people for whom the rule says yes and who lack the measure."""
    found: list[UUID] = []
    for region in await _regions(connection):
        condition = compile_rule(rule, settings.of(region))
        rows = await connection.fetch(
            "SELECT f.citizen_id FROM eligibility.fact AS f "  # noqa: S608 - as above
            f"WHERE f.region = $1 AND {condition} AND NOT $2 = ANY (f.measures) "
            "ORDER BY f.citizen_id LIMIT $3",
            region,
            rule.eligibility.measure,
            limit - len(found),
        )
        found += [row["citizen_id"] for row in rows]
    return found


async def explain_plan(connection: Connection, rule: Rule, settings: Settings) -> list[str]:
    """Return how the database goes about one rule for everybody gathered."""
    (region, *_) = await _regions(connection)
    condition = compile_rule(rule, settings.of(region))
    rows = await connection.fetch(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT count(*) "  # noqa: S608 - as above
        f"FROM eligibility.fact AS f WHERE {condition}"
    )
    return [row[0] for row in rows]


async def answers_of_cases(connection: Connection, rule: Rule) -> list[Answer]:
    """Return what the database answers for the people of a rule's test cases."""
    return [
        await answer_in_bulk(
            connection, rule, facts, Settings(setting.day, {0: setting.amounts_kopecks})
        )
        for facts, setting in case_people(rule)
    ]


async def answer_in_bulk(
    connection: Connection, rule: Rule, facts: Facts, settings: Settings
) -> Answer:
    """Return what the database answers for one person whose facts are given; writes nothing."""
    columns = row_of(facts)
    chosen = ", ".join(
        f"${place}::{_TYPES[name]} AS {name}" for place, name in enumerate(columns, 1)
    )
    holds = await connection.fetchval(
        f"SELECT {compile_rule(rule, settings.of(0))} "  # noqa: S608 - as above
        f"FROM (SELECT {chosen}) AS f",
        *columns.values(),
    )
    return ANSWERS[holds]


_TYPES: Final = {
    "birth_date": "date",
    "sex": "text",
    "categories": "jsonb",
    "household_births": "date[]",
    "income_kopecks": "bigint",
    "resident": "boolean",
    "pregnant": "boolean",
    "employed": "boolean",
    "pensioner": "boolean",
    "events": "jsonb",
    "measures": "text[]",
    "year_measures": "text[]",
    "records": "text[]",
}


async def _regions(connection: Connection) -> list[int]:
    rows = await connection.fetch(
        "SELECT DISTINCT f.region FROM eligibility.fact AS f ORDER BY f.region"
    )
    return [row["region"] for row in rows]


async def load_rules(connection: Connection, day: date) -> tuple[dict[str, Rule], Settings]:
    """Return the rules in force on a day by measure, and what each region compares with."""
    store = EligibilityStore(connection)
    published = await store.rules_on(day)
    return {measure: one.rule for measure, one in published.items()}, await store.settings_on(day)
