"""Cards follow the register: who may act for whom, in which services and until when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from processing.kernel.roles import Role
from processing.register.model import Edit
from processing.register.store import RegisterStore
from tests.authorization.test_kinds import told
from tests.authorization.world import Centre, build, grant, pills, sale
from tests.cards import population as p
from tests.cards.test_issuing import Office, office  # noqa: F401 - a fixture
from tests.plugins.postgres import Database
from tests.register.people import CHIEF, approved, changed, new, removed

NOW = datetime.now(UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)
FOR_ALL, MED = None, ["MED"]

Authority = tuple[list[str] | None, date, date]


@pytest.fixture
async def clerk(populated: Database) -> AsyncIterator[RegisterStore]:
    """Give the register as its role reaches it."""
    async with populated.connect(Role.REGISTER) as connection:
        yield RegisterStore(connection)


@pytest.fixture
async def owner(populated: Database) -> AsyncIterator[asyncpg.Connection]:
    async with populated.connect() as connection:
        yield connection


def acts(**body: Any) -> Edit:
    """Return the mother's right to act for the lone pensioner."""
    common = {"citizen_id": p.LONE, "representative_id": p.MOTHER, "basis": "attorney"}
    term = {"document": "доверенность 1", "valid_from": TODAY - 9 * DAY}
    return new("representative", 1, **(common | term | body))


async def authority(owner: asyncpg.Connection, holder: UUID = p.LONE) -> Authority | None:
    """Return what the mother's one card may do for a holder."""
    rows = await owner.fetch(
        "SELECT a.scope, a.valid_from, a.valid_to FROM rights.card_authority AS a"
        " INNER JOIN cards.card AS c ON a.card_id = c.card_id"
        " WHERE c.holder_id = $1 AND c.state = 1 AND a.holder_id = $2",
        p.MOTHER,
        holder,
    )
    assert len(rows) <= 1
    return tuple(rows[0]) if rows else None


async def card_end(owner: asyncpg.Connection) -> date:
    end: date = await owner.fetchval(
        "SELECT valid_to FROM cards.card WHERE holder_id = $1 AND state = 1", p.MOTHER
    )
    return end


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, (FOR_ALL, TODAY, None)),
        ({"scope": MED}, (MED, TODAY, None)),
        ({"scope": MED, "valid_to": TODAY + 5 * DAY}, (MED, TODAY, TODAY + 5 * DAY)),
        ({"valid_from": TODAY + 3 * DAY}, (FOR_ALL, TODAY + 3 * DAY, None)),
        ({"valid_to": TODAY - 2 * DAY}, None),
    ],
)
async def test_a_card_in_use_learns_whom_its_holder_represents(
    office: Office,  # noqa: F811
    clerk: RegisterStore,
    owner: asyncpg.Connection,
    said: dict[str, Any],
    expected: tuple[Any, ...] | None,
) -> None:
    await office.issue(p.MOTHER)
    await approved(clerk, acts(**said))
    found = await authority(owner)
    if expected is None:
        assert found is None
        return
    assert found is not None
    scope, first, last = expected
    assert found == (scope, first, last or await card_end(owner))


async def test_a_new_card_acts_in_the_services_and_for_the_term_named(
    office: Office,  # noqa: F811
    clerk: RegisterStore,
    owner: asyncpg.Connection,
) -> None:
    await approved(clerk, acts(scope=MED, valid_from=date(2026, 1, 1), valid_to=date(2030, 1, 31)))
    await office.issue(p.MOTHER)
    issued_on = office.clock.local_date()
    assert await authority(owner) == (MED, issued_on, date(2030, 1, 31))
    assert await authority(owner, p.MOTHER) == (FOR_ALL, issued_on, await card_end(owner))


async def test_what_the_register_takes_back_ends_and_comes_again(
    office: Office,  # noqa: F811
    clerk: RegisterStore,
    owner: asyncpg.Connection,
) -> None:
    await office.issue(p.MOTHER)
    end = await card_end(owner)
    await approved(clerk, acts(scope=MED))
    steps: Sequence[tuple[Edit, Authority]] = (
        (changed("representative", 1, 1, scope=None), (FOR_ALL, TODAY, end)),
        (changed("representative", 1, 2, scope=["MED", "PART"]), (["MED", "PART"], TODAY, end)),
        (changed("representative", 1, 3, valid_to=TODAY), (["MED", "PART"], TODAY, TODAY)),
        (
            changed("representative", 1, 4, valid_to=TODAY - DAY),
            (["MED", "PART"], TODAY - DAY, TODAY - DAY),
        ),
    )
    for edit, expected in steps:
        await approved(clerk, edit)
        assert await authority(owner) == expected
    gone = await approved(clerk, removed("representative", 1, 5))
    assert await authority(owner) == steps[-1][1]
    undone = await clerk.undo(gone, CHIEF, "доверенность действует")
    assert undone.request_id is not None
    await clerk.approve(undone.request_id, "petrova-2")
    assert await authority(owner) == steps[-1][1]
    await approved(clerk, changed("representative", 1, 6, valid_to=None, scope=MED))
    assert await authority(owner) == (MED, TODAY - DAY, end)


