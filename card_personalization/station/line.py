"""A line of readers at work on a list of orders: card in, card written, card out.

    line = Line(station, orders, ports, watch)
    line.start()           one thread per reader, at most READERS_MAX
    line.view()            what each reader is at, and how far the whole is: any thread, any time
    line.stop()            no further card is begun; those under way come to their end
    line.join(timeout_s)   whether it ended; raises what a mistake in the program raised

`watch` hears of every change as it happens, in the thread of its reader. The line goes on until it
is stopped, so that more orders and cards that broke off may come; `LineView.finished` says that no
card is awaited any more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from card_personalization.chip.errors import CardError
from card_personalization.station.issuing import Outcome, Served, Station
from card_personalization.station.journal import Phase
from card_personalization.station.orders import OrderSource
from card_personalization.station.ports import ReaderPort
from card_personalization.station.steps import Step
from processing.wire.api import CardOrder

READERS_MAX: Final = 16
"""Most readers of one station."""
TURN_MS: Final = 500
"""Longest wait before a reader looks whether it shall stop."""
RATE_CARDS_MAX: Final = 200
"""Over how many of the last cards the rate is taken."""
RATE_WINDOW_MS: Final = 600_000
"""How far back the rate looks."""
_MINUTE_S: Final = 60.0


class ReaderState(StrEnum):
    """What a reader is at, and so what the officer does."""

    IDLE = "idle"
    """Nothing waits for a card here."""
    INSERT = "insert"
    """Put a card in."""
    WRITING = "writing"
    """Leave the card alone."""
    TAKE_OUT = "take_out"
    """Take the card out; `served` says where it goes."""
    AWAY = "away"
    """The reader does not answer; `fault` says why."""


class ReaderView(msgspec.Struct, frozen=True, kw_only=True):
    """One reader at one moment. `step` while it writes, `served` from then on until the next."""

    name: str
    state: ReaderState = ReaderState.IDLE
    step: Step | None = None
    served: Served | None = None
    fault: CardError | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the line is. `rate_per_minute` and `seconds_left` None: too early to tell.

    `good`, `spoiled` and `set_aside` count this line's cards, `waiting` orders without a card,
    `open` cards that were begun and have to be put in again, or whose report is outstanding.
    """

    good: int
    spoiled: int
    set_aside: int
    waiting: int
    open: int
    rate_per_minute: float | None = None
    seconds_left: float | None = None


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """The whole line at one moment."""

    readers: tuple[ReaderView, ...]
    progress: Progress
    paused: bool
    finished: bool


