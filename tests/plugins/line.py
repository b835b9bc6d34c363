"""A terminal's connection for tests: sends anything, reads whole frames, waits with a limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from processing.wire.iso8583.answers import decode_answer
from processing.wire.iso8583.framing import FrameReader, Framing
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import CentreMessage, Envelope, Network, Totals
from processing.wire.iso8583.requests import encode_request
from processing.wire.iso8583.spec import Profile
from processing.wire.transaction import Answer, Request
from tests.plugins.town import now_ms

WAIT_SECONDS = 30.0
TPDU = bytes.fromhex("6001020304")
TPDU_SWAPPED = bytes.fromhex("6003040102")


class Line:
    """One connection in the name of one terminal."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        framing: Framing,
        profile: Profile,
        mac: Mac,
        key_id: int = 1,
    ) -> None:
        self.writer = writer
        self.profile = profile
        self.mac = mac
        self.key_id = key_id
        self._framing = framing
        self._reader = reader
        self._frames = FrameReader(framing)
        self._arrived: deque[bytes] = deque()

    def message(
        self, content: Request | Totals | Network, mac: Mac | None = None, key_id: int | None = None
    ) -> bytes:
        """Return a message as it travels, without framing."""
        envelope = Envelope(key_id=self.key_id if key_id is None else key_id, sent_at_ms=now_ms())
        return encode_request(content, envelope, self.profile, mac or self.mac)

    def frame(self, message: bytes) -> bytes:
        """Return a message in its frame."""
        return self._framing.wrap(message, TPDU if self._framing.tpdu else b"")

    async def send(self, *messages: bytes) -> None:
        """Send messages, each in a frame, in one piece."""
        await self.send_raw(b"".join(self.frame(message) for message in messages))

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self) -> bytes:
        """Return the next message; raises EOFError when the centre hung up."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not self._arrived:
                piece = await self._reader.read(65_536)
                if not piece:
                    raise EOFError("the centre hung up")
                for frame in self._frames.feed(piece):
                    assert frame.tpdu == (TPDU_SWAPPED if self._framing.tpdu else b"")
                    self._arrived.append(frame.message)
        return self._arrived.popleft()

    async def answer(self) -> CentreMessage:
        """Return the next answer, its MAC checked."""
        return self.read(await self.receive())

    def read(self, message: bytes) -> CentreMessage:
        """Return what a message of the centre says, its MAC checked."""
        return decode_answer(message, self.profile, self.mac)

    async def ask(self, content: Request | Totals | Network) -> CentreMessage:
        """Send one message and return its answer."""
        await self.send(self.message(content))
        return await self.answer()

    async def decide(self, request: Request) -> Answer:
        """Send one request and return the answer, which must be to it."""
        answer = await self.ask(request)
        assert isinstance(answer, Answer), answer
        assert answer.key == request.key
        return answer

    async def ask_raw(self, message: bytes) -> CentreMessage:
        """Send one message as it is and return its answer."""
        await self.send(message)
        return await self.answer()

    async def hung_up(self) -> bool:
        """Whether the centre closes this connection without a word more."""
        try:
            message = await self.receive()
        except (EOFError, ConnectionError):
            return True
        raise AssertionError(f"the centre said {message!r}")

    async def close(self) -> None:
        """Hang up; what was not sent is thrown away."""
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def open_line(
    port: int,
    mac: Mac,
    *,
    framing: Framing | None = None,
    profile: Profile = Profile.BINARY,
    key_id: int = 1,
) -> Line:
    """Connect to a centre on this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return Line(reader, writer, framing or Framing(), profile, mac, key_id)
