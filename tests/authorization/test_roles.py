"""Who may touch what: the processing role never sees a person, and nobody edits the journal."""

from __future__ import annotations

import asyncpg
import pytest

from processing.kernel.roles import Role
from tests.authorization.world import Centre, grant, pills, reversal, sale
from tests.plugins.postgres import Database

_PRIVILEGES = """
    SELECT
        c.relnamespace::regnamespace::text AS schema, c.relname AS name, p.privilege_type AS right
    FROM pg_class AS c
    CROSS JOIN (
        VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'),
            ('TRIGGER')
    ) AS p (privilege_type)
    WHERE c.relkind IN ('r', 'p', 'v', 'm')
        AND c.relnamespace::regnamespace::text = ANY ($2)
        AND has_table_privilege($1, c.oid, p.privilege_type)
"""
_COLUMNS = """
    SELECT table_schema AS schema, table_name AS name, column_name AS column
    FROM information_schema.column_privileges
    WHERE grantee = $1 AND privilege_type = 'UPDATE' AND table_schema = ANY ($2)
"""
SCHEMAS = ["register", "rights", "regulations", "cards", "terminals", "journal", "reconciliation"]

# By role and schema: the rights it has on any table there. What is not listed it does not have.
ALLOWED: dict[Role, dict[str, set[str]]] = {
    Role.PROCESSING: {
        "rights": {"SELECT", "INSERT", "DELETE"},
        "regulations": {"SELECT"},
        "terminals": {"SELECT", "INSERT", "UPDATE"},
        "cards": {"SELECT"},
        "journal": {"SELECT", "INSERT"},
        "reconciliation": {"SELECT", "INSERT"},
    },
    Role.REGISTER: {
        # Catalogues alone: persons are reached through functions that log who reads what.
        "register": {"SELECT"},
        "rights": {"SELECT", "INSERT", "UPDATE"},
        "regulations": {"SELECT"},
    },
    Role.FINANCE: {
        "terminals": {"SELECT"},
        "regulations": {"SELECT"},
        "journal": {"SELECT"},
        "reconciliation": {"SELECT"},
        "rights": {"SELECT"},
    },
}


@pytest.mark.parametrize("role", ALLOWED)
async def test_rights_on_tables(world: asyncpg.Connection, role: Role) -> None:
    found: dict[str, set[str]] = {}
    for row in await world.fetch(_PRIVILEGES, role.value, SCHEMAS):
        found.setdefault(row["schema"], set()).add(row["right"])
    assert found == ALLOWED[role]


async def test_the_processing_role_changes_only_counters(world: asyncpg.Connection) -> None:
    rows = await world.fetch(_COLUMNS, Role.PROCESSING.value, SCHEMAS)
    # what is kept of terminals is no right of anybody
    assert {tuple(row) for row in rows if row["schema"] != "terminals"} == {
        ("rights", "counter", "used"),
        ("rights", "counter", "granted"),
        # only so that it may lock what it deletes
        ("rights", "reservation", "expires_at"),
    }
    inserts = [
        (row["schema"], row["name"])
        for row in await world.fetch(_PRIVILEGES, Role.PROCESSING.value, SCHEMAS)
        if row["right"] == "INSERT"
    ]
    assert set(inserts) == {
        ("rights", "counter"),
        ("rights", "reservation"),
        *(("journal", table) for table in ("block", "event", "line", "child")),
        ("reconciliation", "terminal_totals"),
        ("terminals", "presence"),
    }


async def test_no_role_but_the_owner_may_change_the_journal(world: asyncpg.Connection) -> None:
    for role in set(Role) - {Role.OWNER}:
        rows = await world.fetch(_PRIVILEGES, role.value, ["journal"])
        assert {row["right"] for row in rows} <= {"SELECT", "INSERT"}, role
        assert role is Role.PROCESSING or "INSERT" not in {row["right"] for row in rows}, role


async def test_functions_are_closed_to_everybody_else(world: asyncpg.Connection) -> None:
    rows = await world.fetch(
        "SELECT p.oid::regprocedure::text AS name FROM pg_proc AS p "
        "WHERE p.pronamespace::regnamespace::text = ANY ($1) "
        "AND has_function_privilege('public', p.oid, 'EXECUTE') "
        "AND p.prorettype <> 'trigger'::regtype "
        # what an extension brings compares letters and reads no table
        "AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')",
        [*SCHEMAS, "engine"],
    )
    assert [row["name"] for row in rows] == []


FORBIDDEN = [
    (Role.PROCESSING, "SELECT * FROM register.citizen"),
    (Role.PROCESSING, "SELECT snils FROM register.citizen"),
    (Role.PROCESSING, "SELECT * FROM register.household_member"),
    (Role.PROCESSING, "UPDATE journal.event SET outcome = 703"),
    (Role.PROCESSING, "DELETE FROM journal.event"),
    (Role.PROCESSING, "TRUNCATE journal.line"),
    (Role.PROCESSING, "UPDATE rights.allowance SET granted = 99"),
    (Role.PROCESSING, "INSERT INTO rights.allowance SELECT * FROM rights.allowance"),
    (Role.PROCESSING, "DELETE FROM rights.counter"),
    (Role.PROCESSING, "UPDATE rights.card_authority SET card_state = 1"),
    (Role.PROCESSING, "UPDATE terminals.terminal SET state = 1"),
    (Role.PROCESSING, "ALTER TABLE journal.event DISABLE TRIGGER append_only"),
    (Role.REGISTER, "SELECT * FROM journal.event"),
    (Role.REGISTER, "INSERT INTO journal.block VALUES (1, 1, 1, now())"),
    (Role.REGISTER, "UPDATE rights.counter SET used = 0"),
    (Role.REGISTER, "SELECT engine.share(1, 1, 1)"),
    (Role.FINANCE, "SELECT * FROM register.citizen"),
    (Role.FINANCE, "INSERT INTO journal.block VALUES (1, 1, 1, now())"),
    # Even the owner: the journal's triggers see to it.
    (Role.OWNER, "UPDATE journal.event SET outcome = 602"),
    (Role.OWNER, "DELETE FROM journal.event"),
    (Role.OWNER, "DELETE FROM journal.event_other"),
    (Role.OWNER, "UPDATE journal.line SET debited = 0"),
    (Role.OWNER, "DELETE FROM journal.line"),
    (Role.OWNER, "UPDATE journal.block SET leaf_count = 9"),
    (Role.OWNER, "DELETE FROM journal.block"),
    (Role.OWNER, "TRUNCATE journal.event, journal.line"),
    (Role.OWNER, "TRUNCATE journal.event_other"),
    (Role.OWNER, "TRUNCATE journal.block"),
    (Role.OWNER, "TRUNCATE journal.child"),
    (Role.OWNER, "DELETE FROM journal.child"),
]


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
async def test_forbidden(
    world: asyncpg.Connection, centre: Centre, role: Role, statement: str
) -> None:
    await grant(world, "PILL", 5)
    await centre.decide(sale(1, pills(1, 100)), reversal(2, sale(1, pills(1, 100))))
    await world.execute(f"SET LOCAL ROLE {role.value}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.transaction():
            await world.execute(statement)
    await world.execute("RESET ROLE")


async def test_a_login_may_act_as_its_role_alone(live: Database) -> None:
    async with live.connect(Role.PROCESSING) as connection:
        assert await connection.fetchval("SELECT current_user") == Role.PROCESSING.value
        if live.server.own_dsn is None:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SET ROLE {Role.OWNER.value}")
