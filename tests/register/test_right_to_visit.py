"""What the register says of a policy decides at the clinic, by the very change that says it."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from processing.authorization.model import Ruling
from processing.register.identifiers import make_enp
from processing.register.store import RegisterStore
from processing.register.tasks import prolong_policies
from tests.authorization.test_kinds import told
from tests.authorization.test_visits import start
from tests.authorization.world import (
    CARD,
    DAY,
    Centre,
    authorize_card,
    build,
    grant,
    visit,
)
from tests.register.people import CHIEF, CLERK, PENSIONER, approved, changed, new, removed

_CLINIC = """
    INSERT INTO regulations.service (
        service, version, name_ru, name_en, consumes, shortage, evidence, valid_from, valid_to,
        visit, reserve_minutes, conditional
    ) VALUES ('CLINIC', 1, 'Приём', 'Visit', 3, 1, 1, '2020-01-01', '2030-12-31', 2, 60, TRUE);
    INSERT INTO regulations.price_rule VALUES ('CLINIC', 1, 'FULL', 100, FALSE, 'T', '1');
    INSERT INTO regulations.requirement VALUES
        ('CLINIC', 1, '2', 'policy', FALSE, 30), ('CLINIC', 1, '3', 'attachment', TRUE, 0);
    INSERT INTO terminals.terminal_service VALUES ('T0000001', 'CLINIC');
"""
HERE, ELSEWHERE = "APTEKA-7", "APTEKA-8"
ENP = make_enp(99, date(1950, 1, 1), "m", 1)
NO_POLICY = (601, {"missing": "policy"})
NOT_ATTACHED = (601, {"missing": "attachment"})
BEGUN = 703


@pytest.fixture
async def town(owner: asyncpg.Connection) -> asyncpg.Connection:
    """Give the register's people a clinic, and the pensioner a card and a right to be seen."""
    await build(owner)
    await owner.execute(_CLINIC)
    await authorize_card(owner, CARD, PENSIONER)
    await grant(owner, "VISIT", 100, holder=PENSIONER)
    return owner


def policy(**body: Any) -> Any:
    common = {"citizen_id": PENSIONER, "enp": ENP, "insurer": "СМО", "valid_from": "2020-01-01"}
    return new("policy", 1, **(common | {"prolongs": True, "clinic_code": HERE} | body))


async def come(town: asyncpg.Connection, stan: int) -> Ruling:
    """Tap at the clinic's terminal at the beginning of a visit."""
    asked = start(stan, visit(), service="CLINIC", holder=PENSIONER)
    return await Centre(town, lane=stan).decide_one(asked)


async def answer(town: asyncpg.Connection, stan: int) -> tuple[int, dict[str, str]]:
    """Return what the clinic is told."""
    return told(await come(town, stan))[:2]


async def test_a_policy_decides_by_the_change_that_tells_of_it(
    store: RegisterStore, town: asyncpg.Connection
) -> None:
    assert await answer(town, 1) == NO_POLICY
    made = await approved(store, policy())
    assert (await come(town, 2)).outcome == BEGUN
    closed = await approved(store, changed("policy", 1, 1, valid_to="2026-01-30"))
    assert await answer(town, 3) == NO_POLICY
    moved = await approved(store, changed("policy", 1, 2, valid_to=None, clinic_code=ELSEWHERE))
    assert await answer(town, 4) == NOT_ATTACHED
    await approved(store, changed("policy", 1, 3, clinic_code=None))
    assert await answer(town, 5) == NOT_ATTACHED
    await approved(store, changed("policy", 1, 4, clinic_code=HERE))
    assert (await come(town, 6)).outcome == BEGUN
    await approved(store, removed("policy", 1, 5))
    assert await answer(town, 7) == NO_POLICY
    assert made < closed < moved


async def test_an_undone_change_gives_back_what_was_known(
    store: RegisterStore, town: asyncpg.Connection
) -> None:
    await approved(store, policy())
    change_id = await approved(store, changed("policy", 1, 1, valid_to="2026-01-30"))
    assert await answer(town, 1) == NO_POLICY
    undone = await store.undo(change_id, CLERK, "ошибка")
    assert undone.request_id is not None
    assert await answer(town, 2) == NO_POLICY
    await store.approve(undone.request_id, CHIEF)
    assert (await come(town, 3)).outcome == BEGUN


async def test_a_prolonged_policy_is_good_at_once(
    store: RegisterStore, town: asyncpg.Connection, clerk: asyncpg.Connection
) -> None:
    """It ended longer ago than the regulation bears with, until the task came to it."""
    await approved(store, policy(valid_to="2026-01-30", clinic_code=HERE))
    assert await answer(town, 1) == NO_POLICY
    assert await prolong_policies(clerk, DAY) == 1
    assert (await come(town, 2)).outcome == BEGUN


async def test_a_second_policy_adds_to_the_first(
    store: RegisterStore, town: asyncpg.Connection
) -> None:
    await approved(store, policy(valid_to="2025-06-30", clinic_code=ELSEWHERE))
    other = make_enp(99, date(1950, 1, 1), "m", 2)
    await approved(
        store,
        new(
            "policy", 2, citizen_id=PENSIONER, enp=other, insurer="СМО", prolongs=False,
            valid_from="2025-07-01", clinic_code=HERE,
        ),
    )  # fmt: skip
    assert (await come(town, 1)).outcome == BEGUN
    rows = await town.fetch("SELECT * FROM rights.holder_fact ORDER BY fact, valid_from")
    assert [
        (r["fact"], str(r["valid_from"]), str(r["valid_to"]), r["provider_code"]) for r in rows
    ] == [
        ("attachment", "2020-01-01", "2025-06-30", ELSEWHERE),
        ("attachment", "2025-07-01", "9999-12-31", HERE),
        ("policy", "2020-01-01", "2025-06-30", None),
        ("policy", "2025-07-01", "9999-12-31", None),
    ]
    assert {r["holder_id"] for r in rows} == {UUID(int=PENSIONER.int)}
