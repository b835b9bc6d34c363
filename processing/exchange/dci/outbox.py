"""Messages on their way: signed, posted, tried again with longer and longer pauses, given up.

A message is queued in the transaction that causes it, so it is lost by nothing. It is posted at
least once; its message id stays the same, so who got it twice can tell.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from structlog.typing import FilteringBoundLogger

from processing.exchange.dci.envelope import enclose
from processing.exchange.dci.model import Outgoing, Peer
from processing.exchange.dci.post import PostFault, post
from processing.exchange.dci.signature import SigningKeys
from processing.exchange.dci.store import DciStore
from processing.exchange.dci.tokens import OutgoingTokens
from processing.kernel.clock import Clock

ATTEMPTS_MAX: Final = 12
"""Most times that a message is posted; then it is dead, and an operator may send it anew."""

RETRY_SECONDS_MIN: Final = 5
"""The pause after the first attempt; each further one is twice as long."""

RETRY_SECONDS_MAX: Final = 4 * 3600
"""Longest pause between two attempts."""

LEASE_SECONDS: Final = 120
"""How long who took a message has for it; then another takes it."""

DELIVERIES_MAX: Final = 16
"""Most messages taken at a time."""

_FAULT_LENGTH_MAX: Final = 300


class Outbox:
    """Delivers what is due. `sender_id` is how the centre names itself."""

    def __init__(
        self,
        store: DciStore,
        keys: SigningKeys,
        tokens: OutgoingTokens,
        sender_id: str,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._keys = keys
        self._tokens = tokens
        self._sender_id = sender_id
        self._clock = clock
        self._log = log

    async def deliver_due(self, session: aiohttp.ClientSession) -> int:
        """Post every message that is due, at most `DELIVERIES_MAX`; how many were taken in hand."""
        due = await self._store.take_due(self._clock.utc_ms(), LEASE_SECONDS, DELIVERIES_MAX)
        await asyncio.gather(*(self._deliver(session, one) for one in due))
        return len(due)

    async def _deliver(self, session: aiohttp.ClientSession, outgoing: Outgoing) -> None:
        found = await self._store.peer(outgoing.peer_id)
        fault = "the participant is suspended"
        if found is not None and found[0].active:
            try:
                await self._post(session, found[0], outgoing)
            except PostFault as error:
                fault = str(error)
            else:
                await self._store.delivered(outgoing.message_id, self._clock.utc_ms())
                return
        now_ms = self._clock.utc_ms()
        dead = outgoing.attempts >= ATTEMPTS_MAX
        await self._store.failed(
            outgoing.message_id,
            fault[:_FAULT_LENGTH_MAX],
            now_ms + 1000 * pause_seconds(outgoing.attempts),
            now_ms if dead else None,
        )
        self._log.warning(
            "message given up" if dead else "message not delivered",
            peer=outgoing.peer_id,
            action=outgoing.action,
            message_id=str(outgoing.message_id),
            attempts=outgoing.attempts,
            fault=fault,
        )

    async def _post(self, session: aiohttp.ClientSession, peer: Peer, outgoing: Outgoing) -> None:
        now_s = self._clock.utc_ms() // 1000
        signature = self._keys.sign(
            peer.algorithm, self._sender_id, outgoing.header, outgoing.message, now_s
        )
        body = enclose(signature, outgoing.header, outgoing.message)
        status, answer = await post(session, outgoing.uri, self._tokens.of(peer.peer_id), body)
        acknowledged = answer.get("message")
        state = acknowledged.get("ack_status") if isinstance(acknowledged, dict) else None
        # NACK: it was taken before, by an attempt whose answer got lost.
        if status >= 300 or state not in {"ACK", "NACK"}:
            raise PostFault(f"answered {status} {state or 'without an acknowledgement'}")


def pause_seconds(attempts: int) -> int:
    """Return the pause after so many attempts (1 and more)."""
    return min(RETRY_SECONDS_MIN << (attempts - 1), RETRY_SECONDS_MAX)
