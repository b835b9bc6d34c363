"""The exchange in the database: calls of sql/functions/exchange and the tables of the schema.

The pool acts as `spk_exchange`, which may read no register table: people are found and told by
exchange.search alone, which logs each as read. Every method raises the errors of
`processing.kernel.database.DatabasePool`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from processing.exchange.dci.attributes import Part
from processing.exchange.dci.codes import Action, Status
from processing.exchange.dci.model import Entity, KeptRequest, Outgoing, Peer, TxnType
from processing.exchange.dci.query import Condition
from processing.exchange.dci.signature import Algorithm, read_jwks
from processing.kernel.database import Connection, DatabasePool

STATUS_REQUESTS_MAX: Final = 500
"""Most requests that one question for a state is answered with."""

_PEER: Final = """
    SELECT p.*, (
        SELECT jsonb_object_agg(u.purpose, u.needs_consent) FROM exchange.peer_purpose AS u
        WHERE u.peer_id = p.peer_id
    ) AS purposes
    FROM exchange.peer AS p
    WHERE p.peer_id = $1
"""
_ACCEPT: Final = "SELECT exchange.accept_message($1, $2, $3, $4)"
_SEARCH: Final = "SELECT * FROM exchange.search($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_KEEP: Final = """
    INSERT INTO exchange.request (
        peer_id, correlation_id, ordinal, txn_type, transaction_id, reference_id, received_at,
        status, reason, reason_message, page_size, page_number, total_count, record_ids
    ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
_SEND: Final = """
    INSERT INTO exchange.outbox (
        message_id, peer_id, action, uri, header, message, queued_at, next_at
    ) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
"""
_WAITING: Final = """
    SELECT count(*) FROM (
        SELECT FROM exchange.outbox AS o
        WHERE o.peer_id = $1 AND o.delivered_at IS NULL AND o.dead_at IS NULL
        LIMIT $2
    ) AS w
"""
_REQUESTS: Final = """
    SELECT * FROM exchange.request AS r
    WHERE r.peer_id = $1 AND r.txn_type = $2
        AND CASE $3::text
            WHEN 'transaction_id' THEN r.transaction_id = ANY($4)
            WHEN 'correlation_id' THEN r.correlation_id = ANY($4)
            ELSE r.reference_id = ANY($4)
        END
    ORDER BY r.received_at DESC, r.correlation_id, r.ordinal
    LIMIT $5
"""
_TAKE_DUE: Final = "SELECT * FROM exchange.take_due($1, $2, $3)"
_DELIVERED: Final = """
    UPDATE exchange.outbox SET delivered_at = $2, header = NULL, message = NULL, fault = NULL
    WHERE message_id = $1
"""
_FAILED: Final = """
    UPDATE exchange.outbox SET next_at = $2, fault = $3, dead_at = $4 WHERE message_id = $1
"""
_INCOMING: Final = """
    INSERT INTO exchange.inbox (
        peer_id, message_id, action, transaction_id, received_at, message
    ) VALUES ($1, $2, $3, $4, $5, $6)
"""
_ASKED: Final = "SELECT TRUE FROM exchange.asked WHERE transaction_id = $1 AND peer_id = $2"
_SUBSCRIBE: Final = """
    SELECT exchange.subscribe(ROW(
        $1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL
    )::exchange.subscription)
"""
_UNSUBSCRIBE: Final = "SELECT * FROM exchange.unsubscribe($1, $2, $3)"
_QUEUE_NEWS: Final = "SELECT exchange.queue_news()"
_DUE_SUBSCRIPTION: Final = "SELECT * FROM exchange.due_subscription($1)"
_TAKE_NEWS: Final = "SELECT exchange.take_news($1, $2)"
_TOLD: Final = "UPDATE exchange.subscription SET next_at = $2 WHERE code = $1"
_ASK: Final = """
    INSERT INTO exchange.asked (transaction_id, peer_id, action, asked_at) VALUES ($1, $2, $3, $4)
"""
_INBOX: Final = """
    SELECT * FROM exchange.inbox AS i
    WHERE $1::text IS NULL OR i.transaction_id = $1
    ORDER BY i.received_at DESC, i.message_id
    LIMIT $2
"""
_OUTBOX: Final = """
    SELECT
        o.message_id, o.peer_id, o.action, o.uri, o.queued_at, o.attempts, o.next_at,
        o.delivered_at, o.dead_at, o.fault
    FROM exchange.outbox AS o
    WHERE $1 OR (o.delivered_at IS NULL AND ($2 OR o.dead_at IS NULL))
    ORDER BY o.queued_at DESC, o.message_id
    LIMIT $3
"""
_RETRY: Final = """
    UPDATE exchange.outbox SET dead_at = NULL, attempts = 0, next_at = $2
    WHERE message_id = $1 AND delivered_at IS NULL AND message IS NOT NULL
    RETURNING TRUE
"""
_DROP: Final = """
    UPDATE exchange.outbox SET dead_at = $2, header = NULL, message = NULL, fault = $3
    WHERE message_id = $1 AND delivered_at IS NULL
    RETURNING TRUE
"""
_FORGET: Final = "SELECT exchange.forget($1, $2)"


class Found(msgspec.Struct, frozen=True):
    """How many records fit, and the page that was asked for."""

    matched: int
    record_ids: tuple[UUID, ...]
    records: tuple[dict[str, Any], ...]


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription to be kept."""

    code: UUID
    peer_id: str
    transaction_id: str
    event: str
    entity: Entity
    purpose: str
    condition: Condition
    locale: str
    starts_at: datetime | None
    ends_at: datetime | None
    frequency: str | None
    next_at: datetime


class DciStore:
    """What the exchange reads and writes."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[DciWork]:
        """Do everything of one message in one transaction, or nothing."""
        async with self._pool.transaction() as connection:
            yield DciWork(connection)

    async def peer(self, peer_id: str) -> tuple[Peer, bytes] | None:
        """Return a participant and the SHA-256 of its token; None when there is none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_PEER, peer_id)
        return None if row is None else (read_peer(row), row["token_sha256"])

    async def take_due(self, now_ms: int, lease_s: int, limit: int) -> list[Outgoing]:
        """Take messages that are due, for `lease_s` seconds."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(
                _TAKE_DUE, moment(now_ms), datetime.resolution * 1_000_000 * lease_s, limit
            )
        return [_outgoing(row) for row in rows]

    async def delivered(self, message_id: UUID, now_ms: int) -> None:
        """Note that a message was taken, and erase what it said."""
        async with self._pool.connection() as connection:
            await connection.execute(_DELIVERED, message_id, moment(now_ms))

    async def failed(self, message_id: UUID, fault: str, next_ms: int, dead_ms: int | None) -> None:
        """Note why a message was not taken, and when to try again, or that nobody will."""
        dead_at = None if dead_ms is None else moment(dead_ms)
        async with self._pool.connection() as connection:
            await connection.execute(_FAILED, message_id, moment(next_ms), fault, dead_at)

    async def ask(self, transaction_id: str, peer_id: str, action: Action, now_ms: int) -> None:
        """Note that we ask a participant something, so that its answer is expected."""
        async with self._pool.connection() as connection:
            await connection.execute(_ASK, transaction_id, peer_id, action, moment(now_ms))

    async def inbox(self, transaction_id: str | None, limit: int) -> list[asyncpg.Record]:
        """Return what participants answered, the newest first."""
        async with self._pool.connection() as connection:
            return await connection.fetch(_INBOX, transaction_id, limit)

    async def outbox(self, *, everything: bool, dead: bool, limit: int) -> list[asyncpg.Record]:
        """Return messages without what they say: those under way, the dead too, or all."""
        async with self._pool.connection() as connection:
            return await connection.fetch(_OUTBOX, everything, dead, limit)

    async def retry(self, message_id: UUID, now_ms: int) -> bool:
        """Post a message anew, from its first attempt; whether there is one to post."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_RETRY, message_id, moment(now_ms)))

    async def drop(self, message_id: UUID, fault: str, now_ms: int) -> bool:
        """Give a message up and erase what it says; whether it was under way or dead."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_DROP, message_id, moment(now_ms), fault))

    async def forget(self, messages_before_ms: int, requests_before_ms: int) -> int:
        """Erase what was kept for long enough; how many rows."""
        async with self._pool.connection() as connection:
            return int(
                await connection.fetchval(
                    _FORGET, moment(messages_before_ms), moment(requests_before_ms)
                )
            )


