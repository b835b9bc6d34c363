"""The station's screen: what an officer sees and can do with the keyboard alone."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from card_personalization.station.face import CardFace
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.line import READERS_MAX
from card_personalization.station.screen.app import KEYS, StationScreen
from card_personalization.station.screen.dialogs import Dialog, Tick, balance_text
from card_personalization.station.screen.phrases import Phrase, time_words
from card_personalization.station.screen.view import (
    Balance,
    Said,
    StationView,
    TileState,
    TileView,
    WalkIn,
)
from card_personalization.station.screen.widgets import ReaderTile, bar, summary_lines

NUMBER = "9643909912345678901"
WRONG_KEY = Said(
    "Карта не приняла заводской ключ управления (9B). Укажите ключ партии: --factory-key-file",
    "The card refused the factory management key (9B). Name the key of this lot",
)


class ScriptedDesk:
    """A desk that shows what it is told and writes down what it is asked."""

    def __init__(self, view: StationView) -> None:
        self.shown = view
        self.asked: list[str] = []
        self.visitor: WalkIn | None = None
        self.refuse = False
        self.blanks = 10
        self.shut_down = threading.Event()

    def view(self) -> StationView:
        return self.shown

    def take_batch(self) -> None:
        self._ask("batch")

    def pause(self, *, paused: bool) -> None:
        self._ask(f"pause {paused}")

    def walk_in(self, snils: str, *, replace: bool) -> None:
        self._ask(f"walk in {snils} {replace}")
        self.visitor = WalkIn(card_number=NUMBER, written=False)

    def walk_in_state(self) -> WalkIn | None:
        return self.visitor

    def hand_over(self) -> str:
        self._ask("hand over")
        self.visitor = None
        return NUMBER

    def face(self, reader: int) -> CardFace | None:
        if reader != 1:
            return None
        return CardFace(
            last_name="Константинопольская-Преображенская",
            first_name="Проба",
            patronymic="",
            card_number=NUMBER,
            region_name="Свердловская область",
            valid_to=date(2031, 11, 21),
            phone="8 800 000-00-00",
        )

    def save_face(self, face: CardFace) -> Path:
        self._ask(f"save {face.card_number}")
        return Path("faces") / f"{face.card_number}.pdf"

    def spoiled(self) -> tuple[Said, ...]:
        return (Said("Карта 17 погнута", "Card 17 is bent"),)

    def close_shift(self, left: int) -> Balance:
        return Balance(blanks=self.blanks, good=6, spoiled=1, left=left)

    def shut(self) -> None:
        self.shut_down.set()

    def _ask(self, what: str) -> None:
        if self.refuse:
            raise StationError(StationFault.CENTRE_AWAY, address="https://centre", detail="—")
        self.asked.append(what)


def working(**changes: object) -> StationView:
    fields: dict[str, object] = {
        "station": "office-1",
        "batch": "12 · МФЦ «Ленинский»",
        "total": 340,
        "good": 212,
        "spoiled": 3,
        "left": 125,
        "blanks": 140,
        "rate_per_minute": 5.2,
        "tiles": tuple(
            TileView(number=number, state=TileState.WRITING, step=number % 13, steps=13)
            for number in range(1, READERS_MAX + 1)
        ),
    }
    return StationView(**{**fields, **changes})  # type: ignore[arg-type]


def text_of(app: StationScreen, query: str) -> str:
    """Give what a part of the screen says."""
    return str(app.screen.query_one(query, Static).content)


def key_in(app: StationScreen, value: str) -> None:
    """Fill the field of an open box at once; each key pressed alone takes the pilot long."""
    app.screen.query_one(Input).value = value


async def settled(pilot: Pilot[None]) -> None:
    """Wait until the desk has answered and everything is drawn."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (160, 48)])
@pytest.mark.parametrize("language", ["ru", "en"])
async def test_sixteen_readers_fit_the_screen(size: tuple[int, int], language: object) -> None:
    app = StationScreen(ScriptedDesk(working()), "en" if language == "en" else "ru")
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        tiles = list(app.query(ReaderTile))
        assert len(tiles) == READERS_MAX
        for part in (*tiles, *app.query("#title, #summary, #messages, #keys")):
            assert part.region.area > 0
            assert app.screen.region.contains_region(part.region), part
        for part in (*tiles, app.query_one("#summary", Static), app.query_one("#keys", Static)):
            longest = max(len(line) for line in str(part.content).splitlines())
            assert longest <= part.content_region.width, part.content


