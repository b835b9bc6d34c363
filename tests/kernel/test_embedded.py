"""The embedded PostgreSQL: it starts, is shared, survives its starter and its own death."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from processing.kernel.embedded import EmbeddedPostgres, ServerState
from processing.kernel.embedded import _alive as is_alive
from processing.kernel.embedded_folder import Layout, all_logins
from processing.kernel.embedded_programs import UNPRIVILEGED_ID, installed_major
from processing.kernel.errors import EmbeddedServerError
from processing.kernel.roles import Role, login_of

START_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from processing.kernel.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.status().process_id)
"""


def query(dsn: str, statement: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def process_id_of(server: EmbeddedPostgres) -> int:
    process_id = server.status().process_id
    assert process_id is not None
    return process_id


def running_on(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START_IN_ANOTHER_PROCESS, str(home)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_database_is_as_the_design_asks(scratch: EmbeddedPostgres) -> None:
    expected = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "password_encryption": "scram-sha-256",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "shared_buffers": "256MB",
        "jit": "off",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
        "lc_messages": "C",
        "log_parameter_max_length": "0",
    }
    dsn = scratch.superuser_dsn()
    assert {name: query(dsn, f"SHOW {name}") for name in expected} == expected
    assert query(dsn, "SELECT datlocale FROM pg_database WHERE datname = 'spk'") == "C.UTF-8"
    assert query(dsn, "SELECT lower('ПРИВЕТ')") == "привет"


def test_every_role_has_a_login_of_its_own(scratch: EmbeddedPostgres) -> None:
    for role in Role:
        assert query(scratch.dsn(role), "SELECT session_user::text") == login_of(role)
        assert query(scratch.dsn(role), f"SELECT pg_has_role('{role.value}', 'MEMBER')") is True
        others = [other for other in Role if other is not role]
        for other in others:
            assert not query(scratch.dsn(role), f"SELECT pg_has_role('{other.value}', 'MEMBER')")
    owner = query(scratch.dsn(Role.OWNER), "SELECT pg_get_userbyid(datdba) FROM pg_database "
                  "WHERE datname = 'spk'")  # fmt: skip
    assert owner == Role.OWNER.value


def test_the_socket_alone_does_not_open_the_door(scratch: EmbeddedPostgres) -> None:
    without = scratch.dsn(Role.PROCESSING).partition("&passfile=")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(f"{without}&passfile=/nonexistent", "SELECT 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(without.replace("@", ":guess@"), "SELECT 1")


def test_files_are_closed_to_others(scratch: EmbeddedPostgres) -> None:
    status = scratch.status()
    layout = Layout(status.data_folder.parents[1], status.major)
    for folder in (layout.data, layout.sockets):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(layout.passwords.stat().st_mode) == 0o600
    assert layout.passwords.stat().st_uid == os.geteuid()
    lines = layout.passwords.read_text().splitlines()
    assert [line.split(":")[3] for line in lines] == list(all_logins())
    passwords = [line.split(":")[4] for line in lines]
    assert len(set(passwords)) == len(lines)
    assert not any(password in scratch.superuser_dsn() for password in passwords)
    # The log must not tell them either.
    logs = [path.read_text() for path in (layout.start_log, *(layout.data / "log").iterdir())]
    assert not any(password in log for password in passwords for log in logs)


def test_root_gives_up_its_privileges(scratch: EmbeddedPostgres) -> None:
    words = Path(f"/proc/{process_id_of(scratch)}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in words.splitlines() if ":\t" in line)
    expected = UNPRIVILEGED_ID if os.geteuid() == 0 else os.geteuid()
    assert set(fields["Uid"].split()) == {str(expected)}
    if os.geteuid() == 0:
        assert set(fields["Gid"].split()) == {str(UNPRIVILEGED_ID)}
        assert fields["Groups"].strip() == ""
        assert int(fields["CapEff"], 16) == 0


def test_the_server_knows_none_of_our_environment(scratch: EmbeddedPostgres) -> None:
    words = Path(f"/proc/{process_id_of(scratch)}/environ").read_bytes()
    names = {word.partition(b"=")[0].decode() for word in words.split(b"\0") if word}
    own = {name for name in names if name.startswith("PG")}
    assert names - own <= {"PATH", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"}
    assert own <= {"PGDATA", "PGLOCALEDIR", "PGSYSCONFDIR", "PG_GRANDPARENT_PID"}


def test_life_cycle(home: Path) -> None:
    server = EmbeddedPostgres(home)
    assert server.status().state is ServerState.ABSENT
    assert server.stop() is False
    dsn = server.start()
    first = process_id_of(server)
    query(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert EmbeddedPostgres(home).start() == dsn
    assert process_id_of(server) == first
    assert server.running()
    assert server.stop() is True
    assert server.stop() is False
    assert server.status().state is ServerState.STOPPED
    assert not server.running()
    server.start()
    assert query(dsn, "SELECT answer FROM kept") == 42


def test_the_server_outlives_its_starter(home: Path) -> None:
    with running_on(home) as starter:
        told = starter.communicate()[0]
    server = EmbeddedPostgres(home)
    assert server.running()
    assert process_id_of(server) == int(told)
    assert os.getsid(int(told)) == int(told)


def test_two_starters_at_once_start_one_server(home: Path) -> None:
    with running_on(home) as first, running_on(home) as second:
        told = {starter.communicate()[0] for starter in (first, second)}
    assert len(told) == 1
    assert told == {f"{process_id_of(EmbeddedPostgres(home))}\n"}


def kill_postmaster(server: EmbeddedPostgres) -> None:
    os.kill(process_id_of(server), signal.SIGKILL)


def kill_everything(server: EmbeddedPostgres) -> None:
    data = server.status().data_folder
    victims = [process_id_of(server)]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                folder = (entry / "cwd").readlink()
            except OSError:
                continue
            if folder == data:
                victims.append(int(entry.name))
    for victim in set(victims):
        # The first deaths may take the others along.
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def kill_and_let_the_number_be_reused(server: EmbeddedPostgres) -> None:
    pid_file = server.status().data_folder / "postmaster.pid"
    kill_everything(server)
    lines = pid_file.read_text().splitlines(keepends=True)
    # A living process of another program, as after a container was started again.
    pid_file.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))


@pytest.mark.parametrize(
    "disaster", [kill_postmaster, kill_everything, kill_and_let_the_number_be_reused]
)
def test_clean_start_after_kill(
    prepared: EmbeddedPostgres, disaster: Callable[[EmbeddedPostgres], None]
) -> None:
    dsn = prepared.start()
    query(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    before = process_id_of(prepared)
    disaster(prepared)
    assert prepared.start() == dsn
    assert query(dsn, "SELECT answer FROM kept") == 42
    assert process_id_of(prepared) != before


def test_processes_left_by_a_killed_postmaster_do_not_last(
    prepared: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped backend stands for one that is busy and does not see that its server died."""
    monkeypatch.setattr("processing.kernel.embedded.LEFTOVER_GRACE_MS", 200)
    dsn = prepared.start()

    async def crash() -> int:
        connection = await asyncpg.connect(dsn)
        backend = int(await connection.fetchval("SELECT pg_backend_pid()"))
        os.kill(backend, signal.SIGSTOP)
        kill_postmaster(prepared)
        connection.terminate()
        return backend

    backend = asyncio.run(crash())
    assert query(prepared.start(), "SELECT 1") == 1
    assert not is_alive(backend)


def test_stop_after_kill_does_not_wait_for_the_dead(prepared: EmbeddedPostgres) -> None:
    prepared.start()
    kill_postmaster(prepared)
    assert prepared.stop() is False
    assert prepared.status().state is ServerState.STOPPED


def test_lost_passwords_are_made_anew(prepared: EmbeddedPostgres) -> None:
    dsn = prepared.start()
    query(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    passwords = prepared.status().data_folder.with_name("passwords")
    passwords.unlink()
    with pytest.raises(EmbeddedServerError, match="run `spk db stop` and start again"):
        prepared.start()
    prepared.stop()
    assert query(prepared.start(), "SELECT answer FROM kept") == 42


def test_an_operators_settings_win(prepared: EmbeddedPostgres) -> None:
    local = prepared.status().data_folder.with_name("local.conf")
    local.write_text("work_mem = '5MB'\n")
    assert query(prepared.start(), "SHOW work_mem") == "5MB"
    prepared.stop()
    local.write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match=r"(?s)mend local\.conf.*no_such_setting"):
        prepared.start()
    assert prepared.status().state is ServerState.STOPPED


def test_data_of_another_version_are_left_alone(home: Path) -> None:
    old = home / "postgres" / "9"
    old.mkdir(parents=True)
    (old / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedServerError, match=r"are of PostgreSQL 9, the programs .* pg_dump"):
        EmbeddedPostgres(home).start()
    assert [path.name for path in old.iterdir()] == ["PG_VERSION"]


def test_a_long_home_still_has_a_socket(home: Path) -> None:
    long_home = home / ("x" * 120)
    server = EmbeddedPostgres(long_home)
    try:
        assert query(server.start(), "SELECT 1") == 1
        assert EmbeddedPostgres(long_home).dsn(Role.OWNER) == server.dsn(Role.OWNER)
    finally:
        server.stop()
        shutil.rmtree(server.status().socket_folder)


def test_a_socket_folder_made_by_somebody_else_is_refused(home: Path) -> None:
    layout = Layout(home / ("y" * 120), installed_major())
    layout.sockets.symlink_to(home)
    try:
        with pytest.raises(EmbeddedServerError, match="should be a folder of user"):
            EmbeddedPostgres(layout.home).start()
    finally:
        layout.sockets.unlink()


def test_a_start_that_was_cut_off_leaves_no_half_database(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise EmbeddedServerError("cut off")

    server = EmbeddedPostgres(home)
    with monkeypatch.context() as patch:
        patch.setattr("processing.kernel.embedded_folder.provision", fail)
        with pytest.raises(EmbeddedServerError, match="cut off"):
            server.start()
    assert server.status().state is ServerState.ABSENT
    assert not list((home / "postgres").glob("draft-*"))
    assert query(server.start(), "SELECT 1") == 1


def test_a_stuck_starter_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processing.kernel.embedded.STARTER_WAIT_MS", 50)
    (home / "postgres").mkdir(mode=0o711)
    holder = subprocess.Popen(
        ["flock", str(home / "postgres" / "starter.lock"), "cat"], stdin=subprocess.PIPE
    )
    try:
        with pytest.raises(EmbeddedServerError, match=r"is a start or stop of .* stuck"):
            wait_until_locked_out(EmbeddedPostgres(home))
    finally:
        holder.communicate()


def wait_until_locked_out(server: EmbeddedPostgres) -> None:
    """Ask for the starter's lock until the other process has it, and then once more."""
    for _ in range(1_000):
        server.program("psql")


def test_starts_from_threads_share_one_server(home: Path) -> None:
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda: told.append(EmbeddedPostgres(home).start()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 4
    assert len(set(told)) == 1
    assert EmbeddedPostgres(home).running()
