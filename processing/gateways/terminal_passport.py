"""Passports renewed at terminals over HTTP (`processing.wire.passport_refresh`).

| path | answers |
| --- | --- |
| POST /terminals/v1/passport/begin | `RefreshStarted`; 404 for a card not in use |
| POST /terminals/v1/passport/finish | `CardPassport`; 409 when the card did not prove itself |

401 for whoever is not the terminal it says, 403 for one that may not write passports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
import structlog
from aiohttp import web

from processing.cards.passport_refresh import PassportRefresh
from processing.gateways.problems import at_most
from processing.kernel.clock import Clock
from processing.terminals.keys import TerminalKeys
from processing.terminals.model import TerminalState
from processing.terminals.store import TerminalStore
from processing.wire.passport_refresh import (
    REFRESH_BODY_BYTES_MAX,
    BeginRefresh,
    FinishRefresh,
)
from processing.wire.terminal_http import Claim

REFRESHES_CONCURRENT_MAX: Final = 16
"""Requests under way at once; the next terminal is told to try later."""
REFRESH_BODY_TIMEOUT_MS: Final = 5_000
"""Longest wait for the body of a request."""

_B = TypeVar("_B", BeginRefresh, FinishRefresh)


@dataclass(frozen=True)
class PassportParts:
    """What renewing stands on."""

    refresh: PassportRefresh
    terminals: TerminalStore
    keys: TerminalKeys
    clock: Clock


_PARTS: Final = web.AppKey("passport_parts", PassportParts)
_TERMINAL: Final = web.RequestKey("terminal_id", str)
_BODY: Final = web.RequestKey("body", bytes)


def passport_application(parts: PassportParts) -> web.Application:
    """Return the routes as an aiohttp application, to be mounted at /terminals/v1/passport."""
    app = web.Application(middlewares=[at_most(REFRESHES_CONCURRENT_MAX), _authenticated])
    app[_PARTS] = parts
    app.router.add_post("/begin", _begin)
    app.router.add_post("/finish", _finish)
    return app


@web.middleware
async def _authenticated(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let terminals through that are who they say and may write passports."""
    parts = request.app[_PARTS]
    async with asyncio.timeout(REFRESH_BODY_TIMEOUT_MS / 1000):
        body = await request.content.read(REFRESH_BODY_BYTES_MAX + 1)
    claim = Claim.read(request.headers.get("Authorization", ""))
    log: structlog.stdlib.BoundLogger = structlog.get_logger("spk.http")
    mac = None
    if claim is not None and len(body) <= REFRESH_BODY_BYTES_MAX:
        mac = parts.keys.known(claim.terminal_id, claim.key_id)
        mac = mac or await parts.keys.mac(claim.terminal_id, claim.key_id)
    if (
        claim is None
        or mac is None
        or not claim.proven(mac, parts.clock.utc_ms(), request.path, body)
    ):
        log.warning("terminal refused", path=request.path, remote_address=request.remote)
        raise web.HTTPUnauthorized
    terminal = await parts.terminals.terminal(claim.terminal_id)
    if (
        terminal is None
        or terminal.state is not TerminalState.ACTIVE
        or not terminal.writes_passports
    ):
        log.warning("terminal may not write passports", terminal=claim.terminal_id)
        raise web.HTTPForbidden
    request[_TERMINAL], request[_BODY] = claim.terminal_id, body
    return await handler(request)


async def _begin(request: web.Request) -> web.Response:
    refresh = request.app[_PARTS].refresh
    started = await refresh.begin(request[_TERMINAL], _body(request, BeginRefresh))
    if started is None:
        raise web.HTTPNotFound
    return _json(started)


async def _finish(request: web.Request) -> web.Response:
    refresh = request.app[_PARTS].refresh
    passport = await refresh.finish(request[_TERMINAL], _body(request, FinishRefresh))
    if passport is None:
        raise web.HTTPConflict
    log: structlog.stdlib.BoundLogger = structlog.get_logger("spk.http")
    log.info("passport given", terminal=request[_TERMINAL])
    return _json(passport)


def _body(request: web.Request, kind: type[_B]) -> _B:
    try:
        return msgspec.json.decode(request[_BODY], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise web.HTTPBadRequest from None


def _json(value: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
