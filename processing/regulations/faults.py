"""What is wrong with a document that an official wrote: where, what, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

import msgspec

from processing.kernel.errors import SpkError

Language = Literal["ru", "en"]
Path = tuple[str | int, ...]
"""Where a value stands: `("clause", 0, "percent")` is `percent` of the first `[[clause]]`."""

FAULTS_SHOWN_MAX: Final = 50
"""Most faults that are listed at a time; whoever mends these sees the rest."""


class Place(msgspec.Struct, frozen=True, order=True):
    """A place in a text: line and column from 1, the column in characters."""

    line: int = 1
    column: int = 1


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong. `ru` and `en` say what, and what to do, without a full stop."""

    place: Place
    path: Path
    ru: str
    en: str

    @property
    def field(self) -> str:
        """The path as an official reads it: `clause 1, percent`."""
        steps: list[str] = []
        for step in self.path:
            if isinstance(step, int):
                steps[-1] = f"{steps[-1]} {step + 1}"
            else:
                steps.append(step)
        return ", ".join(steps)

    def sentence(self, language: Language) -> str:
        """Return the fault in one line: place, field, what is wrong."""
        what = self.ru if language == "ru" else self.en
        where = f"{self.place.line}:{self.place.column}"
        return f"{where}: {self.field}: {what}" if self.path else f"{where}: {what}"


class DocumentError(SpkError):
    """A document that cannot be used; nothing of it was taken over."""

    exit_code: ClassVar[int] = 2

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        super().__init__(name, faults)
        self.name = name
        self.faults = tuple(sorted(faults, key=lambda fault: fault.place))

    def text(self, language: Language) -> str:
        """Return the list of faults, one a line, the first in the text first."""
        lines = [f"{self.name}:{fault.sentence(language)}" for fault in self.faults]
        shown = lines[:FAULTS_SHOWN_MAX]
        if more := len(lines) - len(shown):
            shown.append(f"… и ещё {more}" if language == "ru" else f"… and {more} more")
        return "\n".join(shown)

    def __str__(self) -> str:
        return self.text("en")
