"""The asyncio client of the key service, for the processing centre: pipelined over one connection.

Many coroutines may ask at once. Their requests go out at once and answers are matched by request
id, so a batch of commands costs one round trip.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from hsm_stub.client import commands as c
from hsm_stub.client.address import Address, TcpAddress, UnixAddress, credentials_for, parse_address
from hsm_stub.client.answers import check_welcome, expect, read_answer, read_greeting
from hsm_stub.client.client import NOBODY, READY_PAUSE_MS, TIMEOUT_MS
from hsm_stub.client.errors import HsmAddressError, HsmError, HsmProtocolError, HsmUnavailable
from hsm_stub.client.frames import FRAME_BYTES_MAX, LENGTH_BYTES, body_length, frame, request_frame
from hsm_stub.client.handshake import Credentials, hello_to

OUTSTANDING_MAX: Final = 256
"""Most requests that wait for their answers; the next is refused here with "try later"."""

A = TypeVar("A", bound=msgspec.Struct)


class AsyncHsmClient:
    """One pipelined connection; opened at the first command and again when it broke.

    A command is never sent twice: when the connection breaks, all that wait get `HsmUnavailable`.
    Every method may raise the errors of `hsm_stub.client.errors`. It belongs to the event loop
    that first used it.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials = NOBODY,
        timeout_ms: int = TIMEOUT_MS,
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._timeout_ms = timeout_ms
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None
        self._outstanding = 0

    def __repr__(self) -> str:
        """Return the address, never the token."""
        return f"AsyncHsmClient({str(self._address)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; those that wait get `HsmUnavailable`."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def ping(self) -> None:
        """Return when the service answers."""
        await self._ask(c.Ping(), c.Done)

    async def wait_ready(self, timeout_ms: int) -> None:
        """Return as soon as the service answers; raises `HsmUnavailable` after `timeout_ms`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        while True:
            try:
                return await self.ping()
            except HsmUnavailable:
                if loop.time() >= deadline:
                    raise
            await asyncio.sleep(READY_PAUSE_MS / 1000)

    async def status(self) -> c.Status:
        """Return how the service is and how often each key was used."""
        return await self._ask(c.GetStatus(), c.Status)

    async def public_keys(self) -> c.PublicKeys:
        """Return the receipt key with its id, and the issuing CA's certificates."""
        return await self._ask(c.GetPublicKeys(), c.PublicKeys)

    async def derive_terminal_key(self, terminal_id: str, key_id: int, master: int = 0) -> bytes:
        """Return the 16-byte AES-CMAC key of a terminal (8 ASCII characters), generation 0–255.

        `master` is the generation of the terminal master, here and below; 0 for the active one.
        """
        command = c.DeriveTerminalKey(terminal_id=terminal_id, key_id=key_id, master=master)
        return (await self._ask(command, c.TerminalKey)).key

    async def derive_exchange_key(
        self, terminal_id: str, exchange_id: int, master: int = 0
    ) -> bytes:
        """Return the 32-byte AES key that wraps a terminal's next MAC keys; counted as export."""
        command = c.DeriveExchangeKey(
            terminal_id=terminal_id, exchange_id=exchange_id, master=master
        )
        return (await self._ask(command, c.ExchangeKey)).key

    async def wrap_terminal_key(
        self,
        terminal_id: str,
        key_id: int,
        exchange_id: int,
        master: int = 0,
        next_master: int = 0,
    ) -> bytes:
        """Return a terminal's MAC key wrapped under its exchange key (RFC 3394, 24 bytes).

        Where `next_master` is another generation than `master`, the next exchange key follows it
        (56 bytes).
        """
        command = c.WrapTerminalKey(
            terminal_id=terminal_id,
            key_id=key_id,
            exchange_id=exchange_id,
            master=master,
            next_master=next_master,
        )
        return (await self._ask(command, c.WrappedKey)).wrapped

    async def derive_card_admin_key(self, card_guid: bytes, version: int, master: int = 0) -> bytes:
        """Return the 24-byte 9B key (AES-192) to be set on a card; the export is counted.

        `master` is the generation of the card master, 0 for the active one.
        """
        command = c.DeriveCardAdminKey(card_guid=card_guid, version=version, master=master)
        return (await self._ask(command, c.CardAdminKey)).key

    async def card_admin_begin(
        self, card_guid: bytes, version: int, witness_ciphertext: bytes, master: int = 0
    ) -> c.CardAdminStarted:
        """Return the card's decrypted witness and a challenge for it (SP 800-73-5 pt 2 §3.2.4)."""
        command = c.BeginCardAdmin(
            card_guid=card_guid,
            version=version,
            witness_ciphertext=witness_ciphertext,
            master=master,
        )
        return await self._ask(command, c.CardAdminStarted)

    async def card_admin_finish(self, handle: bytes, response: bytes) -> None:
        """Return when the card's response is right, else `HsmRefused(CARD_NOT_AUTHENTICATED)`."""
        await self._ask(c.FinishCardAdmin(handle=handle, response=response), c.Done)

    async def issue_card_certificate(
        self,
        *,
        slot: c.CertificateSlot,
        public_key: bytes,
        card_guid: bytes,
        card_number: str,
        not_before_ms: int,
        not_after_ms: int,
    ) -> bytes:
        """Return the DER certificate of one card slot (see `IssueCardCertificate`)."""
        command = c.IssueCardCertificate(
            slot=slot,
            public_key=public_key,
            card_guid=card_guid,
            card_number=card_number,
            not_before_ms=not_before_ms,
            not_after_ms=not_after_ms,
        )
        return (await self._ask(command, c.Certificate)).der

    async def derive_card_keys(
        self, card_guid: bytes, version: int, master: int = 0, *, channel: bool = False
    ) -> c.CardAdminKey:
        """Return a card's 9B key and its generation, with `channel` its SCP03 keys too."""
        command = c.DeriveCardAdminKey(
            card_guid=card_guid, version=version, master=master, channel=channel
        )
        return await self._ask(command, c.CardAdminKey)

    async def issue_card_certificates(self, command: c.IssueCardCertificates) -> tuple[bytes, ...]:
        """Return the DER certificates of a card's slots, in their order."""
        return (await self._ask(command, c.Certificates)).ders

    async def sign_receipt_block(
        self, *, lane: int, block: int, leaf_count: int, signed_at_ms: int, root: bytes
    ) -> c.BlockSignature:
        """Return the signature (raw r‖s, low-S) over one block's statement, and its key's id."""
        command = c.SignReceiptBlock(
            lane=lane, block=block, leaf_count=leaf_count, signed_at_ms=signed_at_ms, root=root
        )
        return await self._ask(command, c.BlockSignature)

    async def sign_statement(self, domain: str, document_sha256: bytes) -> c.StatementSignature:
        """Return the signature over a document for one purpose (`processing.wire.statement`)."""
        command = c.SignStatement(domain=domain, document_sha256=document_sha256)
        return await self._ask(command, c.StatementSignature)

    async def begin_crl(self, command: c.BeginCrl) -> bytes:
        """Begin a revocation list; the handle that its entries are added to."""
        return (await self._ask(command, c.CrlBegun)).handle

    async def add_to_crl(self, handle: bytes, entries: tuple[c.RevokedSerial, ...]) -> None:
        """Add the next entries, in the order of their serials."""
        await self._ask(c.AddToCrl(handle=handle, entries=entries), c.Done)

    async def finish_crl(self, handle: bytes) -> bytes:
        """Return the signature over the list, DER."""
        return (await self._ask(c.FinishCrl(handle=handle), c.CrlSignature)).signature

    async def sign_ocsp(self, command: c.SignOcsp) -> bytes:
        """Return an OCSPResponse about one certificate, DER."""
        return (await self._ask(command, c.OcspAnswer)).der

    async def wrap_batch(self, command: c.WrapBatch) -> bytes:
        """Return one part of a card batch, encrypted and signed."""
        return (await self._ask(command, c.WrappedBatch)).part

    async def approve(self, approval_id: bytes) -> None:
        """Approve what another client asked for."""
        await self._ask(c.Approve(approval_id=approval_id), c.Done)

    async def approvals(self) -> tuple[c.PendingApproval, ...]:
        """Return what waits for approval."""
        return (await self._ask(c.GetApprovals(), c.Approvals)).pending

    async def install_policy(self, text: str) -> None:
        """Put another policy into force at once."""
        await self._ask(c.InstallPolicy(text=text), c.Done)

    async def reload_keys(self) -> None:
        """Have the service take over the generations that were made or retired."""
        await self._ask(c.ReloadKeys(), c.Done)

    async def draw_challenge(self) -> bytes:
        """Return 32 random bytes drawn where the keys are."""
        return (await self._ask(c.DrawChallenge(), c.Challenge)).challenge

    async def _ask(self, command: c.Command, kind: type[A]) -> A:
        if self._outstanding >= OUTSTANDING_MAX:
            raise HsmUnavailable(
                f"{OUTSTANDING_MAX} requests to the key service wait for answers already; try later"
            )
        self._outstanding += 1
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                connection = await self._connected()
                answer = await connection.ask(command)
        except TimeoutError:
            raise HsmUnavailable(
                f"the key service at {self._address} gave no answer in {self._timeout_ms} ms"
            ) from None
        except OSError as error:
            raise HsmUnavailable(
                f"the key service at {self._address} cannot be reached ({error}); "
                "is `spk hsm run` running?"
            ) from None
        finally:
            self._outstanding -= 1
        return expect(answer, kind)

    async def _connected(self) -> _Connection:
        """Return the live connection, opening it when there is none; one coroutine opens."""
        async with self._connecting:
            if self._connection is None or self._connection.broken:
                await self.close()
                self._connection = await _Connection.open(self._address, self._credentials)
            return self._connection


