"""How accepted connections get from the supervisor to a worker: as descriptors (SCM_RIGHTS).

The supervisor accepts and hands each connection to the worker with the fewest. The usual ways of
sharing a port leave the spread to chance: with SO_REUSEPORT a hash decides, and what waits in a
dead worker's queue is reset; with an inherited listening socket the first worker to wake takes a
whole burst. Terminals stay connected for hours, so an uneven spread would last as long.

A connection that was sent to a worker which dies before it takes it is closed by the kernel; the
terminal connects again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from processing.kernel.errors import ConfigurationError

BACKLOG_MAX: Final = 1_024
"""Most connections that wait to be accepted, also while no worker is there to take them."""

TAKEN_AT_ONCE_MAX: Final = 64
"""Most connections that a worker takes before it looks after those it has."""

_HERE: Final = b"c"


def handing_pair() -> tuple[socket.socket, socket.socket]:
    """Return the supervisor's and the worker's end, both non-blocking.

    Raises `ConfigurationError` on a system that cannot pass descriptors.
    """
    if not hasattr(socket, "SOCK_SEQPACKET") or not hasattr(socket, "send_fds"):
        raise ConfigurationError(
            "this system cannot hand connections from one process to another: run one worker"
        )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


def hand(connection: socket.socket, to: socket.socket) -> bool:
    """Send a connection to a worker; False when the worker is gone or takes none at the moment.

    The caller closes its own copy.
    """
    try:
        socket.send_fds(to, [_HERE], [connection.fileno()])
    except OSError:
        return False
    return True


def take_handed(handed: socket.socket, take: Callable[[socket.socket], None]) -> None:
    """Call `take` with every connection that comes over `handed`, until the supervisor is gone.

    Needs a running event loop; returns at once.
    """
    loop = asyncio.get_running_loop()

    def readable() -> None:
        for _ in range(TAKEN_AT_ONCE_MAX):
            try:
                message, descriptors, _, _ = socket.recv_fds(handed, len(_HERE), 1)
            except BlockingIOError:
                return
            except OSError:
                message, descriptors = b"", []
            if not message:
                loop.remove_reader(handed)
                return
            for descriptor in descriptors:
                connection = socket.socket(fileno=descriptor)
                connection.setblocking(False)
                take(connection)

    loop.add_reader(handed, readable)


async def open_listeners(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of `host`; port 0 lets the system choose one. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setblocking(False)
            listener.bind((address[0], port, *address[2:]))
            listener.listen(BACKLOG_MAX)
            # The addresses of one host share a port, also when the system chose it.
            port = port or listener.getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners
