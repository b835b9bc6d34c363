"""Starts a real pcscd with virtual readers of vsmartcard's driver, without systemd, root or not.

One copy of the driver serves one pair of readers on two neighbouring TCP ports; a second pair needs
a copy of its own in its own configuration entry. pcscd takes 16 readers at most.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import string
import subprocess
import sys
import tempfile
import time
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Final

import msgspec

from card_personalization.readers import supervisor

READERS_MAX: Final = 16
START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 5.0
CLIENT_SOCKET_VARIABLE: Final = "PCSCLITE_CSOCK_NAME"
SYSTEM_SOCKET: Final = Path("/run/pcscd/pcscd.comm")
_DAEMON_PATHS: Final = (Path("/usr/sbin/pcscd"), Path("/sbin/pcscd"))
_DRIVER_FOLDERS: Final = (Path("/usr/lib/pcsc/drivers/serial"), Path("/usr/local/lib/pcsc/drivers"))
_DRIVER_PATTERN: Final = "libifdvpcd.so*"
_UNPRIVILEGED_UID: Final = 65_534
_SOCKET_PATH_BYTES_MAX: Final = 107
_LOG_TAIL_LINES: Final = 8
_PORT_ATTEMPTS: Final = 50
_POLL_S: Final = 0.02
_LISTENING: Final = "0A"


class ReadersError(Exception):
    """Virtual readers cannot be had; the message says why and what to do."""


class Scope(StrEnum):
    """Who sees the readers: programs told the socket (PRIVATE), or all on the machine (SYSTEM)."""

    PRIVATE = "private"
    SYSTEM = "system"


class ReaderPort(msgspec.Struct, frozen=True):
    """A reader's PC/SC name and the TCP port where its card plugs in."""

    name: str
    port: int


class _Programs(msgspec.Struct, frozen=True):
    daemon: Path
    driver: Path


def _find_programs() -> _Programs:
    """Where pcscd and the driver are. ReadersError naming the Debian packages to install."""
    if not sys.platform.startswith("linux"):
        raise ReadersError("virtual readers need Linux with pcscd; use a hardware reader here")
    daemon = next((path for path in _DAEMON_PATHS if path.exists()), None)
    found = [path for folder in _DRIVER_FOLDERS for path in sorted(folder.glob(_DRIVER_PATTERN))]
    missing = [
        package
        for package, present in (("pcscd", daemon), ("vsmartcard-vpcd", found))
        if not present
    ]
    if missing or daemon is None:
        raise ReadersError(
            "virtual readers need Debian packages that are not installed: "
            f"apt-get install {' '.join(missing)}"
        )
    return _Programs(daemon, found[0])


def system_pcscd_runs() -> bool:
    """Whether a pcscd answers at the system's socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(SYSTEM_SOCKET))
        except OSError:
            return False
    return True


def _free_port_pair() -> int:
    """A port that is free together with its neighbour above."""
    for _ in range(_PORT_ATTEMPTS):
        with socket.socket() as first, socket.socket() as second:
            # vpcd listens on every address, so the pair must be free on all of them.
            first.bind(("", 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("", port + 1))
                return port
    raise ReadersError("no two neighbouring TCP ports are free on this machine")


def _listening_ports() -> set[int]:
    """TCP ports that somebody listens on, without touching them: a connection would be a card."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    rows = [line.split() for line in lines]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENING}


def _reachable_folder() -> Path:
    """The folder for temporary files, or where root's pcscd, run as nobody, cannot go there, /tmp.

    ReadersError if there is none.
    """
    wanted = Path(tempfile.gettempdir())
    fallback = Path("/tmp")  # noqa: S108  # the folder made in it is checked to be our own
    for candidate in (wanted, fallback):
        way = (candidate.resolve(), *candidate.resolve().parents)
        if os.geteuid() != 0 or all(part.stat().st_mode & stat.S_IXOTH for part in way):
            return candidate
    raise ReadersError(f"{wanted} is closed to other users: set TMPDIR to a folder that is not")


def _private_folder() -> Path:
    """A fresh folder whose name is this process's own.

    libpcsclite reads the socket's name once per process, so a second start in one process must
    find its socket under the same name.
    """
    folder = _reachable_folder() / f"spk-pcscd-{os.getuid()}-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        if folder.lstat().st_uid != os.getuid() or (folder / "running").exists():
            raise ReadersError(
                f"{folder} is in use: this process already runs virtual readers, or another user "
                "took the name; remove the folder or set TMPDIR"
            )
        shutil.rmtree(folder)
    folder.mkdir(mode=0o711)
    # The umask may have taken away what nobody needs to reach the driver's copies.
    folder.chmod(0o711)
    return folder


