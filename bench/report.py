"""The figures as a table for people and as files: JSON, and a plot (SVG) of rates and latencies."""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bench.figures import Figures, Sample
from bench.goals import Verdict, verdicts
from bench.plot import plot

SUBJECTS = {
    "single": "signed sale, one line",
    "three": "signed sale, three lines",
    "hot": "one allowance takes 30 %",
    "naive": "naive reference",
    "pgbench -N": "pgbench -N × 16",
    "insert": "single-row INSERT × 16",
    "step": "database step, 256 a call",
    "call": "database step, 1 a call",
    "verify": "bare P-256 verify",
}


PARTS = {
    "server": ("server", "naive", "verify"),
    "hsm": ("hsm",),
    "postgres": ("postgres",),
    "generator": ("generator",),
}
"""Columns of CPU time; what stands first in its row is the server of that subject."""


def show(figures: Figures, console: Console) -> None:
    """Print the goals, the rates with their costs, the latencies, and whatever went wrong."""
    place = figures.place
    console.print(
        f"{place.processor}, {place.cores} cores; PostgreSQL {place.postgres}; Python "
        f"{place.python}; commit {place.commit}; {place.workers} worker(s), {place.cards} cards; "
        f"fdatasync {place.sync_us:.0f} µs; load {_loads(place.load_before)} before, "
        f"{_loads(place.load_after)} after; {place.seconds:.0f} s",
        highlight=False,
    )
    console.print(_goal_table(verdicts(figures)))
    console.print(_subject_table(figures))
    console.print(_latency_table(figures))
    if figures.wal is not None:
        console.print(_wal_table(figures))
    console.print(
        f"{figures.acknowledged} sales acknowledged, {figures.stored} stored, "
        f"{figures.verified_receipts} receipts verified, {figures.turned_away} told to try later",
        highlight=False,
    )
    for fault in dict.fromkeys(figures.faults):
        console.print(f"[red]{fault}[/]", highlight=False)


def save(figures: Figures, folder: Path) -> list[Path]:
    """Write the JSON and the plot under a name made of time and mode; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = figures.place.begun_at.replace(":", "").replace("+0000", "Z")
    name = f"{stamp}-{figures.place.mode}"
    document = {"goals": verdicts(figures), "figures": figures}
    data, picture = folder / f"{name}.json", folder / f"{name}.svg"
    data.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    picture.write_text(plot(figures, SUBJECTS), "utf-8")
    return [data, picture]


def _goal_table(found: list[Verdict]) -> Table:
    table = _table("Goals", "", "goal", "found", "met", numbers_from=4)
    words = {True: "[green]yes[/]", False: "[red]no[/]", None: "[dim]–[/]"}
    for one in found:
        table.add_row(one.name, one.goal, one.figure, words[one.met])
    return table


def _subject_table(figures: Figures) -> Table:
    table = _table(
        "CPU µs per transaction, by part; latency in ms",
        "", "per s", *PARTS, "p50", "p99", "others",
    )  # fmt: skip
    for name, title in SUBJECTS.items():
        samples = [one[name] for one in figures.rounds]
        cells = [
            f"{figures.cpu(name, *parts):.0f}" if _has(samples, parts) else ""
            for parts in PARTS.values()
        ]
        p50, p99 = _latencies(figures, name)
        others = figures.median(lambda one, name=name: one[name].others_share)  # type: ignore[misc]
        table.add_row(
            title, f"{figures.rate(name):,.0f}", *cells, p50, p99, f"{others:.0%}" if others else ""
        )
    return table


def _latency_table(figures: Figures) -> Table:
    table = _table(
        "Latency in ms, from the time each request was meant to leave",
        "offered", "per s", "served", "p50", "p99", "p99.9", "max",
    )  # fmt: skip
    for point in figures.load_points:
        told = point.latency
        times = (told.p50_us, told.p99_us, told.p999_us, told.max_us)
        table.add_row(
            point.name,
            f"{point.offered_per_second:,.0f}",
            f"{point.served_per_second:,.0f}",
            *(f"{one / 1000:.1f}" for one in times),
        )
    return table


def _wal_table(figures: Figures) -> Table:
    table = _table("Write-ahead log, bytes per sale", "", "records", "page images")
    use, sales = figures.wal, max(1, figures.wal_sales)
    assert use is not None
    for name, size in sorted(use.record_bytes.items(), key=lambda pair: -pair[1]):
        images = use.page_image_bytes.get(name, 0)
        table.add_row(name, f"{size / sales:.1f}", f"{images / sales:.1f}")
    table.add_row("page headers and padding", f"{use.unaccounted_bytes / sales:.1f}", "")
    table.add_row(
        "all",
        f"{use.steady_bytes / sales:.1f}",
        f"{sum(use.page_image_bytes.values()) / sales:.1f}",
    )
    return table


def _table(title: str, *columns: str, numbers_from: int = 1) -> Table:
    """Return a table that fits into 80 columns; numbers stand to the right."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place >= numbers_from else "left")
    return table


def _has(samples: list[Sample], parts: tuple[str, ...]) -> bool:
    return any(sample.cpu_us.get(part) for sample in samples for part in parts)


def _latencies(figures: Figures, name: str) -> tuple[str, str]:
    if any(one[name].latency is None for one in figures.rounds):
        return "", ""

    def median(field: str) -> str:
        return f"{figures.median(lambda one: getattr(one[name].latency, field)) / 1000:.1f}"

    return median("p50_us"), median("p99_us")


def _loads(loads: tuple[float, float, float]) -> str:
    return " ".join(f"{load:.1f}" for load in loads)
