"""Plug-ins that every test may use, and the rule that PC/SC tests are not skipped in CI."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator

import pytest

pytest_plugins = [
    name
    for name in (
        "tests.plugins.postgres",
        "tests.plugins.targets",
        "tests.plugins.pcsc",
        "tests.plugins.centre",
        "tests.plugins.faults",
    )
    if importlib.util.find_spec(name) is not None
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skipped PC/SC test a failure where SPK_REQUIRE_PCSC=1 says that it must run."""
    report = yield
    must_run = os.environ.get("SPK_REQUIRE_PCSC") == "1" and item.get_closest_marker("pcsc")
    if must_run and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(call.excinfo.value) if call.excinfo else "no reason given"
        report.outcome = "failed"
        report.longrepr = f"SPK_REQUIRE_PCSC=1, but this test was skipped: {reason}"
    return report
