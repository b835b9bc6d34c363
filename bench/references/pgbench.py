"""pgbench on the same server and data folder: what PostgreSQL does without a centre before it."""

from __future__ import annotations

import re
import resource
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from bench.latency import Latency, summarized
from bench.rig import Rig, RigError

CLIENTS: Final = 16
THREADS: Final = 2
SCALE: Final = 10
DATABASE: Final = "bench_reference"
FIRST: Final = 3
"""Transactions of each session whose latency is not told."""

ROW_TABLE: Final = """
    CREATE TABLE bench_row (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account integer NOT NULL,
        amount integer NOT NULL,
        written_at timestamptz NOT NULL
    )
"""
ROW_SCRIPT: Final = """\\set account random(1, 100000)
\\set amount random(1, 5000)
INSERT INTO bench_row (account, amount, written_at) VALUES (:account, :amount, now());
"""
_RATE: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_COUNT: Final = re.compile(r"transactions actually processed: (\d+)")


class PgbenchRun(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of pgbench said, and its own CPU time."""

    count: int
    rate_per_second: float
    cpu_us: int
    latency: Latency


class Pgbench:
    """pgbench in a database of its own beside the centre's."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._program = str(rig.embedded.program("pgbench"))
        self._address = rig.embedded.superuser_dsn(DATABASE)
        self._row_script = rig.home / "bench_row.sql"

    def prepare(self) -> None:
        """Make the database with pgbench's tables and one for single rows."""
        self._rig.ask(lambda connection: connection.execute(f"CREATE DATABASE {DATABASE}"))
        self._run("--initialize", f"--scale={SCALE}", "--quiet")
        self._rig.ask(lambda connection: connection.execute(ROW_TABLE), DATABASE)
        self._row_script.write_text(ROW_SCRIPT, "ascii")

    def simple_update(self, seconds: int, rate_per_second: float = 0) -> PgbenchRun:
        """Run `pgbench -N`: one update, one select, one insert per transaction.

        With a rate, latencies count from the time each transaction was meant to begin.
        """
        rate = [f"--rate={rate_per_second:g}"] if rate_per_second else []
        return self._measure("--skip-some-updates", *rate, seconds=seconds)

    def single_row(self, seconds: int) -> PgbenchRun:
        """Insert rows one by one, each a transaction."""
        return self._measure(f"--file={self._row_script}", seconds=seconds)

    def _measure(self, *words: str, seconds: int) -> PgbenchRun:
        prefix = self._rig.home / "pgbench-log"
        for old in self._logs(prefix):
            old.unlink()
        before = _children_cpu_us()
        said = self._run(
            *words,
            f"--client={CLIENTS}",
            f"--jobs={THREADS}",
            f"--time={seconds}",
            "--no-vacuum",
            "--log",
            f"--log-prefix={prefix}",
        )
        cpu_us = _children_cpu_us() - before
        rate, count = _RATE.search(said), _COUNT.search(said)
        if count is None:
            raise RigError(f"pgbench said something else than expected:\n{said}")
        return PgbenchRun(
            count=int(count[1]),
            # On a machine that stands still nothing ends in time, and pgbench tells no rate.
            rate_per_second=0.0 if rate is None else float(rate[1]),
            cpu_us=cpu_us,
            latency=summarized(latencies_ns(self._logs(prefix))),
        )

    def _logs(self, prefix: Path) -> list[Path]:
        return sorted(prefix.parent.glob(f"{prefix.name}.*"))

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [self._program, *words, self._address],
            cwd=self._rig.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode != 0:
            raise RigError(f"pgbench failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def latencies_ns(logs: list[Path]) -> list[int]:
    """Return the latencies in pgbench's logs: the third column, in microseconds.

    With a rate they count from the time a transaction was meant to begin, as pgbench's own report
    does. The first transactions of each session are left out, in which it learns types and plans:
    the centre's sessions are old.
    """
    return [
        int(fields[2]) * 1000
        for path in logs
        for line in path.read_text("ascii").splitlines()
        if len(fields := line.split()) > 2 and fields[2].isdigit() and int(fields[1]) > FIRST
    ]


def _children_cpu_us() -> int:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1_000_000)
