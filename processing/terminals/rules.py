"""The signed rules of a terminal: made when it asks, signed again only when they changed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from processing.kernel.clock import Clock
from processing.terminals.store import TerminalStore
from processing.wire.rules_file import Rules, SignedRules

RULES_CACHED_MAX: Final = 2_000
"""Terminals whose signed rules are kept; the one that asked longest ago is signed again."""

Sign = Callable[[bytes], Awaitable[tuple[bytes, bytes]]]
"""Signs a document as rules; returns key id and signature."""


class IssuedRules(msgspec.Struct, frozen=True):
    """A file, and the tag that changes when its rules do."""

    tag: str
    body: bytes


class TerminalRules:
    """Gives each terminal the rules in force today. The store's pool may act as spk_processing."""

    def __init__(self, store: TerminalStore, sign: Sign, clock: Clock) -> None:
        self._store = store
        self._sign = sign
        self._clock = clock
        self._cached: OrderedDict[str, IssuedRules] = OrderedDict()

    async def newest(self, terminal_id: str) -> IssuedRules | None:
        """Return a terminal's rules; None for one that is unknown or may ring up nothing.

        Raises the errors of the database and of the key service.
        """
        now_ms = self._clock.utc_ms()
        offer = await self._store.offer(terminal_id, self._clock.local_date(now_ms))
        if not offer.services:
            return None
        rules = Rules(
            terminal_id=terminal_id, issued_at_ms=0, services=offer.services, items=offer.items
        )
        tag = hashlib.sha256(rules.document).hexdigest()[:32]
        known = self._cached.pop(terminal_id, None)
        if known is None or known.tag != tag:
            document = msgspec.structs.replace(rules, issued_at_ms=now_ms).document
            key_id, signature = await self._sign(document)
            file = SignedRules(document=document, key_id=key_id, signature=signature)
            known = IssuedRules(tag, file.encode())
        self._cached[terminal_id] = known
        if len(self._cached) > RULES_CACHED_MAX:
            self._cached.popitem(last=False)
        return known
