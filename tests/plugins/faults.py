"""Options of the fault tests, and the summary of what their runs saw.

    pytest tests/faults --fault-cycles 20          # each fault so many times
    pytest tests/faults/test_kill.py --fault-minutes 10 --fault-seed 7

Every run prints its seed: with the same seed the same faults come in the same order.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import msgspec
import pytest

SEEN = "fault run"
"""Under this name a test hands its counts to the summary."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what makes the fault tests longer, or the same again."""
    group = parser.getgroup("spk")
    group.addoption(
        "--fault-cycles", type=int, default=1, help="how often each fault is made (default 1)"
    )
    group.addoption(
        "--fault-minutes", type=float, default=0.0, help="how long faults go on at least"
    )
    group.addoption(
        "--protocol-examples", type=int, default=60, help="how many histories the protocol lives"
    )
    group.addoption(
        "--thorough-cuts",
        action="store_true",
        help="cut the station at every APDU in every way, not in one way each",
    )
    group.addoption(
        "--undo-rows", type=int, default=3_000, help="of how many rows an import is taken back"
    )
    group.addoption("--fault-seed", type=int, default=None, help="the seed of an earlier run")


class FaultPlan(msgspec.Struct, frozen=True):
    """How long this run goes on, and the seed that all its chance comes from."""

    seed: int
    cycles: int
    minutes: float

    def rounds(self) -> Iterator[int]:
        """Give the numbers of the rounds from 0: as many as asked for, and as long."""
        began = time.monotonic()
        number = 0
        while number < self.cycles or time.monotonic() - began < 60 * self.minutes:
            yield number
            number += 1

    @property
    def test_seconds(self) -> float:
        """How much longer than usual a test may take."""
        return 60 * self.minutes + 120 * (self.cycles - 1)


@pytest.fixture
def fault_plan(request: pytest.FixtureRequest) -> FaultPlan:
    """Give this run's seed and length; the seed is printed when the test fails."""
    option = request.config.getoption
    seed = option("--fault-seed")
    plan = FaultPlan(
        secrets.randbelow(10**9) if seed is None else seed,
        option("--fault-cycles"),
        option("--fault-minutes"),
    )
    print(f"--fault-seed {plan.seed}")
    return plan


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the fault tests the time that the options ask for."""
    plan = FaultPlan(0, config.getoption("--fault-cycles"), config.getoption("--fault-minutes"))
    if not plan.test_seconds:
        return
    for item in items:
        marked = item.get_closest_marker("timeout")
        if marked is not None and "fault_plan" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(marked.args[0] + plan.test_seconds), append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each fault run saw."""
    runs = [
        (report.nodeid, value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == SEEN
    ]
    if runs:
        terminalreporter.section("fault runs")
    for nodeid, seen in sorted(runs):
        terminalreporter.write_line(f"{nodeid}: {seen}")
