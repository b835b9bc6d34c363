"""What supervisor and worker say to each other, and how it travels.

Over a pair of unix stream sockets, each message a length of 4 bytes, big-endian, and MessagePack.
Connections travel over a second pair (`processing.workers.handing`). When the pair ends, the other
side is gone: a worker without its supervisor answers what it accepted and ends.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from processing.wire.api import ProbeResult

LENGTH_BYTES: Final = 4
MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""Longest message; a worker's measurements take about 30 kB."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """From a worker: connections may be handed to it."""


class Released(msgspec.Struct, frozen=True, tag=True):
    """From a worker: `count` of the connections handed to it have ended."""

    count: int


class Report(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """From a worker, the answer to `Ask`: its parts, and its measurements as Prometheus text."""

    number: int
    parts: dict[str, ProbeResult]
    exposition: str


class Ask(msgspec.Struct, frozen=True, tag=True):
    """From the supervisor: send a `Report` under this number."""

    number: int


class Stop(msgspec.Struct, frozen=True, tag=True):
    """From the supervisor: answer what was accepted, then end."""


FromWorker = Ready | Released | Report
FromSupervisor = Ask | Stop

_FROM_WORKER: Final = msgspec.msgpack.Decoder(FromWorker)
_FROM_SUPERVISOR: Final = msgspec.msgpack.Decoder(FromSupervisor)


def packed(message: FromWorker | FromSupervisor) -> bytes:
    """Return a message as it travels."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES) + body


async def from_worker(reader: asyncio.StreamReader) -> FromWorker | None:
    """Return a worker's next message; None when it is gone."""
    body = await _body(reader)
    return None if body is None else _FROM_WORKER.decode(body)


async def from_supervisor(reader: asyncio.StreamReader) -> FromSupervisor | None:
    """Return the supervisor's next message; None when it is gone."""
    body = await _body(reader)
    return None if body is None else _FROM_SUPERVISOR.decode(body)


async def _body(reader: asyncio.StreamReader) -> bytes | None:
    try:
        length = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
        if length > MESSAGE_BYTES_MAX:
            return None
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None
