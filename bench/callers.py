"""One connection of the load generator: sends frames made ready, finds answers, times them.

Nothing is decoded while the clock runs. The frames of a connection lie in one row of bytes, so that
sending is one slice of it; an answer is known by the bytes at places that its bitmap tells, and
unpacked there in one go. So a sale costs the generator little beside its system calls, and what is
measured is the centre.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from struct import Struct
from typing import Final

import msgspec

from processing.wire.iso8583.spec import FIELDS, Length

APPROVED: Final = b"00"

READ_MAX: Final = 16_384
SAMPLE_EVERY: Final = 97
"""About one answer of so many is kept, to be decoded and verified after the run."""

SAMPLES_MAX: Final = 500


class Message(msgspec.Struct, frozen=True):
    """Sale `number`, ready to be sent, and the tag by which its answer is known."""

    number: int
    tag: bytes
    data: bytes


class Share:
    """The messages of one connection in their order, in one row of bytes."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.frames = memoryview(b"".join([message.data for message in messages]))
        self.ends = [0, *accumulate(len(message.data) for message in messages)]
        self.numbers = [message.number for message in messages]
        self.places = {message.tag: place for place, message in enumerate(messages)}


class Tally:
    """What the callers of a run heard.

    `latencies_ns` are those of approved sales: what was turned away at once would make an
    overloaded centre look quick. `samples` are numbers of sales with the bytes of their answers.
    """

    def __init__(self) -> None:
        self.others: Counter[bytes] = Counter()
        self.strange = 0
        self.last_ns = 0
        self.latencies_ns: list[int] = []
        self.samples: list[tuple[int, bytes]] = []
        self._sample_at = 1

    @property
    def approved(self) -> int:
        """Return how many sales were approved."""
        return len(self.latencies_ns)

    @property
    def answered(self) -> int:
        """Return how many sales were answered."""
        return self.approved + self.others.total()

    def sampled(self, number: int, data: bytes, answer: slice) -> None:
        """Keep the answer to sale `number`, if enough came since the last one kept."""
        if self.approved >= self._sample_at and len(self.samples) < SAMPLES_MAX:
            self._sample_at = self.approved + SAMPLE_EVERY
            self.samples.append((number, data[answer]))


class Line:
    """A connection that does not block, and the frames that it will send, in their order.

    `unsent` is what the system did not take at once; `meant_ns` when each message was to leave.
    """

    def __init__(self, port: int, timeout_seconds: float, share: Share) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._frames, self._ends = share.frames, share.ends
        self._sent = 0
        self.unsent = b""
        self.numbers = share.numbers
        self.meant_ns = [0] * len(share.numbers)
        self.tally = Tally()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def send(self, count: int, meant_ns: int) -> int:
        """Send up to `count` messages in one write; return how many there were."""
        first, after = self._sent, min(self._sent + count, len(self.numbers))
        if first == after:
            return 0
        for place in range(first, after):
            self.meant_ns[place] = meant_ns
        self._sent = after
        frames = self._frames[self._ends[first] : self._ends[after]]
        if self.unsent:
            self.unsent += frames
        else:
            self._write(frames)
        return after - first

    def flushed(self) -> bool:
        """Send what did not go out before; whether nothing is left."""
        if self.unsent:
            unsent, self.unsent = self.unsent, b""
            self._write(memoryview(unsent))
        return not self.unsent

    def received(self) -> bytes:
        """Return what has arrived; b"" when nothing has. Raises OSError, also at the end."""
        try:
            data = self._socket.recv(READ_MAX)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionResetError("closed by the other side")
        return data

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _write(self, frames: memoryview) -> None:
        try:
            sent = self._socket.send(frames)
        except BlockingIOError:
            sent = 0
        if sent < len(frames):
            self.unsent = bytes(frames[sent:])


