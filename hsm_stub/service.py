"""The key service: an asyncio server that answers each request once and carries out one at a time.

A command is carried out on the loop itself: keys are used by one command at a time anyway, and
handing each to a thread costs more than signing does.

A connection has one request in work at a time; what a client pipelines meanwhile waits in its
socket's bounded buffers. So memory is bounded by `CONNECTIONS_MAX` frames, and a client that does
not read its answers stops only itself.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, cast

import msgspec
from structlog.typing import FilteringBoundLogger

from hsm_stub.client import commands as c
from hsm_stub.client.frames import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    answer_frame,
    body_length,
    frame,
)
from hsm_stub.client.handshake import (
    HANDSHAKE_TIMEOUT_MS,
    PROTOCOL_VERSION,
    Hello,
    new_greeting,
    welcome_to,
)
from hsm_stub.desk import Caller, Desk
from hsm_stub.doorman import Doorman, uid_of
from hsm_stub.errors import AuditError, CommandRefused
from hsm_stub.listening import BACKLOG, Listening
from hsm_stub.log import command_level
from hsm_stub.uses import command_facts

CONNECTIONS_MAX: Final = 64
BODY_TIMEOUT_MS: Final = 10_000
"""Longest wait for the rest of a frame once its length came."""
WRITE_TIMEOUT_MS: Final = 10_000
"""Longest wait for a client to take an answer."""
TICK_MS: Final = 1_000
"""How often the audit's sums are written and brought to the disk."""
STOP_TIMEOUT_MS: Final = 5_000
"""Longest wait, at the stop, for answers under way."""
REASON_CHARS_MAX: Final = 300
"""Longest reason of a refused frame: it may quote a field's name, which the caller chose."""

S = TypeVar("S", bound=msgspec.Struct)


