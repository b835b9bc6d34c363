"""The renewal campaign: applications for the cards that end soon, taken once however often it runs.

Another person approves them like all others, and the plan of the delivery points spreads them over
the days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Final

import msgspec

from processing.cards.applications import (
    ApplicationKind,
    ApplicationStore,
    Applied,
    ApplyResult,
    Desk,
    Due,
    Wish,
)

RENEWAL_REASON: Final = "the card ends soon"


class Renewed(msgspec.Struct, frozen=True):
    """How many applications a campaign took, and how many cards it left out, by why."""

    applied: int
    left_out: dict[ApplyResult, int]


async def renew(
    store: ApplicationStore, before: date, by: str, point_id: str | None, most: int
) -> Renewed:
    """Apply for the renewal of active cards that end before a day, at most `most` of them.

    A new card is handed over where the holder got the last one, else at `point_id`.
    """
    counts: Counter[ApplyResult] = Counter()
    seen = 0
    last: Due | None = None
    while seen < most and (part := await store.renewals_due(before, last)):
        last = part[-1]
        part = part[: most - seen]
        seen += len(part)
        for answer in await _apply(store, part, by, point_id):
            counts[answer.result] += 1
    applied = counts.pop(ApplyResult.APPLIED, 0)
    return Renewed(applied, dict(counts))


async def _apply(
    store: ApplicationStore, cards: Sequence[Due], by: str, point_id: str | None
) -> list[Applied]:
    answers: list[Applied] = []
    placed = sorted(cards, key=lambda card: card.point_id or point_id or "")
    for point, group in groupby(placed, key=lambda card: card.point_id or point_id or ""):
        wishes = [Wish(citizen_id=card.citizen_id, represents=card.represents) for card in group]
        desk = Desk(kind=ApplicationKind.RENEWAL, point_id=point, by=by, reason=RENEWAL_REASON)
        answers += await store.apply(wishes, desk)
    return answers
