"""Starts the workers, hands them connections, replaces those that die, and stops them all.

A worker that dies is replaced at once; one that dies again before it has lived `STEADY_MS` waits
for `pause_ms`. While no worker is ready, connections wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from processing.kernel.errors import SpkError
from processing.wire.api import ProbeResult, ProbeStatus
from processing.workers.handing import hand, handing_pair
from processing.workers.messages import (
    Ask,
    FromSupervisor,
    Ready,
    Released,
    Report,
    Stop,
    from_worker,
    packed,
)

WORKERS_MAX: Final = 64
"""Most workers of one supervisor."""

STEADY_MS: Final = 10_000
"""How long a worker must have lived for its death to count as the first."""

PAUSE_FIRST_MS: Final = 250
PAUSE_MAX_MS: Final = 10_000
START_ATTEMPTS_MAX: Final = 3
"""How often a worker may end before it ever served; then the centre does not start."""

START_TIMEOUT_MS: Final = 30_000
"""How long the first workers may take until they are ready."""

STOP_TIMEOUT_MS: Final = 20_000
"""How long a worker may take to answer what it accepted; then it is killed."""

REPORT_TIMEOUT_MS: Final = 1_500
"""How long a worker may take to say how it is; shorter than a look at one part of the centre."""

ACCEPT_PAUSE_MS: Final = 500
"""Pause after the system refused to accept a connection, as it does when descriptors run out."""


class WorkerDied(SpkError):
    """A worker ended before it had served at all: its own log line says why."""


def pause_ms(deaths: int) -> int:
    """Return the pause before a worker's next start, after so many early deaths in a row."""
    if deaths <= 1:
        return 0
    return min(PAUSE_FIRST_MS << min(deaths - 2, 16), PAUSE_MAX_MS)


class Worker:
    """One worker's place, filled by one process after the other."""

    def __init__(self, number: int, command: Sequence[str], log: FilteringBoundLogger) -> None:
        self.number = number
        self.connections = 0
        self.ready = asyncio.Event()
        self.hopeless = asyncio.Event()
        self._served = False
        self._command = command
        self._log = log.bind(worker=number)
        self._handed: socket.socket | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._asked = 0
        self._reports: dict[int, asyncio.Future[Report]] = {}
        self._stopping = asyncio.Event()

    async def keep(self, on_ready: asyncio.Event) -> None:
        """Keep a process running until `stop`; `on_ready` is set whenever one gets ready."""
        deaths = 0
        while not self._stopping.is_set():
            began_ns = time.monotonic_ns()
            code = await self._live(on_ready)
            if self._stopping.is_set():
                return
            lived_ms = (time.monotonic_ns() - began_ns) // 1_000_000
            deaths = 1 if lived_ms >= STEADY_MS else deaths + 1
            if not self._served and deaths >= START_ATTEMPTS_MAX:
                self.hopeless.set()
            pause = pause_ms(deaths)
            self._log.error("worker ended", code=code, lived_ms=lived_ms, again_in_ms=pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause / 1000)

    def take(self, connection: socket.socket) -> bool:
        """Hand the worker a connection; False when it cannot take it."""
        if not self.ready.is_set() or self._handed is None or not hand(connection, self._handed):
            return False
        self.connections += 1
        return True

    async def report(self) -> Report | None:
        """Return how the worker is; None when it does not say so in time."""
        self._asked += 1
        number = self._asked
        future = self._reports[number] = asyncio.get_running_loop().create_future()
        try:
            if not self.ready.is_set() or not self._send(Ask(number)):
                return None
            return await asyncio.wait_for(future, REPORT_TIMEOUT_MS / 1000)
        except TimeoutError:
            return None
        finally:
            del self._reports[number]

    async def stop(self, keeping: asyncio.Task[None]) -> None:
        """Let the worker answer what it accepted; kill it when that takes too long."""
        self._stopping.set()
        self._send(Stop())
        done, _ = await asyncio.wait([keeping], timeout=STOP_TIMEOUT_MS / 1000)
        if not done:
            self._log.error("worker killed", reason=f"not done after {STOP_TIMEOUT_MS} ms")
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
        await asyncio.gather(keeping, return_exceptions=True)

    async def _live(self, on_ready: asyncio.Event) -> int | None:
        """Run one process from its start to its end; return its exit code."""
        control, its_control = socket.socketpair()
        handed, its_handed = handing_pair()
        with contextlib.ExitStack() as ends:
            ends.callback(handed.close)
            ends.callback(control.close)
            with its_control, its_handed:
                control.setblocking(False)
                descriptors = (its_control.fileno(), its_handed.fileno())
                try:
                    self._process = process = await asyncio.create_subprocess_exec(
                        *self._command,
                        f"--number={self.number}",
                        f"--control={descriptors[0]}",
                        f"--handed={descriptors[1]}",
                        pass_fds=descriptors,
                        stdin=asyncio.subprocess.DEVNULL,
                        env=os.environ | {"PYTHONPATH": import_path()},
                    )
                except OSError as error:
                    self._log.error("worker cannot be started", fault=str(error))
                    return None
            self._handed = handed
            reader, self._writer = await asyncio.open_unix_connection(sock=control)
            self._log.info("worker started", process=process.pid)
            try:
                await self._listen(reader, on_ready)
            finally:
                self.ready.clear()
                self.connections = 0
                self._handed = None
                self._writer.close()
                self._writer = None
            return await process.wait()

    async def _listen(self, reader: asyncio.StreamReader, on_ready: asyncio.Event) -> None:
        """Hear the worker out until it is gone."""
        if self._stopping.is_set():
            # It was started while the others were told to stop.
            self._send(Stop())
        while (message := await from_worker(reader)) is not None:
            match message:
                case Ready():
                    self._served = True
                    self.ready.set()
                    on_ready.set()
                case Released(count=count):
                    self.connections -= count
                case Report(number=number):
                    future = self._reports.get(number)
                    if future is not None and not future.done():
                        future.set_result(message)

    def _send(self, message: FromSupervisor) -> bool:
        if self._writer is None or self._writer.is_closing():
            return False
        self._writer.write(packed(message))
        return True


