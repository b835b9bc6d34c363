"""Terminals at work, each with several requests outstanding, and the ledger of what they were told.

Chance comes from one seed; what the faults do to the line does not, so two runs of one seed make
the same requests but may be told other things. Every request is asked until it is decided: at
the end of a load nothing is left open, and whatever the journal holds, somebody was told.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Final, TypeAlias

import msgspec

from processing.wire.digest import request_digest
from processing.wire.iso8583.errors import FramingError, WireError
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    WITH_LINES,
    Answer,
    Kind,
    MessageClass,
    Request,
    TransactionKey,
)
from processing.wire.transaction import Line as ItemLine
from tests.faults.counters import Counted, Counters
from tests.plugins.line import Line
from tests.plugins.town import PRICE_KOPECKS, SHOPS, Citizen, Shop, citizen, signed

Connect: TypeAlias = Callable[[str], Awaitable[Line]]
"""Opens a connection in the name of a terminal, to whatever serves just now."""

PATIENCE_SECONDS: Final = 90.0
"""Longest wait for a decision: several starts of a centre and its database on a slow machine."""

ANSWER_SECONDS: Final = 10.0
"""How long a terminal waits for one answer before it asks again on another connection."""

RETRY_PAUSE_SECONDS: Final = 0.02
KNOWN_MAX: Final = 200
"""How many of its own requests a terminal remembers, to repeat or to contradict them."""

GREEDY_QUANTITY: Final = 50_000
"""More than anybody is granted."""


class Told(msgspec.Struct, frozen=True):
    """A request and the answer that decided it."""

    request: Request
    answer: Answer


class Ledger:
    """What the terminals were told, by key and content, and what contradicted it."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.told: dict[tuple[TransactionKey, bytes], Told] = {}
        self.contradictions: list[str] = []
        self.never_decided: list[Request] = []
        self._grown = asyncio.Condition()

    async def enter(self, request: Request, answer: Answer) -> None:
        """Take a decided answer in, and hold it against what was told before."""
        place = (request.key, request_digest(request))
        before = self.told.get(place)
        if before is not None:
            self.counters.add(Counted.REPLAYS)
            if _decided(before.answer) != _decided(answer):
                self.contradictions.append(
                    f"{request.key}: first {_decided(before.answer)}, then {_decided(answer)}"
                )
            return
        _count(self.counters, request, answer)
        async with self._grown:
            self.told[place] = Told(request, answer)
            self._grown.notify_all()

    async def wait_for(self, count: int, seconds: float, seen: Collection[Counted]) -> None:
        """Return when `count` requests are decided, all of `seen` among them.

        Raises TimeoutError.
        """
        async with asyncio.timeout(seconds), self._grown:
            await self._grown.wait_for(
                lambda: len(self.told) >= count and not self.counters.missing(seen)
            )


def _decided(answer: Answer) -> tuple[object, ...]:
    """Return what must be the same each time a request is answered."""
    return answer.outcome, answer.decision, answer.facts


def _count(counters: Counters, request: Request, answer: Answer) -> None:
    outcome = answer.outcome
    if outcome is Outcome.KEY_REUSED:
        counters.add(Counted.KEY_CONFLICTS)
        return
    if not outcome.approved and outcome is not Outcome.RECORDED_IN_CONFLICT:
        counters.add(Counted.DECLINES)
        return
    match request.kind:
        case Kind.INQUIRY:
            counters.add(Counted.INQUIRIES)
        case Kind.REVERSAL if answer.facts.get("original") == "unknown":
            counters.add(Counted.REVERSALS_BEFORE)
        case Kind.REVERSAL if answer.decision is not None and answer.decision.lines:
            counters.add(Counted.REVERSALS)
        case Kind.REVERSAL:
            # The original was declined, or taken back before: there was nothing to do.
            pass
        case Kind.RESERVE:
            counters.add(Counted.RESERVATIONS)
        case Kind.COMPLETION if outcome.approved:
            counters.add(Counted.COMPLETIONS)
        case Kind.RETURN:
            counters.add(Counted.RETURNS)
        case _ if request.advice:
            counters.add(Counted.ADVICES)
            if outcome is Outcome.RECORDED_IN_CONFLICT:
                counters.add(Counted.CONFLICTS_OF_ADVICES)
        case _:
            counters.add(Counted.APPROVALS)


