"""The trust list over HTTP: GET /terminals/v1/trust answers `processing.wire.trust_list`.

It holds public keys only and is open to every terminal and mirror: who has it checks by the keys
it knows. `If-None-Match` gets 304 until the keys change, or a day has passed.
"""

from __future__ import annotations

from typing import Final

from aiohttp import ETag, web

from processing.gateways.problems import at_most
from processing.terminals.trust import TerminalTrust

TRUST_CONCURRENT_MAX: Final = 64
"""Answers under way at once; the next terminal is told to try later."""

_TRUST: Final = web.AppKey("trust", TerminalTrust)


def trust_application(trust: TerminalTrust) -> web.Application:
    """Return the route as an aiohttp application, to be mounted at /terminals/v1/trust."""
    app = web.Application(middlewares=[at_most(TRUST_CONCURRENT_MAX)])
    app[_TRUST] = trust
    app.router.add_get("", _get)
    return app


async def _get(request: web.Request) -> web.StreamResponse:
    issued = await request.app[_TRUST].newest()
    if any(tag.value == issued.tag for tag in request.if_none_match or ()):
        response = web.Response(status=304)
    else:
        response = web.Response(body=issued.body, content_type="application/json")
    response.etag = ETag(issued.tag)
    return response
