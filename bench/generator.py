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

import gc
import itertools
import random
import select
import sys
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from bench.callers import APPROVED, HttpCaller, IsoCaller, Message, Share, Tally
from bench.latency import Latency, summarized
from bench.naive.message import naive_message
from bench.traffic import Draft, Press, Sales, Traffic
from bench.world import World
from processing.wire.iso8583.answers import decode_answer
from processing.wire.iso8583.errors import WireError
from processing.wire.iso8583.framing import Framing
from processing.wire.iso8583.spec import Profile
from processing.wire.receipt import Receipt, ReceiptError
from processing.wire.transaction import Answer

CONNECT_TIMEOUT_SECONDS: Final = 10
LAST_ANSWERS_SECONDS: Final = 10
"""How long answers may still come after the last request of a run."""

PAUSE_SECONDS: Final = 0.001
"""How long a closed loop lets answers gather: woken by each, the generator would take a good part
of the machine from what it measures. A latency is told so much too long at most."""

COARSE_NS: Final = 20_000_000
"""Waits that are longer need no precision."""

APPROVED_CODE: Final = APPROVED.decode("ascii")
TRY_LATER_CODE: Final = "96"
"""DE39 of what decides nothing: the centre had no room for it."""

_A_SECOND_NS: Final = 1_000_000_000


class Target(StrEnum):
    """What is loaded."""

    CENTRE = "centre"
    NAIVE = "naive"


Caller: TypeAlias = IsoCaller | HttpCaller


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `rate_per_second` 0 is a closed loop; `count` messages are made ready.

    The first `cards` of the world's cards buy.
    """

    target: Target
    port: int
    traffic: Traffic
    first_number: int
    count: int
    duration_ms: int
    cards: int
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

    target: Target
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
        return self.outcomes.get(APPROVED_CODE, 0)

    @property
    def rate_per_second(self) -> float:
        """Return approved sales per second."""
        return self.approved / (self.elapsed_ms / 1000) if self.elapsed_ms else 0.0


class Run:
    """One run of a task over messages made ready before."""

    def __init__(self, task: Task, shares: Sequence[Share]) -> None:
        self._task = task
        kind = IsoCaller if task.target is Target.CENTRE else HttpCaller
        self._callers: list[Caller] = [
            kind(task.port, CONNECT_TIMEOUT_SECONDS, share) for share in shares
        ]
        self._by_file = {caller.fileno(): caller for caller in self._callers}
        self._ready = select.epoll()
        for file in self._by_file:
            self._ready.register(file, select.EPOLLIN)
        self.sent = 0
        self._answered = 0
        self._begun_ns = 0
        self._cpu_us = 0
        self._fault = ""
        self.in_time = Tally()
        self.late = Tally()

    def play(self) -> None:
        """Send, and wait for the last answers."""
        task, cpu_ns = self._task, time.process_time_ns()
        self._listen_with(self.in_time)
        self._begun_ns = time.perf_counter_ns()
        ends_ns = self._begun_ns + task.duration_ms * 1_000_000
        last_ns = ends_ns + LAST_ANSWERS_SECONDS * 1_000_000_000
        try:
            if task.rate_per_second:
                self._send_at_rate(ends_ns)
            else:
                self._send_when_answered(ends_ns)
                # What comes after the end of a closed loop is only counted.
                self._listen_with(self.late)
            while self._answered < self.sent and time.perf_counter_ns() < last_ns:
                self._take_answers(time.perf_counter_ns() + _A_SECOND_NS)
        except OSError as error:
            self._fault = f"a connection was lost: {error}"
        self._cpu_us = (time.process_time_ns() - cpu_ns) // 1000
        for caller in self._callers:
            caller.close()
        self._ready.close()

    def result(self, verified: int, faults: tuple[str, ...]) -> Result:
        """Return what was seen."""
        task, seen = self._task, self.in_time
        told = [self._fault] if self._fault else []
        if self._answered < self.sent and not self._fault:
            told.append(f"no answer within {LAST_ANSWERS_SECONDS} s of the last request")
        if strange := seen.strange + self.late.strange:
            told.append(f"{strange} answers to nothing that was asked")
        used_up = self.sent >= task.count and not task.rate_per_second
        ends_ns = self._begun_ns + task.duration_ms * 1_000_000
        end_ns = seen.last_ns if used_up or task.rate_per_second else ends_ns
        return Result(
            target=task.target,
            sent=self.sent,
            answered=seen.answered,
            unanswered=self.sent - self._answered,
            approved_in_all=seen.approved + self.late.approved,
            elapsed_ms=max(0.0, (end_ns - self._begun_ns) / 1e6),
            cpu_us=self._cpu_us,
            outcomes=_outcomes(seen),
            latency=summarized(seen.latencies_ns),
            used_up=used_up,
            verified=verified,
            faults=(*told, *faults),
        )

    def _listen_with(self, tally: Tally) -> None:
        for caller in self._callers:
            caller.tally = tally

    def _send_when_answered(self, ends_ns: int) -> None:
        """Keep as many unanswered on each connection as the task says: a closed loop."""
        now_ns = time.perf_counter_ns()
        for caller in self._callers:
            self._send(caller, self._task.outstanding, now_ns)
        while now_ns < ends_ns and self._answered < self.sent:
            for caller, count in self._heard(ends_ns):
                self._send(caller, count, time.perf_counter_ns())
            time.sleep(PAUSE_SECONDS)
            now_ns = time.perf_counter_ns()

    def _send_at_rate(self, ends_ns: int) -> None:
        """Send each message when it is due, whatever is unanswered: an open loop."""
        due_ns = departures(self._task, self._begun_ns)
        for caller, meant_ns in zip(itertools.cycle(self._callers), due_ns, strict=False):
            if meant_ns > ends_ns:
                break
            while True:
                # Also when this is late: else answers that came long ago would seem to be slow.
                self._take_answers(meant_ns)
                if time.perf_counter_ns() >= meant_ns:
                    break
            self._send(caller, 1, meant_ns)
        while time.perf_counter_ns() < ends_ns and self._answered < self.sent:
            self._take_answers(ends_ns)

    def _take_answers(self, until_ns: int) -> None:
        for _ in self._heard(until_ns):
            pass

    def _heard(self, until_ns: int) -> Iterator[tuple[Caller, int]]:
        """Wait for something to happen, until a time at the latest; yield who heard how much."""
        wait_ns = max(0, until_ns - time.perf_counter_ns())
        if 0 < wait_ns < COARSE_NS:
            # epoll's own time-out is no finer than a millisecond; that of select is.
            select.select((self._ready,), (), (), wait_ns / 1e9)
            wait_ns = 0
        for file, events in self._ready.poll(wait_ns / 1e9):
            caller = self._by_file[file]
            if events & select.EPOLLOUT and caller.flushed():
                self._ready.modify(file, select.EPOLLIN)
            if events & ~select.EPOLLOUT and (count := caller.heard(time.perf_counter_ns())):
                self._answered += count
                yield caller, count

    def _send(self, caller: Caller, count: int, meant_ns: int) -> None:
        self.sent += caller.send(count, meant_ns)
        if caller.unsent:
            self._ready.modify(caller.fileno(), select.EPOLLIN | select.EPOLLOUT)


def departures(task: Task, begin_ns: int) -> list[int]:
    """Return when each message of an open loop is due: a Poisson process from `begin_ns` on."""
    chance, step = random.Random(task.first_number), task.rate_per_second / 1e9
    waits = (chance.expovariate(step) for _ in range(task.count))
    return [begin_ns + round(wait) for wait in itertools.accumulate(waits)]


def _outcomes(tally: Tally) -> dict[str, int]:
    counted = {APPROVED: tally.approved} if tally.approved else {}
    return {code.decode("ascii"): count for code, count in (counted | tally.others).items()}


def messages_of(task: Task, sales: Sales, signed_at_ms: int) -> list[Message]:
    """Return a task's messages, ready to be sent."""
    numbers = range(task.first_number, task.first_number + task.count)
    drafts = map(sales.draft, numbers)
    if task.target is Target.NAIVE:
        return [Message(draft.number, b"", naive_message(sales, draft)) for draft in drafts]
    press, framing = Press(sales, signed_at_ms), Framing()
    return [
        Message(draft.number, iso_tag(sales, draft), framing.wrap(press.message(draft)))
        for draft in drafts
    ]


