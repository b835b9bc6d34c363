"""Locks on files, shared by processes (flock). POSIX only, as is everything that imports this.

A lock belongs to the open file, not to the process: a child that inherits the descriptor keeps
the lock when its parent dies. So a lock that a server inherited tells, without any process
number, whether any of its processes is still alive — in this container or in another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

POLL_INTERVAL_MS: Final = 20


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock on `path`, or None while another holds it.

    The file is created if need be, readable by its owner only. Close the descriptor to let go.
    Raises `OSError`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def held_lock(path: Path, wait_ms: int) -> Iterator[int]:
    """Hold the lock on `path` while the block runs, giving its descriptor.

    Raises `TimeoutError` when another process keeps it for longer than `wait_ms`.
    """
    deadline_ns = time.monotonic_ns() + wait_ms * 1_000_000
    while (descriptor := try_lock(path)) is None:
        if time.monotonic_ns() >= deadline_ns:
            raise TimeoutError(f"another process keeps {path} locked")
        time.sleep(POLL_INTERVAL_MS / 1000)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
