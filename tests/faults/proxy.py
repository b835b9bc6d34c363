"""A line that fails on purpose: a TCP relay between terminal and centre that knows their frames.

What happens to each whole frame is chosen by a `Plan`: a script for tables, a seeded chance for
long runs. Everything between two faults passes as it is, so what a test sees is the fault's doing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Collection, Coroutine, Sequence
from enum import Enum
from typing import Final, Protocol

import msgspec

from processing.wire.iso8583.framing import FrameReader, Framing

NOISE: Final = b"0200 this is no message of anybody"
NO_FRAME: Final = b"\xff\xff this begins no frame"
TRICKLE_SECONDS: Final = 4.5
"""How long a trickled frame takes, whatever its length: longer than terminals here wait."""

PIECE_BYTES: Final = 65_536


class Way(Enum):
    """Which way a frame travels."""

    TO_CENTRE = "request"
    TO_TERMINAL = "answer"


class Fault(Enum):
    """What becomes of one frame, and of the line that carries it."""

    NONE = "arrives"
    DROP = "is lost"
    HOLD = "arrives when released"
    SWAP = "is overtaken by the next"
    JOIN = "arrives in one piece with the next"
    TWICE = "arrives twice"
    AGAIN = "arrives, and once more with the next"
    SPLIT = "arrives byte by byte"
    TRICKLE = "arrives one byte a tick"
    FLIP = "arrives with a bit flipped"
    GARBAGE = "arrives after what begins no frame"
    NOISE = "arrives after a frame of noise"
    HALF = "half arrives, then its sender says no more"
    LAST = "arrives, then its sender says no more"
    CUT = "is lost and the line closed"
    CUT_AFTER = "arrives and the line is closed"
    RESET = "is lost and the line reset"


class Plan(Protocol):
    """Chooses what becomes of each frame."""

    def __call__(self, way: Way, message: bytes, /) -> Fault:
        """Return the fault of a message, given without its frame."""

    def mend(self) -> None:
        """Let everything pass from now on."""


class Script:
    """Gives listed faults to the frames of one way, once it is told to begin."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.faults: list[Fault] = []
        self.after = Fault.NONE

    def __call__(self, way: Way, _message: bytes) -> Fault:
        if way is not self.way:
            return Fault.NONE
        return self.faults.pop(0) if self.faults else self.after

    def begin(self, *faults: Fault, after: Fault = Fault.NONE) -> None:
        """Give these faults to the frames that come from now on, then `after`."""
        self.faults = list(faults)
        self.after = after

    def mend(self) -> None:
        """Let everything pass from now on."""
        self.begin()


class Chance:
    """Gives a share of all frames one of `faults`, by default of all, drawn from a seed."""

    def __init__(self, seed: int, share: float, faults: Collection[Fault] = tuple(Fault)) -> None:
        self._random = random.Random(seed)
        self._faults = [one for one in Fault if one in faults and one is not Fault.NONE]
        self.share = share

    def __call__(self, _way: Way, _message: bytes) -> Fault:
        if self._random.random() >= self.share:
            return Fault.NONE
        return self._random.choice(self._faults)

    def mend(self) -> None:
        """Let everything pass from now on."""
        self.share = 0.0


class _Held(msgspec.Struct, eq=False):
    """A frame that is kept back until something happens."""

    way: Way
    sink: asyncio.StreamWriter
    frame: bytes
    fault: Fault
    sent: asyncio.Event