class IsoCaller(Line):
    """Speaks ISO 8583 with the centre: answers come in any order, known by STAN and terminal."""

    def __init__(self, port: int, timeout_seconds: float, share: Share) -> None:
        super().__init__(port, timeout_seconds, share)
        self._places = share.places
        self._pending = b""
        self._bitmap = b""
        self._head = Struct(">")

    def heard(self, now_ns: int) -> int:
        """Take the answers that have arrived; return how many."""
        data = self._pending + self.received() if self._pending else self.received()
        tally, places, meant_ns = self.tally, self._places, self.meant_ns
        start, end, count, last, answer = 0, len(data), 0, 0, slice(0)
        while end - start > _LENGTH_BYTES:
            stop = start + _LENGTH_BYTES + (data[start] << 8 | data[start + 1])
            if stop > end:
                break
            if data[start + 6 : start + 22] != self._bitmap:
                self._learn(data[start + 6 : start + 22])
            stan, code, terminal = self._head.unpack_from(data, start)
            place = places.pop(stan + terminal, -1)
            if place < 0 or not meant_ns[place]:
                tally.strange += 1
            elif code == APPROVED:
                count += 1
                tally.latencies_ns.append(now_ns - meant_ns[place])
                last, answer = place, slice(start + _LENGTH_BYTES, stop)
            else:
                count += 1
                tally.others[code] += 1
            start = stop
        if answer.stop:
            tally.sampled(self.numbers[last], data, answer)
        tally.last_ns = now_ns
        self._pending = data[start:]
        return count

    def _learn(self, bitmap: bytes) -> None:
        """Find out where the fields stand; a run meets one or two bitmaps."""
        self._head = head_of(bitmap)
        self._bitmap = bitmap


class HttpCaller(Line):
    """Speaks HTTP/1.1 with the naive reference: one request at a time, answered in order."""

    def __init__(self, port: int, timeout_seconds: float, share: Share) -> None:
        super().__init__(port, timeout_seconds, share)
        self._pending = b""
        self._answered = 0

    def heard(self, now_ns: int) -> int:
        """Take the answers that have arrived; return how many."""
        self._pending += self.received()
        tally, count = self.tally, 0
        while (answer := http_answer(self._pending)) is not None:
            code, size = answer
            self._pending = self._pending[size:]
            if self._answered >= self._sent:
                tally.strange += 1
                continue
            count += 1
            if code == APPROVED:
                tally.latencies_ns.append(now_ns - self.meant_ns[self._answered])
            else:
                tally.others[code] += 1
            self._answered += 1
            tally.last_ns = now_ns
        return count


_LENGTH_BYTES: Final = 2


def head_of(bitmap: bytes) -> Struct:
    """Return what unpacks STAN, DE39 and DE41 of a frame whose message has this primary bitmap."""
    stan, code, terminal = (_LENGTH_BYTES + place_of(field, bitmap) for field in (11, 39, 41))
    return Struct(f">{stan}x6s{code - stan - 6}x2s{terminal - code - 2}x8s")


def place_of(field: int, bitmap: bytes) -> int:
    """Return where a field begins in a message with this primary bitmap (16 hex characters).

    Raises ValueError when the field is absent or one of variable length stands before it.
    """
    bits = int(bitmap, 16)
    if not bits >> 64 - field & 1:
        raise ValueError(f"field {field} is not in the answer")
    # The type indicator, the primary bitmap, and the secondary one that bit 1 announces.
    place = 4 + 16 + (16 if bits >> 63 else 0)
    for number in range(2, field):
        if bits >> 64 - number & 1:
            spec = FIELDS[number]
            if spec.length is not Length.FIXED:
                raise ValueError(f"field {number} before field {field} has no fixed length")
            place += spec.maximum
    return place


def http_answer(data: bytes) -> tuple[bytes, int] | None:
    """Return the code of the first answer, as DE39 would have it, and its size; None if cut."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head = data[:head_end].lower()
    size = head_end + 4 + int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    if len(data) < size:
        return None
    approved = b'"approved"' in data[head_end + 4 : size]
    return (APPROVED if approved else head[9:12]), size
