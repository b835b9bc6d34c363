"""Batches of card orders: made from what is planned, given to one station, worked off, taken back.

`BatchStore` calls the database, acting as spk_issuing; `Batches` is the issuing API's part about
batches without HTTP. A request that cannot be carried out gives a `Refusal`; a fault is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from processing.cards.blanks import BlankStore
from processing.cards.drawing import CARD_NUMBER_DRAWS_MAX, Drawn, all_taken, draw
from processing.cards.life import MoveResult, Stage
from processing.cards.model import Order, OrderCode, Refusal
from processing.cards.store import CardStore, order_of
from processing.kernel.clock import Clock
from processing.kernel.database import Connection, DatabasePool
from processing.kernel.errors import DatabaseBusyError
from processing.wire.api import CardOrder, ProblemType
from processing.wire.batches import (
    ORDERS_PAGE_MAX,
    BatchList,
    BlankBalance,
    CardBatch,
    CardFace,
    OrderPage,
    OrderStage,
    WrittenStage,
)

BATCH_ORDERS_MAX: Final = 500
"""Most orders of one batch: what an office packs into one box."""
BATCHES_SHOWN_MAX: Final = 50
"""Most batches that are listed at once."""
SPOILED_BLANKS_MAX: Final = 3
"""How many blanks one card may cost; then its order is given up."""

_MAKE: Final = "SELECT * FROM cards.make_batches($1, $2, $3)"
_TAKE: Final = "SELECT result, batch_id FROM cards.take_batch($1, $2, $3, $4)"
_BATCH: Final = "SELECT * FROM cards.batch_overview WHERE batch_id = $1 AND station_id = $2"
_NUMBERED: Final = "SELECT batch_id FROM cards.batch WHERE number = $1"
_OF_STATION: Final = """
    SELECT * FROM cards.batch_overview WHERE station_id = $1 AND open > 0 ORDER BY number LIMIT $2
"""
_LIST: Final = "SELECT * FROM cards.batch_overview WHERE number < $1 ORDER BY number DESC LIMIT $2"
_ORDERS: Final = """
    SELECT * FROM cards.order_overview
    WHERE batch_id = $1 AND station_id = $2 AND state = 1 AND order_id > $3
    ORDER BY order_id LIMIT $4
"""
_OPEN: Final = """
    SELECT order_id, issuer_region FROM cards.card_order WHERE batch_id = $1 AND state = 1
"""
_TAKE_BACK: Final = """
    SELECT result, remade FROM cards.take_back_batch($1, $2, $3, $4, $5, $6, $7, $8)