class _Connection:
    """A greeted connection and the requests that wait on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[c.Answer]] = {}
        self._last_id = 0
        self._reading: asyncio.Task[None] | None = None
        self.broken = False

    @classmethod
    async def open(cls, address: Address, credentials: Credentials) -> Self:
        """Return a connection after its greeting; raises OSError or the errors of the client."""
        reader, writer = await _open_streams(address)
        try:
            greeting = read_greeting(await _receive(reader))
            hello = hello_to(greeting, credentials)
            writer.write(frame(hello))
            check_welcome(await _receive(reader), hello, greeting, credentials.key)
        except BaseException:
            writer.close()
            raise
        connection = cls(reader, writer)
        connection._reading = asyncio.create_task(connection._read_answers())
        return connection

    async def ask(self, command: c.Command) -> c.Answer:
        """Return the answer to `command`; a caller that gives up leaves nothing behind."""
        if self.broken:
            raise HsmUnavailable("the connection to the key service broke; send again")
        self._last_id += 1
        request_id = self._last_id
        future: asyncio.Future[c.Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        try:
            self._writer.write(request_frame(request_id, command))
            await self._writer.drain()
            return await future
        finally:
            del self._waiting[request_id]
            if future.done() and not future.cancelled():
                # The write may have failed first; asyncio would complain of an unread error.
                future.exception()

    async def close(self) -> None:
        """Close the connection and fail all that wait on it."""
        self._fail(HsmUnavailable("the connection to the key service was closed"))
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_answers(self) -> None:
        try:
            while True:
                answered = read_answer(await _receive(self._reader))
                future = self._waiting.get(answered.request_id)
                # An answer may come after its caller's time-out; then nobody waits for it.
                if future is not None and not future.done():
                    future.set_result(answered.answer)
        except HsmError as error:
            self._fail(error)
        except OSError as error:
            self._fail(HsmUnavailable(f"the connection to the key service broke ({error})"))

    def _fail(self, error: HsmError) -> None:
        self.broken = True
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


def connect_async(
    url: str, *, token_file: Path | None = None, timeout_ms: int = TIMEOUT_MS
) -> AsyncHsmClient:
    """Return a client for `url` (`unix:/path` or `tcp:127.0.0.1:port`); it connects when used.

    The client's name is SPK_HSM_CLIENT, its token from `token_file` or SPK_HSM_TOKEN. Raises
    `HsmAddressError`.
    """
    address = parse_address(url)
    return AsyncHsmClient(address, credentials_for(address, os.environ, token_file), timeout_ms)


async def _open_streams(
    address: Address,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    match address:
        case TcpAddress(host=host, port=port):
            return await asyncio.open_connection(host, port)
        case UnixAddress(path=path):
            if not hasattr(asyncio, "open_unix_connection"):
                raise HsmAddressError(f"{address}: this system has no unix sockets; use tcp:")
            return await asyncio.open_unix_connection(str(path))


async def _receive(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next frame; raises OSError when the connection ends."""
    try:
        length = body_length(await reader.readexactly(LENGTH_BYTES))
        if length is None:
            raise HsmProtocolError(f"the key service sent a frame over {FRAME_BYTES_MAX} bytes")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise ConnectionResetError("the service closed the connection") from None