async def test_the_till_holds_to_it(
    office: Office,  # noqa: F811
    clerk: RegisterStore,
    owner: asyncpg.Connection,
) -> None:
    await build(owner)
    await owner.execute("UPDATE regulations.service SET valid_to = '2100-12-31'")
    await grant(owner, "PILL", 50, holder=p.LONE, valid_to=date(2100, 12, 31))
    card = (await office.issue(p.MOTHER)).card_id
    stan = 0

    async def buy(service: str) -> tuple[int, dict[str, str]]:
        nonlocal stan
        stan += 1
        one = sale(
            stan, pills(1, 100), service=service, version=3 if service == "MED" else 1, card=card,
            holder=p.LONE, signed_at=NOW, business_date=TODAY,
        )  # fmt: skip
        return told(await Centre(owner, lane=stan).decide_one(one, at=NOW, posting=TODAY))[:2]

    await owner.execute("UPDATE regulations.service SET valid_from = '2020-01-01'")
    assert await buy("MED") == (305, {"authority": "none"})
    await approved(clerk, acts(scope=MED))
    assert await buy("MED") == (703, {})
    assert await buy("PART") == (305, {"authority": "scope"})
    await approved(clerk, changed("representative", 1, 1, scope=None))
    assert await buy("PART") == (703, {})
    await approved(clerk, removed("representative", 1, 2))
    outcome, facts = await buy("MED")
    assert (outcome, facts["authority"]) == (305, "dates")
    assert facts["authority_to"] == str(TODAY - DAY)


async def test_a_family_that_changes_changes_whose_card_serves_the_child(
    office: Office,  # noqa: F811
    clerk: RegisterStore,
    owner: asyncpg.Connection,
) -> None:
    await office.issue(p.MOTHER)
    mine = await authority(owner, p.CHILD)
    assert mine is not None
    record_id = await owner.fetchval(
        "SELECT record_id FROM register.household_member WHERE citizen_id = $1", p.CHILD
    )
    left = await clerk.make_change(CHIEF, "выбыл", [removed("household_member", record_id, 1)])
    assert await authority(owner, p.CHILD) == (FOR_ALL, mine[1], TODAY - DAY)
    await clerk.undo(left, CHIEF, "вернулся")
    assert await authority(owner, p.CHILD) == mine
    # born three years earlier: of age already
    await clerk.make_change(
        CHIEF, "ошибка", [changed("citizen", p.CHILD, 1, birth_date="2000-06-15")]
    )
    assert await authority(owner, p.CHILD) == (FOR_ALL, mine[1], TODAY - DAY)


async def test_what_the_calendar_brings_is_followed_once(
    office: Office,  # noqa: F811
    clerk: RegisterStore,
    owner: asyncpg.Connection,
    populated: Database,
) -> None:
    """As on the day after one term, when the next begins: the card knows the first only."""
    await office.issue(p.MOTHER)
    await approved(
        clerk, acts(valid_from=TODAY, scope=MED),
        new(
            "representative", 2, citizen_id=p.LONE, representative_id=p.MOTHER, basis="attorney",
            document="доверенность 0", valid_from=TODAY - 5 * DAY, valid_to=TODAY - DAY,
        ),
    )  # fmt: skip
    expected = await authority(owner)
    assert expected == (MED, TODAY, await card_end(owner))
    await owner.execute(
        "UPDATE rights.card_authority SET scope = NULL, valid_from = $2, valid_to = $3"
        " WHERE holder_id = $1",
        p.LONE,
        TODAY - 5 * DAY,
        TODAY - DAY,
    )
    async with populated.connect(Role.ISSUING) as issuing:
        for moved in (1, 0):
            found = await issuing.fetchval("SELECT cards.follow_calendar($1, 31)", TODAY)
            assert found == moved
    assert await authority(owner) == (MED, TODAY - 5 * DAY, await card_end(owner))


async def test_a_card_that_is_issued_while_the_register_changes_misses_nothing(
    office: Office,  # noqa: F811
    clerk: RegisterStore,
    owner: asyncpg.Connection,
    populated: Database,
) -> None:
    request_id = await clerk.propose_change(CHIEF, "доверенность", [acts(scope=MED)])
    async with populated.connect(Role.REGISTER) as other, populated.connect() as watching:
        transaction = other.transaction()
        await transaction.start()
        await RegisterStore(other).approve(request_id, "petrova-2")
        issuing = asyncio.create_task(office.issue(p.MOTHER))
        while not await watching.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks AS l INNER JOIN pg_database AS d"
            " ON l.database = d.oid WHERE d.datname = current_database() AND NOT l.granted)"
        ):
            assert not issuing.done()
            await asyncio.sleep(0.01)
        await transaction.commit()
        await issuing
    found = await authority(owner)
    assert found is not None
    assert found[0] == MED
