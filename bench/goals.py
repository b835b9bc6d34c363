"""The goals of the engine, each with the figure that was found and whether it is met."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

import msgspec

from bench.figures import STEADY, STEADY_PGBENCH, Figures

MEGABYTE: Final = 1_000_000


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One goal. `met` is None where it was not measured."""

    name: str
    goal: str
    figure: str
    met: bool | None


Judge = Callable[[Figures], tuple[str, bool] | None]


def verdicts(figures: Figures) -> list[Verdict]:
    """Return every goal with what was found."""
    found = []
    for name, goal, judge in GOALS:
        judged = judge(figures)
        figure, met = ("not measured", None) if judged is None else judged
        found.append(Verdict(name=name, goal=goal, figure=figure, met=met))
    return found


def _at_least(name: str, reference: str, least: float) -> Judge:
    def judge(figures: Figures) -> tuple[str, bool] | None:
        ratio = figures.ratio(name, reference)
        return f"{ratio:.2f} ×", ratio >= least

    return judge


def _centre_without_cryptography(figures: Figures) -> tuple[str, bool] | None:
    verify = figures.cpu("verify", "verify")
    both = figures.cpu("single", "server", "postgres")
    ratio = figures.median(
        lambda one: (
            (one["single"].cpu_us["server"] + one["single"].cpu_us["postgres"])
            / one["verify"].cpu_us["verify"]
            - 1
        )
    )
    return f"{ratio:.2f} × (with it {both:.0f} µs, verify {verify:.0f})", ratio <= 1


def _three_lines(figures: Figures) -> tuple[str, bool] | None:
    parts = ("server", "hsm", "postgres")
    ratio = figures.median(
        lambda one: (
            sum(one["three"].cpu_us[part] for part in parts)
            / sum(one["single"].cpu_us[part] for part in parts)
        )
    )
    return f"{ratio:.2f} ×", ratio <= 1.5


def _steady(figures: Figures) -> tuple[str, bool] | None:
    ours, theirs = figures.turns_at(STEADY), figures.turns_at(STEADY_PGBENCH)
    if not ours or not theirs:
        return None
    ratio = statistics.median(
        one.latency.p99_us / max(1.0, other.latency.p99_us)
        for one, other in zip(ours, theirs, strict=True)
    )
    p99_ms = statistics.median(one.latency.p99_us for one in ours) / 1000
    served = all(one.served_per_second >= 0.95 * one.offered_per_second for one in ours)
    return f"{p99_ms:.1f} ms, {ratio:.1f} × pgbench -N", served and (p99_ms <= 10 or ratio <= 4)


def _at_60(figures: Figures) -> tuple[str, bool] | None:
    point = figures.load_point("60 %")
    if point is None:
        return None
    return f"{point.latency.p99_us / 1000:.1f} ms", point.latency.p99_us <= 50_000


def _hot(figures: Figures) -> tuple[str, bool] | None:
    ratio = figures.ratio("hot", "single")
    p99_ms = figures.median(
        lambda one: 0.0 if (told := one["hot"].latency) is None else told.p99_us / 1000
    )
    return f"{ratio:.2f} ×, p99 {p99_ms:.0f} ms", ratio >= 0.5 and p99_ms <= 100


def _history(figures: Figures) -> tuple[str, bool] | None:
    run = figures.history
    if run is None:
        return None
    ratio = run.cost_after / run.cost_before
    return f"{ratio:.2f} × ({run.rows_before} → {run.rows_after} rows)", ratio <= 1.2


def _wal(figures: Figures) -> tuple[str, bool] | None:
    if figures.wal is None or not figures.wal_sales:
        return None
    steady = figures.wal.steady_bytes / figures.wal_sales
    whole = figures.wal.total_bytes / figures.wal_sales
    return f"{steady:.0f} B, {whole:.0f} B with page images", steady <= 1_500


def _slow_disk(figures: Figures) -> tuple[str, bool] | None:
    run = figures.slow_disk
    if run is None:
        return None
    kept = statistics.median(
        slowed / max(1e-9, plain) for plain, slowed in zip(run.rates, run.slowed_rates, strict=True)
    )
    return f"{kept * 100:.0f} %", kept >= 0.85


def _memory(figures: Figures) -> tuple[str, bool] | None:
    run = figures.memory
    if run is None:
        return None
    peak, growth = run.peak_bytes / MEGABYTE, run.growth_bytes / MEGABYTE
    figure = f"{peak:.0f} MB, {growth:+.0f} MB in {run.minutes:.1f} min, {run.cards_known} cards"
    return figure, peak < 250 and growth < 0.05 * peak


GOALS: Final[tuple[tuple[str, str, Judge], ...]] = (
    (
        "saturated single-line sale",
        "≥ 1.4 × pgbench -N",
        _at_least("single", "pgbench -N", 1.4),
    ),
    (
        "saturated single-line sale",
        "≥ 0.8 × verify of one core",
        _at_least("single", "verify", 0.8),
    ),
    (
        "server without verify, + PostgreSQL",
        "≤ 1.0 × one verify, CPU",
        _centre_without_cryptography,
    ),
    ("three lines, three allowances", "≤ 1.5 × one line, CPU", _three_lines),
    ("against the naive reference", "≥ 8 ×", _at_least("single", "naive", 8)),
    (
        "database step alone",
        "≥ 1.4 × single-row INSERT × 16",
        _at_least("step", "insert", 1.4),
    ),
    (
        "database step alone",
        "≥ 5 × one call per request",
        _at_least("step", "call", 5),
    ),
    ("p99 at 1000/s", "≤ 10 ms or 4 × pgbench -N", _steady),
    ("p99 at 60 % of saturation", "≤ 50 ms", _at_60),
    ("one allowance with 30 %", "≥ 0.5 × spread, p99 ≤ 100 ms", _hot),
    ("much history", "≤ 1.2 × CPU", _history),
    ("WAL per sale, steady state", "≤ 1500 B", _wal),
    ("fsync 2 ms slower", "≥ 85 % of the rate", _slow_disk),
    ("memory of the largest process", "flat, < 250 MB", _memory),
)
