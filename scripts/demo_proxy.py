"""A line between terminal and centre that fails on purpose: it swallows answers, or worse."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final

SALE_ANSWER: Final = b"0210"
LENGTH_BYTES: Final = 2


class FailingLine:
    """A TCP relay on a port of its own.

    `before_answer` is called once, with the first answer to a sale in hand: the centre has decided
    by then, and the terminal does not know it yet. The answer is dropped and the connection cut.
    Afterwards the line is sound.
    """

    def __init__(self, centre_port: int, before_answer: Callable[[], None]) -> None:
        self._centre_port = centre_port
        self._before_answer: Callable[[], None] | None = before_answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.lost = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                terminal, _ = self._server.accept()
                threading.Thread(target=self._relay, args=(terminal,), daemon=True).start()

    def _relay(self, terminal: socket.socket) -> None:
        with (
            terminal,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._centre_port), 5) as centre,
        ):
            centre.settimeout(None)
            threading.Thread(target=_copy, args=(terminal, centre), daemon=True).start()
            while answer := centre.recv(4096):
                if self._before_answer is not None and answer[LENGTH_BYTES:][:4] == SALE_ANSWER:
                    act, self._before_answer = self._before_answer, None
                    self.lost += 1
                    act()
                    # Closing alone would wait for the thread that still reads this socket.
                    terminal.shutdown(socket.SHUT_RDWR)
                    return
                terminal.sendall(answer)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(4096):
            sink.sendall(piece)