class Supervisor:
    """All workers. `start` first, `stop` last.

    `command` is the worker's command line without `--number`, `--control` and `--handed`, which
    name its place and the descriptors of its ends of the two pairs of sockets.
    """

    def __init__(self, count: int, command: Sequence[str], log: FilteringBoundLogger) -> None:
        self.workers = tuple(Worker(number, command, log) for number in range(1, count + 1))
        self._log = log
        self._some_ready = asyncio.Event()
        self._keeping: list[asyncio.Task[None]] = []
        self._accepting: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all workers and wait until they are ready; raises `WorkerDied`."""
        loop = asyncio.get_running_loop()
        self._keeping = [loop.create_task(w.keep(self._some_ready)) for w in self.workers]
        all_ready = loop.create_task(self._all_ready())
        hopeless = [loop.create_task(w.hopeless.wait()) for w in self.workers]
        await asyncio.wait(
            [all_ready, *hopeless],
            timeout=START_TIMEOUT_MS / 1000,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in (all_ready, *hopeless):
            task.cancel()
        if late := [worker.number for worker in self.workers if not worker.ready.is_set()]:
            raise WorkerDied(
                f"of {len(self.workers)} workers, {late} did not begin to serve: their own lines "
                "in the log say why"
            )

    def accept(self, listeners: Sequence[socket.socket]) -> None:
        """Begin to accept connections; the listeners are closed by `stop`."""
        loop = asyncio.get_running_loop()
        self._accepting = [loop.create_task(self._accept(listener)) for listener in listeners]

    async def reports(self) -> dict[int, Report | None]:
        """Return how every worker is, by number; None for one that does not say."""
        found = await asyncio.gather(*(worker.report() for worker in self.workers))
        return {worker.number: report for worker, report in zip(self.workers, found, strict=True)}

    async def stop(self) -> None:
        """Accept nothing more; let every worker answer what it accepted, and see it end."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await asyncio.gather(
            *(w.stop(task) for w, task in zip(self.workers, self._keeping, strict=True))
        )

    async def _all_ready(self) -> None:
        for worker in self.workers:
            await worker.ready.wait()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError as error:
                    self._log.error("no connection accepted", fault=str(error))
                    await asyncio.sleep(ACCEPT_PAUSE_MS / 1000)
                    continue
                with connection:
                    await self._hand(connection)

    async def _hand(self, connection: socket.socket) -> None:
        """Hand a connection to the worker with the fewest, or hold it until one is ready."""
        while True:
            for worker in sorted(self.workers, key=lambda worker: worker.connections):
                if worker.take(connection):
                    return
            self._some_ready.clear()
            if any(worker.ready.is_set() for worker in self.workers):
                # They are ready, but their sockets are full: they have other things to do.
                self._log.warning("connection turned away", reason="no worker takes it")
                return
            await self._some_ready.wait()


def health_of(report: Report | None) -> ProbeResult:
    """Return a worker as one part of the centre: it is well when all its own parts are."""
    if report is None:
        return ProbeResult(status=ProbeStatus.FAILING, detail="does not run, or does not answer")
    failing = {
        name: part for name, part in report.parts.items() if part.status is not ProbeStatus.OK
    }
    words = [f"{name}: {part.detail or part.status.value}" for name, part in failing.items()]
    return ProbeResult(
        status=ProbeStatus.FAILING if failing else ProbeStatus.OK, detail="; ".join(words)
    )


def import_path() -> str:
    """Return where this process imports from, for PYTHONPATH.

    A worker is started with `-P`: it must run the same code as its supervisor, not what lies in
    the folder where it happens to be started.
    """
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
