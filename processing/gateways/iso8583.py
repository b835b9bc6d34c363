"""The ISO 8583 gateway: frames on TCP in, answers out, nothing decided here.

Of each frame: read it (a fault is answered with 30 and the connection kept), find the terminal's
key, check the MAC, hand the message on, answer under the same key. Frames of one connection are
worked on side by side, so answers may overtake each other; a terminal matches them by STAN.

Bounds (`GatewayLimits`): so many connections, each with so many frames under way, after which its
socket is not read until one is answered; a terminal that does not read its answers stops being
read as well, and holds up nobody else. Every message that could be read is answered, also when
something in the centre fails: the answer then decides nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, assert_never, cast

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import FilteringBoundLogger

from hsm_stub.client.errors import HsmError
from processing.gateways.rate import TERMINAL_RATE_PER_SECOND, TerminalRates
from processing.kernel.errors import DatabaseError
from processing.kernel.metrics import LATENCY_BUCKETS_SECONDS
from processing.wire.iso8583.answers import encode_answer, malformed_answer, undecided_answer
from processing.wire.iso8583.errors import Frame, FramingError, WireError
from processing.wire.iso8583.framing import FrameReader, Framing
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    ParsedMessage,
    Totals,
    TotalsAnswer,
    Transaction,
)
from processing.wire.iso8583.requests import parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Request


class GatewayLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one port.

    `outstanding_max` frames of a connection are worked on at a time. `write_buffer_max_bytes` of
    unread answers stop a connection from being read. A connection on which nothing came for
    `idle_timeout_ms` is closed; the terminal opens another. A connection that is being closed has
    `close_timeout_ms` to take its last answers. When `frames_max` frames of all connections are
    under way, or a terminal sent more than `terminal_rate_per_second` (0: any number) allows, an
    authentic message is told at once to try later.
    """

    connections_max: int = 2_000
    outstanding_max: int = 64
    write_buffer_max_bytes: int = 256 * 1024
    idle_timeout_ms: int = 900_000
    close_timeout_ms: int = 2_000
    frames_max: int = 2_048
    terminal_rate_per_second: int = TERMINAL_RATE_PER_SECOND


class TerminalMacs(Protocol):
    """Finds the key of a terminal."""

    async def mac(self, terminal_id: str, key_id: int) -> Mac | None:
        """Return the key, or None when terminal or generation are not registered."""

    async def proven(self, terminal_id: str, key_id: int) -> None:
        """Take note that a message under a key was authentic.

        Only the first message under a new key matters; such a key comes from no cache.
        """


class Handlers(Protocol):
    """What the gateway hands messages on to. Nothing of it raises for what a terminal sent."""

    async def authorize(self, request: Request, first_right: int) -> Answer:
        """Decide a transaction."""

    async def settle(self, totals: Totals) -> TotalsAnswer:
        """Compare a terminal's totals of a day with the centre's."""

    async def network(self, message: Network) -> NetworkAnswer:
        """Answer a message about the connection itself."""


