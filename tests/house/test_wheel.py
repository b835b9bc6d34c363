"""The wheel works outside the checkout and carries what it needs, and nothing else."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.house.sources import PACKAGES, ROOT, files_below


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("spk-*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own, outside the checkout."""
    folder = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--no-index", "--target", str(folder), str(wheel))
    return folder


def pip(*words: str) -> None:
    """Run pip and show what it said when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_outside(site: Path, *words: str) -> str:
    """Run Python far from the checkout, with the installed wheel first on its path."""
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names_in(wheel: Path) -> set[str]:
    """Give the files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_wheel_holds_the_packages_and_the_sql(wheel: Path) -> None:
    files = {name for name in names_in(wheel) if ".dist-info/" not in name}
    code = {path.relative_to(ROOT).as_posix() for path in files_below(PACKAGES, {".py"})}
    sql = {
        f"processing/{path.relative_to(ROOT).as_posix()}"
        for path in files_below(("sql",), {".sql"})
    }
    assert code | sql <= files
    assert {name.partition("/")[0] for name in files} == set(PACKAGES)
    assert [name for name in files if "tests/" in name or "/test_" in name] == []


def test_wheel_carries_the_licence(wheel: Path) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names_in(wheel))


def test_installed_command_runs_outside_the_checkout(site: Path) -> None:
    where = run_outside(site, "-c", "import processing; print(processing.__file__)")
    assert Path(where.strip()).is_relative_to(site)
    sql = "from processing.kernel.sql_files import sql_root; print(sql_root())"
    assert Path(run_outside(site, "-c", sql).strip()) == site / "processing/sql"
    assert run_outside(site, str(site / "bin/spk"), "--version").strip() == version("spk")
    assert "centre" in run_outside(site, str(site / "bin/spk"), "--help")
