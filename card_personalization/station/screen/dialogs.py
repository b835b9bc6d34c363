"""What opens over the station's screen: a visitor's card, a card's face, spoiled cards, closing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from card_personalization.chip.errors import CardError, Language
from card_personalization.station.face import CardFace, grouped
from card_personalization.station.faults import StationError, words
from card_personalization.station.screen.phrases import Phrase
from card_personalization.station.screen.view import Balance, Desk, Said, WalkIn
from hsm_stub.client.errors import HsmError

POLL_MS: Final = 250
INPUT_LENGTH_MAX: Final = 32
_FACE_CELLS: Final = 60

T = TypeVar("T")


class Dialog(ModalScreen[None]):
    """A box over the screen: a title, a text, mostly one field; Esc goes back."""

    CSS = """
    #box { width: 76; max-width: 100%; height: auto; max-height: 100%; border: heavy $foreground;
           padding: 0 1; background: $surface; }
    #box-title { text-style: bold; height: 1; }
    #scroll { height: auto; max-height: 18; }
    #said { height: auto; margin: 1 0 0 0; }
    #back { margin-top: 1; height: 1; }
    Input { height: 1; border: none; border-left: outer $foreground; background: $boost; }
    Tick { height: 1; }
    Tick:focus { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", show=False)]
    TITLE_PHRASE: ClassVar[Phrase]

    def __init__(self, desk: Desk, language: Language) -> None:
        super().__init__()
        self.desk = desk
        self.language: Language = language
        self.fault: Said | None = None

    def compose(self) -> ComposeResult:
        """Lay the box out: title, text, fields, the way back."""
        with Vertical(id="box"):
            yield Static("", id="box-title", markup=False)
            with VerticalScroll(id="scroll", can_focus=False):
                yield Static("", id="said", markup=False)
            yield from self.fields()
            yield Static("", id="back", markup=False)

    def fields(self) -> ComposeResult:
        """Give the fields of this box, from top to bottom."""
        yield from ()

    def text(self) -> str:
        """Return what the box says now."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Show the text."""
        self.speak(self.language)

    def speak(self, language: Language) -> None:
        """Show everything in a language."""
        self.language = language
        self.query_one("#box-title", Static).update(self.TITLE_PHRASE.say(language))
        self.query_one("#back", Static).update(f"Esc {Phrase.KEY_BACK.say(language)}")
        self.show()

    def show(self) -> None:
        """Show the text anew, with the last fault above it."""
        fault = "" if self.fault is None else f"✗ {self.fault.of(self.language)}\n\n"
        self.query_one("#said", Static).update(fault + self.text())

    def action_back(self) -> None:
        """Close the box."""
        self.dismiss(None)

    def ask(self, wish: Callable[[], T], then: Callable[[T], None]) -> None:
        """Have the desk do something in a thread, and go on with its answer here.

        What fails is shown in the box.
        """

        def work() -> None:
            try:
                answer = wish()
            except (StationError, CardError, HsmError) as error:
                said = Said(words(error, "ru"), words(error, "en"))
                self.app.call_from_thread(self._failed, said)
            else:
                self.app.call_from_thread(self._went_well, then, answer)

        self.fault = None
        self.run_worker(work, thread=True)

    def _failed(self, said: Said) -> None:
        self.fault = said
        if self.is_current:
            self.show()

    def _went_well(self, then: Callable[[T], None], answer: T) -> None:
        if self.is_current:
            then(answer)
            self.show()


class Tick(Static, can_focus=True):
    """A yes or no that is ticked with a sign, not with a colour; space changes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "tick", show=False)]

    def __init__(self, name: str) -> None:
        super().__init__("", id=name, markup=False)
        self.ticked = False
        self._label = ""

    def show(self, label: str) -> None:
        """Show the sign with a label."""
        self._label = label
        self.update(f"[{'x' if self.ticked else ' '}] {label}")

    def action_tick(self) -> None:
        """Tick, or take the tick away."""
        self.ticked = not self.ticked
        self.show(self._label)


class WalkInDialog(Dialog):
    """One card for a visitor: order, insert, steps, mailer, hand over."""

    TITLE_PHRASE = Phrase.WALK_IN_TITLE

    def __init__(self, desk: Desk, language: Language) -> None:
        super().__init__(desk, language)
        self._state: WalkIn | None = desk.walk_in_state()
        self._handed_over = ""

    def fields(self) -> ComposeResult:
        """Ask for the СНИЛС, and whether the new card replaces another."""
        yield Input(
            select_on_focus=False,
            max_length=INPUT_LENGTH_MAX,
            id="snils",
            placeholder="000-000-000 00",
        )
        yield Tick("replace")

    def on_mount(self) -> None:
        """Look at the card again and again."""
        super().on_mount()
        self.set_interval(POLL_MS / 1000, self._look)

    def speak(self, language: Language) -> None:
        """Show everything in a language."""
        self.query_one(Tick).show(Phrase.WALK_IN_REPLACE.say(language))
        super().speak(language)

    def text(self) -> str:
        """Say what is to be done next."""
        ordering = self._state is None and not self._handed_over
        for field in (self.query_one(Input), self.query_one(Tick)):
            field.display = ordering
        language = self.language
        if self._handed_over:
            return Phrase.WALK_IN_DONE.say(language, number=grouped(self._handed_over))
        if self._state is None:
            return Phrase.WALK_IN_BEGIN.say(language)
        if self._state.written:
            number = grouped(self._state.card_number)
            return Phrase.WALK_IN_HAND_OVER.say(language, number=number)
        return self._under_way()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Order the card."""
        snils, replace = event.value, self.query_one(Tick).ticked
        self.ask(lambda: self.desk.walk_in(snils, replace=replace), lambda _: self._look())

    def key_enter(self) -> None:
        """Hand the written card over."""
        if self._state is not None and self._state.written and not self._handed_over:
            self.ask(self.desk.hand_over, self._done)

    def _done(self, number: str) -> None:
        self._handed_over = number

    def _look(self) -> None:
        if self.is_current and not self._handed_over:
            before, self._state = self._state, self.desk.walk_in_state()
            if (before is None) is not (self._state is None):
                self.set_focus(self.query_one(Input) if self._state is None else None)
            self.show()

    def _under_way(self) -> str:
        return Phrase.WALK_IN_INSERT.say(self.language)


class FaceDialog(Dialog):
    """The face of a card that is being written, as far as a terminal can show it."""

    TITLE_PHRASE = Phrase.FACE_TITLE
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f4", "save", show=False)]

    def __init__(self, desk: Desk, language: Language) -> None:
        super().__init__(desk, language)
        self._face: CardFace | None = None
        self._asked = False
        self._saved: Path | None = None

    def fields(self) -> ComposeResult:
        """Ask for the reader."""
        yield Input(select_on_focus=False, max_length=2, id="reader", placeholder="1")

    def text(self) -> str:
        """Return the card, front and back, in letters."""
        language = self.language
        if self._face is None:
            missing = f"{Phrase.FACE_NONE.say(language)}\n" if self._asked else ""
            return missing + Phrase.FACE_WHOSE.say(language)
        note = Phrase.FACE_SAVE.say(language)
        if self._saved is not None:
            note = Phrase.FACE_SAVED.say(language, path=self._saved)
        return f"{face_in_letters(self._face, language)}\n{note}"

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask the centre what is printed on the card in this reader."""
        text = event.value.strip()
        if not (text.isascii() and text.isdigit()):
            self.fault = Said(*Phrase.NOT_A_NUMBER.value)
            self.show()
            return
        self._saved = None
        self.ask(lambda: self.desk.face(int(text)), self._take)

    def action_save(self) -> None:
        """Write PDF and PNG."""
        face = self._face
        if face is not None:
            self.ask(lambda: self.desk.save_face(face), self._kept)

    def _take(self, face: CardFace | None) -> None:
        self._face, self._asked = face, True

    def _kept(self, path: Path) -> None:
        self._saved = path


class SpoiledDialog(Dialog):
    """Every spoiled card with its reason."""

    TITLE_PHRASE = Phrase.SPOILED_TITLE

    def text(self) -> str:
        """List them, numbered."""
        lines = [
            f"{number}. {said.of(self.language)}"
            for number, said in enumerate(self.desk.spoiled(), start=1)
        ]
        return "\n".join(lines) or Phrase.SPOILED_NONE.say(self.language)


class CloseDialog(Dialog):
    """Counting the blanks: the shift closes when they add up, and not before."""

    TITLE_PHRASE = Phrase.CLOSE_TITLE

    def __init__(self, desk: Desk, language: Language) -> None:
        super().__init__(desk, language)
        self._balance: Balance | None = None

    def fields(self) -> ComposeResult:
        """Ask how many blanks are left."""
        yield Input(select_on_focus=False, max_length=6, id="left", placeholder="0")

    def text(self) -> str:
        """Return the equation, or the question."""
        if self._balance is None:
            return Phrase.CLOSE_ASK.say(self.language)
        self.query_one(Input).display = self._balance.difference != 0
        return balance_text(self._balance, self.language)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Close the shift with this count."""
        text = event.value.strip()
        if not (text.isascii() and text.isdigit()):
            self.fault = Said(*Phrase.NOT_A_NUMBER.value)
            self.show()
            return
        self.ask(lambda: self.desk.close_shift(int(text)), self._take)

    def _take(self, balance: Balance) -> None:
        self._balance = balance


def balance_text(balance: Balance, language: Language) -> str:
    """Return a shift's equation as a table, and whether it adds up."""
    rows = (
        (Phrase.CLOSE_BLANKS, balance.blanks),
        (Phrase.CLOSE_GOOD, balance.good),
        (Phrase.CLOSE_SPOILED, balance.spoiled),
        (Phrase.CLOSE_LEFT, balance.left),
        (Phrase.CLOSE_DIFFERENCE, balance.difference),
    )
    table = "\n".join(f"{phrase.say(language):<24}{number:>8}" for phrase, number in rows)
    if balance.difference:
        verdict = f"✗ {Phrase.CLOSE_DIFFERS.say(language, difference=balance.difference)}"
    else:
        verdict = "✓ " + Phrase.CLOSE_AGREES.say(
            language,
            blanks=balance.blanks,
            good=balance.good,
            spoiled=balance.spoiled,
            left=balance.left,
        )
    return f"{table}\n\n{verdict}"


def face_in_letters(face: CardFace, language: Language) -> str:
    """Return both sides of a card as boxes of letters: words, no layout."""
    photo = "[фото]" if face.photo else "[фото: нет]"
    front = (
        "Социально-платёжная карта",
        f"[чип]  {face.region_name}",
        f"{face.last_name.upper()}  {photo}",
        " ".join(filter(None, (face.first_name, face.patronymic))),
        f"{grouped(face.card_number)}  [QR]",
        f"действует по {face.valid_to:%d.%m.%Y}",
    )
    back = ("Потеряли карту? Позвоните сразу:", face.phone, grouped(face.card_number))
    return "\n".join(
        (
            Phrase.FACE_FRONT.say(language),
            *_boxed(front),
            Phrase.FACE_BACK.say(language),
            *_boxed(back),
        )
    )


def _boxed(lines: tuple[str, ...]) -> tuple[str, ...]:
    wrapped = [
        line[start : start + _FACE_CELLS]
        for line in lines
        for start in range(0, max(1, len(line)), _FACE_CELLS)
    ]
    edge = "─" * (_FACE_CELLS + 2)
    middle = (f"│ {line:<{_FACE_CELLS}} │" for line in wrapped)
    return (f"┌{edge}┐", *middle, f"└{edge}┘")
