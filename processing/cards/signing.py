"""Documents of the issuing office are signed by the key service, each for its purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from hsm_stub.client.async_client import AsyncHsmClient
from processing.wire.receipt import key_id_of
from processing.wire.statement import Domain

SignDocument = Callable[[bytes], Awaitable[tuple[bytes, bytes]]]
"""Has a document signed; returns key id (8 bytes) and signature (64)."""


KeyInUse = Callable[[], Awaitable[bytes]]
"""Tells the id of the key that signs now: what an earlier one signed is made anew in time."""

_CONTENT_KEY: Final = "content signing"


def content_key_id(hsm: AsyncHsmClient) -> KeyInUse:
    """Return what tells the id of the content key in use; it raises the key service's errors."""

    async def key_id() -> bytes:
        return key_id_of((await hsm.public_keys()).active_point(_CONTENT_KEY))

    return key_id


def signer(hsm: AsyncHsmClient, domain: Domain) -> SignDocument:
    """Return what signs documents of one domain; it raises the errors of the key service."""

    async def sign(document: bytes) -> tuple[bytes, bytes]:
        sha256 = hashlib.sha256(document).digest()
        signed = await hsm.sign_statement(domain.value, sha256)
        return signed.key_id, signed.signature

    return sign
