"""Rights over two databases: each holder's where they are served, whoever decided them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from processing.cards.copies import CopiedCards
from processing.eligibility.application_commands import refusal_text
from processing.eligibility.candidates import Run
from processing.exchange.egisso.store import EgissoStore
from processing.kernel.bucket import bucket_of
from processing.kernel.config import Settings
from processing.kernel.roles import Role
from processing.register.identifiers import make_enp
from processing.register.model import Edit
from processing.register.rights import deliver_rights
from processing.register.store import RegisterStore
from processing.regulations.replay import Under, places_of, replay
from tests.authorization.world import CHILD as WARD
from tests.authorization.world import DAY, HOLDER, Centre, build
from tests.eligibility.town import TODAY, town
from tests.exchange import facts_world as facts
from tests.exchange import people as neighbours
from tests.exchange.test_egisso import NOW_MS, bring, link_of, records, told
from tests.plugins.targets import Databases
from tests.plugins.town import add_citizen, citizen
from tests.register import people as p
from tests.regulations.history import DAYS, History
from tests.regulations.test_replay import total
from tests.targets.test_cards import QUICK, cut
from tests.targets.test_commands import spk

HALF = 512
TABLES = ("entitlement", "allowance", "holder_fact")


async def seen(databases: Databases) -> list[dict[str, set[UUID]]]:
    """Return the holders of each table's rows in each database, which serves all of them."""
    found = []
    for number, database in databases.by_number.items():
        async with database.connect() as connection:
            tables = {}
            for table in TABLES:
                rows = await connection.fetch(
                    f"SELECT bucket, holder_id FROM rights.{table}"  # noqa: S608 - of this test
                )
                tables[table] = {row["holder_id"] for row in rows}
                assert {row["bucket"] < HALF for row in rows} <= {number == 1}
                assert all(row["bucket"] == bucket_of(row["holder_id"].bytes) for row in rows)
        found.append(tables)
    return found


async def due(databases: Databases) -> int:
    async with databases.home.connect() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM register.rights_delivery"))


def policy(record_id: int, whom: UUID, serial: int) -> Edit:
    born = TODAY.replace(1950, 1, 1)
    return p.new(
        "policy", record_id, citizen_id=whom, enp=make_enp(99, born, "m", serial), insurer="СМО",
        clinic_code="CLINIC-1", valid_from="2020-01-01", prolongs=True,
    )  # fmt: skip


GRANTS = (
    p.new("entitlement", 1, **p.MEDICINES),
    p.new("prescription", 2, **p.PRESCRIPTION),
    policy(3, p.PENSIONER, 1),
    p.new("entitlement", 4, **{**p.MEDICINES, "citizen_id": p.CHILD}),
    p.new("prescription", 5, **{**p.PRESCRIPTION, "citizen_id": p.CHILD, "number": "2"}),
    policy(6, p.CHILD, 2),
)
"""Rights of the child, who is served at home, and of the pensioner, who is served elsewhere."""

HERE = {table: {p.CHILD} for table in TABLES}
THERE = {table: {p.PENSIONER} for table in TABLES}
NOBODY: dict[str, set[UUID]] = {table: set() for table in TABLES}


async def register(databases: Databases, *edits: Edit) -> int:
    """Let two persons make a change at home."""
    async with databases.home.connect(Role.REGISTER) as connection:
        return await p.approved(RegisterStore(connection), *edits)


async def undo(databases: Databases, change_id: int) -> None:
    """Let two persons take a change back at home."""
    async with databases.home.connect(Role.REGISTER) as connection:
        store = RegisterStore(connection)
        request_id = (await store.undo(change_id, p.CLERK, "ошибка")).request_id
        assert request_id is not None
        await store.approve(request_id, p.CHIEF)


async def populated(databases: Databases) -> None:
    async with databases.home.connect() as connection:
        await p.populate(connection)


