"""Decided outcomes at the gateway: each has its code and text, is stored, and is told again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from processing.wire.iso8583.codec import decode
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.receipt import Receipt
from processing.wire.transaction import Answer, Evidence, Line, Request
from tests.authorization.audit import audit
from tests.plugins.live_centre import LiveCentre
from tests.plugins.town import (
    BLOCKED_SHOP,
    GRANTED,
    ORDER,
    PRICE_KOPECKS,
    Shop,
    add_citizen,
    citizen,
    now_ms,
    signed,
)

MARIA, BORIS, BLOCKED, STRANGER = citizen(1), citizen(2), citizen(90), citizen(91)
MINUTE_MS = 60_000


def forged(request: Request, **changes: Any) -> Request:
    """Return the request with something changed after the card signed."""
    return msgspec.structs.replace(request, **changes)


def on(request: Request, days: int) -> Request:
    """Return Maria's request on another business date, signed for that."""
    key = msgspec.structs.replace(
        request.key, business_date=request.key.business_date + timedelta(days=days)
    )
    return signed(msgspec.structs.replace(request, key=key), MARIA)


def _line(item: str, unit: int = 796, quantity: int = 1, gross: int = PRICE_KOPECKS) -> Any:
    return {"lines": (Line(item, quantity, unit, 0, gross),)}


EARLY_MS = 16 * MINUTE_MS


def raw(r: int, s: int) -> bytes:
    """Return a signature of two numbers."""
    return r.to_bytes(32) + s.to_bytes(32)


