"""`python -m bench.step`: what each piece of the engine costs per sale, in one interleaved run.

For whoever works on the speed of a piece. CPU time on a shared machine differs from minute to
minute; the instructions beside it hardly do (`bench.counters`). Three tables:

* the pieces of a worker's path that can be called alone, one thread, no waiting;
* the database step over one connection: what `AuthorizationStore.authorize` costs its caller, and
  what it costs the PostgreSQL session that serves it, by the size of the batch;
* the whole centre, saturated over TCP: worker, key service, PostgreSQL, generator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter, validators
from rich.console import Console
from rich.table import Table

from bench import pieces, usage
from bench.counters import Counters, Reading
from bench.generator import Target, Task
from bench.loading import Generator, GeneratorError
from bench.references.database_step import cases_of, decided
from bench.rig import Rig, RigError, RigSize
from bench.traffic import Traffic
from processing.authorization.model import Case
from processing.authorization.store import AuthorizationStore
from processing.journal.lane import Lane
from processing.kernel.database import ONLINE_LIMITS, open_pool, open_session
from processing.kernel.roles import Role

SIZES: Final = (1, 16, 64, 256)
CALLS: Final = {1: 80, 16: 30, 64: 15, 256: 8}
"""Calls of a turn by the size of the batch; another size is called as often as 256."""

WARM_CALLS: Final = 8
"""Calls before the first turn: after five a session knows whether its plans hold."""

CARDS: Final = 2_000
TERMINALS: Final = 256
WARM_MS: Final = 60_000
CONNECTIONS: Final = 64
OUTSTANDING: Final = 4
FIRST_RATE: Final = 4_000
SPARE: Final = 1.5

app = cyclopts.App(name="bench.step", help="Measure the pieces of the engine, each per sale.")

Found = dict[str, list[tuple[Reading, int]]]
"""By what was measured: of each turn what was spent, and for how many sales."""


@app.default
def step(
    *,
    workers: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=64))] = 1,
    rounds: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 5,
    seconds: float = 2.0,
    traffic: Traffic = Traffic.SINGLE,
    sizes: tuple[int, ...] = SIZES,
) -> int:
    """Print the tables. `--workers 0` leaves out the whole centre, `--sizes 0` the database.

    `--traffic` single, three or hot is the kind of sale; `--seconds` how long the centre is
    saturated in each of the `--rounds`.
    """
    console = Console(width=110) if not sys.stdout.isatty() else Console()
    sizes = tuple(size for size in sizes if size)
    found: Found = defaultdict(list)
    size = RigSize(cards=CARDS, terminals=TERMINALS, workers=max(1, workers))
    try:
        with Rig(size) as rig:
            numbers = Numbers()
            if sizes:
                found |= asyncio.run(database(rig, numbers, sizes, rounds, traffic))
            if workers:
                found |= whole(rig, numbers, rounds, round(seconds * 1000), traffic)
    except (RigError, GeneratorError) as error:
        console.print(f"[red]{error}[/]", highlight=False)
        return 2
    for _ in range(rounds):
        for name, call in pieces.turns():
            found[name].append(call())
    console.print(_pieces_table(found))
    if sizes:
        console.print(_database_table(found, sizes))
    if workers:
        console.print(_whole_table(found, workers))
    return 0


class Numbers:
    """Gives out numbers of sales, each once."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> int:
        """Return the first of `count` numbers."""
        first, self._next = self._next, self._next + count
        return first


async def database(
    rig: Rig, numbers: Numbers, sizes: tuple[int, ...], rounds: int, traffic: Traffic
) -> Found:
    """Return what calls of each size spent, at their caller and in PostgreSQL's session."""
    found: Found = defaultdict(list)
    dsn = rig.embedded.dsn(Role.PROCESSING)
    # The same way in as a worker's: one session, never reset.
    pool = await open_pool(dsn, Role.PROCESSING, "bench step", ONLINE_LIMITS, unchanging=True)
    lane = Lane(lambda: open_session(dsn, Role.PROCESSING, "bench step lane"))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        stack.push_async_callback(lane.release)
        block = await lane.next_block()
        store = AuthorizationStore(pool)
        async with pool.connection() as connection:
            session = int(await connection.fetchval("SELECT pg_backend_pid()"))
        ours = stack.enter_context(Counters([os.getpid()]))
        theirs = stack.enter_context(Counters([session]))
        for turn in range(rounds + 1):
            for size in sizes:
                calls = CALLS.get(size, CALLS[256]) if turn else WARM_CALLS
                batches = list(_batches(rig, numbers, size, calls, traffic))
                before = ours.read(), theirs.read()
                for batch in batches:
                    if not await decided(rig, store, lane.number, block, batch):
                        raise RigError("a batch collided, and there is nobody to collide with")
                    block += 1
                if turn:
                    sales = size * calls
                    found[f"caller {size}"].append((ours.read().since(before[0]), sales))
                    found[f"session {size}"].append((theirs.read().since(before[1]), sales))
    return found


