"""Social passports are made here: a citizen's categories and what they allow offline.

A card gets a new one when it is written, and whenever it is seen at a station and the one at hand
would no longer be made so, or ends within `RENEW_WITHIN_DAYS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final
from uuid import UUID

import msgspec

from processing.cards.signing import KeyInUse, SignDocument
from processing.kernel.clock import Clock
from processing.kernel.database import DatabasePool
from processing.kernel.errors import DatabaseBusyError
from processing.wire.signed_map import signer_of
from processing.wire.social_passport import (
    CATEGORIES_MAX,
    SERVICES_MAX,
    OfflineLimit,
    SocialPassport,
)

VALID_DAYS: Final = 180
"""Longest term of a passport; a card that is never seen loses its offline limits then."""
RENEW_WITHIN_DAYS: Final = 60

_HOLDER: Final = """
    SELECT citizen_id, issuer_region, valid_to FROM cards.card_order
    WHERE card_id = $1 AND state <> 3
"""
_CATEGORIES: Final = "SELECT category, valid_to FROM register.categories_for_card($1, $2, $3)"
_LIMITS: Final = """
    SELECT service, category, transactions, gross_kopecks, window_days FROM cards.offline_limit
    WHERE category = ANY($1) OR category = '' ORDER BY service
"""
_KEPT: Final = (
    "SELECT number, content_sha256, valid_to, body FROM cards.passport WHERE card_id = $1"
)
_KEEP: Final = "SELECT cards.keep_passport($1, $2, $3, $4, $5)"


class _LimitRow(msgspec.Struct, frozen=True):
    service: str
    category: str
    transactions: int
    gross_kopecks: int
    window_days: int


class Passports:
    """Makes passports. The pool acts as spk_issuing.

    With `key_in_use`, one that an earlier key signed is made anew like one that is due.
    """

    def __init__(
        self,
        pool: DatabasePool,
        sign: SignDocument,
        clock: Clock,
        key_in_use: KeyInUse | None = None,
    ) -> None:
        self._pool = pool
        self._sign = sign
        self._clock = clock
        self._key_in_use = key_in_use

    async def for_card(self, card_id: UUID, read_by: str) -> bytes | None:
        """Return the signed passport that belongs on this card; None for an unknown card.

        The one made before is returned while it still says what is so. `read_by` is who asks, for
        the register's log. Raises the errors of the pool and of the key service.
        """
        on = self._clock.local_date()
        async with self._pool.connection() as connection:
            holder = await connection.fetchrow(_HOLDER, card_id)
            if holder is None:
                return None
            held = {
                row["category"]: row["valid_to"]
                for row in await connection.fetch(_CATEGORIES, holder["citizen_id"], on, read_by)
            }
            rows = [_LimitRow(*row) for row in await connection.fetch(_LIMITS, [*held])]
            kept = await connection.fetchrow(_KEPT, card_id)
        categories = tuple(sorted(held)[:CATEGORIES_MAX])
        ends = [held[row.category] for row in rows if row.category]
        passport = SocialPassport(
            card_id=card_id.bytes,
            region=holder["issuer_region"],
            number=1 if kept is None else kept["number"] + 1,
            valid_from=on,
            valid_to=min(holder["valid_to"], on + timedelta(days=VALID_DAYS), *ends),
            categories=categories,
            limits=highest(rows),
        )
        content = _content(passport)
        if (
            kept is not None
            and kept["content_sha256"] == content
            and kept["valid_to"] >= min(passport.valid_to, on + timedelta(days=RENEW_WITHIN_DAYS))
            and (self._key_in_use is None or signer_of(kept["body"]) == await self._key_in_use())
        ):
            body: bytes = kept["body"]
            return body
        body = passport.encode(*await self._sign(passport.document))
        fields = (card_id, passport.number, content, passport.valid_to, body)
        async with self._pool.connection() as connection:
            if not await connection.fetchval(_KEEP, *fields):
                raise DatabaseBusyError(
                    f"another passport was made for card {card_id} just now: ask again"
                )
        return body


def highest(rows: Sequence[_LimitRow]) -> dict[str, OfflineLimit]:
    """Return the limit of each service: of those that fit the citizen each number's highest."""
    limits: dict[str, OfflineLimit] = {}
    for row in rows:
        before = limits.get(row.service, OfflineLimit(0, 0, 1))
        limits[row.service] = OfflineLimit(
            max(before.transactions, row.transactions),
            max(before.gross_kopecks, row.gross_kopecks),
            max(before.window_days, row.window_days),
        )
    return dict(list(limits.items())[:SERVICES_MAX])


def _content(passport: SocialPassport) -> bytes:
    """Return what two passports with the same meaning have in common, whenever they were made."""
    same = msgspec.structs.replace(passport, number=0, valid_from=_SOME_DAY, valid_to=_SOME_DAY)
    return hashlib.sha256(same.document).digest()


_SOME_DAY: Final = date(1970, 1, 1)
