"""PIN and PUK of a new card: drawn at random, handed over once, kept nowhere."""

from __future__ import annotations

import os
import secrets
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from card_personalization.chip.errors import Language
from card_personalization.station.faults import StationError, StationFault
from processing.wire.api import transport_pin

PIN_DIGITS: Final = 6
PUK_DIGITS: Final = 8
_OWNER_ONLY: Final = 0o600


class PinLetter(msgspec.Struct, frozen=True):
    """What the citizen gets beside the card."""

    card_number: str
    pin: str
    puk: str

    def __repr__(self) -> str:
        """Name the card only: PIN and PUK must not reach a log."""
        return f"PinLetter({self.card_number!r})"

    def text(self, language: Language) -> str:
        """The letter as it is printed."""
        number, pin, puk = self.card_number, self.pin, self.puk
        if language == "ru":
            return f"Карта {number}\nПИН-код  {pin}\nКод PUK  {puk}\n"
        return f"Card {number}\nPIN  {pin}\nPUK  {puk}\n"


def draw_letter(card_number: str) -> PinLetter:
    """Return fresh random codes; a PIN that anybody tries first is drawn again."""
    pin = _draw(PIN_DIGITS)
    while is_obvious(pin):
        pin = _draw(PIN_DIGITS)
    return PinLetter(card_number, pin, _draw(PUK_DIGITS))


def transport_letter(card_number: str) -> PinLetter:
    """Return the codes of a card that goes out with its transport PIN, which is printed nowhere.

    Its PUK is random and nobody is told it.
    """
    return PinLetter(card_number, transport_pin(card_number), _draw(PUK_DIGITS))


def is_obvious(pin: str) -> bool:
    """Whether all digits are equal or each follows the one before, up or down (123456, 987654)."""
    steps = {(ord(after) - ord(before)) % 10 for before, after in pairwise(pin)}
    return steps in ({0}, {1}, {9})


def write_letter(letter: PinLetter, path: Path, language: Language) -> None:
    """Write a letter to a new file that only its owner reads. StationError(FILE_UNUSABLE)."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(letter.text(language))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        detail = error.strerror or str(error)
        raise StationError(StationFault.FILE_UNUSABLE, path=str(path), detail=detail) from None


def _draw(count: int) -> str:
    return f"{secrets.randbelow(10**count):0{count}d}"
