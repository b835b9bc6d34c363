"""The measurement: subjects that take turns on one rig, and what else was asked for.

In each round every subject has one turn, forwards and backwards by turns, so that a neighbour on
the machine disturbs all alike; ratios are taken within a round and their median is told.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from bench import usage, wal
from bench.figures import (
    STEADY,
    STEADY_PGBENCH,
    Figures,
    HistoryRun,
    LoadPoint,
    MemoryRun,
    Place,
    Sample,
    SlowDiskRun,
)
from bench.generator import APPROVED_CODE, TRY_LATER_CODE, Result, Target, Task
from bench.history import add_history
from bench.latency import Latency
from bench.loading import Generator, GeneratorError
from bench.memory import MemorySampler
from bench.references.database_step import BATCH, SINGLE_CONNECTIONS, StepRun, database_step
from bench.references.pgbench import Pgbench, PgbenchRun
from bench.references.verify import verify_rate
from bench.rig import CHECKOUT, SYNC_HONEST_US, Rig, RigError, RigSize, Spent, sync_us
from bench.slow_disk import SlowDisk
from bench.traffic import Traffic

CONNECTIONS: Final = 64
OUTSTANDING: Final = 4
"""Requests that each connection keeps unanswered when saturated: 256 in all."""

VERIFY_MS: Final = 200
SPARE: Final = 1.4
"""How many more messages are made ready than the last rate would use."""

FIRST_RATE: Final = 1_500.0
"""What a subject's rate is taken for before its first turn."""

BUYING_CARDS_MAX: Final = 20_000
"""Most cards that buy, but in the long run, in which all do: a worker knows these by heart."""

WARM_MS: Final = 120_000

SLOW_SYNC_US: Final = 2_000
SEGMENT_MS: Final = 20_000
"""Length of one generator's turn in a long run; the other makes its messages ready meanwhile."""

STEADY_RATE: Final = 1_000.0
STEADY_TURNS: Final = 3
"""How often the centre and pgbench take turns at the steady rate."""

