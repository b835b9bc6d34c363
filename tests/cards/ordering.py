"""An issuing office for tests: a delivery point, two stations, applications, batches, reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg

from processing.cards.applications import (
    ApplicationKind,
    ApplicationStore,
    ApplyResult,
    ApproveResult,
    Desk,
    Open,
    Wish,
)
from processing.cards.batches import Batches, BatchStore
from processing.cards.blanks import BlankStore
from processing.cards.issuing import Issuing
from processing.cards.passport import Passports
from processing.cards.points import DeliveryPoint, PointStore
from processing.cards.report_check import IssuingAuthority
from processing.cards.store import CardStore
from processing.kernel.clock import ManualClock
from processing.wire.api import CardOrder, IssuedCard
from processing.wire.batches import CardBatch, OrderPage
from processing.wire.statement import Domain
from tests.cards import population as p
from tests.cards.papers import NOW_MS, Authority, Keys, Ordered
from tests.plugins.postgres import Database
from tests.plugins.stop_lists import signer_of

TODAY = date(2026, 9, 21)
POINT, STATION, OTHER_STATION = "MFC-1", "office-1", "office-2"
CLERK, CHIEF = "Ольга", "Иван"
DESK = Desk(kind=ApplicationKind.FIRST, point_id=POINT, by=CLERK, reason="заявление 17")


class OrderingOffice:
    """The centre's side of issuing with a CA and a clock of the test."""

    def __init__(self, database: Database, store: CardStore) -> None:
        self.database = database
        self.cards = store
        self.clock = ManualClock("Asia/Yekaterinburg", NOW_MS)
        self.applications = ApplicationStore(store.pool, self.clock)
        self.batch_store = BatchStore(store.pool)
        self.blanks = BlankStore(store.pool)
        self.authority = Authority()
        passports = Passports(store.pool, signer_of(Domain.SOCIAL_PASSPORT), self.clock)
        authority = IssuingAuthority((self.authority.der,))
        self.issuing = Issuing(store, authority, passports, self.clock)
        self.batches: Batches = self.issuing.batches

    async def set_up(self, daily_max: int = 500, delivery_days: int = 5) -> None:
        """Add the delivery point and the stations."""
        async with self.database.connect() as connection:
            await connection.executemany(
                "SELECT cards.add_station($1, $2, FALSE)",
                [(STATION, bytes(32)), (OTHER_STATION, bytes([1]) * 32)],
            )
        point = DeliveryPoint(
            point_id=POINT,
            region=p.REGION,
            name="МФЦ",
            address="ул. Мира, 3",
            phone="8 800 100-00-00",
            hours="пн–пт 9–18",
            delivery_days=delivery_days,
            daily_max=daily_max,
        )
        assert await PointStore(self.cards.pool).put(point)

    async def applied(self, *citizen_ids: UUID, desk: Desk = DESK) -> list[Open]:
        """Take applications, which must be possible; in the order asked."""
        wishes = [Wish(citizen_id=citizen_id) for citizen_id in citizen_ids]
        answers = await self.applications.apply(wishes, desk)
        assert [answer.result for answer in answers] == [ApplyResult.APPLIED] * len(wishes)
        numbers = [answer.number for answer in answers if answer.number is not None]
        found = {one.number: one for one in await self.applications.numbered(numbers)}
        return [found[number] for number in numbers]

    async def approved(self, *citizen_ids: UUID, desk: Desk = DESK) -> list[Open]:
        """Take and approve applications, which must be possible."""
        taken = await self.applied(*citizen_ids, desk=desk)
        results = await self.applications.approve(taken, CHIEF, POINT)
        assert set(results.values()) == {ApproveResult.ORDERED}, results
        return taken

    async def taken_batch(self, *citizen_ids: UUID, station: str = STATION) -> CardBatch:
        """Bring a batch of these people to a station."""
        await self.approved(*citizen_ids)
        await self.batch_store.make(TODAY, CHIEF)
        batch = await self.batches.take(station, None)
        assert isinstance(batch, CardBatch), batch
        return batch

    async def orders(self, batch: CardBatch, station: str = STATION) -> Sequence[CardOrder]:
        """Read a batch's open orders."""
        page = await self.batches.orders(station, batch.batch_id, None)
        assert isinstance(page, OrderPage), page
        return page.orders

    async def reported(self, order: CardOrder, station: str = STATION) -> object:
        """Report an order's card as written; what the centre answers."""
        facts = Ordered(
            order_id=order.order_id,
            card_id=order.card_id,
            card_number=order.card_number,
            valid_to=order.valid_to,
            challenge=order.challenge,
        )
        report = Keys().report(self.authority, facts)
        return await self.issuing.issue(station, order.order_id, report)

    async def issued(self, order: CardOrder, station: str = STATION) -> IssuedCard:
        """Report an order's card, which must be possible."""
        answer = await self.reported(order, station)
        assert isinstance(answer, IssuedCard), answer
        return answer

    async def rows(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Ask the database what nobody else may ask."""
        async with self.database.connect() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *values)
        return rows

    async def value(self, query: str, *values: object) -> object:
        """Ask the database for one value."""
        return (await self.rows(query, *values))[0][0]
