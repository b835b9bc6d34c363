"""Frames on a TCP stream, without any input or output of its own.

A frame is a length and a message. The length is two big-endian bytes (default) or four ASCII
digits, and counts what follows it. A port may put a five-byte TPDU (ISO 8583 over X.25 habit:
0x60, destination, source) before the message; an answer swaps the two addresses.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from processing.wire.iso8583.errors import Frame, FramingError, shown

FRAME_MAX_BYTES: Final = 4096
"""Longest frame. The fullest message (fields 48, 55 and 62 of 999) takes 3.2 kB."""

FRAME_MIN_BYTES: Final = 20
"""Shortest message: type indicator and primary bitmap. Anything less is not ISO 8583."""

TPDU_BYTES: Final = 5
_TPDU_ID: Final = 0x60


class LengthForm(Enum):
    """How a port writes the length of a frame."""

    BINARY_2 = "2 bytes"
    ASCII_4 = "4 digits"


# Asking an enum for a member takes as long as three look-ups.
_BINARY_2: Final = LengthForm.BINARY_2


class Framing(msgspec.Struct, frozen=True):
    """The framing of a port."""

    length: LengthForm = LengthForm.BINARY_2
    tpdu: bool = False

    @property
    def prefix_bytes(self) -> int:
        """Return how many bytes the length takes."""
        return 2 if self.length is LengthForm.BINARY_2 else 4

    def wrap(self, message: bytes, tpdu: bytes = b"") -> bytes:
        """Return the frame around a message; raises `FramingError` when it would be refused.

        `tpdu` is five bytes on ports that use it and empty on others.
        """
        if len(tpdu) != (TPDU_BYTES if self.tpdu else 0):
            raise FramingError(f"this port takes {TPDU_BYTES if self.tpdu else 0} bytes of TPDU")
        size = len(tpdu) + len(message)
        if size > FRAME_MAX_BYTES or len(message) < FRAME_MIN_BYTES:
            raise self._wrong_size(size)
        if self.length is _BINARY_2:
            return size.to_bytes(2) + tpdu + message
        return b"%04d" % size + tpdu + message

    def size_in(self, prefix: bytes) -> int:
        """Return the length that a whole prefix announces; raises `FramingError` for garbage."""
        if self.length is _BINARY_2:
            size = int.from_bytes(prefix)
        elif prefix.isdigit():
            size = int(prefix)
        else:
            raise FramingError(f"a frame's length must be four digits, found {shown(prefix)}")
        if not (FRAME_MIN_BYTES + TPDU_BYTES * self.tpdu) <= size <= FRAME_MAX_BYTES:
            raise self._wrong_size(size)
        return size

    def _wrong_size(self, size: int) -> FramingError:
        """Return what is wrong with a frame (TPDU and message) of this size."""
        least = FRAME_MIN_BYTES + TPDU_BYTES * self.tpdu
        return FramingError(f"a frame has {least} to {FRAME_MAX_BYTES} bytes, found {size}")

    def frame_of(self, content: bytes) -> Frame:
        """Return the frame in what followed the length; raises `FramingError` for a bad TPDU."""
        if not self.tpdu:
            return Frame(content)
        if content[0] != _TPDU_ID:
            raise FramingError(f"a TPDU begins with byte 60, found {content[0]:02X}")
        return Frame(content[TPDU_BYTES:], content[:TPDU_BYTES])


class FrameReader:
    """Turns pieces of a stream into frames.

    Keeps at most one unfinished frame (`FRAME_MAX_BYTES` and its prefix) between pieces. After a
    `FramingError` the stream is lost: every further `feed` raises it again.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._pending = b""
        self._lost: FramingError | None = None

    @property
    def pending_bytes(self) -> int:
        """Return how much of an unfinished frame is held; 0 between frames."""
        return len(self._pending)

    def feed(self, piece: bytes) -> list[Frame]:
        """Return the frames that `piece` completes, in order.

        Raises `FramingError` at the first unsound length or TPDU, with the sound frames before it
        in its `frames`.
        """
        if self._lost is not None:
            raise FramingError(str(self._lost))
        data = self._pending + piece if self._pending else bytes(piece)
        frames: list[Frame] = []
        prefix_bytes = self._framing.prefix_bytes
        start = 0
        try:
            while len(data) - start >= prefix_bytes:
                size = self._framing.size_in(data[start : start + prefix_bytes])
                end = start + prefix_bytes + size
                if len(data) < end:
                    break
                frames.append(self._framing.frame_of(data[start + prefix_bytes : end]))
                start = end
        except FramingError as error:
            self._pending, self._lost, error.frames = b"", error, tuple(frames)
            raise
        self._pending = data[start:]
        return frames
