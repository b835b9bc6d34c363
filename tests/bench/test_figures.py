"""What is made of samples: goals, plot, and readings of other programs' output."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import msgspec
import pytest

from bench import usage
from bench.figures import (
    Figures,
    HistoryRun,
    LoadPoint,
    MemoryRun,
    Place,
    Sample,
    SlowDiskRun,
)
from bench.goals import verdicts
from bench.latency import Latency
from bench.references.pgbench import latencies_ns
from bench.report import SUBJECTS, save
from bench.wal import accounted, bytes_between

PLACE: Final = Place(
    begun_at="2026-03-02T09:00:00+00:00",
    mode="quick",
    commit="abc",
    processor="a processor",
    cores=2,
    python="3.11",
    postgres="18",
    sync_us=300.0,
    workers=1,
    cards=10,
    terminals=4,
    load_before=(0.0, 0.0, 0.0),
)
WAL_STATS: Final = """
WAL statistics between 0/1000000 and 0/2000000:
Type                          N      (%)          Record size      (%)             FPI size      (%)        Combined size      (%)
----                          -      ---          -----------      ---             --------      ---        -------------      ---
XLOG                          1 (  0.10)                   49 (  0.05)                 8192 ( 50.00)                 8241 (  8.00)
Transaction                  10 (  1.00)                  340 (  0.34)                    0 (  0.00)                  340 (  0.33)
Storage                       0 (  0.00)                    0 (  0.00)                    0 (  0.00)                    0 (  0.00)
Heap                        500 ( 50.00)                60000 ( 60.00)                 8192 ( 50.00)                68192 ( 66.00)
                        --------                      --------                      --------                      --------
