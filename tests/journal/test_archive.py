"""Months of history go to files and come back, and no row is lost on the way."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import asyncpg
import pyarrow.parquet as pq
import pytest

from processing.journal.archive import Archive, ArchiveOrder, Stage, choose
from processing.journal.archive_tables import TABLES, Kind
from processing.journal.month import ArchiveMismatchError, ArchiveRefused, Month, MonthState
from processing.journal.month_store import ARCHIVE_LIMITS, MonthStore
from processing.journal.parquet import read_metadata, read_rows
from processing.journal.tally import Tally
from processing.kernel.database import open_pool
from processing.kernel.errors import DatabaseTimeoutError
from processing.kernel.roles import Role
from tests.authorization.audit import audit
from tests.journal.history import APRIL, FEBRUARY, MARCH, snapshot
from tests.plugins.postgres import Database

NOVEMBER = Month(2026, 11)


@asynccontextmanager
async def month_store(database: Database) -> AsyncIterator[MonthStore]:
    pool = await open_pool(database.dsn(Role.OPERATOR), Role.OPERATOR, "tests", ARCHIVE_LIMITS)
    try:
        yield MonthStore(pool)
    finally:
        await pool.close()


def nobody(month: Month, stage: Stage, table: str) -> None:
    """Watch nothing."""


async def archive_before(
    database: Database, folder: Path, before: str, *, drop: bool = False
) -> None:
    order = ArchiveOrder(
        before=Month.parse(before), this_month=NOVEMBER, even_unsettled=True, drop=drop
    )
    async with month_store(database) as store:
        for seen in choose(await store.overview(), order):
            await Archive(store, folder, nobody).archive(seen, drop=drop)


async def states(database: Database) -> dict[str, MonthState]:
    async with month_store(database) as store:
        return {str(seen.month): seen.state for seen in await store.overview()}


async def restore(database: Database, folder: Path, month: str) -> None:
    async with month_store(database) as store:
        (seen,) = [s for s in await store.overview() if str(s.month) == month]
        await Archive(store, folder, nobody).restore(seen)


def written_at(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet*")}


async def test_months_go_to_files_and_come_back(history: Database, tmp_path: Path) -> None:
    async with history.connect() as admin:
        before = await snapshot(admin)
        await archive_before(history, tmp_path, "2026-04")
        assert await states(history) == {
            "2026-02": MonthState.DETACHED,
            "2026-03": MonthState.DETACHED,
            "2026-04": MonthState.OPEN,
            "None": MonthState.OPEN,
        }
        assert await snapshot(admin) == before
        assert await admin.fetchval("SELECT count(*) FROM journal.event") == 1

        await archive_before(history, tmp_path, "2026-04", drop=True)
        assert list(await snapshot(admin)) == ["event_2026_04", "line_2026_04"]
        assert (await states(history))["2026-03"] is MonthState.DROPPED

        await restore(history, tmp_path, "2026-03")
        await restore(history, tmp_path, "2026-02")
        assert await snapshot(admin) == before
        assert await audit(admin) == []
        assert (await states(history))["2026-03"] is MonthState.CLOSED
        # What was restored goes back to the same files.
        stamps = written_at(tmp_path)
        await archive_before(history, tmp_path, "2026-04", drop=True)
        assert stamps == written_at(tmp_path)
        steps = await admin.fetch(
            "SELECT step FROM journal.archive_step WHERE month = $1 ORDER BY step_no", MARCH
        )
    assert [row["step"] for row in steps] == [
        "closed", "detached", "dropped", "restored", "detached", "dropped",
    ]  # fmt: skip


async def test_a_detached_month_comes_back_without_its_files(
    history: Database, tmp_path: Path
) -> None:
    async with history.connect() as admin:
        before = await snapshot(admin)
        await archive_before(history, tmp_path, "2026-04")
        await restore(history, tmp_path / "nowhere", "2026-03")
        assert await snapshot(admin) == before
        assert await admin.fetchval("SELECT count(*) FROM journal.event") == 7


async def test_files_tell_what_they_hold(history: Database, tmp_path: Path) -> None:
    await archive_before(history, tmp_path, "2026-04")
    march = tmp_path / "2026-03"
    assert march.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in march.iterdir()) == [
        "SHA256SUMS", "block.parquet", "event.parquet", "line.parquet",
    ]  # fmt: skip
    sums = (march / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    assert sums == [
        f"{hashlib.sha256((march / f'{table.name}.parquet').read_bytes()).hexdigest()}  "
        f"{table.name}.parquet"
        for table in TABLES
    ]
    for table in TABLES:
        told = read_metadata(march / f"{table.name}.parquet", table)
        tally = Tally(table)
        for rows in read_rows(march / f"{table.name}.parquet", table):
            tally.add(rows)
        figures = tally.figures()
        assert told["spk.row_count"] == str(figures.row_count)
        assert told["spk.rows_sha256"] == figures.rows_sha256
        assert told["spk.roots_sha256"] == figures.roots_sha256
    told = read_metadata(march / "event.parquet", TABLES[0])
    assert told["spk.partition"] == "journal.event_2026_03"
    assert (told["spk.row_count"], told["spk.block_count"]) == ("6", "4")
    assert told["spk.min.business_date"] == "2026-03-02"
    assert told["spk.max.posting_date"] == "2026-03-03"
    # 900 sold, 350 sold, 9000 offline of which 2200 were left; 900 taken back
    columns = pq.read_table(march / "line.parquet").to_pydict()
    assert sum(columns["gross_kopecks"]) == 350 + 9_000 == int(read_metadata(
        march / "line.parquet", TABLES[1])["spk.sum.gross_kopecks"])  # fmt: skip


async def test_files_and_tables_have_the_same_columns(history: Database) -> None:
    kinds = {
        "boolean": Kind.BOOLEAN, "smallint": Kind.SMALLINT, "integer": Kind.INTEGER,
        "bigint": Kind.BIGINT, "bigint[]": Kind.BIGINT_LIST, "text": Kind.TEXT,
        "jsonb": Kind.JSON_TEXT, "bytea": Kind.BYTES, "uuid": Kind.UUID, "date": Kind.DATE,
        "timestamp with time zone": Kind.UTC_MICROSECONDS,
    }  # fmt: skip
    async with history.connect() as admin:
        for table in TABLES:
            rows = await admin.fetch(
                "SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull "
                "FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum",
                f"journal.{table.name}",
            )
            assert [(c.name, c.kind, c.nullable) for c in table.columns] == [
                (row["attname"], kinds[row["type"]], not row["attnotnull"]) for row in rows
            ]


@pytest.mark.parametrize(
    ("before", "settings", "said"),
    [
        ("2026-04", {}, "2026-03 is not settled: 1 advices recorded in conflict"),
        ("2026-05", {"this_month": Month(2026, 7), "even_unsettled": True}, "2026-04 is too young"),
    ],
)
async def test_a_month_that_should_stay_is_refused(
    history: Database, before: str, settings: dict[str, object], said: str
) -> None:
    order = {"before": Month.parse(before), "this_month": NOVEMBER} | settings
    async with history.connect() as admin, month_store(history) as store:
        # February's only day has no totals: settle it.
        await admin.execute(
            "INSERT INTO reconciliation.terminal_totals SELECT 'T0000001', '2026-02-27', 900, "
            "now(), 1, 500, 500, 0, 0, 0, 0, 0, 1, 500, 500, 0, 0, 0, 0, 0"
        )
        overviews = await store.overview()
        assert [seen.settled for seen in overviews] == [True, False, False, True]
        with pytest.raises(ArchiveRefused, match=said):
            choose(overviews, ArchiveOrder(**order))  # type: ignore[arg-type]


async def test_a_month_of_late_decisions_stays(history: Database, tmp_path: Path) -> None:
    async with history.connect() as admin:
        await admin.execute(
            "INSERT INTO journal.event SELECT (jsonb_populate_record(e, jsonb_build_object("
            "'stan', 77, 'posting_date', current_date, 'lane', 9))).* FROM journal.event AS e "
            "WHERE e.stan = 2 AND e.message_class = 2"
        )
    with pytest.raises(ArchiveRefused, match=r"2026-03 has decisions of .*, of the last 31 days"):
        await archive_before(history, tmp_path, "2026-04")
    assert (await states(history))["2026-03"] is MonthState.OPEN


async def test_months_are_closed_from_the_oldest_on(history: Database) -> None:
    async with month_store(history) as store:
        with pytest.raises(ArchiveRefused, match=r"an older month is open: journal\.event_2026_02"):
            await store.close(Month(2026, 3))


async def test_the_current_month_is_never_closed(history: Database) -> None:
    async with history.connect() as admin, month_store(history) as store:
        today = await admin.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
        await admin.execute("SELECT journal.ensure_partitions($1, $1)", today)
        with pytest.raises(ArchiveRefused, match="has business dates of the last 31 days"):
            await store.close(Month.of(today))


@pytest.mark.parametrize("table", [table.name for table in TABLES])
async def test_a_damaged_file_is_not_trusted(history: Database, tmp_path: Path, table: str) -> None:
    await archive_before(history, tmp_path, "2026-04")
    path = tmp_path / "2026-03" / f"{table}.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ArchiveMismatchError, match=f"their SHA-256: {table}.parquet [0-9a-f]{{64}}"
    ):
        await archive_before(history, tmp_path, "2026-04", drop=True)
    # February, whose files are whole, was dropped before.
    assert (await states(history))["2026-03"] is MonthState.DETACHED


async def test_a_file_of_other_rows_keeps_the_month_in_the_journal(
    history: Database, tmp_path: Path
) -> None:
    await archive_before(history, tmp_path, "2026-03")
    (tmp_path / "2026-03").mkdir()
    other = (tmp_path / "2026-02" / "event.parquet").read_bytes()
    (tmp_path / "2026-03" / "event.parquet").write_bytes(other)
    with pytest.raises(ArchiveMismatchError, match=r"row_count, sums, .* 2026-03 stays in the"):
        await archive_before(history, tmp_path, "2026-04")
    assert (await states(history))["2026-03"] is MonthState.CLOSED
    (tmp_path / "2026-03" / "event.parquet").unlink()
    await archive_before(history, tmp_path, "2026-04")
    assert (await states(history))["2026-03"] is MonthState.DETACHED


async def test_rows_that_were_changed_do_not_come_back(history: Database, tmp_path: Path) -> None:
    await archive_before(history, tmp_path, "2026-04", drop=True)
    async with month_store(history) as store, history.connect() as admin:
        await store.prepare_restore(Month(2026, 3))
        await admin.execute(
            "INSERT INTO journal.line_2026_03 SELECT (jsonb_populate_record(l, "
            '\'{"business_date": "2026-03-02"}\')).* FROM journal.line AS l'
        )
        with pytest.raises(ArchiveRefused, match="does not hold the rows that were detached"):
            await store.attach(Month(2026, 3))
    assert (await states(history))["2026-03"] is MonthState.RESTORING
    with pytest.raises(ArchiveRefused, match="run spk journal restore 2026-03 again first"):
        await archive_before(history, tmp_path, "2026-04")
    await restore(history, tmp_path, "2026-03")
    assert (await states(history))["2026-03"] is MonthState.CLOSED


async def test_a_journal_in_use_gives_way_to_nobody_for_long(
    history: Database, tmp_path: Path
) -> None:
    async with history.connect() as reader:
        transaction = reader.transaction()
        await transaction.start()
        await reader.execute("SELECT FROM journal.event LIMIT 1")
        with pytest.raises(DatabaseTimeoutError, match=r"in use at each of 10 tries.*run the comm"):
            await archive_before(history, tmp_path, "2026-03")
        await transaction.rollback()
    assert (await states(history))["2026-02"] is MonthState.CLOSED
    await archive_before(history, tmp_path, "2026-03")
    assert (await states(history))["2026-02"] is MonthState.DETACHED


@pytest.mark.parametrize("role", [Role.PROCESSING, Role.FINANCE, Role.REGISTER, Role.ISSUING])
async def test_only_the_operator_archives(history: Database, role: Role) -> None:
    calls = (
        "close_month('2026-02-01')",
        "detach_month('2026-02-01', 1, 1, '{}')",
        "drop_month('2026-02-01', '{}')",
        "prepare_restore('2026-02-01')",
        "attach_month('2026-02-01')",
    )
    async with history.connect(role) as connection:
        for call in calls:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SELECT journal.{call}")


async def test_nobody_changes_what_was_archived(history: Database, tmp_path: Path) -> None:
    await archive_before(history, tmp_path, "2026-04")
    async with history.connect() as admin:
        for statement in (
            "UPDATE journal.event_2026_03 SET outcome = 703",
            "DELETE FROM journal.line_2026_03",
            "UPDATE journal.archive_step SET done_by = 'me'",
            "DELETE FROM journal.archive_step",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await admin.execute(statement)
        assert await admin.fetchval("SELECT journal.closed_before()") == APRIL
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="closed before"):
            await admin.execute(
                "INSERT INTO journal.event SELECT * FROM journal.event_2026_03 LIMIT 1"
            )
        # A closed month gets no new partition either.
        assert (
            await admin.fetchval(
                "SELECT journal.ensure_partitions($1, $2)", FEBRUARY, date(2026, 4, 30)
            )
            == []
        )
