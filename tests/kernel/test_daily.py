"""What is done once a day, on real processes and a clock that the test moves."""

from __future__ import annotations

import sys
from datetime import time
from pathlib import Path

import pytest
import structlog

from processing.kernel.clock import ManualClock
from processing.kernel.daily import Daily, DailyWork, only_one
from tests.plugins.postgres import Database

NOON_MS = 1_795_345_200_000
"""2026-11-22 11:00:00 UTC: noon and two hours more in the region's zone."""
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Office:
    """A clock, a folder, and works that leave a line each time they are done."""

    def __init__(self, folder: Path, failing: str = "") -> None:
        self.clock = ManualClock("Europe/Moscow", NOON_MS)
        self.lines = folder / "lines"
        self.done_file = folder / "daily.json"
        self._failing = failing

    def daily(self, at: time = time(3)) -> Daily:
        """Return a centre's daily works, as after a start."""
        works = [DailyWork(name, self._command(name)) for name in ("register", "rights")]
        return Daily(works, at, self.done_file, self.clock, structlog.get_logger())

    def mend(self) -> None:
        self._failing = ""

    def _command(self, name: str) -> list[str]:
        program = f"open({str(self.lines)!r}, 'a').write({name!r} + ' ')"
        if name == self._failing:
            program += "; raise SystemExit('the database is away')"
        return [sys.executable, "-c", program]

    @property
    def done(self) -> str:
        """What was done since it was last asked."""
        told = self.lines.read_text() if self.lines.exists() else ""
        self.lines.write_text("")
        return told


async def test_each_work_is_done_once_a_day_also_over_a_restart(tmp_path: Path) -> None:
    office = Office(tmp_path)
    centre = office.daily()
    assert await centre.once()
    assert office.done == "register rights "
    assert await centre.once()
    assert await office.daily().once()
    assert office.done == ""
    office.clock.advance(DAY_MS)
    assert await centre.once()
    assert office.done == "register rights "


@pytest.mark.parametrize(("hours", "due"), [(12, False), (13, True), (36, True)])
async def test_the_day_begins_at_its_hour(tmp_path: Path, hours: int, due: bool) -> None:
    office = Office(tmp_path)
    centre = office.daily()
    await centre.once()
    assert office.done != ""
    office.clock.advance(hours * HOUR_MS)
    await centre.once()
    assert (office.done != "") is due


async def test_what_failed_is_tried_again_and_the_rest_is_not(tmp_path: Path) -> None:
    office = Office(tmp_path, failing="register")
    with structlog.testing.capture_logs() as logs:
        assert not await office.daily().once()
    assert [(one["event"], one.get("fault")) for one in logs] == [
        ("daily work failed", "the database is away"),
        ("daily work done", None),
    ]
    assert office.done == "register rights "
    office.mend()
    assert await office.daily().once()
    assert office.done == "register "


@pytest.mark.parametrize("content", [b"", b"{", b'{"register": 7}'])
async def test_a_broken_note_costs_no_day(tmp_path: Path, content: bytes) -> None:
    office = Office(tmp_path)
    office.done_file.write_bytes(content)
    assert await office.daily().once()
    assert office.done == "register rights "
    assert await office.daily().once()
    assert office.done == ""


async def test_one_program_at_a_time(database: Database) -> None:
    async with database.connect() as first, database.connect() as second:
        assert await only_one(first, "register")
        assert not await only_one(second, "register")
        assert await only_one(second, "eligibility")
    async with database.connect() as third:
        assert await only_one(third, "register")