async def test_the_keys_are_written_below_and_no_mouse_is_needed() -> None:
    app = StationScreen(ScriptedDesk(working()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        shown = text_of(app, "#keys")
        assert all(f"{key} {phrase.say('ru')}" in shown for key, phrase in KEYS)
        bound = {active.binding.key for active in app.active_bindings.values()}
        assert {key.lower() for key, _ in KEYS} <= bound


def test_every_state_has_a_sign_of_its_own() -> None:
    signs = [state.value for state in TileState]
    assert len(set(signs)) == len(signs)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (TileState.IDLE, "· Ждёт партию"),
        (TileState.WAITING, "▽ Вставьте карту"),
        (TileState.WRITING, "▶ Пишется\n█████░░░ 9/13"),
        (TileState.TAKE_OUT, "✓ Готова, выньте\n…8901"),
        (TileState.FAULT, "✗ Отложите карту\n…8901"),
        (TileState.ABSENT, "? Нет считывателя\n…8901"),
    ],
)
async def test_a_tile_says_its_state_in_words(state: TileState, words: str) -> None:
    step = 9 if state is TileState.WRITING else 0
    said = Said("", "") if state in (TileState.IDLE, TileState.WAITING) else Said("…8901", "…8901")
    tile = TileView(number=3, state=state, step=step, steps=13, said=said)
    app = StationScreen(ScriptedDesk(working(tiles=(tile,))))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert text_of(app, "#tile-3") == f"3 {words}" + ("\n" if "\n" not in words else "")
        assert [shown.display for shown in app.query(ReaderTile)].count(True) == 1


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {},
            (
                "Партия 12 · МФЦ «Ленинский» · карт: 340",
                "████████████████████░░░░░░░░░░░░ 63 %   5,2 карт/мин · ещё ≈ 25 мин",
                "Готово 212 · Брак 3 · Осталось 125 · Заготовок на столе: 140",
            ),
        ),
        ({"rate_per_minute": None, "left": 340, "good": 0}, ("скорость пока неизвестна",)),
        ({"rate_per_minute": 0.5, "left": 300}, ("10 ч 0 мин",)),
        ({"total": 0, "left": 0}, ("Партии нет",)),
        ({"paused": True}, ("ПАУЗА",)),
    ],
)
def test_the_summary_says_how_far_it_is(changes: dict[str, object], lines: tuple[str, ...]) -> None:
    shown = "\n".join(summary_lines(working(**changes), "ru"))
    for line in lines:
        assert line in shown


@pytest.mark.parametrize(
    ("seconds", "ru", "en"),
    [
        (5, "меньше минуты", "less than a minute"),
        (60, "1 мин", "1 min"),
        (61, "2 мин", "2 min"),
        (3600, "1 ч 0 мин", "1 h 0 min"),
    ],
)
def test_time_left_is_said_in_minutes(seconds: float, ru: str, en: str) -> None:
    assert (time_words(seconds, "ru"), time_words(seconds, "en")) == (ru, en)


@pytest.mark.parametrize(("done", "total", "full"), [(0, 0, 0), (0, 9, 0), (9, 9, 8), (99, 9, 8)])
def test_a_bar_never_runs_over(done: int, total: int, full: int) -> None:
    assert bar(done, total, 8) == "█" * full + "░" * (8 - full)


