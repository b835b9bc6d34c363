"""A whole import taken back at once: every row goes, and the server's memory stays bounded.

`--undo-rows 100000` takes a file of that many people; the default is small.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from processing.register.importing.store import ImportStore
from tests.register.importing.office import CHIEF, Office, csv_file, person

SERVER_GROWTH_MAX_BYTES = 400 * 1024 * 1024
"""What one session of the server may need for an undo, whatever the number of rows."""


def private_bytes(pid: int) -> int | None:
    """Return the most private memory that a process ever had; None where that cannot be told."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return None
    found = {
        name: int(value) for name, value in re.findall(r"(VmHWM|RssShmem):\s+(\d+) kB", status)
    }
    return 1024 * (found["VmHWM"] - found.get("RssShmem", 0))


@pytest.mark.timeout(1_200)
async def test_an_import_is_taken_back_as_a_unit(
    office: Office, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    count = int(pytestconfig.getoption("--undo-rows"))
    done = await office.take(csv_file(tmp_path / "люди.csv", [person(n) for n in range(count)]))
    assert (done.sums.created, done.sums.rejected) == (count, 0)
    async with office.pool.transaction() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        before = private_bytes(pid)
        undone = await ImportStore(connection).undo(done.import_id, CHIEF, "не тот файл")
        after = private_bytes(pid)
    assert undone[1] is None
    assert await office.citizens() == []
    kept = await office.admin.fetchval("SELECT count(*) FROM register.history")
    assert kept == count
    if before is not None and after is not None:
        assert after - before < SERVER_GROWTH_MAX_BYTES
    again = await office.take(csv_file(tmp_path / "снова.csv", [person(n) for n in range(9)]))
    assert again.sums.created == 9
