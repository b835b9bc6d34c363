"""A plot without a plotting library: bars of rates, and latencies over the offered load (SVG)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from bench.figures import STEADY_PGBENCH, Figures

WIDTH: Final = 860
BAR_TOP: Final = 50
BAR_STEP: Final = 26
BAR_LEFT: Final = 250
BAR_WIDTH: Final = 480
CHART_LEFT: Final = 70
CHART_WIDTH: Final = 660
CHART_HEIGHT: Final = 260
COLOURS: Final = {"p50": "#2e7d32", "p99": "#ef6c00", "p99.9": "#c62828"}


def plot(figures: Figures, titles: Mapping[str, str]) -> str:
    """Return an SVG of the median rates and of the latencies at the load points."""
    chart_top = BAR_TOP + BAR_STEP * len(titles) + 80
    parts = [
        _text(20, 30, "Transactions per second (median of the rounds)", 16),
        *_bars(figures, titles),
        _text(20, chart_top - 30, "Latency over offered load, ms (logarithmic)", 16),
        *_lines(figures, chart_top),
    ]
    height = chart_top + CHART_HEIGHT + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _bars(figures: Figures, titles: Mapping[str, str]) -> Iterator[str]:
    rates = {name: figures.rate(name) for name in titles} if figures.rounds else {}
    most = max(rates.values(), default=1.0) or 1.0
    for row, (name, rate) in enumerate(sorted(rates.items(), key=lambda pair: -pair[1])):
        y, width = BAR_TOP + row * BAR_STEP, max(1.0, rate / most * BAR_WIDTH)
        colour = "#1565c0" if name in ("single", "three", "hot") else "#90a4ae"
        yield _text(20, y + 14, titles[name], 12)
        yield f'<rect x="{BAR_LEFT}" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>'
        yield _text(BAR_LEFT + width + 8, y + 14, f"{rate:,.0f}", 12)


def _lines(figures: Figures, top: float) -> Iterator[str]:
    names = {one.name for one in figures.load_points} - {STEADY_PGBENCH}
    points = sorted(
        (one for name in names if (one := figures.load_point(name)) is not None),
        key=lambda one: one.offered_per_second,
    )
    if not points:
        return
    furthest = points[-1].offered_per_second or 1.0
    low, high = 0.1, max(1.0, *(one.latency.p999_us / 1000 for one in points))

    def x(rate: float) -> float:
        return CHART_LEFT + rate / furthest * CHART_WIDTH

    def y(milliseconds: float) -> float:
        share = math.log(max(low, milliseconds) / low) / math.log(high / low)
        return top + CHART_HEIGHT * (1 - share)

    for exponent in range(-1, math.ceil(math.log10(high)) + 1):
        if (value := 10.0**exponent) <= high:
            yield _line(CHART_LEFT, y(value), CHART_LEFT + CHART_WIDTH, y(value), "#dddddd")
            yield _text(20, y(value) + 4, f"{value:g}", 11)
    for point in points:
        place = x(point.offered_per_second)
        yield _text(place - 20, top + CHART_HEIGHT + 18, point.name, 11)
        yield _text(place - 20, top + CHART_HEIGHT + 34, f"{point.offered_per_second:,.0f}/s", 11)
    for name, field in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")):
        heights = [y(getattr(point.latency, field) / 1000) for point in points]
        path = " ".join(
            f"{x(point.offered_per_second):.1f},{height:.1f}"
            for point, height in zip(points, heights, strict=True)
        )
        yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>'
        yield _text(CHART_LEFT + CHART_WIDTH + 10, heights[-1] + 4, name, 12, COLOURS[name])


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, words: str, size: int, colour: str = "#222222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}">{escape(words)}</text>'
    )
