"""Draw the demonstration's picture in README from what it printed.

    scripts/demo --lang ru > demo.txt
    python -m scripts.record_demo demo.txt docs/demo.ru.svg

The whole is too long for a picture: only some scenes are kept, and of a long receipt its beginning
and its end.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS: Final = 110
KEPT: Final = (
    "register approve",
    "second lunch",
    "второй обед",
    "HOME.CLEANING=45",
    "visit finish --params SC000001",
    "terminal book",
    "METFORMIN-850-60=1@289.90 --params AP000003",
    "an unknown card →",
    "неизвестная карта →",
    "regulation diff",
    "terminal sign-on",
)
"""What a scene has in it that is kept: words of its commands, or of either language's captions."""

LINES_MAX: Final = 24
"""Longest scene that is shown whole; of a longer one the middle is left out."""

_ENDS: Final = (10, 9)
_CAPTION: Final = "▸ "
_COMMAND: Final = "$ "
_PART: Final = re.compile(r"(\d+\. .*?) ─+")
_CUT: Final = "⋮"
_TABLES: Final = ("Что произошло", "What happened")
"""Where the telling ends and the closing table repeats it."""

_THEME: Final = TerminalTheme(
    (41, 41, 41),
    (217, 217, 217),
    [
        (75, 78, 85),
        (204, 85, 90),
        (152, 224, 36),
        (208, 179, 68),
        (96, 138, 177),
        (152, 114, 159),
        (88, 209, 235),
        (217, 217, 217),
    ],
)


def scenes(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Give each scene with the title of its part: a caption, or what stands before the first."""
    part, scene = "", list[str]()
    for line in lines:
        if line.strip() in _TABLES:
            break
        title = _PART.match(line)
        if title or line.startswith((_CAPTION, "✗")):
            if any(text.strip() for text in scene):
                yield part, scene
            part, scene = (title[1] if title else part), [] if title else [line]
        else:
            scene.append(line)
    yield part, scene


def shortened(scene: Sequence[str]) -> list[str]:
    """Return a scene without empty ends and, if it is long, without its middle."""
    told = "\n".join(scene).strip("\n").splitlines()
    if len(told) <= LINES_MAX:
        return told
    return [*told[: _ENDS[0]], _CUT, *told[-_ENDS[1] :]]


def picture(told: str) -> list[str]:
    """Return the lines of the picture, in the order in which they were told."""
    shown, last_part = list[str](), ""
    for part, scene in scenes(told.splitlines()):
        # A terminal breaks long commands, so blanks of any kind count as one.
        text = " ".join(" ".join(scene).split())
        if not any(mark in text for mark in KEPT):
            continue
        if part != last_part:
            shown += ["", part]
            last_part = part
        shown += [*shortened(scene), ""]
    return shown


def styled(line: str) -> Text:
    """Return a line as the demonstration shows it on a screen."""
    if _PART.match(f"{line} ──"):
        return Text(f"{line} ".ljust(COLUMNS, "─"), style="bold cyan")
    if line.startswith(_CAPTION):
        return Text(line, style="bold")
    if line.startswith(_COMMAND):
        return Text(line, style="cyan")
    if line == _CUT:
        return Text(line, style="dim")
    return Text(line)


def svg_of(told: str) -> str:
    """Return the picture; raises ValueError when the text is no telling of the demonstration."""
    lines = picture(told)
    if not lines:
        raise ValueError("this is nothing that scripts/demo printed")
    console = Console(record=True, width=COLUMNS, file=StringIO())
    for line in lines:
        console.print(styled(line), highlight=False)
    svg = console.export_svg(title="scripts/demo", theme=_THEME)
    # No font is fetched from anywhere: the reader's own fixed-width one will do.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "'DejaVu Sans Mono', Consolas, monospace")
    return re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)


def main() -> None:
    """Read what was told, write the picture."""
    told, out = (Path(name) for name in sys.argv[1:3])
    out.write_text(svg_of(told.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
