"""Passports renewed at terminals: who may, what is due, and the centre's half of proving 9B.

The key service proves the card's management key to the card; it never leaves that service. A
passport is given out only once the card has answered the challenge, so only for a card at hand.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol
from uuid import UUID

import msgspec

from hsm_stub.client.commands import CardAdminStarted, Refusal
from hsm_stub.client.errors import HsmRefused
from processing.cards.model import Card, CardCode
from processing.wire.api import CardPassport
from processing.wire.passport_refresh import BeginRefresh, FinishRefresh, RefreshStarted

REFRESHES_OPEN_MAX: Final = 64
"""Most cards under way; the one begun longest ago is given up. A card's turn takes a second."""
REFRESH_LIFETIME_MS: Final = 30_000
"""How long a card may take to answer: as long as the key service waits for it."""
ADMIN_KEY_VERSION: Final = 1
"""Version of a card's 9B key; the card master has its own generation."""


class Maker(Protocol):
    """What makes passports (`processing.cards.passport.Passports`)."""

    async def for_card(self, card_id: UUID, read_by: str) -> bytes | None:
        """Return the passport that belongs on this card; None for an unknown card."""


class Cards(Protocol):
    """What knows cards (`processing.cards.store.CardStore`)."""

    async def card(self, card_id: UUID) -> Card | None:
        """Return a card by its GUID."""


class AdminKeys(Protocol):
    """The part of the key service's client that is needed here."""

    async def card_admin_begin(
        self, card_guid: bytes, version: int, witness_ciphertext: bytes, master: int = 0
    ) -> CardAdminStarted:
        """Return the card's decrypted witness and a challenge."""

    async def card_admin_finish(self, handle: bytes, response: bytes) -> None:
        """Return when the response is right."""


class _Open(msgspec.Struct, frozen=True):
    """A card whose answer is awaited: at which terminal, its passport, until when."""

    terminal_id: str
    passport: bytes
    expires_ms: int


class PassportRefresh:
    """Renews passports of cards at terminals that may. `monotonic_ms` never goes back."""

    def __init__(
        self, maker: Maker, cards: Cards, keys: AdminKeys, monotonic_ms: Callable[[], int]
    ) -> None:
        self._maker = maker
        self._cards = cards
        self._keys = keys
        self._monotonic_ms = monotonic_ms
        self._open: OrderedDict[bytes, _Open] = OrderedDict()

    async def begin(self, terminal_id: str, asked: BeginRefresh) -> RefreshStarted | None:
        """Begin to renew; None for a card that is unknown or not in use.

        Raises the errors of the database and of the key service.
        """
        card = await self._cards.card(asked.card_id)
        if card is None or card.state is not CardCode.ACTIVE:
            return None
        passport = await self._maker.for_card(asked.card_id, f"terminal {terminal_id}")
        if passport is None:
            return None
        if hashlib.sha256(passport).digest() == asked.passport_sha256:
            return RefreshStarted(fresh=True)
        started = await self._keys.card_admin_begin(
            asked.card_id.bytes, ADMIN_KEY_VERSION, asked.witness, card.card_master
        )
        expires_ms = self._monotonic_ms() + REFRESH_LIFETIME_MS
        self._open[started.handle] = _Open(terminal_id, passport, expires_ms)
        if len(self._open) > REFRESHES_OPEN_MAX:
            self._open.popitem(last=False)
        return RefreshStarted(
            handle=started.handle, witness=started.witness, challenge=started.challenge
        )

    async def finish(self, terminal_id: str, answered: FinishRefresh) -> CardPassport | None:
        """Return the passport of a card that proved itself; None when it did not, or too late.

        A handle serves once. Raises the errors of the key service.
        """
        begun = self._open.pop(answered.handle, None)
        if (
            begun is None
            or begun.terminal_id != terminal_id
            or begun.expires_ms < self._monotonic_ms()
        ):
            return None
        try:
            await self._keys.card_admin_finish(answered.handle, answered.response)
        except HsmRefused as refused:
            if refused.code in (Refusal.CARD_NOT_AUTHENTICATED, Refusal.HANDLE_UNKNOWN):
                return None
            raise
        return CardPassport(passport=begun.passport)
