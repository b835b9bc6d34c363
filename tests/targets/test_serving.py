"""A town over two databases: one that is away, rights of several holders, one number twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from hsm_stub.key_material import KeyMaterial
from processing.kernel.bucket import bucket_of
from processing.wire.iso8583.messages import (
    Rejection,
    Settlement,
    TerminalTotals,
    Totals,
    TotalsAnswer,
)
from processing.wire.outcome import Outcome
from processing.wire.receipt import Receipt
from processing.wire.transaction import Answer, Request
from tests.authorization.audit import audit
from tests.plugins.live_centre import LiveCentre, live_centre
from tests.plugins.targets import Databases
from tests.plugins.town import (
    PRICE_KOPECKS,
    Citizen,
    Shop,
    authorize,
    business_day,
    citizen,
    signed,
)


def living_in(number: int) -> list[Citizen]:
    """Return the town's citizens whose rights lie in a target, of two."""
    found = [citizen(each) for each in range(1, 9)]
    return [who for who in found if (bucket_of(who.holder_id) > 511) == (number == 2)]


MARIA, MISHA = living_in(1)[:2]
BORIS, BELLA = living_in(2)[:2]


@pytest.fixture
async def live(two_databases: Databases, town_keys: KeyMaterial) -> AsyncIterator[LiveCentre]:
    """Serve the town from two databases, which must stand the audit afterwards."""
    async with live_centre(two_databases, town_keys) as centre:
        yield centre
        await centre.mend_database()
        assert await two_databases.everywhere(audit) == [[], []]


async def events(live: LiveCentre) -> list[int]:
    """Return how many events each database holds."""
    found = await live.databases.everywhere(
        lambda one: one.fetchval("SELECT count(*) FROM journal.event")
    )
    return [int(count) for count in found]


