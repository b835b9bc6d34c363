"""The trust list of terminals: made of the keys that the key service has, signed when they change.

What each generation is good for is told by its state: active and retiring ones are believed;
receipts are believed of every generation, since signatures made in its time still verify.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from hsm_stub.client.commands import PublicKey, PublicKeys
from hsm_stub.client.enums import KeyState
from processing.kernel.clock import Clock
from processing.wire.parameter_file import CONTENT_KEYS_MAX, ISSUING_CAS_MAX, RECEIPT_KEYS_MAX
from processing.wire.trust_list import SignedTrustList, Succession, TrustList

CONTENT_KEY: Final = "content signing"
"""What the key service calls the key that signs files for terminals."""
RECEIPT_KEY: Final = "receipt signing"

ISSUED_AGAIN_MS: Final = 24 * 3_600_000
"""How old a list may be that is given out; an unchanged one is then signed anew, for its term."""

Sign = Callable[[bytes], Awaitable[tuple[bytes, bytes]]]
"""Signs a document as a trust list; returns key id and signature."""


class IssuedTrust(msgspec.Struct, frozen=True):
    """A list's file, the tag that changes with it, and of which keys it was made when."""

    tag: str
    body: bytes
    keys: PublicKeys
    issued_at_ms: int


class TerminalTrust:
    """Gives terminals the newest trust list. `ask` is the key service's `public_keys`."""

    def __init__(self, ask: Callable[[], Awaitable[PublicKeys]], sign: Sign, clock: Clock) -> None:
        self._ask = ask
        self._sign = sign
        self._clock = clock
        self._issued: IssuedTrust | None = None

    async def newest(self) -> IssuedTrust:
        """Return the list that holds now. Raises the errors of the key service."""
        now_ms, known = self._clock.utc_ms(), self._issued
        public = await self._ask()
        if (
            known is not None
            and known.keys == public
            and 0 <= now_ms - known.issued_at_ms < ISSUED_AGAIN_MS
        ):
            return known
        body = (await signed_list(public, self._sign, now_ms)).encode()
        tag = hashlib.sha256(body).hexdigest()[:32]
        self._issued = IssuedTrust(tag, body, public, now_ms)
        return self._issued


async def signed_list(public: PublicKeys, sign: Sign, now_ms: int) -> SignedTrustList:
    """Return the trust list of these keys, with the way from every earlier key to its own."""
    trusted = TrustList(
        issued_at_ms=now_ms,
        content_keys=content_keys(public),
        receipt_keys=receipt_keys(public),
        issuing_cas=public.issuing_certificates_in_use[:ISSUING_CAS_MAX],
    )
    key_id, signature = await sign(trusted.document)
    return SignedTrustList(
        document=trusted.document,
        key_id=key_id,
        signature=signature,
        successions=_successions(public),
    )


def content_keys(public: PublicKeys) -> tuple[bytes, ...]:
    """Return the points that files may be signed with, the one in use first."""
    live = [one for one in _of(public, CONTENT_KEY) if one.state in _LIVE]
    return tuple(one.point for one in live[:CONTENT_KEYS_MAX])


def receipt_keys(public: PublicKeys) -> tuple[bytes, ...]:
    """Return the points of every key that ever signed receipts, the one in use first."""
    return tuple(one.point for one in _of(public, RECEIPT_KEY)[:RECEIPT_KEYS_MAX])


def _of(public: PublicKeys, key: str) -> list[PublicKey]:
    """Return a key's generations, the newest first, which is the one in use."""
    mine = [one for one in public.keys if one.key == key and one.point]
    return sorted(mine, key=lambda one: -one.generation)


def _successions(public: PublicKeys) -> tuple[Succession, ...]:
    oldest_first = _of(public, CONTENT_KEY)[::-1]
    return tuple(
        Succession(
            key=made.key,
            generation=made.generation,
            point=made.point,
            before_key_id=before.key_id,
            signature=made.endorsement,
        )
        for before, made in itertools.pairwise(oldest_first)
        if made.endorsement
    )


_LIVE: Final = frozenset({KeyState.ACTIVE, KeyState.RETIRING})
