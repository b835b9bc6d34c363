"""Instructions that processes execute, counted by the processor (Linux, perf_event_open).

CPU time of the same work differs by a third from minute to minute when cores are shared; the number
of instructions in user mode hardly does. Where the kernel or the machine grants no counters, the
count is None and CPU time is all there is.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from bench.usage import cpu_ns

_SYSTEM_CALLS: Final = {"x86_64": 298, "aarch64": 241}
"""Number of perf_event_open."""

_HARDWARE: Final = 0
_INSTRUCTIONS: Final = 1
_ENABLED_AND_RUNNING_TIME: Final = 3
_INHERIT: Final = 1 << 1
_EXCLUDE_KERNEL: Final = 1 << 5
_EXCLUDE_HYPERVISOR: Final = 1 << 6
_CLOSE_ON_EXEC: Final = 8
_ATTRIBUTES: Final = struct.Struct("=IIQQQQQIIQ")
_COUNT: Final = struct.Struct("=QQQ")
_PROC: Final = Path("/proc")


class Reading(msgspec.Struct, frozen=True):
    """CPU time so far in microseconds, and instructions in user mode, if they are counted."""

    cpu_us: float
    instructions: int | None

    def since(self, before: Reading) -> Reading:
        """Return what was spent between two readings."""
        counted = None
        if self.instructions is not None and before.instructions is not None:
            counted = self.instructions - before.instructions
        return Reading(self.cpu_us - before.cpu_us, counted)


class Counters:
    """What the threads of some processes spend from now on, and what they start meanwhile.

    Use as a context manager, or `close`. A process that is gone keeps its instructions but not its
    CPU time.
    """

    def __init__(self, process_ids: Iterable[int]) -> None:
        self._process_ids = tuple(process_ids)
        self._files: list[int] = []
        self._granted = True
        for thread_id in self._thread_ids():
            try:
                self._files.append(_opened(thread_id))
            except ProcessLookupError:
                continue
            except OSError:
                self._granted = False
                break

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(self) -> Reading:
        """Return what was spent; CPU time counts from the start of the threads."""
        nanoseconds = sum(map(cpu_ns, self._process_ids))
        return Reading(nanoseconds / 1000, sum(map(_count, self._files)) if self._granted else None)

    def close(self) -> None:
        """Count no longer."""
        while self._files:
            os.close(self._files.pop())

    def _thread_ids(self) -> Iterator[int]:
        for process_id in self._process_ids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for entry in (_PROC / f"{process_id}/task").iterdir():
                    yield int(entry.name)


def _opened(thread_id: int) -> int:
    """Return the file of a counter on one thread and all that it starts later."""
    attributes = _ATTRIBUTES.pack(
        _HARDWARE,
        _ATTRIBUTES.size,
        _INSTRUCTIONS,
        0,
        0,
        _ENABLED_AND_RUNNING_TIME,
        _INHERIT | _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR,
        0,
        0,
        0,
    )
    number = _SYSTEM_CALLS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    libc = ctypes.CDLL(None, use_errno=True)
    file: int = libc.syscall(number, attributes, thread_id, -1, -1, _CLOSE_ON_EXEC)
    if file < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return file


def _count(file: int) -> int:
    value, enabled, running = _COUNT.unpack(os.read(file, _COUNT.size))
    # Counters that have to share the processor's few are scaled to the whole time.
    return int(value if running in (0, enabled) else round(value * enabled / running))
