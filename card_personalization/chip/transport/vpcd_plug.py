"""Plugs a software card into vpcd, the virtual reader driver of vsmartcard, over TCP.

Each message is a two-byte length and that many bytes. One byte is a control: 0 power off, 1 power
on, 2 reset (no answer to these), 4 give the ATR; anything longer is a command APDU.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import IntEnum
from typing import Final

from card_personalization.chip.transport.inprocess import ApduCard

RECONNECT_PAUSE_S: Final = 0.1
CONNECT_TIMEOUT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 5.0
_LENGTH_BYTES: Final = 2


class Control(IntEnum):
    """The one-byte messages of vpcd."""

    POWER_OFF = 0
    POWER_ON = 1
    RESET = 2
    GIVE_ATR = 4


class _Unplugged(Exception):
    """vpcd closed the connection, or we did."""


class VpcdPlug:
    """One card in one slot of vpcd. `insert` starts a thread, `remove` ends it.

    While inserted the plug connects again whenever vpcd goes away, as a card stays in its reader
    when pcscd is restarted. `failure` keeps an error of the card itself, such as a full disk.
    """

    def __init__(self, card: ApduCard, port: int, host: str = "127.0.0.1") -> None:
        self._card = card
        self._address = (host, port)
        self._stop = threading.Event()
        self._powered = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.failure: Exception | None = None

    def insert(self) -> None:
        """Put the card in. It is seen within pcscd's polling time of 0.4 s."""
        if self._thread is not None:
            return
        self._stop.clear()
        self.failure = None
        self._powered.clear()
        name = f"vpcd-plug-{self._address[1]}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def powered(self) -> bool:
        """Whether the reader powered the card since it was inserted."""
        return self._powered.is_set()

    def wait_until_powered(self, timeout_s: float) -> bool:
        """Whether the reader powered the card within the time given."""
        return self._powered.wait(timeout_s)

    def remove(self) -> None:
        """Take the card out; running commands fail at once. Removing twice does nothing."""
        thread, self._thread = self._thread, None
        self._stop.set()
        with self._lock:
            if self._socket is not None:
                # The thread may be inside recv, which close() alone would not wake.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection = socket.create_connection(self._address, CONNECT_TIMEOUT_S)
            except OSError:
                self._stop.wait(RECONNECT_PAUSE_S)
                continue
            with connection:
                self._serve(connection)
            self._stop.wait(RECONNECT_PAUSE_S)

    def _serve(self, connection: socket.socket) -> None:
        """Answer one connection until it ends."""
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            if self._stop.is_set():
                return
            self._socket = connection
        with contextlib.suppress(_Unplugged, OSError):
            while self.failure is None:
                self._answer(connection, _receive(connection))
        self._card.power_off()
        with self._lock:
            self._socket = None

    def _answer(self, connection: socket.socket, message: bytes) -> None:
        try:
            answer = self._react(message)
        except _Unplugged:
            raise
        except Exception as error:
            # A card that cannot answer (its file cannot be written) is taken out, not retried.
            self.failure = error
            self._stop.set()
            return
        if answer is not None:
            _send(connection, answer)
            if message == bytes([Control.GIVE_ATR]):
                self._powered.set()

    def _react(self, message: bytes) -> bytes | None:
        """What the card says to a message; None where vpcd waits for nothing."""
        if len(message) != 1:
            return self._card.transmit(message)
        match message[0]:
            case Control.POWER_OFF:
                self._card.power_off()
            case Control.POWER_ON:
                self._card.power_on()
            case Control.RESET:
                self._card.reset()
            case Control.GIVE_ATR:
                # vpcd asks for the ATR to see whether the card is there: PIN state must survive.
                return self._card.atr
            case _:
                raise _Unplugged
        return None


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(len(message).to_bytes(_LENGTH_BYTES, "big") + message)


def _receive(connection: socket.socket) -> bytes:
    """One message. _Unplugged when the connection ends."""
    length = int.from_bytes(_receive_exactly(connection, _LENGTH_BYTES), "big")
    return _receive_exactly(connection, length)


def _receive_exactly(connection: socket.socket, count: int) -> bytes:
    gathered = bytearray()
    while len(gathered) < count:
        _acknowledge_at_once(connection)
        part = connection.recv(count - len(gathered))
        if not part:
            raise _Unplugged
        gathered += part
    return bytes(gathered)


def _acknowledge_at_once(connection: socket.socket) -> None:
    """Without this vpcd's second small write waits 40 ms for our delayed acknowledgement.

    The kernel forgets the wish, so it is told before every recv; other systems lack the option.
    """
    option = getattr(socket, "TCP_QUICKACK", None)
    if option is not None:
        connection.setsockopt(socket.IPPROTO_TCP, option, 1)
