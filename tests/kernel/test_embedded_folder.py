"""What the embedded server's failures mean, where its files lie, and where it cannot run."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.embedded_folder import (
    OUTPUT_LINES_SHOWN,
    SOCKET_PATH_BYTES_MAX,
    Layout,
    explain_failure,
    server_settings,
)
from processing.kernel.embedded_programs import (
    LIBRARIES,
    PACKAGE,
    UNPRIVILEGED_ID,
    find_programs,
    installed_major,
)
from processing.kernel.errors import EmbeddedServerError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")

FAILURES = [
    ('FATAL:  could not write lock file "postmaster.pid": No space left on device', "disk is full"),
    ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", "shared_buffers"),
    ('FATAL:  configuration file "/x/local.conf" contains errors', "mend local.conf"),
    ("FATAL:  database files are incompatible with server", "another version"),
    ('FATAL:  data directory "/x" has invalid permissions', "only the server's account"),
    ("FATAL:  could not open file: Permission denied", "may not read or write"),
    ("initdb: error: could not create directory: Read-only file system", "read-only"),
    ('FATAL:  lock file "postmaster.pid" already exists', "another server"),
    ("initdb: could not look up effective user ID 9: user does not exist", "/etc/passwd"),
    ("FATAL:  something new", "PostgreSQL said:\nFATAL:  something new"),
    ("", "(it said nothing)"),
]


@pytest.mark.parametrize(("output", "meaning"), FAILURES)
def test_failures_are_explained(output: str, meaning: str) -> None:
    assert meaning in explain_failure(output)
    assert output in explain_failure(output)


def test_only_the_end_of_a_long_output_is_shown() -> None:
    shown = explain_failure("\n".join(f"line {number}" for number in range(1_000)))
    assert shown.count("\n") == OUTPUT_LINES_SHOWN
    assert shown.endswith("line 999")


@given(st.text(alphabet=st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1))
def test_every_home_has_a_short_socket_and_a_readable_address(name: str) -> None:
    layout = Layout(Path("/srv") / name, 18)
    assert len(os.fsencode(layout.sockets / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES_MAX
    query = parse_qs(urlsplit(layout.dsn("spk_owner_login", "spk")).query)
    assert query["host"] == [str(layout.sockets)]
    assert query["passfile"] == [str(layout.passwords)]


SHARED_MEMORY = [(64 << 20, "mmap"), (256 << 20, None), (8 << 30, None), (0, "mmap")]


@pytest.mark.parametrize(("size_bytes", "expected"), SHARED_MEMORY)
def test_small_shared_memory_is_not_used(size_bytes: int, expected: str | None) -> None:
    settings = server_settings(Path("/run"), size_bytes)
    assert settings.get("dynamic_shared_memory_type") == expected


def test_elsewhere_a_server_of_your_own_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(EmbeddedServerError, match="no embedded PostgreSQL on darwin: set SPK_DSN"):
        installed_major()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedServerError, match=r"pip install 'spk\[centre\]'"):
        find_programs(tmp_path)


def test_a_full_disk_is_told_before_anything_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(home)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(EmbeddedServerError, match=r"has 1 MB free and the database needs 256 MB"):
        EmbeddedPostgres(home).start()
    assert not (home / "postgres" / str(installed_major())).exists()


@needs_root
def test_a_closed_home_is_named(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match=f"chmod o\\+x {closed}`"):
        EmbeddedPostgres(closed / "inner").start()


@needs_root
def test_a_home_of_somebody_else_is_refused(home: Path) -> None:
    # Imported first: the new user may not be able to read where Python lies.
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from processing.kernel.embedded import EmbeddedPostgres\n"
        "from processing.kernel.errors import EmbeddedServerError\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]))\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: server.start()\n"
        "except EmbeddedServerError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True
    )
    assert f"user {UNPRIVILEGED_ID} may not use {home}" in done.stdout
    assert "set SPK_HOME to a folder of your own" in done.stdout


@needs_root
def test_programs_under_a_closed_folder_are_copied(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the virtual environment lies under root's own closed home folder."""
    installed = find_programs(home / "unused").folder.parents[1]
    hidden = home / "closed" / "site-packages"
    hidden.mkdir(parents=True)
    shutil.copytree(installed, hidden / PACKAGE)
    shutil.copytree(installed.parent / LIBRARIES, hidden / LIBRARIES)
    (home / "closed").chmod(0o700)
    spec = importlib.machinery.ModuleSpec(PACKAGE, None, origin=str(hidden / PACKAGE / "x.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)

    programs = find_programs(home / "programs")
    assert programs.folder.is_relative_to(home / "programs")
    assert find_programs(home / "programs").folder == programs.folder
    assert [path.name for path in (home / "programs").iterdir()] == [
        programs.folder.parents[2].name
    ]
    server = EmbeddedPostgres(home)
    server.start()
    assert server.running()
    assert server.program("psql").is_relative_to(home / "postgres" / "programs")
