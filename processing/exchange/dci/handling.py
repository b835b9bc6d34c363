"""What each action does with the message of an authentic request."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from processing.exchange.dci.codes import Action, ErrorCode, HeaderReason, Status, locale_of
from processing.exchange.dci.endpoints import Endpoint
from processing.exchange.dci.envelope import IDENTIFIER_LENGTH_MAX, Header, Refused, Rejected
from processing.exchange.dci.model import Peer
from processing.exchange.dci.search import Searching, read_searches
from processing.exchange.dci.status import TxnStatus, status_reply
from processing.exchange.dci.store import DciWork
from processing.exchange.dci.subscriptions import (
    Unsubscribe,
    end_subscriptions,
    keep_subscription,
    read_subscriptions,
)

REQUESTS_MAX: Final = 100
"""Most requests of one message."""

FAULTS_MAX: Final = 10
"""Most wrong requests of one message; above it nothing of it is carried out."""

_M = TypeVar("_M")
_Id = Annotated[str, Meta(min_length=1, max_length=IDENTIFIER_LENGTH_MAX, pattern=r"^[^\0]*$")]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The message of an answer, and what its header says of it."""

    message: dict[str, Any]
    total_count: int
    status: Status


class _SearchMessage(msgspec.Struct, frozen=True):
    transaction_id: _Id
    search_request: list[msgspec.Raw]


class _SubscribeMessage(msgspec.Struct, frozen=True):
    transaction_id: _Id
    subscribe_request: list[msgspec.Raw]


class _Incoming(msgspec.Struct, frozen=True):
    transaction_id: _Id


def request_count(endpoint: Endpoint, message: msgspec.Raw) -> int:
    """Return how many requests a message holds; raises `Refused` for one that has none."""
    match endpoint.action:
        case Action.SEARCH:
            count = len(_read(message, _SearchMessage).search_request)
        case Action.SUBSCRIBE:
            count = len(_read(message, _SubscribeMessage).subscribe_request)
        case Action.UNSUBSCRIBE:
            _read(message, Unsubscribe)
            count = 1
        case Action.TXN_STATUS:
            _read(message, TxnStatus)
            count = 1
        case _:
            _read(message, _Incoming)
            count = 1
    if not count:
        raise Refused(ErrorCode.BAD, "message: no request in it")
    return count


async def handle(
    endpoint: Endpoint,
    work: DciWork,
    peer: Peer,
    header: Header,
    message: msgspec.Raw,
    correlation_id: str,
    now_ms: int,
) -> Reply | None:
    """Carry out a message; what to answer, None when it is an answer itself."""
    match endpoint.action:
        case Action.SEARCH:
            asked = _read(message, _SearchMessage)
            reply = await _search(work, peer, asked, correlation_id, now_ms)
        case Action.SUBSCRIBE:
            wanted = _read(message, _SubscribeMessage)
            reply = await _subscribe(work, peer, wanted, correlation_id, now_ms)
        case Action.UNSUBSCRIBE:
            ending = _read(message, Unsubscribe)
            told = await end_subscriptions(
                work, peer, ending, locale_of(header.meta.get("locale")), now_ms
            )
            told |= _ids(ending.transaction_id[:IDENTIFIER_LENGTH_MAX], correlation_id)
            reply = Reply(message=told, total_count=1, status=told["status"])
        case Action.TXN_STATUS:
            question = _read(message, TxnStatus)
            told = await status_reply(work, peer, question)
            told |= _ids(question.transaction_id, correlation_id)
            reply = Reply(message=told, total_count=1, status=Status.SUCCESS)
        case _:
            await _keep_incoming(endpoint, work, peer, header, message, now_ms)
            return None
    return reply


async def _search(
    work: DciWork,
    peer: Peer,
    asked: _SearchMessage,
    correlation_id: str,
    now_ms: int,
) -> Reply:
    searches = read_searches(asked.search_request, peer, now_ms)
    _check_faults(sum(one.fault is not None for one in searches))
    searching = Searching(work, peer, asked.transaction_id, now_ms)
    answers = [await searching.answer(one) for one in searches]
    await work.keep(peer.peer_id, correlation_id, [one.kept for one in answers], now_ms)
    message = {
        **_ids(asked.transaction_id, correlation_id),
        "search_response": [one.told for one in answers],
    }
    return Reply(message=message, total_count=len(answers), status=_overall(answers[0].kept.status))


async def _subscribe(
    work: DciWork,
    peer: Peer,
    wanted: _SubscribeMessage,
    correlation_id: str,
    now_ms: int,
) -> Reply:
    items = read_subscriptions(wanted.subscribe_request, peer, wanted.transaction_id, now_ms)
    _check_faults(sum(one.fault is not None for one in items))
    answers = [await keep_subscription(work, one, wanted.transaction_id, now_ms) for one in items]
    await work.keep(peer.peer_id, correlation_id, [kept for _, kept in answers], now_ms)
    message = {
        **_ids(wanted.transaction_id, correlation_id),
        "subscribe_response": [told for told, _ in answers],
    }
    return Reply(message=message, total_count=len(answers), status=_overall(answers[0][1].status))


async def _keep_incoming(
    endpoint: Endpoint,
    work: DciWork,
    peer: Peer,
    header: Header,
    message: msgspec.Raw,
    now_ms: int,
) -> None:
    transaction_id = _read(message, _Incoming).transaction_id
    if not await work.asked(peer.peer_id, transaction_id):
        raise Refused(ErrorCode.NOT_FOUND, "message.transaction_id")
    await work.incoming(
        peer.peer_id, header.message_id, endpoint.action, transaction_id, bytes(message), now_ms
    )


def _check_faults(faults: int) -> None:
    if faults > FAULTS_MAX:
        raise Rejected(HeaderReason.TOO_MANY_ERRORS, f"{faults} > {FAULTS_MAX}")


def _overall(first: Status) -> Status:
    """Return the state of the whole: of several requests each tells its own."""
    return first if first is Status.REJECTED else Status.SUCCESS


def _ids(transaction_id: str, correlation_id: str) -> dict[str, Any]:
    return {"transaction_id": transaction_id, "correlation_id": correlation_id}


def _read(message: msgspec.Raw, kind: type[_M]) -> _M:
    if not bytes(message):
        raise Refused(ErrorCode.BAD, "message is missing")
    try:
        return msgspec.json.decode(message, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(ErrorCode.BAD, f"message: {error}") from None
