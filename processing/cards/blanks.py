"""Blank cards: lots in the store, what stations got, what was counted. Acts as spk_issuing."""

from __future__ import annotations

from datetime import date
from enum import IntEnum
from typing import Final

import msgspec

from processing.kernel.database import DatabasePool
from processing.kernel.errors import DatabaseError
from processing.wire.batches import BlankBalance

_MOVE: Final = "SELECT cards.move_blanks($1, $2, $3, $4, $5, $6, $7, $8)"
_COUNT: Final = "SELECT * FROM cards.count_blanks($1, $2, $3, $4)"
_STORE: Final = "SELECT * FROM cards.blank_store ORDER BY lot"
_COUNTS: Final = """
    SELECT DISTINCT ON (station_id, counted_on) * FROM cards.blank_count
    WHERE counted_on BETWEEN $1 AND $2
    ORDER BY station_id, counted_on, number DESC LIMIT $3
"""


class BlankMoveKind(IntEnum):
    """`cards.blank_move.kind`."""

    RECEIVED = 1
    GIVEN = 2
    RETURNED = 3
    SPOILED = 4
    DESTROYED = 5


class BlankMoveResult(IntEnum):
    """What `cards.move_blanks` returns."""

    WRITTEN = 1
    LOT_UNKNOWN = 2
    STATION_UNKNOWN = 3
    NOT_SO_MANY = 4
    RIGHT_MISSING = 5
    OTHER_FAMILY = 6


class BlankMove(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of blanks: of a lot (spoiled ones are of none), to or at a station."""

    kind: BlankMoveKind
    blanks: int
    moved_on: date
    made_by: str
    reason: str
    lot: str | None = None
    family: str | None = None
    station_id: str | None = None


class StoredLot(msgspec.Struct, frozen=True):
    """A lot in the store: received + returned - given - destroyed = in_store."""

    lot: str
    family: str
    received: int
    given: int
    returned: int
    destroyed: int
    in_store: int


class BlankStore:
    """Blanks in the database. Raises the errors of `DatabasePool`."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def move(self, move: BlankMove) -> BlankMoveResult:
        """Write a movement down, unless it takes more than there is."""
        async with self._pool.connection() as connection:
            result = await connection.fetchval(
                _MOVE,
                int(move.kind),
                move.lot,
                move.family,
                move.station_id,
                move.blanks,
                move.moved_on,
                move.made_by,
                move.reason,
            )
        if result is None:
            raise DatabaseError("cards.move_blanks gave no result")
        return BlankMoveResult(result)

    async def count(self, station_id: str, on: date, left: int, by: str) -> BlankBalance | None:
        """Keep a day's count; None: no such station."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_COUNT, station_id, on, left, by)
        if row is None:
            return None
        return BlankBalance(**{name: row[name] for name in BlankBalance.__struct_fields__})

    async def counts(self, first: date, last: date, most: int) -> list[BlankBalance]:
        """Return the counts that stand of these days, by station and day."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNTS, first, last, most)
        fields = BlankBalance.__struct_fields__
        return [BlankBalance(**{name: row[name] for name in fields}) for row in rows]

    async def lots(self) -> list[StoredLot]:
        """Return every lot with what is left of it."""
        async with self._pool.connection() as connection:
            return [StoredLot(**dict(row)) for row in await connection.fetch(_STORE)]
