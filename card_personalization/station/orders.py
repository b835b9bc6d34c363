"""Which orders a station works off: one of a person who stands there, or a list of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Protocol
from uuid import UUID

from card_personalization.station.faults import CentreRefused, StationError
from card_personalization.station.journal import Journal
from processing.wire.api import CardOrder, OrderRequest, OrderState
from processing.wire.batch_file import Batch


class OrderDesk(Protocol):
    """The part of the centre that orders come from."""

    def order(self, request: OrderRequest) -> CardOrder:
        """Order one card."""

    def give_up(self, order_id: UUID) -> CardOrder:
        """Give an order up, so that no card can be linked to it."""


class OrderSource(Protocol):
    """Orders that wait for a card. Threads may share it."""

    def take(self) -> CardOrder | None:
        """The next order; None when there is none. StationError when the centre refuses."""

    def put_back(self, order: CardOrder) -> None:
        """Have an order wait again, whose card was never written; or the fresh one of a spoiled."""

    def left(self) -> int:
        """How many wait."""


class WalkIn:
    """One card for one person, ordered when a card that can be written lies there."""

    def __init__(self, desk: OrderDesk, request: OrderRequest) -> None:
        self._desk = desk
        self._request: OrderRequest | None = request
        self._waiting: CardOrder | None = None
        self._lock = threading.Lock()

    def take(self) -> CardOrder | None:
        """Order the card at the centre, once."""
        with self._lock:
            order, self._waiting = self._waiting, None
            if order is None and self._request is not None:
                order = self._desk.order(self._request)
                self._request = None
            return order

    def put_back(self, order: CardOrder) -> None:
        """Keep the order for another card of this run."""
        with self._lock:
            self._waiting = order

    def left(self) -> int:
        """1 until a card is begun."""
        return int(self._request is not None or self._waiting is not None)

    def give_up(self) -> CardOrder | None:
        """Give the order up if it waits still; the order given up. An open one is harmless."""
        with self._lock:
            order, self._waiting = self._waiting, None
        if order is not None:
            try:
                self._desk.give_up(order.order_id)
            except CentreRefused:
                pass
            except StationError:
                return None
        return order


class NoOrders:
    """No order at all, for what is done without a card. Fresh orders are the centre's to keep."""

    def take(self) -> CardOrder | None:
        """None."""
        return None

    def put_back(self, order: CardOrder) -> None:
        """Leave it with the centre, which gives it again with its batch."""

    def left(self) -> int:
        """0."""
        return 0


class OrderList:
    """A list of orders, without those that the journal knows to be on a card already."""

    def __init__(self, orders: Iterable[CardOrder], journal: Journal) -> None:
        known = journal.ledger.jobs
        self._waiting = deque(
            order
            for order in orders
            if order.order_id not in known and order.state is OrderState.ORDERED
        )
        self._lock = threading.Lock()

    def take(self) -> CardOrder | None:
        """The next order."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def put_back(self, order: CardOrder) -> None:
        """Have an order wait again, before the others."""
        with self._lock:
            self._waiting.appendleft(order)

    def left(self) -> int:
        """How many wait."""
        return len(self._waiting)


def orders_of_batch(batch: Batch) -> list[CardOrder]:
    """The orders of a bureau's batch, which names nobody."""
    ordered_at = datetime.fromtimestamp(batch.created_at_ms / 1000, UTC)
    return [
        CardOrder(
            order_id=UUID(bytes=card.order_id),
            state=OrderState.ORDERED,
            # A bureau is not told whose card it makes.
            holder_id=UUID(int=0),
            register_version=0,
            card_id=UUID(bytes=card.card_guid),
            card_number=card.card_number,
            issuer_region=card.issuer_region,
            valid_to=date.fromisoformat(card.valid_to),
            challenge=card.challenge,
            ordered_at=ordered_at,
        )
        for card in batch.cards
    ]