async def test_rights_are_where_their_holders_are_served(two_databases: Databases) -> None:
    await populated(two_databases)
    change_id = await register(two_databases, *GRANTS)
    assert await seen(two_databases) == [HERE, NOBODY]
    async with two_databases.pools(Role.REGISTER) as pools:
        # two programs at once tell it once after the other
        assert await asyncio.gather(*(deliver_rights(pools) for _ in range(3))) == [()] * 3
        assert await seen(two_databases) == [HERE, THERE]
        await register(two_databases, p.changed("policy", 3, 1, valid_to="2026-01-31"))
        assert await deliver_rights(pools) == ()
        async with two_databases.by_number[2].connect() as connection:
            ends = await connection.fetch("SELECT DISTINCT valid_to::text FROM rights.holder_fact")
        assert [row["valid_to"] for row in ends] == ["2026-01-31"]
        assert await due(two_databases) == 0
        await register(two_databases, *(p.removed(e.kind, e.record_id, 1) for e in GRANTS[:2]))
        await deliver_rights(pools)
        assert (await seen(two_databases))[1] == NOBODY | {"holder_fact": {p.PENSIONER}}
    assert change_id > 0


async def test_a_database_that_was_away_is_told_in_order(two_databases: Databases) -> None:
    await populated(two_databases)
    async with two_databases.pools(Role.REGISTER, QUICK, patient=True) as pools:
        await cut(two_databases, 2)
        await register(two_databases, *GRANTS)
        await register(two_databases, p.changed("prescription", 2, 1, quantity=7))
        gone = await register(two_databases, p.removed("prescription", 2, 2))
        await undo(two_databases, gone)
        assert await deliver_rights(pools) == (2,)
        assert (await due(two_databases)) > 0
        await cut(two_databases, 2, allow=True)
        assert await seen(two_databases) == [HERE, NOBODY]
        assert await deliver_rights(pools) == ()
    assert await seen(two_databases) == [HERE, THERE]
    async with two_databases.by_number[2].connect() as connection:
        assert await connection.fetchval("SELECT granted FROM rights.allowance") == 7


async def test_the_centres_command_tells_what_an_interruption_left(
    two_databases: Databases, tmp_path: Path
) -> None:
    await populated(two_databases)
    await register(two_databases, *GRANTS)
    place = two_databases.settings(tmp_path)
    await cut(two_databases, 2)
    code, said = await asyncio.to_thread(spk, "register", "deliver", "--lang", "en", **place)
    assert (code, "away, told later: 2" in said) == (75, True), said
    await cut(two_databases, 2, allow=True)
    for _ in range(2):
        assert await asyncio.to_thread(spk, "register", "deliver", **place) == (0, "")
    assert await seen(two_databases) == [HERE, THERE]


async def test_a_card_acts_elsewhere_as_the_register_says(two_databases: Databases) -> None:
    """A card of home's database, for the pensioner who is served in the other."""
    await populated(two_databases)
    whose = next(one for one in map(citizen, range(1, 9)) if bucket_of(one.holder_id) < HALF)
    card_id = UUID(bytes=whose.card_id)
    async with two_databases.home.connect() as connection:
        await add_citizen(connection, whose)
        await connection.execute(
            "UPDATE cards.card SET holder_id = $1 WHERE card_id = $2", p.FATHER, card_id
        )

    async def told_elsewhere() -> list[tuple[Any, ...]]:
        async with two_databases.pools(Role.ISSUING) as pools:
            assert await CopiedCards(pools).deliver() == ()
        async with two_databases.by_number[2].connect() as connection:
            rows = await connection.fetch(
                "SELECT scope, valid_to < current_date AS over FROM rights.card_authority"
                " WHERE card_id = $1 AND holder_id = $2",
                card_id,
                p.PENSIONER,
            )
        return [tuple(row) for row in rows]

    acts = {"citizen_id": p.PENSIONER, "representative_id": p.FATHER, "basis": "attorney"}
    paper = {"document": "доверенность 1", "valid_from": "2026-01-01", "scope": ["MED"]}
    await register(two_databases, p.new("representative", 1, **acts, **paper))
    assert await told_elsewhere() == [(["MED"], False)]
    await register(two_databases, p.changed("representative", 1, 1, scope=None))
    assert await told_elsewhere() == [(None, False)]
    await register(two_databases, p.removed("representative", 1, 2))
    assert await told_elsewhere() == [(None, True)]
    assert await told_elsewhere() == [(None, True)]


