"""Applications for cards: taken, approved or refused by another person, followed to hand-over.

An application names persons by reference. Approval makes its order (docs/issuing.md); until then it
binds nobody. The pool acts as spk_issuing; every method raises the errors of `DatabasePool`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from processing.cards.batches import columns_of
from processing.cards.drawing import CARD_NUMBER_DRAWS_MAX, all_taken, draw
from processing.cards.issuing import CARD_VALIDITY_YEARS
from processing.cards.life import Stage
from processing.kernel.clock import Clock, years_after
from processing.kernel.database import DatabasePool
from processing.kernel.ids import uuid7

APPLICATIONS_AT_ONCE_MAX: Final = 500
"""Applications that one call of the database takes, approves or shows."""
ORDERS_PER_DAY_MAX: Final = 10_000
"""Orders planned for one day in all; those approved beyond it are planned for a later day."""
PLAN_DAYS_MAX: Final = 60
"""How far ahead orders are planned; what finds no room there waits for approval again."""

_APPLY: Final = """
    SELECT place, result, number
    FROM cards.apply_for_cards($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_APPROVE: Final = """
    SELECT application_id, result
    FROM cards.approve_applications($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_REFUSE: Final = "SELECT cards.refuse_application($1, $2, $3, $4, $5)"
_WAITING: Final = """
    SELECT application_id, number, point_id FROM cards.application
    WHERE state = 1 AND number > $1 AND ($2::smallint IS NULL OR kind = $2)
    ORDER BY number LIMIT $3
"""
_NUMBERED: Final = """
    SELECT application_id, number, point_id FROM cards.application WHERE number = ANY($1)
"""
_REGION: Final = "SELECT region FROM cards.delivery_point WHERE point_id = $1"
_LIST: Final = """
    SELECT * FROM cards.application_overview
    WHERE
        number < $1 AND ($2::smallint IS NULL OR state = $2)
        AND ($3::text IS NULL OR point_id = $3)
    ORDER BY number DESC LIMIT $4
"""
_FIND: Final = """
    WITH named AS (
        SELECT application_id FROM cards.application WHERE number = $1
        UNION
        SELECT application_id FROM cards.application WHERE order_id = $2
        UNION
        SELECT application_id FROM cards.application WHERE citizen_id = $3
        UNION
        SELECT a.application_id
        FROM cards.card_order AS o INNER JOIN cards.application AS a USING (order_id)
        WHERE o.card_id = $2
        UNION
        SELECT a.application_id
        FROM cards.card_order AS o INNER JOIN cards.application AS a USING (order_id)
        WHERE o.card_number = $4
    )
    SELECT v.* FROM named INNER JOIN cards.application_overview AS v USING (application_id)
    ORDER BY v.number DESC LIMIT $5
"""
_DUE: Final = "SELECT * FROM cards.renewals_due($1, $2, $3, $4, $5)"
_LAST_NUMBER: Final = 2**63 - 1


class ApplicationKind(IntEnum):
    """`cards.application.kind`."""

    FIRST = 1
    REPLACEMENT = 2
    REPRESENTATIVE = 3
    RENEWAL = 4


class ApplicationState(IntEnum):
    """`cards.application.state`."""

    WAITING = 1
    ORDERED = 2
    HANDED_OVER = 3
    WITHDRAWN = 4
    REFUSED = 5


class ApplyResult(IntEnum):
    """What `cards.apply_for_cards` returns for each."""

    APPLIED = 1
    CITIZEN_UNKNOWN = 2
    DEAD = 3
    OTHER_REGION = 4
    NOT_PRINTABLE = 5
    WAITS_ALREADY = 6
    CARD_HELD = 7
    NO_CARD = 8
    NOT_REPRESENTATIVE = 9
    POINT_UNKNOWN = 10
    RIGHT_MISSING = 11


class ApproveResult(IntEnum):
    """What `cards.approve_applications` returns for each."""

    ORDERED = 1
    NOT_WAITING = 2
    SAME_PERSON = 3
    NUMBER_TAKEN = 4
    NOT_FIT = 5
    POINT_UNKNOWN = 6
    PLAN_FULL = 7
    RIGHT_MISSING = 8
    CARD_GONE = 9


class RefuseResult(IntEnum):
    """What `cards.refuse_application` returns."""

    DONE = 1
    DECIDED_ALREADY = 2
    AT_STATION = 3
    UNKNOWN = 4
    RIGHT_MISSING = 5


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a card is asked for, by id or СНИЛС; and the one person they are to act for with it."""

    citizen_id: UUID | None = None
    snils: str | None = None
    represents: UUID | None = None
    represents_snils: str | None = None


class Applied(msgspec.Struct, frozen=True):
    """What became of a wish; `number` is the application's."""

    result: ApplyResult
    number: int | None


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes applications, why, and where the cards are to be handed over."""

    kind: ApplicationKind
    point_id: str
    by: str
    reason: str


class Open(msgspec.Struct, frozen=True):
    """An application that is to be decided; `point_id` None: nobody has said yet where to."""

    application_id: UUID
    number: int
    point_id: str | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far an application is (`cards.application_overview`)."""

    application_id: UUID
    number: int
    kind: ApplicationKind
    state: ApplicationState
    citizen_id: UUID
    applied_at: datetime
    applied_by: str
    decided_by: str | None
    decision_reason: str | None
    order_id: UUID | None
    card_id: UUID | None
    station_id: str | None
    expected_on: date | None
    batch_number: int | None
    stage: Stage | None
    point_id: str | None
    point_name: str | None
    point_address: str | None
    point_phone: str | None
    point_hours: str | None


class Due(msgspec.Struct, frozen=True):
    """A card that a renewal campaign is for, and where its holder got the last one."""

    card_id: UUID
    valid_to: date
    citizen_id: UUID
    represents: UUID | None
    point_id: str | None


class ApplicationStore:
    """Applications in the database."""

    def __init__(self, pool: DatabasePool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def apply(self, wishes: Sequence[Wish], desk: Desk) -> list[Applied]:
        """Take applications, at most `APPLICATIONS_AT_ONCE_MAX`; an answer for each, in order."""
        now = self._now()
        rows = await self._rows(
            _APPLY,
            [uuid7(now) for _ in wishes],
            [wish.citizen_id for wish in wishes],
            [wish.snils for wish in wishes],
            [wish.represents for wish in wishes],
            [wish.represents_snils for wish in wishes],
            int(desk.kind),
            desk.point_id,
            desk.by,
            desk.reason,
            now,
            self._clock.local_date(),
        )
        return [Applied(ApplyResult(row["result"]), row["number"]) for row in rows]

    async def waiting(self, after: int, kind: ApplicationKind | None) -> list[Open]:
        """Return applications that wait for approval, with numbers after this one."""
        rows = await self._rows(_WAITING, after, kind, APPLICATIONS_AT_ONCE_MAX)
        return [Open(**dict(row)) for row in rows]

    async def numbered(self, numbers: Sequence[int]) -> list[Open]:
        """Return the applications with these numbers; those that are not there are left out."""
        return [Open(**dict(row)) for row in await self._rows(_NUMBERED, list(numbers))]

    async def approve(
        self, applications: Sequence[Open], by: str, point_id: str | None
    ) -> dict[int, ApproveResult]:
        """Approve applications; the result of each by its number.

        `point_id` is where cards are handed over of which nobody has said.
        """
        results: dict[int, ApproveResult] = {}
        placed = sorted(applications, key=lambda one: (one.point_id or point_id or "", one.number))
        for point, group in groupby(placed, key=lambda one: one.point_id or point_id):
            results |= await self._approve_for(point, list(group), by)
        return results

    async def _approve_for(
        self, point_id: str | None, applications: Sequence[Open], by: str
    ) -> dict[int, ApproveResult]:
        regions = await self._rows(_REGION, point_id)
        if not regions:
            return {one.number: ApproveResult.POINT_UNKNOWN for one in applications}
        now, on = self._now(), self._clock.local_date()
        results: dict[int, ApproveResult] = {}
        left = {one.application_id: one.number for one in applications}
        for _ in range(CARD_NUMBER_DRAWS_MAX):
            rows = await self._rows(
                _APPROVE,
                list(left),
                *columns_of([draw(regions[0]["region"], now) for _ in left]),
                point_id,
                by,
                now,
                on,
                years_after(on, CARD_VALIDITY_YEARS),
                ORDERS_PER_DAY_MAX,
                PLAN_DAYS_MAX,
            )
            for row in rows:
                if row["result"] != ApproveResult.NUMBER_TAKEN:
                    results[left.pop(row["application_id"])] = ApproveResult(row["result"])
            if not left:
                return results
        raise all_taken()

    async def refuse(
        self, application_id: UUID, by: str, reason: str, *, withdraw: bool
    ) -> RefuseResult:
        """Refuse an application, or take it back for its citizen; again is harmless."""
        rows = await self._rows(_REFUSE, application_id, withdraw, by, reason, self._now())
        return RefuseResult(rows[0][0])

    async def listed(
        self, state: ApplicationState | None, point_id: str | None, before: int | None, count: int
    ) -> list[Standing]:
        """Return applications with numbers below `before`, the newest first."""
        most = min(count, APPLICATIONS_AT_ONCE_MAX)
        rows = await self._rows(_LIST, before or _LAST_NUMBER, state, point_id, most)
        return [_standing(row) for row in rows]

    async def find(
        self,
        *,
        number: int | None = None,
        key: UUID | None = None,
        citizen_id: UUID | None = None,
        card_number: str | None = None,
    ) -> list[Standing]:
        """Return applications by number, order, card or citizen, the newest first."""
        rows = await self._rows(
            _FIND, number, key, citizen_id, card_number, APPLICATIONS_AT_ONCE_MAX
        )
        return [_standing(row) for row in rows]

    async def renewals_due(self, before: date, after: Due | None) -> list[Due]:
        """Return cards that end before a day and nobody asked to renew, after the one given."""
        rows = await self._rows(
            _DUE,
            self._clock.local_date(),
            before,
            None if after is None else after.valid_to,
            None if after is None else after.card_id,
            APPLICATIONS_AT_ONCE_MAX,
        )
        return [Due(**dict(row)) for row in rows]

    def _now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self._clock.utc_ms())

    async def _rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        async with self._pool.connection() as connection:
            return await connection.fetch(query, *values)


def _standing(row: asyncpg.Record) -> Standing:
    values = {name: row[name] for name in Standing.__struct_fields__}
    stage = values["stage"]
    return Standing(
        **{
            **values,
            "kind": ApplicationKind(values["kind"]),
            "state": ApplicationState(values["state"]),
            "stage": None if stage is None else Stage(stage),
        }
    )
