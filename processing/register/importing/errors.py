"""Why an import is refused as a whole: in words, in Russian and English.

A row that cannot be taken is no error: it is counted, kept and given back (`rejects`).
"""

from __future__ import annotations

from typing import ClassVar

from processing.kernel.errors import SpkError
from processing.wire.figures import Language


class ImportRefused(SpkError):
    """A file, mapping or step that is not accepted; nothing was changed in the register."""

    exit_code: ClassVar[int] = 2

    def __init__(self, ru: str, en: str) -> None:
        super().__init__(ru, en)
        self.ru = ru
        self.en = en

    def text(self, language: Language) -> str:
        """Return what is wrong and what to do."""
        return self.ru if language == "ru" else self.en

    def __str__(self) -> str:
        return self.text("en")
