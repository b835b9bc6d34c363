"""Killed with -9 under load: nothing acknowledged is lost, nothing is debited twice.

Terminals sell, repeat, contradict and take back with many requests outstanding, while workers, the
whole centre, the database, both at once and the key service are killed at moments drawn from the
seed, `--fault-cycles` rounds long or for `--fault-minutes`. Whatever a terminal was told must be
in the journal, and be told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import pytest

from hsm_stub.key_material import KeyMaterial
from tests.faults.auditor import receipt_public_key_of
from tests.faults.counters import TRAFFIC, Counted
from tests.faults.load import Load
from tests.faults.stage import Harm, Stage, standing
from tests.plugins.centre import Programs
from tests.plugins.faults import SEEN, FaultPlan

TOLD_BETWEEN_MAX: Final = 80
"""The next fault comes after so many decisions at most, and a moment."""

MOMENT_SECONDS: Final = 0.02
"""Longer than a batch takes, so that faults fall on every step of one."""

GRANTED_PER_ROUND: Final = 60

KINDS: dict[int, dict[Harm, Counted]] = {
    1: {
        Stage.kill_centre: Counted.CENTRES_KILLED,
        Stage.kill_database: Counted.DATABASES_KILLED,
    },
    2: {
        Stage.kill_worker: Counted.WORKERS_KILLED,
        Stage.kill_workers: Counted.WORKERS_KILLED,
        Stage.kill_centre: Counted.CENTRES_KILLED,
        Stage.kill_session: Counted.SESSIONS_KILLED,
        Stage.kill_database: Counted.DATABASES_KILLED,
        Stage.kill_both: Counted.BOTH_KILLED,
        Stage.kill_key_service: Counted.KEY_SERVICES_KILLED,
    },
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", KINDS)
async def test_killed_under_load(
    programs: Programs,
    town_keys: KeyMaterial,
    workers: int,
    fault_plan: FaultPlan,
    record_property: Callable[[str, object], None],
) -> None:
    kinds = KINDS[workers]
    granted = GRANTED_PER_ROUND * max(fault_plan.cycles, round(10 * fault_plan.minutes))
    async with standing(programs, workers, fault_plan.seed, granted) as stage:
        load = Load(stage.connect, stage.counters, fault_plan.seed)
        async with load.running():
            for _ in fault_plan.rounds():
                for harm in stage.chance.sample(list(kinds), len(kinds)):
                    await load.more(stage.chance.randint(1, TOLD_BETWEEN_MAX))
                    await asyncio.sleep(stage.chance.uniform(0, MOMENT_SECONDS))
                    await harm(stage)
                await stage.expire()
                while not stage.counters[Counted.EXPIRIES]:
                    await load.more(10)
                    await stage.expire()
            await load.more(TOLD_BETWEEN_MAX, TRAFFIC)
        found = await stage.findings(load, receipt_public_key_of(town_keys))
    record_property(SEEN, f"{stage.counters}")
    assert found == []
    stage.counters.check(
        {*TRAFFIC, *kinds.values(), Counted.EXPIRIES, Counted.RETRIES, Counted.LINES_CUT}
    )
