"""The issuing API over HTTP, for personalization stations.

| method and path | answers |
| --- | --- |
| POST /issuing/v1/orders | 201 `CardOrder` |
| GET /issuing/v1/orders/{order_id} | `CardOrder` |
| DELETE /issuing/v1/orders/{order_id} | `CardOrder`, given up |
| POST /issuing/v1/orders/{order_id}/face | `CardFace` |
| POST /issuing/v1/orders/{order_id}/stage | `OrderStage` |
| POST /issuing/v1/orders/{order_id}/spoiled | 201 `CardOrder`, the fresh one |
| POST /issuing/v1/orders/{order_id}/card | `IssuedCard` |
| GET /issuing/v1/batches | `BatchList` |
| POST /issuing/v1/batches/next | `CardBatch` |
| POST /issuing/v1/batches/{batch_id}/take | `CardBatch` |
| GET /issuing/v1/batches/{batch_id} | `CardBatch` |
| GET /issuing/v1/batches/{batch_id}/orders | `OrderPage` |
| POST /issuing/v1/blanks/count | `BlankBalance` |
| GET /issuing/v1/cards/{card_id} | `CardStatus` |
| POST /issuing/v1/cards/{card_id}/passport | `CardPassport` |
| POST /issuing/v1/cards/{card_id}/pin-challenge | `PinChallenge` |
| POST /issuing/v1/cards/{card_id}/own-pin | `CardStatus` |
| POST /issuing/v1/cards/{card_id}/block | `CardStatus` |
| POST /issuing/v1/cards/{card_id}/lost | 201 `LentCard` |

All need `Authorization: Bearer TOKEN`. Bodies are `processing.wire.api` and
`processing.wire.batches`, failures RFC 9457 problems.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from uuid import UUID

import msgspec
import structlog
from aiohttp import web

from processing.cards.issuing import Issuing
from processing.cards.model import Refusal
from processing.gateways.problems import at_most, problem_response, refusal_response
from processing.wire.api import (
    Body,
    IssueReport,
    LossReport,
    OrderRequest,
    OwnPinReport,
    ProblemType,
    problem,
)
from processing.wire.batches import BlankCount, FaceRequest, SpoiledReport, StageReport

REQUESTS_CONCURRENT_MAX: Final = 32
"""Issuing requests under way at once; the next is told to try later."""

BODY_TIMEOUT_MS: Final = 10_000
"""Longest wait for the body of a request."""

_ISSUING: Final = web.AppKey("issuing", Issuing)
_STATION: Final = web.RequestKey("station_id", str)
_B = TypeVar("_B", bound=Body)


def issuing_application(issuing: Issuing) -> web.Application:
    """Return the routes as an aiohttp application, to be mounted at /issuing/v1."""
    app = web.Application(middlewares=[at_most(REQUESTS_CONCURRENT_MAX), _authenticated])
    app[_ISSUING] = issuing
    app.router.add_post("/orders", _post_order)
    app.router.add_get("/orders/{order_id}", _get_order)
    app.router.add_delete("/orders/{order_id}", _delete_order)
    app.router.add_post("/orders/{order_id}/face", _post_face)
    app.router.add_post("/orders/{order_id}/stage", _post_stage)
    app.router.add_post("/orders/{order_id}/spoiled", _post_spoiled)
    app.router.add_post("/orders/{order_id}/card", _post_report)
    app.router.add_get("/batches", _get_batches)
    app.router.add_post("/batches/next", _post_next)
    app.router.add_post("/batches/{batch_id}/take", _post_take)
    app.router.add_get("/batches/{batch_id}", _get_batch)
    app.router.add_get("/batches/{batch_id}/orders", _get_batch_orders)
    app.router.add_post("/blanks/count", _post_count)
    app.router.add_get("/cards/{card_id}", _get_card)
    app.router.add_post("/cards/{card_id}/passport", _post_passport)
    app.router.add_post("/cards/{card_id}/pin-challenge", _post_pin_challenge)
    app.router.add_post("/cards/{card_id}/own-pin", _post_own_pin)
    app.router.add_post("/cards/{card_id}/block", _post_block)
    app.router.add_post("/cards/{card_id}/lost", _post_lost)
    return app


@web.middleware
async def _authenticated(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let known stations through, with their name in the request; nobody else."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    station_id = None
    if scheme.lower() == "bearer":
        station_id = await request.app[_ISSUING].station(token.strip())
    log: structlog.stdlib.BoundLogger = structlog.get_logger("spk.http")
    if station_id is None:
        log.warning("station refused", path=request.path, remote_address=request.remote)
        return problem_response(problem(ProblemType.STATION_UNKNOWN))
    request[_STATION] = station_id
    response = await handler(request)
    # Who did what to which order or card; the body names the person and stays out.
    log.info(
        "issuing",
        station=station_id,
        method=request.method,
        path=request.path,
        status=response.status,
    )
    return response


async def _post_order(request: web.Request) -> web.Response:
    body = await _body(request, OrderRequest)
    if isinstance(body, Refusal):
        return refusal_response(body)
    return _answer(await request.app[_ISSUING].order(request[_STATION], body), status=201)


async def _get_order(request: web.Request) -> web.Response:
    order_id = _uuid(request, "order_id", ProblemType.ORDER_UNKNOWN)
    if isinstance(order_id, Refusal):
        return refusal_response(order_id)
    return _answer(await request.app[_ISSUING].read_order(request[_STATION], order_id))


async def _delete_order(request: web.Request) -> web.Response:
    order_id = _uuid(request, "order_id", ProblemType.ORDER_UNKNOWN)
    if isinstance(order_id, Refusal):
        return refusal_response(order_id)
    return _answer(await request.app[_ISSUING].give_up(request[_STATION], order_id))


async def _post_report(request: web.Request) -> web.Response:
    order_id = _uuid(request, "order_id", ProblemType.ORDER_UNKNOWN)
    if isinstance(order_id, Refusal):
        return refusal_response(order_id)
    body = await _body(request, IssueReport)
    if isinstance(body, Refusal):
        return refusal_response(body)
    return _answer(await request.app[_ISSUING].issue(request[_STATION], order_id, body))


async def _get_card(request: web.Request) -> web.Response:
    card_id = _uuid(request, "card_id", ProblemType.CARD_UNKNOWN)
    if isinstance(card_id, Refusal):
        return refusal_response(card_id)
    return _answer(await request.app[_ISSUING].read_card(card_id))


async def _post_passport(request: web.Request) -> web.Response:
    card_id = _uuid(request, "card_id", ProblemType.CARD_UNKNOWN)
    if isinstance(card_id, Refusal):
        return refusal_response(card_id)
    return _answer(await request.app[_ISSUING].passport(card_id, request[_STATION]))


async def _post_pin_challenge(request: web.Request) -> web.Response:
    card_id = _uuid(request, "card_id", ProblemType.CARD_UNKNOWN)
    if isinstance(card_id, Refusal):
        return refusal_response(card_id)
    return _answer(await request.app[_ISSUING].ask_own_pin(card_id))


async def _post_own_pin(request: web.Request) -> web.Response:
    card_id = _uuid(request, "card_id", ProblemType.CARD_UNKNOWN)
    if isinstance(card_id, Refusal):
        return refusal_response(card_id)
    body = await _body(request, OwnPinReport)
    if isinstance(body, Refusal):
        return refusal_response(body)
    issuing = request.app[_ISSUING]
    return _answer(await issuing.set_own_pin(request[_STATION], card_id, body.proof))


async def _post_lost(request: web.Request) -> web.Response:
    card_id = _uuid(request, "card_id", ProblemType.CARD_UNKNOWN)
    if isinstance(card_id, Refusal):
        return refusal_response(card_id)
    body = await _body(request, LossReport)
    if isinstance(body, Refusal):
        return refusal_response(body)
    lost = request.app[_ISSUING].lost(card_id, f"station {request[_STATION]}", body.reason)
    return _answer(await lost, status=201)


async def _post_block(request: web.Request) -> web.Response:
    card_id = _uuid(request, "card_id", ProblemType.CARD_UNKNOWN)
    if isinstance(card_id, Refusal):
        return refusal_response(card_id)
    return _answer(await request.app[_ISSUING].block(request[_STATION], card_id))


async def _post_face(request: web.Request) -> web.Response:
    order_id = _uuid(request, "order_id", ProblemType.ORDER_UNKNOWN)
    if isinstance(order_id, Refusal):
        return refusal_response(order_id)
    body = await _body(request, FaceRequest)
    if isinstance(body, Refusal):
        return refusal_response(body)
    batches = request.app[_ISSUING].batches
    return _answer(await batches.face(request[_STATION], order_id, body.purpose))


async def _post_stage(request: web.Request) -> web.Response:
    order_id = _uuid(request, "order_id", ProblemType.ORDER_UNKNOWN)
    if isinstance(order_id, Refusal):
        return refusal_response(order_id)
    body = await _body(request, StageReport)
    if isinstance(body, Refusal):
        return refusal_response(body)
    batches = request.app[_ISSUING].batches
    return _answer(await batches.stage(request[_STATION], order_id, body.stage))


async def _post_spoiled(request: web.Request) -> web.Response:
    order_id = _uuid(request, "order_id", ProblemType.ORDER_UNKNOWN)
    if isinstance(order_id, Refusal):
        return refusal_response(order_id)
    body = await _body(request, SpoiledReport)
    if isinstance(body, Refusal):
        return refusal_response(body)
    batches = request.app[_ISSUING].batches
    return _answer(await batches.spoil(request[_STATION], order_id, body.reason), status=201)


async def _get_batches(request: web.Request) -> web.Response:
    return _answer(await request.app[_ISSUING].batches.unfinished(request[_STATION]))


async def _post_next(request: web.Request) -> web.Response:
    return _answer(await request.app[_ISSUING].batches.take(request[_STATION], None))


async def _post_take(request: web.Request) -> web.Response:
    batch_id = _uuid(request, "batch_id", ProblemType.BATCH_UNKNOWN)
    if isinstance(batch_id, Refusal):
        return refusal_response(batch_id)
    return _answer(await request.app[_ISSUING].batches.take(request[_STATION], batch_id))


async def _get_batch(request: web.Request) -> web.Response:
    batch_id = _uuid(request, "batch_id", ProblemType.BATCH_UNKNOWN)
    if isinstance(batch_id, Refusal):
        return refusal_response(batch_id)
    return _answer(await request.app[_ISSUING].batches.read(request[_STATION], batch_id))


async def _get_batch_orders(request: web.Request) -> web.Response:
    batch_id = _uuid(request, "batch_id", ProblemType.BATCH_UNKNOWN)
    if isinstance(batch_id, Refusal):
        return refusal_response(batch_id)
    try:
        after = UUID(request.query["after"]) if "after" in request.query else None
    except ValueError:
        return refusal_response(Refusal(ProblemType.BODY_MALFORMED, "after", "no UUID"))
    batches = request.app[_ISSUING].batches
    return _answer(await batches.orders(request[_STATION], batch_id, after))


async def _post_count(request: web.Request) -> web.Response:
    body = await _body(request, BlankCount)
    if isinstance(body, Refusal):
        return refusal_response(body)
    batches = request.app[_ISSUING].batches
    return _answer(await batches.count_blanks(request[_STATION], body.left))


async def _body(request: web.Request, kind: type[_B]) -> _B | Refusal:
    """Return the body of the request; too long a one raises aiohttp's 413."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_MS / 1000):
            data = await request.read()
    except TimeoutError:
        return Refusal(ProblemType.BODY_MALFORMED, "", f"no body within {BODY_TIMEOUT_MS} ms")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # msgspec names the place as "... - at `$.field`".
        what, _, place = str(error).partition(" - at `$")
        return Refusal(ProblemType.BODY_MALFORMED, place.strip(".`"), what)


def _uuid(request: web.Request, name: str, unknown: ProblemType) -> UUID | Refusal:
    """Return an id from the path; what is no UUID names nothing that exists."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        return Refusal(unknown, name, "no UUID")


def _answer(value: msgspec.Struct | Refusal, status: int = 200) -> web.Response:
    return refusal_response(value) if isinstance(value, Refusal) else _json(value, status)


def _json(value: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )
