"""The scripts start, and fail early rather than go on half done."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.house.sources import ROOT

COMMANDS = ["setup", "demo", "test", "check", "bench", "lock"]
SHELL_FILES = [*(f"scripts/{name}" for name in COMMANDS), "scripts/lib.sh", ".ci/run"]


def bash(*words: str) -> subprocess.CompletedProcess[str]:
    """Run bash from a folder that is not the checkout."""
    return subprocess.run(
        ["bash", *words], capture_output=True, text=True, check=False, cwd=ROOT.anchor
    )


@pytest.mark.parametrize("name", SHELL_FILES)
def test_bash_understands_it(name: str) -> None:
    assert bash("-n", str(ROOT / name)).stderr == ""


@pytest.mark.parametrize("name", [*(f"scripts/{name}" for name in COMMANDS), ".ci/run"])
def test_it_can_be_started_and_stops_at_a_failure(name: str) -> None:
    path = ROOT / name
    assert os.access(path, os.X_OK)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines


@pytest.mark.parametrize(
    ("code", "exit_code", "stdout"),
    [
        ("true", 0, ""),
        ('printf "%s" "$ROOT"', 0, str(ROOT)),
        ('"$(find_python)" -c "import sys; print(sys.version_info >= (3, 11))"', 0, "True\n"),
        ("find_python 'assert False'", 1, ""),
        ("run_with_dots x false", 1, ""),
        ("run_with_dots x echo fine", 0, ""),
        ("fail 'no card'", 1, ""),
    ],
)
def test_the_shared_part(code: str, exit_code: int, stdout: str) -> None:
    done = bash("-c", f'set -euo pipefail; source "{ROOT}/scripts/lib.sh"; {code}')
    assert (done.returncode, done.stdout) == (exit_code, stdout)


def test_a_failing_command_shows_its_log() -> None:
    source = f'source "{ROOT}/scripts/lib.sh"; set -euo pipefail'
    done = bash("-c", f"{source}; run_with_dots x bash -c 'echo no such package; exit 7'")
    assert done.returncode == 7
    assert "no such package" in done.stderr


def test_a_new_environment_replaces_only_an_environment(tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.write_text("mine", encoding="utf-8")
    line = next(
        line.strip()
        for line in (ROOT / "scripts/lib.sh").read_text(encoding="utf-8").splitlines()
        if 'rm -rf "$SPK_VENV"' in line
    )
    assert bash("-c", f'SPK_VENV="{tmp_path}"; {line}').returncode == 0
    assert keep.exists()