class Pcscd:
    """A running pcscd with virtual readers. Make with `start_pcscd`, end with `stop`."""

    def __init__(
        self,
        folder: Path,
        scope: Scope,
        readers: tuple[ReaderPort, ...],
        process: subprocess.Popen[bytes],
    ) -> None:
        self.folder = folder
        self.scope = scope
        self.readers = readers
        self._process = process

    @property
    def socket_path(self) -> Path:
        """Where clients reach it."""
        return _socket_path(self.folder, self.scope)

    @property
    def environment(self) -> dict[str, str]:
        """What a program's environment needs to find these readers."""
        if self.scope is Scope.SYSTEM:
            return {}
        return {CLIENT_SOCKET_VARIABLE: str(self.socket_path)}

    @property
    def running(self) -> bool:
        """Whether pcscd still runs."""
        return self._process.poll() is None

    def log_tail(self) -> str:
        """The last lines pcscd wrote."""
        return _log_tail(self.folder)

    def stop(self) -> None:
        """End pcscd and remove its folder. Stopping twice does nothing."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _socket_path(folder: Path, scope: Scope) -> Path:
    return SYSTEM_SOCKET if scope is Scope.SYSTEM else folder / "pcscd.comm"


def _log_tail(folder: Path) -> str:
    with contextlib.suppress(OSError):
        lines = (folder / "pcscd.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])
    return ""


def _write_configuration(folder: Path, count: int, driver: Path) -> tuple[ReaderPort, ...]:
    """Driver copies and configuration entries for at least `count` readers, in pairs."""
    configuration, drivers = folder / "readers", folder / "drivers"
    for made in (configuration, drivers):
        made.mkdir()
        made.chmod(0o755)
    readers: list[ReaderPort] = []
    for pair in range((count + 1) // 2):
        letter = string.ascii_uppercase[pair]
        own_driver = drivers / f"libifdvpcd-{letter}.so"
        shutil.copyfile(driver, own_driver)
        own_driver.chmod(0o755)
        port = _free_port_pair()
        entry = configuration / f"pair-{letter}"
        entry.write_text(
            f'FRIENDLYNAME "spk reader {letter}"\n'
            f"DEVICENAME /dev/null:{port}\nLIBPATH {own_driver}\nCHANNELID {port}\n",
            encoding="ascii",
        )
        entry.chmod(0o644)
        # pcscd appends the driver's and the slot's number to the friendly name.
        readers += [
            ReaderPort(f"spk reader {letter} 00 {slot:02X}", port + slot) for slot in (0, 1)
        ]
    return tuple(readers)


def _check_scope(scope: Scope) -> None:
    """ReadersError when a pcscd of this scope cannot be started here."""
    if scope is Scope.SYSTEM:
        if system_pcscd_runs():
            raise ReadersError(
                "a pcscd already runs on this machine: stop it (systemctl stop pcscd.socket "
                "pcscd, or kill it) to replace it, or choose the private scope"
            )
        if os.geteuid() != 0:
            raise ReadersError(
                "readers for the whole machine need root: use the private scope or sudo"
            )
        SYSTEM_SOCKET.unlink(missing_ok=True)
    folder = SYSTEM_SOCKET.parent
    if not folder.is_dir():
        try:
            # pcscd insists that its folder exists, even when it is given another socket.
            folder.mkdir(mode=0o755)
        except OSError as error:
            raise ReadersError(
                f"pcscd wants the folder {folder}, which cannot be made ({error.strerror}): "
                f"make it once as root with mkdir {folder}"
            ) from None


def start_pcscd(count: int, scope: Scope = Scope.PRIVATE) -> Pcscd:
    """Start pcscd with `count` virtual readers (1 to 16), ready for cards and clients.

    ReadersError if packages are missing, a pcscd is in the way, or it does not come up in
    START_TIMEOUT_S; then with the last lines of its log.
    """
    if not 1 <= count <= READERS_MAX:
        raise ReadersError(f"pcscd takes 1 to {READERS_MAX} readers, not {count}")
    programs = _find_programs()
    _check_scope(scope)
    folder = _private_folder()
    try:
        readers = _write_configuration(folder, count, programs.driver)
        process = _launch(folder, scope, programs.daemon)
        daemon = Pcscd(folder, scope, readers[:count], process)
        try:
            _wait_until_ready(daemon, {reader.port for reader in readers})
        except BaseException:
            daemon.stop()
            raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return daemon


def _launch(folder: Path, scope: Scope, daemon: Path) -> subprocess.Popen[bytes]:
    socket_path = _socket_path(folder, scope)
    if len(os.fsencode(socket_path)) > _SOCKET_PATH_BYTES_MAX:
        raise ReadersError(f"the path of the socket is too long: {socket_path}; set TMPDIR shorter")
    (folder / "running").touch()
    with (folder / "pcscd.log").open("wb") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-I",
                _script(supervisor),
                scope.value,
                str(_UNPRIVILEGED_UID),
                str(socket_path),
                str(daemon),
                str(folder / "readers"),
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the program that holds the leash, which then ends pcscd in order.
            start_new_session=True,
        )


def _script(module: ModuleType) -> str:
    if module.__file__ is None:
        raise ReadersError("the supervisor script has no file: install spk unpacked")
    return module.__file__


def _wait_until_ready(daemon: Pcscd, ports: set[int]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (ports <= _listening_ports() and daemon.socket_path.exists()):
        if not daemon.running:
            raise ReadersError(f"pcscd ended at once; its last words:\n{daemon.log_tail()}")
        if time.monotonic() > deadline:
            raise ReadersError(
                f"pcscd did not offer its readers in {START_TIMEOUT_S:.0f} s; its last words:\n"
                f"{daemon.log_tail()}"
            )
        time.sleep(_POLL_S)
