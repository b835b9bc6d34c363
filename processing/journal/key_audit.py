"""The audit of keys over several databases: a terminal's number that was decided in two of them.

Within one database the primary key of `journal.event` makes this impossible. Over several it is
found afterwards: the numbers of a business date come from each database in order and are merged,
so that memory does not grow with the day. What is found is kept at home in `journal.key_conflict`
for settlement, once, however often the audit is run.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Final

import asyncpg
import msgspec

from processing.kernel.database import Connection
from processing.kernel.merge import merged
from processing.kernel.target_pools import TargetPools

KEYS_PER_FETCH: Final = 5_000
"""How many keys of each database are in memory at a time."""

_KEYS: Final = """
    SELECT terminal_id, stan, message_class, lane, block, ordinal, outcome
    FROM journal.key_use WHERE business_date = $1
    ORDER BY business_date, terminal_id, stan, message_class, assigned
"""
_KEEP: Final = "SELECT journal.keep_key_conflict($1, $2, $3, $4, $5, $6, $7, $8)"


class KeyUse(msgspec.Struct, frozen=True):
    """One decision under a terminal's number: its target and its place in the journal."""

    target: int
    lane: int
    block: int
    ordinal: int
    outcome: int


class KeyConflict(msgspec.Struct, frozen=True):
    """A number that more than one database decided, with every decision under it."""

    business_date: date
    terminal_id: str
    stan: int
    message_class: int
    uses: tuple[KeyUse, ...]


async def audit_keys(targets: TargetPools, day: date) -> AsyncIterator[KeyConflict]:
    """Yield the conflicts of a business date in the order of their keys, each kept before.

    The pools act as spk_operator. Raises the errors of `DatabasePool`.
    """
    numbers = list(targets.pools)
    async with contextlib.AsyncExitStack() as transactions:
        streams = []
        for pool in targets.pools.values():
            connection = await transactions.enter_async_context(pool.transaction())
            streams.append(_keys(connection, day))
        uses: list[KeyUse] = []
        before: tuple[str, int, int] | None = None
        async for place, row in merged(streams, _key):
            key = _key(row)
            if before is not None and key != before:
                if conflict := _conflict(day, before, uses):
                    await _keep(targets, conflict)
                    yield conflict
                uses = []
            before = key
            uses.append(KeyUse(numbers[place], row[3], row[4], row[5], row[6]))
        if before is not None and (conflict := _conflict(day, before, uses)):
            await _keep(targets, conflict)
            yield conflict


def _key(row: asyncpg.Record) -> tuple[str, int, int]:
    return row[0], row[1], row[2]


def _conflict(day: date, key: tuple[str, int, int], uses: Sequence[KeyUse]) -> KeyConflict | None:
    if len({use.target for use in uses}) == 1:
        return None
    return KeyConflict(day, *key, tuple(uses))


async def _keys(connection: Connection, day: date) -> AsyncIterator[asyncpg.Record]:
    cursor = await connection.cursor(_KEYS, day)
    while rows := await cursor.fetch(KEYS_PER_FETCH):
        for row in rows:
            yield row


async def _keep(targets: TargetPools, found: KeyConflict) -> None:
    async with targets.home.connection() as connection:
        await connection.execute(
            _KEEP,
            found.business_date,
            found.terminal_id,
            found.stan,
            found.message_class,
            [use.lane for use in found.uses],
            [use.block for use in found.uses],
            [use.ordinal for use in found.uses],
            [use.outcome for use in found.uses],
        )