def iso_tag(sales: Sales, draft: Draft) -> bytes:
    """Return what DE11 and DE41 of the answer will hold."""
    return b"%06d" % draft.stan + sales.terminal_id_of(draft).encode("ascii")


def faults_in(samples: Sequence[tuple[int, bytes]], sales: Sales, receipt_key: bytes) -> list[str]:
    """Return what is wrong with answers of the centre to approved sales: MAC, form or receipt."""
    faults = []
    for number, message in samples:
        try:
            answer = decode_answer(message, Profile.BINARY, sales.mac_of(sales.draft(number)))
            if isinstance(answer, Answer) and answer.decision is not None:
                Receipt.decode(answer.receipt).verify(answer.decision, receipt_key)
            else:
                faults.append(f"sale {number}: approved without a decision")
        except (WireError, ReceiptError) as error:
            faults.append(f"sale {number}: {error}")
    return faults


def play(task: Task, world: World) -> Result:
    """Make the messages of a task ready, say so, wait for the word, run and return the result."""
    sales = Sales(msgspec.structs.replace(world, cards=task.cards), task.traffic)
    messages = messages_of(task, sales, time.time_ns() // 1_000_000)
    shares = [Share(messages[number :: task.connections]) for number in range(task.connections)]
    del messages
    _say(Built(task.count))
    if not sys.stdin.readline():
        raise SystemExit
    run = Run(task, shares)
    # Nothing here makes cycles, and a collection over so many objects would be a stall of its own.
    gc.disable()
    run.play()
    gc.enable()
    _say(Done(run.sent))
    samples = run.in_time.samples if task.target is Target.CENTRE else []
    faults = faults_in(samples, sales, world.receipt_key)
    return run.result(len(samples), tuple(faults[:10]))


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
