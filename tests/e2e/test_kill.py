"""Killed with -9 under load: nothing acknowledged is lost, nothing is debited twice.

Terminals sell, repeat and take back over real sockets while the centre is killed and started
again, `--kill-cycles` times. Whatever a terminal was told must be in the journal, and be told
again, and the counters must agree with the journal to the last unit.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
import msgspec
import pytest

from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.wire.iso8583.errors import WireError
from processing.wire.iso8583.mac import Mac
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Request, TransactionKey
from tests.authorization.audit import audit
from tests.plugins.centre import Program, Programs
from tests.plugins.line import Line, open_line
from tests.plugins.postgres import Database
from tests.plugins.town import SHOPS, Shop, build_town, citizen

pytestmark = pytest.mark.timeout(600)

TERMINALS: Final = SHOPS[:4]
CITIZENS: Final = 6
GRANTED: Final = 400
TOLD_BEFORE_KILL: Final = 60
"""The centre is killed each time after it told the terminals so many decisions more."""

RECOVERY_SECONDS: Final = 90
"""Longest wait for a decision: several starts of a centre on a slow machine."""


class Ledger:
    """What the terminals were told: the decision of each key, and how often they asked."""

    def __init__(self) -> None:
        self.told: dict[TransactionKey, Answer] = {}
        self.requests: dict[TransactionKey, Request] = {}
        self.repeats = 0
        self._grown = asyncio.Condition()

    async def enter(self, request: Request, answer: Answer) -> None:
        """Take a decision in; one that contradicts what was told before fails the test."""
        before = self.told.get(request.key)
        if before is not None:
            assert before.decision == answer.decision, (before, answer)
        async with self._grown:
            self.told[request.key] = answer
            self.requests[request.key] = request
            self._grown.notify_all()

    async def wait_for(self, count: int) -> None:
        """Return when `count` decisions were told."""
        async with asyncio.timeout(RECOVERY_SECONDS), self._grown:
            await self._grown.wait_for(lambda: len(self.told) >= count)


class Terminal:
    """One terminal under load: asks until it is told, whatever happens to the line."""

    def __init__(self, terminal_id: str, mac: Mac, port: int, ledger: Ledger, seed: int) -> None:
        self.port = port
        self._shop = Shop(terminal_id)
        self._mac = mac
        self._ledger = ledger
        self._chance = random.Random(seed)
        self._line: Line | None = None

    async def work(self, stop: asyncio.Event) -> None:
        """Sell, repeat and take back until told to stop; leaves nothing undecided."""
        last: Request | None = None
        while not stop.is_set():
            draw = self._chance.random()
            if last is not None and draw < 0.15:
                await self.decide(self._shop.reversal(last))
                last = None
                continue
            if last is not None and draw < 0.3:
                await self.decide(last)
                continue
            who = citizen(self._chance.randint(1, CITIZENS))
            last = self._shop.sale(who, self._chance.randint(1, 3))
            await self.decide(last)
        await self.hang_up()

    async def decide(self, request: Request) -> Answer:
        """Ask under one key until the centre's decision comes."""
        asked = 0
        async with asyncio.timeout(RECOVERY_SECONDS):
            while True:
                repeat = msgspec.structs.replace(request, repeat=asked > 0)
                asked += 1
                with suppress(OSError, EOFError, WireError, TimeoutError):
                    line = await self._connected()
                    async with asyncio.timeout(10):
                        answer = await line.decide(repeat)
                    if answer.outcome.decided:
                        self._ledger.repeats += asked > 1
                        await self._ledger.enter(request, answer)
                        return answer
                await self.hang_up()
                await asyncio.sleep(0.02)

    async def hang_up(self) -> None:
        """Close the line; the next request opens another."""
        if self._line is not None:
            line, self._line = self._line, None
            await line.close()

    async def _connected(self) -> Line:
        if self._line is None:
            self._line = await open_line(self.port, self._mac)
        return self._line


