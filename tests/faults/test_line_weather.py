"""Terminals at work over lines on which any frame may suffer anything, drawn from a seed.

    pytest tests/faults/test_line_weather.py --fault-minutes 5 --fault-seed 7
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Kind, TransactionKey
from terminal_sim.errors import TerminalError
from terminal_sim.link import LinkLimits
from terminal_sim.state import EntryState
from terminal_sim.till import Result, Till
from tests.authorization.audit import audit
from tests.faults import load
from tests.faults.auditor import audit_run
from tests.faults.counters import Counted, Counters
from tests.faults.load import Load
from tests.faults.proxy import Chance, Fault, FaultyLine, Way, faulty_line
from tests.faults.tills import RealTill, TownCard, no_pin, pills, real_till
from tests.plugins.faults import SEEN, FaultPlan
from tests.plugins.line import Line, open_line
from tests.plugins.live_centre import LiveCentre
from tests.plugins.town import business_day, citizen

TILLS: Final = 6
DEEDS_EACH: Final = 25
"""What one till does in one round."""

SHARE: Final = 0.15
LIMITS: Final = LinkLimits(
    connect_timeout_ms=2_000, answer_timeout_ms=300, first_pause_ms=5, pause_max_ms=50
)
"""A hasty terminal: on a busy machine it gives up many a sound answer, which must do no harm."""

SEEN_BY_TILLS: Final = (
    Counted.APPROVALS,
    Counted.ADVICES,
    Counted.INQUIRIES,
    Counted.REVERSALS,
    Counted.REPLAYS,
    Counted.RETRIES,
    Counted.UNDECIDED,
    Counted.LINES_CUT,
)


class Cashier:
    """Works one till by chance; counts what comes of it."""

    def __init__(self, till: RealTill, counters: Counters, chance: random.Random) -> None:
        self._till = till
        self._counters = counters
        self._chance = chance

    async def work(self, deeds: int) -> None:
        """Do so many things, whatever the line does."""
        doings: list[Callable[[], object]] = [
            self._sell, self._sell, self._sell, self._advise, self._take_back, self._take_back,
            self._inquire, self._settle, self._say, self._repeat, self._lose_power,
        ]  # fmt: skip
        for _ in range(deeds):
            doing = self._chance.choice(doings)
            try:
                made = doing()
                assert asyncio.iscoroutine(made)
                await made
            except TerminalError:
                # No answer, or a key change that is not confirmed: the till says so and goes on.
                self._counters.add(Counted.LINES_CUT)

    async def _sell(self) -> None:
        quantity = self._chance.choice((1, 2, 5_000))
        self._count(await self._till.does(Till.sell, self._card(), self._goods(quantity), no_pin))

    async def _advise(self) -> None:
        await self._till.does(
            Till.sell, self._card(), pills(self._who, offline=True), no_pin
        )
        self._counters.add(Counted.ADVICES)

    async def _take_back(self) -> None:
        keys = [
            entry.request.key
            for entry in self._till.entries
            if entry.request.kind is Kind.SALE and not self._taken_back(entry.request.key)
        ]
        if keys:
            result = await self._till.does(Till.reverse, self._chance.choice(keys))
            self._count(result)

    def _taken_back(self, key: TransactionKey) -> bool:
        return any(entry.request.parent == key for entry in self._till.entries)

    async def _inquire(self) -> None:
        answer = (await self._till.does(Till.rights, self._card())).answer
        self._counters.add(Counted.INQUIRIES, int(answer.outcome.approved))

    async def _settle(self) -> None:
        await self._till.does(Till.totals, business_day())

    async def _say(self) -> None:
        await self._till.does(self._chance.choice([Till.echo, Till.change_key]))

    async def _repeat(self) -> None:
        for result in await self._till.does(Till.repeat_pending):
            self._counters.add(Counted.REPLAYS, int(result.decided))

    async def _lose_power(self) -> None:
        self._till.restart()

    def _goods(self, quantity: int) -> object:
        return pills(self._who, quantity)

    def _card(self) -> TownCard:
        self._who = citizen(self._chance.randint(1, 8))
        return TownCard(self._who)

    def _count(self, result: Result) -> None:
        if result.fault is not None:
            self._counters.add(Counted.LINES_CUT)
        if not result.decided or result.answer is None:
            self._counters.add(Counted.UNDECIDED)
            return
        self._counters.add(_counted(result.request.kind, result.answer))


def _counted(kind: Kind, answer: Answer) -> Counted:
    if not answer.outcome.approved:
        return Counted.DECLINES
    if kind is not Kind.REVERSAL:
        return Counted.APPROVALS
    before = answer.facts.get("original") == "unknown"
    return Counted.REVERSALS_BEFORE if before else Counted.REVERSALS
