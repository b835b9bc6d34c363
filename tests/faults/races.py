"""Many at once for what only one can have: one key, one number, one unit, one reversal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from processing.wire.transaction import Answer, Request
from tests.faults.counters import Counted
from tests.faults.load import RETRY_PAUSE_SECONDS, Connect, Connection, Ledger
from tests.plugins.town import Citizen, Shop, signed

AT_ONCE: Final = 50
RACERS: Final = tuple(f"RACE{number:04d}" for number in range(1, AT_ONCE + 1))
"""Terminals that race; register them with tests.plugins.town.add_shop."""

_OWN_STANS: Final = 500_000
"""First number of the races, so that none is taken that a load uses."""


class Races:
    """Fifty connections, one per terminal, and fifty of the first terminal."""

    def __init__(
        self, ledger: Ledger, patience_seconds: float, racers: Sequence[str] = RACERS
    ) -> None:
        self._ledger = ledger
        self._patience_seconds = patience_seconds
        self._shops = [Shop(racer, _OWN_STANS) for racer in racers]
        self._of_one: list[Connection] = []
        self._of_each: list[Connection] = []

    @contextlib.asynccontextmanager
    async def connected(self, connect: Connect) -> AsyncIterator[Races]:
        """Open all connections for the block."""
        one = self._shops[0].terminal_id
        async with contextlib.AsyncExitStack() as ends:
            for kept, names in (
                (self._of_one, [one] * len(self._shops)),
                (self._of_each, [shop.terminal_id for shop in self._shops]),
            ):
                for name in names:
                    connection = Connection(await connect(name))
                    ends.push_async_callback(connection.close)
                    kept.append(connection)
            yield self

    async def one_key(self, who: Citizen) -> list[Answer]:
        """Ask for one sale on all connections of a terminal at once."""
        self._ledger.counters.add(Counted.KEYS_RACED)
        return await self._at_once(self._of_one, [self._shops[0].sale(who)] * len(self._of_one))

    async def one_number(self, who: Citizen) -> list[Answer]:
        """Ask for as many different sales as there are connections, under one number."""
        self._ledger.counters.add(Counted.KEYS_RACED)
        first = self._shops[0].sale(who)
        others = [self._shops[0].sale(who) for _ in self._of_one[1:]]
        renumbered = [signed(msgspec.structs.replace(one, key=first.key), who) for one in others]
        return await self._at_once(self._of_one, [first, *renumbered])

    async def one_unit(self, holder: Citizen, cards: Sequence[Citizen]) -> list[Answer]:
        """Sell one unit of a holder's right to each card at once, each at its own terminal."""
        self._ledger.counters.add(Counted.UNITS_RACED)
        sales = [
            shop.sale(card, holder_id=holder.holder_id)
            for shop, card in zip(self._shops, cards, strict=True)
        ]
        return await self._at_once(self._of_each, sales)

    async def one_original(self, who: Citizen) -> list[Answer]:
        """Sell once, then take it back under as many numbers as there are connections."""
        original = self._shops[0].sale(who)
        await self._at_once(self._of_one[:1], [original])
        wishes = [self._shops[0].reversal(original) for _ in self._of_one]
        return await self._at_once(self._of_one, wishes)

    async def _at_once(
        self, connections: Sequence[Connection], requests: Sequence[Request]
    ) -> list[Answer]:
        """Return the decisions that came; who got none is entered in the ledger."""
        answers = await asyncio.gather(*map(self._insist, connections, requests))
        return [answer for answer in answers if answer is not None]

    async def _insist(self, connection: Connection, request: Request) -> Answer | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                while not (answer := await connection.ask(request)).outcome.decided:
                    self._ledger.counters.add(Counted.UNDECIDED)
                    await asyncio.sleep(RETRY_PAUSE_SECONDS)
            await self._ledger.enter(request, answer)
            return answer
        self._ledger.never_decided.append(request)
        return None