# What is asked, the outcome, and the facts that come with it ("*": any value).
Build = Callable[[Shop], Request]
CASES: dict[str, tuple[Build, Outcome, dict[str, str]]] = {
    "sale": (lambda s: s.sale(MARIA), Outcome.APPROVED, {}),
    "sale with PIN": (
        lambda s: s.sale(MARIA, service="STRICT", evidence=Evidence.PIN),
        Outcome.APPROVED,
        {},
    ),
    "inquiry": (lambda s: s.inquiry(MARIA), Outcome.APPROVED, {}),
    "clock 16 minutes slow": (
        lambda s: s.sale(MARIA, signed_at_ms=now_ms() - EARLY_MS),
        Outcome.CLOCK_WRONG,
        {"centre": "*", "signed": "*"},
    ),
    "clock 16 minutes fast": (
        lambda s: s.sale(MARIA, signed_at_ms=now_ms() + EARLY_MS),
        Outcome.CLOCK_WRONG,
        {"centre": "*", "signed": "*"},
    ),
    "signed in 1970": (
        lambda s: s.sale(MARIA, signed_at_ms=0),
        Outcome.CLOCK_WRONG,
        {"centre": "*", "signed": "1970-01-01T00:00:00Z"},
    ),
    "signed in 9999": (
        lambda s: s.sale(MARIA, signed_at_ms=253_402_300_799_999),
        Outcome.CLOCK_WRONG,
        {"centre": "*", "signed": "9999-12-31T23:59:59Z"},
    ),
    "business date of last week": (
        lambda s: on(s.sale(MARIA), -7),
        Outcome.CLOCK_WRONG,
        {"centre": "*", "signed": "*", "day": "*"},
    ),
    "business date of next week": (
        lambda s: on(s.sale(MARIA), 7),
        Outcome.CLOCK_WRONG,
        {"centre": "*", "signed": "*", "day": "*"},
    ),
    "unknown card": (lambda s: s.sale(STRANGER), Outcome.CARD_UNKNOWN, {}),
    "another card's signature": (
        lambda s: signed(s.sale(MARIA), BORIS),
        Outcome.SIGNATURE_WRONG,
        {},
    ),
    "high S": (
        lambda s: signed(s.sale(MARIA), MARIA, high=True),
        Outcome.SIGNATURE_WRONG,
        {},
    ),
    "amount changed after signing": (
        lambda s: forged(s.sale(MARIA), **_line("PILL", gross=1)),
        Outcome.SIGNATURE_WRONG,
        {},
    ),
    "zeros for a signature": (
        lambda s: forged(s.sale(MARIA), signature=bytes(64)),
        Outcome.SIGNATURE_WRONG,
        {},
    ),
    "r beyond the order": (
        lambda s: forged(s.sale(MARIA), signature=raw(ORDER, 1)),
        Outcome.SIGNATURE_WRONG,
        {},
    ),
    "all ones": (
        lambda s: forged(s.sale(MARIA), signature=b"\xff" * 64),
        Outcome.SIGNATURE_WRONG,
        {},
    ),
    "tap key where PIN is claimed": (
        lambda s: forged(s.sale(MARIA), evidence=Evidence.PIN),
        Outcome.SIGNATURE_WRONG,
        {},
    ),
    # Why a card is blocked stays in the centre.
    "blocked card": (lambda s: s.sale(BLOCKED), Outcome.CARD_BLOCKED, {}),
    "card of somebody else": (
        lambda s: s.sale(MARIA, holder_id=BORIS.holder_id),
        Outcome.CARD_NOT_FOR_HOLDER,
        {"authority": "none"},
    ),
    "no such service": (lambda s: s.sale(MARIA, service="NONE"), Outcome.SERVICE_UNKNOWN, {}),
    "service not here": (lambda s: s.sale(MARIA, service="AWAY"), Outcome.SERVICE_NOT_HERE, {}),
    "unknown version": (
        lambda s: s.sale(MARIA, service_version=7),
        Outcome.REGULATION_OUTDATED,
        {"version": "1", "since": "*"},
    ),
    "highest version": (
        lambda s: s.sale(MARIA, service_version=2**31 - 1),
        Outcome.REGULATION_OUTDATED,
        {"version": "1", "since": "*"},
    ),
    "service that ended": (
        lambda s: s.sale(MARIA, service="OLD"),
        Outcome.REGULATION_OUTDATED,
        {"version": "1", "until": "*"},
    ),
    "tap where PIN is needed": (
        lambda s: s.sale(MARIA, service="STRICT"),
        Outcome.EVIDENCE_WEAK,
        {"needed": "2", "given": "1"},
    ),
    "wrong unit": (lambda s: s.sale(MARIA, **_line("PILL", 113)), Outcome.AMOUNT_WRONG, {"*": "*"}),
    "no right to it": (
        lambda s: s.sale(MARIA, **_line("SYRUP")),
        Outcome.NO_ENTITLEMENT,
        {"*": "*"},
    ),
    "no such item": (
        lambda s: s.sale(MARIA, **_line("NOTHING")),
        Outcome.NO_ENTITLEMENT,
        {"*": "*"},
    ),
    "more than there is": (
        lambda s: s.sale(BORIS, GRANTED + 1),
        Outcome.ALLOWANCE_EXHAUSTED,
        {"*": "*"},
    ),
    "largest numbers": (
        lambda s: s.sale(BORIS, **_line("PILL", 796, 10**10 - 1, 10**12 - 1)),
        Outcome.ALLOWANCE_EXHAUSTED,
        {"*": "*"},
    ),
}


def _same_facts(expected: dict[str, str], found: dict[str, str]) -> bool:
    if "*" in expected:
        return bool(found)
    return expected.keys() == found.keys() and all(
        value in ("*", found[name]) for name, value in expected.items()
    )


async def _told_again(live: LiveCentre, request: Request, first: Answer) -> list[str]:
    """Ask again, over a new connection and as a repeat; return what differs."""
    line = await live.line(request.key.terminal_id)
    again = await line.decide(msgspec.structs.replace(request, repeat=True))
    await line.close()
    same = (again.outcome, again.decision, again.facts) == (
        first.outcome,
        first.decision,
        first.facts,
    )
    return [] if same else [f"told first {first}, then {again}"]


