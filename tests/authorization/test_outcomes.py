"""One row per outcome that the database decides: what was, what is asked, what comes of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from processing.authorization.model import Case, Proof
from processing.wire.outcome import Outcome
from processing.wire.transaction import Evidence, Line
from tests.authorization.world import (
    BLOCKED_CARD,
    BLOCKED_TERMINAL,
    CARD,
    DAY,
    EXPIRED_CARD,
    HOLDER,
    LAPSED_CARD,
    NOW,
    OTHER_CARD,
    PIECE,
    SCOPED_CARD,
    STRANGER,
    Centre,
    amounts,
    authorize_card,
    grant,
    inquiry,
    outcomes,
    pills,
    reversal,
    sale,
    visit,
)

CLOCKS = {"centre": "2026-03-02T09:00:00Z", "signed": "2026-03-02T09:00:00Z"}
LAPSED = {"authority": "dates", "authority_from": "2026-01-01", "authority_to": "2026-03-01"}
VERSION_2 = {"version": "2", "since": "2026-02-16"}
QUARTER = timedelta(minutes=15)
MS = timedelta(milliseconds=1)


def told(**changes: Any) -> Case:
    """A sale of two packs at 100.00 together, with something different about it."""
    return sale(1, *changes.pop("lines", (pills(2, 10_000),)), **changes)


# The world's holder has 5 PILL in full, 2 SYRUP at half price.
DECIDED = [
    # terminal and clock
    ("terminal blocked", told(terminal=BLOCKED_TERMINAL), 202, {"state": "2"}, []),
    ("day -4", told(business_date=date(2026, 2, 26)), 203, CLOCKS | {"day": "2026-02-26"}, []),
    ("day -3", told(business_date=date(2026, 2, 27)), 703, {}, [(10_000, 0)]),
    ("day +1", told(business_date=date(2026, 3, 3)), 703, {}, [(10_000, 0)]),
    ("day +2", told(business_date=date(2026, 3, 4)), 203, CLOCKS | {"day": "2026-03-04"}, []),
    ("early", told(signed_at=NOW - QUARTER), 703, {}, [(10_000, 0)]),
    (
        "too early",
        told(signed_at=NOW - QUARTER - MS),
        203,
        CLOCKS | {"signed": "2026-03-02T08:44:59Z"},
        [],
    ),
    ("late", told(signed_at=NOW + QUARTER), 703, {}, [(10_000, 0)]),
    (
        "too late",
        told(signed_at=NOW + QUARTER + MS),
        203,
        CLOCKS | {"signed": "2026-03-02T09:15:00Z"},
        [],
    ),
    # card
    ("card unknown", told(proof=Proof.CARD_UNKNOWN), 301, {}, []),
    ("signature wrong", told(proof=Proof.WRONG), 302, {}, []),
    ("transport PIN", told(proof=Proof.TRANSPORT_PIN), 302, {"pin": "transport"}, []),
    ("unsigned sale", told(evidence=Evidence.NONE, proof=Proof.NOT_NEEDED), 302, {}, []),
    ("card blocked", told(card=BLOCKED_CARD), 303, {"card_state": "2"}, []),
    ("card expired", told(card=EXPIRED_CARD), 304, {"valid_to": "2026-03-01"}, []),
    ("no authority", told(holder=STRANGER), 305, {"authority": "none"}, []),
    ("authority lapsed", told(card=LAPSED_CARD), 305, LAPSED, []),
    ("service out of scope", told(card=SCOPED_CARD), 305, {"authority": "scope"}, []),
    # service
    ("service unknown", told(service="NONE"), 401, {}, []),
    ("service not here", told(service="AWAY"), 402, {}, []),
    ("version outdated", told(version=1), 403, VERSION_2, []),
    ("version to come", told(version=3), 403, VERSION_2, []),
    ("version unheard of", told(version=9), 403, VERSION_2, []),
    ("version in grace", told(service="GRACE"), 703, {}, [(10_000, 0)]),
    ("PIN needed", told(service="STRICT"), 404, {"needed": "2", "given": "1"}, []),
    ("PIN given", told(service="STRICT", evidence=Evidence.PIN), 703, {}, [(10_000, 0)]),
    # lines
    (
        "wrong unit",
        told(lines=[Line("PILL", 2, 778, 0, 10_000)]),
        405,
        {"line": "1", "item": "PILL", "unit": "796"},
        [],
    ),
    (
        "wrong scale in line 2",
        told(lines=[pills(1, 100), Line("PILL", 1000, PIECE, 3, 100)]),
        405,
        {"line": "2", "item": "PILL", "unit": "796"},
        [],
    ),
    (
        "allowance in pieces for a service in kopecks",
        told(service="MONEY"),
        405,
        {"line": "1", "item": "PILL", "unit": "796"},
        [],
    ),
    # allowances
    ("no such right", told(lines=[visit(100)]), 601, {"item": "VISIT", "missing": "right"}, []),
    (
        "item unknown",
        told(lines=[pills(1, 1, "NOTHING")]),
        601,
        {"item": "NOTHING", "missing": "item"},
        [],
    ),
    (
        "one line of two without right",
        told(lines=[pills(1, 100), visit(100)]),
        601,
        {"item": "VISIT", "missing": "right"},
        [],
    ),
    (
        "exhausted",
        told(lines=[pills(6, 100)]),
        602,
        {"item": "PILL", "remaining": "5", "asked": "6", "ends": "2026-12-31"},
        [],
    ),
    (
        "exhausted by its own first line",
        told(lines=[pills(4, 100), pills(2, 100)]),
        602,
        {"item": "PILL", "remaining": "1", "asked": "2", "ends": "2026-12-31"},
        [],
    ),
    (
        "partly: 5 of 8 at 10.00",
        told(service="PART", lines=[pills(8, 8_000)]),
        702,
        {"item": "PILL", "remaining": "5", "asked": "8"},
        [(5_000, 3_000)],
    ),
    (
        "partly: one line of two",
        told(service="PART", lines=[visit(700), pills(2, 300)]),
        702,
        {"item": "VISIT", "remaining": "0", "asked": "1"},
        [(0, 700), (300, 0)],
    ),
    ("in full", told(lines=[pills(5, 12_345)]), 703, {}, [(12_345, 0)]),
    ("half of 0.75 is 0.38", told(lines=[pills(2, 75, "SYRUP")]), 703, {}, [(38, 37)]),
    ("inquiry", inquiry(1), 703, {}, []),
    ("inquiry about a service", inquiry(1, service="MED", version=0), 703, {}, []),
    ("inquiry elsewhere", inquiry(1, service="AWAY"), 402, {}, []),
    ("inquiry about nothing", inquiry(1, service="NONE"), 401, {}, []),
    ("inquiry with lines takes nothing", inquiry(1, lines=[pills(1, 1)]), 703, {}, []),
    ("inquiry with a blocked card", inquiry(1, card=BLOCKED_CARD), 303, {"card_state": "2"}, []),
]


@pytest.mark.parametrize(
    ("asked", "outcome", "facts", "lines"),
    [pytest.param(*row, id=name) for name, *row in DECIDED],
)
async def test_outcome(
    world: asyncpg.Connection,
    centre: Centre,
    asked: Case,
    outcome: int,
    facts: dict[str, str],
    lines: list[tuple[int, int]],
) -> None:
    pill, syrup = await grant(world, "PILL", 5), await grant(world, "SYRUP", 2, "HALF")
    ruling = await centre.decide_one(asked)
    assert (ruling.outcome, ruling.facts, amounts(ruling)) == (outcome, facts, lines)
    assert ruling.decision is not None
    assert not ruling.replayed
    assert bool(ruling.decision.approval_code) is (outcome > 700)
    debited = await centre.used(pill) + await centre.used(syrup)
    assert (debited > 0) is bool(lines)

    again = await centre.decide_one(asked, at=NOW + timedelta(days=30))
    assert again.replayed
    assert (again.outcome, again.decision, again.facts) == (outcome, ruling.decision, facts)
    assert await centre.used(pill) + await centre.used(syrup) == debited


PRECEDENCE: list[tuple[int, dict[str, Any]]] = [
    # each row has everything of the rows below wrong as well
    (202, {"terminal": BLOCKED_TERMINAL}),
    (203, {"signed_at": datetime(2026, 3, 2, 8, tzinfo=UTC)}),
    (302, {"proof": Proof.WRONG}),
    (303, {"card": BLOCKED_CARD}),
    (401, {"service": "NONE"}),
    (601, {"lines": (visit(1),)}),
]


@pytest.mark.parametrize("first", range(len(PRECEDENCE)))
async def test_the_first_rule_that_applies_decides(centre: Centre, first: int) -> None:
    wrong: dict[str, Any] = {}
    for _, change in PRECEDENCE[first:]:
        wrong |= change
    assert (await centre.decide_one(told(**wrong))).outcome == PRECEDENCE[first][0]


async def test_a_key_belongs_to_its_first_content(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 5)
    first, other = sale(1, pills(2, 100)), sale(1, pills(1, 50))
    approved = await centre.decide_one(first)
    reused = await centre.decide_one(other)
    assert (reused.outcome, reused.decision) == (Outcome.KEY_REUSED, None)
    assert await centre.used(pill) == 2
    assert (await centre.decide_one(first)).decision == approved.decision
    # Nothing was stored under the key, and no block was begun.
    assert await world.fetchval("SELECT count(*) FROM journal.event") == 1
    assert await world.fetchval("SELECT count(*) FROM journal.block") == 1


async def test_another_class_day_or_terminal_is_another_key(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5)
    rulings = await centre.decide(
        sale(1, pills(1, 100)),
        inquiry(1),
        sale(1, pills(1, 100), terminal="T0000002"),
        sale(1, pills(1, 100), business_date=date(2026, 3, 1)),
    )
    assert outcomes(rulings) == [Outcome.APPROVED] * 4


@pytest.mark.parametrize(("stan", "quantity"), [(1, 2), (2, 9)])
async def test_a_retry_gets_its_old_answer_after_the_card_was_blocked(
    world: asyncpg.Connection, centre: Centre, stan: int, quantity: int
) -> None:
    await grant(world, "PILL", 5)
    asked = sale(stan, pills(quantity, 1_000))
    first = await centre.decide_one(asked)
    await world.execute("UPDATE rights.card_authority SET card_state = 2 WHERE card_id = $1", CARD)
    await world.execute("UPDATE terminals.terminal SET state = 2")
    # A replay meets the journal before any rule: even what the signature check found is no matter.
    wrong = msgspec.structs.replace(asked, proof=Proof.WRONG)
    for retry in (asked, wrong):
        again = await centre.decide_one(retry, at=NOW + timedelta(days=400), posting=date.max)
        assert again.replayed
        assert (again.decision, again.facts) == (first.decision, first.facts)
    assert (await centre.decide_one(sale(9, pills(1, 1)))).outcome == Outcome.TERMINAL_BLOCKED


async def test_an_original_after_its_reversal_is_refused(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5)
    original = sale(1, pills(1, 100))
    assert (await centre.decide_one(reversal(2, original))).outcome == Outcome.APPROVED
    for late in (original, original, sale(1, pills(2, 5))):
        refused = await centre.decide_one(late)
        assert (refused.outcome, refused.decision) == (Outcome.REVERSED_BEFORE, None)


async def test_every_outcome_of_a_batch_is_its_own(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 3)
    await centre.decide_one(sale(1, pills(1, 100)))
    await authorize_card(world, OTHER_CARD, STRANGER)
    rulings = await centre.decide(
        sale(1, pills(1, 100)),
        sale(2, pills(9, 100)),
        sale(3, pills(1, 100), proof=Proof.WRONG),
        sale(4, pills(2, 100)),
        sale(5, pills(1, 100)),
        inquiry(6),
        sale(7, pills(1, 100), card=OTHER_CARD, holder=STRANGER),
        sale(8, pills(1, 100), business_date=DAY + timedelta(days=9)),
    )
    assert outcomes(rulings) == [703, 602, 302, 703, 602, 703, 601, 203]
    assert [ruling.replayed for ruling in rulings] == [True] + [False] * 7
    places = [one.decision.ordinal for one in rulings[1:] if one.decision is not None]
    assert places == list(range(7))
    assert HOLDER.bytes == rulings[3].balances[0].holder_id
