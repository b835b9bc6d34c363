"""The station's screen: every reader as a tile, the batch, faults in words; keyboard only.

It draws what `Desk.view` says several times a second and hands every wish to the desk in a thread,
so that a slow centre or card never stops the screen. It fits 80 × 24, and needs no colour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.screen import ModalScreen
from textual.widgets import Static

from card_personalization.chip.errors import CardError, Language
from card_personalization.station.faults import StationError, words
from card_personalization.station.line import READERS_MAX
from card_personalization.station.screen.dialogs import (
    CloseDialog,
    Dialog,
    FaceDialog,
    SpoiledDialog,
    WalkInDialog,
)
from card_personalization.station.screen.phrases import Phrase
from card_personalization.station.screen.view import (
    MESSAGES_MAX,
    Desk,
    Said,
    StationView,
)
from card_personalization.station.screen.widgets import Messages, ReaderTile, Summary
from hsm_stub.client.errors import HsmError

REFRESH_MS: Final = 250
"""How often the screen looks at the station."""

KEYS: Final = (
    ("F2", Phrase.KEY_TAKE),
    ("F3", Phrase.KEY_WALK_IN),
    ("F4", Phrase.KEY_FACE),
    ("F5", Phrase.KEY_PAUSE),
    ("F6", Phrase.KEY_SPOILED),
    ("F7", Phrase.KEY_CLOSE),
    ("F9", Phrase.KEY_LANGUAGE),
    ("F10", Phrase.KEY_QUIT),
)
"""Function keys, since they are the same on a Russian and an English keyboard."""


class StationScreen(App[None]):
    """`spk station`: the screen of a personalization station."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    Dialog { align: center middle; }
    #title { height: 1; text-style: reverse; padding: 0 1; }
    #summary { height: 3; padding: 0 1; }
    #tiles { layout: grid; grid-size: 4 4; grid-rows: 3; height: 12; }
    #heading { height: 1; padding: 0 1; text-style: bold; }
    #messages { height: 1fr; padding: 0 1; }
    #keys { height: 1; text-style: reverse; dock: bottom; }
    ReaderTile { height: 3; padding: 0 0 1 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #title, #summary, #keys { text-wrap: nowrap; text-overflow: ellipsis; }
    ReaderTile.-take_out { text-style: bold; }
    ReaderTile.-fault { text-style: bold; }
    ReaderTile.-idle { text-style: dim; }
    ReaderTile.-absent { text-style: dim; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "take_batch", show=False),
        Binding("f3", "walk_in", show=False),
        Binding("f4", "face", show=False),
        Binding("f5", "pause", show=False),
        Binding("f6", "spoiled", show=False),
        Binding("f7", "close_shift", show=False),
        Binding("f9", "language", show=False, priority=True),
        Binding("f10", "leave", show=False),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]

    def __init__(self, desk: Desk, language: Language = "ru") -> None:
        super().__init__()
        self._desk = desk
        self.language: Language = language
        self._said: deque[Said] = deque(maxlen=MESSAGES_MAX)
        self._leaving = False
        self._title = Static("", id="title", markup=False)
        self._summary = Summary()
        self._tiles = [ReaderTile(number) for number in range(1, READERS_MAX + 1)]
        self._heading = Static("", id="heading", markup=False)
        self._messages = Messages()
        self._keys = Static("", id="keys", markup=False)

    def compose(self) -> ComposeResult:
        """Lay the screen out, from top to bottom."""
        yield self._title
        yield self._summary
        with Grid(id="tiles"):
            yield from self._tiles
        yield self._heading
        yield self._messages
        yield self._keys

    def on_mount(self) -> None:
        """Draw once, and then again and again."""
        self._draw()
        self.set_interval(REFRESH_MS / 1000, self._draw)

    def action_take_batch(self) -> None:
        """Take the next batch."""
        self._ask(self._desk.take_batch)

    def action_pause(self) -> None:
        """Pause, or go on."""
        paused = self._desk.view().paused
        self._ask(lambda: self._desk.pause(paused=not paused))

    def action_walk_in(self) -> None:
        """Make one card for a visitor."""
        self._open(WalkInDialog(self._desk, self.language))

    def action_face(self) -> None:
        """Show the face of a card that is being written."""
        self._open(FaceDialog(self._desk, self.language))

    def action_spoiled(self) -> None:
        """Show the spoiled cards."""
        self._open(SpoiledDialog(self._desk, self.language))

    def action_close_shift(self) -> None:
        """Count the blanks and close the shift."""
        self._open(CloseDialog(self._desk, self.language))

    def action_language(self) -> None:
        """Change the language, of an open dialog too."""
        self.language = "en" if self.language == "ru" else "ru"
        if isinstance(self.screen, Dialog):
            self.screen.speak(self.language)
        self._draw()

    def action_leave(self) -> None:
        """Let cards under way come to their end, then leave."""
        self._leaving = True
        self._ask(self._desk.shut, then=self.exit)

    def _open(self, dialog: ModalScreen[None]) -> None:
        if not isinstance(self.screen, Dialog):
            self.push_screen(dialog)

    def _ask(self, wish: Callable[[], None], then: Callable[[], None] | None = None) -> None:
        """Have the desk do something, in a thread; what fails is told among the messages."""

        def work() -> None:
            try:
                wish()
            except (StationError, CardError, HsmError) as error:
                self._said.append(Said(words(error, "ru"), words(error, "en")))
            if then is not None:
                self.call_from_thread(then)

        self.run_worker(work, thread=True, exit_on_error=True)

    def _draw(self) -> None:
        if not self._keys.is_attached:
            # A last tick while the screen goes.
            return
        view, language = self._desk.view(), self.language
        self._title.update(_title_line(view, language, self.size.width))
        self._summary.show(view, language)
        tiles = {tile.number: tile for tile in view.tiles}
        for number, shown in enumerate(self._tiles, start=1):
            shown.show(tiles.get(number), language)
        heading = Phrase.LEAVING if self._leaving else Phrase.MESSAGES
        self._heading.update(heading.say(language))
        self._messages.show(view, (*view.messages, *self._said), language)
        self._keys.update(" ".join(f"{key} {phrase.say(language)}" for key, phrase in KEYS))


def _title_line(view: StationView, language: Language, width: int) -> str:
    title = Phrase.TITLE.say(language)
    return f"{title:<{max(0, width - len(view.station) - 3)}} {view.station}"
