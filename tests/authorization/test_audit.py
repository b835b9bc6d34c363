"""The auditor finds what it is for: each row breaks one thing behind the engine's back."""

from __future__ import annotations

import asyncpg
import pytest

from processing.kernel.roles import Role
from processing.wire.transaction import Line
from tests.authorization.audit import audit, lines_of
from tests.authorization.world import (
    Centre,
    completion,
    goods_back,
    grant,
    pills,
    reserve,
    reversal,
    sale,
    undone,
    visit,
    water,
)

DAMAGE = [
    ("UPDATE rights.counter SET used = used + 1", "a counter differs"),
    ("DELETE FROM rights.counter", "a counter differs"),
    ("UPDATE rights.allowance SET allowance_id = gen_random_uuid()", "overspent"),
    ("UPDATE journal.line SET debited = debited + 1 WHERE stan = 1", "a counter differs"),
    (
        "UPDATE journal.line SET (covered_kopecks, paid_kopecks) = (0, gross_kopecks)",
        "an event's amounts differ",
    ),
    ("DELETE FROM journal.line WHERE stan = 1 AND line_no = 2", "an event's amounts differ"),
    ("DELETE FROM journal.line WHERE stan = 3", "an event's amounts differ"),
    ("UPDATE journal.line SET line_no = line_no + 5 WHERE stan = 1", "an event's amounts differ"),
    ("UPDATE journal.line SET quantity = quantity - 1 WHERE stan = 1", "do not add up"),
    ("UPDATE journal.line SET item = 'SYRUP' WHERE stan = 1", "do not add up"),
    ("UPDATE journal.line SET quantity = -quantity WHERE stan = 1", "the wrong sign"),
    ("UPDATE journal.line SET excess = 1 WHERE stan = 1", "has an excess"),
    ("UPDATE journal.event SET approval_code = '' WHERE stan = 1", "a code is missing"),
    ("UPDATE journal.event SET outcome = 602 WHERE stan = 1", "a declined event has amounts"),
    ("UPDATE journal.event SET covered_kopecks = NULL WHERE stan = 1", "approved sale"),
    ("UPDATE journal.event SET ordinal = 7 WHERE stan = 1", "a block differs"),
    ("DELETE FROM journal.block WHERE block = 1", "a block differs"),
    ("UPDATE journal.block SET leaf_count = leaf_count + 1", "a block differs"),
    ("DELETE FROM journal.block WHERE block = 1", "a lane has a gap"),
    ("DELETE FROM journal.child", "taken back twice, or without a claim"),
    ("UPDATE journal.child SET child_stan = 77", "a claim names nobody"),
    ("UPDATE journal.line SET quantity = quantity - 1 WHERE stan = 3", "do not net to zero"),
    ("UPDATE journal.event SET facts = '{\"n\": 1}' WHERE stan = 1", "facts are not"),
]


@pytest.mark.parametrize(("damage", "finding"), DAMAGE)
async def test_damage_is_found(world: asyncpg.Connection, damage: str, finding: str) -> None:
    async with undone(world) as centre:
        await grant(world, "PILL", 9)
        taken_back = sale(2, pills(3, 300))
        await centre.decide(sale(1, pills(2, 200), pills(1, 50)), taken_back)
        await centre.decide(reversal(3, taken_back))
        assert await audit(world) == []
        await world.execute("SET LOCAL session_replication_role = replica")
        await world.execute(damage)
        found = await audit(world)
        await world.execute("SET LOCAL session_replication_role = origin")
    assert any(finding in one for one in found), found


RESERVED_DAMAGE = [
    ("DELETE FROM rights.reservation", "the open reservations are not"),
    ("UPDATE rights.reservation SET expires_at = now()", "the open reservations are not"),
    (
        "INSERT INTO rights.reservation VALUES (1, '2026-03-02', 'T0000001', 9, 0, now())",
        "the open reservations are not",
    ),
    ("UPDATE journal.line SET debited = 0 WHERE part < 0", "did not come back when it ended"),
    ("DELETE FROM journal.line WHERE part < 0", "did not come back when it ended"),
    ("UPDATE journal.child SET child_no = 2 WHERE stan = 1", "not numbered from 1"),
    ("DELETE FROM journal.child WHERE stan = 1", "without a claim"),
    ("UPDATE journal.child SET kind = 5 WHERE stan = 1", "by what ends none"),
    ("UPDATE journal.child SET stan = 77 WHERE stan = 2", "a claim names nobody"),
    ("UPDATE journal.line SET quantity = -9 WHERE stan = 5", "more came back than was sold"),
    ("UPDATE journal.line SET quantity = 1 WHERE stan = 5", "the wrong sign"),
]


@pytest.mark.parametrize(("damage", "finding"), RESERVED_DAMAGE)
async def test_damage_to_reservations_and_returns_is_found(
    world: asyncpg.Connection, damage: str, finding: str
) -> None:
    async with undone(world) as centre:
        await grant(world, "PILL", 9)
        held = reserve(1, pills(3, 300))
        done = completion(2, held, pills(2, 200))
        await centre.decide(held, done, reserve(4, pills(1, 1)), goods_back(5, done, pills(1, 100)))
        assert await audit(world) == []
        await world.execute("SET LOCAL session_replication_role = replica")
        await world.execute(damage)
        found = await audit(world)
        await world.execute("SET LOCAL session_replication_role = origin")
    assert any(finding in one for one in found), found


@pytest.mark.parametrize(
    "lines",
    [(), (pills(2, 300),), (water(13_500, 70_000), visit(), pills(1, 10**12 - 1, "PILL-B"))],
)
def test_lines_are_read_from_the_signed_bytes(lines: tuple[Line, ...]) -> None:
    for one in (sale(1, *lines), reversal(2, sale(1), lines=lines)):
        assert lines_of(one.canonical) == [
            (line.item, line.quantity, line.gross_kopecks) for line in lines
        ]


async def test_the_processing_role_may_audit(world: asyncpg.Connection, centre: Centre) -> None:
    await grant(world, "PILL", 9)
    await centre.decide_one(sale(1, pills(2, 200)))
    await world.execute(f"SET LOCAL ROLE {Role.PROCESSING.value}")
    assert await audit(world) == []
    await world.execute("RESET ROLE")
