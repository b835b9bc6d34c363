"""`spk db` as an operator types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from processing.kernel.commands import _without_password
from tests.plugins.postgres import Database

FRONT = "import sys; from processing.cli import main; sys.argv[0] = 'spk'; main()"


def spk(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one command line with nothing of ours in the environment but what is given."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SPK_", "PG"))}
    return subprocess.run(
        [sys.executable, "-c", FRONT, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**own, **environ, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
    )


def test_a_day_with_the_embedded_server(home: Path) -> None:
    place = {"SPK_HOME": str(home)}
    steps = [
        (("status",), 1, "absent"),
        (("stop",), 0, "PostgreSQL was not running."),
        (("start",), 0, "started, process"),
        (("start",), 0, "runs already, process"),
        (("status",), 1, "migrations/0001_initial.sql"),
        (("migrate",), 0, "applied  migrations/0001_initial.sql"),
        (("migrate",), 0, "Nothing to do: all"),
        (("status",), 0, "nothing"),
        (("psql", "--", "-Atc", "SELECT current_user"), 0, "spk_operator"),
        (("psql", "--role", "OWNER", "--", "-Atc", "SELECT current_user"), 0, "spk_owner"),
        (("psql", "--", "-Atc", "SELECT * FROM register.citizen"), 1, ""),
        (("stop",), 0, "PostgreSQL stopped."),
        (("status",), 1, "stopped"),
    ]
    for words, code, said in steps:
        done = spk("db", *words, **place)
        assert (words, done.returncode, done.stderr if code == 0 else "") == (words, code, "")
        assert said in done.stdout


def test_a_server_of_your_own(empty_database: Database) -> None:
    place = {"SPK_DSN": empty_database.superuser_dsn}
    for word in ("start", "stop"):
        done = spk("db", word, **place)
        assert done.returncode == 2
        assert "so the embedded PostgreSQL is not in use" in done.stderr
    assert spk("db", "status", **place).returncode == 1
    assert "applied  migrations/0001_initial.sql" in spk("db", "migrate", **place).stdout
    assert spk("db", "status", **place).returncode == 0


NOBODY = "postgresql://u:hunter2@127.0.0.1:1/d"

FAULTS = [
    (("status",), {"SPK_DSN": NOBODY}, 1, "127.0.0.1:1/d does not answer"),
    (("migrate",), {"SPK_DSN": NOBODY}, 1, "127.0.0.1:1/d does not answer"),
    (("start",), {"SPK_DNS": NOBODY}, 2, "did you mean SPK_DSN"),
    (("start",), {"SPK_HOME": __file__}, 2, "is a file; give the path of a folder"),
]


@pytest.mark.parametrize(("words", "environ", "code", "said"), FAULTS)
def test_a_fault_is_one_line(
    words: tuple[str, ...], environ: dict[str, str], code: int, said: str
) -> None:
    done = spk("db", *words, **environ)
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


PASSWORDS = [
    ("postgresql://u:p%40ss@h:5432/d?x=1", "postgresql://u@h:5432/d?x=1", "p@ss"),
    ("postgresql://u@h/d", "postgresql://u@h/d", None),
    ("postgresql:///d", "postgresql:///d", None),
    ("postgresql://u:p@/d?host=/run", "postgresql://u@/d?host=/run", "p"),
]


@pytest.mark.parametrize(("dsn", "without", "password"), PASSWORDS)
def test_the_password_stays_off_the_command_line(
    dsn: str, without: str, password: str | None
) -> None:
    assert _without_password(dsn) == (without, password)
