"""Authorization in the database: calls of sql/functions/authorization, as the role spk_processing.

A batch goes in as `engine.batch` (`processing.authorization.columns`) and comes back as rows of
`engine.answer`.
Every method raises the errors of `processing.kernel.database.DatabasePool`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from processing.authorization.columns import batch_columns, batch_parameters
from processing.authorization.model import CardKey, Case, Ruling
from processing.kernel.database import DatabasePool
from processing.kernel.errors import DatabaseError
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    RIGHTS_MAX,
    DecidedLine,
    Decision,
    Request,
    Right,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_OUTCOMES: Final = {int(outcome): outcome for outcome in Outcome}
_AUTHORIZE: Final = f"SELECT * FROM engine.authorize($1, $2, $3, $4, {batch_parameters(5)})"  # noqa: S608
_CARD: Final = """
    SELECT
        card_id, holder_id, public_key_tap,
        CASE WHEN NOT pin_is_transport THEN public_key_pin END AS public_key_pin, pin_is_transport
    FROM cards.card WHERE card_id = $1
"""
_RIGHTS: Final = "SELECT * FROM engine.rights_of($1, $2, $3, $4, $5, $6)"


class Place(msgspec.Struct, frozen=True):
    """Where and when a batch was decided."""

    lane: int
    block: int
    posting_date: date
    decided_at_ms: int


class BatchCollisionError(DatabaseError):
    """The batch met another worker's on the same key or allowance; nothing of it was written."""


class AuthorizationStore:
    """What authorization reads and writes."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def card_key(self, card_id: bytes) -> CardKey | None:
        """Return a registered card's keys; None when there is no such card."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_CARD, UUID(bytes=card_id))
        if row is None:
            return None
        return CardKey(
            row["card_id"].bytes,
            row["holder_id"].bytes,
            row["public_key_tap"],
            row["public_key_pin"],
            row["pin_is_transport"],
        )

    async def authorize(
        self,
        lane: int,
        block: int,
        decided_at_ms: int,
        posting_date: date,
        cases: Sequence[Case],
    ) -> list[Ruling]:
        """Decide a batch in one database transaction; return its rulings in the cases' order.

        When this returns, the decisions are committed. No two cases may share a key. Raises
        `BatchCollisionError` when the batch has to be tried again.
        """
        columns = batch_columns(cases)
        async with self._pool.connection() as connection:
            try:
                rows = await connection.fetch(
                    _AUTHORIZE, lane, block, at_time(decided_at_ms), posting_date, *columns
                )
            except (
                asyncpg.SerializationError,
                asyncpg.DeadlockDetectedError,
                asyncpg.UniqueViolationError,
            ) as error:
                raise BatchCollisionError(str(error)) from error
        made = Place(lane, block, posting_date, decided_at_ms)
        rulings = {row[0]: _ruling(row, cases[row[0] - 1], made) for row in rows}
        return [rulings[number] for number in range(1, len(cases) + 1)]

    async def rights(
        self, request: Request, own_holder: UUID, decided_at_ms: int, first_right: int
    ) -> tuple[list[Right], bool]:
        """Return a page of what the card opens at this terminal, and whether more rights follow.

        The page begins with number `first_right` (from 0) and holds at most `RIGHTS_MAX`; what is
        the card holder's own comes before what is others'.
        """
        rights = await self.rights_from(
            request, own_holder, decided_at_ms, first_right, RIGHTS_MAX + 1
        )
        return rights[:RIGHTS_MAX], len(rights) > RIGHTS_MAX

    async def rights_from(
        self, request: Request, own_holder: UUID, decided_at_ms: int, first_right: int, count: int
    ) -> list[Right]:
        """Return at most `count` of the same rights, from number `first_right`."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(
                _RIGHTS,
                UUID(bytes=request.card_id),
                own_holder,
                request.key.terminal_id,
                at_time(decided_at_ms),
                first_right,
                count,
            )
        return [_right(row) for row in rows]


def at_time(utc_ms: int) -> datetime:
    """Return the time `utc_ms` milliseconds after 1970, exactly."""
    return _EPOCH + _MILLISECOND * utc_ms


def _ruling(row: asyncpg.Record, case: Case, made: Place) -> Ruling:
    # By position: this runs for every transaction, and names cost more than all the rest.
    (
        _, replayed, outcome_code, approval_code, posting_date, decided_at, lane, block, place,
        covered, paid, facts, balances,
    ) = row  # fmt: skip
    outcome = _OUTCOMES[outcome_code]
    decision = None
    if place is not None:
        if replayed:
            decided_at_ms = (decided_at - _EPOCH) // _MILLISECOND
            made = Place(lane, block, posting_date, decided_at_ms)
        decision = Decision(
            request_digest=case.digest,
            outcome=outcome,
            approval_code=approval_code,
            posting_date=made.posting_date,
            decided_at_ms=made.decided_at_ms,
            lane=made.lane,
            block=made.block,
            ordinal=place,
            lines=() if covered is None else tuple(map(DecidedLine, covered, paid)),
        )
    return Ruling(
        outcome=outcome,
        decision=decision,
        replayed=replayed,
        facts={} if facts is None else msgspec.json.decode(facts, type=dict[str, str]),
        balances=() if balances is None else tuple(_balance(one, case) for one in balances),
    )


def _balance(row: asyncpg.Record, case: Case) -> Right:
    item_class, unit_okei, scale, granted, remaining, percent, valid_to = row
    return Right(
        holder_id=case.holder_id.bytes,
        service=case.request.service,
        service_version=case.request.service_version,
        item_class=item_class,
        unit_okei=unit_okei,
        scale=scale,
        granted=granted,
        remaining=remaining,
        percent=percent,
        valid_to=valid_to,
    )


def _right(row: asyncpg.Record) -> Right:
    return Right(**{**row, "holder_id": row["holder_id"].bytes})
