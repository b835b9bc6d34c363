"""One POST to a participant, within limits: its answer is a stranger's, too."""

from __future__ import annotations

import asyncio
import io
from typing import Any, Final

import aiohttp
import msgspec

POST_TIMEOUT_MS: Final = 20_000
"""Longest wait for a participant, from the connection to the last byte of its answer."""

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Longest answer that is read."""


class PostFault(Exception):
    """The participant did not answer, or with nothing that can be read; `str()` says how."""


async def post(
    session: aiohttp.ClientSession, uri: str, token: str | None, body: bytes
) -> tuple[int, dict[str, Any]]:
    """Return HTTP status and JSON object of the answer; raises `PostFault`. Redirects are none."""
    status, content = await post_raw(session, uri, token, body)
    try:
        return status, msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PostFault(f"answered {status} and no JSON object ({error})") from None


async def post_raw(
    session: aiohttp.ClientSession, uri: str, token: str | None, body: bytes
) -> tuple[int, bytes]:
    """Return HTTP status and body of the answer; raises `PostFault`."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        async with (
            asyncio.timeout(POST_TIMEOUT_MS / 1000),
            session.post(
                uri, data=io.BytesIO(body), headers=headers, allow_redirects=False
            ) as answer,
        ):
            content = bytearray()
            async for chunk in answer.content.iter_chunked(64 * 1024):
                content += chunk
                if len(content) > ANSWER_BYTES_MAX:
                    raise PostFault(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
            return answer.status, bytes(content)
    except TimeoutError:
        raise PostFault(f"no whole answer within {POST_TIMEOUT_MS} ms") from None
    except (aiohttp.ClientError, OSError) as error:
        raise PostFault(f"does not answer: {type(error).__name__}: {error}") from None
