"""A whole rig for a few seconds: every sale answered, stored, debited, its receipt right."""

from __future__ import annotations

import asyncio

import pytest

from bench.generator import Target, Task
from bench.history import add_history
from bench.loading import Generator
from bench.references.database_step import database_step
from bench.rig import Rig, RigSize
from bench.traffic import Traffic

SIZE = RigSize(cards=40, terminals=8, workers=1)
COUNT = 60


@pytest.mark.timeout(300)
def test_a_short_measurement() -> None:
    with Rig(SIZE) as rig, Generator(rig.world_file) as generator:
        first, approved, verified = 0, 0, 0
        # 0 sales a second is a closed loop.
        for traffic, rate in ((Traffic.THREE, 0.0), (Traffic.HOT, 0.0), (Traffic.SINGLE, 300.0)):
            task = Task(
                target=Target.CENTRE,
                port=rig.iso_port,
                traffic=traffic,
                first_number=first,
                count=COUNT,
                duration_ms=1_000 if rate else 3_000,
                cards=SIZE.cards,
                connections=4,
                outstanding=4,
                rate_per_second=rate,
            )
            first += COUNT
            generator.ask(task)
            assert generator.wait_built() == COUNT
            before = rig.spent()
            generator.go()
            sent = generator.wait_done()
            spent, result = rig.spent().since(before), generator.result()
            assert result.faults == ()
            assert (result.unanswered, result.approved_in_all) == (0, sent)
            assert sent > 0
            assert spent.server > 0
            approved += sent
            verified += result.verified
        assert verified > 0
        step = database_step(rig, first, COUNT, 16, 10_000)
        assert step.count + step.warmed == COUNT
        assert step.count > 0
        first, approved = first + COUNT, approved + COUNT
        day = rig.world.business_date
        stored = "SELECT count(*) FROM journal.event WHERE business_date = $1 AND outcome > 700"
        assert rig.value(stored, day) == approved
        debited = rig.value("SELECT sum(debited) FROM journal.line WHERE business_date = $1", day)
        assert debited == rig.value("SELECT sum(used) FROM rights.counter")
        added = asyncio.run(add_history(rig.embedded.superuser_dsn(), day, 3 * approved))
        assert added == 3 * approved
        assert rig.value("SELECT count(*) FROM journal.event") == 4 * approved
    assert not rig.home.exists()
