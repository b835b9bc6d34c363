"""The worker's side of its ties to the supervisor."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from processing.wire.api import ProbeResult
from processing.workers.handing import take_handed
from processing.workers.messages import (
    Ask,
    FromWorker,
    Ready,
    Released,
    Report,
    Stop,
    from_supervisor,
    packed,
)

TELL_PAUSE_MS: Final = 20
"""Pause between two tellings of ended connections, so that a storm of them is one message."""

Adopt = Callable[[socket.socket, Callable[[], None]], Awaitable[None]]
"""Serves an accepted connection; calls back once, when it has ended."""

Look = Callable[[], Awaitable[tuple[dict[str, ProbeResult], str]]]
"""Returns the worker's parts and its measurements as Prometheus text."""


class WorkerLink:
    """What a worker hears from its supervisor and tells it.

    `control` and `handed` are the worker's ends of the two pairs of sockets; the link owns them.
    """

    def __init__(self, control: socket.socket, handed: socket.socket) -> None:
        self._control = control
        self._handed = handed
        self._released = 0
        self._telling = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, adopt: Adopt, look: Look) -> str:
        """Take connections and answer questions until asked to stop; return why it ended.

        Connections that come after that are closed by the kernel with the sockets.
        """
        self._control.setblocking(False)
        self._handed.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=self._control)
        try:
            take_handed(self._handed, lambda connection: self._adopt(adopt, connection))
            self._start(self._tell(writer))
            await _until_gone(_send(writer, Ready()))
            while True:
                match await from_supervisor(reader):
                    case Ask(number=number):
                        self._start(self._report(writer, number, look))
                    case Stop():
                        return "asked to"
                    case None:
                        return "the supervisor is gone"
        finally:
            asyncio.get_running_loop().remove_reader(self._handed)
            self._handed.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            writer.close()

    def _start(self, work: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(_until_gone(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _adopt(self, adopt: Adopt, connection: socket.socket) -> None:
        async def begin() -> None:
            try:
                await adopt(connection, self._release)
            except OSError:
                # The terminal hung up before it was served.
                connection.close()
                self._release()

        self._start(begin())

    def _release(self) -> None:
        self._released += 1
        self._telling.set()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._telling.wait()
            self._telling.clear()
            count, self._released = self._released, 0
            await _send(writer, Released(count))
            await asyncio.sleep(TELL_PAUSE_MS / 1000)

    async def _report(self, writer: asyncio.StreamWriter, number: int, look: Look) -> None:
        parts, exposition = await look()
        await _send(writer, Report(number=number, parts=parts, exposition=exposition))


async def _until_gone(work: Awaitable[None]) -> None:
    try:
        await work
    except ConnectionError:
        # `serve` hears of it as well, and ends.
        return


async def _send(writer: asyncio.StreamWriter, message: FromWorker) -> None:
    writer.write(packed(message))
    await writer.drain()
