"""Frames of the key service: a 4-byte big-endian length, then one MessagePack value."""

from __future__ import annotations

from typing import Final

import msgspec

from hsm_stub.client.commands import Answer, AnswerFrame, Command, RequestFrame

LENGTH_BYTES: Final = 4
FRAME_BYTES_MAX: Final = 64 * 1024
"""Longest body. The largest real one, a status or a certificate, stays under 4 KiB."""


def frame(value: msgspec.Struct) -> bytes:
    """Return `value` as one frame; raises `ValueError` when it would exceed the maximum."""
    body = msgspec.msgpack.encode(value)
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"frame of {len(body)} bytes; the maximum is {FRAME_BYTES_MAX}")
    return len(body).to_bytes(LENGTH_BYTES) + body


def body_length(head: bytes) -> int | None:
    """Return the body's length from a frame's first 4 bytes; None when it breaks the limits."""
    length = int.from_bytes(head)
    return length if 0 < length <= FRAME_BYTES_MAX else None


def request_frame(request_id: int, command: Command) -> bytes:
    """Return the frame that asks `command`."""
    raw = msgspec.Raw(msgspec.msgpack.encode(command))
    return frame(RequestFrame(request_id=request_id, command=raw))


def answer_frame(request_id: int, answer: Answer) -> bytes:
    """Return the frame that answers request `request_id`."""
    return frame(AnswerFrame(request_id=request_id, answer=answer))
