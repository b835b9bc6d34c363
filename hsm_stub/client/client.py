"""The blocking client of the key service, for the personalization station and the command line."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from hsm_stub.client import commands as c
from hsm_stub.client.address import Address, TcpAddress, UnixAddress, credentials_for, parse_address
from hsm_stub.client.answers import check_welcome, expect, read_answer, read_greeting
from hsm_stub.client.errors import HsmAddressError, HsmError, HsmProtocolError, HsmUnavailable
from hsm_stub.client.frames import FRAME_BYTES_MAX, LENGTH_BYTES, body_length, frame, request_frame
from hsm_stub.client.handshake import Credentials, hello_to

TIMEOUT_MS: Final = 5_000
"""Longest wait for one answer, connecting included."""
READY_PAUSE_MS: Final = 50
"""Pause between two attempts of `wait_ready`."""

NOBODY: Final = Credentials()
"""How a client introduces itself where the mode of a unix socket is the guard."""

A = TypeVar("A", bound=msgspec.Struct)


class HsmClient:
    """One connection to the key service; opened at the first command and again when it broke.

    A command is never sent twice: when the connection breaks before its answer, `HsmUnavailable`
    is raised and the caller decides. Every method may raise the errors of
    `hsm_stub.client.errors`. Threads may share a client; their commands run one by one.
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
        self._socket: socket.socket | None = None
        self._last_id = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Return the address, never the token."""
        return f"HsmClient({str(self._address)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ping(self) -> None:
        """Return when the service answers."""
        self._ask(c.Ping(), c.Done)

    def wait_ready(self, timeout_ms: int) -> None:
        """Return as soon as the service answers; raises `HsmUnavailable` after `timeout_ms`."""
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            try:
                return self.ping()
            except HsmUnavailable:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(READY_PAUSE_MS / 1000)

    def status(self) -> c.Status:
        """Return how the service is and how often each key was used."""
        return self._ask(c.GetStatus(), c.Status)

    def public_keys(self) -> c.PublicKeys:
        """Return the receipt key with its id, and the issuing CA's certificates."""
        return self._ask(c.GetPublicKeys(), c.PublicKeys)

    def derive_terminal_key(self, terminal_id: str, key_id: int, master: int = 0) -> bytes:
        """Return the 16-byte AES-CMAC key of a terminal (8 ASCII characters), generation 0–255.

        `master` is the generation of the terminal master, here and below; 0 for the active one.
        """
        command = c.DeriveTerminalKey(terminal_id=terminal_id, key_id=key_id, master=master)
        return self._ask(command, c.TerminalKey).key

    def derive_exchange_key(self, terminal_id: str, exchange_id: int, master: int = 0) -> bytes:
        """Return the 32-byte AES key that wraps a terminal's next MAC keys; counted as export."""
        command = c.DeriveExchangeKey(
            terminal_id=terminal_id, exchange_id=exchange_id, master=master
        )
        return self._ask(command, c.ExchangeKey).key

    def wrap_terminal_key(
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
        return self._ask(command, c.WrappedKey).wrapped

    def derive_card_admin_key(self, card_guid: bytes, version: int, master: int = 0) -> bytes:
        """Return the 24-byte 9B key (AES-192) to be set on a card; the export is counted.

        `master` is the generation of the card master, 0 for the active one.
        """
        command = c.DeriveCardAdminKey(card_guid=card_guid, version=version, master=master)
        return self._ask(command, c.CardAdminKey).key

    def card_admin_begin(
        self, card_guid: bytes, version: int, witness_ciphertext: bytes, master: int = 0
    ) -> c.CardAdminStarted:
        """Return the card's decrypted witness and a challenge for it (SP 800-73-5 pt 2 §3.2.4)."""
        command = c.BeginCardAdmin(
            card_guid=card_guid,
            version=version,
            witness_ciphertext=witness_ciphertext,
            master=master,
        )
        return self._ask(command, c.CardAdminStarted)

    def card_admin_finish(self, handle: bytes, response: bytes) -> None:
        """Return when the card's response is right, else `HsmRefused(CARD_NOT_AUTHENTICATED)`."""
        self._ask(c.FinishCardAdmin(handle=handle, response=response), c.Done)

    def issue_card_certificate(
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
        return self._ask(command, c.Certificate).der

    def derive_card_keys(
        self, card_guid: bytes, version: int, master: int = 0, *, channel: bool = False
    ) -> c.CardAdminKey:
        """Return a card's 9B key and its generation, with `channel` its SCP03 keys too."""
        command = c.DeriveCardAdminKey(
            card_guid=card_guid, version=version, master=master, channel=channel
        )
        return self._ask(command, c.CardAdminKey)

    def issue_card_certificates(self, command: c.IssueCardCertificates) -> tuple[bytes, ...]:
        """Return the DER certificates of a card's slots, in their order."""
        return (self._ask(command, c.Certificates)).ders

    def sign_receipt_block(
        self, *, lane: int, block: int, leaf_count: int, signed_at_ms: int, root: bytes
    ) -> c.BlockSignature:
        """Return the signature (raw r‖s, low-S) over one block's statement, and its key's id."""
        command = c.SignReceiptBlock(
            lane=lane, block=block, leaf_count=leaf_count, signed_at_ms=signed_at_ms, root=root
        )
        return self._ask(command, c.BlockSignature)

    def sign_statement(self, domain: str, document_sha256: bytes) -> c.StatementSignature:
        """Return the signature over a document for one purpose (`processing.wire.statement`)."""
        command = c.SignStatement(domain=domain, document_sha256=document_sha256)
        return self._ask(command, c.StatementSignature)

    def begin_crl(self, command: c.BeginCrl) -> bytes:
        """Begin a revocation list; the handle that its entries are added to."""
        return (self._ask(command, c.CrlBegun)).handle

    def add_to_crl(self, handle: bytes, entries: tuple[c.RevokedSerial, ...]) -> None:
        """Add the next entries, in the order of their serials."""
        self._ask(c.AddToCrl(handle=handle, entries=entries), c.Done)

    def finish_crl(self, handle: bytes) -> bytes:
        """Return the signature over the list, DER."""
        return (self._ask(c.FinishCrl(handle=handle), c.CrlSignature)).signature

    def sign_ocsp(self, command: c.SignOcsp) -> bytes:
        """Return an OCSPResponse about one certificate, DER."""
        return (self._ask(command, c.OcspAnswer)).der

    def wrap_batch(self, command: c.WrapBatch) -> bytes:
        """Return one part of a card batch, encrypted and signed."""
        return (self._ask(command, c.WrappedBatch)).part

    def approve(self, approval_id: bytes) -> None:
        """Approve what another client asked for."""
        self._ask(c.Approve(approval_id=approval_id), c.Done)

    def approvals(self) -> tuple[c.PendingApproval, ...]:
        """Return what waits for approval."""
        return (self._ask(c.GetApprovals(), c.Approvals)).pending

    def install_policy(self, text: str) -> None:
        """Put another policy into force at once."""
        self._ask(c.InstallPolicy(text=text), c.Done)

    def reload_keys(self) -> None:
        """Have the service take over the generations that were made or retired."""
        self._ask(c.ReloadKeys(), c.Done)

    def draw_challenge(self) -> bytes:
        """Return 32 random bytes drawn where the keys are."""
        return (self._ask(c.DrawChallenge(), c.Challenge)).challenge

    def _ask(self, command: c.Command, kind: type[A]) -> A:
        """Send `command`, return its answer; on any failure of the connection close it."""
        with self._lock:
            deadline = time.monotonic() + self._timeout_ms / 1000
            try:
                connected = self._connected(deadline)
                self._last_id += 1
                _send(connected, request_frame(self._last_id, command), deadline)
                answered = read_answer(_receive(connected, deadline))
                if answered.request_id != self._last_id:
                    raise HsmProtocolError("the key service answered another request")
            except TimeoutError:
                self.close()
                raise HsmUnavailable(
                    f"the key service at {self._address} gave no answer in {self._timeout_ms} ms"
                ) from None
            except OSError as error:
                self.close()
                raise HsmUnavailable(
                    f"the key service at {self._address} cannot be reached ({error}); "
                    "is `spk hsm run` running?"
                ) from None
            except HsmError:
                self.close()
                raise
            return expect(answered.answer, kind)

    def _connected(self, deadline: float) -> socket.socket:
        if self._socket is not None and _is_stale(self._socket):
            self.close()
        if self._socket is None:
            self._socket = _open(self._address, deadline)
            greeting = read_greeting(_receive(self._socket, deadline))
            hello = hello_to(greeting, self._credentials)
            _send(self._socket, frame(hello), deadline)
            check_welcome(_receive(self._socket, deadline), hello, greeting, self._credentials.key)
        return self._socket


def connect(
    url: str,
    *,
    token_file: Path | None = None,
    timeout_ms: int = TIMEOUT_MS,
) -> HsmClient:
    """Return a client for `url` (`unix:/path` or `tcp:127.0.0.1:port`); it connects when used.

    The client's name is SPK_HSM_CLIENT, its token from `token_file` or SPK_HSM_TOKEN. Raises
    `HsmAddressError`.
    """
    address = parse_address(url)
    return HsmClient(address, credentials_for(address, os.environ, token_file), timeout_ms)


def _open(address: Address, deadline: float) -> socket.socket:
    match address:
        case TcpAddress(host=host, port=port):
            opened = socket.create_connection((host, port), timeout=_left(deadline))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
        case UnixAddress(path=path):
            if not hasattr(socket, "AF_UNIX"):
                raise HsmAddressError(f"{address}: this system has no unix sockets; use tcp:")
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                opened.settimeout(_left(deadline))
                opened.connect(str(path))
            except BaseException:
                opened.close()
                raise
            return opened


def _is_stale(opened: socket.socket) -> bool:
    """Return whether an idle connection ended: only an end or junk gives it something to read."""
    opened.setblocking(False)
    try:
        opened.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _send(opened: socket.socket, data: bytes, deadline: float) -> None:
    opened.settimeout(_left(deadline))
    opened.sendall(data)


def _receive(opened: socket.socket, deadline: float) -> bytes:
    """Return the body of the next frame."""
    length = body_length(_receive_exactly(opened, LENGTH_BYTES, deadline))
    if length is None:
        raise HsmProtocolError(f"the key service sent a frame over {FRAME_BYTES_MAX} bytes")
    return _receive_exactly(opened, length, deadline)


def _receive_exactly(opened: socket.socket, count: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < count:
        opened.settimeout(_left(deadline))
        chunk = opened.recv(count - len(data))
        if not chunk:
            raise ConnectionResetError("the service closed the connection")
        data += chunk
    return bytes(data)
