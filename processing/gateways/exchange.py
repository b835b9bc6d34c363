"""The exchange over HTTP: the paths of DCI v1.0.0, mounted in the HTTP gateway.

Bodies are application/json, or for asynchronous paths multipart/form-data with the parts `action`,
`fileName` (the JSON message as a file) and `fileFormat` (json).
"""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import uuid4

import structlog
from aiohttp import MultipartReader, web

from processing.exchange.dci.codes import ErrorCode
from processing.exchange.dci.endpoints import ENDPOINTS, Endpoint
from processing.exchange.dci.envelope import Refused, http_errors
from processing.exchange.dci.server import BODY_BYTES_MAX, BODY_TIMEOUT_MS, Answer, Server

REQUESTS_CONCURRENT_MAX: Final = 8
"""Messages looked into at once; the next is told to try later."""

_CHUNK_BYTES: Final = 64 * 1024
_FILE_PARTS: Final = ("action", "fileName", "fileFormat")
_RETRY_AFTER: Final = {429: "5", 503: "5"}


def add_exchange(app: web.Application, server: Server) -> None:
    """Mount the paths of the description, and the centre's public keys."""
    places = asyncio.Semaphore(REQUESTS_CONCURRENT_MAX)

    async def jwks(_request: web.Request) -> web.Response:
        return web.json_response(server.jwks(), headers={"Cache-Control": "max-age=3600"})

    async def nothing_here(_request: web.Request) -> web.Response:
        return _json(404, http_errors(ErrorCode.NOT_FOUND))

    app.router.add_get("/.well-known/jwks.json", jwks)
    for endpoint in ENDPOINTS:
        app.router.add_post(endpoint.path, _Door(server, endpoint, places).answer)
    app.router.add_post("/registry/{path:.*}", nothing_here)


class _Door:
    """One path."""

    def __init__(self, server: Server, endpoint: Endpoint, places: asyncio.Semaphore) -> None:
        self._server = server
        self._endpoint = endpoint
        self._places = places
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("spk.exchange")

    async def answer(self, request: web.Request) -> web.Response:
        """Take one message."""
        answer = await self._answer(request)
        # Who asked what stands in the database with its purpose; here is only that it was asked.
        self._log.info("exchange", path=self._endpoint.path, status=answer.status)
        return _json(answer.status, answer.body)

    async def _answer(self, request: web.Request) -> Answer:
        # aiohttp runs on one thread: between this look and the wait nobody else takes the place.
        try:
            if self._places.locked():
                raise Refused(ErrorCode.UNAVAILABLE)
            async with self._places:
                async with asyncio.timeout(BODY_TIMEOUT_MS / 1000):
                    body = await self._body(request)
                return await self._server.receive(self._endpoint, _token(request), body)
        except Refused as refused:
            return self._server.refusal(self._endpoint, refused, uuid4().hex, None)
        except TimeoutError:
            late = Refused(ErrorCode.TIMEOUT, f"{BODY_TIMEOUT_MS} ms")
            return self._server.refusal(self._endpoint, late, uuid4().hex, None)
        except Exception:
            self._log.exception("exchange fault", path=self._endpoint.path)
            return Answer(500, http_errors(ErrorCode.UNAVAILABLE))

    async def _body(self, request: web.Request) -> bytes:
        if request.content_type == "application/json":
            content = bytearray()
            async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
                content += chunk
                _check_size(len(content))
            return bytes(content)
        if request.content_type == "multipart/form-data" and not self._endpoint.synchronous:
            return await self._file(await request.multipart())
        raise Refused(ErrorCode.BAD, "Content-Type: application/json")

    async def _file(self, parts: MultipartReader) -> bytes:
        """Return the message that was sent as a file."""
        found: dict[str, bytes] = {"fileFormat": b"json"}
        while (part := await parts.next()) is not None:
            if isinstance(part, MultipartReader) or part.name not in _FILE_PARTS:
                raise Refused(ErrorCode.BAD, f"multipart: {', '.join(_FILE_PARTS)}")
            content = bytearray()
            while chunk := await part.read_chunk(_CHUNK_BYTES):
                content += chunk
                _check_size(len(content))
            found[part.name] = bytes(content)
        if found.get("action", b"").decode(errors="replace") != self._endpoint.action:
            raise Refused(ErrorCode.BAD, f"multipart: action {self._endpoint.action}")
        if "fileName" not in found or found["fileFormat"] != b"json":
            raise Refused(ErrorCode.BAD, "multipart: fileName, fileFormat json")
        return found["fileName"]


def _check_size(size_bytes: int) -> None:
    if size_bytes > BODY_BYTES_MAX:
        raise Refused(ErrorCode.BAD, f"≤ {BODY_BYTES_MAX} bytes")


def _token(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _json(status: int, body: bytes) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if status in _RETRY_AFTER:
        headers["Retry-After"] = _RETRY_AFTER[status]
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="spk exchange"'
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
