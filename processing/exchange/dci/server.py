"""The registry's side of DCI v1.0.0: one message in, one answer out, whatever carries them.

The order of checks, each with its own code: the token (401, 403), the rate, the envelope, the
version, sender and receiver, the signature; then, for an authentic message, its time, action and
count, whether it was taken before; then each request in it. A message and all that comes of it
(answers queued, subscriptions kept) is one database transaction.

An asynchronous message is acknowledged: ACK when an answer will follow, NACK when none will (it
was taken before), ERR with a code when it was not taken. A synchronous one is answered at once,
signed; one that is not taken gets a header with `rjct` and no message.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from processing.exchange.dci.codes import (
    HTTP_STATUS,
    VERSION,
    Ack,
    Action,
    ErrorCode,
    HeaderReason,
    Locale,
    Status,
    locale_of,
    words,
)
from processing.exchange.dci.endpoints import Endpoint
from processing.exchange.dci.envelope import (
    AnswerHeader,
    Envelope,
    Header,
    Refused,
    Rejected,
    acknowledgement,
    enclose,
    http_errors,
    iso,
    moment_ms,
    read_envelope,
    read_header,
)
from processing.exchange.dci.handling import REQUESTS_MAX, Reply, handle, request_count
from processing.exchange.dci.model import Outgoing, Peer
from processing.exchange.dci.rate import PeerRates
from processing.exchange.dci.signature import (
    CLOCK_SKEW_SECONDS_MAX,
    Algorithm,
    SignatureFault,
    SigningKeys,
    verify,
)
from processing.exchange.dci.store import DciStore, DciWork
from processing.exchange.dci.uris import allowed_uri
from processing.kernel.clock import Clock
from processing.kernel.errors import (
    DatabaseBusyError,
    DatabaseTimeoutError,
    DatabaseUnavailableError,
)

BODY_BYTES_MAX: Final = 1024 * 1024
"""Longest message."""

BODY_TIMEOUT_MS: Final = 10_000
"""Longest wait for the whole of a message."""

TOKEN_LENGTH_MAX: Final = 160
"""Most characters of a bearer token."""

OUTBOX_WAITING_MAX: Final = 1_000
"""Most messages that wait for one participant; above it nothing asynchronous is taken from it."""

_NOBODY: Final = bytes(32)
"""Compared with when the participant is unknown, so that both ways take the same time."""


class Answer(msgspec.Struct, frozen=True):
    """What is sent back: HTTP status and JSON body."""

    status: int
    body: bytes


class Server:
    """The registry as participants see it. `sender_id` is how the centre names itself."""

    def __init__(self, store: DciStore, keys: SigningKeys, sender_id: str, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._sender_id = sender_id
        self._clock = clock
        self._rates = PeerRates()

    def jwks(self) -> dict[str, Any]:
        """Return the centre's public keys."""
        return self._keys.jwks()

    async def receive(self, endpoint: Endpoint, token: str | None, body: bytes) -> Answer:
        """Take one message and return what to answer; raises nothing that a sender can cause."""
        correlation_id = uuid4().hex
        header: Header | None = None
        try:
            peer = await self._peer(token)
            if not self._rates.admit(peer, self._clock.monotonic_ns()):
                raise Refused(ErrorCode.TOO_MANY_REQUESTS)
            envelope = read_envelope(body)
            header = read_header(envelope.header)
            self._check(endpoint, peer, envelope, header)
            return await self._take(endpoint, peer, envelope, header, correlation_id)
        except Refused as refused:
            return self.refusal(endpoint, refused, correlation_id, header)
        except Rejected as rejected:
            return self._rejection(endpoint, rejected, correlation_id, header)
        except (DatabaseBusyError, DatabaseTimeoutError, DatabaseUnavailableError):
            away = Refused(ErrorCode.UNAVAILABLE)
            return self.refusal(endpoint, away, correlation_id, header)

    def refusal(
        self, endpoint: Endpoint, refused: Refused, correlation_id: str, header: Header | None
    ) -> Answer:
        """Return the answer to a message that is not looked into."""
        status = HTTP_STATUS[refused.code]
        if status in {401, 403}:
            return Answer(status, http_errors(refused.code, refused.detail))
        text = words(refused.code, _locale(header), refused.detail)
        if not endpoint.synchronous:
            now_ms = self._clock.utc_ms()
            told = acknowledgement(Ack.ERR, correlation_id, now_ms, refused.code, text)
            return Answer(status, told)
        reason = None
        if refused.code is ErrorCode.VERSION_NOT_SUPPORTED:
            reason = HeaderReason.VERSION_INVALID
        return self._rejected(endpoint, status, reason, f"{refused.code}: {text}", header)

    def _rejection(
        self, endpoint: Endpoint, rejected: Rejected, correlation_id: str, header: Header | None
    ) -> Answer:
        text = words(rejected.reason, _locale(header), rejected.detail)
        if endpoint.synchronous:
            return self._rejected(endpoint, 400, rejected.reason, text, header)
        now_ms, text = self._clock.utc_ms(), f"{rejected.reason}: {text}"
        if rejected.reason is HeaderReason.MESSAGE_ID_DUPLICATE:
            # Its first copy was taken, and is answered: nothing more follows.
            told = acknowledgement(Ack.NACK, rejected.detail, now_ms, ErrorCode.BAD, text)
            return Answer(200, told)
        told = acknowledgement(Ack.ERR, correlation_id, now_ms, ErrorCode.BAD, text)
        return Answer(400, told)

    def _rejected(
        self,
        endpoint: Endpoint,
        status: int,
        reason: HeaderReason | None,
        text: str,
        header: Header | None,
    ) -> Answer:
        """Return a synchronous answer that is a header alone."""
        now_ms = self._clock.utc_ms()
        answer = msgspec.json.encode(
            AnswerHeader(
                version=VERSION,
                message_id=str(uuid4()),
                message_ts=iso(now_ms),
                action=endpoint.answer,
                status=Status.REJECTED,
                status_reason_code=reason,
                status_reason_message=text,
                total_count=0,
                completed_count=0,
                sender_id=self._sender_id,
                receiver_id=(header.sender_id if header else None) or "unknown",
                is_msg_encrypted=False,
            )
        )
        signature = self._keys.sign(Algorithm.ED25519, self._sender_id, answer, b"", now_ms // 1000)
        return Answer(status, enclose(signature, answer, b""))

    async def _peer(self, token: str | None) -> Peer:
        """Return the participant that a bearer token `ID.SECRET` belongs to."""
        if token is None or len(token) > TOKEN_LENGTH_MAX:
            raise Refused(ErrorCode.UNAUTHORIZED)
        found = await self._store.peer(token.rpartition(".")[0])
        kept = _NOBODY if found is None else found[1]
        if not hmac.compare_digest(kept, hashlib.sha256(token.encode()).digest()):
            raise Refused(ErrorCode.UNAUTHORIZED)
        if found is None:
            raise Refused(ErrorCode.UNAUTHORIZED)
        if not found[0].active:
            raise Refused(ErrorCode.FORBIDDEN)
        return found[0]

    def _check(self, endpoint: Endpoint, peer: Peer, envelope: Envelope, header: Header) -> None:
        """Raise for what is wrong with the outside of a message."""
        if header.version != VERSION:
            raise Refused(ErrorCode.VERSION_NOT_SUPPORTED)
        # A callback need not name its sender: the token and the key's id do.
        sender_id = header.sender_id or (peer.peer_id if endpoint.incoming else "")
        if sender_id != peer.peer_id:
            raise Refused(ErrorCode.SENDER_ID_INVALID)
        if header.receiver_id not in {None, self._sender_id}:
            raise Refused(ErrorCode.RECEIVER_ID_INVALID, self._sender_id)
        if not envelope.signature:
            raise Refused(ErrorCode.SIGNATURE_MISSING)
        now_ms = self._clock.utc_ms()
        try:
            verify(
                envelope.signature, peer.keys, peer.peer_id, bytes(envelope.header),
                bytes(envelope.message), now_ms // 1000,
            )  # fmt: skip
        except SignatureFault as fault:
            raise Refused(ErrorCode.SIGNATURE_INVALID, str(fault)) from None
        if header.is_msg_encrypted:
            raise Refused(ErrorCode.ENCRYPTION_INVALID)
        sent_ms = moment_ms(header.message_ts)
        if sent_ms is None or abs(now_ms - sent_ms) > 1000 * CLOCK_SKEW_SECONDS_MAX:
            raise Rejected(HeaderReason.MESSAGE_TS_INVALID, f"±{CLOCK_SKEW_SECONDS_MAX} s")
        if header.action != endpoint.action:
            known = header.action in set(Action)
            raise Rejected(
                HeaderReason.ACTION_INVALID if known else HeaderReason.ACTION_NOT_SUPPORTED,
                f"{endpoint.path}: {endpoint.action}",
            )

    async def _take(
        self,
        endpoint: Endpoint,
        peer: Peer,
        envelope: Envelope,
        header: Header,
        correlation_id: str,
    ) -> Answer:
        now_ms = self._clock.utc_ms()
        uri = ""
        if not endpoint.synchronous and not endpoint.incoming:
            uri = allowed_uri(peer, header.sender_uri, endpoint.answer)
        self._check_count(endpoint, envelope, header)
        async with self._store.work() as work:
            earlier = await work.accept(peer.peer_id, header.message_id, correlation_id, now_ms)
            if earlier is not None:
                raise Rejected(HeaderReason.MESSAGE_ID_DUPLICATE, earlier)
            if uri and await work.waiting(peer.peer_id, OUTBOX_WAITING_MAX) >= OUTBOX_WAITING_MAX:
                raise Refused(ErrorCode.UNAVAILABLE)
            reply = await handle(
                endpoint, work, peer, header, envelope.message, correlation_id, now_ms
            )
            if reply is None:
                return Answer(200, acknowledgement(Ack.ACK, correlation_id, now_ms))
            message = msgspec.json.encode(reply.message)
            answer = self._header(endpoint, peer, reply, now_ms)
            if not endpoint.synchronous:
                await self._queue(work, endpoint, peer, answer, message, uri, now_ms)
                return Answer(200, acknowledgement(Ack.ACK, correlation_id, now_ms))
        head = msgspec.json.encode(answer)
        signature = self._keys.sign(peer.algorithm, self._sender_id, head, message, now_ms // 1000)
        return Answer(200, enclose(signature, head, message))

    def _check_count(self, endpoint: Endpoint, envelope: Envelope, header: Header) -> None:
        count = request_count(endpoint, envelope.message)
        if endpoint.incoming:
            return
        if header.total_count is None:
            raise Refused(ErrorCode.BAD, "header.total_count is missing")
        if header.total_count != count:
            raise Rejected(HeaderReason.TOTAL_COUNT_INVALID, f"{count}")
        if count > REQUESTS_MAX:
            raise Rejected(HeaderReason.TOTAL_COUNT_LIMIT_EXCEEDED, f"≤ {REQUESTS_MAX}")

    def _header(self, endpoint: Endpoint, peer: Peer, reply: Reply, now_ms: int) -> AnswerHeader:
        return AnswerHeader(
            version=VERSION,
            message_id=str(uuid4()),
            message_ts=iso(now_ms),
            action=endpoint.answer,
            status=reply.status,
            total_count=reply.total_count,
            completed_count=reply.total_count,
            sender_id=self._sender_id,
            receiver_id=peer.peer_id,
            is_msg_encrypted=False,
        )

    async def _queue(
        self,
        work: DciWork,
        endpoint: Endpoint,
        peer: Peer,
        answer: AnswerHeader,
        message: bytes,
        uri: str,
        now_ms: int,
    ) -> None:
        outgoing = Outgoing(
            message_id=UUID(answer.message_id),
            peer_id=peer.peer_id,
            action=endpoint.answer,
            uri=uri,
            header=msgspec.json.encode(answer),
            message=message,
        )
        await work.send(outgoing, now_ms)


def _locale(header: Header | None) -> Locale:
    """Return the language of what is said of a whole message: English, unless its meta asks."""
    meta: Mapping[str, object] = {} if header is None else header.meta
    return locale_of(meta.get("locale"))
