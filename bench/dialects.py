"""How the load generator speaks with what it measures: ISO 8583 with the centre, HTTP otherwise.

A dialect turns a stream into answers as cheaply as it can: where an answer stands, to which request
it belongs, and its outcome as two characters. The generator must cost little beside what it loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from processing.wire.iso8583.spec import FIELDS, Length


class Heard(msgspec.Struct, frozen=True):
    """One answer: the tag of its request (None: the oldest unanswered one), outcome and bytes."""

    tag: bytes | None
    code: str
    message: bytes


class Dialect(Protocol):
    """Reads the answers of one connection."""

    def feed(self, data: bytes) -> Iterator[Heard]:
        """Yield the answers that `data` completes."""


class IsoDialect:
    """Answers of the centre: two bytes of length and a message, known by STAN and terminal."""

    def __init__(self) -> None:
        self._pending = b""
        # Where DE11, DE39 and DE41 stand, by the bitmap; a run meets one or two bitmaps.
        self._places: dict[bytes, tuple[int, int, int]] = {}

    def feed(self, data: bytes) -> Iterator[Heard]:
        """Yield the answers that `data` completes."""
        if self._pending:
            data = self._pending + data
        start, end = 0, len(data)
        while end - start >= 2:
            stop = start + 2 + int.from_bytes(data[start : start + 2])
            if stop > end:
                break
            message = data[start + 2 : stop]
            bitmap = message[4:20]
            places = self._places.get(bitmap)
            if places is None:
                places = (place_of(11, bitmap), place_of(39, bitmap), place_of(41, bitmap))
                self._places[bitmap] = places
            stan, code, terminal = places
            tag = message[stan : stan + 6] + message[terminal : terminal + 8]
            yield Heard(tag, message[code : code + 2].decode("ascii"), message)
            start = stop
        self._pending = data[start:]


class HttpDialect:
    """Answers of the naive reference: HTTP/1.1 with Content-Length, one request at a time."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[Heard]:
        """Yield the answers that `data` completes."""
        self._pending += data
        while (head_end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:head_end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            stop = head_end + 4 + length
            if len(self._pending) < stop:
                return
            body = self._pending[head_end + 4 : stop]
            self._pending = self._pending[stop:]
            yield Heard(None, "00" if b'"approved"' in body else head[9:12].decode("ascii"), body)


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