class FaultyLine:
    """Relays to one centre, on a port of its own; made by `faulty_line`.

    `done` counts what was done to which way's frames; `passed` keeps the type indicators of the
    frames that came, in order. Held frames arrive on `release`, or by themselves after
    `held_seconds` if that is not None. A way whose `reading` is cleared is not read any more;
    `buffer_bytes` makes the kernel's buffers small.
    """

    def __init__(
        self, centre_port: int, plan: Plan, framing: Framing, held_seconds: float | None
    ) -> None:
        self.plan = plan
        self.port = 0
        self.done: Counter[tuple[Way, Fault]] = Counter()
        self.passed: list[tuple[Way, str]] = []
        self.reading = {way: asyncio.Event() for way in Way}
        self.buffer_bytes: int | None = None
        self._centre_port = centre_port
        self._framing = framing
        self._held_seconds = held_seconds
        self._held: list[_Held] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()
        for gate in self.reading.values():
            gate.set()

    @property
    def held(self) -> int:
        """How many frames are kept back."""
        return len(self._held)

    def mend(self) -> None:
        """Let everything pass from now on, and what is kept back arrive."""
        self.plan.mend()
        self.release()

    def release(self) -> int:
        """Let every frame arrive that is kept back; returns how many these are."""
        held, self._held = self._held, []
        for one in held:
            self._let_go(one)
        return len(held)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one terminal's connection."""
        self._ends.add(writer)
        self._start(self._relay(reader, writer))

    async def close(self) -> None:
        """End every relay at once."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for end in self._ends:
            # One that is closed already must not be aborted; one that still has bytes to send must.
            if end.transport.get_write_buffer_size() or not end.transport.is_closing():
                end.transport.abort()
            with contextlib.suppress(OSError):
                await end.wait_closed()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry frames both ways until both ends are done."""
        connection = socket.socket()
        connection.setblocking(False)
        if self.buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer_bytes)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffer_bytes)
        try:
            await asyncio.get_running_loop().sock_connect(
                connection, ("127.0.0.1", self._centre_port)
            )
            their_reader, their_writer = await asyncio.open_connection(sock=connection)
        except OSError:
            connection.close()
            writer.transport.abort()
            return
        self._ends.add(their_writer)
        for end in (writer, their_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = (writer, their_writer)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(Way.TO_CENTRE, reader, their_writer, line))
                both.create_task(self._carry(Way.TO_TERMINAL, their_reader, writer, line))
        finally:
            for end in line:
                end.close()

    async def _carry(
        self,
        way: Way,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        line: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        """Carry one way's frames; at its end say so to the other side."""
        frames = FrameReader(self._framing)
        with contextlib.suppress(OSError):
            while True:
                await self.reading[way].wait()
                piece = await source.read(PIECE_BYTES)
                if not piece:
                    break
                for frame in frames.feed(piece):
                    if not await self._deliver(way, frame.message, frame.tpdu, sink, line):
                        return
            for one in [one for one in self._held if one.sink is sink]:
                await one.sent.wait()
            if sink.can_write_eof() and not sink.transport.is_closing():
                sink.write_eof()

    async def _deliver(
        self,
        way: Way,
        message: bytes,
        tpdu: bytes,
        sink: asyncio.StreamWriter,
        line: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> bool:
        """Do to one frame what the plan says; whether this way goes on."""
        fault = self.plan(way, message)
        self.done[way, fault] += 1
        self.passed.append((way, message[:4].decode("ascii", "replace")))
        frame = self._framing.wrap(message, tpdu)
        match fault:
            case Fault.DROP:
                return True
            case Fault.HOLD | Fault.SWAP | Fault.JOIN:
                self._hold(_Held(way, sink, frame, fault, asyncio.Event()))
                return True
            case Fault.CUT | Fault.RESET:
                self._end(line, reset=fault is Fault.RESET)
                return False
            case Fault.HALF:
                sink.write(frame[: len(frame) // 2])
                self._say_no_more(sink)
                return False
            case Fault.LAST:
                sink.write(frame)
                self._say_no_more(sink)
                return False
            case Fault.CUT_AFTER:
                await self._write(sink, frame)
                self._end(line, reset=False)
                return False
            case Fault.AGAIN:
                await self._write(sink, frame)
                self._hold(_Held(way, sink, frame, Fault.JOIN, asyncio.Event()))
                return True
            case Fault.SPLIT | Fault.TRICKLE:
                seconds = TRICKLE_SECONDS if fault is Fault.TRICKLE else 0
                await self._drip(sink, frame, seconds / len(frame))
            case _:
                await self._write(sink, *self._pieces(fault, frame))
        self._overtaken(way)
        return True

    def _pieces(self, fault: Fault, frame: bytes) -> Sequence[bytes]:
        """Return what is written for a frame that arrives, perhaps not alone or not whole."""
        match fault:
            case Fault.TWICE:
                return (frame, frame)
            case Fault.FLIP:
                return (frame[:-1] + bytes((frame[-1] ^ 1,)),)
            case Fault.GARBAGE:
                return (NO_FRAME + frame,)
            case Fault.NOISE:
                tpdu = b"\x60".ljust(5, b"\0") if self._framing.tpdu else b""
                return (self._framing.wrap(NOISE, tpdu), frame)
            case _:
                return (frame,)

    async def _write(self, sink: asyncio.StreamWriter, *pieces: bytes) -> None:
        for piece in pieces:
            joined = [one for one in self._held if one.sink is sink and one.fault is Fault.JOIN]
            for one in joined:
                self._held.remove(one)
                one.sent.set()
            sink.write(b"".join([*(one.frame for one in joined), piece]))
            await sink.drain()
            await asyncio.sleep(0)

    async def _drip(self, sink: asyncio.StreamWriter, frame: bytes, pause_seconds: float) -> None:
        for byte in frame:
            sink.write(bytes((byte,)))
            await sink.drain()
            await asyncio.sleep(pause_seconds)

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        if self._held_seconds is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self._held_seconds, self._let_go_if_held, held)

    def _let_go_if_held(self, held: _Held) -> None:
        if held in self._held:
            self._held.remove(held)
            self._let_go(held)

    def _let_go(self, held: _Held) -> None:
        if not held.sink.transport.is_closing():
            held.sink.write(held.frame)
        held.sent.set()

    def _say_no_more(self, sink: asyncio.StreamWriter) -> None:
        """Close one way; what was held back on it is lost."""
        for held in [one for one in self._held if one.sink is sink]:
            self._held.remove(held)
            held.sent.set()
        sink.write_eof()

    def _overtaken(self, way: Way) -> None:
        """Let what was to be overtaken by the frame that just went, go too."""
        for held in [one for one in self._held if one.way is way and one.fault is not Fault.HOLD]:
            self._let_go_if_held(held)

    def _end(self, line: tuple[asyncio.StreamWriter, asyncio.StreamWriter], *, reset: bool) -> None:
        """Close both connections, by a reset or as a program does that ends."""
        for end in line:
            if reset:
                # Lingering for no time makes closing a reset (RST instead of FIN).
                end.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                end.transport.abort()
            else:
                end.close()


@contextlib.asynccontextmanager
async def faulty_line(
    centre_port: int,
    plan: Plan,
    framing: Framing | None = None,
    held_seconds: float | None = None,
    buffer_bytes: int | None = None,
) -> AsyncIterator[FaultyLine]:
    """Give a failing line to the centre at `centre_port` of this machine, for the block."""
    line = FaultyLine(centre_port, plan, framing or Framing(), held_seconds)
    line.buffer_bytes = buffer_bytes
    listener = socket.create_server(("127.0.0.1", 0))
    if buffer_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    server = await asyncio.start_server(line.accept, sock=listener)
    line.port = int(server.sockets[0].getsockname()[1])
    try:
        yield line
    finally:
        server.close()
        await line.close()
