"""The other side: asking a participant's registry, and believing only what it signed."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import aiohttp
import msgspec

from processing.exchange.dci.codes import VERSION, Action, ErrorCode
from processing.exchange.dci.endpoints import ENDPOINTS, Endpoint
from processing.exchange.dci.envelope import (
    AnswerHeader,
    Refused,
    enclose,
    iso,
    moment_ms,
    read_envelope,
    read_header,
)
from processing.exchange.dci.model import Peer
from processing.exchange.dci.post import PostFault, post, post_raw
from processing.exchange.dci.signature import (
    CLOCK_SKEW_SECONDS_MAX,
    SignatureFault,
    SigningKeys,
    verify,
)
from processing.exchange.dci.store import DciStore
from processing.exchange.dci.tokens import OutgoingTokens
from processing.kernel.clock import Clock
from processing.kernel.errors import SpkError

_ENDPOINTS: Final = {
    (each.action, each.synchronous): each for each in ENDPOINTS if not each.incoming
}


class AskFault(SpkError):
    """A participant's registry did not answer as it must; `str()` says what it did."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: at once with `message`, or only taken, with the correlation id to ask for."""

    transaction_id: str
    correlation_id: str | None = None
    message: dict[str, Any] | None = None


class Client:
    """Asks participants' registries in the centre's name."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        store: DciStore,
        keys: SigningKeys,
        tokens: OutgoingTokens,
        sender_id: str,
        clock: Clock,
    ) -> None:
        self._session = session
        self._store = store
        self._keys = keys
        self._tokens = tokens
        self._sender_id = sender_id
        self._clock = clock

    async def ask(
        self, peer: Peer, action: Action, message: dict[str, Any], *, synchronous: bool
    ) -> Asked:
        """Send one request and return the verified answer, or its acknowledgement.

        `message` holds the transaction id. Raises `AskFault`; nothing is tried again here, since
        the caller waits.
        """
        endpoint = _ENDPOINTS[action, synchronous]
        if peer.registry_uri is None:
            raise AskFault(f"{peer.peer_id} has no registry: spk exchange peer add --registry-uri")
        transaction_id = str(message["transaction_id"])
        body = self._signed(peer, endpoint, message)
        uri = peer.registry_uri.rstrip("/") + endpoint.path
        token = self._tokens.of(peer.peer_id)
        try:
            if not synchronous:
                await self._store.ask(transaction_id, peer.peer_id, action, self._clock.utc_ms())
                return await self._acknowledged(peer, transaction_id, uri, token, body)
            status, answer = await post_raw(self._session, uri, token, body)
        except PostFault as fault:
            raise AskFault(f"{peer.peer_id} {fault}") from None
        return self._answered(peer, endpoint, transaction_id, status, answer)

    def _signed(self, peer: Peer, endpoint: Endpoint, message: dict[str, Any]) -> bytes:
        now_ms = self._clock.utc_ms()
        lists = [value for value in message.values() if isinstance(value, list)]
        count = len(lists[0]) if lists and endpoint.action is not Action.UNSUBSCRIBE else 1
        header = msgspec.json.encode(
            AnswerHeader(
                version=VERSION,
                message_id=str(uuid4()),
                message_ts=iso(now_ms),
                action=endpoint.action,
                total_count=count,
                sender_id=self._sender_id,
                receiver_id=peer.peer_id,
                is_msg_encrypted=False,
            )
        )
        inside = msgspec.json.encode(message)
        signature = self._keys.sign(peer.algorithm, self._sender_id, header, inside, now_ms // 1000)
        return enclose(signature, header, inside)

    async def _acknowledged(
        self, peer: Peer, transaction_id: str, uri: str, token: str | None, body: bytes
    ) -> Asked:
        status, told = await post(self._session, uri, token, body)
        acknowledged = told.get("message")
        if not isinstance(acknowledged, dict) or acknowledged.get("ack_status") != "ACK":
            raise AskFault(f"{peer.peer_id} answered {status}: {_reason(told)}")
        correlation_id = acknowledged.get("correlation_id")
        return Asked(
            transaction_id=transaction_id,
            correlation_id=correlation_id if isinstance(correlation_id, str) else None,
        )

    def _answered(
        self, peer: Peer, endpoint: Endpoint, transaction_id: str, status: int, body: bytes
    ) -> Asked:
        """Return an answer at once; raises `AskFault` unless the peer gave it to this request."""
        try:
            envelope = read_envelope(body)
            header = read_header(envelope.header)
        except Refused as fault:
            raise AskFault(f"{peer.peer_id} answered {status}: {_errors(body, fault)}") from None
        now_ms = self._clock.utc_ms()
        try:
            verify(
                envelope.signature or "", peer.keys, peer.peer_id, bytes(envelope.header),
                bytes(envelope.message), now_ms // 1000,
            )  # fmt: skip
        except SignatureFault as fault:
            raise AskFault(f"{peer.peer_id} answered without a good signature: {fault}") from None
        if header.status == "rjct" and not envelope.message:
            code = header.status_reason_code or status
            raise AskFault(f"{peer.peer_id} rejects: {code} {header.status_reason_message or ''}")
        sent_ms = moment_ms(header.message_ts)
        if sent_ms is None or abs(now_ms - sent_ms) > 1000 * CLOCK_SKEW_SECONDS_MAX:
            raise AskFault(f"{peer.peer_id} answered with a time far from ours")
        if header.receiver_id not in {None, self._sender_id} or header.action != endpoint.answer:
            raise AskFault(f"{peer.peer_id} answered what was not asked")
        try:
            message = msgspec.json.decode(envelope.message, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise AskFault(f"{peer.peer_id} answered {status}: {error}") from None
        if message.get("transaction_id") != transaction_id:
            raise AskFault(f"{peer.peer_id} answered another request than this")
        return Asked(transaction_id=transaction_id, message=message)


def _reason(told: dict[str, Any]) -> str:
    """Return what an acknowledgement says went wrong."""
    acknowledged = told.get("message")
    error = acknowledged.get("error") if isinstance(acknowledged, dict) else None
    if isinstance(error, dict):
        return f"{error.get('code')} {error.get('message')}"[:500]
    return _errors(msgspec.json.encode(told), Refused(ErrorCode.BAD, "no acknowledgement"))


def _errors(body: bytes, fault: Refused) -> str:
    """Return the HTTP errors in a body, or what is wrong with it."""
    try:
        told = msgspec.json.decode(body, type=dict[str, list[dict[str, str]]])["errors"][0]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, IndexError):
        return fault.detail
    return f"{told.get('code')} {told.get('message')}"[:500]
