"""Signed rules over HTTP: GET /terminals/v1/rules/{terminal} answers `processing.wire.rules_file`.

They tell which services a terminal gives and name nobody, so they are open to every terminal and
mirror. The ETag is the issue's: `If-None-Match` gets 304 until the rules change or are issued anew.
"""

from __future__ import annotations

from typing import Final

from aiohttp import ETag, web

from processing.gateways.problems import at_most
from processing.terminals.rules import TerminalRules

RULES_CONCURRENT_MAX: Final = 64
"""Answers under way at once; the next terminal is told to try later."""

_RULES: Final = web.AppKey("rules", TerminalRules)


def rules_application(rules: TerminalRules) -> web.Application:
    """Return the route as an aiohttp application, to be mounted at /terminals/v1/rules."""
    app = web.Application(middlewares=[at_most(RULES_CONCURRENT_MAX)])
    app[_RULES] = rules
    app.router.add_get("/{terminal_id:[A-Z0-9]{8}}", _get)
    return app


async def _get(request: web.Request) -> web.StreamResponse:
    issued = await request.app[_RULES].newest(request.match_info["terminal_id"])
    if issued is None:
        raise web.HTTPNotFound
    if any(tag.value == issued.tag for tag in request.if_none_match or ()):
        response = web.Response(status=304)
    else:
        response = web.Response(body=issued.body, content_type="application/json")
    response.etag = ETag(issued.tag)
    return response
