"""Centres for tests: one in the test's loop, and one of real programs that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import pytest

from hsm_stub.client.address import UnixAddress
from hsm_stub.client.client import HsmClient
from hsm_stub.key_material import KeyMaterial, new_key_material
from hsm_stub.keystore import create_key_file
from processing.wire.iso8583.mac import Mac
from tests.plugins.targets import Databases
from tests.plugins.town import REGION, ZONE

if TYPE_CHECKING:
    from tests.plugins.live_centre import LiveCentre, Port

PASSPHRASE = "test passphrase of the centre"
LIGHT_SCRYPT = 10
ServeTown: TypeAlias = "Callable[..., AbstractAsyncContextManager[LiveCentre]]"
"""Serves the town in the test's loop, on a port set up as the `Port` it is given says."""

READY_SECONDS = 60
END_SECONDS = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the long fuzz test."""
    group = parser.getgroup("spk")
    group.addoption(
        "--fuzz-seconds", type=float, default=0.0, help="how long the gateway's fuzz test goes on"
    )


@pytest.fixture(scope="session")
def town_keys() -> KeyMaterial:
    """Give the keys of the town's key service."""
    return new_key_material(f"{REGION}", time.time_ns() // 1_000_000)


@pytest.fixture
def serve_town(databases: Databases, town_keys: KeyMaterial) -> ServeTown:
    """Give a function that serves the town in this loop."""
    # Imported by the test that needs it: a centre's libraries take a second to load.
    from tests.plugins.live_centre import live_centre

    def serve(port: Port | None = None) -> AbstractAsyncContextManager[LiveCentre]:
        return live_centre(databases, town_keys, port)

    return serve


@pytest.fixture
async def live(serve_town: ServeTown) -> AsyncIterator[LiveCentre]:
    """Give the town, served in this loop on a port as terminals have it."""
    async with serve_town() as centre:
        yield centre


class Program:
    """An `spk` command that runs until it is ended or killed, with the lines it logs."""

    def __init__(self, words: tuple[str, ...], environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._grown = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from processing.cli import main; main()", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, event: str) -> dict[str, Any]:
        """Return the first log line of `event`; the program has a minute to write it."""
        deadline = time.monotonic() + READY_SECONDS
        with self._grown:
            while not (found := self.logged(event)):
                left = deadline - time.monotonic()
                ended = not self._reader.is_alive()
                assert left > 0, f"no {event!r} in a minute:\n{self.text}"
                assert not ended, f"ended without {event!r}:\n{self.text}"
                self._grown.wait(min(left, 0.5))
        return found[0]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event so far."""
        lines = []
        for line in self.lines:
            with contextlib.suppress(msgspec.DecodeError):
                lines.append(msgspec.json.decode(line))
        return [line for line in lines if isinstance(line, dict) and line.get("event") == event]

    @property
    def text(self) -> str:
        """All that was written to standard error."""
        return "".join(self.lines)

    def kill(self) -> None:
        """Kill it with SIGKILL: it gets no chance to finish anything."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join(END_SECONDS)

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def exit_code(self) -> int:
        """Wait for its end."""
        code = self._process.wait(END_SECONDS)
        self._reader.join(END_SECONDS)
        return code

    def end(self) -> int:
        """End it as an operator does."""
        self.ask_to_end()
        return self.exit_code()

    def close(self) -> None:
        """Leave nothing behind, whatever its state."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(END_SECONDS)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._grown:
                self.lines.append(line)
                self._grown.notify_all()


class Programs:
    """A folder with keys, and programs that run from it as processes.

    They use the session's key service at `key_service`; a test that kills it starts its own.
    """

    def __init__(self, folder: Path, key_service: UnixAddress, ends: contextlib.ExitStack) -> None:
        self.folder = folder
        self.hsm_address = key_service
        self._ends = ends
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SPK_")}
        self.environment = kept | {
            "SPK_HOME": str(folder),
            "SPK_HSM": str(key_service),
            "SPK_HSM_PASSPHRASE": PASSPHRASE,
            "SPK_TIME_ZONE": ZONE,
            "SPK_LOG_LEVEL": "debug",
            "SPK_ISO8583_LISTEN": "127.0.0.1:0",
            "SPK_HTTP_LISTEN": "127.0.0.1:0",
            "SPK_DAILY_AT": "off",
        }

    def start(self, *words: str, **environment: str) -> Program:
        """Start an `spk` command; it does not outlive the test."""
        program = Program(words, self.environment | environment)
        self._ends.callback(program.close)
        return program

    def start_hsm(self) -> Program:
        """Start a key service of this test's own and wait until it answers."""
        self.hsm_address = UnixAddress(self.folder / "hsm.sock")
        self.environment["SPK_HSM"] = str(self.hsm_address)
        program = self.start("hsm", "run", "--keys", str(self.folder / "keys.spk"))
        with HsmClient(self.hsm_address) as client:
            client.wait_ready(READY_SECONDS * 1000)
        return program

    def start_centre(self, *words: str, **environment: str) -> tuple[Program, int]:
        """Start a centre and wait until it serves; returns it with its ISO 8583 port."""
        program = self.start("centre", "run", *words, **environment)
        return program, int(program.wait_for("serving terminals")["port"])

    def mac(self, terminal_id: str, key_id: int = 1) -> Mac:
        """Return a terminal's key."""
        with HsmClient(self.hsm_address) as client:
            return Mac(client.derive_terminal_key(terminal_id, key_id))


@contextlib.contextmanager
def _key_folder(town_keys: KeyMaterial) -> Iterator[Path]:
    # Not pytest's own folder: a socket's path has 107 bytes at most, and the embedded server
    # runs as another user when this is root.
    with tempfile.TemporaryDirectory(prefix="spk-run-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        create_key_file(folder / "keys.spk", town_keys, PASSPHRASE, LIGHT_SCRYPT)
        yield folder


@pytest.fixture(scope="session")
def key_service(town_keys: KeyMaterial) -> Iterator[UnixAddress]:
    """Give the address of a key service with the town's keys: a process of the whole session."""
    with contextlib.ExitStack() as ends:
        folder = ends.enter_context(_key_folder(town_keys))
        service = Programs(folder, UnixAddress(folder / "hsm.sock"), ends)
        service.start_hsm()
        yield service.hsm_address


@pytest.fixture
def programs(town_keys: KeyMaterial, key_service: UnixAddress) -> Iterator[Programs]:
    """Give an empty folder for real programs."""
    with contextlib.ExitStack() as ends:
        yield Programs(ends.enter_context(_key_folder(town_keys)), key_service, ends)