async def test_what_life_events_grant_goes_to_who_serves(two_databases: Databases) -> None:
    async with town(two_databases.home) as pool:
        report = await Run(pool, TODAY, "olga", refusal_text).over_new_events()
    assert report.granted == 3
    before = await seen(two_databases)
    async with two_databases.pools(Role.REGISTER) as pools:
        assert await deliver_rights(pools) == ()
    after = await seen(two_databases)
    async with two_databases.home.connect() as connection:
        decided = await connection.fetch("SELECT holder_id FROM register.entitlement")
    holders = {row["holder_id"] for row in decided}
    assert len(decided) == 3
    assert after[0]["entitlement"] | after[1]["entitlement"] == holders
    assert after[0] == before[0]
    assert before[1]["entitlement"] == set()


async def test_a_month_for_egisso_is_told_of_both(two_databases: Databases) -> None:
    await neighbours.populate(two_databases.home)
    await two_databases.everywhere(facts.build)
    sold = (("anna", "PILLS", 2, 30_050), ("household", "WATER", 4_500, 90_010))
    places = []
    for name, item, quantity, covered_kopecks in sold:
        for number, database in two_databases.by_number.items():
            async with database.connect() as connection:
                served = await connection.fetchval(
                    "SELECT count(*) FROM rights.entitlement WHERE entitlement_id = $1",
                    facts.ENTITLEMENTS[name],
                )
                if served:
                    places.append(number)
                    journal = facts.Journal(connection, lane=1 + 1024 * (number - 1))
                    await journal.event(name, item, quantity, covered_kopecks)
    assert places == [2, 1]
    async with two_databases.pools(Role.EXCHANGE) as pools:
        store = EgissoStore(pools)
        await bring(store, [facts.measure(name) for name in facts.LMSZ])
        for name in facts.LMSZ:
            await store.link(link_of(name))
        export_id = await store.draw(facts.MONTH, facts.MONTH_END, "anna", NOW_MS)
        files = [content async for _, content in store.packages(export_id)]
        found = sorted(told(record) for content in files for record in records(content))
        again = await store.draw(facts.MONTH, facts.MONTH_END, "anna", NOW_MS)
        assert [one async for one in store.packages(again)] == []
    assert found == [
        ("fact", "dateFinish=2026-10-31 amount=2 equivalentAmount=300.50"),
        ("fact", "dateFinish=2026-10-31 amount=4.500 equivalentAmount=900.10"),
        ("fact", "dateFinish=2027-12-31 amount=12345.67"),
    ]


@pytest.mark.timeout(240)
async def test_a_replay_over_both_changes_nothing_under_the_version_in_force(
    two_databases: Databases,
) -> None:
    await two_databases.everywhere(build)
    counted: list[int] = []
    holders: Iterable[tuple[int, UUID]] = ((1, WARD), (2, HOLDER))
    for number, holder in holders:
        async with two_databases.by_number[number].connect() as connection:
            centre = Centre(connection, lane=1 + 1024 * (number - 1))
            await History(centre, seed=number, holders=(holder,)).live(steps=80)
            counted.append(
                await connection.fetchval(
                    "SELECT count(*) FROM journal.event WHERE service = 'MED' AND kind <> 1"
                )
            )
    places = places_of(Settings(home=Path()), two_databases.map)
    assert [place.buckets for place in places] == [(0, 511), (512, 1023)]
    done = await replay(places, Under("MED", 2), DAY, DAY + timedelta(days=3 * DAYS))
    found = total(done)
    assert done.changes == ()
    assert min(counted) > 10
    assert 0 < found.transactions <= sum(counted)
    assert found.before_kopecks == found.after_kopecks > 0
