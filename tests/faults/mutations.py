"""Ways to break the centre on purpose, in a scratch database or in the process under test.

Each takes away something that a promise rests on. `Mutation.caught_by` names the checks of
tests/faults/auditor.py that must alarm when a run is made all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, cast

import asyncpg
import msgspec
import pytest

from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.client.commands import BlockSignature
from processing.authorization.model import Ruling
from processing.authorization.store import AuthorizationStore
from processing.kernel.database import DatabasePool
from processing.kernel.roles import Role
from processing.wire.receipt import key_id_of
from tests.authorization.world import OneConnection
from tests.faults import auditor
from tests.faults.pair import Pair

Break: TypeAlias = Callable[[Pair, asyncpg.Connection, pytest.MonkeyPatch], Awaitable[None]]

COMMIT_DELAY_SECONDS: Final = 0.3
"""How long after its answer a hasty batch is committed: time enough for a session to end."""


class Mutation(msgspec.Struct, frozen=True):
    """What is broken, and the checks that must see it; none where another line of defence holds."""

    name: str
    breaks: Break
    caught_by: tuple[str, ...]


async def rewrite(connection: asyncpg.Connection, pattern: str, replacement: str) -> None:
    """Replace a pattern in the bodies of the engine's functions.

    Raises AssertionError where nothing matches: the SQL was rewritten, and this mutation with it
    must be brought up to date.
    """
    rows = await connection.fetch(
        "SELECT pg_get_functiondef(p.oid) AS text FROM pg_proc AS p "
        "WHERE p.pronamespace = 'engine'::regnamespace AND p.prosrc ~ $1",
        pattern,
    )
    assert rows, f"no function of the engine holds {pattern!r} any more"
    for row in rows:
        await connection.execute(re.sub(pattern, replacement, row["text"]))


async def no_unique_key(
    _pair: Pair, connection: asyncpg.Connection, _patch: pytest.MonkeyPatch
) -> None:
    """Let the journal hold two events under one key."""
    await connection.execute("ALTER TABLE journal.event DROP CONSTRAINT event_pkey")
    await connection.execute("ALTER TABLE journal.line DROP CONSTRAINT line_pkey")


async def no_second_look(
    _pair: Pair, connection: asyncpg.Connection, _patch: pytest.MonkeyPatch
) -> None:
    """Debit without looking again at what is left."""
    await rewrite(connection, r"c\.used \+ excluded\.used <= excluded\.granted", "TRUE")


async def no_table_check(
    _pair: Pair, connection: asyncpg.Connection, _patch: pytest.MonkeyPatch
) -> None:
    """Let the table hold a counter above what is granted."""
    await connection.execute("ALTER TABLE rights.counter DROP CONSTRAINT never_overspent")


async def no_limit(pair: Pair, connection: asyncpg.Connection, patch: pytest.MonkeyPatch) -> None:
    """Debit without looking again, and without the table's own check."""
    await no_second_look(pair, connection, patch)
    await no_table_check(pair, connection, patch)


async def no_replay(
    _pair: Pair, connection: asyncpg.Connection, _patch: pytest.MonkeyPatch
) -> None:
    """Forget that a key with the same content is a retry."""
    await rewrite(connection, r"e\.request_digest = r\.request_digest", "FALSE")


async def returned_twice(
    _pair: Pair, connection: asyncpg.Connection, _patch: pytest.MonkeyPatch
) -> None:
    """Give back twice what a reversal takes back."""
    await rewrite(
        connection, r"c\.used - debit\.debited", "greatest(0, c.used - 2 * debit.debited)"
    )


async def no_claim(_pair: Pair, connection: asyncpg.Connection, _patch: pytest.MonkeyPatch) -> None:
    """Let a transaction be taken back by each of several reversals at once."""
    rows = await connection.fetch(
        "SELECT conname, conrelid::regclass::text AS of FROM pg_constraint "
        "WHERE contype IN ('p', 'u') "
        "AND conrelid IN (to_regclass('journal.reversal'), to_regclass('journal.child'))"
    )
    assert rows, "reversals claim their originals elsewhere now"
    for row in rows:
        await connection.execute(f"ALTER TABLE {row['of']} DROP CONSTRAINT {row['conname']}")


async def answered_before_commit(
    pair: Pair, _connection: asyncpg.Connection, patch: pytest.MonkeyPatch
) -> None:
    """Let each batch's answers leave before its transaction is committed."""
    careful = AuthorizationStore.authorize

    async def hasty(_store: AuthorizationStore, *batch: Any, **named: Any) -> list[Ruling]:
        connection = await asyncpg.connect(pair.database.superuser_dsn)
        transaction = connection.transaction()
        await transaction.start()
        try:
            alone = cast("DatabasePool", OneConnection(connection, Role.PROCESSING))
            rulings = await careful(AuthorizationStore(alone), *batch, **named)
        except BaseException:
            await connection.close()
            raise
        pair.later(_commit(connection, transaction))
        return rulings

    patch.setattr(AuthorizationStore, "authorize", hasty)


async def _commit(
    connection: asyncpg.Connection, transaction: asyncpg.transaction.Transaction
) -> None:
    await asyncio.sleep(COMMIT_DELAY_SECONDS)
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await transaction.commit()
        await connection.close()


async def answers_mixed_up(
    _pair: Pair, _connection: asyncpg.Connection, patch: pytest.MonkeyPatch
) -> None:
    """Tell every terminal of a batch what was decided for the one before."""
    careful = AuthorizationStore.authorize

    async def mixed_up(store: AuthorizationStore, *batch: Any, **named: Any) -> list[Ruling]:
        rulings = await careful(store, *batch, **named)
        return [*rulings[1:], *rulings[:1]]

    patch.setattr(AuthorizationStore, "authorize", mixed_up)


async def not_signed(
    pair: Pair, _connection: asyncpg.Connection, patch: pytest.MonkeyPatch
) -> None:
    """Give receipts whose signature nobody made."""

    async def sign(_client: AsyncHsmClient, **_told: object) -> BlockSignature:
        return BlockSignature(key_id_of(pair.receipt_public_key), bytes(64))

    patch.setattr(AsyncHsmClient, "sign_receipt_block", sign)


MUTATIONS: Final = (
    Mutation("no unique key on journal.event", no_unique_key, (auditor.KEY_TWICE, auditor.TWICE)),
    Mutation("no second look at what is left", no_second_look, ()),
    Mutation("no check of the table", no_table_check, ()),
    Mutation("neither second look nor check", no_limit, ("an allowance is overspent",)),
    Mutation("no replay check", no_replay, (auditor.CONTRADICTED,)),
    Mutation("a debit returned twice", returned_twice, (auditor.COUNTER, auditor.UNITS)),
    Mutation("no claim on what is taken back", no_claim, (auditor.UNITS,)),
    Mutation("answered before the commit", answered_before_commit, (auditor.LOST,)),
    Mutation("answers mixed up in a batch", answers_mixed_up, (auditor.LOST,)),
    Mutation("receipts not signed", not_signed, (auditor.RECEIPT,)),
)
