"""A centre of several worker processes, looked at and harmed from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from processing.wire.api import Health
from processing.wire.iso8583.mac import Mac
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Request
from tests.plugins.centre import Programs
from tests.plugins.line import Line, open_line
from tests.plugins.town import SHOPS, Shop, citizen

WAIT_SECONDS = 60
REPEAT_PAUSE_SECONDS = 0.02


class Crew:
    """The centre's supervisor and its workers."""

    def __init__(self, programs: Programs, *, workers: int = 2, **environment: str) -> None:
        self.programs = programs
        self.workers = workers
        self.environment = environment
        self.hsm = programs.start_hsm()
        self.macs: dict[str, Mac] = {shop: programs.mac(shop) for shop in SHOPS}
        self.start()

    def start(self) -> None:
        """Start the centre and wait until it serves; again after it was killed."""
        self.centre, self.port = self.programs.start_centre(
            f"--workers={self.workers}", **self.environment
        )
        self.http = int(self.centre.wait_for("serving http")["port"])

    def processes(self) -> dict[int, int]:
        """Return the process number of every worker's last start, by worker."""
        return {line["worker"]: line["process"] for line in self.centre.logged("worker started")}

    def kill(self, worker: int) -> int:
        """Kill a worker with SIGKILL; return its process number."""
        process = self.processes()[worker]
        os.kill(process, signal.SIGKILL)
        return process

    def ask_to_end(self, worker: int) -> int:
        """Ask one worker to end; return its process number."""
        process = self.processes()[worker]
        os.kill(process, signal.SIGTERM)
        return process

    async def replaced(self, worker: int, killed: int) -> None:
        """Wait until another process has taken a killed worker's place and serves."""

        async def well() -> bool:
            if self.processes()[worker] == killed:
                return False
            return (await self.health()).parts[f"worker-{worker}"].status.value == "ok"

        await until(well, f"worker {worker} is replaced")

    async def health(self) -> Health:
        """Return what /health says."""
        return msgspec.json.decode(await self._get("health"), type=Health)

    async def measured(self, name: str) -> dict[str, float]:
        """Return a measurement without further labels, by worker."""
        page = (await self._get("metrics")).decode()
        return {
            sample.labels["worker"]: sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name
        }

    async def line(self, shop: str) -> Line:
        """Connect in the name of a terminal."""
        return await open_line(self.port, self.macs[shop])

    async def _get(self, page: str) -> bytes:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.http}/{page}") as answer,
        ):
            return await answer.read()


class Till:
    """Sells at one terminal, one sale after the other, and asks again until each is decided."""

    def __init__(self, crew: Crew, shop: str) -> None:
        self.acknowledged: dict[Request, Answer] = {}
        self.repeats = 0
        self._crew = crew
        self._shop = Shop(shop)
        self._line: Line | None = None

    async def sell(self, until_set: asyncio.Event) -> None:
        """Go on until told to end; the sale under way is finished."""
        number = int(self._shop.terminal_id[-1])
        while not until_set.is_set():
            sale = self._shop.sale(citizen(1 + (number + len(self.acknowledged)) % 8))
            self.acknowledged[sale] = await self.decide(sale)
        await self.hang_up()

    async def decide(self, sale: Request) -> Answer:
        """Ask until the centre decides; it has a minute."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                try:
                    if self._line is None:
                        self._line = await self._crew.line(self._shop.terminal_id)
                    answer = await self._line.decide(sale)
                    if answer.outcome.decided:
                        return answer
                except (EOFError, OSError):
                    await self.hang_up()
                self.repeats += 1
                await asyncio.sleep(REPEAT_PAUSE_SECONDS)

    async def hang_up(self) -> None:
        """Close the connection, whatever its state."""
        if self._line is not None:
            with contextlib.suppress(OSError):
                await self._line.close()
            self._line = None


class Load:
    """All shops selling at once."""

    def __init__(self, crew: Crew) -> None:
        self.tills = [Till(crew, shop) for shop in SHOPS]
        self._end = asyncio.Event()
        self._selling = [asyncio.ensure_future(till.sell(self._end)) for till in self.tills]

    def acknowledged(self) -> int:
        """Return how many sales were answered with a decision so far."""
        return sum(len(till.acknowledged) for till in self.tills)

    async def more(self, count: int) -> None:
        """Wait until `count` more sales are decided."""
        wanted = self.acknowledged() + count

        async def sold() -> bool:
            for task in self._selling:
                if task.done():
                    task.result()
            return self.acknowledged() >= wanted

        await until(sold, f"{count} more sales")

    async def end(self) -> None:
        """Finish the sales under way."""
        self._end.set()
        await asyncio.gather(*self._selling)

    async def asked_again(self) -> int:
        """Ask for every decision again: each must be the one acknowledged. Returns how many."""
        for till in self.tills:
            for sale, answer in till.acknowledged.items():
                assert answer.outcome is Outcome.APPROVED
                assert (await till.decide(sale)).decision == answer.decision
            await till.hang_up()
        return self.acknowledged()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Look until the condition holds; it has a minute."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"in {WAIT_SECONDS} s it did not come: {what}"
        await asyncio.sleep(0.02)


def alive(process: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
