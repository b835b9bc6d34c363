"""What stops a terminal, in words for the cashier.

    TerminalError        anything the terminal itself raises: `text(language)`, exit code 2
     ├ NumberError       a price or quantity that cannot be taken            (money.py)
     ├ RecordLogError    the log cannot be opened or written                 (record_log.py)
     ├ StateFolderError  the state folder belongs to another process or terminal   (store.py)
     ├ CardRefused       the card is no valid social card of this region     (card.py)
     ├ LinkError         the centre was not reached, or what came is no answer      (link.py)
     └ OrderError        what was rung up does not fit the terminal or the rights   (order.py)

A decline is no error: it is an `Answer`. Errors of the chip itself are `chip.errors.CardError`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Language = Literal["ru", "en"]


class TerminalError(Exception):
    """A fault of the terminal; the message says what happened and what to do."""

    exit_code: ClassVar[int] = 2

    def __init__(self, ru: str, en: str) -> None:
        super().__init__(en)
        self.ru = ru
        self.en = en

    def text(self, language: Language) -> str:
        """Return the sentence for a person."""
        return self.ru if language == "ru" else self.en