class GatewayMetrics:
    """What operators see of the gateway."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "spk_iso8583_connections", "Open terminal connections", registry=registry
        )
        self.answers = Counter(
            "spk_iso8583_answers", "Answers by outcome", ["outcome"], registry=registry
        )
        self.under_way = Gauge(
            "spk_iso8583_under_way", "Frames that wait for their answers", registry=registry
        )
        self.turned_away = Counter(
            "spk_iso8583_turned_away",
            "Messages told to try later before anything was looked at, by the limit they met",
            ["limit"],
            registry=registry,
        )
        self.framing_faults = Counter(
            "spk_iso8583_framing_faults", "Connections closed for bad framing", registry=registry
        )
        self.seconds = Histogram(
            "spk_iso8583_seconds",
            "Seconds from a whole frame to its answer",
            buckets=LATENCY_BUCKETS_SECONDS,
            registry=registry,
        )


class Gateway:
    """Serves one port. `listen` to begin, `close` to answer what was accepted and end."""

    def __init__(
        self,
        *,
        framing: Framing,
        profile: Profile,
        keys: TerminalMacs,
        handlers: Handlers,
        log: FilteringBoundLogger,
        metrics: GatewayMetrics,
        limits: GatewayLimits | None = None,
    ) -> None:
        self.framing = framing
        self.profile = profile
        self._keys = keys
        self._handlers = handlers
        self.log = log
        self.metrics = metrics
        self.limits = limits or GatewayLimits()
        self.connections: set[TerminalConnection] = set()
        self.under_way = 0
        self._rates = TerminalRates(self.limits.terminal_rate_per_second)
        self._server: asyncio.Server | None = None
        metrics.under_way.set_function(lambda: self.under_way)

    async def listen(self, host: str, port: int) -> int:
        """Begin to serve; return the port (of use when 0 was asked). Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: TerminalConnection(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def adopt(self, connection: socket.socket, gone: Callable[[], None]) -> None:
        """Serve a connection that was accepted elsewhere; calls `gone` when it has ended.

        Raises OSError when it broke before.
        """
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: TerminalConnection(self, gone), connection
        )

    async def close(self) -> None:
        """Accept nothing more, answer what was accepted, close the connections."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(connection.finish() for connection in list(self.connections)))

    async def answer(self, message: bytes) -> bytes:
        """Return the answer to one message; a fault of the centre is answered with TRY_LATER."""
        try:
            parsed = parse_message(message, self.profile)
        except WireError as error:
            self.log.warning(
                "message not understood",
                field=error.field,
                offset=error.offset,
                expected=error.expected,
                found=error.found,
            )
            self._count(error.outcome)
            return malformed_answer(error, self.profile)
        log = self.log.bind(terminal=parsed.terminal_id)
        try:
            return await self._answer_parsed(parsed, log)
        except (DatabaseError, HsmError) as error:
            log.error("terminal key not to be had", fault=str(error))
        except Exception as error:
            # Whatever it is, the terminal must not wait for an answer that never comes.
            log.error("answer failed", exc_info=error)
        self._count(Outcome.TRY_LATER)
        return undecided_answer(Outcome.TRY_LATER, parsed, None)

    async def _answer_parsed(self, parsed: ParsedMessage, log: FilteringBoundLogger) -> bytes:
        mac = await self._keys.mac(parsed.terminal_id, parsed.key_id)
        if mac is None or not parsed.authentic(mac):
            outcome = Outcome.TERMINAL_UNKNOWN if mac is None else Outcome.MAC_WRONG
            log.warning("message not authentic", outcome=outcome.name, key=parsed.key_id)
            self._count(outcome)
            return undecided_answer(outcome, parsed, None)
        await self._keys.proven(parsed.terminal_id, parsed.key_id)
        if (limit := self._limit_met(parsed.terminal_id)) is not None:
            self.metrics.turned_away.labels(limit).inc()
            self._count(Outcome.TRY_LATER)
            log.debug("message turned away", limit=limit)
            return undecided_answer(Outcome.TRY_LATER, parsed, mac, {"limit": limit})
        return await self._answer_authentic(parsed, mac, log)

    def _limit_met(self, terminal_id: str) -> str | None:
        """Return the limit that keeps an authentic message from being worked on."""
        if self.under_way > self.limits.frames_max:
            return "centre"
        if not self._rates.admit(terminal_id, time.monotonic_ns()):
            return "terminal"
        return None

    async def _answer_authentic(
        self, parsed: ParsedMessage, mac: Mac, log: FilteringBoundLogger
    ) -> bytes:
        answer: Answer | TotalsAnswer | NetworkAnswer
        match parsed.message:
            case Transaction(request=request, first_right=first_right):
                answer = await self._handlers.authorize(request, first_right)
                # Every decision stands in the journal; a line for each here would cost a sixth of
                # the worker's time.
                log.debug(
                    "transaction",
                    kind=request.kind.name,
                    date=str(request.key.business_date),
                    stan=request.key.stan,
                    outcome=answer.outcome.name,
                    repeat=request.repeat,
                )
            case Totals() as totals:
                answer = await self._handlers.settle(totals)
                log.info("totals", date=str(totals.business_date), result=answer.settlement.name)
            case Network() as network:
                answer = await self._handlers.network(network)
            case _:
                assert_never(parsed.message)
        message = encode_answer(answer, parsed, mac)
        self._count(answer.outcome)
        return message

    def _count(self, outcome: Outcome) -> None:
        self.metrics.answers.labels(outcome.name).inc()


class TerminalConnection(asyncio.Protocol):
    """One terminal's connection.

    It ends in three ways: the terminal hung up, the terminal has said all it will say and was
    answered, or the centre wants no more. In the last case the centre says so and goes on reading,
    deaf, until the terminal hangs up too: closing at once would reset the connection and might
    take answers away that the terminal has not read yet.
    """

    _numbers = itertools.count(1)

    def __init__(self, gateway: Gateway, gone: Callable[[], None] | None = None) -> None:
        self._gateway = gateway
        self._on_gone = gone
        self._reader = FrameReader(gateway.framing)
        self._log = gateway.log.bind(connection=next(self._numbers))
        self._tasks: set[asyncio.Task[None]] = set()
        # Frames of the last piece beyond `outstanding_max`; no more is read until they are begun.
        self._queued: deque[Frame] = deque()
        self._transport: asyncio.Transport | None = None
        self._writable = True
        self._finishing = False
        self._heard_all = False
        self._hung_up = False
        self._timer: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or turn it away past the bound."""
        limits = self._gateway.limits
        self._transport = transport = cast("asyncio.Transport", transport)
        if len(self._gateway.connections) >= limits.connections_max:
            self._log.warning("connection turned away", connections=limits.connections_max)
            transport.abort()
            return
        transport.set_write_buffer_limits(high=limits.write_buffer_max_bytes)
        self._gateway.connections.add(self)
        self._gateway.metrics.connections.inc()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; what it asked is decided all the same."""
        if self in self._gateway.connections:
            self._gateway.connections.discard(self)
            self._gateway.metrics.connections.dec()
        if self._timer is not None:
            self._timer.cancel()
        self._gone.set()
        if self._on_gone is not None:
            self._on_gone()

    def data_received(self, data: bytes) -> None:
        """Work on every whole frame in the stream."""
        if self._finishing:
            return
        self._watch()
        try:
            frames = self._reader.feed(data)
        except FramingError as error:
            self._log.warning("stream without frames, closed", fault=str(error))
            self._gateway.metrics.framing_faults.inc()
            self._queued.extend(error.frames)
            self._close_when_answered()
            return
        self._queued.extend(frames)
        self._regulate()

    def eof_received(self) -> bool:
        """Answer what was asked before the terminal closed its half; True keeps the other open."""
        self._heard_all = True
        self._close_when_answered()
        return not self._hung_up

    def pause_writing(self) -> None:
        """The terminal does not read its answers: stop reading its requests."""
        self._writable = False
        self._regulate()

    def resume_writing(self) -> None:
        """The terminal reads again."""
        self._writable = True
        self._regulate()

    async def finish(self) -> None:
        """Read no more, answer what was accepted, close; takes `close_timeout_ms` at most more."""
        self._close_when_answered()
        await self._gone.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _answer(self, frame: Frame) -> None:
        gateway = self._gateway
        with gateway.metrics.seconds.time():
            message = await gateway.answer(frame.message)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(gateway.framing.wrap(message, frame.answer_tpdu))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._gateway.under_way -= 1
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("answer not sent", exc_info=error)
        self._regulate()

    def _close_when_answered(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._regulate()

    def _regulate(self) -> None:
        """Begin what there is room for; read on exactly while there is room for more."""
        outstanding_max = self._gateway.limits.outstanding_max
        while self._queued and len(self._tasks) < outstanding_max:
            task = asyncio.get_running_loop().create_task(self._answer(self._queued.popleft()))
            self._tasks.add(task)
            self._gateway.under_way += 1
            task.add_done_callback(self._ended)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._finishing and not self._tasks:
            self._hang_up(transport)
            return
        room = len(self._tasks) < outstanding_max and self._writable and not self._finishing
        if room and not transport.is_reading():
            transport.resume_reading()
        elif not room and transport.is_reading():
            transport.pause_reading()

    def _hang_up(self, transport: asyncio.Transport) -> None:
        """Send what is unsent, then close; a terminal that takes too long is cut off."""
        if self._hung_up:
            return
        self._hung_up = True
        self._set_timer(self._gateway.limits.close_timeout_ms, transport.abort)
        if self._heard_all:
            transport.close()
            return
        try:
            transport.write_eof()
        except OSError:
            # The terminal reset the connection, and the loop has not noticed yet.
            transport.abort()
            return
        if not transport.is_reading():
            transport.resume_reading()

    def _watch(self) -> None:
        self._set_timer(self._gateway.limits.idle_timeout_ms, self._close_when_answered)

    def _set_timer(self, timeout_ms: int, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(timeout_ms / 1000, then)
