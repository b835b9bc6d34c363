"""Readers side by side: every order gets one card, whatever is put in, and the books add up."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import factory_state
from card_personalization.chip.transport.inprocess import ApduCard
from card_personalization.readers.virtual import VirtualReaders
from card_personalization.station.books import add_blanks, books_of, close_books
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.issuing import Outcome, Station
from card_personalization.station.journal import Journal
from card_personalization.station.line import READERS_MAX, Line, LineView, ReaderState, ReaderView
from card_personalization.station.lot import Lot
from card_personalization.station.orders import OrderList
from card_personalization.station.ports import Hopper, PcscPort, ReaderPort
from processing.cards.model import OrderCode
from tests.station.rig import Letters, MemoryCentre, ModuleKeys, client_of

END_TIMEOUT_S = 60.0


class Seen:
    """What a line told, and a bell for its end."""

    def __init__(self, station: Station, orders: OrderList, ports: Sequence[ReaderPort]) -> None:
        self.views: list[ReaderView] = []
        self.ended = threading.Event()
        self.line = Line(station, orders, ports, self.hear)

    def hear(self, view: ReaderView) -> None:
        """Keep an event; ring when nothing is awaited any more."""
        self.views.append(view)
        if view.state is ReaderState.TAKE_OUT and self.line.view().finished:
            self.ended.set()

    def run(self) -> LineView:
        """Run the line to its end."""
        self.line.start()
        assert self.ended.wait(END_TIMEOUT_S)
        view = self.line.view()
        self.line.stop()
        assert self.line.join(END_TIMEOUT_S)
        return view


@pytest.fixture
def keys() -> ModuleKeys:
    return ModuleKeys()


@pytest.fixture
def centre(keys: ModuleKeys) -> MemoryCentre:
    return MemoryCentre(keys.authority())


@pytest.fixture
def station(tmp_path: Path, keys: ModuleKeys, centre: MemoryCentre) -> Iterator[Station]:
    with Journal.open(tmp_path) as journal:
        yield Station(journal, ServiceKeys(keys), Lot(), Letters(), centre)


class Shared:
    """One stack of cards that several hoppers draw from."""

    def __init__(self, cards: list[ApduCard]) -> None:
        self._cards = cards
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[ApduCard]:
        while True:
            with self._lock:
                if not self._cards:
                    return
                card = self._cards.pop(0)
            yield card


def test_sixteen_readers_make_one_card_per_order(
    station: Station, centre: MemoryCentre, tmp_path: Path
) -> None:
    for _ in range(20):
        centre.make()
    wrong = SoftCard(factory_state(serial=77, memory_bytes=1_000))
    stack = Shared([wrong, *(SoftCard(factory_state(serial=100 + n)) for n in range(20))])
    orders = OrderList(centre.open_orders(), station.journal)
    ports = [Hopper(f"reader {n}", iter(stack)) for n in range(READERS_MAX)]
    add_blanks(station.journal, 25, "box 1")
    view = Seen(station, orders, ports).run()
    assert (view.progress.good, view.progress.set_aside, view.progress.waiting) == (20, 1, 0)
    assert view.progress.rate_per_minute is not None
    assert {order.state for order in centre.orders.values()} == {OrderCode.ISSUED}
    assert len(centre.cards) == 20
    books = books_of(station.journal)
    assert (books.blanks, books.good, books.spoiled, books.left) == (25, 20, 0, 5)
    close_books(station.journal, tmp_path, 5, "Petrova")
    assert books_of(station.journal).blanks == 5


@pytest.mark.pcsc
def test_sixteen_readers_of_a_real_pcscd_work_side_by_side(
    station: Station, centre: MemoryCentre, readers: VirtualReaders
) -> None:
    names = readers.names
    assert len(names) == READERS_MAX
    for number, name in enumerate(names):
        centre.make()
        readers.insert_card(SoftCard(factory_state(serial=1 + number)), name)
    orders = OrderList(centre.open_orders(), station.journal)
    view = Seen(station, orders, [PcscPort(name) for name in names]).run()
    assert (view.progress.good, view.progress.waiting, view.progress.open) == (16, 0, 0)
    assert len(centre.cards) == READERS_MAX


class Liar(SoftCard):
    """A card that answers the challenge of 9A with the signature of another digest."""

    def transmit(self, apdu: bytes) -> bytes:
        """Answer, but sign something else."""
        if apdu[1] == 0x87 and apdu[3] == 0x9A and len(apdu) > 20:
            apdu = apdu[:-33] + bytes(32) + apdu[-1:]
        return super().transmit(apdu)


def test_a_spoiled_cards_order_goes_to_the_next_card(
    station: Station, centre: MemoryCentre
) -> None:
    first = centre.make()
    orders = OrderList(centre.open_orders(), station.journal)
    cards: list[ApduCard] = [Liar(factory_state(serial=1)), SoftCard(factory_state(serial=2))]
    add_blanks(station.journal, 2, "")
    view = Seen(station, orders, [Hopper("reader", iter(cards))]).run()
    assert (view.progress.good, view.progress.spoiled) == (1, 1)
    (spoiled,) = station.journal.ledger.spoiled
    assert spoiled.card == "yubico:1"
    assert "9A" in spoiled.ru
    assert centre.orders[first.order_id].state is OrderCode.GIVEN_UP
    fresh = centre.orders[centre.remade[first.order_id]]
    assert fresh.state is OrderCode.ISSUED
    assert fresh.card_number != first.card_number
    books = books_of(station.journal)
    assert (books.blanks, books.good, books.spoiled, books.left) == (2, 1, 1, 0)


@pytest.mark.parametrize(
    ("left", "fault"), [(4, StationFault.BOOKS_DIFFER), (6, StationFault.BOOKS_DIFFER)]
)
def test_books_that_do_not_add_up_stay_open(
    station: Station, tmp_path: Path, left: int, fault: StationFault
) -> None:
    add_blanks(station.journal, 5, "box")
    with pytest.raises(StationError) as caught:
        close_books(station.journal, tmp_path, left, "Petrova")
    assert caught.value.fault is fault
    assert str(5 - left) in caught.value.text("ru")
    assert books_of(station.journal).blanks == 5


def test_an_unfinished_card_keeps_the_books_open(
    station: Station, centre: MemoryCentre, tmp_path: Path
) -> None:
    order = centre.make()
    orders = OrderList(centre.open_orders(), station.journal)
    add_blanks(station.journal, 1, "box")
    centre.away = True
    served = station.serve(client_of(SoftCard()), orders, lambda _: None)
    assert served.outcome is Outcome.INTERRUPTED
    with pytest.raises(StationError, match=order.card_number) as caught:
        close_books(station.journal, tmp_path, 0, "Petrova")
    assert caught.value.fault is StationFault.BOOKS_OPEN
    (job,) = station.journal.ledger.open_jobs
    station.spoil(job, "", "карта потеряна", "the card is lost")
    assert close_books(station.journal, tmp_path, 0, "Petrova").spoiled == 1


def test_closed_books_keep_no_codes(station: Station, centre: MemoryCentre, tmp_path: Path) -> None:
    centre.make()
    orders = OrderList(centre.open_orders(), station.journal)
    add_blanks(station.journal, 1, "box")
    Seen(station, orders, [Hopper("reader", iter([SoftCard()]))]).run()
    close_books(station.journal, tmp_path, 0, "Petrova")
    (closed,) = (tmp_path / "closed").iterdir()
    assert b'"codes":""' in closed.read_bytes()
    assert b'"record":"closed"' in closed.read_bytes()
