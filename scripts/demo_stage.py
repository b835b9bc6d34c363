"""The stage of the demonstration: an empty centre with its database, keys, readers and terminals.

Everything runs as a newcomer would run it, through the `spk` command, in one folder that is made
anew each time. What was started here is ended here, by its process id.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec
from rich.console import Console

from card_personalization.chip.softcard.drawer import Drawer
from card_personalization.readers.pcscd import ReadersError
from card_personalization.readers.virtual import VirtualReaders, virtual_readers

READY_TIMEOUT_SECONDS: Final = 60
END_TIMEOUT_SECONDS: Final = 30
MARK: Final = "spk-demo"
"""A file that tells a folder of this demonstration from any other."""


class StageError(Exception):
    """A step of the demonstration did not do what it must."""


class Stage:
    """A running centre. Use as a context manager."""

    def __init__(self, home: Path, language: str, console: Console) -> None:
        self.home = home
        self.language = language
        self.console = console
        self.readers: VirtualReaders | None = None
        self.drawer = home / "drawer"
        self.environment = dict(os.environ)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Stage:
        self._make_home()
        iso_port, http_port = _free_port(), _free_port()
        self.environment |= {
            "SPK_HOME": str(self.home),
            "SPK_TIME_ZONE": "Asia/Yekaterinburg",
            "SPK_HSM_PASSPHRASE": secrets.token_urlsafe(24),
            "SPK_ISO8583_LISTEN": f"127.0.0.1:{iso_port}",
            "SPK_HTTP_LISTEN": f"127.0.0.1:{http_port}",
            "SPK_DAILY_AT": "off",
            "SPK_CENTRE": f"http://127.0.0.1:{http_port}",
            "SPK_STATION_TOKEN_FILE": str(self.home / "station.token"),
            "SPK_TERMINAL_LANG": self.language,
            # Tables as wide as this telling, though its programs write into a pipe.
            "COLUMNS": str(self.console.width),
            # A line per transaction, to be shown beside what the terminals print.
            "SPK_LOG_LEVEL": "debug",
        }
        self.environment.pop("SPK_DSN", None)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()
        for name in reversed(list(self._running)):
            self.end(name)
        self._stop_database()

    @property
    def iso_port(self) -> int:
        """Return the port of the centre's ISO 8583 gateway."""
        return int(self.environment["SPK_ISO8583_LISTEN"].rpartition(":")[2])

    def spk(
        self,
        *words: str | Path,
        expect: Sequence[int] = (0,),
    ) -> str:
        """Run one `spk` command; return what it printed. Raises `StageError` for another exit."""
        done = subprocess.run(
            [spk_program(), *map(str, words)],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode not in expect:
            raise StageError(
                f"spk {' '.join(map(str, words))} ended with {done.returncode}:\n"
                f"{done.stdout}{done.stderr}"
            )
        return done.stdout + done.stderr

    def start(self, name: str, *words: str) -> int:
        """Start a long-running `spk` command with its output in a log; return its process id."""
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [spk_program(), *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running[name] = process
        return process.pid

    def end(self, name: str) -> None:
        """Stop what `start` started, gracefully."""
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, name: str) -> None:
        """Kill what `start` started, with SIGKILL: it gets no chance to save anything."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def start_centre(self) -> None:
        """Start the centre and wait until it is well."""
        self.start("centre", "centre", "run")
        address = f"{self.environment['SPK_CENTRE']}/health"
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(address, timeout=5).status_code == httpx.codes.OK:
                    return
            if self._running["centre"].poll() is not None or time.monotonic() > deadline:
                log = (self.home / "centre.log").read_text("utf-8", "replace")
                raise StageError(f"the centre did not start; its log:\n{log[-4000:]}")
            time.sleep(0.1)

    def open_readers(self, count: int) -> bool:
        """Start pcscd with virtual readers; False where it cannot be had (cards in process)."""
        try:
            self.readers = self._ends.enter_context(virtual_readers(count, Drawer(self.drawer)))
        except (ReadersError, ImportError) as error:
            self.console.print(f"[yellow]{error}[/]", highlight=False)
            return False
        self.environment |= self.readers.environment
        return True

    @contextlib.contextmanager
    def card_at_reader(self, card: str) -> Iterator[list[str]]:
        """Put a card of the drawer in a reader; yields the words that point a command at it."""
        if self.readers is None:
            yield ["--soft", str(self.drawer / f"{card}.card")]
            return
        reader = self.readers.insert(card)
        try:
            yield ["--reader", reader]
        finally:
            self.readers.remove(reader)

    def log_entries(self, name: str) -> list[dict[str, object]]:
        """Return what a program that `start` started has logged; other lines are passed over."""
        entries = []
        for line in (self.home / f"{name}.log").read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                entries.append(msgspec.json.decode(line, type=dict[str, object]))
        return entries

    def _stop_database(self) -> None:
        subprocess.run(
            [spk_program(), "db", "stop"],
            env={**os.environ, "SPK_HOME": str(self.home)},
            capture_output=True,
            check=False,
        )

    def _make_home(self) -> None:
        """Make the folder anew; a folder that this demonstration did not make is left alone."""
        if self.home.exists() and any(self.home.iterdir()):
            if not (self.home / MARK).exists():
                raise StageError(f"{self.home} holds other things; name another with --home")
            self._stop_database()
            shutil.rmtree(self.home)
        self.home.mkdir(parents=True, exist_ok=True)
        # The database server runs as another user when this is root, and must get through.
        self.home.chmod(0o755)
        (self.home / MARK).write_text("made by scripts/demo; removed by its next run\n")


def spk_program() -> str:
    """Return the `spk` command of this Python's environment."""
    return str(Path(sys.executable).parent / "spk")


def default_home() -> Path:
    """Return where the demonstration lives unless told otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/spk-demo")
    return Path.home() / ".local" / "share" / "spk-demo"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
