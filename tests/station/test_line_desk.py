"""The screen over the station's real core: a batch, a visitor, a face, and the books."""

from __future__ import annotations

import re
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import factory_state
from card_personalization.chip.transport.inprocess import ApduCard
from card_personalization.station.books import add_blanks, books_of
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.faults import CentreRefused, StationError, StationFault
from card_personalization.station.issuing import Outcome, Station
from card_personalization.station.journal import Journal
from card_personalization.station.line import READERS_MAX
from card_personalization.station.lot import Lot
from card_personalization.station.mailing import MailerBook, MailerFile, MailerPrinter
from card_personalization.station.orders import OrderList
from card_personalization.station.pin_letter import PinLetter
from card_personalization.station.ports import Hopper
from card_personalization.station.screen.app import StationScreen
from card_personalization.station.screen.line_desk import LineDesk
from card_personalization.station.screen.view import TileState
from processing.wire import batches as wire
from processing.wire.api import CardOrder, OrderRequest, ProblemType, problem
from tests.station.rig import Letters, MemoryCentre, ModuleKeys, client_of, unwatched

PRINTER = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
PHONE = "8 800 000-00-00"
END_TIMEOUT_S = 60.0
BATCH = UUID(int=12)


class Office(MemoryCentre):
    """The centre in memory with one batch, faces and a count of blanks."""

    def __init__(self, keys: ModuleKeys) -> None:
        super().__init__(keys.authority())
        self.counted: list[int] = []
        self.purposes: list[str] = []

    def take_batch(self, batch_id: UUID | None = None) -> wire.CardBatch | None:
        assert batch_id is None
        opened = self.open_orders()
        if not opened:
            return None
        return wire.CardBatch(
            batch_id=BATCH,
            number=12,
            point_id="mfc-1",
            point_name="МФЦ «Ленинский»",
            planned_on=opened[0].valid_to,
            open=len(opened),
            issued=0,
        )

    def orders_of(self, batch_id: UUID) -> Sequence[CardOrder]:
        assert batch_id == BATCH
        return self.open_orders()

    def order(self, request: OrderRequest) -> CardOrder:
        if request.snils != "11223344595":
            raise CentreRefused(problem(ProblemType.CITIZEN_UNKNOWN))
        return self.make()

    def give_up(self, order_id: UUID) -> CardOrder:
        raise AssertionError(order_id)

    def face(self, order_id: UUID, purpose: str) -> wire.CardFace:
        self.purposes.append(purpose)
        order = self.orders[order_id]
        return wire.CardFace(
            order_id=order_id,
            last_name="Тестова",
            first_name="Проба",
            patronymic=None,
            card_number=order.card_number,
            valid_to=order.valid_to,
            region_ru="Область",
            region_en="Region",
        )

    def count_blanks(self, left: int) -> wire.BlankBalance:
        self.counted.append(left)
        return wire.BlankBalance(
            station_id="office-1",
            counted_on=date(2026, 11, 22),
            opening=0,
            given=left,
            returned=0,
            good=0,
            spoiled=0,
            counted_left=left,
            missing=0,
        )


class Box:
    """One box of blanks, from which every reader is fed; more may be laid in."""

    def __init__(self) -> None:
        self._cards: list[ApduCard] = []
        self._filled = threading.Condition()

    def lay_in(self, *cards: ApduCard) -> None:
        """Lay cards in."""
        with self._filled:
            self._cards += cards
            self._filled.notify_all()

    def draw(self, timeout_ms: int) -> ApduCard | None:
        """Take one out, at once or within the time."""
        with self._filled:
            self._filled.wait_for(lambda: bool(self._cards), timeout_ms / 1000)
            return self._cards.pop(0) if self._cards else None


class FedReader(Hopper):
    """A reader that looks into the box again and again."""

    def __init__(self, name: str, box: Box) -> None:
        super().__init__(name, iter(()))
        self._box = box

    def wait_for_card(self, timeout_ms: int) -> bool:
        """Whether there is a card."""
        if self._current is None:
            self._current = self._box.draw(timeout_ms)
        return self._current is not None


def blanks(count: int) -> list[SoftCard]:
    """Give blank cards of one lot."""
    return [SoftCard(factory_state(serial=100 + number)) for number in range(count)]


@pytest.fixture
def keys() -> ModuleKeys:
    return ModuleKeys()


@pytest.fixture
def centre(keys: ModuleKeys) -> Office:
    return Office(keys)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def desk(tmp_path: Path, keys: ModuleKeys, centre: Office, box: Box) -> Iterator[LineDesk]:
    mailers = tmp_path / "mailers"
    mailers.mkdir()
    with Journal.open(tmp_path) as journal:
        print_mailer = MailerFile(MailerBook(tmp_path / "mailers.book"), mailers, PHONE)
        station = Station(journal, ServiceKeys(keys), Lot(), print_mailer, centre)
        ports = [FedReader(f"reader {number}", box) for number in range(1, READERS_MAX + 1)]
        photos = tmp_path / "photos"
        photos.mkdir()
        sitting = LineDesk("office-1", station, ports, centre, tmp_path, PHONE, "Petrova", photos)
        sitting.line.start()
        try:
            yield sitting
        finally:
            sitting.shut()


async def until(pilot: Pilot[None], reached: Callable[[], object]) -> None:
    """Let the screen refresh itself until it is so."""
    for _ in range(int(END_TIMEOUT_S / 0.05)):
        if reached():
            return
        await pilot.pause(0.05)
    raise AssertionError("it never came to that")


def said(app: StationScreen, query: str) -> str:
    """Give what a part of the screen says."""
    return str(app.screen.query_one(query, Static).content)


def fill(app: StationScreen, value: str) -> None:
    """Fill the field of the open box."""
    app.screen.query_one(Input).value = value


