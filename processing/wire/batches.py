"""The JSON bodies with which a station works off batches of card orders (docs/issuing.md).

A batch is taken, its orders are read page by page, each order's stages are told as they are
reached, a spoiled blank gets a fresh order, and blanks are counted at the end of the day. Every
request may be sent again. Failures are the problems of `processing.wire.api`.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from processing.wire.api import REASON_LENGTH_MAX, Body, CardOrder

ORDERS_PAGE_MAX: Final = 100
"""Orders in one answer; the next page begins after the last one's id."""
BLANKS_MAX: Final = 1_000_000
"""Most blanks that one movement or count may name."""

Reason = Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX)]
Blanks = Annotated[int, Meta(ge=0, le=BLANKS_MAX)]


class CardBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of one delivery point: how many of its orders are open still, how many issued.

    `number` is what people say.
    """

    batch_id: UUID
    number: int
    point_id: str
    point_name: str
    planned_on: date
    open: int
    issued: int


class BatchList(msgspec.Struct, frozen=True, kw_only=True):
    """GET /issuing/v1/batches: the unfinished batches of this station, the oldest first."""

    batches: tuple[CardBatch, ...]


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """GET /issuing/v1/batches/{batch_id}/orders?after=ORDER_ID: open orders, by their ids.

    `next` is what to give as `after` for the next page; None: this is the last.
    """

    orders: tuple[CardOrder, ...]
    next: UUID | None = None


class WrittenStage(StrEnum):
    """What a station reaches with a card, in this order; the report of the card comes last."""

    KEYED = "keyed"
    LOADED = "loaded"
    LOCKED = "locked"
    VERIFIED = "verified"


class StageReport(Body, frozen=True):
    """POST /issuing/v1/orders/{order_id}/stage: the order's card has come to this stage."""

    stage: WrittenStage


class OrderStage(msgspec.Struct, frozen=True, kw_only=True):
    """How far an order's card is: the name of a stage of a card's life (docs/issuing.md)."""

    order_id: UUID
    stage: str


class FaceRequest(Body, frozen=True):
    """POST /issuing/v1/orders/{order_id}/face: what for; it stands in the register's read log."""

    purpose: Reason


class CardFace(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed on the card, from the version of the register's entry that was approved.

    Personal data: it is shown and printed, and kept nowhere.
    """

    order_id: UUID
    last_name: str
    first_name: str
    patronymic: str | None
    card_number: str
    valid_to: date
    region_ru: str
    region_en: str

    def __repr__(self) -> str:
        """Leave the name out: it must not reach a log."""
        return f"CardFace({self.order_id})"


class SpoiledReport(Body, frozen=True):
    """POST /issuing/v1/orders/{order_id}/spoiled: a blank was spoiled; answered by a `CardOrder`.

    The fresh order has another GUID, number and challenge: the spoiled card can never count.
    """

    reason: Reason


class BlankCount(Body, frozen=True):
    """POST /issuing/v1/blanks/count: what is left of the blanks of this station tonight."""

    left: Blanks


class BlankBalance(msgspec.Struct, frozen=True, kw_only=True):
    """The day's blanks: opening + given - returned = good + spoiled + left + missing.

    `missing` is 0 when all is well; the centre keeps the count whatever it is.
    """

    station_id: str
    counted_on: date
    opening: int
    given: int
    returned: int
    good: int
    spoiled: int
    counted_left: int
    missing: int
