"""The rules that the shared plug-ins add to pytest itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT

SKIPPING = """
import pytest

@pytest.mark.pcsc
def test_with_a_reader() -> None:
    pytest.skip("no pcscd here")

def test_without() -> None:
    pytest.skip("not today")
"""

CASES = [
    ("1", 1, ["1 failed", "1 skipped", "this test was skipped", "no pcscd here"]),
    ("0", 0, ["2 skipped"]),
    (None, 0, ["2 skipped"]),
]


@pytest.mark.parametrize(("required", "code", "said"), CASES)
def test_a_skipped_pcsc_test_fails_where_it_must_run(
    tmp_path: Path, required: str | None, code: int, said: list[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = pcsc\n")
    (tmp_path / "test_it.py").write_text(SKIPPING)
    environ = {name: value for name, value in os.environ.items() if name != "SPK_REQUIRE_PCSC"}
    if required is not None:
        environ["SPK_REQUIRE_PCSC"] = required
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-p",
            "no:randomly",
            str(tmp_path),
        ],
        cwd=tmp_path,
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert [word for word in said if word not in done.stdout] == []
