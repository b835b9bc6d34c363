"""Workers under a supervisor: real processes, a real key service, a real database."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections import Counter
from uuid import UUID

import pytest

from processing.cards.copies import card_store
from processing.cards.life import Stage
from processing.kernel.roles import Role
from processing.wire.api import ProbeStatus
from processing.wire.outcome import Outcome
from tests.authorization.audit import audit
from tests.plugins.centre import Programs
from tests.plugins.line import Line
from tests.plugins.targets import Databases
from tests.plugins.town import SHOPS, Shop, build_town, citizen
from tests.workers.crew import Crew, Load, Till, alive, until

BLOCK_SECONDS_MAX = 1.0
SALES_BETWEEN_KILLS = 40
FLOOD_ROUNDS = 50
FLOOD_BYTES_MAX = 12 * 1024 * 1024


@pytest.fixture
async def crew(programs: Programs, databases: Databases) -> Crew:
    """Give a centre of two workers that serves the town."""
    await databases.everywhere(lambda one: build_town(one, granted=1_000_000))
    return Crew(programs, workers=2, **databases.settings(programs.folder))


@pytest.mark.timeout(300)
async def test_killed_workers_lose_and_double_nothing(crew: Crew, databases: Databases) -> None:
    load = Load(crew)
    await load.more(SALES_BETWEEN_KILLS)
    await crew.replaced(1, crew.kill(1))
    await load.more(SALES_BETWEEN_KILLS)
    # All at once: who connects meanwhile waits for the next worker instead of being refused.
    both = {worker: crew.kill(worker) for worker in (1, 2)}
    late = Till(crew, SHOPS[0])
    assert (await late.decide(Shop(SHOPS[0], 900_000).sale(citizen(1)))).outcome.approved
    await late.hang_up()
    for worker, killed in both.items():
        await crew.replaced(worker, killed)
    await load.more(SALES_BETWEEN_KILLS)
    await load.end()
    count = await load.asked_again()
    ended = crew.centre.logged("worker ended")
    assert Counter(line["worker"] for line in ended) == {1: 2, 2: 1}
    assert {line["code"] for line in ended} == {-signal.SIGKILL}
    assert sum(till.repeats for till in load.tills) > 0
    answers = await crew.measured("spk_iso8583_answers_total")
    assert min(answers["1"], answers["2"]) > 0
    assert await databases.everywhere(audit) == [[]] * len(databases.map)
    for counted in ("SELECT count(*) FROM journal.event", "SELECT sum(used) FROM rights.counter"):
        assert sum(await values(databases, counted)) == count + 1
    # A dead worker's lane goes to the next one: five processes do not need five.
    lanes = "SELECT count(DISTINCT lane) FROM journal.block"
    assert max(await values(databases, lanes)) <= 4
    await workers_end_with_their_supervisor(crew)


async def values(databases: Databases, query: str) -> list[int]:
    """Return one number of each database."""
    return [int(value) for value in await databases.everywhere(lambda one: one.fetchval(query))]


async def workers_end_with_their_supervisor(crew: Crew) -> None:
    await asyncio.to_thread(crew.centre.kill)

    async def gone() -> bool:
        return not any(alive(process) for process in crew.processes().values())

    await until(gone, "the workers end")
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", crew.port))


@pytest.mark.timeout(300)
async def test_connections_blocks_and_the_end(crew: Crew, databases: Databases) -> None:
    lines = [await crew.line(shop) for shop in SHOPS[:6]]
    shops = [Shop(shop) for shop in SHOPS[:6]]
    for line, shop in zip(lines, shops, strict=True):
        assert (await line.decide(shop.sale(citizen(1)))).outcome is Outcome.APPROVED
    # Each new connection goes to the worker with the fewest.
    assert await crew.measured("spk_iso8583_connections") == {"1": 3, "2": 3}
    parts = (await crew.health()).parts
    assert {part.status for part in parts.values()} == {ProbeStatus.OK}
    assert {name.partition("-")[0] for name in parts} == {"database", "hsm", "worker"}
    assert len(parts) == 3 + len(databases.map)
    assert set(await crew.measured("process_resident_memory_bytes")) == {"1", "2", "supervisor"}

    await flood(crew, lines[:2])

    async with databases.pools(Role.OPERATOR) as pools:
        await card_store(pools).move(_card(1), Stage.SUSPENDED, "Ольга", "lost")
    began = time.monotonic()
    outcomes = [
        (await line.decide(shop.sale(citizen(1)))).outcome
        for line, shop in zip(lines, shops, strict=True)
    ]
    assert time.monotonic() - began < BLOCK_SECONDS_MAX
    assert set(outcomes) == {Outcome.CARD_BLOCKED}

    # A worker that is asked to end hangs up, ends well and is replaced.
    await crew.replaced(1, crew.ask_to_end(1))
    (ended,) = crew.centre.logged("worker ended")
    assert (ended["worker"], ended["code"]) == (1, 0)
    for line in lines:
        await line.close()
    lines = [await crew.line(shop) for shop in SHOPS[:6]]

    # The supervisor ends when all that was accepted is answered.
    for line, shop in zip(lines, shops, strict=True):
        await line.send(*(line.message(shop.sale(citizen(2))) for _ in range(30)))
    for line in lines:
        await line.answer()
    crew.centre.ask_to_end()
    for line in lines:
        for _ in range(29):
            assert (await line.answer()).outcome is Outcome.APPROVED
        await line.close()
    assert await asyncio.to_thread(crew.centre.exit_code) == 0
    assert not any(alive(process) for process in crew.processes().values())


async def flood(crew: Crew, lines: list[Line]) -> None:
    """Send each worker what nobody can use; its memory must not grow with it."""
    stranger = lines[0].message(Shop("NOBODY01").sale(citizen(1)))
    torn = stranger[: len(stranger) // 2]
    before = await crew.measured("process_resident_memory_bytes")
    for _ in range(FLOOD_ROUNDS):
        for line in lines:
            await line.send(*[stranger] * 10, *[torn] * 50)
        for line in lines:
            for _ in range(60):
                await line.receive()
    after = await crew.measured("process_resident_memory_bytes")
    assert max(after[worker] - before[worker] for worker in ("1", "2")) < FLOOD_BYTES_MAX


def _card(number: int) -> UUID:
    return UUID(bytes=citizen(number).card_id)
