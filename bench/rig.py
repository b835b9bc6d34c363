"""The rig of a measurement: an empty centre with its database and key service, made and removed.

Everything runs as an operator would run it, through the `spk` command, with the settings of a
fresh installation: durable, and a log line per transaction. What was started here is ended here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from bench import usage
from bench.naive.loading import load_naive
from bench.world import REGION, TIME_ZONE, BenchTerminal, World, load, terminal_id_of
from hsm_stub.client.client import connect
from processing.kernel.embedded import EmbeddedPostgres

READY_TIMEOUT_SECONDS: Final = 120
END_TIMEOUT_SECONDS: Final = 60
COMMAND_TIMEOUT_SECONDS: Final = 300
SYNC_PROBES: Final = 200
SYNC_HONEST_US: Final = 20
"""A disk that makes 4 kB durable faster than this is memory: durable figures mean nothing there."""

CHECKOUT: Final = Path(__file__).resolve().parent.parent
T = TypeVar("T")


class RigError(Exception):
    """The rig could not be set up; the message has the log of what failed."""


class RigSize(msgspec.Struct, frozen=True, kw_only=True):
    """How large the rig is."""

    cards: int
    terminals: int
    workers: int


class Spent(msgspec.Struct, frozen=True):
    """CPU microseconds of each part of the rig, and of everybody else on the machine."""

    server: int
    hsm: int
    postgres: int
    naive: int
    machine: int

    def since(self, before: Spent) -> Spent:
        """Return what was spent between two readings."""
        return Spent(
            *(getattr(self, name) - getattr(before, name) for name in self.__struct_fields__)
        )


class Rig:
    """A running centre. Use as a context manager; raises `RigError`."""

    def __init__(self, size: RigSize) -> None:
        self.size = size
        self.home = Path(tempfile.mkdtemp(prefix="spk-bench-"))
        # PostgreSQL runs as another user when this is root, and must get through.
        self.home.chmod(0o711)
        self.embedded = EmbeddedPostgres(self.home)
        self.iso_port, self.http_port = free_port(), free_port()
        self.naive_port = 0
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._world: World | None = None
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SPK_")
        } | {
            "SPK_HOME": str(self.home),
            "SPK_TIME_ZONE": TIME_ZONE,
            "SPK_HSM_PASSPHRASE": secrets.token_urlsafe(24),
            "SPK_ISO8583_LISTEN": f"127.0.0.1:{self.iso_port}",
            "SPK_HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "SPK_DAILY_AT": "off",
        }

    def __enter__(self) -> Rig:
        try:
            self._spk("hsm", "init", "--region", str(REGION))
            self._start("hsm", "hsm", "run")
            self._spk("db", "migrate")
            self._load()
            self.start_centre()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def world(self) -> World:
        """Return what a load generator must know."""
        if self._world is None:
            raise RigError("the rig is not loaded")
        return self._world

    @property
    def world_file(self) -> Path:
        """Return where the world lies for the load generator."""
        return self.home / "world.json"

    def start_centre(self) -> None:
        """Start the centre and wait until it takes terminals."""
        words = ["centre", "run"]
        if self.size.workers > 1:
            words += ["--workers", str(self.size.workers)]
        self._start("centre", *words)
        self._wait_for(lambda: _listening(self.iso_port), "centre")

    def stop(self, name: str) -> None:
        """Stop one program of the rig (centre, hsm, naive), gracefully."""
        process = self._running.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_naive(self) -> None:
        """Fill the naive reference's database and start it."""
        self.ask(lambda connection: connection.execute("CREATE DATABASE bench_naive"))
        self.ask(lambda connection: load_naive(connection, self.world), "bench_naive")
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench.naive.server",
                self.embedded.superuser_dsn("bench_naive"),
            ],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running["naive"] = process
        assert process.stdout is not None
        self.naive_port = int(process.stdout.readline() or 0)
        if not self.naive_port:
            raise RigError("the naive reference did not start; it says why above")

    def ask(
        self,
        question: Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[T]],
        database: str = "spk",
    ) -> T:
        """Run a question as superuser on a connection of its own."""

        async def asked() -> T:
            connection = await asyncpg.connect(
                self.embedded.superuser_dsn(database), timeout=READY_TIMEOUT_SECONDS
            )
            try:
                return await question(connection)
            finally:
                await connection.close()

        return asyncio.run(asked())

    def value(self, query: str, *arguments: object) -> int:
        """Return the one integer that a query of the centre's database gives."""
        return int(self.ask(lambda connection: connection.fetchval(query, *arguments)) or 0)

    def process_id(self, name: str) -> int:
        """Return the process number of a program of the rig (centre, hsm, naive, postgres)."""
        if name == "postgres":
            first = (self.data_folder / "postmaster.pid").read_text("utf-8").split("\n")[0]
            return int(first)
        return self._running[name].pid if name in self._running else 0

    @property
    def data_folder(self) -> Path:
        """Return PostgreSQL's data folder."""
        return self.embedded.status().data_folder

    def spent(self) -> Spent:
        """Return the CPU time spent so far."""
        cpu_us = {name: usage.tree(self.process_id(name)).cpu_us for name in _PARTS}
        return Spent(
            server=cpu_us["centre"],
            hsm=cpu_us["hsm"],
            postgres=cpu_us["postgres"],
            naive=cpu_us["naive"],
            machine=usage.machine().busy_us,
        )

    def log_of(self, name: str) -> str:
        """Return the end of a program's log."""
        path = self.home / f"{name}.log"
        return path.read_text("utf-8", "replace")[-2000:] if path.exists() else ""

    def close(self) -> None:
        """End everything and remove it."""
        for name in reversed(list(self._running)):
            with contextlib.suppress(OSError):
                self.stop(name)
        with contextlib.suppress(Exception):
            self.embedded.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _load(self) -> None:
        today = datetime.now(ZoneInfo(TIME_ZONE)).date()
        size = self.size
        self.ask(lambda connection: load(connection, today, size.cards, size.terminals))
        with connect(f"unix:{self.home / 'hsm.sock'}") as hsm:
            hsm.wait_ready(READY_TIMEOUT_SECONDS * 1000)
            terminals = tuple(
                BenchTerminal(name, 1, hsm.derive_terminal_key(name, 1))
                for name in map(terminal_id_of, range(size.terminals))
            )
            receipt_key = hsm.public_keys().receipt_key
        self._world = World(
            cards=size.cards, business_date=today, terminals=terminals, receipt_key=receipt_key
        )
        self.world_file.touch(mode=0o600)
        self.world_file.write_bytes(msgspec.json.encode(self._world))

    def _spk(self, *words: str) -> None:
        done = subprocess.run(
            [spk_program(), *words],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_SECONDS,
        )
        if done.returncode != 0:
            raise RigError(f"spk {' '.join(words)} failed:\n{done.stdout}{done.stderr}")

    def _start(self, name: str, *words: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [spk_program(), *words],
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )

    def _wait_for(self, ready: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not ready():
            if self._running[name].poll() is not None or time.monotonic() > deadline:
                raise RigError(f"{name} did not start; its log:\n{self.log_of(name)}")
            time.sleep(0.05)


_PARTS: Final = ("centre", "hsm", "postgres", "naive")


def spk_program() -> str:
    """Return the `spk` command of this Python's environment."""
    return str(Path(sys.executable).parent / "spk")


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sync_us(folder: Path) -> float:
    """Return the median microseconds that 8 kB take to become durable in `folder`."""
    path = folder / "sync-probe"
    times = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for _ in range(SYNC_PROBES):
            os.pwrite(descriptor, bytes(8192), 0)
            begun = time.perf_counter_ns()
            os.fdatasync(descriptor)
            times.append(time.perf_counter_ns() - begun)
    finally:
        os.close(descriptor)
        path.unlink()
    return sorted(times)[len(times) // 2] / 1000


def _listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
