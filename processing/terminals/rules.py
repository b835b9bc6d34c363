"""The rules of a terminal: signed when it asks, again when they changed or their issue is aging."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from processing.kernel.clock import Clock
from processing.terminals.model import Offer
from processing.terminals.store import TerminalStore
from processing.wire.parameter_file import ItemParameters
from processing.wire.rules_file import Rules, SignedRules, items_digest, rules_mark

RULES_CACHED_MAX: Final = 2_000
"""Terminals whose signed rules are kept; the one that asked longest ago is signed again."""

RULES_USE_MINUTES: Final = 72 * 60
"""How long after an issue a terminal may serve cards without the centre: as long as a regulation
that ended is honoured by default (`grace_days`)."""

RULES_RENEWED_MINUTES: Final = 12 * 60
"""An issue older than this is signed anew for whoever asks, though its rules are the same."""

RULES_LOOKED_UP_MS: Final = 5_000
"""How long the mark told to a terminal may be behind the database."""

Sign = Callable[[bytes], Awaitable[tuple[bytes, bytes]]]
"""Signs a document as rules; returns key id and signature."""

KeyInUse = Callable[[], Awaitable[bytes]]
"""Tells the id of the key that signs now: what an earlier one signed is signed anew."""


class IssuedRules(msgspec.Struct, frozen=True):
    """A file, the tag of its issue, and the mark of its rules."""

    tag: str
    body: bytes
    mark: str
    issued_at_ms: int
    key_id: bytes


class TerminalRules:
    """Gives each terminal the rules in force today. The store's pool may act as spk_processing."""

    def __init__(
        self,
        store: TerminalStore,
        sign: Sign,
        clock: Clock,
        key_in_use: KeyInUse | None = None,
    ) -> None:
        self._store = store
        self._sign = sign
        self._clock = clock
        self._key_in_use = key_in_use
        self._cached: OrderedDict[str, IssuedRules] = OrderedDict()

    async def newest(self, terminal_id: str) -> IssuedRules | None:
        """Return a terminal's rules; None for one that is unknown or may ring up nothing.

        Raises the errors of the database and of the key service.
        """
        now_ms = self._clock.utc_ms()
        offer = await self._store.offer(terminal_id, self._clock.local_date(now_ms))
        if not offer.services and not offer.coming:
            return None
        rules = Rules(
            terminal_id=terminal_id,
            issued_at_ms=now_ms,
            use_minutes=RULES_USE_MINUTES,
            services=offer.services,
            items=offer.items,
            coming=offer.coming,
        )
        known = self._cached.pop(terminal_id, None)
        aging_ms = now_ms - RULES_RENEWED_MINUTES * 60_000
        if (
            known is None
            or known.mark != rules.mark
            or known.issued_at_ms < aging_ms
            or (self._key_in_use is not None and known.key_id != await self._key_in_use())
        ):
            key_id, signature = await self._sign(rules.document)
            file = SignedRules(document=rules.document, key_id=key_id, signature=signature)
            known = IssuedRules(file.tag, file.encode(), rules.mark, now_ms, key_id)
        self._cached[terminal_id] = known
        if len(self._cached) > RULES_CACHED_MAX:
            self._cached.popitem(last=False)
        return known


class RulesMarks:
    """Tells a terminal in few words whether its rules are those in force (0810)."""

    def __init__(self, store: TerminalStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._marks: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._items: tuple[tuple[ItemParameters, ...], bytes] = ((), b"")

    async def of(self, terminal_id: str) -> str:
        """Return the mark of a terminal's rules, "" for one without any.

        Raises the errors of the database.
        """
        now_ms = self._clock.utc_ms()
        looked_up_ms, mark = self._marks.pop(terminal_id, (0, ""))
        if not looked_up_ms <= now_ms < looked_up_ms + RULES_LOOKED_UP_MS:
            offer = await self._store.offer(terminal_id, self._clock.local_date(now_ms))
            looked_up_ms, mark = now_ms, self._mark_of(offer)
        self._marks[terminal_id] = (looked_up_ms, mark)
        if len(self._marks) > RULES_CACHED_MAX:
            self._marks.popitem(last=False)
        return mark

    def _mark_of(self, offer: Offer) -> str:
        if not offer.services and not offer.coming:
            return ""
        # Items are many and the same for all terminals: comparing is cheaper than a digest.
        if self._items[0] != offer.items or not self._items[1]:
            self._items = (offer.items, items_digest(offer.items))
        return rules_mark(offer.services, self._items[1], offer.coming)
