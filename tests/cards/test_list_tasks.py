"""Lists are issued by a command of its own: how its end is told, whatever end it takes."""

from __future__ import annotations

import sys

import pytest

from processing.cards import tasks


@pytest.mark.parametrize(
    ("program", "fault", "told"),
    [
        ("print('list 7')", "", "list 7"),
        ("print('no key service'); raise SystemExit(1)", "no key service", ""),
        ("raise SystemExit(3)", "exit code 3", ""),
        ("import time; time.sleep(60)", "no end within 1 s", ""),
    ],
)
async def test_every_end_is_told(
    monkeypatch: pytest.MonkeyPatch, program: str, fault: str, told: str
) -> None:
    monkeypatch.setattr(tasks, "STOP_LIST_TIMEOUT_SECONDS", 1 if "sleep" in program else 60)
    assert await tasks._run([sys.executable, "-c", program]) == (fault, told)


async def test_a_program_that_is_not_there_is_told() -> None:
    fault, told = await tasks._run(["/no/such/program"])
    assert (fault.startswith("/no/such/program: "), told) == (True, "")
