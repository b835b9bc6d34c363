"""Migrations: applied once, in order, whole or not at all, by one migrator at a time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from processing.kernel.errors import DatabaseUnavailableError, MigrationError
from processing.kernel.migrate import MigrationReport, check_migrated, migrate, missing_from
from processing.kernel.roles import Role
from processing.kernel.sql_files import SqlFolder, read_sql_folder
from tests.plugins.postgres import Database

FIRST = "SET LOCAL ROLE spk_owner;\nCREATE SCHEMA shop;\nCREATE TABLE shop.item (name text);\n"
SECOND = "SET LOCAL ROLE spk_owner;\nALTER TABLE shop.item ADD COLUMN price_kopecks bigint;\n"

FILES = {
    "migrations/0001_initial.sql": FIRST,
    "migrations/0002_price.sql": SECOND,
    # Each calls what is created after it.
    "functions/shop/a_total.sql": (
        "CREATE OR REPLACE FUNCTION shop.total() RETURNS bigint LANGUAGE sql STABLE\n"
        "AS $$ SELECT sum(shop.price(i.name)) FROM shop.priced AS i $$;\n"
    ),
    "functions/shop/price.sql": (
        "CREATE OR REPLACE FUNCTION shop.price(p_name text) RETURNS bigint LANGUAGE sql STABLE\n"
        "AS $$ SELECT i.price_kopecks FROM shop.item AS i WHERE i.name = p_name $$;\n"
    ),
    "views/shop/priced.sql": (
        "CREATE OR REPLACE VIEW shop.priced AS\n"
        "SELECT i.name FROM shop.item AS i WHERE i.price_kopecks > 0;\n"
    ),
}


def folder_of(root: Path, files: dict[str, str]) -> SqlFolder:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return read_sql_folder(root)


async def test_twice_is_once(empty_database: Database, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, FILES)
    async with empty_database.connect(Role.PROCESSING) as reader:
        assert await missing_from(reader, folder) == tuple(sorted(FILES, key=order_of))
    assert await migrate(empty_database.superuser_dsn, folder) == MigrationReport(
        migrations_applied=("migrations/0001_initial.sql", "migrations/0002_price.sql"),
        routines_applied=(
            "functions/shop/a_total.sql",
            "functions/shop/price.sql",
            "views/shop/priced.sql",
        ),
        already_applied=0,
    )
    before = await snapshot(empty_database)
    assert await migrate(empty_database.superuser_dsn, folder) == MigrationReport(
        migrations_applied=(), routines_applied=(), already_applied=2
    )
    assert await snapshot(empty_database) == before
    async with empty_database.connect(Role.PROCESSING) as reader:
        assert await missing_from(reader, folder) == ()
        await check_migrated(reader, folder)


def order_of(path: str) -> tuple[int, str]:
    return ("migrations", "functions", "views").index(path.split("/", maxsplit=1)[0]), path


async def snapshot(database: Database) -> list[tuple[object, ...]]:
    async with database.connect() as admin:
        rows = await admin.fetch(
            "SELECT name, sha256, applied_at FROM public.spk_migration UNION ALL "
            "SELECT path, sha256, applied_at FROM public.spk_routine_file ORDER BY 1"
        )
        return [tuple(row.values()) for row in rows]


async def test_everything_belongs_to_the_owner(empty_database: Database, tmp_path: Path) -> None:
    await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    async with empty_database.connect() as admin:
        owners = await admin.fetchval(
            "SELECT array_agg(DISTINCT pg_get_userbyid(owner)) FROM ("
            "SELECT relowner FROM pg_class WHERE relnamespace IN "
            "('shop'::regnamespace, 'public'::regnamespace) UNION "
            "SELECT proowner FROM pg_proc WHERE pronamespace = 'shop'::regnamespace) AS o (owner)"
        )
        assert owners == ["spk_owner"]
        await admin.execute("INSERT INTO shop.item VALUES ('milk', 7000), ('gift', 0)")
        assert await admin.fetchval("SELECT shop.total()") == 7000


async def test_two_at_once(empty_database: Database, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, FILES)
    reports = await asyncio.gather(
        *(migrate(empty_database.superuser_dsn, folder) for _ in range(4))
    )
    assert sorted(len(report.migrations_applied) for report in reports) == [0, 0, 0, 2]
    assert sorted(len(report.routines_applied) for report in reports) == [0, 0, 0, 3]


CHANGES = [
    (
        {"migrations/0001_initial.sql": FIRST + "-- a remark\n"},
        r"0001_initial\.sql differs from what was applied here as 0001_initial\.sql",
    ),
    (
        {"migrations/0002_price.sql": None, "migrations/0002_cost.sql": SECOND},
        r"0002_cost\.sql differs from what was applied here as 0002_price\.sql",
    ),
    ({"migrations/0002_price.sql": None}, r"0002_price\.sql, which this release does not know"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
async def test_an_applied_file_never_changes(
    empty_database: Database, tmp_path: Path, change: dict[str, str | None], message: str
) -> None:
    await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    before = await snapshot(empty_database)
    for path in change:
        (tmp_path / path).unlink(missing_ok=True)
    changed = folder_of(tmp_path, {path: text for path, text in change.items() if text})
    with pytest.raises(MigrationError, match=message):
        await migrate(empty_database.superuser_dsn, changed)
    async with empty_database.connect() as admin:
        with pytest.raises(MigrationError, match=message):
            await check_migrated(admin, changed)
    assert await snapshot(empty_database) == before


async def test_windows_line_ends_are_no_change(empty_database: Database, tmp_path: Path) -> None:
    await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    (tmp_path / "migrations/0001_initial.sql").write_bytes(FIRST.replace("\n", "\r\n").encode())
    report = await migrate(empty_database.superuser_dsn, read_sql_folder(tmp_path))
    assert report.migrations_applied == ()


BROKEN = [
    ("CREATE TABLE shop.two ();\nSELECT 1/0;", r"0003_broken\.sql: division by zero"),
    ("SELECT 1;\n\nSELECT nothing\nFROM shop.item;", r'0003_broken\.sql line 3: column "nothing"'),
    ("CREATE TABLE shop.two ();\nSELEC 1;", r"0003_broken\.sql line 2: syntax error"),
    ("CREATE TABLE shop.two ();\nCOMMIT;", r"0003_broken\.sql ends its transaction itself"),
    ("ROLLBACK;", r"0003_broken\.sql ends its transaction itself"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
async def test_a_failing_file_is_named_and_not_recorded(
    empty_database: Database, tmp_path: Path, text: str, message: str
) -> None:
    await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    before = await snapshot(empty_database)
    broken = folder_of(tmp_path, {"migrations/0003_broken.sql": text})
    with pytest.raises(MigrationError, match=message):
        await migrate(empty_database.superuser_dsn, broken)
    assert await snapshot(empty_database) == before
    if "COMMIT" not in text:
        async with empty_database.connect() as admin:
            assert await admin.fetchval("SELECT to_regclass('shop.two')") is None
    (tmp_path / "migrations/0003_broken.sql").unlink()
    mended = folder_of(tmp_path, {"migrations/0003_mended.sql": "SELECT 1;"})
    report = await migrate(empty_database.superuser_dsn, mended)
    assert report.migrations_applied == ("migrations/0003_mended.sql",)


async def test_a_changed_routine_is_created_again(empty_database: Database, tmp_path: Path) -> None:
    await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    changed = FILES["functions/shop/price.sql"].replace(
        "price_kopecks FROM", "price_kopecks * 2 FROM"
    )
    folder = folder_of(tmp_path, {"functions/shop/price.sql": changed})  # fmt: skip
    async with empty_database.connect(Role.PROCESSING) as reader:
        with pytest.raises(
            MigrationError, match=r"functions/shop/price\.sql: run `spk db migrate`"
        ):
            await check_migrated(reader, folder)
    report = await migrate(empty_database.superuser_dsn, folder)
    assert report.routines_applied == ("functions/shop/price.sql",)
    async with empty_database.connect() as admin:
        await admin.execute("INSERT INTO shop.item VALUES ('milk', 7000)")
        assert await admin.fetchval("SELECT shop.price('milk')") == 14000


async def test_routines_come_back_after_a_migration_dropped_them(
    empty_database: Database, tmp_path: Path
) -> None:
    await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    dropping = folder_of(tmp_path, {"migrations/0003_drop.sql": "DROP VIEW shop.priced CASCADE;"})
    await migrate(empty_database.superuser_dsn, dropping)
    async with empty_database.connect() as admin:
        assert await admin.fetchval("SELECT shop.total()") is None


async def test_a_broken_routine_leaves_the_old_ones(
    empty_database: Database, tmp_path: Path
) -> None:
    await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    before = await snapshot(empty_database)
    broken = folder_of(tmp_path, {"functions/shop/price.sql": (
        "CREATE OR REPLACE FUNCTION shop.price(p_name text) RETURNS bigint LANGUAGE sql STABLE\n"
        "AS $$ SELECT i.cost FROM shop.item AS i WHERE i.name = p_name $$;\n"
    )})  # fmt: skip
    with pytest.raises(MigrationError, match=r"functions/shop/price\.sql.*cost does not exist"):
        await migrate(empty_database.superuser_dsn, broken)
    assert await snapshot(empty_database) == before


@pytest.mark.skipif(bool(os.environ.get("SPK_TEST_DSN")), reason="logins may need certificates")
async def test_a_creator_of_roles_that_owns_the_database_may_migrate(
    empty_database: Database, tmp_path: Path
) -> None:
    """As on a managed server, which gives nobody a superuser."""
    login = f"{empty_database.name}_admin"
    roles = ", ".join(role.value for role in Role)
    async with empty_database.connect() as admin:
        await admin.execute(f"CREATE ROLE {login} LOGIN CREATEROLE PASSWORD 'local'")
        await admin.execute(f"GRANT {roles} TO {login} WITH ADMIN OPTION")
        await admin.execute(f"ALTER DATABASE {empty_database.name} OWNER TO {login}")
    place = empty_database.superuser_dsn.partition("@")[2].partition("&passfile=")[0]
    dsn = f"postgresql://{login}:local@{place}"
    try:
        report = await migrate(dsn, folder_of(tmp_path, FILES))
        assert len(report.migrations_applied) == 2
    finally:
        async with empty_database.connect() as admin:
            await admin.execute(f"REASSIGN OWNED BY {login} TO spk_owner; DROP OWNED BY {login}")
            await admin.execute(f"DROP ROLE {login}")


@pytest.mark.skipif(bool(os.environ.get("SPK_TEST_DSN")), reason="its login has every right")
async def test_a_login_without_the_right_is_told_what_to_run(
    empty_database: Database, tmp_path: Path
) -> None:
    dsn = empty_database.dsn(Role.FINANCE)
    with pytest.raises(MigrationError, match=r"Let a superuser run: .*GRANT spk_owner TO spk_fin"):
        await migrate(dsn, folder_of(tmp_path, FILES))


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:1/spk does not answer"):
        await migrate("postgresql://u:p@127.0.0.1:1/spk", folder_of(tmp_path, FILES))


async def test_a_stuck_migrator_does_not_hold_up_the_next_for_ever(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.kernel.migrate.MIGRATION_LOCK_WAIT_MS", 50)
    async with empty_database.connect() as other:
        await other.execute("SELECT pg_advisory_lock($1)", 0x73706B6D69677261)
        with pytest.raises(MigrationError, match="another migration has been running"):
            await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))


async def test_a_busy_table_does_not_hold_up_the_transactions_behind(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.kernel.migrate.TABLE_LOCK_WAIT_MS", 50)
    files = {path: text for path, text in FILES.items() if path.endswith("0001_initial.sql")}
    await migrate(empty_database.superuser_dsn, folder_of(tmp_path, files))
    async with empty_database.connect() as busy, busy.transaction():
        await busy.execute("INSERT INTO shop.item VALUES ('milk')")
        with pytest.raises(
            MigrationError, match=r"0002_price\.sql: canceling statement due to lock"
        ):
            await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    report = await migrate(empty_database.superuser_dsn, folder_of(tmp_path, FILES))
    assert report.migrations_applied == ("migrations/0002_price.sql",)
