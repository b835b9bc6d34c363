"""Keeping a file for one program at a time, on every system that has a reader."""

from __future__ import annotations

import sys
from typing import IO


def lock_file(file: IO[bytes]) -> bool:
    """Lock an open file for this program alone; whether that worked. Closing it unlocks."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
