"""Stop-lists over HTTP: signed files that name nobody, open to every terminal and mirror.

| method and path | answers |
| --- | --- |
| GET /terminals/v1/stop-list/complete | the newest complete list |
| GET /terminals/v1/stop-list/increment | what changed since; 404 while nothing has |

The list's number is its ETag, so that `If-None-Match` gets 304 until there is a newer one. The file
is `processing.wire.stop_list`; who has it checks the signature, wherever it came from.
"""

from __future__ import annotations

from typing import Final

from aiohttp import ETag, web

from processing.cards.stop_list import IssuedList, StopListStore
from processing.gateways.problems import at_most

DOWNLOADS_CONCURRENT_MAX: Final = 64
"""Downloads under way at once; the next is told to try later."""
FRESH_SECONDS: Final = 30
"""How long a mirror may give a file out without asking whether there is a newer one."""

_STORE: Final = web.AppKey("stop_lists", StopListStore)


def stop_list_application(store: StopListStore) -> web.Application:
    """Return the routes as an aiohttp application, to be mounted at /terminals/v1/stop-list."""
    app = web.Application(middlewares=[at_most(DOWNLOADS_CONCURRENT_MAX)])
    app[_STORE] = store
    app.router.add_get("/complete", _get_complete)
    app.router.add_get("/increment", _get_increment)
    return app


async def _get_complete(request: web.Request) -> web.StreamResponse:
    return await _get(request, complete=True)


async def _get_increment(request: web.Request) -> web.StreamResponse:
    return await _get(request, complete=False)


async def _get(request: web.Request, *, complete: bool) -> web.StreamResponse:
    store = request.app[_STORE]
    number = await store.newest_number(complete=complete)
    if number is not None and _has(request, number):
        return _fresh(web.Response(status=304), number)
    issued = None if number is None else await store.newest(complete=complete)
    if issued is None:
        raise web.HTTPNotFound
    return _file(issued)


def _has(request: web.Request, number: int) -> bool:
    return any(tag.value == f"{number}" for tag in request.if_none_match or ())


def _file(issued: IssuedList) -> web.Response:
    response = web.Response(body=issued.body, content_type="application/octet-stream")
    response.last_modified = issued.issued_at
    return _fresh(response, issued.number)


def _fresh(response: web.Response, number: int) -> web.Response:
    response.etag = ETag(f"{number}")
    response.headers["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
    return response
