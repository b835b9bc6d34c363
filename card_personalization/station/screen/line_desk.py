"""The desk behind the screen: the station's line of readers, its journal and the centre."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from card_personalization.station.books import books_of, close_books
from card_personalization.station.face import CardFace
from card_personalization.station.face_file import card_face, find_photo, write_face
from card_personalization.station.faults import StationError, StationFault, words
from card_personalization.station.issuing import Outcome, Served, Station
from card_personalization.station.journal import Journal
from card_personalization.station.line import Line, ReaderState, ReaderView
from card_personalization.station.orders import OrderDesk, OrderList, OrderSource, WalkIn
from card_personalization.station.ports import ReaderPort
from card_personalization.station.screen import view as shown
from card_personalization.station.screen.view import Balance, Said, StationView, TileState, TileView
from card_personalization.station.steps import Step
from processing.wire import batches as wire
from processing.wire.api import CardOrder, OrderRequest

SHUT_TIMEOUT_MS: Final = 120_000
"""Longest wait for cards under way when the screen is left."""
NUMBER_DIGITS_SHOWN: Final = 5
"""A card is told by the end of its number; no name stands on the screen."""

_STATES: Final = {
    ReaderState.IDLE: TileState.IDLE,
    ReaderState.INSERT: TileState.WAITING,
    ReaderState.WRITING: TileState.WRITING,
    ReaderState.TAKE_OUT: TileState.TAKE_OUT,
    ReaderState.AWAY: TileState.ABSENT,
}
_GOOD: Final = frozenset({Outcome.ISSUED, Outcome.WRITTEN, Outcome.NO_ORDERS})

_NO_BATCH: Final = Said(
    "Партий для станции нет. Соберите партию в центре (spk cards batch) и нажмите F2 снова",
    "There is no batch for this station. Have one made (spk cards batch) and press F2 again",
)


class BatchDesk(OrderDesk, Protocol):
    """The part of the centre that batches, faces and counts come from."""

    def take_batch(self, batch_id: UUID | None = None) -> wire.CardBatch | None:
        """The batch at hand, or the next one that is due; None: there is none."""

    def orders_of(self, batch_id: UUID) -> Sequence[CardOrder]:
        """Its open orders."""

    def face(self, order_id: UUID, purpose: str) -> wire.CardFace:
        """What is printed on an order's card; the read is logged with its purpose."""

    def count_blanks(self, left: int) -> wire.BlankBalance:
        """Tell what is left of the blanks."""


class Orders:
    """What the line works off: a visitor's card before those of the batch. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batch: OrderSource | None = None
        self._visitor: WalkIn | None = None
        self._visitors: set[UUID] = set()

    def begin_batch(self, batch: OrderSource) -> None:
        """Work off this batch from the next card on."""
        with self._lock:
            self._batch = batch

    def begin_visitor(self, visitor: WalkIn) -> None:
        """Make the next blank the visitor's card."""
        with self._lock:
            self._visitor = visitor

    def end_visitor(self) -> None:
        """Have no visitor any more."""
        with self._lock:
            self._visitor = None

    def take(self) -> CardOrder | None:
        """The visitor's order, else the batch's next."""
        with self._lock:
            visitor, batch = self._visitor, self._batch
        if visitor is not None:
            order = visitor.take()
            if order is not None:
                with self._lock:
                    self._visitors.add(order.order_id)
                return order
        return None if batch is None else batch.take()

    def put_back(self, order: CardOrder) -> None:
        """Have an order wait again where it came from, or one in its place."""
        with self._lock:
            visitor, batch = self._visitor, self._batch
        if visitor is not None and order.batch_id is None:
            visitor.put_back(order)
        elif batch is not None:
            batch.put_back(order)

    def left(self) -> int:
        """How many wait."""
        with self._lock:
            sources = [source for source in (self._visitor, self._batch) if source is not None]
        return sum(source.left() for source in sources)

    def is_visitors(self, order_id: UUID) -> bool:
        """Whether an order was taken for a visitor."""
        with self._lock:
            return order_id in self._visitors