class Load:
    """Terminals at work, and the ledger of what they were told."""

    def __init__(self, programs: Programs, port: int) -> None:
        self.ledger = Ledger()
        self.terminals = [
            Terminal(name, programs.mac(name), port, self.ledger, seed)
            for seed, name in enumerate(TERMINALS)
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work during the block; at its end every terminal finishes what it began."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for terminal in self.terminals:
                group.create_task(terminal.work(stop))
            yield
            stop.set()

    def move_to(self, port: int) -> None:
        """Let the terminals find the centre at another port."""
        for terminal in self.terminals:
            terminal.port = port

    async def ask_all_again(self) -> None:
        """Ask for every decision once more; the ledger compares."""
        for terminal in self.terminals:
            own = terminal._shop.terminal_id
            for key, request in list(self.ledger.requests.items()):
                if key.terminal_id == own:
                    await terminal.decide(request)
            await terminal.hang_up()


async def check_journal(connection: asyncpg.Connection, ledger: Ledger) -> None:
    """Hold the journal against what the terminals were told, and the counters against both."""
    rows = await connection.fetch("SELECT * FROM journal.event")
    kept = {
        (row["business_date"], row["terminal_id"], row["stan"], row["message_class"]): row
        for row in rows
    }
    assert len(kept) == len(rows), "one event per key"
    for key, answer in ledger.told.items():
        row = kept[key.business_date, key.terminal_id, key.stan, int(key.message_class)]
        decision = answer.decision
        assert decision is not None
        assert (row["outcome"], row["approval_code"]) == (decision.outcome, decision.approval_code)
        place = (row["lane"], row["block"], row["ordinal"])
        assert place == (decision.lane, decision.block, decision.ordinal)
    # Every terminal asks until it is told, so there is nothing that nobody was told.
    assert len(rows) == len(ledger.told)
    overspent = await connection.fetch("SELECT * FROM rights.counter WHERE used > granted")
    assert overspent == []
    used = await connection.fetchval("SELECT sum(used) FROM rights.counter")
    assert used == _units_in(ledger)
    assert await audit(connection) == []


def _units_in(ledger: Ledger) -> int:
    """Return how many pills are gone, counted from what the terminals were told alone."""
    units = {
        key: sum(line.quantity for line in ledger.requests[key].lines)
        for key, answer in ledger.told.items()
        if answer.outcome is Outcome.APPROVED and ledger.requests[key].lines
    }
    for request in ledger.requests.values():
        if request.parent is not None:
            units.pop(request.parent, None)
    return sum(units.values())


async def test_the_centre_is_killed_under_load(
    programs: Programs, database: Database, pytestconfig: pytest.Config
) -> None:
    cycles = pytestconfig.getoption("--kill-cycles")
    async with database.connect() as connection:
        await build_town(connection, CITIZENS, GRANTED)

    async def start() -> tuple[Program, int]:
        return await asyncio.to_thread(programs.start_centre, SPK_DSN=database.superuser_dsn)

    centre, port = await start()
    load = Load(programs, port)
    async with load.running():
        for _ in range(cycles):
            await load.ledger.wait_for(len(load.ledger.told) + TOLD_BEFORE_KILL)
            await asyncio.to_thread(centre.kill)
            centre, port = await start()
            load.move_to(port)
        await load.ledger.wait_for(len(load.ledger.told) + TOLD_BEFORE_KILL)
    assert len(load.ledger.told) >= (cycles + 1) * TOLD_BEFORE_KILL
    async with database.connect() as connection:
        await check_journal(connection, load.ledger)
    await load.ask_all_again()
    async with database.connect() as connection:
        await check_journal(connection, load.ledger)
    assert await asyncio.to_thread(centre.end) == 0


async def test_the_embedded_database_is_killed_under_load(programs: Programs) -> None:
    server = EmbeddedPostgres(programs.folder)
    await asyncio.to_thread(server.start)
    try:
        dsn = server.superuser_dsn()
        await migrate(dsn, read_sql_folder(sql_root()))
        connection = await asyncpg.connect(dsn)
        await build_town(connection, CITIZENS, GRANTED)
        await connection.close()
        centre, port = await asyncio.to_thread(programs.start_centre)
        load = Load(programs, port)
        async with load.running():
            await load.ledger.wait_for(TOLD_BEFORE_KILL)
            killed = server.status().process_id
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            # The centre starts its database again by itself.
            await load.ledger.wait_for(len(load.ledger.told) + TOLD_BEFORE_KILL)
        assert server.status().process_id != killed
        connection = await asyncpg.connect(dsn)
        await check_journal(connection, load.ledger)
        await connection.close()
        assert await asyncio.to_thread(centre.end) == 0
    finally:
        await asyncio.to_thread(server.stop)