async def test_faults_are_told_in_words_and_in_the_language_asked_for() -> None:
    desk = ScriptedDesk(working(messages=(WRONG_KEY,), resumable=2))
    app = StationScreen(desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "Не закончено карт: 2" in text_of(app, "#messages")
        assert WRONG_KEY.ru in text_of(app, "#messages")
        desk.refuse = True
        await pilot.press("f2")
        await settled(pilot)
        await pilot.press("f9")
        await pilot.pause()
        shown = text_of(app, "#messages")
        assert WRONG_KEY.en in shown
        assert "The centre at https://centre does not answer" in shown
        assert "F2 Batch" in text_of(app, "#keys")


async def test_batch_pause_and_leaving() -> None:
    desk = ScriptedDesk(working())
    app = StationScreen(desk)
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ("f2", "f5"):
            await pilot.press(key)
            await settled(pilot)
        desk.shown = working(paused=True)
        await pilot.press("f5")
        await settled(pilot)
        assert desk.asked == ["batch", "pause True", "pause False"]
        await pilot.press("f10")
        await settled(pilot)
    assert desk.shut_down.is_set()


async def test_a_visitor_gets_a_card_step_by_step() -> None:
    desk = ScriptedDesk(working())
    app = StationScreen(desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f3")
        await pilot.pause()
        assert "Введите СНИЛС" in text_of(app, "#said")
        desk.refuse = True
        key_in(app, "11223344595")
        await pilot.press("enter")
        await settled(pilot)
        assert "не отвечает" in text_of(app, "#said")
        desk.refuse = False
        await pilot.press("tab", "space", "shift+tab", "enter")
        await settled(pilot)
        assert desk.asked == ["walk in 11223344595 True"]
        assert "Вставьте чистую карту" in text_of(app, "#said")
        await pilot.press("enter")
        await settled(pilot)
        assert "hand over" not in desk.asked
        desk.visitor = WalkIn(card_number=NUMBER, written=True)
        await until(pilot, lambda: "под подпись" in text_of(app, "#said"))
        await pilot.press("enter")
        await settled(pilot)
        assert desk.asked[-1] == "hand over"
        assert text_of(app, "#said") == "Карта 9643 9099 1234 5678 901 выдана и действует."
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, Dialog)


async def until(pilot: Pilot[None], reached: object) -> None:
    """Let the screen refresh itself until it says what is waited for."""
    assert callable(reached)
    for _ in range(100):
        if reached():
            return
        await pilot.pause(0.05)
    raise AssertionError("the screen never said it")


async def test_a_card_that_is_being_written_can_be_looked_at_and_saved() -> None:
    desk = ScriptedDesk(working())
    app = StationScreen(desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        key_in(app, "2")
        await pilot.press("enter")
        await settled(pilot)
        assert "не пишется карта" in text_of(app, "#said")
        key_in(app, "x")
        await pilot.press("enter")
        await settled(pilot)
        assert "целое число" in text_of(app, "#said")
        key_in(app, "1")
        await pilot.press("enter")
        await settled(pilot)
        shown = text_of(app, "#said")
        for words in ("КОНСТАНТИНОПОЛЬСКАЯ-ПРЕОБРАЖЕНСКАЯ", "9643 9099", "21.11.2031", "Потеряли"):
            assert words in shown
        await pilot.press("f4")
        await settled(pilot)
        assert desk.asked == [f"save {NUMBER}"]
        assert f"faces/{NUMBER}.pdf" in text_of(app, "#said").replace("\\", "/")
        said = app.screen.query_one("#said", Static)
        assert app.screen.region.contains_region(said.region)


async def test_a_shift_closes_only_when_it_adds_up() -> None:
    app = StationScreen(ScriptedDesk(working()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f7")
        key_in(app, "5")
        await pilot.press("enter")
        await settled(pilot)
        assert "НЕ СХОДИТСЯ на -2" in text_of(app, "#said")
        assert app.screen.query_one(Input).display
        key_in(app, "3")
        await pilot.press("enter")
        await settled(pilot)
        assert "СХОДИТСЯ: 10 = 6 + 1 + 3" in text_of(app, "#said")
        assert not app.screen.query_one(Input).display


async def test_spoiled_cards_are_listed_with_their_reasons() -> None:
    app = StationScreen(ScriptedDesk(working()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f6")
        await pilot.pause()
        assert text_of(app, "#said") == "1. Карта 17 погнута"
        await pilot.press("f9")
        await pilot.pause()
        assert text_of(app, "#said") == "1. Card 17 is bent"


def test_a_balance_shows_the_whole_equation() -> None:
    shown = balance_text(Balance(blanks=10, good=6, spoiled=1, left=3), "en")
    for words in (
        "Blanks in",
        "10",
        "Good cards",
        "6",
        "Blanks left",
        "IT ADDS UP: 10 = 6 + 1 + 3",
    ):
        assert words in shown


@pytest.mark.parametrize("phrase", Phrase)
def test_every_phrase_has_both_languages_with_the_same_facts(phrase: Phrase) -> None:
    ru, en = phrase.value
    assert ru
    assert en
    facts = ("{name}", "{count}", "{number}", "{path}", "{difference}", "{left}", "{total}")
    assert [fact in ru for fact in facts] == [fact in en for fact in facts]


def test_a_tick_is_a_sign() -> None:
    tick = Tick("replace")
    tick.show("Заменить")
    before = str(tick.content)
    tick.action_tick()
    assert (before, str(tick.content)) == ("[ ] Заменить", "[x] Заменить")
