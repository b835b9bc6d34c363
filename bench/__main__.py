"""`python -m bench`: measure the whole centre on this machine against references beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter, validators
from rich.console import Console

from bench.loading import GeneratorError
from bench.measure import Plan, measure
from bench.report import save, show
from bench.rig import RigError, RigSize

RESULTS: Final = Path(__file__).resolve().parent / "results"

TABLE_WIDTH_MIN: Final = 80
PIPE_WIDTH: Final = 110

app = cyclopts.App(name="bench", help="Measure the centre against references beside it.")


@app.default
def bench(
    *,
    quick: Annotated[bool, Parameter(help="Two short rounds, less than two minutes.")] = False,
    workers: Annotated[
        int | None,
        Parameter(
            help="Workers of the centre; default one per core.",
            validator=validators.Number(gte=1, lte=64),
        ),
    ] = None,
    cards: Annotated[
        int | None, Parameter(help="Cards known; default 2000 quick, 20000 else.")
    ] = None,
    history: Annotated[
        int, Parameter(help="Also compare the cost of a sale after adding so many rows.")
    ] = 0,
    minutes: Annotated[
        float, Parameter(help="Also watch the memory for so many minutes at saturation.")
    ] = 0.0,
    slow_disk: Annotated[
        bool | None,
        Parameter(help="Also delay every fsync by 2 ms; default: not when quick. Needs cc."),
    ] = None,
    rounds: Annotated[
        int | None,
        Parameter(help="Rounds; default 2 quick, 5 else.", validator=validators.Number(gte=1)),
    ] = None,
) -> int:
    """Print goals and figures, and write them to bench/results. Exits with 1 after a fault.

    A goal that is missed is a figure, not a fault; a lost sale or a wrong receipt is one.
    """
    console = Console()
    if not console.is_terminal or console.width < TABLE_WIDTH_MIN:
        # A table that wraps within words is worse than one that scrolls.
        console = Console(width=TABLE_WIDTH_MIN if console.is_terminal else PIPE_WIDTH)
    plan = Plan(
        mode="quick" if quick else "full",
        size=RigSize(
            cards=cards or (2_000 if quick else 20_000),
            terminals=256 if quick else 1_024,
            workers=workers or min(64, os.cpu_count() or 1),
        ),
        rounds=rounds or (2 if quick else 5),
        turn_ms=2_000 if quick else 5_000,
        load_point_ms=2_000 if quick else 10_000,
        history_rows=history,
        minutes=minutes,
        slow_disk=not quick if slow_disk is None else slow_disk,
    )
    try:
        figures = measure(plan, console)
    except (RigError, GeneratorError) as error:
        console.print(f"[red]{error}[/]", highlight=False)
        return 2
    show(figures, console)
    for path in save(figures, RESULTS):
        console.print(f"written: {path}", soft_wrap=True, highlight=False)
    return 1 if figures.faults else 0


if __name__ == "__main__":
    sys.exit(app())
