"""Notices to subscribers: what the register learned, told to who asked for it and may know it."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import asyncpg
import msgspec

from processing.exchange.dci.codes import VERSION, Action, Status
from processing.exchange.dci.envelope import AnswerHeader, iso
from processing.exchange.dci.frequency import read_frequency
from processing.exchange.dci.model import Entity, Outgoing, Peer
from processing.exchange.dci.query import Condition
from processing.exchange.dci.search import CONTEXT, REGISTRY_TYPE
from processing.exchange.dci.store import DciStore, DciWork, moment
from processing.exchange.dci.uris import allowed_uri
from processing.kernel.clock import Clock

NOTICE_RECORDS_MAX: Final = 100
"""Most citizens that one notice looks at; the rest follow in the next."""

NOTICES_MAX: Final = 50
"""Most notices made at a time."""


class Notices:
    """Turns news of the register into messages of the outbox."""

    def __init__(self, store: DciStore, sender_id: str, clock: Clock) -> None:
        self._store = store
        self._sender_id = sender_id
        self._clock = clock

    async def make_due(self) -> int:
        """Queue what subscribers are to be told now; how many subscriptions were looked at."""
        now_ms = self._clock.utc_ms()
        async with self._store.work() as work:
            await work.queue_news()
        for made in range(NOTICES_MAX):
            async with self._store.work() as work:
                row = await work.due_subscription(now_ms)
                if row is None:
                    return made
                await self._make(work, row, now_ms)
        return NOTICES_MAX

    async def _make(self, work: DciWork, row: asyncpg.Record, now_ms: int) -> None:
        """Tell one subscription of at most `NOTICE_RECORDS_MAX` citizens."""
        among = await work.take_news(row["code"], NOTICE_RECORDS_MAX)
        found = await self._store.peer(row["peer_id"])
        if found is not None and _may_be_told(found[0], row["purpose"]):
            await self._queue(work, found[0], row, among, now_ms)
        next_ms = now_ms
        if len(among) < NOTICE_RECORDS_MAX and row["frequency"] is not None:
            next_ms = read_frequency(row["frequency"]).next_after(now_ms) or now_ms
        await work.told(row["code"], moment(next_ms))

    async def _queue(
        self, work: DciWork, peer: Peer, row: asyncpg.Record, among: list[Any], now_ms: int
    ) -> None:
        entity = Entity(row["entity"])
        condition = msgspec.json.decode(row["condition"], type=Condition)
        found = await work.search(
            peer, row["purpose"], entity, condition, (), NOTICE_RECORDS_MAX * 10, 1,
            NOTICE_RECORDS_MAX * 10, among=among,
        )  # fmt: skip
        if not found.records:
            return
        told = {
            "transaction_id": row["transaction_id"],
            "notify_event": [
                {
                    "reference_id": str(row["code"]),
                    "timestamp": iso(now_ms),
                    "data": {
                        "version": VERSION,
                        "reg_type": REGISTRY_TYPE,
                        "reg_event_type": row["event"],
                        "reg_record_type": f"spdci-extensions-social:{entity}",
                        "reg_records": [{"@context": CONTEXT, **one} for one in found.records],
                    },
                    "locale": row["locale"],
                }
            ],
        }
        message_id = uuid4()
        header = AnswerHeader(
            version=VERSION,
            message_id=str(message_id),
            message_ts=iso(now_ms),
            action=Action.NOTIFY,
            status=Status.SUCCESS,
            total_count=1,
            completed_count=1,
            sender_id=self._sender_id,
            receiver_id=peer.peer_id,
            is_msg_encrypted=False,
        )
        outgoing = Outgoing(
            message_id=message_id,
            peer_id=peer.peer_id,
            action=Action.NOTIFY,
            uri=allowed_uri(peer, None, Action.NOTIFY),
            header=msgspec.json.encode(header),
            message=msgspec.json.encode(told),
        )
        await work.send(outgoing, now_ms)


def _may_be_told(peer: Peer, purpose: str) -> bool:
    """Whether what was agreed still holds; news for who lost the right is dropped."""
    return peer.active and purpose in peer.purposes and peer.callback_uri is not None