Total                       511                      60389 [78.66%]                16384 [21.34%]                76773 [100%]
"""  # noqa: E501 - as pg_waldump prints it


def latency(p99_ms: float) -> Latency:
    return Latency(count=1, p50_us=1, p99_us=p99_ms * 1000, p999_us=p99_ms * 1000, max_us=9)


def figures(**rates: float) -> Figures:
    """Return figures of one round; CPU is 60 µs of server, 10 of HSM, 30 of PostgreSQL a sale."""
    samples = {}
    given = {"pgbench_n": 1000.0, "single": 1400, "three": 900, "hot": 700, "naive": 100}
    given |= {"insert": 1000, "step": 5000, "call": 1000, "verify": 1750} | rates
    for name, rate in given.items():
        samples[name.replace("pgbench_n", "pgbench -N")] = Sample(
            rate_per_second=rate,
            cpu_us={"server": 60.0, "hsm": 10.0, "postgres": 30.0, "verify": 45.0},
            latency=latency(100),
        )
    return Figures(place=PLACE, rounds=[samples])


def met(found: Figures, goal: str) -> list[bool | None]:
    return [one.met for one in verdicts(found) if goal in f"{one.name} {one.goal}"]


@pytest.mark.parametrize(
    ("goal", "name", "least"),
    [
        ("pgbench -N", "single", 1400),
        ("verify of one core", "single", 1400),
        ("naive reference", "single", 800),
        ("single-row INSERT", "step", 1400),
        ("one call per request", "step", 5000),
        ("30 %", "hot", 700),
    ],
)
def test_a_ratio_is_met_from_its_goal_on(goal: str, name: str, least: float) -> None:
    assert met(figures(**{name: least}), goal)[0] is True
    assert met(figures(**{name: least * 0.99}), goal)[0] is False


def test_ratios_are_taken_within_a_round() -> None:
    found = figures()
    found.rounds = [
        {"a": Sample(rate_per_second=a), "b": Sample(rate_per_second=b)}
        for a, b in ((100, 50), (10, 10), (30, 10))
    ]
    assert (found.ratio("a", "b"), found.rate("a")) == (2, 30)


def test_server_without_cryptography() -> None:
    assert met(figures(), "without verify") == [True]
    dear = figures()
    dear.rounds[0]["verify"].cpu_us["verify"] = 44.0
    assert met(dear, "without verify") == [False]


@pytest.mark.parametrize(
    ("ours_ms", "theirs_ms", "served", "expected"),
    [(10, 1, 1000, True), (11, 1, 1000, False), (40, 10, 1000, True), (5, 5, 900, False)],
)
def test_steady_rate(ours_ms: float, theirs_ms: float, served: float, expected: bool) -> None:
    found = figures()
    found.load_points = [
        LoadPoint(
            name=name, offered_per_second=1000, served_per_second=rate, latency=latency(p99_ms)
        )
        for name, rate, p99_ms in (
            ("1000/s", served, ours_ms),
            ("pgbench 1000/s", 1000.0, theirs_ms),
        )
    ]
    assert met(found, "p99 at 1000/s") == [expected]
    assert met(found, "p99 at 60") == [None]


def test_runs_behind_flags() -> None:
    found = figures()
    assert met(found, "history") == met(found, "fsync") == met(found, "memory") == [None]
    found.history = HistoryRun(rows_before=10, rows_after=99, cost_before=2.0, cost_after=2.4)
    found.slow_disk = SlowDiskRun(delay_us=2000, rates=(100, 90), slowed_rates=(85, 80))
    found.memory = MemoryRun(
        minutes=10, sales=1, cards_known=1, largest_bytes=tuple([100_000_000] * 10)
    )
    assert met(found, "history") == met(found, "fsync") == met(found, "memory") == [True]
    found.memory = MemoryRun(
        minutes=10, sales=1, cards_known=1, largest_bytes=tuple(range(10**8, 2 * 10**8, 10**7))
    )
    assert met(found, "memory") == [False]


def test_write_ahead_log_is_accounted_for_to_the_byte() -> None:
    use = accounted(WAL_STATS, 80_000)
    assert use.record_bytes == {"XLOG": 49, "Transaction": 340, "Heap": 60_000}
    assert use.page_image_bytes == {"XLOG": 8192, "Heap": 8192}
    assert use.unaccounted_bytes == 80_000 - 76_773
    assert use.steady_bytes == 80_000 - 16_384


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [("0/0", "0/10", 16), ("0/FFFFFFFF", "1/0", 1), ("A/1", "B/0", 2**32 - 1)],
)
def test_distance_in_the_log(start: str, end: str, expected: int) -> None:
    assert bytes_between(start, end) == expected


def test_latencies_of_pgbench(tmp_path: Path) -> None:
    log = tmp_path / "log.1"
    log.write_text(
        "0 4 1520 0 1772442000 5000 120\n0 3 9000 0 1772442000 5000 120\n"
        "3 4 skipped 0 1772442000 5000 9\n1 5 40 0 1 2\n"
    )
    assert latencies_ns([log]) == [1_520_000, 40_000]


def test_files_written(tmp_path: Path) -> None:
    found = figures()
    found.load_points = [
        LoadPoint(
            name=f"{share} %", offered_per_second=share, served_per_second=1, latency=latency(1)
        )
        for share in (25, 50, 75)
    ]
    data, picture = save(found, tmp_path)
    assert msgspec.json.decode(data.read_bytes())["figures"]["place"]["mode"] == "quick"
    root = ElementTree.parse(picture).getroot()  # noqa: S314 - written a moment ago
    # Three percentiles for each load; every subject has its place.
    assert len(root.findall("{*}circle")) == 3 * len(found.load_points)
    words = [one.text for one in root.findall("{*}text")]
    assert set(SUBJECTS.values()) <= set(words)


def test_own_cpu_time_and_memory_are_seen() -> None:
    before, machine = usage.tree(os.getpid()), usage.machine()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    after = usage.tree(os.getpid())
    assert after.cpu_us - before.cpu_us >= 20_000
    assert after.memory_bytes > 1_000_000
    assert usage.machine().busy_us > machine.busy_us
    assert usage.tree(2**30).processes == 0