"""
_SPOIL: Final = """
    SELECT result, order_id FROM cards.spoil_blank($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_FACE: Final = "SELECT * FROM register.face_for_order($1, $2, $3, $4)"
_REGION: Final = "SELECT name_ru, name_en FROM regulations.region WHERE region = $1"
_NO_ORDER: Final = UUID(int=0)


class TakeResult(IntEnum):
    """What `cards.take_batch` returns."""

    TAKEN = 1
    OTHER_STATION = 2
    BATCH_UNKNOWN = 3
    FINISHED = 4


class TakeBackResult(IntEnum):
    """What `cards.take_back_batch` returns."""

    TAKEN_BACK = 1
    NOT_TAKEN = 2
    BATCH_UNKNOWN = 3
    LOOK_AGAIN = 4
    RIGHT_MISSING = 5


class SpoilResult(IntEnum):
    """What `cards.spoil_blank` returns."""

    REMADE = 1
    TOO_OFTEN = 2
    NUMBER_TAKEN = 3
    ISSUED = 4
    GIVEN_UP = 5
    ORDER_UNKNOWN = 6


class MadeBatch(msgspec.Struct, frozen=True):
    """A batch that was just made."""

    batch_id: UUID
    number: int
    point_id: str
    planned_on: date
    orders: int


class ListedBatch(msgspec.Struct, frozen=True):
    """A batch as the issuing office sees it; `station_id` None: no station has taken it."""

    batch: CardBatch
    station_id: str | None


class _LookAgainError(Exception):
    """Rolls back what was made anew before something stood in the way."""


class BatchStore:
    """Batches in the database. Raises the errors of `DatabasePool`."""

    def __init__(self, pool: DatabasePool) -> None:
        self.pool = pool

    async def make(self, on: date, by: str) -> list[MadeBatch]:
        """Put what is planned for `on` or before into batches, by delivery point and day."""
        rows = await self._rows(_MAKE, on, BATCH_ORDERS_MAX, by)
        return [MadeBatch(**dict(row)) for row in rows]

    async def take(
        self, station_id: str, batch_id: UUID | None, on: date, by: str
    ) -> tuple[TakeResult, UUID | None]:
        """Give a station this batch, or (None) the one it is at, or the next that is due."""
        (row,) = await self._rows(_TAKE, station_id, batch_id, on, by)
        return TakeResult(row["result"]), row["batch_id"]

    async def batch(self, batch_id: UUID, station_id: str) -> CardBatch | None:
        """Return a batch of this station."""
        rows = await self._rows(_BATCH, batch_id, station_id)
        return _batch(rows[0]) if rows else None

    async def batch_numbered(self, number: int) -> UUID | None:
        """Return the batch with this number."""
        rows = await self._rows(_NUMBERED, number)
        return rows[0]["batch_id"] if rows else None

    async def of_station(self, station_id: str) -> list[CardBatch]:
        """Return a station's unfinished batches, the oldest first."""
        rows = await self._rows(_OF_STATION, station_id, BATCHES_SHOWN_MAX)
        return [_batch(row) for row in rows]

    async def listed(self, before: int, count: int) -> list[ListedBatch]:
        """Return batches with numbers below `before`, the newest first."""
        rows = await self._rows(_LIST, before, count)
        return [ListedBatch(_batch(row), row["station_id"]) for row in rows]

    async def orders(self, batch_id: UUID, station_id: str, after: UUID | None) -> list[Order]:
        """Return a page of a batch's open orders, by their ids, and one more if there is one."""
        rows = await self._rows(
            _ORDERS, batch_id, station_id, after or _NO_ORDER, ORDERS_PAGE_MAX + 1
        )
        return [order_of(row) for row in rows]

    async def take_back(
        self, batch_id: UUID, by: str, reason: str, now: datetime
    ) -> tuple[TakeBackResult, int]:
        """Take a batch from its station; how many open orders were made anew."""
        for _ in range(CARD_NUMBER_DRAWS_MAX):
            try:
                async with self.pool.transaction() as connection:
                    return await _taken_back(connection, batch_id, by, reason, now)
            except _LookAgainError:
                continue
        raise DatabaseBusyError("the batch changes while it is taken back: try again")

    async def spoil(
        self, order: Order, station_id: str, drawn: Drawn, on: date, reason: str
    ) -> tuple[SpoilResult, UUID | None]:
        """Count a spoiled blank and put a fresh order in the place of this one."""
        (row,) = await self._rows(
            _SPOIL,
            order.order_id,
            station_id,
            *msgspec.structs.astuple(drawn),
            on,
            reason,
            SPOILED_BLANKS_MAX,
        )
        return SpoilResult(row["result"]), row["order_id"]

    async def face(
        self, order: Order, station_id: str, read_by: str, purpose: str
    ) -> CardFace | None:
        """Return what is printed on an open order's card; the read is logged."""
        async with self.pool.transaction() as connection:
            name = await connection.fetchrow(_FACE, order.order_id, station_id, read_by, purpose)
            region = await connection.fetchrow(_REGION, order.issuer_region)
        if name is None or region is None:
            return None
        return CardFace(
            order_id=order.order_id,
            last_name=name["last_name"],
            first_name=name["first_name"],
            patronymic=name["patronymic"],
            card_number=order.card_number,
            valid_to=order.valid_to,
            region_ru=region["name_ru"],
            region_en=region["name_en"],
        )

    async def _rows(self, query: str, *values: object) -> list[asyncpg.Record]:
        async with self.pool.connection() as connection:
            return await connection.fetch(query, *values)


class Batches:
    """The issuing API about batches, for stations, without HTTP."""

    def __init__(self, store: BatchStore, cards: CardStore, clock: Clock) -> None:
        self._store = store
        self._cards = cards
        self._blanks = BlankStore(store.pool)
        self._clock = clock

    async def take(self, station_id: str, batch_id: UUID | None) -> CardBatch | Refusal:
        """Take this batch, or (None) the one at hand, or the next due; again is harmless."""
        on = self._clock.local_date()
        result, taken = await self._store.take(station_id, batch_id, on, f"station {station_id}")
        match result:
            case TakeResult.OTHER_STATION:
                return Refusal(ProblemType.BATCH_TAKEN)
            case TakeResult.FINISHED:
                return Refusal(ProblemType.BATCH_FINISHED)
            case TakeResult.BATCH_UNKNOWN:
                return Refusal(ProblemType.BATCH_UNKNOWN)
            case TakeResult.TAKEN:
                return await self.read(station_id, taken or _NO_ORDER)

    async def read(self, station_id: str, batch_id: UUID) -> CardBatch | Refusal:
        """Return a batch of this station."""
        batch = await self._store.batch(batch_id, station_id)
        return Refusal(ProblemType.BATCH_UNKNOWN) if batch is None else batch

    async def unfinished(self, station_id: str) -> BatchList:
        """Return what this station has still to do."""
        return BatchList(batches=tuple(await self._store.of_station(station_id)))

    async def orders(
        self, station_id: str, batch_id: UUID, after: UUID | None
    ) -> OrderPage | Refusal:
        """Return the open orders of a batch that come after this one."""
        if await self._store.batch(batch_id, station_id) is None:
            return Refusal(ProblemType.BATCH_UNKNOWN)
        found = await self._store.orders(batch_id, station_id, after)
        page = tuple(order.wire for order in found[:ORDERS_PAGE_MAX])
        more = len(found) > ORDERS_PAGE_MAX
        return OrderPage(orders=page, next=page[-1].order_id if more else None)

    async def stage(
        self, station_id: str, order_id: UUID, stage: WrittenStage
    ) -> OrderStage | Refusal:
        """Write down how far an order's card is; a stage that it has been at changes nothing."""
        order = await self._open_order(station_id, order_id)
        if isinstance(order, Refusal):
            return order
        to = Stage[stage.name]
        told = f"the station reported: {stage.value}"
        move = await self._cards.move(order.card_id, to, f"station {station_id}", told)
        now = move.to if move.result is MoveResult.MOVED else move.before
        if now is None or (not move.done and not to < now <= Stage.ACTIVE):
            return Refusal(ProblemType.STAGE_ILLEGAL, "stage", move.en)
        return OrderStage(order_id=order_id, stage=now.name.lower())

    async def face(self, station_id: str, order_id: UUID, purpose: str) -> CardFace | Refusal:
        """Return what is printed on an open order's card; the read is logged with its purpose."""
        order = await self._open_order(station_id, order_id)
        if isinstance(order, Refusal):
            return order
        face = await self._store.face(order, station_id, f"station {station_id}", purpose)
        return Refusal(ProblemType.ORDER_UNKNOWN) if face is None else face

    async def spoil(self, station_id: str, order_id: UUID, reason: str) -> CardOrder | Refusal:
        """Count a spoiled blank; return the fresh order, the same one when it was told before."""
        order = await self._cards.order(order_id, station_id)
        if order is None:
            return Refusal(ProblemType.ORDER_UNKNOWN)
        now, on = self._now(), self._clock.local_date()
        for _ in range(CARD_NUMBER_DRAWS_MAX):
            drawn = draw(order.issuer_region, now)
            result, fresh = await self._store.spoil(order, station_id, drawn, on, reason)
            match result:
                case SpoilResult.NUMBER_TAKEN:
                    continue
                case SpoilResult.REMADE:
                    made = await self._cards.order(fresh or _NO_ORDER, station_id)
                    # The batch was taken back since: the fresh order is somebody else's.
                    gone = Refusal(ProblemType.ORDER_GIVEN_UP)
                    return gone if made is None else made.wire
                case SpoilResult.TOO_OFTEN:
                    return Refusal(ProblemType.SPOILED_TOO_OFTEN)
                case SpoilResult.ISSUED:
                    return Refusal(ProblemType.ORDER_ISSUED)
                case SpoilResult.GIVEN_UP:
                    return Refusal(ProblemType.ORDER_GIVEN_UP)
                case SpoilResult.ORDER_UNKNOWN:
                    return Refusal(ProblemType.ORDER_UNKNOWN)
        raise all_taken()

    async def count_blanks(self, station_id: str, left: int) -> BlankBalance | Refusal:
        """Keep what is left of this station's blanks tonight, beside what there had to be."""
        on = self._clock.local_date()
        balance = await self._blanks.count(station_id, on, left, f"station {station_id}")
        return Refusal(ProblemType.STATION_UNKNOWN) if balance is None else balance

    async def _open_order(self, station_id: str, order_id: UUID) -> Order | Refusal:
        order = await self._cards.order(order_id, station_id)
        if order is None:
            return Refusal(ProblemType.ORDER_UNKNOWN)
        if order.state is OrderCode.GIVEN_UP:
            return Refusal(ProblemType.ORDER_GIVEN_UP)
        if order.state is OrderCode.ISSUED:
            return Refusal(ProblemType.ORDER_ISSUED)
        return order

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.utc_ms() / 1000, UTC)


def columns_of(drawn: Sequence[Drawn]) -> tuple[list[Any], ...]:
    """Return what was drawn as the columns that the database's functions take."""
    rows = [msgspec.structs.astuple(one) for one in drawn]
    return tuple([row[place] for row in rows] for place in range(len(Drawn.__struct_fields__)))


async def _taken_back(
    connection: Connection, batch_id: UUID, by: str, reason: str, now: datetime
) -> tuple[TakeBackResult, int]:
    open_orders = await connection.fetch(_OPEN, batch_id)
    drawn = [draw(row["issuer_region"], now) for row in open_orders]
    old_ids = [row["order_id"] for row in open_orders]
    row = await connection.fetchrow(_TAKE_BACK, batch_id, old_ids, *columns_of(drawn), by, reason)
    if row is None or row["result"] == TakeBackResult.LOOK_AGAIN:
        raise _LookAgainError
    return TakeBackResult(row["result"]), row["remade"]


def _batch(row: asyncpg.Record) -> CardBatch:
    return CardBatch(**{name: row[name] for name in CardBatch.__struct_fields__})