class Connection:
    """One connection with any number of requests outstanding; answers are matched by number."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._waiting: dict[tuple[int, MessageClass], asyncio.Future[Answer]] = {}
        self._reader = asyncio.get_running_loop().create_task(self._read())
        self.broken = False

    async def ask(self, request: Request, attempt: int = 1) -> Answer:
        """Return the answer; raises OSError when the connection broke, TimeoutError.

        Each further attempt waits longer, lest a busy machine never answers in time.
        Of two requests under one number only one may be outstanding: an answer names no more.
        """
        if self.broken:
            raise ConnectionError("the connection is broken")
        name = (request.key.stan, request.key.message_class)
        assert name not in self._waiting, f"{request.key} is outstanding"
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[name] = future
        try:
            await self._line.send(self._line.message(request))
            async with asyncio.timeout(ANSWER_SECONDS * attempt):
                return await future
        except TimeoutError:
            # Its answer may come yet, and must not be taken for that of the next attempt.
            self._break()
            raise
        finally:
            self._waiting.pop(name, None)

    async def close(self) -> None:
        """Hang up."""
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        self._break()
        await self._line.close()

    async def _read(self) -> None:
        with suppress(OSError, EOFError, WireError, FramingError, TimeoutError):
            while True:
                answer = await self._line.answer()
                if not isinstance(answer, Answer):
                    break
                future = self._waiting.get((answer.key.stan, answer.key.message_class))
                if future is not None and not future.done():
                    future.set_result(answer)
        self._break()

    def _break(self) -> None:
        self.broken = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection broke"))


class Terminal:
    """One terminal under load: asks until it is told, whatever happens to the line."""

    def __init__(self, terminal_id: str, load: Load, chance: random.Random) -> None:
        self.shop = Shop(terminal_id)
        self._load = load
        self._chance = chance
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._asking: defaultdict[TransactionKey, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known: deque[Request] = deque(maxlen=KNOWN_MAX)
        self._given: deque[Request] = deque(maxlen=KNOWN_MAX)
        self._held: deque[Request] = deque(maxlen=KNOWN_MAX)
        self._sold: deque[Request] = deque(maxlen=KNOWN_MAX)
        self._reversed: deque[Request] = deque(maxlen=KNOWN_MAX)

    async def work(self, stop: asyncio.Event) -> None:
        """Do one thing after the other until told to stop; what was begun is finished."""
        names, weights = zip(*self.ACTIONS, strict=True)
        while not stop.is_set():
            (name,) = self._chance.choices(names, weights)
            await getattr(self, f"_{name}")()
            await asyncio.sleep(self._chance.uniform(0, self._load.pause_seconds))

    async def decide(self, request: Request) -> Answer | None:
        """Ask under one key until the centre decides; None when it never did."""
        ledger, asked = self._load.ledger, 0
        with suppress(TimeoutError):
            async with self._asking[request.key], asyncio.timeout(self._load.patience_seconds):
                while True:
                    repeat = msgspec.structs.replace(request, repeat=asked > 0)
                    asked += 1
                    answer = await self._ask_once(repeat, asked)
                    if answer is not None and answer.outcome.decided:
                        ledger.counters.add(Counted.RETRIES, int(asked > 1))
                        await ledger.enter(request, answer)
                        return answer
                    if answer is not None:
                        assert answer.outcome is Outcome.TRY_LATER, (request, answer)
                        ledger.counters.add(Counted.UNDECIDED)
                    await asyncio.sleep(RETRY_PAUSE_SECONDS)
        ledger.never_decided.append(request)
        return None

    async def hang_up(self) -> None:
        """Close the connection, whatever its state."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    ACTIONS: ClassVar[Sequence[tuple[str, int]]] = (
        ("sell", 40),
        ("sell_too_much", 5),
        ("sell_without_right", 4),
        ("advise", 8),
        ("inquire", 4),
        ("reserve", 8),
        ("complete", 10),
        ("complete_at_once", 3),
        ("return", 8),
        ("return_at_once", 3),
        ("take_back", 12),
        ("take_back_again", 2),
        ("take_back_before", 5),
        ("take_back_at_once", 5),
        ("repeat", 10),
        ("contradict", 5),
    )
    """What a terminal does, and how often beside the others."""

    async def _sell(self) -> None:
        await self._give(self.shop.sale(self._somebody(), self._chance.randint(1, 3)))

    async def _sell_too_much(self) -> None:
        await self._give(self.shop.sale(self._somebody(), GREEDY_QUANTITY))

    async def _sell_without_right(self) -> None:
        syrup = (ItemLine("SYRUP", 1, 796, 0, PRICE_KOPECKS),)
        await self._give(self.shop.sale(self._somebody(), lines=syrup))

    async def _advise(self) -> None:
        who, quantity = self._somebody(), self._chance.randint(1, 2)
        if self._chance.random() < 0.3:
            # Of one citizen only: whoever is bled dry by an advice is approved nothing more.
            who, quantity = citizen(self._load.citizens), GREEDY_QUANTITY
        await self._give(self.shop.sale(who, quantity, advice=True))

    async def _inquire(self) -> None:
        await self._give(self.shop.inquiry(self._somebody()))

    async def _reserve(self) -> None:
        await self._give(self.shop.reserve(self._somebody(), self._chance.randint(1, 3)))

    async def _complete(self) -> None:
        """Take less than was held, as much or, seldom, more."""
        if self._held:
            held = self._held.popleft()
            await self._give(self.shop.completion(held, self._chance.randint(0, 4)))

    async def _complete_at_once(self) -> None:
        """Complete twice, or complete and take back: exactly one of the two ends the hold."""
        if self._held:
            held = self._held.popleft()
            other = self._chance.choice((self.shop.completion(held, 1), self.shop.reversal(held)))
            await asyncio.gather(self._give(self.shop.completion(held, 1)), self._give(other))

    async def _return(self) -> None:
        if self._sold:
            sold = self._chance.choice(self._sold)
            await self._give(self.shop.return_of(sold, citizen_of(sold), 1))

    async def _return_at_once(self) -> None:
        """Bring the same back twice, or bring it back and take the sale back."""
        if self._sold:
            sold = self._sold.popleft()
            everything = sum(line.quantity for line in sold.lines)
            wishes = [
                self.shop.return_of(sold, citizen_of(sold), everything),
                self.shop.return_of(sold, citizen_of(sold), everything),
                self.shop.reversal(sold),
            ]
            await asyncio.gather(*map(self._give, self._chance.sample(wishes, 2)))

    async def _take_back(self) -> None:
        if self._given:
            original = self._given.popleft()
            advice = self._chance.random() < 0.3
            await self._give(self.shop.reversal(original, advice=advice))
            self._reversed.append(original)

    async def _take_back_again(self) -> None:
        if self._reversed:
            await self._give(self.shop.reversal(self._reversed.popleft()))

    async def _take_back_before(self) -> None:
        original = self.shop.sale(self._somebody())
        await self._give(self.shop.reversal(original))
        await self._give(original)

    async def _take_back_at_once(self) -> None:
        original = self.shop.sale(self._somebody())
        wish = self.shop.reversal(original)
        await asyncio.gather(self.decide(original), self.decide(wish))

    async def _repeat(self) -> None:
        if self._known:
            await self.decide(self._chance.choice(self._known))

    async def _contradict(self) -> None:
        """Ask for something else under a key that was decided."""
        if self._known:
            taken = self._chance.choice(self._known)
            if taken.kind is Kind.SALE and not taken.advice:
                other = self.shop.sale(self._somebody())
                other = msgspec.structs.replace(other, key=taken.key)
                await self.decide(signed(other, citizen_of(other)))

    async def _give(self, request: Request) -> None:
        answer = await self.decide(request)
        if answer is None or answer.outcome is Outcome.KEY_REUSED:
            return
        self._known.append(request)
        if answer.outcome.approved and request.kind in WITH_LINES:
            self._given.append(request)
            if request.kind is Kind.RESERVE:
                self._held.append(request)
            elif request.kind is not Kind.RETURN and request.gross_kopecks:
                self._sold.append(request)

    def _somebody(self) -> Citizen:
        return citizen(self._chance.randint(1, self._load.citizens))

    async def _ask_once(self, request: Request, attempt: int) -> Answer | None:
        try:
            return await (await self._connected()).ask(request, attempt)
        except (OSError, EOFError, TimeoutError):
            return None

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._connection is not None and self._connection.broken:
                self._load.ledger.counters.add(Counted.LINES_CUT)
                await self.hang_up()
            if self._connection is None:
                self._connection = Connection(await self._load.connect(self.shop.terminal_id))
            return self._connection