class Line:
    """Readers side by side. ValueError for none, or over READERS_MAX."""

    def __init__(
        self,
        station: Station,
        orders: OrderSource,
        ports: Sequence[ReaderPort],
        watch: Callable[[ReaderView], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 1 <= len(ports) <= READERS_MAX:
            raise ValueError(f"a station has 1 to {READERS_MAX} readers, not {len(ports)}")
        self._station = station
        self._orders = orders
        self._ports = tuple(ports)
        self._watch = watch
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._readers = {port.name: ReaderView(name=port.name) for port in ports}
        self._counts = dict.fromkeys(Outcome, 0)
        self._done_at_s: deque[float] = deque(maxlen=RATE_CARDS_MAX)
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._mistake: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(port,), name=port.name, daemon=True)
            for port in self._ports
        ]

    def start(self) -> None:
        """Let every reader begin."""
        for thread in self._threads:
            thread.start()

    def pause(self, *, paused: bool) -> None:
        """Begin no further card, or go on."""
        if paused:
            self._go.clear()
        else:
            self._go.set()

    def take_orders(self, orders: OrderSource) -> None:
        """Work off another list from the next card on."""
        self._orders = orders

    def stop(self) -> None:
        """Begin no further card; those under way come to their end."""
        self._stop.set()
        self._go.set()

    def join(self, timeout_s: float) -> bool:
        """Whether all readers ended within the time. Raises a mistake that ended one."""
        deadline_s = self._monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - self._monotonic()))
        if self._mistake is not None:
            raise self._mistake
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def runs(self) -> bool:
        """Whether any reader still works; a mistake in the program ends them all."""
        return any(thread.is_alive() for thread in self._threads)

    def view(self) -> LineView:
        """What there is to see now."""
        with self._lock:
            readers = tuple(self._readers.values())
        progress = self._progress()
        writing = any(reader.state is ReaderState.WRITING for reader in readers)
        return LineView(
            readers=readers,
            progress=progress,
            paused=not self._go.is_set(),
            finished=not writing and not self._awaited(),
        )

    def _awaited(self) -> bool:
        """Whether some card is still to come: for an order, or back to where it broke off."""
        jobs = self._station.journal.ledger.open_jobs
        return bool(self._orders.left()) or any(job.phase is not Phase.VERIFIED for job in jobs)

    def _progress(self) -> Progress:
        with self._lock:
            counts, times = dict(self._counts), tuple(self._done_at_s)
        now_s = self._monotonic()
        recent = [at_s for at_s in times if now_s - at_s <= RATE_WINDOW_MS / 1000]
        rate = None
        if len(recent) > 1 and recent[-1] > recent[0]:
            rate = (len(recent) - 1) / (recent[-1] - recent[0]) * _MINUTE_S
        waiting = self._orders.left()
        return Progress(
            good=counts[Outcome.ISSUED] + counts[Outcome.WRITTEN],
            spoiled=counts[Outcome.SPOILED],
            set_aside=counts[Outcome.SET_ASIDE],
            waiting=waiting,
            open=len(self._station.journal.ledger.open_jobs),
            rate_per_minute=rate,
            seconds_left=None if rate is None else waiting / rate * _MINUTE_S,
        )

    def _run(self, port: ReaderPort) -> None:
        try:
            while not self._stop.is_set():
                self._turn(port)
        except BaseException as mistake:
            # A mistake in the program ends the line, and is raised again by `join`.
            self._mistake = mistake
            self.stop()
        finally:
            port.close()

    def _turn(self, port: ReaderPort) -> None:
        """One card, or one look whether there is one."""
        if not self._go.is_set() or not self._awaited():
            self._show(port, ReaderState.IDLE)
            self._stop.wait(TURN_MS / 1000)
            return
        try:
            self._show(port, ReaderState.INSERT)
            if not port.wait_for_card(TURN_MS) or self._stop.is_set():
                return
            served = self._serve(port)
            self._show(port, ReaderState.TAKE_OUT, served=served)
            while not (port.wait_for_removal(TURN_MS) or self._stop.is_set()):
                pass
        except CardError as error:
            self._show(port, ReaderState.AWAY, fault=error)
            self._stop.wait(TURN_MS / 1000)

    def _serve(self, port: ReaderPort) -> Served:
        self._show(port, ReaderState.WRITING, step=Step.RECOGNISE)
        with port.card() as card:
            served = self._station.serve(
                card,
                self._orders,
                lambda step: self._show(port, ReaderState.WRITING, step=step),
            )
        with self._lock:
            self._counts[served.outcome] += 1
            if served.outcome in (Outcome.ISSUED, Outcome.WRITTEN):
                self._done_at_s.append(self._monotonic())
        return served

    def _show(
        self,
        port: ReaderPort,
        state: ReaderState,
        *,
        step: Step | None = None,
        served: Served | None = None,
        fault: CardError | None = None,
    ) -> None:
        with self._lock:
            before = self._readers[port.name]
            kept = before.served if state in (ReaderState.IDLE, ReaderState.INSERT) else served
            after = ReaderView(name=port.name, state=state, step=step, served=kept, fault=fault)
            self._readers[port.name] = after
        if after != before:
            self._watch(after)


def order_at(view: ReaderView) -> CardOrder | None:
    """The order whose card lies at a reader, once it is known."""
    return None if view.served is None else view.served.order
