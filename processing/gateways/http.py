"""The HTTP gateway: health and measurements for operators, the issuing API for stations.

| method and path | answers |
| --- | --- |
| GET /health | `Health`; 200 when every part is well, else 503 |
| GET /metrics | Prometheus text |
| …/issuing/v1/… | the issuing API, see `processing.gateways.issuing` |
| GET /terminals/v1/stop-list/… | files, see `processing.gateways.stop_lists` |
| GET /terminals/v1/rules/… | signed rules, see `processing.gateways.terminal_rules` |
| GET /terminals/v1/trust | the trust list, see `processing.gateways.terminal_trust` |
| POST /terminals/v1/passport/… | `processing.gateways.terminal_passport` |
| POST /registry/… , GET /.well-known/jwks.json | `processing.gateways.exchange` |
| GET, POST /pki/… | CA certificates, revocation lists, OCSP: see `processing.gateways.pki` |

Bodies are `processing.wire.api`, failures RFC 9457 problems.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from processing.cards.issuing import Issuing
from processing.cards.stop_list import StopListStore
from processing.exchange.dci.server import Server
from processing.gateways.exchange import add_exchange
from processing.gateways.issuing import issuing_application
from processing.gateways.pki import PkiParts, pki_application
from processing.gateways.problems import answer_with_problems
from processing.gateways.stop_lists import stop_list_application
from processing.gateways.terminal_passport import PassportParts, passport_application
from processing.gateways.terminal_rules import rules_application
from processing.gateways.terminal_trust import trust_application
from processing.kernel.metrics import Measurements
from processing.terminals.rules import TerminalRules
from processing.terminals.trust import TerminalTrust
from processing.wire.api import (
    BODY_BYTES_MAX,
    Health,
    ProbeResult,
    ProbeStatus,
)

PROBE_TIMEOUT_MS: Final = 2_000
"""Longest look at one part of the centre; after that it counts as failing."""

Probe = Callable[[], Awaitable[ProbeResult]]
"""One look at a part of the centre. What it raises counts as failing."""


@dataclass(frozen=True, kw_only=True)
class HttpParts:
    """What the gateway stands on. `probes` by the name of the part they look at.

    `issuing` None leaves the issuing API out, `stop_lists` None the stop-lists, `exchange` None the
    paths of the exchange, `pki` None the answers about certificates, `rules` None the rules of
    terminals, `trust` None their trust list, `passports` None the renewing of passports.
    """

    measurements: Measurements
    probes: Mapping[str, Probe]
    issuing: Issuing | None = None
    stop_lists: StopListStore | None = None
    exchange: Server | None = None
    pki: PkiParts | None = None
    rules: TerminalRules | None = None
    trust: TerminalTrust | None = None
    passports: PassportParts | None = None


_PARTS: Final = web.AppKey("parts", HttpParts)


def http_application(parts: HttpParts) -> web.Application:
    """Return the gateway as an aiohttp application, to be run by the composition root."""
    # aiohttp looks at the outermost application's limit only.
    app = web.Application(middlewares=[answer_with_problems], client_max_size=BODY_BYTES_MAX)
    app[_PARTS] = parts
    app.router.add_get("/health", _health)
    app.router.add_get("/metrics", _metrics)
    if parts.issuing is not None:
        app.add_subapp("/issuing/v1", issuing_application(parts.issuing))
    if parts.stop_lists is not None:
        app.add_subapp("/terminals/v1/stop-list", stop_list_application(parts.stop_lists))
    if parts.rules is not None:
        app.add_subapp("/terminals/v1/rules", rules_application(parts.rules))
    if parts.trust is not None:
        app.add_subapp("/terminals/v1/trust", trust_application(parts.trust))
    if parts.passports is not None:
        app.add_subapp("/terminals/v1/passport", passport_application(parts.passports))
    if parts.exchange is not None:
        add_exchange(app, parts.exchange)
    if parts.pki is not None:
        app.add_subapp("/pki", pki_application(parts.pki))
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


def _json(value: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )
