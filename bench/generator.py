"""The load generator: a process of its own that sends sales and times their answers.

`python -m bench.generator WORLD` reads one task per line from standard input, makes its messages
ready (signed and sealed, which costs far more than sending them), says how many there are, waits
for a line, runs, says that it is done, and then gives the result. So nothing is signed or verified
while the clock runs.

Closed loop: each connection keeps so many requests unanswered, which finds the saturation. Open
loop: requests leave at times drawn before (a Poisson process, as `pgbench --rate` does), and an
answer's latency counts from the time its request was meant to leave: a stall is not hidden by the
requests it held back (coordinated omission).
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, cast

import msgspec
import uvloop

from bench.dialects import Dialect, HttpDialect, IsoDialect
from bench.latency import Latency, summarized
from bench.naive.message import naive_message
from bench.traffic import Draft, Press, Sales, Traffic
from bench.world import World
from processing.wire.iso8583.answers import decode_answer
from processing.wire.iso8583.errors import WireError
from processing.wire.iso8583.framing import Framing
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.receipt import Receipt, ReceiptError
from processing.wire.transaction import Answer

CONNECT_TIMEOUT_SECONDS: Final = 10
LAST_ANSWERS_SECONDS: Final = 10
"""How long answers may still come after the last request of a run."""

TICK_SECONDS: Final = 0.001
"""How often an open loop looks what is due; a latency may be told this much too long."""

APPROVED: Final = "00"
TRY_LATER: Final = "96"
"""DE39 of what decides nothing: the centre had no room for it."""

SAMPLE_EVERY: Final = 97
"""One answer of so many is decoded after the run, its MAC and receipt verified."""

SAMPLES_MAX: Final = 500


class Target(StrEnum):
    """What is loaded."""

    CENTRE = "centre"
    NAIVE = "naive"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `rate_per_second` 0 is a closed loop; `count` messages are made ready."""

    target: Target
    port: int
    traffic: Traffic
    first_number: int
    count: int
    duration_ms: int
    connections: int
    outstanding: int
    rate_per_second: float = 0.0


class Built(msgspec.Struct, frozen=True):
    """The messages are ready."""

    built: int


class Done(msgspec.Struct, frozen=True):
    """The clock has stopped; the samples are about to be verified."""

    sent: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run saw; its latencies are those of approved sales.

    `outcomes` counts answers by DE39 (HTTP: the status); "00" is approved. `elapsed_ms` runs from
    the first request to the last answer within the duration; `used_up` says that the messages ended
    before the duration did; `approved_in_all` counts late answers too. `faults` are wrong MACs and
    wrong receipts among the `verified` samples, and broken connections.
    """

    sent: int
    answered: int
    unanswered: int
    approved_in_all: int
    elapsed_ms: float
    cpu_us: int
    outcomes: dict[str, int]
    latency: Latency
    used_up: bool
    verified: int
    faults: tuple[str, ...]

    @property
    def approved(self) -> int:
        """Return how many sales were approved."""
        return self.outcomes.get(APPROVED, 0)

    @property
    def rate_per_second(self) -> float:
        """Return approved sales per second."""
        return self.approved / (self.elapsed_ms / 1000) if self.elapsed_ms else 0.0


class Message(msgspec.Struct, frozen=True):
    """What to send, and the tag by which its answer is known."""

    tag: bytes
    data: bytes
    draft: Draft


class Caller(asyncio.Protocol):
    """One connection: sends messages and matches their answers."""

    def __init__(self, run: Run, messages: Iterator[Message]) -> None:
        self._run = run
        self._messages = messages
        self._dialect: Dialect = run.dialect()
        self._sent_ns: dict[bytes, int] = {}
        self._drafts: dict[bytes, Draft] = {}
        self._order: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the run, which decides whether it was its own doing."""
        self._run.lost(exc)

    def send(self, count: int, due_ns: int | None = None) -> int:
        """Send up to `count` messages in one write; `due_ns` is when they were meant to leave."""
        sent = list(itertools.islice(self._messages, count))
        if not sent or self._transport is None:
            return 0
        self._transport.write(b"".join([message.data for message in sent]))
        now = time.perf_counter_ns() if due_ns is None else due_ns
        for message in sent:
            self._sent_ns[message.tag] = now
            self._drafts[message.tag] = message.draft
            self._order.append(message.tag)
        return len(sent)

    def data_received(self, data: bytes) -> None:
        """Time the answers, and in a closed loop ask again."""
        now = time.perf_counter_ns()
        run, count = self._run, 0
        for heard in self._dialect.feed(data):
            tag = self._order[0] if heard.tag is None else heard.tag
            if heard.tag is None:
                self._order.popleft()
            sent_ns = self._sent_ns.pop(tag, None)
            if sent_ns is None:
                run.strange += 1
                continue
            count += 1
            run.heard(heard.code, heard.message, now, sent_ns, self._drafts.pop(tag))
        run.answered_by(self, count)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


class Run:
    """One run of a task over messages made ready before."""

    def __init__(self, task: Task, messages: list[Message]) -> None:
        self._task = task
        self._messages = messages
        self._callers: list[Caller] = []
        self._begun_ns = 0
        self._ends_ns = 0
        self._last_ns = 0
        self._done = asyncio.Event()
        self._closing = False
        self._outstanding = 0
        self.sent = 0
        self.approved_in_all = 0
        self.strange = 0
        self.latencies_ns: list[int] = []
        self.codes: list[str] = []
        self.samples: list[tuple[Draft, bytes]] = []
        self.cpu_us = 0
        self.fault = ""

    @property
    def dialect(self) -> Callable[[], Dialect]:
        """Return what makes the dialect of a connection."""
        return IsoDialect if self._task.target is Target.CENTRE else HttpDialect

    async def play(self) -> None:
        """Connect, send, and wait for the last answers."""
        task, loop = self._task, asyncio.get_running_loop()
        shares = [
            iter(self._messages[number :: task.connections]) for number in range(task.connections)
        ]
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            for share in shares:
                _, caller = await loop.create_connection(
                    lambda share=share: Caller(self, share),  # type: ignore[misc]
                    "127.0.0.1",
                    task.port,
                )
                self._callers.append(caller)
        cpu_ns = time.process_time_ns()
        self._begun_ns = time.perf_counter_ns()
        self._ends_ns = self._begun_ns + task.duration_ms * 1_000_000
        if task.rate_per_second:
            await self._send_at_rate()
        else:
            for caller in self._callers:
                self._send(caller, task.outstanding)
        await self._wait_for_answers()
        self.cpu_us = (time.process_time_ns() - cpu_ns) // 1000
        self._closing = True
        for caller in self._callers:
            caller.close()

    def heard(self, code: str, message: bytes, now_ns: int, sent_ns: int, draft: Draft) -> None:
        """Take down one answer; what comes after the end of a closed loop is only counted."""
        self.approved_in_all += code == APPROVED
        if now_ns <= self._ends_ns or self._task.rate_per_second:
            if code == APPROVED:
                # What was turned away at once would make an overloaded centre look quick.
                self.latencies_ns.append(now_ns - sent_ns)
            self.codes.append(code)
            self._last_ns = now_ns
            if len(self.codes) % SAMPLE_EVERY == 1 and len(self.samples) < SAMPLES_MAX:
                self.samples.append((draft, message))

    def answered_by(self, caller: Caller, count: int) -> None:
        """Go on: in a closed loop send as many as were answered."""
        self._outstanding -= count
        if not self._task.rate_per_second and time.perf_counter_ns() < self._ends_ns:
            self._send(caller, count)
        if self._outstanding == 0:
            self._done.set()

    def lost(self, error: Exception | None) -> None:
        """A connection ended; unless the run is over, that is a fault."""
        if not self._closing:
            self.fault = f"a connection was closed by the other side ({error})"
            self._done.set()

    def result(self, verified: int, faults: tuple[str, ...]) -> Result:
        """Return what was seen."""
        told = [fault for fault in (self.fault,) if fault]
        if self.strange:
            told.append(f"{self.strange} answers to nothing that was asked")
        used_up = self.sent >= len(self._messages) and not self._task.rate_per_second
        end_ns = self._last_ns if used_up or self._task.rate_per_second else self._ends_ns
        return Result(
            sent=self.sent,
            answered=len(self.codes),
            unanswered=self._outstanding,
            approved_in_all=self.approved_in_all,
            elapsed_ms=max(0.0, (end_ns - self._begun_ns) / 1e6),
            cpu_us=self.cpu_us,
            outcomes=dict(Counter(self.codes)),
            latency=summarized(self.latencies_ns),
            used_up=used_up,
            verified=verified,
            faults=(*told, *faults),
        )

    def _send(self, caller: Caller, count: int, due_ns: int | None = None) -> None:
        sent = caller.send(count, due_ns)
        self.sent += sent
        self._outstanding += sent

    async def _send_at_rate(self) -> None:
        chance = random.Random(self._task.first_number)
        callers = itertools.cycle(self._callers)
        due_ns = float(self._begun_ns)
        step = self._task.rate_per_second / 1e9
        for _ in range(len(self._messages)):
            due_ns += chance.expovariate(step)
            if due_ns > self._ends_ns:
                break
            if time.perf_counter_ns() < due_ns:
                await self._wait_until(due_ns)
            self._send(next(callers), 1, int(due_ns))

    async def _wait_until(self, due_ns: float) -> None:
        """Return when `due_ns` has come; the loop's timers are no finer than a tick."""
        while time.perf_counter_ns() < due_ns:  # noqa: ASYNC110 - the clock sets no event
            await asyncio.sleep(TICK_SECONDS)

    async def _wait_for_answers(self) -> None:
        left = max(0.0, (self._ends_ns - time.perf_counter_ns()) / 1e9)
        self._done.clear()
        if self._outstanding == 0:
            return
        try:
            async with asyncio.timeout(left + LAST_ANSWERS_SECONDS):
                await self._done.wait()
        except TimeoutError:
            self.fault = f"no answer within {LAST_ANSWERS_SECONDS} s of the last request"


def messages_of(task: Task, sales: Sales, signed_at_ms: int) -> list[Message]:
    """Return a task's messages, ready to be sent."""
    drafts = (
        sales.draft(number) for number in range(task.first_number, task.first_number + task.count)
    )
    if task.target is Target.NAIVE:
        return [
            Message(draft.number.to_bytes(8), naive_message(sales, draft), draft)
            for draft in drafts
        ]
    press, framing = Press(sales, signed_at_ms), Framing()
    return [
        Message(iso_tag(sales, draft), framing.wrap(press.message(draft)), draft)
        for draft in drafts
    ]


def iso_tag(sales: Sales, draft: Draft) -> bytes:
    """Return what DE11 and DE41 of the answer will hold."""
    return b"%06d" % draft.stan + sales.terminal_id_of(draft).encode("ascii")


def faults_in(samples: list[tuple[Draft, bytes]], sales: Sales, receipt_key: bytes) -> list[str]:
    """Return what is wrong with answers of the centre: MAC, form or receipt."""
    faults = []
    for draft, message in samples:
        try:
            answer = decode_answer(message, Profile.BINARY, sales.mac_of(draft))
            if isinstance(answer, Answer) and answer.decision is not None:
                Receipt.decode(answer.receipt).verify(answer.decision, receipt_key)
            elif isinstance(answer, Answer):
                if answer.outcome is Outcome.TRY_LATER:
                    continue
                faults.append(f"sale {draft.number}: undecided, {answer.outcome.name}")
            else:
                faults.append(f"sale {draft.number}: no answer to a sale")
        except (WireError, ReceiptError) as error:
            faults.append(f"sale {draft.number}: {error}")
    return faults


def play(task: Task, world: World) -> Result:
    """Make the messages of a task ready, say so, wait for the word, run and return the result."""
    sales = Sales(world, task.traffic)
    messages = messages_of(task, sales, time.time_ns() // 1_000_000)
    _say(Built(len(messages)))
    if not sys.stdin.readline():
        raise SystemExit
    run = Run(task, messages)
    # A collection of so many long-lived messages would be a stall of its own.
    gc.collect()
    gc.freeze()
    uvloop.run(run.play())
    _say(Done(run.sent))
    gc.unfreeze()
    faults: list[str] = []
    verified = 0
    if task.target is Target.CENTRE:
        verified = len(run.samples)
        faults = faults_in(run.samples, sales, world.receipt_key)
    return run.result(verified, tuple(faults[:10]))


def main() -> None:
    """Serve tasks until standard input ends."""
    world = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=World)
    while line := sys.stdin.readline():
        _say(play(msgspec.json.decode(line, type=Task), world))


def _say(message: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(message).decode("utf-8") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
