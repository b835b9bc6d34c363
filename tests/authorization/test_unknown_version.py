"""Goods of a service version that nobody published may come back too."""

from __future__ import annotations

import asyncpg
import pytest

from processing.authorization.model import Case
from processing.wire.outcome import Outcome
from tests.authorization.world import (
    Centre,
    amounts,
    completion,
    goods_back,
    grant,
    pills,
    reserve,
    sale,
)

RESERVED = reserve(1, pills(1, 100), version=9)


@pytest.mark.parametrize(
    "given",
    [
        completion(2, RESERVED, pills(1, 100), version=9),
        sale(2, pills(1, 100), version=9, advice=True),
    ],
    ids=["completion", "advice"],
)
async def test_what_was_given_in_conflict_comes_back(
    world: asyncpg.Connection, centre: Centre, given: Case
) -> None:
    pill = await grant(world, "PILL", 5)
    await centre.decide_one(RESERVED)
    assert (await centre.decide_one(given)).outcome is Outcome.RECORDED_IN_CONFLICT
    back = await centre.decide_one(goods_back(3, given, pills(1, 100), version=9))
    assert (back.outcome, amounts(back)) == (Outcome.APPROVED, [(0, 100)])
    assert await centre.used(pill) == 0
