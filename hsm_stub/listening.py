"""Opening the service's socket, so that one service, and no more, listens at an address.

A unix socket has a lock file beside it (`hsm.sock.lock`), held as long as the service lives. The
lock dies with its process, so a socket left by a killed service is known to be dead and replaced.
The lock file stays: removing it would let two services each hold a lock of their own.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import socket
import stat
from pathlib import Path
from typing import Final

from hsm_stub.client.address import Address, TcpAddress, UnixAddress
from hsm_stub.errors import AlreadyRunning, ListenError

BACKLOG: Final = 64
"""Connections the system holds before they are accepted."""
PROBE_TIMEOUT_S: Final = 1.0


class Listening:
    """An open listening socket; `address` is the real one (a port chosen, where 0 was given)."""

    def __init__(
        self, opened: socket.socket, address: Address, lock_descriptor: int | None
    ) -> None:
        self.socket = opened
        self.address = address
        self._lock_descriptor = lock_descriptor

    def close(self) -> None:
        """Close the socket, remove its file and let the lock go. May be called again."""
        self.socket.close()
        if self._lock_descriptor is not None and isinstance(self.address, UnixAddress):
            self.address.path.unlink(missing_ok=True)
            os.close(self._lock_descriptor)
            self._lock_descriptor = None


def listen(address: Address, group: str | None = None) -> Listening:
    """Open `address`; a unix socket is for its owner (0600), or for `group` too (0660).

    Raises `AlreadyRunning` when a service answers there, else `ListenError` that says why.
    """
    match address:
        case UnixAddress(path=path):
            return _listen_unix(address, path, group)
        case TcpAddress():
            if group is not None:
                raise ListenError("--group is for unix sockets; over tcp the token is the guard")
            return _listen_tcp(address)


def _listen_tcp(address: TcpAddress) -> Listening:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address.host, address.port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise AlreadyRunning(f"{address} is taken: stop what listens there first") from None
        raise ListenError(f"{address} cannot be listened on: {error.strerror}") from None
    return Listening(opened, TcpAddress(address.host, opened.getsockname()[1]), None)


def _listen_unix(address: UnixAddress, path: Path, group: str | None) -> Listening:
    group_id = None if group is None else _group_id(group)
    try:
        # The folder may be the centre's home, which other accounts must pass through; the
        # socket and its lock guard themselves.
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock_descriptor = _lock(address, path.with_name(path.name + ".lock"))
    except OSError as error:
        raise ListenError(f"{address} cannot be listened on: {error.strerror}") from None
    try:
        _remove_dead(address, path)
        return Listening(_bind_unix(path, group_id), address, lock_descriptor)
    except OSError as error:
        os.close(lock_descriptor)
        raise ListenError(f"{address} cannot be listened on: {error.strerror}") from None
    except BaseException:
        os.close(lock_descriptor)
        raise


def _lock(address: UnixAddress, path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(f"a key service runs at {address} already") from None
    return descriptor


def _remove_dead(address: UnixAddress, path: Path) -> None:
    """Remove a socket that nobody serves; raise for a live one and for any other file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} is a file, not a socket; choose another address")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            # A full backlog: something lives there, however slow.
            pass
    raise AlreadyRunning(f"something answers at {address} already; stop it first")


def _bind_unix(path: Path, group_id: int | None) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The umask closes the moment between bind and chmod in which others could connect.
    before = os.umask(0o177)
    try:
        opened.bind(str(path))
    except BaseException:
        opened.close()
        raise
    finally:
        os.umask(before)
    try:
        if group_id is not None:
            os.chown(path, -1, group_id)
            path.chmod(0o660)
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        path.unlink(missing_ok=True)
        raise
    return opened


def _group_id(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ListenError(f"there is no group {group!r} on this system") from None
