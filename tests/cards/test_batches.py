"""Batches on real PostgreSQL: one station each, stages, spoiled blanks, hand-over, races."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from processing.cards.applications import ApplicationState
from processing.cards.batches import SPOILED_BLANKS_MAX, TakeBackResult
from processing.cards.life import MoveResult, Stage
from processing.cards.model import Refusal
from processing.cards.store import CardStore
from processing.kernel.errors import DatabaseError
from processing.wire.api import CardOrder, IssuedCard, OrderRequest, ProblemType
from processing.wire.batches import CardBatch, OrderStage, WrittenStage
from tests.cards import population as p
from tests.cards.ordering import CHIEF, OTHER_STATION, POINT, STATION, TODAY, OrderingOffice
from tests.cards.papers import NOW
from tests.plugins.postgres import Database

PEOPLE = tuple(citizen[0] for citizen in p.CITIZENS)
HANDED = "паспорт предъявлен"


@pytest.fixture
async def office(populated: Database, store: CardStore) -> OrderingOffice:
    made = OrderingOffice(populated, store)
    await made.set_up()
    return made


def refused(value: object) -> ProblemType:
    assert isinstance(value, Refusal), value
    return value.kind


async def hand_over(office: OrderingOffice, card_id: UUID) -> MoveResult:
    return (await office.cards.move(card_id, Stage.ACTIVE, CHIEF, HANDED)).result


async def standing(
    office: OrderingOffice, citizen_id: UUID
) -> tuple[ApplicationState, Stage | None]:
    found = (await office.applications.find(citizen_id=citizen_id))[0]
    return found.state, found.stage


async def test_a_batch_is_of_one_point_and_day_and_of_one_station(office: OrderingOffice) -> None:
    await office.approved(*PEOPLE[:3])
    (made,) = await office.batch_store.make(TODAY, CHIEF)
    assert (made.point_id, made.planned_on, made.orders) == (POINT, TODAY, 3)
    assert await office.batch_store.make(TODAY, CHIEF) == []
    batch = await office.batches.take(STATION, None)
    assert isinstance(batch, CardBatch)
    assert (batch.number, batch.open, batch.issued) == (made.number, 3, 0)
    assert await office.batches.take(STATION, None) == batch
    assert refused(await office.batches.take(OTHER_STATION, None)) is ProblemType.BATCH_UNKNOWN
    assert (
        refused(await office.batches.take(OTHER_STATION, batch.batch_id)) is ProblemType.BATCH_TAKEN
    )
    assert (await office.batches.unfinished(STATION)).batches == (batch,)
    assert (await office.batches.unfinished(OTHER_STATION)).batches == ()
    (order, *_) = await office.orders(batch)
    assert refused(await office.reported(order, OTHER_STATION)) is ProblemType.ORDER_UNKNOWN
    assert (
        refused(await office.batches.orders(OTHER_STATION, batch.batch_id, None))
        is ProblemType.BATCH_UNKNOWN
    )


async def test_what_is_planned_for_another_day_waits(populated: Database, store: CardStore) -> None:
    office = OrderingOffice(populated, store)
    await office.set_up(daily_max=2)
    await office.approved(*PEOPLE[:5])
    made = await office.batch_store.make(TODAY + timedelta(days=1), CHIEF)
    assert [(one.planned_on, one.orders) for one in made] == [
        (TODAY, 2),
        (TODAY + timedelta(days=1), 2),
    ]
    assert isinstance(await office.batches.take(STATION, None), CardBatch)
    assert refused(await office.batches.take(OTHER_STATION, None)) is ProblemType.BATCH_UNKNOWN
    early = await office.batches.take(OTHER_STATION, made[1].batch_id)
    assert isinstance(early, CardBatch)


async def test_stations_at_once_take_a_batch_each(office: OrderingOffice) -> None:
    await office.approved(*PEOPLE[:2])
    await office.batch_store.make(TODAY, CHIEF)
    asked = (STATION, OTHER_STATION) * 4
    answers = await asyncio.gather(*(office.batches.take(name, None) for name in asked))
    holders = {
        name for name, answer in zip(asked, answers, strict=True) if isinstance(answer, CardBatch)
    }
    assert len(holders) == 1
    assert await office.value("SELECT count(*) FROM cards.batch_step WHERE step = 'taken'") == 1


async def test_orders_come_page_by_page(
    office: OrderingOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.cards.batches.ORDERS_PAGE_MAX", 2)
    batch = await office.taken_batch(*PEOPLE[:5])
    seen: list[CardOrder] = []
    after = None
    while True:
        page = await office.batches.orders(STATION, batch.batch_id, after)
        assert not isinstance(page, Refusal)
        seen += page.orders
        after = page.next
        if after is None:
            break
    assert len(seen) == 5
    assert {order.holder_id for order in seen} == set(PEOPLE[:5])
    assert {order.batch_id for order in seen} == {batch.batch_id}


STEPS: list[tuple[WrittenStage, str | None]] = [
    (WrittenStage.LOADED, None),
    (WrittenStage.VERIFIED, None),
    (WrittenStage.KEYED, "keyed"),
    (WrittenStage.KEYED, "keyed"),
    (WrittenStage.LOCKED, None),
    (WrittenStage.LOADED, "loaded"),
    (WrittenStage.KEYED, "loaded"),
    (WrittenStage.LOCKED, "locked"),
    (WrittenStage.VERIFIED, "verified"),
    (WrittenStage.LOADED, "verified"),
]


async def test_stages_follow_each_other_and_may_be_told_again(office: OrderingOffice) -> None:
    batch = await office.taken_batch(p.LONE)
    (order,) = await office.orders(batch)
    for stage, expected in STEPS:
        answer = await office.batches.stage(STATION, order.order_id, stage)
        if expected is None:
            assert refused(answer) is ProblemType.STAGE_ILLEGAL, stage
        else:
            assert answer == OrderStage(order_id=order.order_id, stage=expected)
    await office.issued(order)
    told = await office.batches.stage(STATION, order.order_id, WrittenStage.KEYED)
    assert refused(told) is ProblemType.ORDER_ISSUED
    life = await office.cards.life(order.card_id)
    assert [step.to_stage for step in life] == ["keyed", "loaded", "locked", "verified", "issued"]
    other = await office.batches.stage(OTHER_STATION, order.order_id, WrittenStage.KEYED)
    assert refused(other) is ProblemType.ORDER_UNKNOWN


async def test_a_card_works_from_its_hand_over_on(office: OrderingOffice) -> None:
    batch = await office.taken_batch(p.MOTHER)
    (order,) = await office.orders(batch)
    issued = await office.issued(order)
    assert (issued.active, issued.holder_count) == (False, 4)
    assert await standing(office, p.MOTHER) == (ApplicationState.ORDERED, Stage.ISSUED)
    query = """
        SELECT c.state, array_agg(DISTINCT a.card_state) AS copies,
            array_agg(DISTINCT t.reason) AS reasons
        FROM cards.card AS c
        INNER JOIN rights.card_authority AS a ON c.card_id = a.card_id
        INNER JOIN cards.certificate AS t ON c.card_id = t.card_id
        WHERE c.card_id = $1 GROUP BY c.state
    """
    assert tuple((await office.rows(query, order.card_id))[0]) == (2, [2], [6])
    assert await hand_over(office, order.card_id) is MoveResult.MOVED
    assert await hand_over(office, order.card_id) is MoveResult.THERE_ALREADY
    assert tuple((await office.rows(query, order.card_id))[0]) == (1, [1], [None])
    assert await standing(office, p.MOTHER) == (ApplicationState.HANDED_OVER, Stage.ACTIVE)


ENDS = [
    (Stage.SUSPENDED, 6),
    (Stage.REVOKED, 5),
    (Stage.EXPIRED, 5),
]


@pytest.mark.parametrize(("end", "reason"), ENDS)
async def test_certificates_are_on_hold_or_have_ceased(
    office: OrderingOffice, end: Stage, reason: int
) -> None:
    batch = await office.taken_batch(p.LONE)
    (order,) = await office.orders(batch)
    await office.issued(order)
    await hand_over(office, order.card_id)
    await office.cards.move(order.card_id, Stage.SUSPENDED, CHIEF, "потеряна")
    await office.cards.move(order.card_id, end, CHIEF, "конец")
    reasons = await office.rows("SELECT DISTINCT reason FROM cards.certificate")
    assert [row["reason"] for row in reasons] == [reason]


async def test_a_spoiled_blank_gets_a_fresh_order_until_too_many_are(
    office: OrderingOffice,
) -> None:
    batch = await office.taken_batch(p.LONE)
    (order,) = await office.orders(batch)
    await office.batches.stage(STATION, order.order_id, WrittenStage.KEYED)
    fresh = await office.batches.spoil(STATION, order.order_id, "сломан чип")
    assert isinstance(fresh, CardOrder)
    assert await office.batches.spoil(STATION, order.order_id, "сломан чип") == fresh
    for name in ("order_id", "card_id", "card_number", "challenge"):
        assert getattr(fresh, name) != getattr(order, name)
    assert (fresh.holder_id, fresh.register_version, fresh.batch_id) == (
        order.holder_id,
        order.register_version,
        order.batch_id,
    )
    assert refused(await office.reported(order)) is ProblemType.ORDER_GIVEN_UP
    for _ in range(SPOILED_BLANKS_MAX - 2):
        again = await office.batches.spoil(STATION, fresh.order_id, "опять")
        assert isinstance(again, CardOrder)
        fresh = again
    for _ in range(2):
        last = await office.batches.spoil(STATION, fresh.order_id, "опять")
        assert refused(last) is ProblemType.SPOILED_TOO_OFTEN
    assert await standing(office, p.LONE) == (ApplicationState.WAITING, None)
    counted = await office.value("SELECT sum(blanks) FROM cards.blank_move WHERE kind = 4")
    assert counted == SPOILED_BLANKS_MAX
    life = await office.cards.life(order.card_id)
    assert [step.to_stage for step in life] == ["keyed", "destroyed"]


async def test_what_is_issued_is_not_spoiled(office: OrderingOffice) -> None:
    batch = await office.taken_batch(p.LONE)
    (order,) = await office.orders(batch)
    await office.issued(order)
    spoiled = await office.batches.spoil(STATION, order.order_id, "поздно")
    assert refused(spoiled) is ProblemType.ORDER_ISSUED
    other = await office.batches.spoil(OTHER_STATION, order.order_id, "чужая")
    assert refused(other) is ProblemType.ORDER_UNKNOWN


async def test_a_batch_taken_back_is_made_anew_elsewhere(office: OrderingOffice) -> None:
    batch = await office.taken_batch(*PEOPLE[:3])
    orders = await office.orders(batch)
    await office.issued(orders[0])
    await office.batches.stage(STATION, orders[1].order_id, WrittenStage.KEYED)
    back = await office.batch_store.take_back(batch.batch_id, CHIEF, "станция сломана", NOW)
    assert back == (TakeBackResult.TAKEN_BACK, 2)
    again = await office.batch_store.take_back(batch.batch_id, CHIEF, "ещё раз", NOW)
    assert again == (TakeBackResult.NOT_TAKEN, 0)
    for order in orders[1:]:
        assert refused(await office.reported(order)) is ProblemType.ORDER_GIVEN_UP
    taken = await office.batches.take(OTHER_STATION, None)
    assert isinstance(taken, CardBatch)
    assert (taken.batch_id, taken.open, taken.issued) == (batch.batch_id, 2, 1)
    fresh = await office.orders(taken, OTHER_STATION)
    assert {order.holder_id for order in fresh} == {order.holder_id for order in orders[1:]}
    assert not {o.card_id for o in fresh} & {o.card_id for o in orders}
    for order in fresh:
        await office.issued(order, OTHER_STATION)
    steps = await office.rows("SELECT step FROM cards.batch_step ORDER BY number")
    assert [row["step"] for row in steps] == ["made", "taken", "taken_back", "taken"]
    finished = await office.batches.take(OTHER_STATION, batch.batch_id)
    assert isinstance(finished, CardBatch)
    assert refused(await office.batches.take(STATION, None)) is ProblemType.BATCH_UNKNOWN


async def test_reports_race_with_the_taking_back(office: OrderingOffice) -> None:
    """Whatever comes first, each person ends with one card or one open order."""
    batch = await office.taken_batch(*PEOPLE)
    orders = await office.orders(batch)
    answers = await asyncio.gather(
        office.batch_store.take_back(batch.batch_id, CHIEF, "гонка", NOW),
        *(office.reported(order) for order in orders),
        return_exceptions=True,
    )
    assert not [one for one in answers if isinstance(one, BaseException)], answers
    issued = sum(isinstance(answer, IssuedCard) for answer in answers)
    rows = await office.rows(
        "SELECT citizen_id, count(*) FILTER (WHERE state = 2) AS made, "
        "count(*) FILTER (WHERE state = 1) AS open FROM cards.card_order GROUP BY citizen_id"
    )
    assert sum(row["made"] for row in rows) == issued
    assert {row["made"] + row["open"] for row in rows} == {1}
    assert len(rows) == len(PEOPLE)


async def test_a_hand_over_races_with_the_loss_of_the_old_card(office: OrderingOffice) -> None:
    """The old card never stays usable, the new one always is, in either order."""
    for turn in range(3):
        citizen = PEOPLE[turn]
        old = await old_card(office, citizen)
        batch = await office.taken_batch(citizen)
        (order,) = await office.orders(batch)
        await office.issued(order)
        moves = await asyncio.gather(
            hand_over(office, order.card_id),
            office.cards.move(old, Stage.SUSPENDED, CHIEF, "потеряна"),
            return_exceptions=True,
        )
        assert not [one for one in moves if isinstance(one, DatabaseError)], moves
        states = await office.rows(
            "SELECT card_id, cards.stage_of(card_id) AS stage FROM cards.card WHERE holder_id = $1",
            citizen,
        )
        assert {row["card_id"]: row["stage"] for row in states} == {
            old: Stage.REPLACED,
            order.card_id: Stage.ACTIVE,
        }


async def old_card(office: OrderingOffice, citizen: UUID) -> UUID:
    """Give a citizen a walk-in's card whose term is past, so that a first card may be asked for."""
    order = await office.issuing.order(STATION, OrderRequest(citizen_id=citizen))
    assert isinstance(order, CardOrder)
    await office.issued(order)
    await office.rows(
        "UPDATE cards.card SET valid_to = '2026-09-20' WHERE card_id = $1", order.card_id
    )
    return order.card_id