class _BadFrame(Exception):
    """A frame that cannot be answered as a request; the connection ends after its refusal."""

    def __init__(self, code: c.Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Service:
    """Serves a `Desk` at an open socket until it is stopped.

    `doorman` says who may come in. `monotonic_us` times commands.
    """

    def __init__(
        self,
        desk: Desk,
        listening: Listening,
        doorman: Doorman,
        log: FilteringBoundLogger,
        monotonic_us: Callable[[], int],
    ) -> None:
        self._desk = desk
        self._listening = listening
        self._doorman = doorman
        self._log = log
        self._monotonic_us = monotonic_us
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._connection_number = 0
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until `stop` is called, then answer what was read, and release everything."""
        server = await asyncio.start_server(
            self._serve, sock=self._listening.socket, backlog=BACKLOG
        )
        self._log.info("listening", address=str(self._listening.address))
        ticking = asyncio.create_task(self._tick())
        try:
            await self._stopping.wait()
        finally:
            server.close()
            await self._finish_connections()
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            self._desk.close()
            self._listening.close()
            self._log.info("stopped")

    def stop(self) -> None:
        """Ask the service to end; `run` returns when it has."""
        self._stopping.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            try:
                self._desk.tick()
                # A disk may take long; nobody waits for it meanwhile.
                await asyncio.to_thread(self._desk.sync)
            except (AuditError, OSError) as error:
                self._log.error("audit not written", reason=str(error))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._connection_number += 1
        log = self._log.bind(connection=self._connection_number)
        connection = _Connection(reader, writer)
        try:
            if len(self._connections) >= CONNECTIONS_MAX or self._stopping.is_set():
                raise _BadFrame(
                    c.Refusal.BUSY, f"{CONNECTIONS_MAX} connections are open; try later"
                )
            self._connections[task] = connection
            caller = await self._greet(connection)
            log = log.bind(client=caller.client)
            log.debug("connected")
            while not self._stopping.is_set():
                await self._answer_one(connection, caller, log)
        except _BadFrame as bad:
            log.warning("connection refused", code=bad.code.value, reason=bad.message)
            await connection.say_last(
                answer_frame(0, c.Refused(code=bad.code, message=bad.message))
            )
        except EOFError:
            log.debug("disconnected", reason="the client closed")
        except (OSError, TimeoutError) as error:
            log.debug("disconnected", reason=type(error).__name__)
        except asyncio.CancelledError:
            # Only `_finish_connections` cancels, while no request is in work.
            log.debug("disconnected", reason="service stops")
        finally:
            self._connections.pop(task, None)
            connection.close()

    async def _greet(self, connection: _Connection) -> Caller:
        greeting = new_greeting()
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_MS / 1000):
            await connection.write(frame(greeting))
            hello = _decode(await connection.read_body(), Hello)
        if hello.protocol_version != PROTOCOL_VERSION:
            raise _BadFrame(
                c.Refusal.NOT_AUTHENTICATED,
                f"this service speaks protocol {PROTOCOL_VERSION}, the client "
                f"{hello.protocol_version}; bring both to the same release",
            )
        admitted = self._doorman.admitted(hello, greeting, connection.uid)
        if admitted is None:
            raise _BadFrame(
                c.Refusal.NOT_AUTHENTICATED,
                "the token is not the service's, or the policy knows no such client; compare "
                "SPK_HSM_CLIENT and SPK_HSM_TOKEN or the token file",
            )
        caller, key = admitted
        await connection.write(frame(welcome_to(hello, greeting, key)))
        return caller

    async def _answer_one(
        self, connection: _Connection, caller: Caller, log: FilteringBoundLogger
    ) -> None:
        request = _decode(await connection.read_body(), c.RequestFrame)
        if request.request_id == 0:
            raise _BadFrame(c.Refusal.MALFORMED_FRAME, "request ids start at 1")
        connection.busy = True
        answer = self._carry_out(caller, bytes(request.command), log)
        await connection.write(answer_frame(request.request_id, answer))
        connection.busy = False

    def _carry_out(self, caller: Caller, encoded: bytes, log: FilteringBoundLogger) -> c.Answer:
        """Return the one answer to a command, whatever happens; log it without its secrets."""
        try:
            command = msgspec.msgpack.decode(encoded, type=c.Command)
        except msgspec.DecodeError as error:
            # The library names the field and the rule, not the value.
            reason = str(error)[:REASON_CHARS_MAX]
            log.warning("command refused", code=c.Refusal.BAD_ARGUMENT.value, reason=reason)
            return c.Refused(code=c.Refusal.BAD_ARGUMENT, message=reason)
        name, facts = type(command).__name__, command_facts(command)
        started_us = self._monotonic_us()
        try:
            answer = self._desk.execute(caller, command, len(self._connections))
        except CommandRefused as refused:
            log.warning(
                "command refused",
                command=name,
                code=refused.code.value,
                reason=refused.message,
                **facts,
            )
            return c.Refused(code=refused.code, message=refused.message)
        except Exception as fault:
            # The text of an unforeseen error might quote what it worked on; type and place do not.
            place = traceback.extract_tb(fault.__traceback__)[-1]
            log.error(
                "command failed",
                command=name,
                fault=type(fault).__name__,
                where=f"{Path(place.filename).name}:{place.lineno} {place.name}",
                **facts,
            )
            return c.Refused(
                code=c.Refusal.FAULT, message="the key service failed; its log names the fault"
            )
        level = command_level(command)
        log.log(level, "command", command=name, took_us=self._monotonic_us() - started_us, **facts)
        return answer

    async def _finish_connections(self) -> None:
        """Close connections that wait, let the busy ones give their answer, within the limit."""
        for task, connection in self._connections.items():
            if not connection.busy:
                task.cancel()
        if self._connections:
            _, late = await asyncio.wait(list(self._connections), timeout=STOP_TIMEOUT_MS / 1000)
            for task in late:
                task.cancel()
            if late:
                self._log.log(logging.WARNING, "answers dropped at the stop", count=len(late))
                await asyncio.wait(late)


class _Connection:
    """One client's streams. `busy` from the moment a request was read until it was answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.busy = False
        self.uid = uid_of(writer.get_extra_info("socket"))

    async def read_body(self) -> bytes:
        """Return the next frame's body; raises `_BadFrame`, EOFError, OSError or TimeoutError."""
        length = body_length(await self._reader.readexactly(LENGTH_BYTES))
        if length is None:
            raise _BadFrame(c.Refusal.FRAME_TOO_LARGE, f"a frame has 1 to {FRAME_BYTES_MAX} bytes")
        async with asyncio.timeout(BODY_TIMEOUT_MS / 1000):
            return await self._reader.readexactly(length)

    async def write(self, data: bytes) -> None:
        """Send `data`, waiting while the client's buffers are full."""
        self._writer.write(data)
        async with asyncio.timeout(WRITE_TIMEOUT_MS / 1000):
            await self._writer.drain()

    async def say_last(self, data: bytes) -> None:
        """Send a refusal before closing; a client that is gone already does not matter."""
        try:
            await self.write(data)
        except (OSError, TimeoutError):
            return

    def close(self) -> None:
        """Close the connection, after what was written went out."""
        self._writer.close()


def _decode(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise _BadFrame(
            c.Refusal.MALFORMED_FRAME, f"no {kind.__name__}: {str(error)[:REASON_CHARS_MAX]}"
        ) from None
