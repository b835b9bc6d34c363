"""Terminals' connections: frames in, answers out, bounds kept, and three ways to end.

A connection has at most `outstanding_max` frames under way, after which its socket is not read
until one is answered; a terminal that does not read its answers stops being read as well, and
holds up nobody else. The connections of a port take turns (`Turns`): a few frames are begun, then
the loop looks after answers, the database and new connections, and answers that are ready in one
turn leave in one piece.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from structlog.typing import FilteringBoundLogger

from processing.gateways.port import FRAMES_PER_TURN_MAX, GatewayLimits, GatewayMetrics
from processing.wire.iso8583.errors import Frame, FramingError
from processing.wire.iso8583.framing import FrameReader, Framing


class Sender(Protocol):
    """Whoever sent a message and waits for its answer."""

    def send(self, message: bytes, tpdu: bytes) -> None:
        """Take the answer to one of its messages, with the TPDU that this one came with."""


Begin = Callable[[Frame, Sender, int], None]
"""Begins to work on a frame, given its sender and when it was heard (monotonic nanoseconds).

The sender is sent exactly one answer, now or later. Does not raise.
"""


class Turns:
    """Whose frames are begun next, and whose answers are unsent, among the connections of a port.

    `begin` begins a frame; `sent` is called after answers were given to the sockets.
    """

    def __init__(self, begin: Begin, sent: Callable[[], None]) -> None:
        self._begin = begin
        self._sent = sent
        self._with_frames: deque[TerminalConnection] = deque()
        self._with_answers: list[TerminalConnection] = []

    def has_frames(self, connection: TerminalConnection) -> None:
        """Let a connection begin its frames, a few at a time."""
        if not self._with_frames:
            asyncio.get_running_loop().call_soon(self._begin_some)
        self._with_frames.append(connection)

    def has_answers(self, connection: TerminalConnection) -> None:
        """Let a connection send what is answered in this turn of the loop."""
        if not self._with_answers:
            asyncio.get_running_loop().call_soon(self._send_all)
        self._with_answers.append(connection)

    def _begin_some(self) -> None:
        waiting = self._with_frames
        for _ in range(FRAMES_PER_TURN_MAX):
            connection = waiting[0]
            frame, heard_ns = connection.next_frame()
            self._begin(frame, connection, heard_ns)
            waiting.popleft()
            if connection.may_begin():
                waiting.append(connection)
            if not waiting:
                return
        asyncio.get_running_loop().call_soon(self._begin_some)

    def _send_all(self) -> None:
        connections, self._with_answers = self._with_answers, []
        for connection in connections:
            connection.send_answers()
        self._sent()


class Port:
    """What the connections of one port share. `connections` are those that are open."""

    def __init__(
        self,
        framing: Framing,
        limits: GatewayLimits,
        metrics: GatewayMetrics,
        log: FilteringBoundLogger,
        turns: Turns,
    ) -> None:
        self.framing = framing
        self.limits = limits
        self.metrics = metrics
        self.log = log
        self.turns = turns
        self.connections: set[TerminalConnection] = set()


class TerminalConnection(asyncio.Protocol):
    """One terminal's connection.

    It ends in three ways: the terminal hung up, the terminal has said all it will say and was
    answered, or the centre wants no more. In the last case the centre says so and goes on reading,
    deaf, until the terminal hangs up too: closing at once would reset the connection and might
    take answers away that the terminal has not read yet.
    """

    _numbers = itertools.count(1)

    def __init__(self, port: Port, gone: Callable[[], None] | None = None) -> None:
        self._port = port
        self._on_gone = gone
        self._reader = FrameReader(port.framing)
        self._log = port.log.bind(connection=next(self._numbers))
        self._outstanding_max = port.limits.outstanding_max
        self.outstanding = 0
        # Frames that were read and not begun, each with the time it was heard.
        self._queued: deque[tuple[Frame, int]] = deque()
        self._in_turn = False
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self.writable = True
        self._finishing = False
        self._heard_all = False
        self._hung_up = False
        self._heard_ns = time.monotonic_ns()
        self._timer: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()
        self._all_answered = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or turn it away past the bound."""
        port = self._port
        self._transport = transport = cast("asyncio.Transport", transport)
        if len(port.connections) >= port.limits.connections_max:
            self._log.warning("connection turned away", connections=port.limits.connections_max)
            transport.abort()
            return
        transport.set_write_buffer_limits(high=port.limits.write_buffer_max_bytes)
        port.connections.add(self)
        port.metrics.connections.inc()
        self._set_timer(port.limits.idle_timeout_ms, self._look_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; what it asked is decided all the same."""
        if self in self._port.connections:
            self._port.connections.discard(self)
            self._port.metrics.connections.dec()
        if self._timer is not None:
            self._timer.cancel()
        self._gone.set()
        if self._on_gone is not None:
            self._on_gone()

    def data_received(self, data: bytes) -> None:
        """Queue every whole frame in the stream for this connection's turn."""
        if self._finishing:
            return
        self._heard_ns = heard_ns = time.monotonic_ns()
        try:
            frames = self._reader.feed(data)
        except FramingError as error:
            self._log.warning("stream without frames, closed", fault=str(error))
            self._port.metrics.framing_faults.inc()
            self._queued.extend((frame, heard_ns) for frame in error.frames)
            self._close_when_answered()
            return
        for frame in frames:
            self._queued.append((frame, heard_ns))
        self._regulate()

    def eof_received(self) -> bool:
        """Answer what was asked before the terminal closed its half; True keeps the other open."""
        self._heard_all = True
        self._close_when_answered()
        return not self._hung_up

    def pause_writing(self) -> None:
        """The terminal does not read its answers: stop reading its requests."""
        self.writable = False
        self._regulate()

    def resume_writing(self) -> None:
        """The terminal reads again."""
        self.writable = True
        self._regulate()

    async def finish(self) -> None:
        """Read no more, answer what was accepted, close; takes `close_timeout_ms` at most more."""
        self._close_when_answered()
        await self._gone.wait()
        while self.outstanding or self._queued:
            self._all_answered.clear()
            await self._all_answered.wait()

    def next_frame(self) -> tuple[Frame, int]:
        """Return the frame to begin next, and when it was heard."""
        self.outstanding += 1
        self._in_turn = False
        return self._queued.popleft()

    def may_begin(self) -> bool:
        """Whether there is a frame to begin, and room for it; if so, it is this one's turn."""
        self._in_turn = bool(self._queued) and self.outstanding < self._outstanding_max
        return self._in_turn

    def send(self, message: bytes, tpdu: bytes) -> None:
        """Let an answer leave with all others of this turn of the loop."""
        self.outstanding -= 1
        if not self._unsent:
            self._port.turns.has_answers(self)
        self._unsent.append(self._port.framing.wrap(message, tpdu))

    def send_answers(self) -> None:
        """Give the socket what was answered; begin what there is room for now."""
        answers, self._unsent = b"".join(self._unsent), []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answers)
        if not self.outstanding:
            self._all_answered.set()
        self._regulate()

    def _close_when_answered(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._regulate()

    def _regulate(self) -> None:
        """Begin what there is room for; read on exactly while there is room for more."""
        if not self._in_turn and self.may_begin():
            self._port.turns.has_frames(self)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        accepted = self.outstanding + len(self._queued)
        if self._finishing and not accepted and not self._unsent:
            self._hang_up(transport)
            return
        room = accepted < self._outstanding_max and self.writable and not self._finishing
        if room and not transport.is_reading():
            transport.resume_reading()
        elif not room and transport.is_reading():
            transport.pause_reading()

    def _hang_up(self, transport: asyncio.Transport) -> None:
        """Send what is unsent, then close; a terminal that takes too long is cut off."""
        if self._hung_up:
            return
        self._hung_up = True
        self._set_timer(self._port.limits.close_timeout_ms, transport.abort)
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

    def _look_if_silent(self) -> None:
        """Close the connection when nothing came for too long, else look again when it may be."""
        silent_ms = (time.monotonic_ns() - self._heard_ns) // 1_000_000
        left_ms = self._port.limits.idle_timeout_ms - silent_ms
        if left_ms <= 0:
            self._close_when_answered()
        else:
            self._set_timer(left_ms, self._look_if_silent)

    def _set_timer(self, timeout_ms: int, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(timeout_ms / 1000, then)
