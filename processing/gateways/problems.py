"""Every failure of an HTTP request as one RFC 9457 answer, and the limits held before a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from hsm_stub.client.errors import HsmUnavailable
from processing.cards.model import Refusal
from processing.kernel.errors import (
    DatabaseBusyError,
    DatabaseTimeoutError,
    DatabaseUnavailableError,
)
from processing.wire.api import PROBLEM_CONTENT_TYPE, Problem, ProblemType, problem

RETRY_AFTER_SECONDS: Final = 2

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_KIND_OF_STATUS: Final = {
    404: ProblemType.NOT_FOUND,
    405: ProblemType.METHOD_NOT_ALLOWED,
    413: ProblemType.BODY_TOO_LARGE,
}


def problem_response(fault: Problem) -> web.Response:
    """Return a problem as it is sent, with the headers that its status asks for."""
    headers: dict[str, str] = {}
    if fault.kind is ProblemType.TRY_LATER:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if fault.kind is ProblemType.STATION_UNKNOWN:
        headers["WWW-Authenticate"] = 'Bearer realm="spk issuing"'
    return web.Response(
        body=msgspec.json.encode(fault),
        status=fault.status,
        content_type=PROBLEM_CONTENT_TYPE,
        headers=headers,
    )


def refusal_response(refusal: Refusal) -> web.Response:
    """Return why a request was not carried out."""
    return problem_response(problem(refusal.kind, refusal.field, refusal.reason))


@web.middleware
async def answer_with_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure of `handler` with a problem; a fault's own words stay in the log."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        kind = _KIND_OF_STATUS.get(error.status)
        if kind is None:
            raise
        response = problem_response(problem(kind))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except (
        DatabaseBusyError,
        DatabaseTimeoutError,
        DatabaseUnavailableError,
        HsmUnavailable,
    ) as error:
        _log().warning("http.try_later", path=request.path, reason=str(error))
        return problem_response(problem(ProblemType.TRY_LATER))
    except Exception:
        _log().exception("http.fault", method=request.method, path=request.path)
        return problem_response(problem(ProblemType.FAULT))


def at_most(concurrent: int) -> Middleware:
    """Return a middleware that answers "try later" while `concurrent` requests are under way."""
    places = asyncio.Semaphore(concurrent)

    @web.middleware
    async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
        # aiohttp runs on one thread: between this look and the wait nobody else takes the place.
        if places.locked():
            return problem_response(problem(ProblemType.TRY_LATER))
        async with places:
            return await handler(request)

    return limited


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("spk.http")
    return log
