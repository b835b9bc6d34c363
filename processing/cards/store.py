"""Card orders, cards and stations in the database: calls of sql/functions/cards and its view.

The pool acts as `spk_issuing`, except for `add_station`, which is an operator's act. Every method
raises the errors of `processing.kernel.database.DatabasePool`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from processing.cards.certificates import certificates_of, keep_certificates
from processing.cards.life import Move, MoveResult, Stage
from processing.cards.model import (
    Application,
    Card,
    CardCode,
    Citizen,
    IssueResult,
    LendResult,
    LifeStep,
    Order,
    OrderCode,
    OrderResult,
    PinInQuestion,
    TemporaryRow,
    WrittenCard,
)
from processing.kernel.database import DatabasePool
from processing.kernel.errors import DatabaseError

EXPIRED_AT_ONCE_MAX: Final = 200
"""Cards that one transaction ends: each holds its holder's lock until the end."""

_CITIZEN: Final = "SELECT * FROM register.issuing_reference($1, $2)"
_ORDER: Final = "SELECT * FROM cards.order_overview WHERE order_id = $1 AND station_id = $2"
_ADD_ORDER: Final = "SELECT cards.order_card($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
_ISSUE: Final = "SELECT cards.issue_card($1, $2, $3, $4, $5, $6, $7, $8, $9)"
_GIVE_UP: Final = "SELECT cards.give_up_order($1, $2)"
_CARD: Final = """
    SELECT card_id, card_number, state, valid_to, card_master, pin_is_transport
    FROM cards.card WHERE card_id = $1
"""
_ASK_OWN_PIN: Final = "SELECT cards.ask_own_pin($1, $2, $3)"
_PIN_IN_QUESTION: Final = """
    SELECT c.public_key_pin, p.challenge, p.made_at AS asked_at
    FROM cards.pin_challenge AS p INNER JOIN cards.card AS c USING (card_id)
    WHERE card_id = $1 AND c.pin_is_transport
"""
_SET_OWN_PIN: Final = "SELECT cards.set_own_pin($1, $2, $3)"
_MOVE: Final = "SELECT result, from_stage FROM cards.move_card($1, $2, $3, $4)"
_LEND: Final = "SELECT cards.lend_code($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_CARD_IN_USE: Final = """
    SELECT card_id FROM cards.card
    WHERE holder_id = $1 AND medium = 1 AND cards.stage_of(card_id) IN (7, 8)
    ORDER BY represents IS NOT NULL, state, issued_at DESC LIMIT 1
"""
_REGION: Final = "SELECT issuer_region FROM cards.card WHERE card_id = $1"
_APPLICATIONS: Final = """
    SELECT application_id, citizen_id, replaces, applied_at, applied_by, state = 2 AS ordered
    FROM cards.application WHERE state IN (1, 2) AND replaces IS NOT NULL
    ORDER BY applied_at, application_id LIMIT $1
