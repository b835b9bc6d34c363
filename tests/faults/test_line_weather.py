"""Terminals at work over lines on which any frame may suffer anything, drawn from a seed.

pytest tests/faults/test_line_weather.py --fault-minutes 5 --fault-seed 7
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import pytest

from terminal_sim.link import LinkLimits
from tests.authorization.audit import audit
from tests.faults import load as load_of_lines
from tests.faults.auditor import audit_run
from tests.faults.cashier import Cashier
from tests.faults.counters import TRAFFIC, Counted, Counters
from tests.faults.load import Load
from tests.faults.proxy import Chance, Fault, FaultyLine, Way, faulty_line
from tests.faults.tills import real_till
from tests.plugins.faults import SEEN, FaultPlan
from tests.plugins.line import Line, open_line
from tests.plugins.live_centre import LiveCentre

pytestmark = pytest.mark.timeout(300)

TILLS: Final = 6
DEEDS: Final = 35
"""What one cashier does in one round."""

SHARE: Final = 0.15
LIMITS: Final = LinkLimits(
    connect_timeout_ms=5_000, answer_timeout_ms=300, first_pause_ms=5, pause_max_ms=50
)
"""A hasty terminal: on a busy machine it gives up many a sound answer, which must do no harm."""

LOAD_SHARE: Final = 0.05
LOAD_DECISIONS: Final = 300
LOAD_ANSWER_SECONDS: Final = 1.0
LOSSLESS: Final = frozenset(Fault) - {Fault.NONE, Fault.FLIP, Fault.NOISE}
"""The faults of a line that changes no byte: what TCP promises, apart from everything else."""

ROUNDS_MORE_MAX: Final = 8
SEEN_BY_TILLS: Final = (
    Counted.APPROVALS,
    Counted.DECLINES,
    Counted.ADVICES,
    Counted.INQUIRIES,
    Counted.RESERVATIONS,
    Counted.COMPLETIONS,
    Counted.REVERSALS,
    Counted.UNDECIDED,
    Counted.LINES_CUT,
)

Record = Callable[[str, object], None]


def suffered(lines: Iterable[FaultyLine]) -> Counter[tuple[Way, Fault]]:
    """Return how many frames of each way suffered what."""
    total: Counter[tuple[Way, Fault]] = Counter()
    for line in lines:
        total += line.done
    return total


def told(done: Counter[tuple[Way, Fault]]) -> str:
    """Return the counts of faults for the summary."""
    return ", ".join(
        f"{way.value} {fault.value} {done[way, fault]:,}"
        for way in Way
        for fault in Fault
        if done[way, fault]
    )


def check_weather(done: Counter[tuple[Way, Fault]], faults: Iterable[Fault], frames: int) -> None:
    """Fail if a run of so many frames never saw one of the faults, either way."""
    missing = [(way.value, fault.value) for way in Way for fault in faults if not done[way, fault]]
    # With few frames chance may pass one by; a long run has no such excuse.
    assert not missing or done.total() < frames, f"never happened: {missing}"


async def test_tills_in_bad_weather(
    live: LiveCentre, tmp_path: Path, fault_plan: FaultPlan, record_property: Record
) -> None:
    counters = Counters()
    async with contextlib.AsyncExitStack() as ends:
        cashiers, lines = [], []
        for number in range(TILLS):
            chance = Chance(fault_plan.seed + number, SHARE)
            line = await ends.enter_async_context(
                faulty_line(live.number, chance, held_seconds=0.5)
            )
            till = await ends.enter_async_context(
                real_till(live, tmp_path, f"TILL{number:04d}", line.port, LIMITS)
            )
            lines.append(line)
            cashiers.append(Cashier(till, counters, random.Random(f"{fault_plan.seed} {number}")))
        for _ in fault_plan.rounds():
            await asyncio.gather(*(cashier.work(DEEDS) for cashier in cashiers))
        # Chance may leave a deed out of a short run: the tills go on until each was done.
        for _ in range(ROUNDS_MORE_MAX):
            if not counters.missing(SEEN_BY_TILLS):
                break
            await asyncio.gather(*(cashier.work(DEEDS) for cashier in cashiers))
        for line in lines:
            line.mend()
        await asyncio.gather(*(cashier.close_the_day() for cashier in cashiers))
        for cashier in cashiers:
            await cashier.till.check_against(live)
    assert not any(await live.databases.everywhere(audit))
    done = suffered(lines)
    record_property(SEEN, f"{counters}; {told(done)}")
    counters.check(SEEN_BY_TILLS)
    check_weather(done, set(Fault) - {Fault.NONE}, 5_000)


async def test_pipelined_terminals_in_bad_weather(
    live: LiveCentre,
    fault_plan: FaultPlan,
    record_property: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if len(live.databases.by_number) > 1:
        pytest.skip("the auditor of loads reads one database")
    monkeypatch.setattr(load_of_lines, "ANSWER_SECONDS", LOAD_ANSWER_SECONDS)
    counters = Counters()
    chance = Chance(fault_plan.seed, LOAD_SHARE, LOSSLESS)
    async with faulty_line(live.number, chance, held_seconds=0.5) as line:

        async def connect(terminal_id: str) -> Line:
            return await open_line(line.port, await live.mac(terminal_id))

        load = Load(connect, counters, fault_plan.seed, citizens=8)
        async with load.running():
            for _ in fault_plan.rounds():
                await load.more(LOAD_DECISIONS)
        line.mend()
        await load.ask_all_again()
        async with live.database.connect() as connection:
            found = await audit_run(connection, load.ledger, live.receipt_public_key)
        assert not found, "\n".join(map(str, found))
    done = suffered([line])
    record_property(SEEN, f"{counters}; {told(done)}")
    counters.check((*TRAFFIC, Counted.RETRIES, Counted.LINES_CUT))
    check_weather(done, LOSSLESS, 20_000)
