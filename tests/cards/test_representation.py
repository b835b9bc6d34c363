"""For whom a card acts: register.represented_by, on real PostgreSQL, worked out by hand."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import asyncpg
import pytest

from processing.kernel.roles import Role
from tests.cards import population as p
from tests.plugins.postgres import Database

TODAY = date(2026, 9, 21)
# CHILD turns 18 on 2028-06-15; BABY, born on 29 February, on 2042-02-28.
CHILD_UNTIL, BABY_UNTIL = date(2028, 6, 14), date(2042, 2, 27)
CHILDREN = {p.CHILD: CHILD_UNTIL, p.BABY: BABY_UNTIL}

CASES: dict[str, tuple[UUID, date, dict[UUID, date | None]]] = {
    "a lone pensioner": (p.LONE, TODAY, {p.LONE: None}),
    "a mother": (p.MOTHER, TODAY, {p.MOTHER: None, p.HOUSEHOLD: None, **CHILDREN}),
    "a father": (p.FATHER, TODAY, {p.FATHER: None, p.HOUSEHOLD: None, **CHILDREN}),
    "a child": (p.CHILD, TODAY, {p.CHILD: None}),
    "a grown child": (p.GROWN_CHILD, TODAY, {p.GROWN_CHILD: None, p.HOUSEHOLD: None}),
    "a grandmother": (p.GRANDMOTHER, TODAY, {p.GRANDMOTHER: None, p.HOUSEHOLD: None}),
    "the day before the child is 18": (
        p.MOTHER,
        CHILD_UNTIL,
        {p.MOTHER: None, p.HOUSEHOLD: None, **CHILDREN},
    ),
    "the day the child is 18": (
        p.MOTHER,
        date(2028, 6, 15),
        {p.MOTHER: None, p.HOUSEHOLD: None, p.BABY: BABY_UNTIL},
    ),
    "the child on the day it is 18": (
        p.CHILD,
        date(2028, 6, 15),
        {p.CHILD: None, p.HOUSEHOLD: None},
    ),
    "nobody": (UUID(int=0xFFFF), TODAY, {}),
}


async def test_a_card_acts_for_its_holder_the_household_and_its_children(
    populated: Database,
) -> None:
    async with populated.connect(Role.ISSUING) as connection:
        for name, (citizen_id, on, expected) in CASES.items():
            rows = await connection.fetch(
                "SELECT * FROM register.represented_by($1, $2)", citizen_id, on
            )
            assert {row["holder_id"]: row["valid_to"] for row in rows} == expected, name
            assert len(rows) == len(expected), name


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT last_name FROM register.citizen",
        "SELECT birth_date FROM register.citizen",
        "SELECT address FROM register.household",
        "SELECT * FROM register.citizen_category",
        "UPDATE register.citizen SET region = 1",
        "DELETE FROM cards.card",
        "INSERT INTO cards.station (station_id, token_sha256) VALUES ('x', sha256('x'))",
        "UPDATE rights.allowance SET granted = 1",
    ],
)
async def test_issuing_sees_no_personal_data_and_writes_only_cards(
    populated: Database, statement: str
) -> None:
    async with populated.connect(Role.ISSUING) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


@pytest.mark.parametrize("role", [Role.PROCESSING, Role.FINANCE, Role.OPERATOR])
async def test_only_issuing_asks_the_register_whom_a_citizen_represents(
    populated: Database, role: Role
) -> None:
    async with populated.connect(role) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "SELECT * FROM register.represented_by($1, $2)", p.MOTHER, TODAY
            )


async def test_a_card_acts_for_whom_the_register_names_its_holder_representative(
    populated: Database,
) -> None:
    named = """
        INSERT INTO register.representative (
            record_id, citizen_id, representative_id, basis, document, valid_from, valid_to, scope
        ) VALUES
            (gen_random_uuid(), $1, $2, 'guardian', '1', '2026-01-01', '2026-12-31', NULL),
            (gen_random_uuid(), $3, $2, 'guardian', '2', '2026-01-01', NULL, '{MEDICINE}'),
            (gen_random_uuid(), $4, $2, 'parent', '3', '2026-01-01', '2026-12-31', NULL)
    """
    async with populated.connect() as connection, connection.transaction():
        await connection.execute("SELECT register.begin_change('test', 'test', 'edit')")
        await connection.execute(named, p.LONE, p.MOTHER, p.GRANDMOTHER, p.CHILD)
    own = {p.MOTHER: None, p.HOUSEHOLD: None, **CHILDREN, p.GRANDMOTHER: None}
    async with populated.connect(Role.ISSUING) as connection:
        for on, expected in (
            # a child's own birthday outlasts a paper; what is not in force yet is told as well
            (date(2025, 12, 31), {**own, p.LONE: date(2026, 12, 31)}),
            (TODAY, {**own, p.LONE: date(2026, 12, 31)}),
            (date(2027, 1, 1), own),
        ):
            rows = await connection.fetch(
                "SELECT * FROM register.represented_by($1, $2)", p.MOTHER, on
            )
            assert {row["holder_id"]: row["valid_to"] for row in rows} == expected
            assert len(rows) == len(expected)
            by_holder = {row["holder_id"]: row for row in rows}
            assert by_holder[p.GRANDMOTHER]["scope"] == ["MEDICINE"]
            assert by_holder[p.GRANDMOTHER]["valid_from"] == max(on, date(2026, 1, 1))
            assert by_holder[p.CHILD]["scope"] is None
