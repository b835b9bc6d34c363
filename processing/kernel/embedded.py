"""The embedded PostgreSQL: a real server, started from a Python wheel, for one machine.

It keeps its data under the home folder, listens on a unix socket only, outlives the process that
started it, and comes back clean after any of its processes was killed. Whether a server is alive
is told by a file lock that its processes inherit, never by a process number, which another
process may have taken over.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from processing.kernel import embedded_folder
from processing.kernel.embedded_folder import DATABASE, PORT, SUPERUSER, Layout, explain_failure
from processing.kernel.embedded_programs import (
    USE_OWN_SERVER,
    Programs,
    find_programs,
    installed_major,
    own_account,
)
from processing.kernel.errors import EmbeddedServerError
from processing.kernel.file_lock import POLL_INTERVAL_MS, held_lock, try_lock
from processing.kernel.roles import Role, login_of

START_TIMEOUT_SECONDS: Final = 300
"""Long, because a start after a crash replays up to `max_wal_size` of log."""

STARTER_WAIT_MS: Final = 320_000
"""How long a second starter waits for the first: a little longer than a start may take."""

STOP_TIMEOUT_SECONDS: Final = 60
LEFTOVER_GRACE_MS: Final = 10_000
"""How long processes of a dead server may take to notice before they are killed."""

LEFTOVER_KILL_WAIT_MS: Final = 5_000
LOG_TAIL_BYTES: Final = 8_192
DISK_FREE_BYTES_MIN: Final = 64 * 1024 * 1024
DISK_FREE_BYTES_MIN_NEW: Final = 256 * 1024 * 1024


class ServerState(StrEnum):
    """What the embedded server is doing."""

    ABSENT = "absent"
    STOPPED = "stopped"
    CHANGING = "changing"
    RUNNING = "running"


class ServerStatus(msgspec.Struct, frozen=True):
    """The state, the postmaster's process number while RUNNING, and where the server lives."""

    state: ServerState
    process_id: int | None
    data_folder: Path
    socket_folder: Path
    major: int