async def test_each_outcome_has_code_and_facts_and_is_told_again(live: LiveCentre) -> None:
    async with live.database.connect() as connection:
        await add_citizen(connection, BLOCKED, state=2)
    shop, line = Shop(), await live.line()
    receipt_key = live.receipt_public_key
    faults = []
    for name, (build, outcome, facts) in CASES.items():
        request = build(shop)
        before = await live.used(1), await live.used(2)
        await line.send(line.message(request))
        raw_answer = await line.receive()
        answer = line.read(raw_answer)
        assert isinstance(answer, Answer)
        code = decode(raw_answer, line.profile).fields[39].decode()
        found = [
            answer.outcome is outcome or f"got {answer.outcome!r} with {answer.facts}",
            code == TEXTS[outcome].de39 or f"field 39 is {code}",
            _same_facts(facts, answer.facts) or f"facts are {answer.facts}",
            await live.stored(request) == outcome or "not stored so",
        ]
        if not outcome.approved:
            after = await live.used(1), await live.used(2)
            found.append(before == after or f"debited: {before} to {after}")
        assert answer.decision is not None
        Receipt.decode(answer.receipt).verify(answer.decision, receipt_key)
        found += await _told_again(live, request, answer)
        faults += [f"{name}: {fault}" for fault in found if fault is not True]
    assert faults == []
    assert await live.events() == len(CASES)
    async with live.database.connect() as connection:
        assert await audit(connection) == []


async def test_a_blocked_terminal_is_told_so(live: LiveCentre) -> None:
    line = await live.line(BLOCKED_SHOP)
    answer = await line.decide(Shop(BLOCKED_SHOP).sale(MARIA))
    assert answer.outcome is Outcome.TERMINAL_BLOCKED
    assert await live.used() == 0


async def test_a_key_belongs_to_the_first_that_was_decided(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    first = shop.sale(MARIA, 2)
    other = signed(msgspec.structs.replace(shop.sale(BORIS), key=first.key), BORIS)
    decided = await line.decide(first)
    refused = await line.decide(other)
    again = await line.decide(first)
    assert decided.outcome is Outcome.APPROVED
    assert (refused.outcome, refused.decision) == (Outcome.KEY_REUSED, None)
    assert again.decision == decided.decision
    assert (await live.used(1), await live.used(2), await live.events()) == (2, 0, 1)


async def test_the_old_answer_holds_after_the_card_is_blocked(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    decided = await line.decide(sale)
    await live.execute("UPDATE rights.card_authority SET card_state = 2")
    await live.execute("UPDATE cards.card SET state = 2")
    again, new = await line.decide(sale), await line.decide(shop.sale(MARIA))
    assert again.decision == decided.decision
    assert new.outcome is Outcome.CARD_BLOCKED


async def test_a_reversal_gives_back_what_was_taken(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA, 3)
    await line.decide(sale)
    reversal = shop.reversal(sale)
    first, again = await line.decide(reversal), await line.decide(reversal)
    assert (first.outcome, await live.used()) == (Outcome.APPROVED, 0)
    assert again.decision == first.decision
    second = await line.decide(shop.reversal(sale))
    assert (second.outcome, second.facts) == (Outcome.APPROVED, {"original": "reversed"})
    assert await live.used() == 0


async def test_a_reversal_that_comes_first_closes_the_key(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    reversed_first = await line.decide(shop.reversal(sale))
    late = await line.decide(sale)
    assert (reversed_first.outcome, reversed_first.facts) == (
        Outcome.APPROVED,
        {"original": "unknown"},
    )
    assert (late.outcome, await live.used()) == (Outcome.REVERSED_BEFORE, 0)


@pytest.mark.one_database
async def test_another_card_cannot_take_a_sale_back(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    await line.decide(sale)
    answer = await line.decide(
        shop.reversal(sale, card_id=BORIS.card_id, holder_id=BORIS.holder_id)
    )
    assert (answer.outcome, await live.used()) == (Outcome.ORIGINAL_MISMATCH, 1)


async def test_an_inquiry_tells_what_is_left(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    await line.decide(shop.sale(MARIA, 4))
    answer = await line.decide(shop.inquiry(MARIA))
    left = {(right.service, right.item_class, right.remaining) for right in answer.rights}
    assert left == {("MED", "PILL", GRANTED - 4), ("STRICT", "PILL", GRANTED - 4)}
