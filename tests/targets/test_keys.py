"""A terminal's number in two databases: found by the audit, and told while it is fresh."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from processing.authorization.targets import RecentKeys
from processing.journal.key_audit import KeyConflict, audit_keys
from processing.kernel.errors import DatabaseError
from processing.kernel.merge import merged
from processing.kernel.roles import Role
from processing.wire.outcome import Outcome
from processing.wire.transaction import MessageClass, TransactionKey
from tests.plugins.targets import Databases

DAY = date(2026, 3, 2)
_EVENT = """
    INSERT INTO journal.event (
        bucket, business_date, terminal_id, stan, message_class, assigned, lane, block, ordinal,
        kind, advice, evidence, card_id, holder_id, service, service_version, signed_at,
        local_date, posting_date, decided_at, request_digest, request, signature, outcome,
        approval_code
    ) SELECT
        first_bucket, $1::date, $2, $3::integer, 2, $4, (target - 1) * 1024 + 1, $3::integer,
        0, 3, FALSE, 1,
        gen_random_uuid(), gen_random_uuid(), 'MED', 1, now(), $1, $1, now(), '', '', '', 602, ''
    FROM rights.target
"""


async def decide(databases: Databases, number: int, *keys: tuple[str, int, int]) -> None:
    """Write events under these terminals, numbers and assigned keys into one database."""
    async with databases.by_number[number].connect() as connection:
        await connection.executemany(_EVENT, [(DAY, *key) for key in keys])


async def conflicts(databases: Databases, day: date = DAY) -> list[KeyConflict]:
    """Run the audit as the operator does."""
    async with databases.pools(Role.OPERATOR) as pools:
        return [found async for found in audit_keys(pools, day)]


async def test_the_audit_finds_a_number_in_two_databases(two_databases: Databases) -> None:
    many = [("SHOP0001", number, 0) for number in range(1, 200)]
    await decide(two_databases, 1, *many[::2], ("SHOP0002", 7, 0), ("SHOP0003", 1, 0))
    await decide(
        two_databases, 2, *many[1::2], ("SHOP0002", 7, 0), ("SHOP0003", 1, 1), ("SHOP0004", 9, 0)
    )
    # An advice recorded under an assigned key of the same number is one database's own affair.
    await decide(two_databases, 2, ("SHOP0004", 9, 1))
    found = await conflicts(two_databases)
    assert [(one.terminal_id, one.stan, one.message_class) for one in found] == [
        ("SHOP0002", 7, 2),
        ("SHOP0003", 1, 2),
    ]
    assert [(use.target, use.lane, use.block) for use in found[0].uses] == [(1, 1, 7), (2, 1025, 7)]
    assert await conflicts(two_databases, date(2026, 3, 3)) == []


async def test_what_was_found_is_kept_once_for_finance(two_databases: Databases) -> None:
    for number in (1, 2):
        await decide(two_databases, number, ("SHOP0002", 7, 0))
    assert await conflicts(two_databases) == await conflicts(two_databases)
    async with two_databases.home.connect(Role.FINANCE) as connection:
        rows = await connection.fetch("SELECT * FROM journal.key_conflict")
    assert [(row["terminal_id"], row["stan"], row["lanes"]) for row in rows] == [
        ("SHOP0002", 7, [1, 1025])
    ]


def key(stan: int) -> TransactionKey:
    return TransactionKey(DAY, "SHOP0001", stan, MessageClass.FINANCIAL)


def test_a_worker_remembers_which_database_decided_a_key() -> None:
    keys = RecentKeys(keys_max=2)
    keys.begin(key(1), 1)
    assert keys.refusal(key(1), 1) is None
    assert keys.refusal(key(1), 2) is Outcome.TRY_LATER
    keys.end(key(1), 1, decided=True)
    assert keys.refusal(key(1), 1) is None
    assert keys.refusal(key(1), 2) is Outcome.KEY_REUSED
    keys.begin(key(2), 1)
    keys.end(key(2), 1, decided=False)
    assert keys.refusal(key(2), 2) is None
    for stan in (3, 4):
        keys.begin(key(stan), 2)
        keys.end(key(stan), 2, decided=True)
    assert (len(keys), keys.refusal(key(1), 2)) == (2, None)


async def stream(*elements: int) -> Any:
    for element in elements:
        yield element


async def test_streams_are_merged_in_order() -> None:
    streams = [stream(1, 4, 4, 9), stream(), stream(2, 4)]
    found = [pair async for pair in merged(streams, lambda element: element)]
    assert found == [(0, 1), (2, 2), (0, 4), (0, 4), (2, 4), (0, 9)]


async def test_a_stream_out_of_order_is_a_fault_and_not_a_wrong_answer() -> None:
    with pytest.raises(DatabaseError, match="same collation"):
        _ = [pair async for pair in merged([stream(1, 3, 2)], lambda element: element)]
