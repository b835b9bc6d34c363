"""The figures as a table for people and as files: JSON, and a plot (SVG) of rates and latencies."""

from __future__ import annotations

from pathlib import Path

import msgspec
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
    "step": "database step, batches of 256",
    "call": "database step, one call each",
    "verify": "bare P-256 verify, one core",
}


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
    table = Table("", "goal", "found", "met", title="Goals")
    words = {True: "[green]yes[/]", False: "[red]no[/]", None: "[dim]–[/]"}
    for one in found:
        table.add_row(one.name, one.goal, one.figure, words[one.met])
    return table


def _subject_table(figures: Figures) -> Table:
    parts = ("server", "hsm", "postgres", "naive", "generator")
    table = Table(
        "", "per second", *parts, "p50 ms", "p99 ms", "others", title="CPU µs per transaction"
    )
    for name, title in SUBJECTS.items():
        samples = [one[name] for one in figures.rounds]
        cells = [f"{figures.cpu(name, part):.1f}" if _has(samples, part) else "" for part in parts]
        if name == "verify":
            cells[0] = f"{figures.cpu(name, 'verify'):.1f}"
        p50, p99 = _latencies(figures, name)
        others = figures.median(lambda one, name=name: one[name].others_share)  # type: ignore[misc]
        table.add_row(
            title, f"{figures.rate(name):,.0f}", *cells, p50, p99, f"{others:.0%}" if others else ""
        )
    return table


def _latency_table(figures: Figures) -> Table:
    table = Table(
        "offered", "per second", "served", "p50 ms", "p99 ms", "p99.9 ms", "max ms",
        title="Latency from the time each request was meant to leave",
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
    table = Table("", "B per sale", "page images", title="Write-ahead log")
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


def _has(samples: list[Sample], part: str) -> bool:
    return any(sample.cpu_us.get(part) for sample in samples)


def _latencies(figures: Figures, name: str) -> tuple[str, str]:
    if any(one[name].latency is None for one in figures.rounds):
        return "", ""

    def median(field: str) -> str:
        return f"{figures.median(lambda one: getattr(one[name].latency, field)) / 1000:.1f}"

    return median("p50_us"), median("p99_us")


def _loads(loads: tuple[float, float, float]) -> str:
    return " ".join(f"{load:.1f}" for load in loads)
