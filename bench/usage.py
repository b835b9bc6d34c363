"""CPU time and memory of process trees, read from /proc (Linux).

A tree's CPU time counts its living processes and the children that they have waited for, so a
worker or a database session that ended is not forgotten. The kernel counts exactly; of the living
it tells nanoseconds, of the ended ticks of 10 ms.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

TICK_US: Final = 1_000_000 // os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_PROC: Final = Path("/proc")


class Process(msgspec.Struct, frozen=True):
    """One line of /proc: its own CPU time, that of children it waited for, and its memory."""

    process_id: int
    parent_id: int
    own_cpu_us: int
    ended_children_cpu_us: int
    memory_bytes: int


class Tree(msgspec.Struct, frozen=True):
    """CPU time so far and memory now of a process and all below it."""

    cpu_us: int
    memory_bytes: int
    processes: int


class Machine(msgspec.Struct, frozen=True):
    """CPU time of all cores since the machine started."""

    busy_us: int
    total_us: int


def tree(root_id: int) -> Tree:
    """Return what the process `root_id` and its descendants have used; zeros when it is gone."""
    members = list(_members(root_id))
    return Tree(
        sum(one.own_cpu_us + one.ended_children_cpu_us for one in members),
        sum(one.memory_bytes for one in members),
        len(members),
    )


def members(root_id: int) -> list[int]:
    """Return the numbers of a process and all below it; none when it is gone."""
    return [one.process_id for one in _members(root_id)]


def memory_of_members(root_id: int) -> dict[int, int]:
    """Return resident bytes by process number, of a process and all below it."""
    return {one.process_id: one.memory_bytes for one in _members(root_id)}


def cpu_by_title(root_id: int) -> dict[str, int]:
    """Return microseconds of CPU by what PostgreSQL calls its processes (walwriter, checkpointer).

    Sessions count together as `sessions`; what has ended is in none of them.
    """
    sums: defaultdict[str, int] = defaultdict(int)
    for one in _members(root_id):
        sums[_title(one.process_id)] += one.own_cpu_us
    return dict(sums)


def machine() -> Machine:
    """Return how busy the whole machine was so far."""
    fields = (_PROC / "stat").read_text("ascii").splitlines()[0].split()[1:]
    # Guest time, the last two, is part of user time.
    ticks = [int(field) for field in fields[:8]]
    idle = ticks[3] + ticks[4]
    return Machine((sum(ticks) - idle) * TICK_US, sum(ticks) * TICK_US)


def _members(root_id: int) -> Iterator[Process]:
    children: defaultdict[int, list[Process]] = defaultdict(list)
    root = None
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or (one := _process(entry)) is None:
            continue
        children[one.parent_id].append(one)
        if one.process_id == root_id:
            root = one
    waiting = [] if root is None else [root]
    while waiting:
        one = waiting.pop()
        exact_us = cpu_ns(one.process_id) // 1000
        yield msgspec.structs.replace(one, own_cpu_us=max(one.own_cpu_us, exact_us))
        waiting += children[one.process_id]


def cpu_ns(process_id: int) -> int:
    """Return the nanoseconds of CPU that a process has used with all its threads; 0 when gone."""
    # What clock_getcpuclockid(3) returns; Python has no name for it.
    clock = ~process_id << 3 | 2
    try:
        return time.clock_gettime_ns(clock)
    except (OSError, OverflowError):
        return 0


def _process(entry: Path) -> Process | None:
    try:
        # The name, in brackets, may itself hold blanks and brackets.
        fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(
        int(entry.name),
        int(fields[1]),
        (int(fields[11]) + int(fields[12])) * TICK_US,
        (int(fields[13]) + int(fields[14])) * TICK_US,
        int(fields[21]) * PAGE_BYTES,
    )


def _title(process_id: int) -> str:
    try:
        words = (_PROC / str(process_id) / "cmdline").read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return "ended"
    if not words.startswith("postgres: "):
        return "postmaster"
    title = words.removeprefix("postgres: ").replace("\0", " ").strip()
    background = ("walwriter", "checkpointer", "background writer", "logger", "io worker")
    for name in (*background, "autovacuum", "logical replication"):
        if title.startswith(name):
            return name
    return "sessions"
