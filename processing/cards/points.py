"""Delivery points: where cards are handed over, and whom to call. The pool acts as spk_issuing."""

from __future__ import annotations

from typing import Final

import msgspec

from processing.kernel.database import DatabasePool

POINT_ORDERS_PER_DAY: Final = 500
"""How many orders a day are planned for a point of which nothing else is said."""
DELIVERY_DAYS: Final = 5
"""How many days after its planned day a card is there, if nothing else is said."""

_ADD: Final = "SELECT cards.add_point($1, $2, $3, $4, $5, $6, $7, $8)"
_LIST: Final = """
    SELECT point_id, region, name, address, phone, hours, delivery_days, daily_max
    FROM cards.delivery_point WHERE active ORDER BY point_id
"""
_CLOSE: Final = "UPDATE cards.delivery_point SET active = FALSE WHERE point_id = $1"


class DeliveryPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery point of one region."""

    point_id: str
    region: int
    name: str
    address: str
    phone: str
    hours: str
    delivery_days: int
    daily_max: int


class PointStore:
    """Delivery points in the database. Raises the errors of `DatabasePool`."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def put(self, point: DeliveryPoint) -> bool:
        """Add a point, or change what is known of it; False: there is no such region."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_ADD, *msgspec.structs.astuple(point)))

    async def points(self) -> list[DeliveryPoint]:
        """Return the points in use."""
        async with self._pool.connection() as connection:
            return [DeliveryPoint(**dict(row)) for row in await connection.fetch(_LIST)]

    async def close(self, point_id: str) -> bool:
        """Take a point out of use: no more applications for it; False: there is none."""
        async with self._pool.connection() as connection:
            done: str = await connection.execute(_CLOSE, point_id)
        return done.endswith(" 1")