class EmbeddedPostgres:
    """The server of one home folder. Any number of processes may hold one of these at a time.

    `programs_folder` is where programs are copied to when the installed ones are unreadable.
    Every method that touches the server raises `EmbeddedServerError`.
    """

    def __init__(self, home: Path, programs_folder: Path | None = None) -> None:
        self._layout = Layout(home.absolute(), installed_major())
        self._programs_folder = programs_folder or self._layout.root / "programs"
        self._server_lock = self._layout.root / "server.lock"
        self._starter_lock = self._layout.root / "starter.lock"

    def start(self) -> str:
        """Start the server, or attach to it when it runs; return the address of `spk_owner`."""
        with self._explained():
            embedded_folder.prepare_folders(self._layout, own_account())
            with held_lock(self._starter_lock, STARTER_WAIT_MS):
                embedded_folder.check_version(self._layout)
                self._start_or_attach(find_programs(self._programs_folder))
        return self.dsn(Role.OWNER)

    def stop(self) -> bool:
        """Stop the server after letting transactions roll back; False when none was running."""
        with self._explained():
            if not self._layout.data.exists():
                return False
            with held_lock(self._starter_lock, STARTER_WAIT_MS):
                return self._stop(find_programs(self._programs_folder))

    def running(self) -> bool:
        """Whether the server runs and accepts connections."""
        return self.status().state is ServerState.RUNNING

    def status(self) -> ServerStatus:
        """Return what the server is doing, without waiting for a start or stop under way."""
        with self._explained():
            state, process_id = self._state()
        layout = self._layout
        return ServerStatus(state, process_id, layout.data, layout.sockets, layout.major)

    def dsn(self, role: Role, database: str = DATABASE) -> str:
        """Return the address of `database` for the login that acts as `role`. It has no secret."""
        return self._layout.dsn(login_of(role), database)

    def superuser_dsn(self, database: str = DATABASE) -> str:
        """Return the address for PostgreSQL's superuser: for administration and tests only."""
        return self._layout.dsn(SUPERUSER, database)

    def program(self, name: str) -> Path:
        """Return the path of one of PostgreSQL's own programs, such as psql or pg_dump."""
        with self._explained():
            embedded_folder.prepare_folders(self._layout, own_account())
            with held_lock(self._starter_lock, STARTER_WAIT_MS):
                return find_programs(self._programs_folder).path(name)

    def _state(self) -> tuple[ServerState, int | None]:
        if not self._layout.data.exists():
            return ServerState.ABSENT, None
        lock = try_lock(self._server_lock)
        if lock is not None:
            os.close(lock)
            return ServerState.STOPPED, None
        process_id = self._ready_process()
        if process_id is None:
            return ServerState.CHANGING, None
        return ServerState.RUNNING, process_id

    def _ready_process(self) -> int | None:
        """Return the postmaster's process number if postmaster.pid says that it is ready."""
        try:
            lines = (self._layout.data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return None
        # PostgreSQL writes eight lines; the first is the number, the last the status.
        if len(lines) < 8 or lines[7].strip() != "ready" or not lines[0].strip().isdigit():
            return None
        process_id = int(lines[0])
        return process_id if _alive(process_id) else None

    def _start_or_attach(self, programs: Programs) -> None:
        lock = self._lock_or_attach()
        if lock is None:
            if not embedded_folder.passwords_complete(self._layout):
                raise EmbeddedServerError(
                    f"the server runs, but {self._layout.passwords} is incomplete: run "
                    "`spk db stop` and start again, which makes new passwords."
                )
            return
        try:
            self._check_disk()
            self._clear_stale_files()
            embedded_folder.own_folder(self._layout.sockets, programs.account)
            if not self._layout.data.exists():
                embedded_folder.create_data(self._layout, programs)
            elif not embedded_folder.passwords_complete(self._layout):
                embedded_folder.provision(
                    self._layout, programs, self._layout.data, new=False, inherited_fds=(lock,)
                )
            embedded_folder.write_settings(self._layout, self._layout.data, programs.account)
            self._launch(programs, lock)
        finally:
            os.close(lock)

    def _lock_or_attach(self) -> int | None:
        """Return the server's lock when no server process lives, None when one is ready."""
        deadline_ns = time.monotonic_ns() + START_TIMEOUT_SECONDS * 1_000_000_000
        leftovers_since_ns = None
        while (lock := try_lock(self._server_lock)) is None:
            if self._ready_process() is not None:
                return None
            now_ns = time.monotonic_ns()
            if self._postmaster_alive():
                leftovers_since_ns = None
            elif leftovers_since_ns is None:
                leftovers_since_ns = now_ns
            elif now_ns - leftovers_since_ns > LEFTOVER_GRACE_MS * 1_000_000:
                return self._kill_leftovers()
            if now_ns > deadline_ns:
                raise EmbeddedServerError(
                    f"a server on {self._layout.data} lives and did not become ready within "
                    f"{START_TIMEOUT_SECONDS} s; see {self._layout.data / 'log'}."
                )
            time.sleep(POLL_INTERVAL_MS / 1000)
        return lock

    def _postmaster_alive(self) -> bool:
        try:
            first = (self._layout.data / "postmaster.pid").read_text("utf-8").split("\n")[0]
        except FileNotFoundError:
            return False
        return first.strip().isdigit() and _alive(int(first))

    def _kill_leftovers(self) -> int:
        """Kill what a dead postmaster left behind and return the lock they held.

        They cannot serve anybody, but as long as one lives, starting another server could have
        both write to the same files.
        """
        process_ids = _postgres_processes_in(self._layout.data)
        for process_id in process_ids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        deadline_ns = time.monotonic_ns() + LEFTOVER_KILL_WAIT_MS * 1_000_000
        while (lock := try_lock(self._server_lock)) is None:
            if time.monotonic_ns() > deadline_ns:
                raise EmbeddedServerError(
                    f"processes of an earlier server still use {self._layout.data}, perhaps in "
                    f"another container that shares the folder: stop them, {USE_OWN_SERVER}."
                )
            time.sleep(POLL_INTERVAL_MS / 1000)
        return lock

    def _clear_stale_files(self) -> None:
        """Remove what a killed server left. The caller holds the lock, so none of it is in use.

        PostgreSQL would compare process numbers and refuse to start when a stranger has the old
        number, which happens in containers.
        """
        (self._layout.data / "postmaster.pid").unlink(missing_ok=True)
        socket = self._layout.sockets / f".s.PGSQL.{PORT}"
        socket.unlink(missing_ok=True)
        socket.with_name(f"{socket.name}.lock").unlink(missing_ok=True)
        for draft in self._layout.root.glob("draft-*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _check_disk(self) -> None:
        new = not self._layout.data.exists()
        needed = DISK_FREE_BYTES_MIN_NEW if new else DISK_FREE_BYTES_MIN
        free = shutil.disk_usage(self._layout.root).free
        if free < needed:
            raise EmbeddedServerError(
                f"the disk of {self._layout.root} has {free >> 20} MB free and the database "
                f"needs {needed >> 20} MB to start: free some space, or set SPK_HOME elsewhere."
            )

    def _launch(self, programs: Programs, lock: int) -> None:
        log = self._layout.start_log
        logs = self._layout.data / "log"
        sizes_before = {path: path.stat().st_size for path in logs.glob("*.log")}
        with log.open("w", encoding="utf-8") as output:
            result = programs.run(
                [
                    "pg_ctl",
                    "start",
                    f"--pgdata={self._layout.data}",
                    "--wait",
                    f"--timeout={START_TIMEOUT_SECONDS}",
                    "--silent",
                ],
                output=output,
                timeout_seconds=START_TIMEOUT_SECONDS + 10,
                inherited_fds=(lock,),
            )
        if result.returncode != 0:
            said = _text_from(log, 0)
            for path in sorted(logs.glob("*.log")):
                said += _text_from(path, sizes_before.get(path, 0))
            raise EmbeddedServerError(
                f"PostgreSQL did not start on {self._layout.data}: {explain_failure(said)}"
            )

    def _stop(self, programs: Programs) -> bool:
        lock = try_lock(self._server_lock)
        if lock is not None:
            os.close(lock)
            return False
        if not self._postmaster_alive():
            # Killed a moment ago; pg_ctl would wait for a process that cannot answer.
            self._wait_for_leftovers()
            return False
        for mode in ("fast", "immediate"):
            programs.run(
                [
                    "pg_ctl",
                    "stop",
                    f"--pgdata={self._layout.data}",
                    f"--mode={mode}",
                    "--wait",
                    f"--timeout={STOP_TIMEOUT_SECONDS}",
                    "--silent",
                ],
                output=subprocess.DEVNULL,
                timeout_seconds=STOP_TIMEOUT_SECONDS + 10,
            )
            # The last processes (the log writer) leave a little after the postmaster.
            with (
                contextlib.suppress(TimeoutError),
                held_lock(self._server_lock, LEFTOVER_KILL_WAIT_MS),
            ):
                return True
        os.close(self._kill_leftovers())
        return True

    def _wait_for_leftovers(self) -> None:
        try:
            with held_lock(self._server_lock, LEFTOVER_GRACE_MS):
                return
        except TimeoutError:
            os.close(self._kill_leftovers())

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the system may refuse into an error that says what to do."""
        root = self._layout.root
        try:
            yield
        except PermissionError as error:
            raise EmbeddedServerError(
                f"user {os.geteuid()} may not use {error.filename or root} ({error.strerror}). Run "
                f"as the user who created {root}, set SPK_HOME to a folder of your own, "
                f"{USE_OWN_SERVER}."
            ) from error
        except TimeoutError as error:
            raise EmbeddedServerError(f"{error}: is a start or stop of {root} stuck?") from error
        except subprocess.TimeoutExpired as error:
            raise EmbeddedServerError(
                f"{Path(error.cmd[0]).name} did not end within {error.timeout:.0f} s on {root}."
            ) from error
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            raise EmbeddedServerError(f"{root}: {error.strerror or error}{place}.") from error


def _alive(process_id: int) -> bool:
    """Whether the process runs. One that ended and was not yet waited for (a zombie) does not."""
    try:
        # The state is the first field after the name, which may itself hold blanks and brackets.
        return (
            Path(f"/proc/{process_id}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
        )
    except (OSError, IndexError):
        return False


def _postgres_processes_in(data: Path) -> list[int]:
    """Return PostgreSQL's processes whose current folder is `data`: it is for all of a server."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            program = (entry / "exe").readlink().name
            folder = (entry / "cwd").readlink()
            # The link ends in " (deleted)" once the package was upgraded.
            if program.startswith("postgres") and folder == data.resolve():
                found.append(int(entry.name))
    return found


def _text_from(path: Path, offset: int) -> str:
    """Return what a log says from `offset` on, at most its last `LOG_TAIL_BYTES`."""
    size = path.stat().st_size
    # A log of the week before was written over: it begins anew.
    start = offset if offset <= size else 0
    with path.open("rb") as file:
        file.seek(max(start, size - LOG_TAIL_BYTES))
        return file.read().decode("utf-8", "replace")
