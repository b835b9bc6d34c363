"""Goods brought back: in pieces, to the kopeck, and only what was sold (docs/kinds.md)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from processing.authorization.model import Case, Proof
from processing.wire.outcome import Outcome
from processing.wire.transaction import Line, MessageClass, TransactionKey
from tests.authorization.test_kinds import told
from tests.authorization.world import (
    BLOCKED_CARD,
    CHILD,
    DAY,
    NOW,
    OTHER_CARD,
    OTHER_PROVIDERS_TERMINAL,
    OTHER_TERMINAL,
    TERMINAL,
    Centre,
    amounts,
    completion,
    goods_back,
    grant,
    pills,
    reserve,
    reversal,
    sale,
)

SOLD = sale(1, pills(4, 4_000))
HELD = reserve(1, pills(4, 4_000))


async def test_goods_come_back_in_pieces(world: asyncpg.Connection, centre: Centre) -> None:
    pill = await grant(world, "PILL", 3, period=1)
    half = await grant(world, "PILL", 5, "HALFCAP", priority=200)
    sold = sale(1, pills(5, 33_333), pills(1, 1))
    # Three in full (199.99 of the price), two at half of the cap, together 50.00; then one at half.
    given = await centre.decide_one(sold)
    assert amounts(given) == [(24_999, 8_334), (1, 0)]
    tomorrow = {"signed_at": NOW + timedelta(days=1), "business_date": date(2026, 3, 3)}
    later = {"at": NOW + timedelta(days=1), "posting": date(2026, 3, 3)}
    sums = [0, 0]
    for number, line in enumerate([(1, 6_667), (1, 6_667), (2, 13_333), (1, 6_666)], 10):
        back = goods_back(number, sold, pills(*line), card=OTHER_CARD, **tomorrow)
        ruling = await centre.decide_one(back, **later)  # type: ignore[arg-type]
        assert (ruling.outcome, ruling.facts) == (Outcome.APPROVED, {})
        sums = [mine + one for mine, one in zip(sums, amounts(ruling)[0], strict=True)]
    assert sums == [24_999, 8_334]
    assert await centre.used(pill) + await centre.used(half) == 1
    more = goods_back(20, sold, pills(1, 1), **tomorrow)
    ruling = await centre.decide_one(more, **later)  # type: ignore[arg-type]
    assert told(ruling) == (405, {"line": "1", "item": "PILL", "remaining": "0"}, [])
    last = goods_back(21, sold, pills(0, 0), pills(1, 1), **tomorrow)
    assert amounts(await centre.decide_one(last, **later)) == [(0, 0), (1, 0)]  # type: ignore[arg-type]
    assert await centre.used(pill) + await centre.used(half) == 0
    dates = await world.fetch("SELECT DISTINCT posting_date FROM journal.event WHERE kind = 5")
    assert [row[0] for row in dates] == [date(2026, 3, 3)]


async def test_what_was_completed_comes_back(world: asyncpg.Connection, centre: Centre) -> None:
    pill = await grant(world, "PILL", 5)
    done = completion(2, HELD, pills(3, 3_000))
    await centre.decide(HELD, done, goods_back(3, done, pills(1, 1_000)))
    assert await centre.used(pill) == 2
    taken_back = await centre.decide_one(reversal(4, done))
    assert told(taken_back) == (703, {}, [(2_000, 0)])
    assert await centre.used(pill) == 0
    assert (await centre.decide_one(goods_back(5, done, pills(1, 1)))).facts == {
        "original": "reversed"
    }


# What is brought back to the sale of 4 for 40.00 under number 1, how the wish differs.
REFUSED: list[tuple[str, list[Case], list[Line], dict[str, Any], int, dict[str, str]]] = [
    (
        "more",
        [],
        [pills(5, 100)],
        {},
        405,
        {"line": "1", "item": "PILL", "remaining": "4"},
    ),
    (
        "dearer",
        [],
        [pills(1, 4_001)],
        {},
        405,
        {"line": "1", "item": "PILL", "remaining": "4"},
    ),
    (
        "all but its price",
        [],
        [pills(4, 3_999)],
        {},
        405,
        {"line": "1", "item": "PILL", "remaining": "4"},
    ),
    ("nothing", [], [pills(0, 0)], {}, 405, {"line": "1", "item": "PILL", "remaining": "4"}),
    (
        "more than is left",
        [goods_back(2, SOLD, pills(3, 3_000))],
        [pills(2, 1_000)],
        {},
        405,
        {"line": "1", "item": "PILL", "remaining": "1"},
    ),
    (
        "another item",
        [],
        [pills(1, 100, "SYRUP")],
        {},
        502,
        {"field": "item", "line": "1", "item": "SYRUP"},
    ),
    (
        "a line more",
        [],
        [pills(1, 100), pills(1, 100)],
        {},
        502,
        {"field": "item", "line": "2", "item": "PILL"},
    ),
    ("unknown", [], [pills(1, 100)], {"parent": 77}, 501, {"original": "unknown"}),
    ("reversed", [reversal(2, SOLD)], [pills(1, 100)], {}, 501, {"original": "reversed"}),
    (
        "declined",
        [sale(8, pills(99, 1))],
        [pills(1, 1)],
        {"parent": 8},
        501,
        {"original": "declined"},
    ),
    (
        "a return",
        [goods_back(8, SOLD, pills(1, 1))],
        [pills(1, 1)],
        {"parent": 8},
        502,
        {"field": "kind"},
    ),
    ("another holder", [], [pills(1, 100)], {"holder": CHILD}, 502, {"field": "holder"}),
    ("another service", [], [pills(1, 100)], {"service": "PART"}, 502, {"field": "service"}),
    (
        "another provider",
        [],
        [pills(1, 100)],
        {"terminal": OTHER_PROVIDERS_TERMINAL},
        502,
        {"field": "parent"},
    ),
    ("card blocked", [], [pills(1, 100)], {"card": BLOCKED_CARD}, 303, {"card_state": "2"}),
]


@pytest.mark.parametrize("advice", [False, True])
@pytest.mark.parametrize(
    ("before", "lines", "changes", "outcome", "facts"),
    [pytest.param(*row, id=name) for name, *row in REFUSED],
)
async def test_a_return_that_is_refused_or_recorded(
    world: asyncpg.Connection,
    centre: Centre,
    before: list[Case],
    lines: list[Line],
    changes: dict[str, Any],
    outcome: int,
    facts: dict[str, str],
    advice: bool,
) -> None:
    pill = await grant(world, "PILL", 5)
    await centre.decide_one(SOLD)
    for one in before:
        await centre.decide_one(one)
    used = await centre.used(pill)
    if "parent" in changes:
        parent = TransactionKey(DAY, TERMINAL, changes["parent"], MessageClass.FINANCIAL)
        changes = changes | {"parent": parent}
    ruling = await centre.decide_one(goods_back(30, SOLD, *lines, advice=advice, **changes))
    if advice:
        paid_back = [(0, line.gross_kopecks) for line in lines]
        assert told(ruling) == (701, facts | {"reason": f"{outcome}"}, paid_back)
    else:
        assert told(ruling) == (outcome, facts, [])
    assert await centre.used(pill) == used


async def test_a_return_needs_the_card(world: asyncpg.Connection, centre: Centre) -> None:
    pill = await grant(world, "PILL", 5)
    await centre.decide_one(SOLD)
    for number, proof in enumerate((Proof.WRONG, Proof.CARD_UNKNOWN, Proof.NOT_NEEDED), 2):
        for stan, advice in ((number, False), (number + 10, True)):
            back = goods_back(stan, SOLD, pills(1, 1_000), proof=proof, advice=advice)
            assert (await centre.decide_one(back)).outcome in (301, 302)
    assert await centre.used(pill) == 4
    other = goods_back(30, SOLD, pills(1, 1_000), card=OTHER_CARD, terminal=OTHER_TERMINAL)
    assert (await centre.decide_one(other)).outcome == Outcome.APPROVED


async def test_goods_come_back_after_their_regulation_has_ended(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5)
    await centre.decide_one(SOLD)
    far = NOW + timedelta(days=500)
    back = goods_back(2, SOLD, pills(4, 4_000), signed_at=far, business_date=far.date())
    ruling = await centre.decide_one(back, at=far, posting=far.date())
    assert told(ruling) == (703, {}, [(4_000, 0)])
