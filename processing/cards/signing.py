"""Documents of the issuing office are signed by the key service, each for its purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from hsm_stub.client.async_client import AsyncHsmClient
from processing.wire.statement import Domain

SignDocument = Callable[[bytes], Awaitable[tuple[bytes, bytes]]]
"""Has a document signed; returns key id (8 bytes) and signature (64)."""


def signer(hsm: AsyncHsmClient, domain: Domain) -> SignDocument:
    """Return what signs documents of one domain; it raises the errors of the key service."""

    async def sign(document: bytes) -> tuple[bytes, bytes]:
        sha256 = hashlib.sha256(document).digest()
        signed = await hsm.sign_statement(domain.value, sha256)
        return signed.key_id, signed.signature

    return sign
