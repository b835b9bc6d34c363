"""Checks the card's signature over digest v1: ECDSA P-256, raw r‖s, low-S (DESIGN §7).

A high S is refused, so that one signature has one form. The public points are kept in a bounded
cache; parsing one costs as much as half a verification, so the parsed keys are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from processing.authorization.model import CardKey, Proof
from processing.kernel.turns import Turns
from processing.wire.transaction import Evidence, Request

CARDS_CACHED_MAX: Final = 50_000
"""Most cards whose keys are kept in memory (about 1 kB each)."""

LOOKUPS_AT_ONCE_MAX: Final = 4
"""Most cards that are looked up at a time: the rest of the pool is for deciding."""

LOOKUPS_WAITING_MAX: Final = 1_024
"""Most cards that wait to be looked up; the next is told to try later."""

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_PREHASHED: Final = ec.ECDSA(Prehashed(hashes.SHA256()))

LoadCard = Callable[[bytes], Awaitable[CardKey | None]]
"""Looks one card up by its GUID; None when it is not registered."""


class KnownCard:
    """One card's keys, parsed when first used."""

    def __init__(self, key: CardKey) -> None:
        self.key = key
        self._parsed: dict[Evidence, ec.EllipticCurvePublicKey] = {}

    def proves(self, request: Request, digest: bytes) -> bool:
        """Whether this card signed `digest` with the key that the request's evidence calls for."""
        r = int.from_bytes(request.signature[:32])
        s = int.from_bytes(request.signature[32:])
        if s > _ORDER // 2:
            return False
        try:
            public_key = self._public_key(request.evidence)
            public_key.verify(encode_dss_signature(r, s), digest, _PREHASHED)
        except InvalidSignature:
            return False
        return True

    def _public_key(self, evidence: Evidence) -> ec.EllipticCurvePublicKey:
        if evidence not in self._parsed:
            point = self.key.pin if evidence is Evidence.PIN else self.key.tap
            self._parsed[evidence] = ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), point
            )
        return self._parsed[evidence]


class CardCache:
    """Cards seen lately, the longest unused leaving first.

    An unknown card is not remembered: it may be issued the next moment. Blocking is no matter of
    this cache; the rules read a card's state from the database every time.
    """

    def __init__(self, load: LoadCard, cards_max: int = CARDS_CACHED_MAX) -> None:
        self._load = load
        self._cards_max = cards_max
        self._cards: OrderedDict[bytes, KnownCard] = OrderedDict()
        self._lookups = Turns(LOOKUPS_AT_ONCE_MAX, LOOKUPS_WAITING_MAX)

    def __len__(self) -> int:
        return len(self._cards)

    async def card(self, card_id: bytes) -> KnownCard | None:
        """Return the card with this GUID (16 bytes), or None when it is not registered."""
        known = self._cards.get(card_id)
        if known is not None:
            self._cards.move_to_end(card_id)
            return known
        async with self._lookups:
            if (known := self._cards.get(card_id)) is not None:
                # Somebody with the same card was before in the queue.
                return known
            loaded = await self._load(card_id)
        if loaded is None:
            return None
        known = self._cards[card_id] = KnownCard(loaded)
        if len(self._cards) > self._cards_max:
            self._cards.popitem(last=False)
        return known


def check_proof(request: Request, digest: bytes, card: KnownCard | None) -> Proof:
    """Return what the signature proves. `card` is the one the request names, if registered."""
    if request.evidence is Evidence.NONE:
        return Proof.NOT_NEEDED
    if card is None:
        return Proof.CARD_UNKNOWN
    return Proof.RIGHT if card.proves(request, digest) else Proof.WRONG
