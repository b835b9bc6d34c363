"""Parts of the centre that are away or overloaded: told to try later, and decided once after."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from processing.authorization import batcher, engine
from processing.authorization.engine import AWAY_MAX_MS
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Request
from tests.authorization.audit import audit
from tests.plugins.line import Line
from tests.plugins.live_centre import LiveCentre
from tests.plugins.town import Shop, citizen

MARIA = citizen(1)
ANSWER_MAX_MS = 8_000
"""What a terminal waits for its answer, unless it is told otherwise (terminal_sim.link)."""


async def assert_try_later(line: Line, request: Request) -> None:
    """Ask; the centre must answer in the time that a terminal waits, and decide nothing."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await line.decide(request)
    assert (answer.outcome, answer.decision) == (Outcome.TRY_LATER, None)
    assert (loop.time() - began) * 1000 < ANSWER_MAX_MS


async def decided(line: Line, request: Request) -> Answer:
    """Ask until the centre decides; it has half a minute to recover."""
    async with asyncio.timeout(30):
        while True:
            answer = await line.decide(request)
            if answer.outcome.decided:
                return answer
            await asyncio.sleep(0.05)


async def test_the_database_goes_and_comes_back(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    before, during = shop.sale(MARIA), shop.sale(MARIA)
    assert (await line.decide(before)).outcome is Outcome.APPROVED
    await live.cut_database()
    await assert_try_later(line, during)
    # What waits behind it is not made to wait as long.
    await assert_try_later(line, shop.sale(MARIA))
    await live.mend_database()
    first = await decided(line, during)
    again = await line.decide(during)
    assert first.outcome is Outcome.APPROVED
    assert again.decision == first.decision
    assert (await live.used(), await live.events()) == (2, 2)
    async with live.database.connect() as connection:
        assert await audit(connection) == []


async def test_an_unknown_terminals_key_is_not_guessed_without_database(live: LiveCentre) -> None:
    line = await live.line("SHOP0002")
    await live.cut_database()
    await assert_try_later(line, Shop("SHOP0002").sale(MARIA))
    await live.mend_database()
    assert (await decided(line, Shop("SHOP0002").sale(MARIA))).outcome is Outcome.APPROVED


async def test_a_card_that_cannot_be_looked_up_is_not_unknown(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    await line.decide(shop.sale(MARIA))
    await live.cut_database()
    await assert_try_later(line, shop.sale(citizen(2)))
    await live.mend_database()
    assert (await decided(line, shop.sale(citizen(2)))).outcome is Outcome.APPROVED


async def test_sessions_that_end_in_mid_load_lose_and_double_nothing(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    await line.decide(shop.sale(MARIA))
    sales = [shop.sale(citizen(1 + number % 8)) for number in range(120)]
    await line.send(*(line.message(sale) for sale in sales))
    for _ in range(5):
        await live.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0)
    answers = [await line.answer() for _ in sales]
    by_key = {answer.key: answer for answer in answers if isinstance(answer, Answer)}
    for sale in sales:
        answer = await decided(line, sale)
        assert answer.outcome is Outcome.APPROVED
        told = by_key[sale.key]
        assert told.decision in (None, answer.decision)
    assert await live.events() == 121
    async with live.database.connect() as connection:
        assert await audit(connection) == []


async def test_the_key_service_goes_and_comes_back(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    stranger = await live.line("SHOP0003")
    await line.decide(shop.sale(MARIA))
    await live.stop_hsm()
    sale = shop.sale(MARIA)
    await assert_try_later(line, sale)
    await assert_try_later(stranger, Shop("SHOP0003").sale(MARIA))
    # Only the batch during which the key service went is decided without a receipt.
    later = shop.sale(MARIA)
    await assert_try_later(line, later)
    assert await live.stored(later) is None
    await live.start_hsm()
    first = await decided(line, sale)
    assert (first.outcome, bool(first.receipt)) == (Outcome.APPROVED, True)
    assert (await line.decide(sale)).decision == first.decision
    assert await live.used() == 2


@pytest.fixture
def small_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the queue of the batcher small, so that a test can fill it."""
    monkeypatch.setattr(batcher, "BATCH_MAX", 4)
    monkeypatch.setattr(batcher, "WAITING_MAX", 8)


@pytest.mark.one_database
@pytest.mark.usefixtures("small_queue")
async def test_past_the_queues_bound_the_answer_is_try_later_at_once(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    warm = await line.decide(shop.sale(MARIA))
    assert warm.outcome is Outcome.APPROVED
    sales = [shop.sale(citizen(1 + number % 8)) for number in range(60)]
    # The first batch waits for this lock, so that the others find the queue full.
    async with live.database.connect() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("LOCK TABLE rights.counter IN ACCESS EXCLUSIVE MODE")
        await line.send(*(line.message(sale) for sale in sales))
        turned_away = [await line.answer() for _ in range(60 - 4 - 8)]
        await transaction.rollback()
    assert {answer.outcome for answer in turned_away} == {Outcome.TRY_LATER}
    rest = [(await line.answer()).outcome for _ in range(4 + 8)]
    # Sales may come before the first batch has left the queue; then these are four more.
    assert rest.count(Outcome.APPROVED) >= 8
    assert set(rest) <= {Outcome.APPROVED, Outcome.TRY_LATER}
    for sale in sales:
        assert (await decided(line, sale)).outcome is Outcome.APPROVED
    assert await live.events() == 61


@pytest.mark.one_database
async def test_one_poisonous_case_is_no_plague(
    live: LiveCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, line = Shop(), await live.line()
    poison = shop.sale(MARIA)
    authorize = live.engine._store.authorize

    async def spoiled(*arguments: object) -> object:
        cases = arguments[-1]
        assert isinstance(cases, list | tuple)
        if any(case.request.key == poison.key for case in cases):
            raise OverflowError("date value out of range")
        return await authorize(*arguments)

    monkeypatch.setattr(live.engine._store, "authorize", spoiled)
    sales = [shop.sale(citizen(1 + number % 8)) for number in range(20)]
    await line.send(*(line.message(sale) for sale in [*sales[:10], poison, *sales[10:]]))
    told = {}
    for _ in range(21):
        answer = await line.answer()
        assert isinstance(answer, Answer)
        told[answer.key] = answer.outcome
    assert told.pop(poison.key) is Outcome.TRY_LATER
    assert set(told.values()) == {Outcome.APPROVED}
    (logged,) = live.logged("case cannot be decided")
    assert logged["stan"] == poison.key.stan
    monkeypatch.undo()
    assert (await line.decide(poison)).outcome is Outcome.APPROVED


async def test_a_fault_of_the_centre_is_answered_and_logged(
    live: LiveCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, line = Shop(), await live.line()

    def broken(*_: object) -> object:
        raise RuntimeError("nobody thought of this")

    with monkeypatch.context() as patch:
        patch.setattr(live.engine, "authorize", broken)
        sale = shop.sale(MARIA)
        await assert_try_later(line, sale)
    (logged,) = live.logged("answer failed")
    assert "nobody thought of this" in msgspec.json.encode(logged).decode()
    assert (await line.decide(sale)).outcome is Outcome.APPROVED


def test_waiting_for_the_database_leaves_a_terminal_its_time() -> None:
    assert 2 * AWAY_MAX_MS < ANSWER_MAX_MS


async def test_a_fault_of_ours_between_decision_and_answer_keeps_nobody_waiting(
    live: LiveCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block with fewer receipts than decisions: told to try later, and the decision stands."""
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)

    async def no_receipts(*_: object) -> list[bytes]:
        return []

    with monkeypatch.context() as patch:
        patch.setattr(engine, "sign_block", no_receipts)
        await assert_try_later(line, sale)
    assert (await decided(line, sale)).outcome is Outcome.APPROVED
    assert (await live.used(), await live.events()) == (1, 1)
