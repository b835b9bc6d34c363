"""Locks between processes: kept by a child that inherited them, given up when it ends."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from processing.kernel.file_lock import held_lock, try_lock


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = try_lock(path)
    assert first is not None
    assert try_lock(path) is None
    os.close(first)
    second = try_lock(path)
    assert second is not None
    os.close(second)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_child_keeps_the_lock_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = try_lock(path)
    assert lock is not None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock,)) as child:
        os.close(lock)
        assert try_lock(path) is None
        child.kill()
    after = try_lock(path)
    assert after is not None
    os.close(after)


def test_waiting_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_lock(path, 0), pytest.raises(TimeoutError, match=r"keeps .*lock locked"):
        held_lock(path, 30).__enter__()
    with held_lock(path, 0) as descriptor:
        assert os.fstat(descriptor).st_ino == path.stat().st_ino
