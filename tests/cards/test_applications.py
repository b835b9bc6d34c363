"""Applications for cards on real PostgreSQL: who may have one, who approves, when it is planned."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from uuid import UUID

import msgspec
import pytest

from processing.cards import applications as rooms
from processing.cards.applications import (
    ApplicationKind,
    ApplicationState,
    Applied,
    ApplyResult,
    ApproveResult,
    Desk,
    RefuseResult,
    Wish,
)
from processing.cards.life import Stage
from processing.cards.store import CardStore
from processing.wire.api import OrderRequest
from tests.cards import population as p
from tests.cards.ordering import CHIEF, CLERK, DESK, POINT, STATION, TODAY, OrderingOffice
from tests.plugins.postgres import Database

REPLACEMENT = msgspec.structs.replace(DESK, kind=ApplicationKind.REPLACEMENT)
FOR_ANOTHER = msgspec.structs.replace(DESK, kind=ApplicationKind.REPRESENTATIVE)


@pytest.fixture
async def office(populated: Database, store: CardStore) -> OrderingOffice:
    made = OrderingOffice(populated, store)
    await made.set_up()
    return made


async def change(office: OrderingOffice, statement: str, *values: object) -> None:
    """Change the register as a person with a reason would."""
    async with office.database.connect() as connection, connection.transaction():
        await connection.execute("SELECT register.begin_change('test', 'test', 'edit')")
        await connection.execute(statement, *values)


async def one(office: OrderingOffice, wish: Wish, desk: Desk = DESK) -> Applied:
    (answer,) = await office.applications.apply([wish], desk)
    return answer


@pytest.mark.parametrize(
    ("statement", "wish", "desk", "result"),
    [
        ("SELECT 1", Wish(snils=p.LONE_SNILS), DESK, ApplyResult.APPLIED),
        ("SELECT 1", Wish(snils="08765430201"), DESK, ApplyResult.CITIZEN_UNKNOWN),
        ("SELECT 1", Wish(citizen_id=UUID(int=9)), DESK, ApplyResult.CITIZEN_UNKNOWN),
        (
            "UPDATE register.citizen SET death_date = '2026-01-01' WHERE snils = '11223344595'",
            Wish(snils=p.LONE_SNILS),
            DESK,
            ApplyResult.DEAD,
        ),
        (
            "UPDATE register.citizen SET region = 98 WHERE snils = '11223344595'",
            Wish(snils=p.LONE_SNILS),
            DESK,
            ApplyResult.OTHER_REGION,
        ),
        (
            "UPDATE register.citizen SET last_name = 'Иванов 2' WHERE snils = '11223344595'",
            Wish(snils=p.LONE_SNILS),
            DESK,
            ApplyResult.NOT_PRINTABLE,
        ),
        (
            "UPDATE register.citizen SET last_name = 'Мамин (О’Нил)' WHERE snils = '11223344595'",
            Wish(snils=p.LONE_SNILS),
            DESK,
            ApplyResult.APPLIED,
        ),
        ("SELECT 1", Wish(snils=p.LONE_SNILS), REPLACEMENT, ApplyResult.NO_CARD),
        ("SELECT 1", Wish(snils=p.LONE_SNILS), FOR_ANOTHER, ApplyResult.NOT_REPRESENTATIVE),
        (
            "SELECT 1",
            Wish(citizen_id=p.LONE, represents=p.MOTHER),
            FOR_ANOTHER,
            ApplyResult.NOT_REPRESENTATIVE,
        ),
        (
            "SELECT 1",
            Wish(citizen_id=p.MOTHER, represents=p.CHILD),
            FOR_ANOTHER,
            ApplyResult.APPLIED,
        ),
        (
            "SELECT 1",
            Wish(snils=p.LONE_SNILS),
            msgspec.structs.replace(DESK, point_id="nowhere"),
            ApplyResult.POINT_UNKNOWN,
        ),
    ],
)
async def test_who_may_have_a_card(
    office: OrderingOffice, statement: str, wish: Wish, desk: Desk, result: ApplyResult
) -> None:
    await office.rows(
        "INSERT INTO regulations.region VALUES (98, 'Europe/Moscow', 'Другая', 'Other')"
    )
    await change(office, statement)
    answer = await one(office, wish, desk)
    assert answer.result is result
    assert (answer.number is None) is (result is not ApplyResult.APPLIED)


async def test_nobody_waits_for_two_cards_of_one_purpose(office: OrderingOffice) -> None:
    wishes = [Wish(citizen_id=p.MOTHER)] * 2 + [Wish(citizen_id=p.MOTHER, represents=p.CHILD)] * 2
    answers = await office.applications.apply(wishes, DESK)
    waits = ApplyResult.WAITS_ALREADY
    assert [a.result for a in answers] == [ApplyResult.APPLIED, waits, ApplyResult.APPLIED, waits]
    assert (await one(office, wishes[0])).result is waits


async def test_applications_at_once_leave_one(office: OrderingOffice) -> None:
    answers = await asyncio.gather(*(one(office, Wish(citizen_id=p.LONE)) for _ in range(6)))
    results = sorted(answer.result for answer in answers)
    assert results == [ApplyResult.APPLIED, *[ApplyResult.WAITS_ALREADY] * 5]


async def test_another_person_approves(office: OrderingOffice) -> None:
    taken = await office.applied(p.LONE)
    for by, result in (
        (CLERK, ApproveResult.SAME_PERSON),
        (CLERK.upper(), ApproveResult.SAME_PERSON),
        (CHIEF, ApproveResult.ORDERED),
        (CHIEF, ApproveResult.NOT_WAITING),
    ):
        assert await office.applications.approve(taken, by, None) == {taken[0].number: result}


async def test_an_approval_fixes_the_version_that_is_printed(office: OrderingOffice) -> None:
    batch = await office.taken_batch(p.LONE)
    (order,) = await office.orders(batch)
    await change(
        office, "UPDATE register.citizen SET last_name = 'Новая' WHERE snils = $1", p.LONE_SNILS
    )
    face = await office.batches.face(STATION, order.order_id, "печать")
    assert (order.register_version, getattr(face, "last_name", face)) == (1, "Тестова")
    assert "Тестова" not in repr(face)
    (read,) = await office.rows(
        "SELECT read_by, purpose, way FROM register.read_log WHERE citizen_id = $1", p.LONE
    )
    assert tuple(read) == (f"station {STATION}", "печать", "card")


@pytest.mark.parametrize(
    ("statement", "result"),
    [
        ("UPDATE register.citizen SET death_date = '2026-09-01'", ApproveResult.NOT_FIT),
        ("UPDATE register.citizen SET region = 98", ApproveResult.NOT_FIT),
        ("UPDATE register.citizen SET first_name = '?'", ApproveResult.NOT_FIT),
        ("UPDATE register.citizen SET first_name = 'Анна'", ApproveResult.ORDERED),
    ],
)
async def test_the_person_is_looked_at_again(
    office: OrderingOffice, statement: str, result: ApproveResult
) -> None:
    await office.rows(
        "INSERT INTO regulations.region VALUES (98, 'Europe/Moscow', 'Другая', 'Other')"
    )
    taken = await office.applied(p.LONE)
    await change(office, f"{statement} WHERE snils = '{p.LONE_SNILS}'")
    assert list((await office.applications.approve(taken, CHIEF, None)).values()) == [result]


async def test_two_approvals_make_one_order(office: OrderingOffice) -> None:
    taken = await office.applied(p.LONE, p.MOTHER, p.FATHER)
    many = await asyncio.gather(
        *(office.applications.approve(taken, by, None) for by in (CHIEF, "Пётр", "Анна"))
    )
    results = sorted(result for answer in many for result in answer.values())
    assert results == [*[ApproveResult.ORDERED] * 3, *[ApproveResult.NOT_WAITING] * 6]
    assert await office.value("SELECT count(*) FROM cards.card_order") == 3


async def test_the_plan_throttles_by_point_and_in_all(
    populated: Database, store: CardStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = OrderingOffice(populated, store)
    await office.set_up(daily_max=2, delivery_days=3)
    everybody = [citizen[0] for citizen in p.CITIZENS]
    await office.approved(*everybody[:3])
    monkeypatch.setattr(rooms, "ORDERS_PER_DAY_MAX", 1)
    await office.approved(*everybody[3:5])
    monkeypatch.setattr(rooms, "PLAN_DAYS_MAX", 4)
    full = await office.applied(*everybody[5:])
    results = await office.applications.approve(full, CHIEF, None)
    assert list(results.values()) == [ApproveResult.ORDERED, ApproveResult.PLAN_FULL]
    planned = await office.rows(
        "SELECT planned_on, expected_on FROM cards.card_order ORDER BY planned_on, order_id"
    )
    assert [(row["planned_on"] - TODAY).days for row in planned] == [0, 0, 1, 2, 3, 4]
    assert {row["expected_on"] - row["planned_on"] for row in planned} == {timedelta(days=3)}


async def test_approvals_at_once_never_plan_beyond_a_day(
    populated: Database, store: CardStore
) -> None:
    office = OrderingOffice(populated, store)
    await office.set_up(daily_max=3)
    taken = await office.applied(*(citizen[0] for citizen in p.CITIZENS))
    await asyncio.gather(*(office.applications.approve([each], CHIEF, None) for each in taken))
    days = await office.rows(
        "SELECT count(*) AS n FROM cards.card_order GROUP BY planned_on ORDER BY planned_on"
    )
    assert [row["n"] for row in days] == [3, 3, 1]


async def test_a_card_for_one_person_acts_for_that_person_until_the_paper_ends(
    office: OrderingOffice,
) -> None:
    await change(
        office,
        """
        INSERT INTO register.representative (
            record_id, citizen_id, representative_id, basis, document, valid_from, valid_to, scope
        ) VALUES (gen_random_uuid(), $1, $2, 'guardian', '1', '2026-01-01', '2026-12-31', '{A}')
        """,
        p.LONE,
        p.MOTHER,
    )
    own = await office.taken_batch(p.MOTHER)
    (own_order,) = await office.orders(own)
    own_card = await office.issued(own_order)
    assert (await office.cards.move(own_card.card_id, Stage.ACTIVE, CHIEF, "вручена")).done
    wish = Wish(citizen_id=p.MOTHER, represents=p.LONE)
    answer = await one(office, wish, FOR_ANOTHER)
    assert answer.number is not None
    taken = await office.applications.numbered([answer.number])
    await office.applications.approve(taken, CHIEF, None)
    await office.batch_store.make(TODAY, CHIEF)
    batch = await office.batches.take(STATION, None)
    (order,) = await office.orders(batch)  # type: ignore[arg-type]
    assert order.valid_to == date(2026, 12, 31)
    card = await office.issued(order)
    assert (await office.cards.move(card.card_id, Stage.ACTIVE, CHIEF, "вручена")).done
    acts = await office.rows(
        "SELECT holder_id, scope, valid_to, card_state FROM rights.card_authority"
        " WHERE card_id = $1",
        card.card_id,
    )
    assert [tuple(row) for row in acts] == [(p.LONE, ["A"], date(2026, 12, 31), 1)]
    # The holder's own card stays what it is: two purposes, one active card each.
    assert (
        await office.value("SELECT state FROM cards.card WHERE card_id = $1", own_card.card_id) == 1
    )
    await change(
        office,
        """
        INSERT INTO register.representative (
            record_id, citizen_id, representative_id, basis, document, valid_from
        ) VALUES (gen_random_uuid(), $1, $2, 'guardian', '2', '2026-01-01')
        """,
        p.GRANDMOTHER,
        p.MOTHER,
    )
    assert await office.value("SELECT cards.follow_register($1)", [p.MOTHER]) == 1
    acting = "SELECT card_id FROM rights.card_authority WHERE holder_id = $1"
    assert await office.value(acting, p.GRANDMOTHER) == own_card.card_id


async def test_an_order_that_a_station_gives_up_waits_for_approval_again(
    office: OrderingOffice,
) -> None:
    batch = await office.taken_batch(p.LONE)
    (order,) = await office.orders(batch)
    await office.issuing.give_up(STATION, order.order_id)
    (standing,) = await office.applications.find(citizen_id=p.LONE)
    assert (standing.state, standing.order_id) == (ApplicationState.WAITING, None)
    again = await office.applications.approve(
        await office.applications.waiting(0, None), CHIEF, None
    )
    assert list(again.values()) == [ApproveResult.ORDERED]


async def test_refused_and_withdrawn(office: OrderingOffice) -> None:
    first, second, third = await office.applied(p.LONE, p.MOTHER, p.FATHER)
    store = office.applications

    async def refuse(which: UUID, *, withdraw: bool = False) -> RefuseResult:
        return await store.refuse(which, CHIEF, "нет документа", withdraw=withdraw)

    assert await refuse(first.application_id) is RefuseResult.DONE
    assert await refuse(first.application_id) is RefuseResult.DONE
    assert await refuse(first.application_id, withdraw=True) is RefuseResult.DECIDED_ALREADY
    await store.approve([second, third], CHIEF, None)
    assert await refuse(second.application_id, withdraw=True) is RefuseResult.DONE
    await office.batch_store.make(TODAY, CHIEF)
    await office.batches.take(STATION, None)
    assert await refuse(third.application_id) is RefuseResult.AT_STATION
    assert await refuse(UUID(int=7)) is RefuseResult.UNKNOWN
    assert (await one(office, Wish(citizen_id=p.LONE))).result is ApplyResult.APPLIED
    states = [
        row["state"]
        for row in await office.rows("SELECT state FROM cards.application ORDER BY number")
    ]
    assert states == [5, 4, 2, 1]


async def test_lists_and_finding(office: OrderingOffice) -> None:
    first, second = await office.approved(p.LONE, p.MOTHER)
    store = office.applications
    assert [each.number for each in await store.listed(None, None, None, 50)] == [2, 1]
    assert [each.number for each in await store.listed(None, POINT, 2, 50)] == [1]
    assert await store.listed(ApplicationState.WAITING, None, None, 50) == []
    assert await store.listed(None, "nowhere", None, 50) == []
    (found,) = await store.find(number=first.number)
    assert found.expected_on == TODAY + timedelta(days=5)
    for again in (
        store.find(key=found.order_id),
        store.find(key=found.card_id),
        store.find(citizen_id=p.LONE),
    ):
        assert [each.number for each in await again] == [first.number]
    assert second.number == first.number + 1
    assert await store.find(key=UUID(int=1)) == []


async def test_a_walk_in_serves_who_waits_and_needs_the_right_of_the_station(
    office: OrderingOffice,
) -> None:
    await office.applied(p.LONE)
    await office.rows("UPDATE cards.station SET walk_in = FALSE WHERE station_id = $1", STATION)
    request = OrderRequest(citizen_id=p.LONE)
    refused = await office.issuing.order(STATION, request)
    assert getattr(refused, "kind", refused) == "walk-in-refused"
    await office.rows("UPDATE cards.station SET walk_in = TRUE")
    order = await office.issuing.order(STATION, request)
    await office.issued(order)  # type: ignore[arg-type]
    (standing,) = await office.applications.find(citizen_id=p.LONE)
    assert (standing.state, standing.stage) == (ApplicationState.HANDED_OVER, Stage.ACTIVE)
