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
from processing.cards.model import (
    Card,
    CardCode,
    Citizen,
    IssueResult,
    Order,
    OrderCode,
    OrderResult,
    WrittenCard,
)
from processing.kernel.database import DatabasePool

_CITIZEN: Final = "SELECT * FROM register.issuing_reference($1, $2)"
_ORDER: Final = "SELECT * FROM cards.order_overview WHERE order_id = $1 AND station_id = $2"
_ADD_ORDER: Final = "SELECT cards.order_card($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
_ISSUE: Final = "SELECT cards.issue_card($1, $2, $3, $4, $5, $6, $7, $8)"
_GIVE_UP: Final = "SELECT cards.give_up_order($1, $2)"
_CARD: Final = """
    SELECT card_id, card_number, state, valid_to, card_master FROM cards.card WHERE card_id = $1
"""
_SET_STATE: Final = "SELECT cards.set_state($1, $2)"
_TOKEN: Final = "SELECT token_sha256 FROM cards.station WHERE station_id = $1 AND active"  # noqa: S105
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
        return None if row is None else _order(row)

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
        )

    async def set_card_state(self, card_id: UUID, state: CardCode) -> CardCode | None:
        """Set a card's state with all copies; its state then, None when there is no such card."""
        code = await self._value(_SET_STATE, card_id, int(state))
        return None if code is None else CardCode(code)

    async def station_token_sha256(self, station_id: str) -> bytes | None:
        """Return the SHA-256 of an active station's token."""
        token: bytes | None = await self._value(_TOKEN, station_id)
        return token

    async def add_station(self, station_id: str, token_sha256: bytes, *, renew: bool) -> bool:
        """Register a station, or with `renew` replace its token; False if it exists already."""
        return bool(await self._value(_ADD_STATION, station_id, token_sha256, renew))

    async def _row(self, query: str, *values: object) -> asyncpg.Record | None:
        async with self.pool.connection() as connection:
            return await connection.fetchrow(query, *values)

    async def _value(self, query: str, *values: object) -> Any:
        """Return the one value that a function of sql/functions/cards declares to return."""
        async with self.pool.connection() as connection:
            return await connection.fetchval(query, *values)


def _order(row: asyncpg.Record) -> Order:
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
        issued_at=row["issued_at"],
        certificate_tap=row["certificate_tap"],
        certificate_pin=row["certificate_pin"],
        holder_count=row["holder_count"],
    )