class LineDesk:
    """A `Desk` (view.py) over a line of readers. `name` is the station's, `folder` its own folder.

    `photos` is a folder of portraits (`face_file.find_photo`); None: faces have a placeholder.
    """

    def __init__(
        self,
        name: str,
        station: Station,
        ports: Sequence[ReaderPort],
        centre: BatchDesk,
        folder: Path,
        phone: str,
        officer: str,
        photos: Path | None = None,
    ) -> None:
        self._name = name
        self.journal: Journal = station.journal
        self._centre = centre
        self._folder = folder
        self._phone = phone
        self._photos = photos
        self._officer = officer
        self._orders = Orders()
        self._batch = ""
        self._messages: deque[Said] = deque(maxlen=shown.MESSAGES_MAX)
        self._lock = threading.Lock()
        self._visitor: shown.WalkIn | None = None
        self._station = station
        self._numbers = {port.name: number for number, port in enumerate(ports, start=1)}
        self.line = Line(station, self._orders, ports, self._watch)

    def view(self) -> StationView:
        """What is to be shown now."""
        seen = self.line.view()
        progress = seen.progress
        tiles = tuple(_tile(number, one) for number, one in enumerate(seen.readers, start=1))
        writing = sum(tile.state is TileState.WRITING for tile in tiles)
        left = progress.waiting + progress.open
        with self._lock:
            messages = tuple(self._messages)
        return StationView(
            station=self._name,
            batch=self._batch,
            total=progress.good + left,
            good=progress.good,
            spoiled=progress.spoiled,
            left=left,
            blanks=books_of(self.journal).left,
            resumable=max(0, progress.open - writing),
            rate_per_minute=progress.rate_per_minute,
            paused=seen.paused,
            tiles=tiles,
            messages=messages,
        )

    def take_batch(self) -> None:
        """Take the next batch of the centre; letters and reports that are outstanding first."""
        self._station.settle(self._orders, _unwatched)
        batch = self._centre.take_batch()
        if batch is None:
            raise StationError(StationFault.CHOICE, ru=_NO_BATCH.ru, en=_NO_BATCH.en)
        orders = OrderList(self._centre.orders_of(batch.batch_id), self.journal)
        self._batch = f"{batch.number} · {batch.point_name}"
        self._orders.begin_batch(orders)

    def pause(self, *, paused: bool) -> None:
        """Begin no further card, or go on."""
        self.line.pause(paused=paused)

    def walk_in(self, snils: str, *, replace: bool) -> None:
        """Have the next blank become a visitor's card; the centre is asked when it lies there."""
        request = OrderRequest(snils=snils, replace=replace)
        visitor = WalkIn(self._centre, request)
        # Asked now, so that a wrong СНИЛС is told before a card is put in.
        order = visitor.take()
        if order is None:
            raise AssertionError("a fresh walk-in has one order")
        visitor.put_back(order)
        with self._lock:
            self._visitor = shown.WalkIn(card_number=order.card_number, written=False)
        self._orders.begin_visitor(visitor)

    def walk_in_state(self) -> shown.WalkIn | None:
        """How far the visitor's card is."""
        with self._lock:
            return self._visitor

    def hand_over(self) -> str:
        """End the visit: the centre let the card work when it was reported."""
        with self._lock:
            visitor, self._visitor = self._visitor, None
        self._orders.end_visitor()
        return "" if visitor is None else visitor.card_number

    def face(self, reader: int) -> CardFace | None:
        """The face of the card that was written last in this reader."""
        readers = self.line.view().readers
        served = readers[reader - 1].served if 1 <= reader <= len(readers) else None
        if served is None or served.order is None:
            return None
        order = served.order
        # A photo that cannot be used is told before a person's name is asked for.
        photo = find_photo(self._photos, order.order_id, order.card_number)
        told = self._centre.face(order.order_id, f"print preview by {self._officer}")
        return card_face(told, self._phone, photo)

    def save_face(self, face: CardFace) -> Path:
        """Write a face as PDF and PNG into `faces`; return the PDF's path."""
        folder = self._folder / "faces"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return write_face(face, folder)

    def spoiled(self) -> tuple[Said, ...]:
        """Every spoiled card since the books were closed last."""
        with self.journal.locked():
            return tuple(
                Said(f"{one.card}: {one.ru}", f"{one.card}: {one.en}")
                for one in self.journal.ledger.spoiled
            )

    def close_shift(self, left: int) -> Balance:
        """Close the books; a count that does not add up changes nothing."""
        books = books_of(self.journal, left)
        if not books.difference or books.open:
            books = close_books(self.journal, self._folder, left, self._officer)
            self._centre.count_blanks(left)
        return Balance(blanks=books.blanks, good=books.good, spoiled=books.spoiled, left=books.left)

    def shut(self) -> None:
        """Let cards under way come to their end and the readers go."""
        self.line.stop()
        self.line.join(SHUT_TIMEOUT_MS / 1000)

    def _watch(self, reader: ReaderView) -> None:
        """Keep what the officer has to be told, and whether it is the visitor's card."""
        if reader.fault is not None:
            self._tell(reader.name, Said(words(reader.fault, "ru"), words(reader.fault, "en")))
        served = reader.served
        if reader.state is not ReaderState.TAKE_OUT or served is None:
            return
        if served.outcome not in _GOOD or served.fault is not None:
            self._tell(reader.name, Said(served.text("ru"), served.text("en")))
        self._note_visitor(served)

    def _note_visitor(self, served: Served) -> None:
        order = served.order
        if order is None or served.outcome is not Outcome.ISSUED:
            return
        if self._orders.is_visitors(order.order_id):
            with self._lock:
                if self._visitor is not None:
                    self._visitor = shown.WalkIn(card_number=order.card_number, written=True)

    def _tell(self, reader: str, said: Said) -> None:
        number = self._numbers[reader]
        told = Said(f"Считыватель {number}: {said.ru}", f"Reader {number}: {said.en}")
        with self._lock:
            if told not in self._messages:
                self._messages.append(told)


def _tile(number: int, reader: ReaderView) -> TileView:
    state, served = _STATES[reader.state], reader.served
    if reader.state is ReaderState.TAKE_OUT and served is not None and served.outcome not in _GOOD:
        state = TileState.FAULT
    step = reader.step if reader.state is ReaderState.WRITING else None
    number_shown = ""
    if reader.state is ReaderState.TAKE_OUT and served is not None and served.order is not None:
        number_shown = f"…{served.order.card_number[-NUMBER_DIGITS_SHOWN:]}"
    return TileView(
        number=number,
        state=state,
        step=0 if step is None else step.number,
        steps=len(Step),
        said=Said(number_shown, number_shown),
    )


def _unwatched(_: Step) -> None:
    """Watch no step: what is settled has no reader."""