LOAD_SHARES: Final = (0.25, 0.5, 0.6, 0.75)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure, and how long."""

    mode: str
    size: RigSize
    rounds: int
    turn_ms: int
    load_point_ms: int
    history_rows: int = 0
    minutes: float = 0.0
    slow_disk: bool = False


class Measurement:
    """One measurement on one rig."""

    def __init__(self, rig: Rig, plan: Plan, console: Console, figures: Figures) -> None:
        self._rig = rig
        self._plan = plan
        self._console = console
        self._figures = figures
        self._pgbench = Pgbench(rig)
        self._next_number = 0
        self._cards = min(plan.size.cards, BUYING_CARDS_MAX)
        self._rates: dict[str, float] = {}

    def run(self) -> None:
        """Measure all that the plan asks for."""
        self._say("references: pgbench, naive")
        self._pgbench.prepare()
        self._rig.start_naive()
        with Generator(self._rig.world_file) as generator:
            self._warm_up(generator)
            rows_before, cost_before = 0, 0.0
            if self._plan.history_rows:
                rows_before = self._journal_rows()
                cost_before = self._cost_in_verifications(generator)
            for number in range(self._plan.rounds):
                self._say(f"round {number + 1} of {self._plan.rounds}")
                self._figures.rounds.append(self._round(generator, backwards=number % 2 == 1))
            self._write_ahead_log(generator)
            self._load_points(generator)
            if self._plan.history_rows:
                self._history(generator, rows_before, cost_before)
            if self._plan.minutes:
                self._long_run(generator)
            if self._plan.slow_disk:
                self._slow_disk(generator)
            else:
                self._audit()

    def _warm_up(self, generator: Generator) -> None:
        """Fill caches and learn the rates, so that enough messages are made ready."""
        self._say("warming up")
        # Every card once: a centre knows its cards.
        generator.ask(self._task(Traffic.WARM, self._cards, WARM_MS))
        generator.wait_built()
        self._played(generator)
        for name, turn in self._turns(generator, turn_ms=min(1_500, self._plan.turn_ms)).items():
            self._rates[name] = turn().rate_per_second

    def _round(self, generator: Generator, *, backwards: bool) -> dict[str, Sample]:
        turns = list(self._turns(generator, self._plan.turn_ms).items())
        samples, verifications = {}, [verify_rate(VERIFY_MS)]
        for name, turn in reversed(turns) if backwards else turns:
            samples[name] = turn()
            self._rates[name] = samples[name].rate_per_second
            # The unit in which costs are told is taken between all turns.
            verifications.append(verify_rate(VERIFY_MS))
        samples["verify"] = Sample(
            rate_per_second=statistics.median(one.rate_per_second for one in verifications),
            cpu_us={"verify": statistics.median(one.cpu_us for one in verifications)},
        )
        return samples

    def _turns(self, generator: Generator, turn_ms: int) -> dict[str, Callable[[], Sample]]:
        seconds = max(1, turn_ms // 1000)
        return {
            "single": lambda: self._loaded(generator, Traffic.SINGLE, turn_ms),
            "pgbench -N": lambda: self._pgbench_turn(self._pgbench.simple_update, seconds),
            "three": lambda: self._loaded(generator, Traffic.THREE, turn_ms),
            "naive": lambda: self._loaded(generator, Traffic.SINGLE, turn_ms, Target.NAIVE),
            "hot": lambda: self._loaded(generator, Traffic.HOT, turn_ms),
            "insert": lambda: self._pgbench_turn(self._pgbench.single_row, seconds),
            "step": lambda: self._step("step", BATCH, turn_ms),
            "call": lambda: self._step("call", 1, turn_ms),
        }

    def _loaded(
        self,
        generator: Generator,
        traffic: Traffic,
        turn_ms: int,
        target: Target = Target.CENTRE,
    ) -> Sample:
        naive = target is Target.NAIVE
        rate = self._rates.get("naive" if naive else traffic.value, FIRST_RATE)
        task = self._task(traffic, max(500, round(rate * SPARE * turn_ms / 1000)), turn_ms, target)
        generator.ask(task)
        generator.wait_built()
        result, sample = self._played(generator)
        if result.used_up:
            # The messages ended early: what was seen is a rate all the same, but more are needed.
            self._rates["naive" if naive else traffic.value] = rate * 2
        return sample

    def _task(
        self,
        traffic: Traffic,
        count: int,
        duration_ms: int,
        target: Target = Target.CENTRE,
        rate_per_second: float = 0.0,
    ) -> Task:
        naive = target is Target.NAIVE
        return Task(
            target=target,
            port=self._rig.naive_port if naive else self._rig.iso_port,
            traffic=traffic,
            first_number=self._take_numbers(count),
            count=count,
            duration_ms=duration_ms,
            cards=self._cards,
            connections=CONNECTIONS,
            # HTTP/1.1 has one request at a time on a connection.
            outstanding=1 if naive else OUTSTANDING,
            rate_per_second=rate_per_second,
        )

    def _take_numbers(self, count: int) -> int:
        first = self._next_number
        self._next_number += count
        return first

    def _played(self, generator: Generator) -> tuple[Result, Sample]:
        """Let the generator send what it has ready; return what it saw and what it cost."""
        begun, before = time.monotonic(), self._rig.spent()
        generator.go()
        generator.wait_done()
        spent, seconds = self._rig.spent().since(before), time.monotonic() - begun
        result = generator.result()
        self._note(result)
        sales = max(1, result.approved_in_all)
        cpu_us = {
            "server": spent.server / sales,
            "hsm": spent.hsm / sales,
            "postgres": spent.postgres / sales,
            "naive": spent.naive / sales,
            "generator": result.cpu_us / sales,
        }
        ours = spent.server + spent.hsm + spent.postgres + spent.naive + result.cpu_us
        return result, Sample(
            rate_per_second=result.rate_per_second,
            cpu_us=cpu_us,
            others_share=_others(spent, ours, seconds),
            latency=result.latency,
            outcomes=result.outcomes,
            notes=result.faults,
        )

    def _note(self, result: Result) -> None:
        figures = self._figures
        if result.target is Target.CENTRE:
            figures.acknowledged += result.approved_in_all
            figures.verified_receipts += result.verified
        figures.faults += result.faults
        figures.turned_away += result.outcomes.get(TRY_LATER_CODE, 0)
        decided = (APPROVED_CODE, TRY_LATER_CODE)
        others = {code: count for code, count in result.outcomes.items() if code not in decided}
        if others:
            figures.faults.append(f"refused: {others}")
        if result.unanswered:
            figures.faults.append(f"{result.unanswered} requests without an answer")

    def _pgbench_turn(self, run: Callable[[int], PgbenchRun], seconds: int) -> Sample:
        begun, before = time.monotonic(), self._rig.spent()
        said = run(seconds)
        spent = self._rig.spent().since(before)
        return Sample(
            rate_per_second=said.rate_per_second,
            cpu_us={
                "postgres": spent.postgres / max(1, said.count),
                "generator": said.cpu_us / max(1, said.count),
            },
            others_share=_others(spent, spent.postgres + said.cpu_us, time.monotonic() - begun),
            latency=said.latency,
        )

    def _step(self, name: str, size: int, turn_ms: int) -> Sample:
        rate = self._rates.get(name, FIRST_RATE)
        count = max(2 * size, 2 * SINGLE_CONNECTIONS, round(rate * SPARE * turn_ms / 1000))
        first = self._take_numbers(count)
        begun, before = time.monotonic(), self._rig.spent()
        run: StepRun = database_step(self._rig, first, count, size, turn_ms)
        spent = self._rig.spent().since(before)
        self._figures.acknowledged += run.count + run.warmed
        ours = spent.postgres + run.client_cpu_us * run.count
        return Sample(
            rate_per_second=run.rate_per_second,
            cpu_us={
                "postgres": spent.postgres / max(1, run.count + run.warmed),
                "generator": run.client_cpu_us,
            },
            others_share=_others(spent, ours, time.monotonic() - begun),
            notes=(f"{run.collisions} batches tried again",) if run.collisions else (),
        )

    def _write_ahead_log(self, generator: Generator) -> None:
        """Account for the log of one more turn, and for the CPU time of PostgreSQL's processes."""
        self._say("write-ahead log")
        turn_ms = self._plan.turn_ms
        count = max(500, round(self._rates["single"] * SPARE * turn_ms / 1000))
        generator.ask(self._task(Traffic.SINGLE, count, turn_ms))
        generator.wait_built()
        postgres = self._rig.process_id("postgres")
        start, titles = wal.position(self._rig), usage.cpu_by_title(postgres)
        result, _ = self._played(generator)
        after = usage.cpu_by_title(postgres)
        figures = self._figures
        figures.wal = wal.used_since(self._rig, start)
        figures.wal_sales = result.approved_in_all
        figures.postgres_cpu = {
            title: (after[title] - titles.get(title, 0)) / max(1, result.approved_in_all)
            for title in sorted(after)
        }

    def _load_points(self, generator: Generator) -> None:
        """Offer rates below saturation; a steady rate is offered to pgbench as well, by turns."""
        saturation = self._figures.rate("single")
        for share in LOAD_SHARES:
            name = f"{round(share * 100)} %"
            self._offer(generator, name, max(1.0, share * saturation))
        for _ in range(STEADY_TURNS):
            self._offer(generator, STEADY, STEADY_RATE)
            self._say(f"the same offered to pgbench: {STEADY_RATE:.0f}/s")
            seconds = max(1, self._plan.load_point_ms // 1000)
            run = self._pgbench.simple_update(seconds, STEADY_RATE)
            self._point(STEADY_PGBENCH, STEADY_RATE, run.rate_per_second, run.latency)

    def _offer(self, generator: Generator, name: str, rate: float) -> None:
        self._say(f"latency at {name}: {rate:.0f}/s")
        duration_ms = self._plan.load_point_ms
        count = max(50, round(rate * 1.1 * duration_ms / 1000))
        generator.ask(self._task(Traffic.SINGLE, count, duration_ms, rate_per_second=rate))
        generator.wait_built()
        result, sample = self._played(generator)
        self._point(name, rate, sample.rate_per_second, result.latency)

    def _point(self, name: str, offered: float, served: float, latency: Latency) -> None:
        self._figures.load_points.append(
            LoadPoint(
                name=name, offered_per_second=offered, served_per_second=served, latency=latency
            )
        )

    def _long_run(self, generator: Generator) -> None:
        """Saturate for minutes: two generators by turns, one making ready while the other sends."""
        self._say(f"{self._plan.minutes:g} minutes at saturation")
        self._cards = self._plan.size.cards
        count = round(self._rates["single"] * SPARE * SEGMENT_MS / 1000)
        with Generator(self._rig.world_file) as second:
            pair = [generator, second]
            pair[0].ask(self._task(Traffic.SINGLE, count, SEGMENT_MS))
            pair[0].wait_built()
            sampler = MemorySampler(self._rig.process_id("centre"))
            begun, sales = time.monotonic(), 0
            while time.monotonic() - begun < self._plan.minutes * 60:
                pair[0].go()
                pair[1].ask(self._task(Traffic.SINGLE, count, SEGMENT_MS))
                pair[0].wait_done()
                pair[1].wait_built()
                result = pair[0].result()
                self._note(result)
                sales += result.approved_in_all
                pair.reverse()
            minutes = (time.monotonic() - begun) / 60
            largest = sampler.stop()
            # What was made ready last is sent too: a generator cannot forget it.
            pair[0].go()
            pair[0].wait_done()
            self._note(pair[0].result())
        self._figures.memory = MemoryRun(
            minutes=minutes, sales=sales, cards_known=self._plan.size.cards, largest_bytes=largest
        )
        self._cards = min(self._cards, BUYING_CARDS_MAX)

    def _history(self, generator: Generator, rows_before: int, cost_before: float) -> None:
        """Add history, and compare the cost of a sale with what it was before the first round."""
        rig = self._rig
        self._say(f"adding {self._plan.history_rows} rows of history")
        dsn, begun = rig.embedded.superuser_dsn(), time.monotonic()
        asyncio.run(add_history(dsn, rig.world.business_date, self._plan.history_rows))
        self._say(f"added in {time.monotonic() - begun:.0f} s")
        rows_after = self._journal_rows()
        # The first turn reads the larger tables into memory.
        self._loaded(generator, Traffic.SINGLE, self._plan.turn_ms)
        self._figures.history = HistoryRun(
            rows_before=rows_before,
            rows_after=rows_after,
            cost_before=cost_before,
            cost_after=self._cost_in_verifications(generator),
        )

    def _journal_rows(self) -> int:
        return self._rig.value("SELECT count(*) FROM journal.event")

    def _cost_in_verifications(self, generator: Generator) -> float:
        costs = []
        for _ in range(max(3, self._plan.rounds)):
            verify = verify_rate(VERIFY_MS).cpu_us
            sample = self._loaded(generator, Traffic.SINGLE, self._plan.turn_ms)
            costs.append((sample.cpu_us["server"] + sample.cpu_us["postgres"]) / verify)
        return statistics.median(costs)

    def _slow_disk(self, generator: Generator) -> None:
        """Restart PostgreSQL under a library that delays fsync, and take turns without and with."""
        self._say(f"fsync delayed by {SLOW_SYNC_US} µs")
        disk = SlowDisk(self._rig)
        try:
            disk.start()
            self._loaded(generator, Traffic.SINGLE, self._plan.turn_ms)
            rates: dict[int, list[float]] = {0: [], SLOW_SYNC_US: []}
            for _ in range(max(2, self._plan.rounds)):
                for delay_us, found in rates.items():
                    disk.set_delay(delay_us)
                    sample = self._loaded(generator, Traffic.SINGLE, self._plan.turn_ms)
                    found.append(sample.rate_per_second)
            disk.set_delay(0)
            self._audit()
        finally:
            disk.stop()
        self._figures.slow_disk = SlowDiskRun(
            delay_us=SLOW_SYNC_US,
            rates=tuple(rates[0]),
            slowed_rates=tuple(rates[SLOW_SYNC_US]),
        )

    def _audit(self) -> None:
        """Compare what was acknowledged with what is stored, and debits with counters."""
        day = self._rig.world.business_date
        figures = self._figures
        figures.stored = self._rig.value(
            "SELECT count(*) FROM journal.event WHERE business_date = $1 AND outcome > 700", day
        )
        if figures.stored < figures.acknowledged:
            figures.faults.append(
                f"{figures.acknowledged} sales acknowledged, but {figures.stored} stored"
            )
        debited = self._rig.value(
            "SELECT sum(debited) FROM journal.line WHERE business_date = $1", day
        )
        used = self._rig.value("SELECT sum(used) FROM rights.counter")
        if used != debited:
            figures.faults.append(f"counters say {used} used, the journal {debited} debited")

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{datetime.now(UTC):%H:%M:%S}[/] {text}", highlight=False)


def measure(plan: Plan, console: Console) -> Figures:
    """Set a rig up, measure, take it down."""
    begun, place = time.monotonic(), _place(plan)
    figures = Figures(place=place)
    console.print(f"setting up {plan.size.cards} cards and {plan.size.terminals} terminals")
    with Rig(plan.size) as rig:
        figures.place = place = msgspec.structs.replace(
            place,
            sync_us=sync_us(rig.home),
            postgres=str(rig.ask(lambda one: one.fetchval("SHOW server_version"))),
        )
        if place.sync_us < SYNC_HONEST_US:
            figures.faults.append("the temporary folder is no disk: set TMPDIR to one")
        try:
            Measurement(rig, plan, console, figures).run()
        except (RigError, GeneratorError) as error:
            # What was measured before is shown all the same.
            if not figures.rounds:
                raise
            figures.faults.append(str(error))
    figures.place = msgspec.structs.replace(
        place, load_after=os.getloadavg(), seconds=time.monotonic() - begun
    )
    return figures


def _place(plan: Plan) -> Place:
    return Place(
        begun_at=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=plan.mode,
        commit=_commit(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        postgres="",
        sync_us=0.0,
        workers=plan.size.workers,
        cards=plan.size.cards,
        terminals=plan.size.terminals,
        load_before=os.getloadavg(),
    )


def _commit() -> str:
    """Return the commit of the checkout, marked when something in it was changed."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "not a checkout"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _others(spent: Spent, ours_us: float, seconds: float) -> float:
    """Return the share of the machine's time that went to nobody of ours."""
    whole = seconds * 1_000_000 * (os.cpu_count() or 1)
    return min(1.0, max(0.0, (spent.machine - ours_us) / whole)) if whole else 0.0
