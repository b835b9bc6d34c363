"""Cards over two databases: a change reaches both, late if one is away, refusals first."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from processing.cards.copies import CopiedCards
from processing.cards.life import Move, MoveResult, Stage
from processing.kernel.bucket import bucket_of
from processing.kernel.database import SessionLimits
from processing.kernel.errors import DatabaseUnavailableError
from processing.kernel.roles import Role
from tests.plugins.targets import Databases
from tests.plugins.town import Citizen, authorize, build_town, citizen

QUICK = SessionLimits(connect_timeout_ms=1_000, acquire_timeout_ms=1_000)
WHOS = [citizen(number) for number in range(1, 9)]
# A card whose own rights are in one database, and a child's in the other.
HERE = next(who for who in WHOS if bucket_of(who.holder_id) < 512)
THERE = next(who for who in WHOS if bucket_of(who.holder_id) > 511)
CARD = UUID(bytes=HERE.card_id)


@pytest.fixture
async def town(two_databases: Databases) -> Databases:
    """Give two databases with the town in them."""
    await two_databases.everywhere(build_town)
    await two_databases.everywhere(lambda one: authorize(one, HERE, THERE))
    return two_databases


async def states(databases: Databases, who: Citizen = HERE) -> list[tuple[int, int, list[int]]]:
    """Return a card's state and version, and its authorities' states, in each database."""
    found = await databases.everywhere(
        lambda one: one.fetchrow(
            "SELECT c.state, c.version, array(SELECT a.card_state FROM rights.card_authority AS a "
            "WHERE a.card_id = c.card_id) FROM cards.card AS c WHERE c.card_id = $1",
            UUID(bytes=who.card_id),
        )
    )
    return [tuple(row) for row in found]


async def block(cards: CopiedCards) -> Move:
    """Block the card."""
    return await cards.move(CARD, Stage.SUSPENDED, "Ольга", "lost")


async def due(databases: Databases) -> int:
    """Return how many cards wait to be told of."""
    async with databases.home.connect() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM cards.delivery"))


async def cut(databases: Databases, number: int, *, allow: bool = False) -> None:
    """Make a database unreachable, or reachable again."""
    database = databases.by_number[number]
    await database.server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS {allow}")
    await database.server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "  # noqa: S608 - no stranger
        f"WHERE datname = '{database.name}'"
    )


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ISSUING])
async def test_a_block_takes_effect_in_both(town: Databases, role: Role) -> None:
    async with town.pools(role) as pools:
        cards = CopiedCards(pools)
        assert (await block(cards)).result is MoveResult.MOVED
        assert await states(town) == [(2, 2, [2]), (2, 2, [2])]
    async with town.pools(Role.OPERATOR) as pools:
        assert (await CopiedCards(pools).move(CARD, Stage.ACTIVE, "Ольга", "found")).done
    assert await states(town) == [(1, 3, [1]), (1, 3, [1])]
    assert await due(town) == 0


async def test_a_database_that_was_away_is_told_when_it_is_back(town: Databases) -> None:
    async with town.pools(Role.ISSUING, QUICK, patient=True) as pools:
        cards = CopiedCards(pools)
        await cut(town, 2)
        with pytest.raises(DatabaseUnavailableError, match="targets 2 are away"):
            await block(cards)
        assert await cards.deliver() == (2,)
        await cut(town, 2, allow=True)
        assert await states(town) == [(2, 2, [2]), (1, 1, [1])]
        assert await cards.deliver() == ()
    assert await states(town) == [(2, 2, [2]), (2, 2, [2])]
    assert await due(town) == 0


async def test_a_block_does_not_wait_for_home(town: Databases) -> None:
    async with town.pools(Role.OPERATOR, QUICK, patient=True) as pools:
        cards = CopiedCards(pools)
        await cut(town, 1)
        with pytest.raises(DatabaseUnavailableError, match="blocked in targets 2 and not in 1"):
            await block(cards)
        await cut(town, 1, allow=True)
        assert await states(town) == [(1, 1, [1]), (2, 1, [2])]
        await block(cards)
    assert await states(town) == [(2, 2, [2]), (2, 2, [2])]


async def test_an_older_version_changes_nothing(town: Databases) -> None:
    async with town.by_number[2].connect(Role.OPERATOR) as connection:
        for state, version in ((2, 5), (1, 4), (1, 5)):
            await connection.execute(
                "SELECT cards.accept_state($1, $2, $3, FALSE)", CARD, state, version
            )
    assert await states(town) == [(1, 1, [1]), (2, 5, [2])]


async def test_a_new_card_comes_with_its_authorities(town: Databases) -> None:
    """As after cards.issue_card at home, before anybody told the other database."""
    async with town.by_number[2].connect() as connection:
        await connection.execute("DELETE FROM rights.card_authority WHERE card_id = $1", CARD)
        await connection.execute("DELETE FROM cards.card WHERE card_id = $1", CARD)
    async with town.home.connect() as connection:
        await connection.execute(
            "INSERT INTO cards.authority_elsewhere VALUES"
            " ($1, $2, $3, '{MEDICINE}', '2020-01-01', '2039-12-31')",
            CARD,
            bucket_of(THERE.holder_id),
            UUID(bytes=THERE.holder_id),
        )
        await connection.execute("INSERT INTO cards.delivery VALUES ($1, 1)", CARD)
    async with town.pools(Role.ISSUING) as pools:
        assert await CopiedCards(pools).deliver() == ()
    assert await states(town) == [(1, 1, [1]), (1, 1, [1])]
    assert await due(town) == 0
    async with town.by_number[2].connect() as connection:
        found = await connection.fetchval(
            "SELECT scope FROM rights.card_authority WHERE card_id = $1", CARD
        )
    assert found == ["MEDICINE"]


async def test_a_card_of_a_batch_works_everywhere_from_its_hand_over_on(town: Databases) -> None:
    issue = """
        INSERT INTO cards.card_order (
            order_id, citizen_id, register_version, station_id, card_id, card_number, issuer_region,
            valid_to, challenge, state, ordered_at, point_id, planned_on, expected_on
        ) SELECT gen_random_uuid(), c.holder_id, 1, 'office', $2, '9643909900000009999', 99,
            '2020-01-01', sha256('x'), 1, now(), 'P', '2019-01-01', '2019-01-01'
        FROM cards.card AS c WHERE c.card_id = $1
        RETURNING order_id
    """
    card_id = UUID(int=77)
    async with town.home.connect() as connection:
        await connection.execute("SELECT cards.add_station('office', $1, FALSE)", bytes(32))
        await connection.execute(
            "INSERT INTO cards.delivery_point SELECT 'P', region, 'p', 'p', 'p', 'p', 0, 1 "
            "FROM regulations.region LIMIT 1"
        )
        order_id = await connection.fetchval(issue, CARD, card_id)
        issued = await connection.fetchval(
            "SELECT cards.issue_card($1, 'office', $2, $2, 'a', 'b', now(), '2019-06-01')",
            order_id,
            bytes(65),
        )
        assert issued == 1
    found = "SELECT state FROM cards.card WHERE card_id = $1"
    async with town.pools(Role.ISSUING) as pools:
        cards = CopiedCards(pools)
        assert await cards.deliver() == ()
        for change, expected in (
            (None, [2, 2]),
            (Stage.ACTIVE, [1, 1]),
            (Stage.EXPIRED, [2, 2]),
        ):
            if change is Stage.ACTIVE:
                move = await cards.move(card_id, Stage.ACTIVE, "Ольга", "вручена")
                assert move.result is MoveResult.MOVED
            elif change is Stage.EXPIRED:
                assert await cards.expire(date(2020, 1, 2)) == 1
            states = await town.everywhere(lambda one: one.fetchval(found, card_id))
            assert states == expected, change
    assert await due(town) == 0


async def test_a_holders_own_pin_is_told_late_and_after_a_state(town: Databases) -> None:
    transport = "UPDATE cards.card SET pin_is_transport = TRUE WHERE card_id = $1"
    await town.everywhere(lambda one: one.execute(transport, CARD))
    found = "SELECT pin_is_transport FROM cards.card WHERE card_id = $1"
    async with town.pools(Role.ISSUING, QUICK, patient=True) as pools:
        cards = CopiedCards(pools)
        await cards.ask_own_pin(CARD, bytes(32), datetime.now(UTC))
        await cut(town, 2)
        assert await cards.set_own_pin(CARD, bytes(32), "station office-1")
        assert not await cards.set_own_pin(CARD, bytes(32), "station office-1")
        await cut(town, 2, allow=True)
        # The state comes alone, with a later version; the PIN is due still.
        assert (await block(cards)).done
        assert await states(town) == [(2, 3, [2]), (2, 3, [2])]
        assert await town.everywhere(lambda one: one.fetchval(found, CARD)) == [False, True]
        assert await cards.deliver() == ()
    assert await town.everywhere(lambda one: one.fetchval(found, CARD)) == [False, False]
    assert await states(town) == [(2, 3, [2]), (2, 3, [2])]
    assert await due(town) == 0