class Load:
    """All terminals, and the ledger of what they were told.

    The first `working` of `shops`, by default all, have `outstanding` requests each under way, and
    pause up to `pause_seconds` between two; a decision is asked for for `patience_seconds`.
    """

    def __init__(
        self,
        connect: Connect,
        counters: Counters,
        seed: int,
        *,
        shops: Sequence[str] = SHOPS,
        working: int | None = None,
        citizens: int = 8,
        outstanding: int = 4,
        pause_seconds: float = 0.05,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.connect = connect
        self.ledger = Ledger(counters)
        self.citizens = citizens
        self.pause_seconds = pause_seconds
        self.patience_seconds = patience_seconds
        self._outstanding = outstanding
        self._working = working
        self.terminals = [Terminal(shop, self, random.Random(f"{seed} {shop}")) for shop in shops]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work during the block; at its end every terminal finishes what it began."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for terminal in self.terminals[: self._working]:
                for _ in range(self._outstanding):
                    group.create_task(terminal.work(stop))
            yield
            stop.set()
        await self.hang_up()

    async def more(self, count: int, seen: Collection[Counted] = ()) -> None:
        """Return when `count` more requests are decided, and the load has done all of `seen`.

        Raises TimeoutError.
        """
        await self.ledger.wait_for(len(self.ledger.told) + count, self.patience_seconds, seen)

    async def ask_all_again(self) -> None:
        """Ask for every decision once more; the ledger compares."""
        told = list(self.ledger.told.values())
        await asyncio.gather(*(self._ask_again(terminal, told) for terminal in self.terminals))
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close all connections."""
        for terminal in self.terminals:
            await terminal.hang_up()

    async def _ask_again(self, terminal: Terminal, told: Sequence[Told]) -> None:
        own = [one for one in told if one.request.key.terminal_id == terminal.shop.terminal_id]
        rest = iter(own)

        async def one_by_one() -> None:
            for one in rest:
                await terminal.decide(one.request)

        await asyncio.gather(*(one_by_one() for _ in range(4 * self._outstanding)))


def citizen_of(request: Request) -> Citizen:
    """Return whose card a request of the town names."""
    number = int.from_bytes(request.card_id) - int.from_bytes(citizen(0).card_id)
    return citizen(number)
