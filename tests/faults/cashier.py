"""A cashier who works the product's terminal by chance, whatever the line does."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from processing.wire.transaction import Kind, TransactionKey
from terminal_sim.errors import TerminalError
from terminal_sim.results import Result
from terminal_sim.till import Till
from tests.faults.counters import Counted, Counters
from tests.faults.tills import RealTill, TownCard, no_pin, pills
from tests.plugins.town import business_day, citizen

GREEDY_QUANTITY = 5_000
"""More than anybody is granted."""


class Cashier:
    """Works one till; counts what comes of it."""

    def __init__(self, till: RealTill, counters: Counters, chance: random.Random) -> None:
        self.till = till
        self._counters = counters
        self._chance = chance
        self._doings: list[Callable[[], Awaitable[None]]] = [
            self._sell, self._sell, self._sell, self._advise, self._reserve, self._complete,
            self._give_back, self._take_back, self._take_back, self._inquire, self._settle,
            self._echo, self._change_key, self._repeat, self._lose_power,
        ]  # fmt: skip

    async def work(self, deeds: int) -> None:
        """Do so many things."""
        for _ in range(deeds):
            try:
                await self._chance.choice(self._doings)()
            except TerminalError:
                # No answer to a question, nothing there to be done: the till says so and goes on.
                self._counters.add(Counted.LINES_CUT)

    async def close_the_day(self) -> None:
        """Repeat what is pending over a line that is sound by now."""
        self.count(*await self.till.settle_down())

    def count(self, *results: Result) -> None:
        """Count how requests ended."""
        for result in results:
            if result.offline:
                continue
            if not result.decided or result.answer is None:
                self._counters.add(Counted.UNDECIDED)
            elif result.answer.outcome.approved:
                self._counters.add(_COUNTED.get(result.request.kind, Counted.APPROVALS))
                before = result.answer.facts.get("original") == "unknown"
                self._counters.add(Counted.REVERSALS_BEFORE, int(before))
            else:
                self._counters.add(Counted.DECLINES)

    async def _sell(self) -> None:
        await self._ring_up(self._chance.choice((1, 2, GREEDY_QUANTITY)))

    async def _advise(self) -> None:
        await self._ring_up(1, offline=True)
        self._counters.add(Counted.ADVICES)

    async def _reserve(self) -> None:
        await self._ring_up(2, kind=Kind.RESERVE, offline=self._chance.random() < 0.2)

    async def _ring_up(
        self, quantity: int, *, kind: Kind = Kind.SALE, offline: bool = False
    ) -> None:
        who = citizen(self._chance.randint(1, 8))
        sale = pills(who, quantity, kind=kind, offline=offline)
        self.count(await self.till.does(Till.sell, TownCard(who), sale, no_pin))

    async def _complete(self) -> None:
        key = self._some(Kind.RESERVE)
        words = self._chance.choice(([], ["PILL=1@100"]))
        if key is not None:
            self.count(await self.till.does(Till.complete, key, words))

    async def _give_back(self) -> None:
        key = self._some(Kind.SALE, Kind.COMPLETION)
        if key is not None:
            who = next(
                citizen(number)
                for number in range(1, 9)
                if citizen(number).card_id == self.till.till.known(key).request.card_id
            )
            self.count(await self.till.does(Till.give_back, TownCard(who), key, ["PILL=1@100"]))

    async def _take_back(self) -> None:
        key = self._some(Kind.SALE, Kind.SALE, Kind.RESERVE, Kind.COMPLETION, Kind.RETURN)
        if key is not None:
            self.count(await self.till.does(Till.reverse, key))

    def _some(self, *kinds: Kind) -> TransactionKey | None:
        """Return something of these kinds, decided or pending, that nothing followed yet."""
        followed = {entry.request.parent for entry in self.till.entries}
        keys = [
            entry.request.key
            for entry in self.till.entries
            if entry.request.kind in kinds and entry.request.key not in followed
        ]
        return self._chance.choice(keys) if keys else None

    async def _inquire(self) -> None:
        card = TownCard(citizen(self._chance.randint(1, 8)))
        answer = (await self.till.does(Till.rights, card)).answer
        self._counters.add(Counted.INQUIRIES, int(answer.outcome.approved))

    async def _settle(self) -> None:
        await self.till.does(Till.totals, business_day())

    async def _echo(self) -> None:
        await self.till.does(Till.echo)

    async def _change_key(self) -> None:
        await self.till.does(Till.change_key)

    async def _repeat(self) -> None:
        self.count(*await self.till.does(Till.repeat_pending))

    async def _lose_power(self) -> None:
        self.till.restart()


_COUNTED = {
    Kind.RESERVE: Counted.RESERVATIONS,
    Kind.COMPLETION: Counted.COMPLETIONS,
    Kind.RETURN: Counted.RETURNS,
    Kind.REVERSAL: Counted.REVERSALS,
}
