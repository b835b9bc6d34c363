"""Instructions and CPU time of processes, as counted from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bench import usage
from bench.counters import Counters, Reading


def test_own_work_is_counted_and_nothing_else() -> None:
    with Counters([os.getpid()]) as counters:
        before = counters.read()
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        worked = counters.read().since(before)
        time.sleep(0.05)
        slept = counters.read().since(before)
    assert 45_000 < worked.cpu_us < slept.cpu_us < worked.cpu_us + 40_000
    if worked.instructions is not None:
        assert worked.instructions > 1_000_000


def test_another_process_is_counted() -> None:
    program = "input(); sum(range(3_000_000)); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with Counters(usage.members(process.pid)) as counters:
            before = counters.read()
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            spent = counters.read().since(before)
            tree = usage.tree(process.pid)
        process.stdin.close()
        process.kill()
    assert spent.cpu_us > 5_000
    assert tree.cpu_us >= spent.cpu_us
    if spent.instructions is not None:
        assert spent.instructions > 3_000_000


def test_a_process_that_is_gone_spends_nothing() -> None:
    with Counters([2**30]) as counters:
        assert counters.read().cpu_us == 0
    assert usage.members(2**30) == []


def test_counts_that_are_not_granted_stay_unknown() -> None:
    assert Reading(5.0, None).since(Reading(2.0, None)) == Reading(3.0, None)
    assert Reading(5.0, 9).since(Reading(2.0, 4)) == Reading(3.0, 5)
