"""A plot without a plotting library (SVG): rates, CPU time by part, latencies by offered load."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from bench.figures import Figures

WIDTH: Final = 900
MARGIN: Final = 24
BAR_STEP: Final = 24
BAR_HEIGHT: Final = 16
BAR_LEFT: Final = 230
BAR_WIDTH: Final = 560
CHART_LEFT: Final = 70
CHART_WIDTH: Final = 800
CHART_HEIGHT: Final = 240
LOWEST_MS: Final = 0.1
OURS: Final = ("single", "three", "hot")
PARTS: Final = {
    "server": "#1565c0",
    "hsm": "#00838f",
    "postgres": "#ef6c00",
    "naive": "#6d4c41",
    "generator": "#b0bec5",
}
PERCENTILES: Final = {"p50": "#2e7d32", "p99": "#ef6c00", "p99.9": "#c62828"}


def plot(figures: Figures, titles: Mapping[str, str]) -> str:
    """Return an SVG of median rates, CPU time and latencies; `titles` names the subjects."""
    place = figures.place
    parts = [
        _text(MARGIN, 28, "Transactions per second", 16),
        _text(
            WIDTH - MARGIN,
            28,
            f"{place.begun_at[:16]}Z, {place.mode}, {place.commit}, {place.processor} × "
            f"{place.cores}, {place.workers} worker(s)",
            11,
            anchor="end",
        ),
    ]
    top = 44.0
    for panel in (_rates, _costs, _latencies):
        drawn, top = panel(figures, titles, top)
        parts += drawn
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top:.0f}" '
        f'viewBox="0 0 {WIDTH} {top:.0f}" font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _rates(figures: Figures, titles: Mapping[str, str], top: float) -> tuple[list[str], float]:
    """Draw a bar for each subject, the quickest first; ours stand out."""
    rates = {name: figures.rate(name) for name in titles} if figures.rounds else {}
    most, drawn = max(rates.values(), default=1.0) or 1.0, []
    for name, rate in sorted(rates.items(), key=lambda pair: -pair[1]):
        width = max(1.0, rate / most * BAR_WIDTH)
        drawn += [
            _text(MARGIN, top + 13, titles[name], 12),
            _bar(BAR_LEFT, top, width, "#1565c0" if name in OURS else "#90a4ae"),
            _text(BAR_LEFT + width + 8, top + 13, f"{rate:,.0f}", 12),
        ]
        top += BAR_STEP
    return drawn, top + 40


def _costs(figures: Figures, titles: Mapping[str, str], top: float) -> tuple[list[str], float]:
    """Draw what each subject costs, part by part."""
    costs = {
        name: [(part, figures.cpu(name, part)) for part in PARTS]
        for name in titles
        if figures.rounds and name != "verify"
    }
    most = max((sum(cost for _, cost in one) for one in costs.values()), default=1.0) or 1.0
    drawn = [_text(MARGIN, top, "CPU time per transaction, µs", 16)]
    drawn += _legend(PARTS, top)
    top += 16
    for name, one in costs.items():
        drawn.append(_text(MARGIN, top + 13, titles[name], 12))
        x = float(BAR_LEFT)
        for part, cost in one:
            width = cost / most * BAR_WIDTH
            if width:
                drawn.append(_bar(x, top, width, PARTS[part]))
            x += width
        drawn.append(_text(x + 8, top + 13, f"{sum(cost for _, cost in one):,.0f}", 12))
        top += BAR_STEP
    return drawn, top + 40


def _latencies(figures: Figures, _titles: Mapping[str, str], top: float) -> tuple[list[str], float]:
    """Draw three percentiles for each load that was offered, on a logarithmic scale."""
    names = dict.fromkeys(one.name for one in figures.load_points)
    points = [one for name in names if (one := figures.load_point(name)) is not None]
    if not points:
        return [], top
    drawn = [_text(MARGIN, top, "Latency at an offered load, ms (logarithmic)", 16)]
    drawn += _legend(PERCENTILES, top)
    top += 24
    highest = 10 ** math.ceil(math.log10(max(1.0, *(p.latency.p999_us / 1000 for p in points))))

    def y(milliseconds: float) -> float:
        share = math.log(max(LOWEST_MS, milliseconds) / LOWEST_MS) / math.log(highest / LOWEST_MS)
        return top + CHART_HEIGHT * (1 - share)

    for exponent in range(round(math.log10(LOWEST_MS)), round(math.log10(highest)) + 1):
        height = y(10.0**exponent)
        drawn += [
            _line(CHART_LEFT, height, CHART_LEFT + CHART_WIDTH, height, "#e0e0e0", 1),
            _text(CHART_LEFT - 10, height + 4, f"{10.0**exponent:g}", 11, anchor="end"),
        ]
    step = CHART_WIDTH / len(points)
    for number, point in enumerate(points):
        x, told = CHART_LEFT + (number + 0.5) * step, point.latency
        times = [one / 1000 for one in (told.p50_us, told.p99_us, told.p999_us)]
        drawn.append(_line(x, y(times[0]), x, y(times[-1]), "#bdbdbd", 3))
        for colour, milliseconds in zip(PERCENTILES.values(), times, strict=True):
            drawn.append(f'<circle cx="{x:.1f}" cy="{y(milliseconds):.1f}" r="5" fill="{colour}"/>')
        # On two sides, since they may be almost the same.
        drawn += [
            _text(x - 10, y(times[0]) + 4, _short(times[0]), 11, anchor="end"),
            _text(x + 10, y(times[1]) + 4, _short(times[1]), 11),
        ]
        bottom, offered = top + CHART_HEIGHT, f"{point.offered_per_second:,.0f}/s"
        drawn += [
            _text(x, bottom + 20, point.name, 12, anchor="middle"),
            _text(x, bottom + 36, offered, 11, "#757575", anchor="middle"),
        ]
    return drawn, top + CHART_HEIGHT + 56


def _short(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def _legend(colours: Mapping[str, str], top: float) -> Iterator[str]:
    x = WIDTH - MARGIN - 92 * len(colours)
    for name, colour in colours.items():
        yield f'<rect x="{x}" y="{top - 11:.1f}" width="11" height="11" fill="{colour}"/>'
        yield _text(x + 16, top - 1, name, 12)
        x += 92


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"/>'
    )


def _text(
    x: float, y: float, words: str, size: int, colour: str = "#222222", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )
