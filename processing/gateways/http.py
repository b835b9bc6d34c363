"""The HTTP gateway: health and measurements for operators, the issuing API for stations.

| method and path | answers |
| --- | --- |
| GET /health | `Health`; 200 when every part is well, else 503 |
| GET /metrics | Prometheus text |
| POST /issuing/v1/orders | 201 `CardOrder` |
| GET /issuing/v1/orders/{order_id} | `CardOrder` |
| DELETE /issuing/v1/orders/{order_id} | `CardOrder`, given up |
| POST /issuing/v1/orders/{order_id}/card | `IssuedCard` |
| GET /issuing/v1/cards/{card_id} | `CardStatus` |
| POST /issuing/v1/cards/{card_id}/passport | `CardPassport` |
| POST /issuing/v1/cards/{card_id}/block | `CardStatus` |
| POST /issuing/v1/cards/{card_id}/lost | 201 `LentCard` |
| GET /terminals/v1/stop-list/… | files, see `processing.gateways.stop_lists` |
| GET /terminals/v1/rules/… | signed rules, see `processing.gateways.terminal_rules` |
| GET /terminals/v1/trust | the trust list, see `processing.gateways.terminal_trust` |
| POST /registry/… , GET /.well-known/jwks.json | `processing.gateways.exchange` |
| GET, POST /pki/… | CA certificates, revocation lists, OCSP: see `processing.gateways.pki` |

Everything under /issuing needs `Authorization: Bearer TOKEN`. Bodies are `processing.wire.api`,
failures RFC 9457 problems.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

import msgspec
import structlog
from aiohttp import web

from processing.cards.issuing import Issuing
from processing.cards.model import Refusal
from processing.cards.stop_list import StopListStore
from processing.exchange.dci.server import Server
from processing.gateways.exchange import add_exchange
from processing.gateways.pki import PkiParts, pki_application
from processing.gateways.problems import (
    answer_with_problems,
    at_most,
    problem_response,
    refusal_response,
)
from processing.gateways.stop_lists import stop_list_application
from processing.gateways.terminal_rules import rules_application
from processing.gateways.terminal_trust import trust_application
from processing.kernel.metrics import Measurements
from processing.terminals.rules import TerminalRules
from processing.terminals.trust import TerminalTrust
from processing.wire.api import (
    BODY_BYTES_MAX,
    Health,
    IssueReport,
    LossReport,
    OrderRequest,
    ProbeResult,
    ProbeStatus,
    ProblemType,
    problem,
)

PROBE_TIMEOUT_MS: Final = 2_000
"""Longest look at one part of the centre; after that it counts as failing."""

REQUESTS_CONCURRENT_MAX: Final = 32
"""Issuing requests under way at once; the next is told to try later."""

BODY_TIMEOUT_MS: Final = 10_000
"""Longest wait for the body of a request."""

Probe = Callable[[], Awaitable[ProbeResult]]
"""One look at a part of the centre. What it raises counts as failing."""

_B = TypeVar("_B", OrderRequest, IssueReport, LossReport)


@dataclass(frozen=True, kw_only=True)
class HttpParts:
    """What the gateway stands on. `probes` by the name of the part they look at.

    `issuing` None leaves the issuing API out, `stop_lists` None the stop-lists, `exchange` None the
    paths of the exchange, `pki` None the answers about certificates, `rules` None the rules of
    terminals, `trust` None their trust list.
    """

    measurements: Measurements
    probes: Mapping[str, Probe]
    issuing: Issuing | None = None
    stop_lists: StopListStore | None = None
    exchange: Server | None = None
    pki: PkiParts | None = None
    rules: TerminalRules | None = None
    trust: TerminalTrust | None = None


_PARTS: Final = web.AppKey("parts", HttpParts)
_ISSUING: Final = web.AppKey("issuing", Issuing)
_STATION: Final = web.RequestKey("station_id", str)


def http_application(parts: HttpParts) -> web.Application:
    """Return the gateway as an aiohttp application, to be run by the composition root."""
    # aiohttp looks at the outermost application's limit only.
    app = web.Application(middlewares=[answer_with_problems], client_max_size=BODY_BYTES_MAX)
    app[_PARTS] = parts
    app.router.add_get("/health", _health)
    app.router.add_get("/metrics", _metrics)
    if parts.issuing is not None:
        app.add_subapp("/issuing/v1", _issuing_application(parts.issuing))
    if parts.stop_lists is not None:
        app.add_subapp("/terminals/v1/stop-list", stop_list_application(parts.stop_lists))
    if parts.rules is not None:
        app.add_subapp("/terminals/v1/rules", rules_application(parts.rules))
    if parts.trust is not None:
        app.add_subapp("/terminals/v1/trust", trust_application(parts.trust))
    if parts.exchange is not None:
        add_exchange(app, parts.exchange)
    if parts.pki is not None:
        app.add_subapp("/pki", pki_application(parts.pki))
    return app


def _issuing_application(issuing: Issuing) -> web.Application:
    app = web.Application(middlewares=[at_most(REQUESTS_CONCURRENT_MAX), _authenticated])
    app[_ISSUING] = issuing
    app.router.add_post("/orders", _post_order)
    app.router.add_get("/orders/{order_id}", _get_order)
    app.router.add_delete("/orders/{order_id}", _delete_order)
    app.router.add_post("/orders/{order_id}/card", _post_report)
    app.router.add_get("/cards/{card_id}", _get_card)
    app.router.add_post("/cards/{card_id}/passport", _post_passport)
    app.router.add_post("/cards/{card_id}/block", _post_block)
    app.router.add_post("/cards/{card_id}/lost", _post_lost)
    return app


async def _health(request: web.Request) -> web.Response:
    parts = await probe_all(request.app[_PARTS].probes)
    well = all(result.status is ProbeStatus.OK for result in parts.values())
    health = Health(status=ProbeStatus.OK if well else ProbeStatus.FAILING, parts=parts)
    return _json(health, status=200 if well else 503)


async def probe_all(probes: Mapping[str, Probe]) -> dict[str, ProbeResult]:
    """Look at all parts at once; what a probe raises counts as failing."""
    results = await asyncio.gather(*(_look(probe) for probe in probes.values()))
    return dict(zip(probes, results, strict=True))


async def _look(probe: Probe) -> ProbeResult:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_MS / 1000):
            return await probe()
    except TimeoutError:
        detail = f"no answer in {PROBE_TIMEOUT_MS} ms"
    except Exception as error:
        # A probe stands for a part that may fail in any way; the page itself must not.
        detail = f"{type(error).__name__}: {error}"
    return ProbeResult(status=ProbeStatus.FAILING, detail=detail)


async def _metrics(request: web.Request) -> web.Response:
    body, content_type = await request.app[_PARTS].measurements()
    return web.Response(body=body, headers={"Content-Type": content_type})


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