def _batches(
    rig: Rig, numbers: Numbers, size: int, calls: int, traffic: Traffic
) -> Iterator[list[Case]]:
    for _ in range(calls):
        yield list(cases_of(rig, numbers.take(size), size, traffic))


def whole(rig: Rig, numbers: Numbers, rounds: int, turn_ms: int, traffic: Traffic) -> Found:
    """Return what the parts of a saturated centre spent."""
    found: Found = defaultdict(list)
    with Generator(rig.world_file) as generator:

        def play(kind: Traffic, count: int, duration_ms: int) -> tuple[int, float]:
            generator.ask(
                Task(
                    target=Target.CENTRE,
                    port=rig.iso_port,
                    traffic=kind,
                    first_number=numbers.take(count),
                    count=count,
                    duration_ms=duration_ms,
                    cards=CARDS,
                    connections=CONNECTIONS,
                    outstanding=OUTSTANDING,
                )
            )
            generator.wait_built()
            parts = {
                name: stack.enter_context(Counters(usage.members(rig.process_id(program))))
                for name, program in PARTS.items()
            }
            parts["generator"] = stack.enter_context(Counters([generator.process_id]))
            before = {name: part.read() for name, part in parts.items()}
            generator.go()
            generator.wait_done()
            after = {name: part.read() for name, part in parts.items()}
            result = generator.result()
            if result.faults or result.approved < result.answered:
                raise RigError(f"refused or faulty: {result.outcomes} {result.faults}")
            for name in parts:
                found[name].append((after[name].since(before[name]), result.approved_in_all))
            return result.approved_in_all, result.rate_per_second

        with contextlib.ExitStack() as stack:
            play(Traffic.WARM, CARDS, WARM_MS)
        count = round(FIRST_RATE * turn_ms / 1000)
        for turn in range(rounds + 1):
            with contextlib.ExitStack() as stack:
                _, rate = play(traffic, count, turn_ms)
            count = max(500, round(SPARE * rate * turn_ms / 1000))
            if turn == 0:
                found.clear()
    return found


PARTS: Final = {"worker": "centre", "key service": "hsm", "PostgreSQL": "postgres"}
"""The parts of a centre as they are told, and as the rig names them."""


def cost(samples: list[tuple[Reading, int]]) -> tuple[float, float | None]:
    """Return the median CPU microseconds and thousands of instructions per sale."""
    cpu_us = statistics.median(one.cpu_us / max(1, sales) for one, sales in samples)
    counted = [
        one.instructions / max(1, sales) / 1000
        for one, sales in samples
        if one.instructions is not None
    ]
    return cpu_us, statistics.median(counted) if counted else None


def _cells(samples: list[tuple[Reading, int]]) -> tuple[str, str]:
    cpu_us, thousands = cost(samples)
    return f"{cpu_us:.1f}", "–" if thousands is None else f"{thousands:.1f}"


def _pieces_table(found: Mapping[str, list[tuple[Reading, int]]]) -> Table:
    table = _table("A worker's pieces, one by one", "per sale: CPU µs", "k instructions")
    for name in pieces.NAMES:
        table.add_row(name, *_cells(found[name]))
    return table


def _database_table(
    found: Mapping[str, list[tuple[Reading, int]]], sizes: tuple[int, ...]
) -> Table:
    table = _table(
        "The database step, one connection; per sale",
        "caller: CPU µs",
        "k instr.",
        "session: CPU µs",
        "k instr.",
        "session, per call: CPU µs",
    )
    for size in sizes:
        session = found[f"session {size}"]
        table.add_row(
            f"batch of {size}",
            *_cells(found[f"caller {size}"]),
            *_cells(session),
            f"{cost(session)[0] * size:.0f}",
        )
    return table


def _whole_table(found: Mapping[str, list[tuple[Reading, int]]], workers: int) -> Table:
    table = _table(
        f"The whole centre, saturated, {workers} worker(s)", "per sale: CPU µs", "k instructions"
    )
    for name in (*PARTS, "generator"):
        table.add_row(name, *_cells(found[name]))
    table.add_row("worker less the bare verification", *_less(found, pieces.VERIFY))
    known = [name for name in pieces.NAMES if name != pieces.VERIFY]
    if found.get(f"caller {pieces.BLOCK}"):
        known.append(f"caller {pieces.BLOCK}")
    table.add_row("worker less all pieces above", *_less(found, *known))
    return table


def _less(found: Mapping[str, list[tuple[Reading, int]]], *names: str) -> tuple[str, str]:
    """Return what a worker costs beside some pieces."""
    cpu_us, thousands = cost(found["worker"])
    for less_us, less_thousands in (cost(found[name]) for name in names):
        cpu_us -= less_us
        if thousands is not None and less_thousands is not None:
            thousands -= less_thousands
    return f"{cpu_us:.1f}", "–" if thousands is None else f"{thousands:.1f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


if __name__ == "__main__":
    sys.exit(app())
