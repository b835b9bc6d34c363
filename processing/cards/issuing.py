"""Issuing at the centre: a card is ordered, the station writes it, its report makes it count.

A request that cannot be carried out gives a `Refusal` (a value); a fault of the database is
raised. Each request may be sent again: an order left behind by a lost answer never becomes a
card, and the same report gets the same answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

import msgspec

from processing.cards.batches import Batches, BatchStore
from processing.cards.drawing import CARD_NUMBER_DRAWS_MAX, all_taken, draw
from processing.cards.life import Stage
from processing.cards.lost import report_lost
from processing.cards.model import (
    Card,
    Citizen,
    IssueResult,
    Order,
    OrderCode,
    OrderResult,
    Refusal,
)
from processing.cards.own_pin import ask_own_pin, set_own_pin
from processing.cards.passport import Passports
from processing.cards.report_check import IssuingAuthority, check_report
from processing.cards.signing import SignDocument
from processing.cards.stations import station_of
from processing.cards.store import CardStore
from processing.kernel.clock import Clock, years_after
from processing.kernel.errors import DatabaseError
from processing.register.identifiers import IdentifierError, read_snils
from processing.wire.api import (
    CardOrder,
    CardPassport,
    CardStatus,
    IssuedCard,
    IssueReport,
    LentCard,
    OrderRequest,
    PinChallenge,
    ProblemType,
)

CARD_VALIDITY_YEARS: Final = 5


class Issuing:
    """The issuing API without HTTP.

    `authority` are the issuing CAs that the HSM signs with; `renew` asks it whether there is
    another one since. `sign_code` signs temporary cards; None lends none.
    """

    def __init__(
        self,
        store: CardStore,
        authority: IssuingAuthority,
        passports: Passports,
        clock: Clock,
        renew: Callable[[], Awaitable[IssuingAuthority]] | None = None,
        sign_code: SignDocument | None = None,
    ) -> None:
        self.batches: Final = Batches(BatchStore(store.pool), store, clock)
        """The part of the API that is about batches."""
        self._sign_code = sign_code
        self._store = store
        self._passports = passports
        self._authority = authority
        self._renew = renew
        self._clock = clock

    async def station(self, token: str) -> str | None:
        """Return the station that a bearer token belongs to."""
        return await station_of(self._store, token)

    async def order(self, station_id: str, request: OrderRequest) -> CardOrder | Refusal:
        """Order one card for who stands at the counter: the station's right approves it at once.

        CITIZEN_UNKNOWN, CARD_HELD, WALK_IN_REFUSED or BODY_MALFORMED say why not.
        """
        snils: str | None = None
        if (request.snils is None) is (request.citizen_id is None):
            return Refusal(ProblemType.BODY_MALFORMED, "snils", "give either snils or citizen_id")
        if request.snils is not None:
            try:
                snils = read_snils(request.snils)
            except IdentifierError as error:
                return Refusal(ProblemType.BODY_MALFORMED, "snils", error.en)
        citizen = await self._store.citizen(request.citizen_id, snils)
        if citizen is None:
            field = "snils" if request.citizen_id is None else "citizen_id"
            return Refusal(ProblemType.CITIZEN_UNKNOWN, field)
        on = self._clock.local_date()
        for _ in range(CARD_NUMBER_DRAWS_MAX):
            order = _new_order(station_id, citizen, self._now(), on)
            match await self._store.add_order(order, on, replace=request.replace):
                case OrderResult.ORDERED:
                    return order.wire
                case OrderResult.WALK_IN_REFUSED:
                    return Refusal(ProblemType.WALK_IN_REFUSED)
                case OrderResult.CARD_HELD:
                    return Refusal(ProblemType.CARD_HELD, "replace")
                case OrderResult.NUMBER_TAKEN:
                    continue
        raise all_taken()

    async def read_order(self, station_id: str, order_id: UUID) -> CardOrder | Refusal:
        """Return this station's order."""
        order = await self._store.order(order_id, station_id)
        return Refusal(ProblemType.ORDER_UNKNOWN) if order is None else order.wire

    async def give_up(self, station_id: str, order_id: UUID) -> CardOrder | Refusal:
        """Give an order up; again is harmless. ORDER_ISSUED when its card already counts."""
        state = await self._store.give_up(order_id, station_id)
        if state is OrderCode.ISSUED:
            return Refusal(ProblemType.ORDER_ISSUED)
        return await self.read_order(station_id, order_id)

    async def issue(
        self, station_id: str, order_id: UUID, report: IssueReport
    ) -> IssuedCard | Refusal:
        """Make a written card count. The same certificates again get the same answer."""
        order = await self._store.order(order_id, station_id)
        if order is None:
            return Refusal(ProblemType.ORDER_UNKNOWN)
        if order.state is OrderCode.GIVEN_UP:
            return Refusal(ProblemType.ORDER_GIVEN_UP)
        kept = (order.certificate_tap, order.certificate_pin)
        if order.state is OrderCode.ISSUED and kept != (
            report.certificate_tap,
            report.certificate_pin,
        ):
            return Refusal(ProblemType.ORDER_ISSUED)
        written = check_report(order, report, self._authority, self._now())
        if isinstance(written, Refusal) and self._renew is not None:
            self._authority = await self._renew()
            written = check_report(order, report, self._authority, self._now())
        if isinstance(written, Refusal):
            return written
        on = self._clock.local_date()
        match await self._store.issue(order_id, station_id, written, self._now(), on):
            case IssueResult.ISSUED | IssueResult.ISSUED_BEFORE:
                return _issued_card(await self._store.order(order_id, station_id))
            case IssueResult.OTHER_REPORT:
                return Refusal(ProblemType.ORDER_ISSUED)
            case IssueResult.GIVEN_UP:
                return Refusal(ProblemType.ORDER_GIVEN_UP)
            case IssueResult.ORDER_UNKNOWN:
                return Refusal(ProblemType.ORDER_UNKNOWN)

    async def read_card(self, card_id: UUID) -> CardStatus | Refusal:
        """Return a card by its GUID."""
        card = await self._store.card(card_id)
        return Refusal(ProblemType.CARD_UNKNOWN) if card is None else _card_status(card)

    async def passport(self, card_id: UUID, station_id: str) -> CardPassport | Refusal:
        """Return the passport that belongs on a card that is ordered or issued."""
        passport = await self._passports.for_card(card_id, f"station {station_id}")
        if passport is None:
            return Refusal(ProblemType.CARD_UNKNOWN)
        return CardPassport(passport=passport)

    async def ask_own_pin(self, card_id: UUID) -> PinChallenge | Refusal:
        """Return what a card has to sign after its holder's own PIN."""
        return await ask_own_pin(self._store, card_id, self._now())

    async def set_own_pin(
        self, station_id: str, card_id: UUID, proof: bytes
    ) -> CardStatus | Refusal:
        """Take note of the holder's own PIN (`processing.cards.own_pin`)."""
        by = f"station {station_id}"
        card = await set_own_pin(self._store, card_id, proof, by, self._now())
        return card if isinstance(card, Refusal) else _card_status(card)

    async def block(self, station_id: str, card_id: UUID) -> CardStatus | Refusal:
        """Block a card at once, everywhere it may act; one that cannot act stays what it is."""
        by = f"station {station_id}"
        await self._store.move(card_id, Stage.SUSPENDED, by, "blocked at the station")
        return await self.read_card(card_id)

    async def lost(self, card_id: UUID, by: str, reason: str) -> LentCard | Refusal:
        """Suspend a lost card, ask for a new one, lend a code (`processing.cards.lost`)."""
        if self._sign_code is None:
            return Refusal(ProblemType.TRY_LATER)
        return await report_lost(
            self._store, self._sign_code, self._clock, card_id, by=by, reason=reason
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.utc_ms() / 1000, UTC)


def _new_order(station_id: str, citizen: Citizen, now: datetime, on: date) -> Order:
    drawn = draw(citizen.region, now)
    return Order(
        order_id=drawn.order_id,
        station_id=station_id,
        state=OrderCode.ORDERED,
        citizen_id=citizen.citizen_id,
        register_version=citizen.register_version,
        card_id=drawn.card_id,
        card_number=drawn.card_number,
        issuer_region=citizen.region,
        valid_to=years_after(on, CARD_VALIDITY_YEARS),
        challenge=drawn.challenge,
        ordered_at=now,
    )


def _issued_card(order: Order | None) -> IssuedCard:
    if order is None or order.issued_at is None:
        raise DatabaseError("an order vanished right after its card was issued")
    return IssuedCard(
        order_id=order.order_id,
        card_id=order.card_id,
        card_number=order.card_number,
        holder_id=order.citizen_id,
        valid_to=order.valid_to,
        issued_at=order.issued_at,
        holder_count=order.holder_count,
        active=order.point_id is None,
    )


def _card_status(card: Card) -> CardStatus:
    return CardStatus(**{**msgspec.structs.asdict(card), "state": card.state.wire})
