"""What the screen shows at one moment, and what it can ask of the station behind it.

The screen knows nothing of cards: several times a second it takes a `StationView` and draws it. A
`Desk` is the one thing behind it; its methods may be called from any thread and may take long.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Protocol

import msgspec

from card_personalization.chip.errors import Language
from card_personalization.station.face import CardFace

MESSAGES_MAX = 200
"""Faults that are kept to be scrolled through; the spoiled-card log has all of them."""


class Said(msgspec.Struct, frozen=True):
    """One sentence in both languages, so that the screen may change its language at any time."""

    ru: str
    en: str

    def of(self, language: Language) -> str:
        """The sentence in a language."""
        return self.ru if language == "ru" else self.en


class TileState(Enum):
    """What a reader is at. Each has a sign of its own, so that no colour is needed."""

    IDLE = "·"
    WAITING = "▽"
    WRITING = "▶"
    TAKE_OUT = "✓"
    FAULT = "✗"
    ABSENT = "?"


class TileView(msgspec.Struct, frozen=True, kw_only=True):
    """One reader. `step` counts from 1 while a card is being written, else it is 0."""

    number: int
    state: TileState
    step: int = 0
    steps: int = 0
    said: Said = Said("", "")


class StationView(msgspec.Struct, frozen=True, kw_only=True):
    """All that the screen shows. `rate_per_minute` None: too early to tell."""

    station: str
    batch: str = ""
    total: int = 0
    good: int = 0
    spoiled: int = 0
    left: int = 0
    blanks: int = 0
    resumable: int = 0
    rate_per_minute: float | None = None
    paused: bool = False
    tiles: tuple[TileView, ...] = ()
    messages: tuple[Said, ...] = ()

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate; None: too early to tell."""
        return None if not self.rate_per_minute else self.left / self.rate_per_minute * 60


class WalkIn(msgspec.Struct, frozen=True, kw_only=True):
    """How far a visitor's card is: its number once it is ordered, and whether it is written."""

    card_number: str
    written: bool


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Blanks of a shift. It adds up when `difference` is 0; only then the shift is closed."""

    blanks: int
    good: int
    spoiled: int
    left: int

    @property
    def difference(self) -> int:
        """Blanks that nobody can account for; below zero: there are too many."""
        return self.blanks - self.good - self.spoiled - self.left


class Desk(Protocol):
    """The station behind the screen. Methods raise `StationError`, `CardError`, `HsmError`."""

    def view(self) -> StationView:
        """What is to be shown now; quick, and never waits for a card or the centre."""

    def take_batch(self) -> None:
        """Take the next batch of the centre and begin with it."""

    def pause(self, *, paused: bool) -> None:
        """Begin no further card, or go on."""

    def walk_in(self, snils: str, *, replace: bool) -> None:
        """Order a card for a visitor; the next blank that is put in becomes it."""

    def walk_in_state(self) -> WalkIn | None:
        """How far the visitor's card is; None: there is none under way."""

    def hand_over(self) -> str:
        """Say that the visitor has the card; return its number."""

    def face(self, reader: int) -> CardFace | None:
        """The face of the card that is written in this reader; None: there is none."""

    def save_face(self, face: CardFace) -> Path:
        """Write a face as PDF and PNG into the folder for them; return the PDF's path."""

    def spoiled(self) -> tuple[Said, ...]:
        """Every spoiled card of this shift with its reason."""

    def close_shift(self, left: int) -> Balance:
        """Close the shift with so many blanks counted; one that does not add up stays open."""

    def shut(self) -> None:
        """Let cards under way come to their end and the readers go."""
