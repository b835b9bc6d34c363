"""An archiver that is killed with -9 at any stage loses nothing: the next one ends the work."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processing.journal.archive import Stage
from processing.kernel.roles import Role
from tests.journal.history import snapshot
from tests.journal.test_archive import archive_before, restore, written_at
from tests.plugins.postgres import Database

ROOT = Path(__file__).parents[2]
POINTS = (
    (Stage.CLOSING, ""),
    (Stage.WRITING, "event"),
    (Stage.VERIFYING, "event"),
    (Stage.KEEPING, "event"),
    (Stage.WRITING, "line"),
    (Stage.KEEPING, "block"),
    (Stage.DETACHING, ""),
    (Stage.DROPPING, ""),
    (Stage.DONE, ""),
)


async def killed_at(database: Database, folder: Path, stage: Stage, table: str) -> None:
    """Archive in a process of its own, which is killed when the stage of a month begins."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.journal.kill_archive",
        database.dsn(Role.OPERATOR),
        str(folder),
        stage.value,
        table,
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()


@pytest.mark.parametrize(("stage", "table"), POINTS, ids=str)
async def test_nothing_is_lost(history: Database, tmp_path: Path, stage: Stage, table: str) -> None:
    async with history.connect() as admin:
        before = await snapshot(admin)
        await killed_at(history, tmp_path, stage, table)
        present = await snapshot(admin)
        # What is not in tables is in files that were verified.
        assert all(present[name] == before[name] for name in present)
        dropped = await admin.fetch("SELECT month FROM journal.archive_step WHERE step = 'dropped'")
        assert len(before) - len(present) == 2 * len(dropped)

        await archive_before(history, tmp_path, "2026-04", drop=True)
        assert list(await snapshot(admin)) == ["event_2026_04", "line_2026_04"]
        assert all(path.suffix != ".part" for path in written_at(tmp_path))
        for month in ("2026-03", "2026-02"):
            await restore(history, tmp_path, month)
        assert await snapshot(admin) == before
