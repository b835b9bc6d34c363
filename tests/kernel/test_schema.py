"""sql/ as it stands: migrations and schema give the same database, all of it the owner's."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import asyncpg

from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import apply_schema, check_migrated, migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from tests.plugins.postgres import Database

BOOKKEEPING = ("public.spk_migration", "public.spk_routine_file")


def dump(database: Database) -> str:
    """Return the schema as pg_dump writes it, without what differs from run to run."""
    # Not the one on PATH, which may be older than the server and then refuses.
    program = str(EmbeddedPostgres(database.server.home).program("pg_dump"))
    without = [f"--exclude-table={name}" for name in BOOKKEEPING]
    dsn = database.superuser_dsn
    environment = {**os.environ, "PGPASSFILE": parse_qs(urlsplit(dsn).query).get("passfile", [""])[0]}  # noqa: E501 # fmt: skip
    done = subprocess.run(
        [program, "--schema-only", *without, dsn],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    # The newer releases guard a dump with a random word; comments name versions and times.
    return re.sub(r"(?m)^(\\(un)?restrict .*|--.*|)\n", "", done.stdout)


async def test_migrations_and_schema_give_the_same_database(
    make_database: Callable[[], Database],
) -> None:
    folder = read_sql_folder(sql_root())
    migrated, described = make_database(), make_database()
    await migrate(migrated.superuser_dsn, folder)
    connection = await asyncpg.connect(described.superuser_dsn)
    await apply_schema(connection, folder)
    await connection.close()
    from_migrations, from_schema = dump(migrated), dump(described)
    assert "CREATE TABLE journal.event" in from_migrations
    assert from_migrations.splitlines() == from_schema.splitlines()


async def test_the_template_is_what_this_release_needs(database: Database) -> None:
    async with database.connect(Role.PROCESSING) as connection:
        await check_migrated(connection, read_sql_folder(sql_root()))
        applied = await connection.fetchval("SELECT count(*) FROM public.spk_migration")
    assert applied == len(read_sql_folder(sql_root()).migrations)


async def test_every_object_belongs_to_the_owner(database: Database) -> None:
    """A function that runs as its owner must not run as a superuser."""
    async with database.connect() as admin:
        rows = await admin.fetch(
            """
            SELECT n.nspname AS place, pg_get_userbyid(n.nspowner) AS owner
            FROM pg_namespace AS n
            UNION ALL
            SELECT format('%s.%s', n.nspname, c.relname), pg_get_userbyid(c.relowner)
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            UNION ALL
            SELECT format('%s.%s()', n.nspname, p.proname), pg_get_userbyid(p.proowner)
            FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
            -- an extension's functions come with the server and run as their caller
            WHERE NOT EXISTS (
                SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e'
            )
            """
        )
    ours = [row for row in rows if not row["place"].startswith(("pg_", "information_schema"))]
    strangers = {
        row["place"]: row["owner"]
        for row in ours
        if row["owner"] != "spk_owner" and row["place"] != "public"
    }
    assert len(ours) > 20
    assert strangers == {}


async def test_code_and_schema_name_the_same_roles(database: Database) -> None:
    async with database.connect() as admin:
        rows = await admin.fetch(
            "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls AS mighty "
            r"FROM pg_roles WHERE rolname LIKE 'spk\_%' AND NOT rolcanlogin"
        )
    assert {row["rolname"] for row in rows} == {role.value for role in Role}
    assert not any(row["mighty"] for row in rows)