"""
_LIFE: Final = "SELECT * FROM cards.card_life WHERE card_id = $1 ORDER BY number"
_TOKEN: Final = "SELECT token_sha256 FROM cards.station WHERE station_id = $1 AND active"  # noqa: S105
_WALK_IN: Final = "UPDATE cards.station SET walk_in = $2 WHERE station_id = $1"
_EXPIRE: Final = "SELECT cards.expire_cards($1, $2, $3)"
_ADD_STATION: Final = "SELECT cards.add_station($1, $2, $3)"


class CardStore:
    """What issuing reads and writes."""

    def __init__(self, pool: DatabasePool) -> None:
        self.pool = pool

    async def citizen(self, citizen_id: UUID | None, snils: str | None) -> Citizen | None:
        """Return the citizen with this id or these eleven digits; None when there is none."""
        row = await self._row(_CITIZEN, citizen_id, snils)
        if row is None:
            return None
        return Citizen(row["citizen_id"], row["region"], row["register_version"])

    async def order(self, order_id: UUID, station_id: str) -> Order | None:
        """Return this station's order; None when it has none with this id."""
        row = await self._row(_ORDER, order_id, station_id)
        return None if row is None else order_of(row)

    async def add_order(self, order: Order, on: date, *, replace: bool) -> OrderResult:
        """Write a new order, unless the citizen holds an active card and `replace` is false."""
        return OrderResult(
            await self._value(
                _ADD_ORDER,
                order.order_id,
                order.citizen_id,
                order.register_version,
                order.station_id,
                order.card_id,
                order.card_number,
                order.issuer_region,
                order.valid_to,
                order.challenge,
                order.ordered_at,
                on,
                replace,
            )
        )

    async def issue(
        self, order_id: UUID, station_id: str, written: WrittenCard, at: datetime, on: date
    ) -> IssueResult:
        """Link a written card to its order and to everyone it may act for from `on`."""
        certificates = certificates_of(written.certificate_tap, written.certificate_pin)
        async with self.pool.transaction() as connection:
            code = await connection.fetchval(
                _ISSUE,
                order_id,
                station_id,
                written.public_key_tap,
                written.public_key_pin,
                written.certificate_tap,
                written.certificate_pin,
                at,
                on,
                written.pin_is_transport,
            )
            result = IssueResult(code)
            if result is IssueResult.ISSUED:
                await keep_certificates(connection, order_id, certificates, written.card_master)
        return result

    async def give_up(self, order_id: UUID, station_id: str) -> OrderCode | None:
        """Give an order up; its state then (an issued one stays issued), None: no such order."""
        code = await self._value(_GIVE_UP, order_id, station_id)
        return None if code is None else OrderCode(code)

    async def card(self, card_id: UUID) -> Card | None:
        """Return a card by its GUID."""
        row = await self._row(_CARD, card_id)
        if row is None:
            return None
        state = CardCode(row["state"])
        return Card(
            card_id=row["card_id"],
            card_number=row["card_number"],
            state=state,
            valid_to=row["valid_to"],
            card_master=row["card_master"],
            pin_is_transport=row["pin_is_transport"],
        )

    async def ask_own_pin(self, card_id: UUID, challenge: bytes, at: datetime) -> None:
        """Keep what a card with a transport PIN has to sign after its holder's own."""
        await self._value(_ASK_OWN_PIN, card_id, challenge, at)

    async def pin_in_question(self, card_id: UUID) -> PinInQuestion | None:
        """Return what a card was asked to sign last; None when nothing is awaited of it."""
        row = await self._row(_PIN_IN_QUESTION, card_id)
        return None if row is None else PinInQuestion(**dict(row))

    async def set_own_pin(self, card_id: UUID, challenge: bytes, by: str) -> bool:
        """Take note that the holder's own PIN is on the card, which signed `challenge` after it.

        False, and nothing is changed, when it was asked to sign something else meanwhile.
        """
        return bool(await self._value(_SET_OWN_PIN, card_id, challenge, by))

    async def move(self, card_id: UUID, to: Stage, by: str, reason: str) -> Move:
        """Move a card on in its life, everywhere and written down; again is harmless.

        `by` is a person, "station NAME" or "centre TASK"; neither it nor `reason` may be empty.
        """
        row = await self._row(_MOVE, card_id, int(to), by, reason)
        if row is None:
            raise DatabaseError("cards.move_card gave no row")
        before = row["from_stage"]
        result = MoveResult(row["result"])
        return Move(to, result, None if before is None else Stage(before))

    async def lend_code(
        self, lost: UUID, application_id: UUID, code: TemporaryRow, by: str, reason: str
    ) -> LendResult:
        """Register a temporary card for a suspended one, and ask for the new card."""
        return LendResult(
            await self._value(
                _LEND,
                lost,
                application_id,
                code.card_id,
                code.card_number,
                code.public_key_tap,
                code.lent_at,
                code.lent_on,
                code.valid_to,
                by,
                reason,
            )
        )

    async def card_in_use(self, citizen_id: UUID) -> UUID | None:
        """Return a citizen's chip card that is active or, if none is, the last suspended one."""
        found: UUID | None = await self._value(_CARD_IN_USE, citizen_id)
        return found

    async def issuer_region(self, card_id: UUID) -> int | None:
        """Return the region that issued a card; None when there is no such card."""
        region: int | None = await self._value(_REGION, card_id)
        return region

    async def applications(self, count: int) -> list[Application]:
        """Return who waits for a new card, the longest first, at most `count`."""
        async with self.pool.connection() as connection:
            rows = await connection.fetch(_APPLICATIONS, count)
        return [Application(**dict(row)) for row in rows]

    async def life(self, card_id: UUID) -> list[LifeStep]:
        """Return what happened to a card, in its order."""
        async with self.pool.connection() as connection:
            rows = await connection.fetch(_LIFE, card_id)
        return [LifeStep(**dict(row)) for row in rows]

    async def station_token_sha256(self, station_id: str) -> bytes | None:
        """Return the SHA-256 of an active station's token."""
        token: bytes | None = await self._value(_TOKEN, station_id)
        return token

    async def add_station(self, station_id: str, token_sha256: bytes, *, renew: bool) -> bool:
        """Register a station, or with `renew` replace its token; False if it exists already."""
        return bool(await self._value(_ADD_STATION, station_id, token_sha256, renew))

    async def allow_walk_in(self, station_id: str, *, allow: bool) -> bool:
        """Say whether a station may order without an application; False: no such station."""
        async with self.pool.connection() as connection:
            done: str = await connection.execute(_WALK_IN, station_id, allow)
        return done.endswith(" 1")

    async def expire(self, on: date) -> int:
        """End the life of the cards whose last day was before `on`; how many."""
        count = 0
        while expired := await self._value(_EXPIRE, on, EXPIRED_AT_ONCE_MAX, "centre expiry"):
            count += expired
            if expired < EXPIRED_AT_ONCE_MAX:
                break
        return count

    async def _row(self, query: str, *values: object) -> asyncpg.Record | None:
        async with self.pool.connection() as connection:
            return await connection.fetchrow(query, *values)

    async def _value(self, query: str, *values: object) -> Any:
        """Return the one value that a function of sql/functions/cards declares to return."""
        async with self.pool.connection() as connection:
            return await connection.fetchval(query, *values)


def order_of(row: asyncpg.Record) -> Order:
    """Return a row of `cards.order_overview`."""
    return Order(
        order_id=row["order_id"],
        station_id=row["station_id"],
        state=OrderCode(row["state"]),
        citizen_id=row["citizen_id"],
        register_version=row["register_version"],
        card_id=row["card_id"],
        card_number=row["card_number"],
        issuer_region=row["issuer_region"],
        valid_to=row["valid_to"],
        challenge=row["challenge"],
        ordered_at=row["ordered_at"],
        batch_id=row["batch_id"],
        point_id=row["point_id"],
        issued_at=row["issued_at"],
        certificate_tap=row["certificate_tap"],
        certificate_pin=row["certificate_pin"],
        holder_count=row["holder_count"],
    )
