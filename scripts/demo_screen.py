"""What the demonstration shows: parts, captions, commands and slow steps, without what tires."""

from __future__ import annotations

import contextlib
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from rich.console import Console
from rich.text import Text

Language = Literal["ru", "en"]

_PROOF_LINE: Final = re.compile(r"(?:[0-9A-F]{4} ?){1,8}")
_TABLE_ROW: Final = re.compile(r"│ *(\w+\.\w+) *│ *([\d,]+) *│")


class Screen:
    """The console of one telling, in one language."""

    def __init__(self, console: Console, language: Language) -> None:
        self.console = console
        self.language = language
        self._part = 0

    def words(self, ru: str, en: str) -> str:
        """Return the one of two texts that this telling uses."""
        return ru if self.language == "ru" else en

    def part(self, ru: str, en: str) -> None:
        """Begin a new part of the story."""
        self._part += 1
        self.console.print()
        self.console.rule(f"[bold]{self._part}. {self.words(ru, en)}", align="left")

    def caption(self, text: str) -> None:
        """Say in one line what comes next."""
        self.console.print()
        self.console.print(Text(f"▸ {text}", style="bold"))

    def note(self, text: str) -> None:
        """Say something beside the story."""
        self.console.print(Text(f"  {text}", style="dim"))

    def command(self, words: Sequence[str], printed: str = "") -> None:
        """Show a command as a shell would take it, and what it printed."""
        self.console.print(Text(f"$ spk {shlex.join(words)}", style="cyan"))
        if printed:
            self.console.print(Text(self._without_proof(printed.rstrip())))

    @contextlib.contextmanager
    def slow_step(self, ru: str, en: str) -> Iterator[None]:
        """Name a step before it begins, and how long it took when it is done."""
        started = time.monotonic()
        self.console.print(Text(f"  {self.words(ru, en)} … "), end="")
        yield
        seconds = f"{time.monotonic() - started:.1f}"
        self.console.print(Text(self.words(f"{seconds.replace('.', ',')} с", f"{seconds} s")))

    def _without_proof(self, printed: str) -> str:
        """Cut the signed bytes of a paper receipt down to one line: no person reads them."""
        lines: list[str] = []
        proof: list[str] = []
        for line in printed.splitlines():
            if _PROOF_LINE.fullmatch(line.strip()):
                proof.append(line)
                continue
            if proof:
                lines.append(self._cut(proof))
                proof = []
            lines.append(line)
        return "\n".join(lines if not proof else [*lines, self._cut(proof)])

    def _cut(self, proof: Sequence[str]) -> str:
        size_bytes = sum(len(line.replace(" ", "")) for line in proof) // 2
        shown = proof[0].split()[:2]
        return f"{' '.join(shown)} … " + self.words(
            f"({size_bytes} байт доказательства)", f"({size_bytes} bytes of proof)"
        )


def rows_of(printed: str) -> dict[str, int]:
    """Return the rows per table that `spk region create` says it made."""
    return {name: int(count.replace(",", "")) for name, count in _TABLE_ROW.findall(printed)}
