"""What is broken on purpose is found: a fault suite that finds nothing proves nothing.

The same short run (load, sessions ended under it, races) is made over an unbroken centre, where
the auditor must be silent, and once over each mutation, where the named checks must alarm.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

import pytest

from hsm_stub.key_material import KeyMaterial
from tests.faults.counters import TRAFFIC, Counted
from tests.faults.load import Load
from tests.faults.mutations import MUTATIONS, Mutation
from tests.faults.pair import Pair, serving_pair
from tests.faults.races import RACERS, Races
from tests.plugins.faults import SEEN, FaultPlan
from tests.plugins.postgres import Database
from tests.plugins.town import SHOPS, add_citizen, add_shop, authorize, citizen

PATIENCE_SECONDS: Final = 3.0
"""Some mutations leave requests undecided for good."""

TOLD_BETWEEN: Final = 40
AT_ONCE: Final = RACERS[:12]
ROUNDS: Final = 5
HOLDERS: Final = [citizen(1_000 + number) for number in range(ROUNDS)]
BUYER: Final = citizen(2_000)
CARDS: Final = [citizen(100 + number) for number in range(len(AT_ONCE))]
UNBROKEN: Final = "nothing"
HELD_COMMITS: Final = """
    CREATE FUNCTION public.hold_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_sleep(0.1);
        RETURN NULL;
    END $$;
    CREATE TRIGGER hold_commit AFTER INSERT ON journal.event
    FOR EACH STATEMENT EXECUTE FUNCTION public.hold_commit();
"""


async def prepare(database: Database) -> None:
    async with database.connect() as connection:
        for racer in AT_ONCE:
            await add_shop(connection, racer)
        for holder in HOLDERS:
            await add_citizen(connection, holder, 1)
        await add_citizen(connection, BUYER, 2 * ROUNDS)
        for card in CARDS:
            await add_citizen(connection, card, 0)
            for holder in HOLDERS:
                await authorize(connection, card, holder)


async def hold_commits(pair: Pair) -> None:
    """Keep each batch uncommitted for a moment, so that those who race do meet on any machine."""
    async with pair.database.connect() as connection:
        await connection.execute(HELD_COMMITS)


async def provoke(pair: Pair, seed: int) -> Load:
    """Give every mutation its chance; return the load with its ledger."""
    shops = (*SHOPS[:4], *AT_ONCE)
    load = Load(
        pair.connect,
        pair.counters,
        seed,
        shops=shops,
        working=4,
        pause_seconds=0.01,
        patience_seconds=PATIENCE_SECONDS,
    )
    async with load.running():
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                await load.more(TOLD_BETWEEN)
            await pair.end_sessions()
        with contextlib.suppress(TimeoutError):
            await load.more(TOLD_BETWEEN, TRAFFIC)
    await hold_commits(pair)
    async with Races(load.ledger, PATIENCE_SECONDS, AT_ONCE).connected(pair.connect) as races:
        for holder in HOLDERS:
            await races.one_key(BUYER)
            await races.one_original(BUYER)
            await races.one_unit(holder, CARDS)
    return load


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "mutation", [None, *MUTATIONS], ids=lambda one: one.name if one else UNBROKEN
)
async def test_what_is_broken_is_found(
    database: Database,
    town_keys: KeyMaterial,
    monkeypatch: pytest.MonkeyPatch,
    mutation: Mutation | None,
    fault_plan: FaultPlan,
    record_property: Callable[[str, object], None],
) -> None:
    async with serving_pair(database, town_keys) as pair:
        await prepare(database)
        if mutation is not None:
            async with database.connect() as connection:
                await mutation.breaks(pair, connection, monkeypatch)
        load = await provoke(pair, fault_plan.seed)
        found = await pair.findings(load)
    checks = {finding.check for finding in found}
    if mutation is None or not mutation.caught_by:
        record_property(SEEN, f"{pair.counters}")
        assert found == []
        pair.counters.check({*TRAFFIC, Counted.SESSIONS_KILLED, Counted.UNITS_RACED})
    else:
        record_property(SEEN, f"caught by {sorted(checks)}")
        assert [check for check in mutation.caught_by if check not in checks] == []
