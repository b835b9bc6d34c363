"""Card orders and cards as the centre keeps them (SQL schema `cards`)."""

from __future__ import annotations

from datetime import date, datetime
from enum import IntEnum
from uuid import UUID

import msgspec

from processing.wire.api import CardOrder, CardState, OrderState, ProblemType


class OrderCode(IntEnum):
    """`cards.card_order.state`."""

    ORDERED = 1
    ISSUED = 2
    GIVEN_UP = 3

    @property
    def wire(self) -> OrderState:
        """The state as the issuing API names it."""
        return OrderState[self.name]


class CardCode(IntEnum):
    """`cards.card.state`."""

    ACTIVE = 1
    BLOCKED = 2
    REPLACED = 3

    @property
    def wire(self) -> CardState:
        """The state as the issuing API names it."""
        return CardState[self.name]


class OrderResult(IntEnum):
    """What `cards.order_card` returns."""

    ORDERED = 1
    CARD_HELD = 2
    NUMBER_TAKEN = 3
    WALK_IN_REFUSED = 4


class IssueResult(IntEnum):
    """What `cards.issue_card` returns."""

    ISSUED = 1
    ISSUED_BEFORE = 2
    OTHER_REPORT = 3
    GIVEN_UP = 4
    ORDER_UNKNOWN = 5


class Citizen(msgspec.Struct, frozen=True):
    """All that issuing knows of a person: id, region and the register version of the entry."""

    citizen_id: UUID
    region: int
    register_version: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One card order. The last four fields are set once its card is issued.

    `point_id` is where the card is handed over; None: at the counter where it is written.
    """

    order_id: UUID
    station_id: str
    state: OrderCode
    citizen_id: UUID
    register_version: int
    card_id: UUID
    card_number: str
    issuer_region: int
    valid_to: date
    challenge: bytes
    ordered_at: datetime
    batch_id: UUID | None = None
    point_id: str | None = None
    issued_at: datetime | None = None
    certificate_tap: bytes | None = None
    certificate_pin: bytes | None = None
    holder_count: int = 0

    @property
    def wire(self) -> CardOrder:
        """The order as the issuing API tells it: nothing about the person."""
        return CardOrder(
            order_id=self.order_id,
            state=self.state.wire,
            holder_id=self.citizen_id,
            register_version=self.register_version,
            card_id=self.card_id,
            card_number=self.card_number,
            issuer_region=self.issuer_region,
            valid_to=self.valid_to,
            challenge=self.challenge,
            ordered_at=self.ordered_at,
            batch_id=self.batch_id,
        )


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One card as stop-lists and people look at it."""

    card_id: UUID
    card_number: str
    state: CardCode
    valid_to: date
    card_master: int = 1
    pin_is_transport: bool = False


class PinInQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A card that has its transport PIN still, and what it was asked to sign after another.

    `public_key_pin` is the key that must have signed (an uncompressed point).
    """

    public_key_pin: bytes
    challenge: bytes
    asked_at: datetime


class WrittenCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a station reported of a written card, after it was checked.

    Points are uncompressed P-256 (65 bytes), certificates DER.
    """

    public_key_tap: bytes
    public_key_pin: bytes
    certificate_tap: bytes
    certificate_pin: bytes
    card_master: int = 1
    pin_is_transport: bool = False


class LifeStep(msgspec.Struct, frozen=True, kw_only=True):
    """One transition of a card's life; `made_as` is the database role the right came from."""

    card_id: UUID
    number: int
    from_stage: str
    to_stage: str
    made_at: datetime
    made_by: str
    made_as: str
    reason: str


class LendResult(IntEnum):
    """What `cards.lend_code` returns."""

    LENT = 1
    NOT_SUSPENDED = 2
    NUMBER_TAKEN = 3
    RIGHT_MISSING = 4


class TemporaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the centre keeps of a temporary card: its public key, never the private one."""

    card_id: UUID
    card_number: str
    public_key_tap: bytes
    lent_at: datetime
    lent_on: date
    valid_to: date


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who waits for a new card."""

    application_id: UUID
    citizen_id: UUID
    replaces: UUID
    applied_at: datetime
    applied_by: str
    ordered: bool


class Refusal(msgspec.Struct, frozen=True):
    """A request that is not carried out: why, which field is meant, and what failed about it."""

    kind: ProblemType
    field: str = ""
    reason: str = ""