class DciWork:
    """What one message does, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def accept(
        self, peer_id: str, message_id: str, correlation_id: str, now_ms: int
    ) -> str | None:
        """Take a message id; the correlation id of its first copy if it was taken before."""
        earlier: str | None = await self._connection.fetchval(
            _ACCEPT, peer_id, message_id, correlation_id, moment(now_ms)
        )
        return earlier

    async def search(
        self,
        peer: Peer,
        purpose: str,
        entity: Entity,
        condition: Condition,
        sort: Sequence[dict[str, str]],
        page_size: int,
        page_number: int,
        matches_max: int,
        among: Sequence[UUID] | None = None,
    ) -> Found:
        """Return a page of the records that fit; each is logged as read for this purpose.

        With `among`, only these citizens and their households are looked at.
        """
        (row,) = await self._connection.fetch(
            _SEARCH,
            peer.peer_id,
            purpose,
            peer.purposes[purpose],
            entity,
            msgspec.json.encode(condition).decode(),
            msgspec.json.encode(sort).decode(),
            # Beyond matches_max there is no page; the sum must stay an integer of the database.
            min((page_number - 1) * page_size, matches_max),
            page_size,
            matches_max,
            sorted(peer.parts),
            among,
        )
        records = tuple(msgspec.json.decode(one) for one in row["records"])
        return Found(row["matched"], tuple(row["record_ids"]), records)

    async def keep(
        self, peer_id: str, correlation_id: str, kept: Sequence[KeptRequest], now_ms: int
    ) -> None:
        """Keep what became of each request of a message."""
        await self._connection.executemany(
            _KEEP,
            [
                (
                    peer_id, correlation_id, ordinal, one.txn_type, one.transaction_id,
                    one.reference_id, moment(now_ms), one.status, one.reason, one.reason_message,
                    one.page_size, one.page_number, one.total_count, list(one.record_ids),
                )
                for ordinal, one in enumerate(kept)
            ],
        )  # fmt: skip

    async def waiting(self, peer_id: str, at_most: int) -> int:
        """Return how many messages wait for a participant, counted up to `at_most`."""
        return int(await self._connection.fetchval(_WAITING, peer_id, at_most))

    async def send(self, outgoing: Outgoing, now_ms: int) -> None:
        """Queue a message."""
        await self._connection.execute(
            _SEND,
            outgoing.message_id,
            outgoing.peer_id,
            outgoing.action,
            outgoing.uri,
            outgoing.header,
            outgoing.message,
            moment(now_ms),
        )

    async def requests(
        self, peer_id: str, txn_type: TxnType, attribute: str, values: Sequence[str]
    ) -> list[asyncpg.Record]:
        """Return what became of a participant's requests, the newest first."""
        return await self._connection.fetch(
            _REQUESTS, peer_id, txn_type, attribute, list(values), STATUS_REQUESTS_MAX
        )

    async def asked(self, peer_id: str, transaction_id: str) -> bool:
        """Whether we asked this participant in this transaction."""
        return bool(await self._connection.fetchval(_ASKED, transaction_id, peer_id))

    async def incoming(
        self,
        peer_id: str,
        message_id: str,
        action: Action,
        transaction_id: str,
        message: bytes,
        now_ms: int,
    ) -> None:
        """Keep what a participant answered."""
        await self._connection.execute(
            _INCOMING, peer_id, message_id, action, transaction_id, moment(now_ms), message
        )

    async def subscribe(self, subscription: Subscription, now_ms: int) -> bool:
        """Keep a subscription; False when the same one stands already."""
        return bool(
            await self._connection.fetchval(
                _SUBSCRIBE,
                subscription.code,
                subscription.peer_id,
                subscription.transaction_id,
                subscription.event,
                subscription.entity,
                subscription.purpose,
                msgspec.json.encode(subscription.condition).decode(),
                subscription.locale,
                subscription.starts_at,
                subscription.ends_at,
                subscription.frequency,
                subscription.next_at,
                moment(now_ms),
            )
        )

    async def queue_news(self) -> None:
        """Hand what the register learned to every subscription of its event."""
        await self._connection.execute(_QUEUE_NEWS)

    async def due_subscription(self, now_ms: int) -> asyncpg.Record | None:
        """Return a subscription that is to be told something now, held until the end."""
        return await self._connection.fetchrow(_DUE_SUBSCRIPTION, moment(now_ms))

    async def take_news(self, code: UUID, limit: int) -> list[UUID]:
        """Take the citizens that a subscription is to be told of."""
        return list(await self._connection.fetchval(_TAKE_NEWS, code, limit))

    async def told(self, code: UUID, next_at: datetime) -> None:
        """Note when a subscription is to be told next."""
        await self._connection.execute(_TOLD, code, next_at)

    async def unsubscribe(
        self, peer_id: str, codes: Sequence[str], now_ms: int
    ) -> list[tuple[str, str]]:
        """End subscriptions, all or none; each code with what it was before."""
        rows = await self._connection.fetch(_UNSUBSCRIBE, peer_id, list(codes), moment(now_ms))
        return [(row["code"], row["state"]) for row in rows]


def moment(utc_ms: int) -> datetime:
    """Return a moment as the database takes it."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC)


def read_peer(row: asyncpg.Record) -> Peer:
    """Return a participant from a row of exchange.peer with its purposes."""
    return Peer(
        peer_id=row["peer_id"],
        name=row["name"],
        keys=read_jwks(row["jwks"].encode()),
        callback_uri=row["callback_uri"],
        registry_uri=row["registry_uri"],
        algorithm=Algorithm(row["algorithm"]),
        parts=frozenset(map(Part, row["parts"])),
        messages_per_minute=row["messages_per_minute"],
        active=row["active"],
        purposes=msgspec.json.decode(row["purposes"] or "{}", type=dict[str, bool]),
    )


def status_of(row: asyncpg.Record) -> Status:
    """Return the state of a row of exchange.request."""
    return Status(row["status"])


def _outgoing(row: asyncpg.Record) -> Outgoing:
    return Outgoing(
        message_id=row["message_id"],
        peer_id=row["peer_id"],
        action=Action(row["action"]),
        uri=row["uri"],
        header=row["header"],
        message=row["message"],
        attempts=row["attempts"],
    )
