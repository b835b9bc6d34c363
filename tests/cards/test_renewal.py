"""Renewal and expiry on real PostgreSQL: once for each card that ends, never for who left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.cards import store as rooms
from processing.cards.applications import ApplicationKind, ApplicationState, ApplyResult
from processing.cards.life import Stage
from processing.cards.renewal import renew
from processing.cards.store import CardStore
from tests.cards import population as p
from tests.cards.ordering import CHIEF, CLERK, POINT, TODAY, OrderingOffice
from tests.cards.test_life import WAYS, add_card
from tests.plugins.postgres import Database

SOON, BEFORE = TODAY + timedelta(days=20), TODAY + timedelta(days=60)
PEOPLE = tuple(citizen[0] for citizen in p.CITIZENS)


@pytest.fixture
async def office(populated: Database, store: CardStore) -> OrderingOffice:
    made = OrderingOffice(populated, store)
    await made.set_up()
    return made


async def give_cards(
    office: OrderingOffice,
    holders: Sequence[UUID],
    valid_to: date = SOON,
    stage: Stage = Stage.ACTIVE,
) -> list[UUID]:
    """Give each a card in this stage that ends on this day."""
    cards = []
    async with office.database.connect() as connection:
        for holder in holders:
            number = int.from_bytes(holder.bytes[-2:]) + 1000 * stage
            card_id = await add_card(connection, number, holder)
            await connection.execute(
                "UPDATE cards.card SET valid_to = $2 WHERE card_id = $1", card_id, valid_to
            )
            for step in WAYS[stage]:
                await connection.execute(
                    "SELECT cards.move_card($1, $2::smallint, 'test', 'test')", card_id, step
                )
            cards.append(card_id)
    return cards


async def test_a_campaign_applies_once_for_each_card_that_ends(office: OrderingOffice) -> None:
    await give_cards(office, PEOPLE[:3])
    await give_cards(office, PEOPLE[3:4], valid_to=BEFORE)
    await give_cards(office, PEOPLE[4:5], stage=Stage.SUSPENDED)
    await give_cards(office, PEOPLE[5:6], valid_to=TODAY - timedelta(days=1))
    done = await renew(office.applications, BEFORE, CLERK, POINT, 1000)
    assert (done.applied, done.left_out) == (3, {})
    assert (await renew(office.applications, BEFORE, CLERK, POINT, 1000)).applied == 0
    waiting = await office.applications.waiting(0, ApplicationKind.RENEWAL)
    await office.applications.approve(waiting, CHIEF, None)
    assert (await renew(office.applications, BEFORE, CLERK, POINT, 1000)).applied == 0
    assert await office.value("SELECT count(*) FROM cards.card_order") == 3


async def test_a_campaign_leaves_out_who_died_or_moved(office: OrderingOffice) -> None:
    await give_cards(office, PEOPLE[:3])
    async with office.database.connect() as connection, connection.transaction():
        await connection.execute("SELECT register.begin_change('test', 'test', 'edit')")
        await connection.execute(
            "INSERT INTO regulations.region VALUES (98, 'Europe/Moscow', 'Другая', 'Other')"
        )
        await connection.execute(
            "UPDATE register.citizen SET death_date = '2026-09-01' WHERE citizen_id = $1", PEOPLE[0]
        )
        await connection.execute(
            "UPDATE register.citizen SET region = 98 WHERE citizen_id = $1", PEOPLE[1]
        )
    for _ in range(2):
        done = await renew(office.applications, BEFORE, CLERK, POINT, 1000)
        assert done.left_out == {ApplyResult.DEAD: 1, ApplyResult.OTHER_REGION: 1}
    assert await office.value("SELECT count(*) FROM cards.application") == 1


async def test_a_campaign_stops_at_its_limit_and_goes_on(
    office: OrderingOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.cards.applications.APPLICATIONS_AT_ONCE_MAX", 2)
    await give_cards(office, PEOPLE)
    applied = [
        (await renew(office.applications, BEFORE, CLERK, POINT, 3)).applied for _ in range(4)
    ]
    assert applied == [3, 3, 1, 0]


async def test_a_renewed_card_takes_the_place_of_the_old_one(office: OrderingOffice) -> None:
    (old,) = await give_cards(office, [p.LONE])
    await renew(office.applications, BEFORE, CLERK, POINT, 10)
    taken = await office.applications.waiting(0, None)
    await office.applications.approve(taken, CHIEF, None)
    await office.batch_store.make(TODAY, CHIEF)
    batch = await office.batches.take("office-1", None)
    (order,) = await office.orders(batch)  # type: ignore[arg-type]
    await office.issued(order)
    assert await office.value("SELECT cards.stage_of($1)", old) == Stage.ACTIVE
    await office.cards.move(order.card_id, Stage.ACTIVE, CHIEF, "вручена")
    assert await office.value("SELECT cards.stage_of($1)", old) == Stage.REPLACED
    (standing,) = await office.applications.find(citizen_id=p.LONE)
    assert standing.state is ApplicationState.HANDED_OVER


async def test_cards_expire_once_whatever_they_were(
    office: OrderingOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = TODAY - timedelta(days=1)
    ended = [
        *await give_cards(office, PEOPLE[:2], past),
        *await give_cards(office, PEOPLE[2:4], past, Stage.SUSPENDED),
        *await give_cards(office, PEOPLE[4:5], past, Stage.ISSUED),
    ]
    others = {
        (await give_cards(office, PEOPLE[:1], past, Stage.REVOKED))[0]: Stage.REVOKED,
        (await give_cards(office, PEOPLE[5:6], TODAY))[0]: Stage.ACTIVE,
    }
    monkeypatch.setattr(rooms, "EXPIRED_AT_ONCE_MAX", 2)
    counts = await asyncio.gather(*(office.cards.expire(TODAY) for _ in range(3)))
    assert sum(counts) == len(ended)
    assert await office.cards.expire(TODAY) == 0
    for card_id in ended:
        assert await office.value("SELECT cards.stage_of($1)", card_id) == Stage.EXPIRED
        assert await office.value("SELECT state FROM cards.card WHERE card_id = $1", card_id) == 2
    for card_id, stage in others.items():
        assert await office.value("SELECT cards.stage_of($1)", card_id) == stage


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    walk=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(Stage), st.integers(0, 2)), max_size=40
    )
)
def test_no_walk_leaves_two_active_cards_of_one_purpose(
    populated: Database, walk: list[tuple[int, Stage, int]]
) -> None:
    asyncio.run(check_purposes(populated, walk))


async def check_purposes(populated: Database, walk: list[tuple[int, Stage, int]]) -> None:
    """Take steps with cards of one holder for three purposes, expiring in between."""
    async with populated.connect() as connection:
        trial = connection.transaction()
        await trial.start()
        cards = [await add_card(connection, number, p.MOTHER) for number in range(1, 7)]
        purposes = [None, None, p.CHILD, p.CHILD, p.BABY, p.BABY]
        for card_id, purpose in zip(cards, purposes, strict=True):
            await connection.execute(
                "UPDATE cards.card SET represents = $2, valid_to = '2026-09-20' WHERE card_id = $1",
                card_id,
                purpose,
            )
            for step in WAYS[Stage.ISSUED]:
                await connection.execute(
                    "SELECT cards.move_card($1, $2::smallint, 'test', 'test')", card_id, step
                )
        for place, to, often in walk:
            for stage in [to, Stage.ACTIVE, Stage.SUSPENDED][: often + 1]:
                await connection.execute(
                    "SELECT cards.move_card($1, $2::smallint, 'test', 'test')", cards[place], stage
                )
            if often == 2:
                await connection.execute("SELECT cards.expire_cards('2026-09-21', 1, 'test')")
            rows = await connection.fetch(
                "SELECT state, live, represents, cards.stage_of(card_id) AS stage FROM cards.card "
                "WHERE card_id = ANY($1)",
                cards,
            )
            active = [row["represents"] for row in rows if row["state"] == 1]
            assert len(active) == len(set(active))
            for row in rows:
                assert (row["state"] == 1) is (row["stage"] == Stage.ACTIVE)
                assert row["live"] is (row["stage"] < Stage.REPLACED)
        await trial.rollback()
