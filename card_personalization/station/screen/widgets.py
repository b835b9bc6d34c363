"""The parts of the station's screen: a reader's tile, the counts, the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.widgets import Static

from card_personalization.chip.errors import Language
from card_personalization.station.screen.phrases import Phrase, time_words
from card_personalization.station.screen.view import Said, StationView, TileState, TileView

BAR_CELLS: Final = 8
WIDE_BAR_CELLS: Final = 32
MESSAGES_SHOWN: Final = 4

_WORDS: Final = {
    TileState.IDLE: Phrase.IDLE,
    TileState.WAITING: Phrase.WAITING,
    TileState.WRITING: Phrase.WRITING,
    TileState.TAKE_OUT: Phrase.TAKE_OUT,
    TileState.FAULT: Phrase.FAULT,
    TileState.ABSENT: Phrase.ABSENT,
}


class ReaderTile(Static):
    """One reader: its number, a sign and a word for its state, and how far the card is."""

    def __init__(self, number: int) -> None:
        super().__init__("", id=f"tile-{number}", markup=False)
        self._number = number

    def show(self, tile: TileView | None, language: Language) -> None:
        """Show the tile; None: this station has no such reader."""
        self.display = tile is not None
        if tile is None:
            return
        for state in TileState:
            self.set_class(state is tile.state, f"-{state.name.lower()}")
        word = _WORDS[tile.state].say(language)
        first = f"{tile.number} {tile.state.value} {word}"
        self.update(f"{first}\n{_second_line(tile, language)}")


def _second_line(tile: TileView, language: Language) -> str:
    if tile.state is TileState.WRITING:
        step = Phrase.STEP.say(language, number=tile.step, count=tile.steps)
        return f"{bar(tile.step, tile.steps, BAR_CELLS)} {step}"
    return tile.said.of(language)


class Summary(Static):
    """The batch, how much of it is done, how fast, and how long it still takes."""

    def __init__(self) -> None:
        super().__init__("", id="summary", markup=False)

    def show(self, view: StationView, language: Language) -> None:
        """Show three lines: what is worked on, the bar, the numbers."""
        self.update("\n".join(summary_lines(view, language)))


class Messages(Static):
    """The latest faults in words, the newest first."""

    def __init__(self) -> None:
        super().__init__("", id="messages", markup=False)

    def show(self, view: StationView, messages: Sequence[Said], language: Language) -> None:
        """Show the latest messages, or that there are none."""
        lines = [f"✗ {said.of(language)}" for said in reversed(messages)][:MESSAGES_SHOWN]
        if view.resumable:
            lines.insert(0, f"! {Phrase.RESUMABLE.say(language, count=view.resumable)}")
        self.update("\n".join(lines) or Phrase.NO_MESSAGES.say(language))


def summary_lines(view: StationView, language: Language) -> tuple[str, ...]:
    """Return what the summary says, line by line."""
    if view.total:
        heading = Phrase.BATCH.say(language, name=view.batch, total=view.total)
    else:
        heading = Phrase.NO_BATCH.say(language)
    if view.paused:
        heading = f"{heading} · {Phrase.PAUSED.say(language)}"
    done = view.total - view.left
    share = 0 if not view.total else done * 100 // view.total
    counts = Phrase.COUNTS.say(language, good=view.good, spoiled=view.spoiled, left=view.left)
    return (
        heading,
        f"{bar(done, view.total, WIDE_BAR_CELLS)} {share} %   {_pace(view, language)}",
        f"{counts} · {Phrase.BLANKS.say(language, count=view.blanks)}",
    )


def bar(done: int, total: int, cells: int) -> str:
    """Return a bar of blocks; nothing to do is an empty one."""
    full = 0 if total <= 0 else min(done, total) * cells // total
    return "█" * full + "░" * (cells - full)


def _pace(view: StationView, language: Language) -> str:
    seconds = view.seconds_left
    if not view.left:
        return ""
    if view.rate_per_minute is None or seconds is None:
        return Phrase.NO_RATE.say(language)
    rate = f"{view.rate_per_minute:.1f}"
    if language == "ru":
        rate = rate.replace(".", ",")
    return Phrase.RATE.say(language, rate=rate, time_left=time_words(seconds, language))
