"""The life of a card: the list of legal steps, each refused step, and that both lists are one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.cards.life import RULES, Medium, MoveResult, Right, Stage, next_stages
from processing.cards.model import CardCode
from processing.cards.store import CardStore
from processing.kernel.database import DatabasePool, open_pool
from processing.kernel.roles import Role
from tests.cards.population import LONE, MOTHER, REGION
from tests.plugins.postgres import Database

BY, WHY = "Ольга", "a test"
# How a card comes to a stage from the beginning.
WAYS = {
    Stage.STOCK: (),
    Stage.KEYED: (2,),
    Stage.LOADED: (2, 3),
    Stage.LOCKED: (2, 3, 4),
    Stage.VERIFIED: (2, 3, 4, 5),
    Stage.ISSUED: (2, 3, 4, 5, 6),
    Stage.ACTIVE: (2, 3, 4, 5, 6, 7),
    Stage.SUSPENDED: (2, 3, 4, 5, 6, 7, 8),
    Stage.REPLACED: (2, 3, 4, 5, 6, 7, 9),
    Stage.REVOKED: (2, 3, 4, 5, 6, 10),
    Stage.EXPIRED: (2, 3, 4, 5, 6, 11),
    Stage.DESTROYED: (2, 12),
}


async def add_card(
    connection: asyncpg.Connection, number: int, holder: UUID = LONE, medium: Medium = Medium.CHIP
) -> UUID:
    """Write a card that is in the stock by its life, and no more than that."""
    card_id, chip = uuid4(), medium is Medium.CHIP
    await connection.execute(
        """
        INSERT INTO cards.card (
            card_id, card_number, holder_id, issuer_region, state, valid_to, public_key_tap,
            public_key_pin, certificate_tap, certificate_pin, issued_at, medium
        ) VALUES ($1, $2, $3, $4, 2, '2039-12-31', $5, $6, $7, $8, now(), $9)
        """,
        card_id,
        f"964390{number:013d}",
        holder,
        REGION,
        bytes(65),
        bytes(65) if chip else None,
        b"tap" if chip else None,
        b"pin" if chip else None,
        int(medium),
    )
    await connection.execute(
        "INSERT INTO cards.transition (card_id, number, from_stage, to_stage, made_by, reason)"
        " VALUES ($1, 1, 1, 1, 'test', 'made')",
        card_id,
    )
    return card_id


async def come_to(connection: asyncpg.Connection, card_id: UUID, stage: Stage) -> None:
    """Move a chip card to a stage by legal steps."""
    for step in WAYS[stage]:
        row = await connection.fetchrow(
            "SELECT * FROM cards.move_card($1, $2::smallint, $3, $4)", card_id, step, BY, WHY
        )
        assert row is not None
        assert row["result"] == 1, (stage, step, row)


@pytest.fixture
async def operator(populated: Database) -> AsyncIterator[CardStore]:
    """Give the store as an operator uses it."""
    pool = await open_pool(populated.dsn(Role.OPERATOR), Role.OPERATOR, "test")
    yield CardStore(pool)
    await pool.close()


async def test_the_database_has_the_same_lists(populated: Database) -> None:
    async with populated.connect() as connection:
        stages = await connection.fetch("SELECT stage, name, state FROM cards.stage")
        rules = await connection.fetch("SELECT * FROM cards.transition_rule")
        rights = await connection.fetch("SELECT DISTINCT right_name FROM cards.right_of_role")
    assert {tuple(row) for row in stages} == {(s, s.name.lower(), s.state) for s in Stage}
    assert {tuple(row) for row in rules} == {
        (medium, *step, right) for medium, steps in RULES.items() for step, right in steps.items()
    }
    assert {row[0] for row in rights} == set(Right)


async def test_every_step_is_taken_or_refused_as_the_list_says(populated: Database) -> None:
    """All 144 pairs of stages, each from a fresh card of the same holder."""
    number = 0
    async with populated.connect() as connection:
        for before, to in product(Stage, Stage):
            number += 1
            trial = connection.transaction()
            await trial.start()
            card_id = await add_card(connection, number)
            await come_to(connection, card_id, before)
            row = await connection.fetchrow(
                "SELECT * FROM cards.move_card($1, $2::smallint, $3, $4)", card_id, to, BY, WHY
            )
            legal = to in next_stages(Medium.CHIP, before)
            expected = 2 if before is to else 1 if legal else 3
            assert row is not None
            assert tuple(row) == (expected, before), (before, to)
            state = await connection.fetchval(
                "SELECT state FROM cards.card WHERE card_id = $1", card_id
            )
            now = to if legal else before
            assert now.state in (None, state), (before, to, state)
            await trial.rollback()


@pytest.mark.parametrize(
    ("role", "before", "to", "result"),
    [
        (Role.OPERATOR, Stage.STOCK, Stage.KEYED, MoveResult.RIGHT_MISSING),
        (Role.OPERATOR, Stage.ISSUED, Stage.ACTIVE, MoveResult.RIGHT_MISSING),
        (Role.ISSUING, Stage.SUSPENDED, Stage.ACTIVE, MoveResult.RIGHT_MISSING),
        (Role.OPERATOR, Stage.SUSPENDED, Stage.ACTIVE, MoveResult.MOVED),
        (Role.OPERATOR, Stage.ACTIVE, Stage.SUSPENDED, MoveResult.MOVED),
        (Role.ISSUING, Stage.ACTIVE, Stage.SUSPENDED, MoveResult.MOVED),
        (Role.OPERATOR, Stage.REPLACED, Stage.DESTROYED, MoveResult.MOVED),
    ],
)
async def test_a_step_needs_its_right(
    populated: Database, role: Role, before: Stage, to: Stage, result: MoveResult
) -> None:
    async with populated.connect() as connection:
        card_id = await add_card(connection, 1)
        await come_to(connection, card_id, before)
    pool = await open_pool(populated.dsn(role), role, "test")
    try:
        move = await CardStore(pool).move(card_id, to, BY, WHY)
    finally:
        await pool.close()
    assert (move.result, move.before) == (result, before)
    assert move.ru[0].islower()
    assert move.en


async def test_a_life_is_written_down_and_stays(populated: Database, operator: CardStore) -> None:
    async with populated.connect() as connection:
        card_id = await add_card(connection, 1)
        await come_to(connection, card_id, Stage.ACTIVE)
        await operator.move(card_id, Stage.SUSPENDED, "Ольга", "lost in a tram")
        last = (await operator.life(card_id))[-1]
        assert (last.from_stage, last.to_stage) == ("active", "suspended")
        assert (last.made_by, last.made_as, last.reason) == (
            "Ольга",
            "spk_operator",
            "lost in a tram",
        )
        for statement in (
            "UPDATE cards.transition SET reason = 'x'",
            "DELETE FROM cards.transition",
            "TRUNCATE cards.transition",
        ):
            with pytest.raises(asyncpg.PostgresError, match="append-only"):
                await connection.execute(statement)
        with pytest.raises(asyncpg.RaiseError, match="stage 8"):
            await connection.execute("SELECT cards.set_state($1, 1::smallint)", card_id)


async def test_an_unknown_card_has_no_life(operator: CardStore) -> None:
    move = await operator.move(UUID(int=9), Stage.SUSPENDED, BY, WHY)
    assert (move.result, move.before) == (MoveResult.CARD_UNKNOWN, None)
    assert await operator.life(UUID(int=9)) == []


async def test_a_suspended_card_does_not_come_back_beside_another(
    populated: Database, operator: CardStore
) -> None:
    async with populated.connect() as connection:
        first, second = [await add_card(connection, number) for number in (1, 2)]
        await come_to(connection, first, Stage.ACTIVE)
        await come_to(connection, second, Stage.ACTIVE)
    assert await stage_of(populated, first) is Stage.REPLACED
    refused = await operator.move(first, Stage.ACTIVE, BY, WHY)
    assert refused.result is MoveResult.ILLEGAL
    assert "заменена" in refused.ru


async def test_cards_handed_over_at_once_leave_one_active(
    populated: Database, issuing_pool: DatabasePool
) -> None:
    async with populated.connect() as connection:
        cards = [await add_card(connection, number) for number in range(1, 6)]
        for card_id in cards:
            await come_to(connection, card_id, Stage.ISSUED)
    store = CardStore(issuing_pool)
    moves = await asyncio.gather(*(store.move(one, Stage.ACTIVE, BY, WHY) for one in cards))
    assert all(move.result is MoveResult.MOVED for move in moves)
    stages = [await stage_of(populated, card_id) for card_id in cards]
    assert sorted(stages) == [Stage.ACTIVE, *[Stage.REPLACED] * 4]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    walk=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(Stage), st.booleans()), max_size=40)
)
def test_no_walk_breaks_what_must_hold(
    populated: Database, walk: list[tuple[int, Stage, bool]]
) -> None:
    asyncio.run(check_walk(populated, walk))


async def check_walk(populated: Database, walk: list[tuple[int, Stage, bool]]) -> None:
    """Take steps with three chip cards and two codes of one person, and look after each."""
    async with populated.connect() as connection:
        trial = connection.transaction()
        await trial.start()
        cards = [await add_card(connection, number, MOTHER) for number in (1, 2, 3)]
        cards += [await add_card(connection, n, MOTHER, Medium.CODE) for n in (4, 5)]
        for place in (0, 1):
            await come_to(connection, cards[place], Stage.ISSUED)
        for place, to, on in walk:
            await connection.fetchrow(
                "SELECT * FROM cards.move_card($1, $2::smallint, $3, $4)", cards[place], to, BY, WHY
            )
            if on and place < 3:
                await connection.fetchrow(
                    "SELECT * FROM cards.move_card($1, $2::smallint, $3, $4)",
                    cards[place],
                    Stage.ACTIVE,
                    BY,
                    WHY,
                )
            rows = await connection.fetch(
                "SELECT state, medium, cards.stage_of(card_id) AS stage FROM cards.card "
                "WHERE card_id = ANY($1)",
                cards,
            )
            active = [row for row in rows if row["state"] == CardCode.ACTIVE]
            assert len([row for row in active if row["medium"] == Medium.CHIP]) <= 1
            assert len([row for row in active if row["medium"] == Medium.CODE]) <= 1
            assert all(row["stage"] == Stage.ACTIVE for row in active)
        await trial.rollback()


async def stage_of(database: Database, card_id: UUID) -> Stage:
    """Return where a card is in its life."""
    async with database.connect() as connection:
        return Stage(await connection.fetchval("SELECT cards.stage_of($1)", card_id))
