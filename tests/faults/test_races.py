"""Fifty at once over many connections and two worker processes: exactly one has it.

Rounds come from `--fault-cycles` and `--fault-minutes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest

from hsm_stub.key_material import KeyMaterial
from processing.wire.outcome import Outcome
from tests.faults.auditor import audit_run, receipt_public_key_of
from tests.faults.counters import Counted, Counters
from tests.faults.load import PATIENCE_SECONDS, Load
from tests.faults.races import AT_ONCE, RACERS, Races
from tests.plugins.centre import Programs
from tests.plugins.faults import SEEN, FaultPlan
from tests.plugins.line import Line, open_line
from tests.plugins.postgres import Database
from tests.plugins.town import add_citizen, add_shop, authorize, build_town, citizen
from tests.workers.crew import Crew

ROUNDS: Final = 5
"""Of each race in one cycle."""

GIVEN: Final = 1
BUYERS: Final = [citizen(100 + number) for number in range(AT_ONCE)]


async def check_one_round(races: Races, database: Database, number: int) -> None:
    """Run each race once; who they are about is new in each round."""
    holder, buyer = citizen(1_000 + number), citizen(100_000 + number)
    async with database.connect() as connection:
        await add_citizen(connection, holder, GIVEN)
        await add_citizen(connection, buyer, 3)
        for card in BUYERS:
            await authorize(connection, card, holder)
    same = await races.one_key(buyer)
    assert len(same) == AT_ONCE
    assert {answer.outcome for answer in same} == {Outcome.APPROVED}
    assert len({answer.decision for answer in same}) == 1

    different = Counter(answer.outcome for answer in await races.one_number(buyer))
    assert different == {Outcome.APPROVED: 1, Outcome.KEY_REUSED: AT_ONCE - 1}

    last = Counter(answer.outcome for answer in await races.one_unit(holder, BUYERS))
    assert last == {Outcome.APPROVED: GIVEN, Outcome.ALLOWANCE_EXHAUSTED: AT_ONCE - GIVEN}

    taken_back = await races.one_original(buyer)
    assert {answer.outcome for answer in taken_back} == {Outcome.APPROVED}
    facts = Counter(answer.facts.get("original", "") for answer in taken_back)
    assert facts == {"": 1, "reversed": AT_ONCE - 1}


@pytest.mark.timeout(180)
async def test_fifty_at_once(
    programs: Programs,
    database: Database,
    town_keys: KeyMaterial,
    fault_plan: FaultPlan,
    record_property: Callable[[str, object], None],
) -> None:
    async with database.connect() as connection:
        await build_town(connection, citizens=0)
        for racer in RACERS:
            await add_shop(connection, racer)
        for card in BUYERS:
            await add_citizen(connection, card, 0)
    crew = Crew(programs, SPK_DSN=database.superuser_dsn)
    macs = {racer: programs.mac(racer) for racer in RACERS}

    async def connect(terminal_id: str) -> Line:
        return await open_line(crew.port, macs[terminal_id])

    counters = Counters()
    load = Load(connect, counters, fault_plan.seed, shops=RACERS)
    async with Races(load.ledger, PATIENCE_SECONDS).connected(connect) as races:
        for number in fault_plan.rounds():
            for one in range(ROUNDS):
                await check_one_round(races, database, number * ROUNDS + one)
        answers = await crew.measured("spk_iso8583_answers_total")
    await load.ask_all_again()
    async with database.connect() as connection:
        found = await audit_run(connection, load.ledger, receipt_public_key_of(town_keys))
    record_property(SEEN, f"{counters}")
    assert found == []
    assert min(answers["1"], answers["2"]) > 0
    counters.check(
        (
            Counted.APPROVALS,
            Counted.DECLINES,
            Counted.REVERSALS,
            Counted.REPLAYS,
            Counted.KEY_CONFLICTS,
            Counted.KEYS_RACED,
            Counted.UNITS_RACED,
        )
    )