class Page:
    """Asks for a page of an inquiry's rights."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answered(self, answer: Answer) -> None:
        """Take the answer."""
        self.answer.set_result(answer)


async def page_from(live: LiveCentre, inquiry: Request, first_right: int) -> Answer:
    """Return the answer with the rights from number `first_right`."""
    page = Page()
    live.engine.authorize(inquiry, first_right, page)
    return await page.answer


async def test_each_is_decided_where_the_rights_are(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    lanes = set()
    for who in (MARIA, BORIS, MISHA, BORIS, BELLA):
        answer = await line.decide(shop.sale(who))
        assert answer.outcome is Outcome.APPROVED
        assert answer.decision is not None
        Receipt.decode(answer.receipt).verify(answer.decision, live.receipt_public_key)
        lanes.add((who in (BORIS, BELLA), answer.decision.lane > 1024))
    assert lanes == {(False, False), (True, True)}
    assert await events(live) == [2, 3]


async def test_one_database_away_holds_up_its_own_only(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.APPROVED
    await live.cut_database(2)
    waiting = shop.sale(BORIS)
    outcomes = [
        (await line.decide(request)).outcome
        for request in (waiting, shop.sale(MARIA), shop.sale(BELLA), shop.sale(MISHA))
    ]
    assert outcomes == [
        Outcome.TRY_LATER,
        Outcome.APPROVED,
        Outcome.TRY_LATER,
        Outcome.APPROVED,
    ]
    await live.mend_database()
    answer = await line.decide(waiting)
    assert answer.outcome in (Outcome.APPROVED, Outcome.TRY_LATER)
    while not answer.outcome.decided:
        answer = await line.decide(waiting)
    assert answer.outcome is Outcome.APPROVED


async def test_home_away_holds_up_its_own_only(live: LiveCentre) -> None:
    """Not even a terminal and a card never seen before need home."""
    await live.cut_database(1)
    shop, line = Shop("SHOP0003"), await live.line("SHOP0003")
    assert (await line.decide(shop.sale(BORIS))).outcome is Outcome.APPROVED
    assert (await line.decide(shop.inquiry(BORIS))).outcome is Outcome.APPROVED
    assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.TRY_LATER


async def test_rights_of_holders_in_both_are_one_list(live: LiveCentre) -> None:
    await live.databases.everywhere(lambda one: authorize(one, BORIS, MARIA))
    await live.databases.everywhere(lambda one: authorize(one, BORIS, BELLA))
    shop, line = Shop(), await live.line()
    answer = await line.decide(shop.inquiry(BORIS))
    others = sorted([MARIA.holder_id, BELLA.holder_id])
    assert [right.holder_id for right in answer.rights] == [BORIS.holder_id] * 2 + [
        other for other in others for _ in range(2)
    ]
    assert answer.next_right == 0
    second = await page_from(live, shop.inquiry(BORIS), 3)
    assert second.rights == answer.rights[3:]


async def test_while_one_is_away_own_rights_are_shown_and_more_follow(live: LiveCentre) -> None:
    await live.databases.everywhere(lambda one: authorize(one, BORIS, MARIA))
    shop, line = Shop(), await live.line()
    whole = await line.decide(shop.inquiry(BORIS))
    await live.cut_database(1)
    own = await line.decide(shop.inquiry(BORIS))
    assert own.outcome is Outcome.APPROVED
    assert (own.rights, own.next_right) == (whole.rights[:2], 2)
    rest = await page_from(live, shop.inquiry(BORIS), 2)
    assert rest.outcome is Outcome.TRY_LATER


async def test_a_guardians_card_serves_a_child_elsewhere(live: LiveCentre) -> None:
    await live.databases.everywhere(lambda one: authorize(one, BORIS, MARIA))
    shop, line = Shop(), await live.line()
    await live.cut_database(2)
    answer = await line.decide(shop.sale(BORIS, holder_id=MARIA.holder_id))
    assert answer.outcome is Outcome.APPROVED
    assert await events_of(live, 1) == 1


async def events_of(live: LiveCentre, number: int) -> int:
    """Return how many events one database holds, whatever the others do."""
    async with live.databases.by_number[number].connect() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM journal.event"))


async def test_one_number_for_two_citizens_is_refused_at_once(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    first = shop.sale(MARIA)
    other = signed(msgspec.structs.replace(shop.sale(BORIS), key=first.key), BORIS)
    decided = await line.decide(first)
    refused = await line.decide(other)
    assert decided.outcome is Outcome.APPROVED
    assert (refused.outcome, refused.decision) == (Outcome.KEY_REUSED, None)
    assert (await line.decide(first)).decision == decided.decision
    assert await events(live) == [1, 0]


async def test_an_advice_under_a_taken_number_is_recorded(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    first = shop.sale(MARIA)
    other: Any = shop.sale(BORIS, advice=True)
    other = signed(msgspec.structs.replace(other, key=first.key), BORIS)
    await line.decide(first)
    assert (await line.decide(other)).outcome is Outcome.APPROVED
    assert await events(live) == [1, 1]


async def test_totals_are_the_sum_over_both(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sales = [shop.sale(who) for who in (MARIA, BORIS, BELLA)]
    for sale in sales:
        assert isinstance(await line.decide(sale), Answer)
    assert (await line.decide(shop.reversal(sales[1]))).outcome is Outcome.APPROVED
    totals = TerminalTotals(
        approved_count=3,
        gross_kopecks=3 * PRICE_KOPECKS,
        covered_kopecks=3 * PRICE_KOPECKS,
        paid_kopecks=0,
        reversed_count=1,
        reversed_covered_kopecks=PRICE_KOPECKS,
    )
    message = Totals(
        terminal_id=shop.terminal_id, stan=shop.stan(), business_date=business_day(), totals=totals
    )
    answer = await line.ask(message)
    assert isinstance(answer, TotalsAnswer)
    assert (answer.settlement, answer.totals) == (Settlement.IN_BALANCE, totals)
    kept = await live.databases.everywhere(
        lambda one: one.fetchval(
            "SELECT centre_covered_kopecks FROM reconciliation.terminal_totals"
        )
    )
    assert kept == [3 * PRICE_KOPECKS] * 2
    await live.cut_database(2)
    again = msgspec.structs.replace(message, stan=shop.stan())
    refused = await line.ask(again)
    assert isinstance(refused, Rejection)
    assert refused.outcome is Outcome.TRY_LATER
