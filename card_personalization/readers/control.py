"""Asks a running `spk reader start` to insert, remove and list: one JSON line each way.

The running program leaves `readers.json` in the drawer's folder: its process, the path of its
control socket, and what a program's environment needs to find the readers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Final

import msgspec

from card_personalization.chip.softcard.drawer import DrawerError
from card_personalization.chip.softcard.session import Interface
from card_personalization.readers.pcscd import ReadersError
from card_personalization.readers.virtual import VirtualReaders

MESSAGE_LIMIT_BYTES: Final = 8_192
ANSWER_TIMEOUT_S: Final = 10.0
NOTICE_FILE: Final = "readers.json"
_BACKLOG: Final = 8


class Notice(msgspec.Struct, frozen=True):
    """The content of `readers.json`."""

    process_id: int
    control_socket: str
    environment: dict[str, str]


class InsertCard(msgspec.Struct, frozen=True, tag="insert"):
    """Put a card of the drawer in a reader, or in the first empty one."""

    card: str
    reader: str | None = None
    interface: Interface = Interface.CONTACT


class RemoveCard(msgspec.Struct, frozen=True, tag="remove"):
    """Take the card out of a reader."""

    reader: str


class ListReaders(msgspec.Struct, frozen=True, tag="list"):
    """Tell the readers and the cards in them."""


Request = InsertCard | RemoveCard | ListReaders


class Answer(msgspec.Struct, frozen=True):
    """The readers with their cards after the request; `refusal` says why it was not done."""

    cards: dict[str, str | None]
    refusal: str | None = None


def _obey(readers: VirtualReaders, request: Request) -> None:
    match request:
        case InsertCard(card=card, reader=reader, interface=interface):
            readers.insert(card, reader, interface)
        case RemoveCard(reader=reader):
            readers.remove(reader)
        case ListReaders():
            pass


class ControlServer:
    """Answers control requests in a thread, one connection after another, until closed."""

    def __init__(self, readers: VirtualReaders, drawer_folder: Path, socket_path: Path) -> None:
        self._readers = readers
        self._notice = drawer_folder / NOTICE_FILE
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(socket_path))
        socket_path.chmod(0o600)
        self._server.listen(_BACKLOG)
        notice = Notice(os.getpid(), str(socket_path), readers.environment)
        drawer_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._notice.write_bytes(msgspec.json.encode(notice))
        self._thread = threading.Thread(target=self._run, name="reader-control", daemon=True)
        self._thread.start()

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering."""
        self._notice.unlink(missing_ok=True)
        # The thread sits in accept, which close() alone would not wake.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(ANSWER_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(ANSWER_TIMEOUT_S)
                answer = self._answer(_receive_line(connection))
                connection.sendall(msgspec.json.encode(answer) + b"\n")

    def _answer(self, line: bytes) -> Answer:
        refusal: str | None = None
        try:
            _obey(self._readers, msgspec.json.decode(line, type=Request))
        except (DrawerError, ReadersError, msgspec.DecodeError) as error:
            refusal = str(error)
        return Answer(self._readers.cards(), refusal)


def _receive_line(connection: socket.socket) -> bytes:
    """Bytes up to a line feed, at most MESSAGE_LIMIT_BYTES."""
    gathered = bytearray()
    while b"\n" not in gathered and len(gathered) <= MESSAGE_LIMIT_BYTES:
        part = connection.recv(MESSAGE_LIMIT_BYTES)
        if not part:
            break
        gathered += part
    return bytes(gathered[:MESSAGE_LIMIT_BYTES])


def read_notice(drawer_folder: Path) -> Notice:
    """Where the program that holds this drawer listens. ReadersError if none runs."""
    path = drawer_folder / NOTICE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Notice)
    except (OSError, msgspec.DecodeError):
        raise ReadersError(
            f"no virtual readers run over the drawer {drawer_folder}: run spk reader start first"
        ) from None


def ask(drawer_folder: Path, request: Request) -> Answer:
    """Send a request to the program that holds this drawer. ReadersError if none answers."""
    notice = read_notice(drawer_folder)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            connection.connect(notice.control_socket)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            return msgspec.json.decode(_receive_line(connection), type=Answer)
        except (OSError, msgspec.DecodeError):
            raise ReadersError(
                f"the program with process id {notice.process_id} that held the drawer "
                f"{drawer_folder} does not answer: run spk reader start again"
            ) from None