async def test_an_officer_makes_a_batch_and_closes_the_shift(
    desk: LineDesk, centre: Office, box: Box, tmp_path: Path
) -> None:
    """Sixteen readers, twelve orders, one card too small; then the books."""
    for _ in range(12):
        centre.make()
    add_blanks(desk.journal, 14, "box 1")
    app = StationScreen(desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Заготовок на столе: 14" in said(app, "#summary"))
        await pilot.press("f2")
        await until(
            pilot, lambda: "Партия 12 · МФЦ «Ленинский» · карт: 12" in said(app, "#summary")
        )
        await until(pilot, lambda: "▽ Вставьте карту" in said(app, "#tile-1"))
        box.lay_in(SoftCard(factory_state(serial=7, memory_bytes=1_000)))
        await until(pilot, lambda: "Карта отложена" in said(app, "#messages"))
        box.lay_in(*blanks(12))
        await until(pilot, lambda: "Готово 12 · Брак 0 · Осталось 0" in said(app, "#summary"))
        assert re.search(r"✗ Считыватель \d+: Карта отложена", said(app, "#messages"))
        await pilot.press("f7")
        fill(app, "1")
        await pilot.press("enter")
        await until(pilot, lambda: "НЕ СХОДИТСЯ на 1" in said(app, "#said"))
        assert centre.counted == []
        fill(app, "2")
        await pilot.press("enter")
        await until(pilot, lambda: "СХОДИТСЯ: 14 = 12 + 0 + 2" in said(app, "#said"))
    assert centre.counted == [2]
    assert len(centre.cards) == 12
    assert len(list((tmp_path / "mailers").iterdir())) == 12
    assert books_of(desk.journal).blanks == 2


async def test_a_visitors_card_comes_before_the_batch(
    desk: LineDesk, centre: Office, box: Box
) -> None:
    add_blanks(desk.journal, 3, "box 1")
    app = StationScreen(desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f3")
        fill(app, "00000000000")
        await pilot.press("enter")
        await until(pilot, lambda: "нет в регистре" in said(app, "#said"))
        fill(app, "11223344595")
        await pilot.press("enter")
        await until(pilot, lambda: "Вставьте чистую карту" in said(app, "#said"))
        box.lay_in(*blanks(1))
        await until(pilot, lambda: "записана и проверена" in said(app, "#said"))
        await pilot.press("enter")
        await until(pilot, lambda: "выдана и действует" in said(app, "#said"))
    (order,) = centre.orders.values()
    assert order.card_id in centre.cards


def test_the_face_of_a_written_card_is_read_with_its_purpose(
    desk: LineDesk, centre: Office, box: Box, tmp_path: Path
) -> None:
    assert desk.face(1) is None
    assert desk.face(99) is None
    desk.walk_in("11223344595", replace=False)
    box.lay_in(*blanks(1))
    written = wait_for(lambda: next((n for n in range(1, 17) if desk.face(n)), None))
    face = desk.face(written)
    assert face is not None
    assert (face.last_name, face.phone, face.photo) == ("Тестова", PHONE, b"")
    (tmp_path / "photos" / f"{face.card_number}.jpg").write_bytes(b"a portrait")
    again = desk.face(written)
    assert again is not None
    assert again.photo == b"a portrait"
    assert set(centre.purposes) == {"print preview by Petrova"}
    path = desk.save_face(face)
    files = sorted(path.parent.iterdir())
    assert [file.suffix for file in files] == [".png", ".png", ".pdf"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    with pytest.raises(StationError) as refused:
        desk.save_face(face)
    assert refused.value.fault is StationFault.FILE_UNUSABLE


def test_no_code_stays_at_the_station(
    tmp_path: Path, keys: ModuleKeys, centre: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journal, book of mailers, temporary files: after a whole batch none holds a PIN or a PUK."""
    place, tray, letters = tmp_path / "station", tmp_path / "tray.pdf", Letters()
    place.mkdir()
    for name in ("TMPDIR", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(place))
    command = [sys.executable, "-c", PRINTER, str(tray)]
    print_mailer = MailerPrinter(MailerBook(place / "mailers.book"), command, PHONE)

    def hand_over(letter: PinLetter, again: bool) -> None:
        letters(letter, again)
        print_mailer(letter, again)

    with Journal.open(place) as journal:
        station = Station(journal, ServiceKeys(keys), Lot(), hand_over, centre)
        for card in blanks(3):
            centre.make()
            orders = OrderList(centre.open_orders(), journal)
            assert station.serve(client_of(card), orders, unwatched).outcome is Outcome.ISSUED
    assert len(letters.given) == 3
    left = b"\n".join(file.read_bytes() for file in place.rglob("*") if file.is_file())
    assert letters.given[0].card_number.encode() in left
    for code in (code for letter in letters.given for code in (letter.pin, letter.puk)):
        assert re.search(rb"(?<!\d)" + code.encode() + rb"(?!\d)", left) is None


def wait_for(found: Callable[[], int | None]) -> int:
    """Look until something is found."""
    pause = threading.Event()
    for _ in range(int(END_TIMEOUT_S / 0.05)):
        seen = found()
        if seen is not None:
            return seen
        pause.wait(0.05)
    raise AssertionError("it was never found")


def test_a_station_without_orders_waits(desk: LineDesk, centre: Office) -> None:
    shown = desk.view()
    assert len(shown.tiles) == READERS_MAX
    assert {tile.state for tile in shown.tiles} <= {TileState.IDLE, TileState.WAITING}
    assert shown.station == "office-1"
    desk.pause(paused=True)
    assert desk.view().paused
    with pytest.raises(StationError, match="There is no batch"):
        desk.take_batch()
    assert centre.orders == {}
