"""An import that was stopped at any point is gone on with, and ends as if it never was."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.kernel.errors import DatabaseUnavailableError
from processing.kernel.roles import Role
from processing.register.importing import reading
from processing.register.importing.errors import ImportRefused
from processing.register.importing.store import Import, ImportStore
from tests.house.sources import ROOT
from tests.plugins.postgres import Database
from tests.register.importing.killed_import import CHUNK_RECORDS, MOMENTS
from tests.register.importing.office import CHIEF, Office, csv_file, person


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_RECORDS_MAX", CHUNK_RECORDS)


def mixed(count: int) -> list[dict[str, str]]:
    """Rows of which some are bad, blank, repeated or likely duplicates."""
    rows = [person(n) for n in range(count)]
    rows[3]["Пол"] = "?"
    rows[count // 2] = dict.fromkeys(rows[0], "")
    rows[count - 2] = person(1)
    rows[count - 1] = person(2, Фамилия="Иной")
    return rows


async def resumed(office: Office, path: Path) -> Import:
    ready = office.prepared(path)
    import_id, state, is_new = await office.begin(ready)
    assert (state, is_new) == ("reading", False)
    return await office.runner.read(import_id, ready.sheet, lambda count: None)


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_and_resumed(
    office: Office, database: Database, tmp_path: Path, chunk: int, moment: str
) -> None:
    path = csv_file(tmp_path / "f.csv", mixed(45))
    dying = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.register.importing.killed_import",
         database.dsn(Role.REGISTER), str(path), str(chunk), moment],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    assert dying.returncode == -signal.SIGKILL, dying.stderr.decode()
    done = await resumed(office, path)
    sums = done.sums
    assert done.state == "done"
    assert done.chunks == 5
    assert (sums.rows, sums.created, sums.unchanged, sums.rejected, sums.blank) == (44, 41, 1, 2, 1)
    assert len(await office.citizens()) == 41
    assert await office.admin.fetchval("SELECT count(*) FROM register.history") == 0
    assert await office.admin.fetchval("SELECT count(*) FROM register.import_row") == 44


async def test_a_lost_database_is_told_and_gone_on_with(office: Office, tmp_path: Path) -> None:
    path = csv_file(tmp_path / "f.csv", mixed(45))
    ready = office.prepared(path)
    import_id, _, _ = await office.begin(ready)
    begun = asyncio.Event()

    def advance(count: int) -> None:
        if count:
            begun.set()

    async def cut() -> None:
        await begun.wait()
        await office.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'test import' AND datname = current_database()"
        )

    cutting = asyncio.create_task(cut())
    with pytest.raises((DatabaseUnavailableError, asyncpg.PostgresError)):
        await office.runner.read(import_id, ready.sheet, advance)
    await cutting
    done = await resumed(office, path)
    assert (done.sums.rows, done.sums.created) == (44, 41)


async def test_two_processes_do_not_run_one_import(office: Office, tmp_path: Path) -> None:
    path = csv_file(tmp_path / "f.csv", mixed(45))
    import_id, _, _ = await office.begin(office.prepared(path))
    both = await asyncio.gather(
        *(
            office.runner.read(import_id, office.prepared(path).sheet, lambda count: None)
            for _ in range(2)
        ),
        return_exceptions=True,
    )
    refused = [one for one in both if isinstance(one, ImportRefused)]
    assert len(refused) <= 1
    if refused:
        assert "another process" in str(refused[0])
    done = await office.runner.load(import_id)
    assert done.sums.balances
    assert len(await office.citizens()) == 41


async def test_an_interrupted_import_can_be_undone(office: Office, tmp_path: Path) -> None:
    path = csv_file(tmp_path / "f.csv", mixed(45))
    ready = office.prepared(path)
    import_id, _, _ = await office.begin(ready)

    def advance(count: int) -> None:
        if count == CHUNK_RECORDS:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        await office.runner.read(import_id, ready.sheet, advance)
    assert len(await office.citizens()) == 9
    async with office.pool.transaction() as connection:
        await ImportStore(connection).undo(import_id, CHIEF, "не тот")
    assert await office.citizens() == []
    _, _, is_new = await office.begin(ready)
    assert is_new


people = st.lists(
    st.builds(
        lambda number, name, sex, gap: (
            dict.fromkeys(person(0), "") if gap else person(number, Фамилия=name, Пол=sex)
        ),
        st.integers(0, 12),
        st.sampled_from(["Иванов", "Иванова", "Сидоров", "12", ""]),
        st.sampled_from(["м", "ж", "?"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=35,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=people, second=people, stop=st.integers(0, 4))
async def test_any_file_keeps_the_promises(
    office: Office, tmp_path: Path, first: list[dict[str, str]], second: list[dict[str, str]],
    stop: int,
) -> None:  # fmt: skip
    await office.admin.execute("TRUNCATE register.import CASCADE")
    await office.take(csv_file(tmp_path / "1.csv", first))
    before = await office.citizens()
    path = csv_file(tmp_path / "2.csv", second)
    straight = await office.take(path)
    assert straight.sums.balances
    assert straight.sums.rows + straight.sums.blank == len(second)
    after = await office.citizens()
    again = await office.take(path)
    assert again.sums.created == again.sums.changed == 0
    assert await office.citizens() == after
    async with office.pool.transaction() as connection:
        await ImportStore(connection).undo(straight.import_id, CHIEF, "проверка")
    assert await office.citizens() == before
    broken = await interrupted(office, path, stop)
    assert broken.sums == straight.sums
    assert await office.citizens() == after


async def interrupted(office: Office, path: Path, stop: int) -> Import:
    """Import a file, stopped after some chunks and gone on with."""
    ready = office.prepared(path)
    import_id, _, _ = await office.begin(ready)
    behind = []

    def advance(count: int) -> None:
        behind.append(count)
        if len(behind) > stop:
            raise RuntimeError("stopped")

    try:
        await office.runner.read(import_id, ready.sheet, advance)
    except RuntimeError:
        return await office.runner.read(import_id, ready.sheet, lambda count: None)
    return await office.runner.load(import_id)
