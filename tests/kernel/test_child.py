"""A command in a process of its own: how its end is told, whatever end it takes."""

from __future__ import annotations

import sys

import pytest

from processing.kernel.child import run_child


@pytest.mark.parametrize(
    ("program", "fault", "told"),
    [
        ("print('list 7')", "", "list 7"),
        ("print('no key service'); raise SystemExit(1)", "no key service", ""),
        ("raise SystemExit(3)", "exit code 3", ""),
        ("import time; time.sleep(60)", "no end within 1 s", ""),
    ],
)
async def test_every_end_is_told(program: str, fault: str, told: str) -> None:
    timeout_seconds = 1 if "sleep" in program else 60
    assert await run_child([sys.executable, "-c", program], timeout_seconds) == (fault, told)


async def test_a_program_that_is_not_there_is_told() -> None:
    fault, told = await run_child(["/no/such/program"], 60)
    assert (fault.startswith("/no/such/program: "), told) == (True, "")
