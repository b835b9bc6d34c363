"""What happened offline is recorded, never refused; online counters stay within their limits."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from processing.authorization.model import Case, Proof
from processing.wire.outcome import Outcome
from processing.wire.transaction import Evidence, Line
from tests.authorization.world import (
    BLOCKED_CARD,
    BLOCKED_TERMINAL,
    EXPIRED_CARD,
    NOW,
    OTHER_CARD,
    STRANGER,
    Centre,
    amounts,
    grant,
    outcomes,
    pills,
    reversal,
    sale,
    visit,
)

YESTERDAY = NOW - timedelta(days=1)


def advice(stan: int, *lines: Line, **changes: Any) -> Case:
    """A sale of yesterday that a terminal reports today."""
    return sale(stan, *lines, advice=True, **({"signed_at": YESTERDAY} | changes))


async def excesses(world: asyncpg.Connection) -> list[tuple[int, int]]:
    rows = await world.fetch(
        "SELECT debited, excess FROM journal.line ORDER BY stan, assigned, line_no, part"
    )
    return [(row["debited"], row["excess"]) for row in rows]


# The holder has 5 PILL in full.
CONFLICTS = [
    ("terminal blocked", {"terminal": BLOCKED_TERMINAL}, {"reason": "202", "state": "2"}),
    (
        "signed in the future",
        {"signed_at": NOW + timedelta(minutes=16)},
        {"reason": "203", "centre": "2026-03-02T09:00:00Z", "signed": "2026-03-02T09:16:00Z"},
    ),
    (
        "day of another century",
        {"business_date": date(1999, 1, 1)},
        {
            "reason": "203",
            "centre": "2026-03-02T09:00:00Z",
            "signed": "2026-03-01T09:00:00Z",
            "day": "1999-01-01",
        },
    ),
    ("card blocked since", {"card": BLOCKED_CARD}, {"reason": "303", "card_state": "2"}),
    (
        "card expired then",
        {"card": EXPIRED_CARD, "signed_at": NOW},
        {"reason": "304", "valid_to": "2026-03-01"},
    ),
    ("no authority", {"holder": STRANGER}, {"reason": "305", "authority": "none"}),
    ("service unknown", {"service": "NONE"}, {"reason": "401"}),
    ("service not here", {"service": "AWAY"}, {"reason": "402"}),
    ("version outdated", {"version": 1}, {"reason": "403", "version": "2", "since": "2026-02-16"}),
    ("PIN needed", {"service": "STRICT"}, {"reason": "404", "needed": "2", "given": "1"}),
    (
        "wrong unit",
        {"lines": [Line("PILL", 2, 778, 0, 10_000)]},
        {"reason": "405", "line": "1", "item": "PILL", "unit": "796"},
    ),
    (
        "no right",
        {"lines": [visit(10_000)]},
        {"reason": "601", "item": "VISIT", "missing": "right"},
    ),
]


@pytest.mark.parametrize(
    ("changes", "facts"), [pytest.param(*row, id=name) for name, *row in CONFLICTS]
)
async def test_a_signed_advice_is_recorded_whatever_is_wrong(
    world: asyncpg.Connection, centre: Centre, changes: dict[str, Any], facts: dict[str, str]
) -> None:
    pill = await grant(world, "PILL", 5)
    lines = changes.pop("lines", [pills(2, 10_000)])
    ruling = await centre.decide_one(advice(1, *lines, **changes))
    assert (ruling.outcome, ruling.facts) == (Outcome.RECORDED_IN_CONFLICT, facts)
    assert amounts(ruling) == [(0, 10_000)]
    assert await centre.used(pill) == 0
    assert [debited for debited, _ in await excesses(world)] == [0]


async def test_everything_wrong_at_once_is_recorded(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5)
    asked = advice(
        1,
        Line("PILL", 9, 778, 3, 500),
        visit(1),
        terminal=BLOCKED_TERMINAL,
        business_date=date(2031, 7, 7),
        signed_at=datetime(2031, 7, 7, tzinfo=UTC),
        card=BLOCKED_CARD,
        holder=STRANGER,
        service="NONE",
        version=77,
    )
    ruling = await centre.decide_one(asked)
    assert ruling.outcome == Outcome.RECORDED_IN_CONFLICT
    assert ruling.facts["reason"] == "202"
    assert amounts(ruling) == [(0, 500), (0, 1)]
    assert (await centre.decide_one(asked)).decision == ruling.decision


@pytest.mark.parametrize("terminal", [None, BLOCKED_TERMINAL])
@pytest.mark.parametrize(
    ("proof", "evidence", "outcome"),
    [
        (Proof.CARD_UNKNOWN, Evidence.TAP, Outcome.CARD_UNKNOWN),
        (Proof.WRONG, Evidence.TAP, Outcome.SIGNATURE_WRONG),
        (Proof.TRANSPORT_PIN, Evidence.PIN, Outcome.SIGNATURE_WRONG),
        (Proof.NOT_NEEDED, Evidence.NONE, Outcome.SIGNATURE_WRONG),
    ],
)
async def test_an_advice_without_proof_is_refused_and_journalled(
    world: asyncpg.Connection,
    centre: Centre,
    proof: Proof,
    evidence: Evidence,
    outcome: Outcome,
    terminal: str | None,
) -> None:
    pill = await grant(world, "PILL", 5)
    changes = {} if terminal is None else {"terminal": terminal}
    asked = advice(1, pills(2, 10_000), proof=proof, evidence=evidence, **changes)
    ruling = await centre.decide_one(asked)
    # Whatever else is wrong comes first in precedence, but is no way around the signature.
    assert ruling.outcome == (outcome if terminal is None else Outcome.TERMINAL_BLOCKED)
    assert ruling.decision is not None
    assert ruling.decision.lines == ()
    assert await centre.used(pill) == 0
    assert await world.fetchval("SELECT advice FROM journal.event") is True


async def test_what_is_left_is_taken_and_the_rest_is_excess(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    # 5 of 8 at 10.00 each are covered; then nothing is left for the next.
    first = await centre.decide_one(advice(1, pills(8, 8_000)))
    assert first.outcome == Outcome.RECORDED_IN_CONFLICT
    assert first.facts == {"reason": "602", "item": "PILL", "remaining": "5", "ends": "2026-12-31"}
    assert amounts(first) == [(5_000, 3_000)]
    second = await centre.decide_one(advice(2, pills(3, 900)))
    assert (second.outcome, amounts(second)) == (Outcome.RECORDED_IN_CONFLICT, [(0, 900)])
    assert await excesses(world) == [(5, 0), (0, 3), (0, 3)]
    assert await centre.used(pill) == 5


async def test_a_sound_advice_is_approved_like_any_sale(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    ruling = await centre.decide_one(advice(1, pills(5, 5_000)))
    assert (ruling.outcome, amounts(ruling)) == (Outcome.APPROVED, [(5_000, 0)])
    assert (await centre.used(pill), await excesses(world)) == (5, [(5, 0)])


async def test_an_excess_in_kopecks_counts_kopecks(
    world: asyncpg.Connection, centre: Centre
) -> None:
    purse = await grant(world, "PILL", 3_000, "HALF", unit_okei=383, scale=2)
    # Half of 100.00 is 50.00; 30.00 are left, so 20.00 are too much.
    ruling = await centre.decide_one(advice(1, pills(1, 10_000), service="PURSE"))
    assert amounts(ruling) == [(3_000, 7_000)]
    assert await excesses(world) == [(3_000, 0), (0, 2_000)]
    assert await centre.used(purse) == 3_000


async def test_a_taken_key_gives_an_advice_an_assigned_one(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 9)
    online = sale(1, pills(1, 100))
    reports = [advice(1, pills(2, 200)), advice(1, pills(3, 300))]
    await centre.decide_one(online)
    for number, one in enumerate(reports, 1):
        count = number + 1
        ruling = await centre.decide_one(one)
        assert (ruling.outcome, ruling.replayed) == (Outcome.APPROVED, False)
        assert await centre.parts(one, number) == [(1, count, count * 100, count * 100, count)]
    for one in (online, *reports):
        assert (await centre.decide_one(one)).replayed
    assert await centre.used(pill) == 6
    rows = await world.fetch("SELECT assigned FROM journal.event ORDER BY assigned")
    assert [row["assigned"] for row in rows] == [0, 1, 2]
    # The key itself is still that of the online sale.
    assert (await centre.decide_one(sale(1, pills(4, 1)))).outcome == Outcome.KEY_REUSED


async def test_the_same_content_online_and_as_advice_is_one_transaction(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 9)
    online = await centre.decide_one(sale(1, pills(1, 100), signed_at=NOW))
    late = await centre.decide_one(advice(1, pills(1, 100), signed_at=NOW))
    assert late.replayed
    assert late.decision == online.decision
    assert await centre.used(pill) == 1


async def test_an_advice_after_its_reversal_is_recorded_and_takes_nothing(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 9)
    late = advice(1, pills(2, 200))
    await centre.decide_one(reversal(2, late))
    ruling = await centre.decide_one(late)
    assert (ruling.outcome, ruling.facts) == (Outcome.RECORDED_IN_CONFLICT, {"reason": "204"})
    assert amounts(ruling) == [(0, 200)]
    assert await excesses(world) == [(0, 0)]
    assert await centre.used(pill) == 0
    assert (await centre.decide_one(late)).decision == ruling.decision


async def test_a_key_closed_for_another_card_does_not_refuse_an_advice(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 9)
    await centre.decide_one(reversal(2, sale(1, pills(2, 200), card=OTHER_CARD)))
    ruling = await centre.decide_one(advice(1, pills(2, 200)))
    assert (ruling.outcome, amounts(ruling)) == (Outcome.APPROVED, [(200, 0)])
    assert await centre.used(pill) == 2


async def test_offline_debits_count_in_the_period_in_which_the_card_signed(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 2, period=3)
    february = datetime(2026, 2, 28, 12, tzinfo=UTC)
    asked = [
        advice(1, pills(2, 200), signed_at=february),
        sale(2, pills(2, 200)),
        advice(3, pills(1, 100), signed_at=february),
        sale(4, pills(1, 100)),
    ]
    rulings = await centre.decide(*asked)
    assert outcomes(rulings) == [703, 703, 701, 602]
    rows = await world.fetch("SELECT period_start, used FROM rights.counter ORDER BY 1")
    assert [tuple(row) for row in rows] == [(date(2026, 2, 1), 2), (date(2026, 3, 1), 2)]
