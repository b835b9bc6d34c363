"""Checks the card's signature over digest v1: ECDSA P-256, raw r‖s, low-S (DESIGN §7).

A high S is refused, so that one signature has one form. The public points are kept in a bounded
cache; parsing one costs as much as half a verification, so the parsed keys are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from processing.authorization.model import CardKey, Proof
from processing.authorization.verifying import Verify, verifier
from processing.kernel.bucket import bucket_of
from processing.kernel.turns import Turns
from processing.wire.transaction import Evidence, IdentifierKind, Request

CARDS_CACHED_MAX: Final = 50_000
"""Most cards whose keys are kept in memory (about 1 kB each)."""

LOOKUPS_AT_ONCE_MAX: Final = 4
"""Most cards that are looked up at a time: the rest of the pool is for deciding."""

LOOKUPS_WAITING_MAX: Final = 1_024
"""Most cards that wait to be looked up; the next is told to try later."""

_HALF_ORDER: Final = (
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2
).to_bytes(32)
_R_PLAIN: Final = b"\x30\x44\x02\x20"
_R_SIGNED: Final = b"\x30\x45\x02\x21\x00"
_S_PLAIN: Final = b"\x02\x20"

# Asking an enum for a member takes as long as three look-ups.
_NONE: Final = Evidence.NONE
_PIN: Final = Evidence.PIN
_CODE: Final = IdentifierKind.QR_CERTIFICATE
_NOT_NEEDED, _RIGHT, _CARD_UNKNOWN, _WRONG, _TRANSPORT_PIN = Proof

LoadCard = Callable[[bytes], Awaitable[CardKey | None]]
"""Looks one card up by its GUID; None when it is not registered."""


class KnownCard:
    """One card's keys, parsed when first used, and the bucket of the card's own holder."""

    __slots__ = ("_pin", "_tap", "bucket", "is_code", "key", "pin_is_transport")

    def __init__(self, key: CardKey) -> None:
        self.key = key
        self.bucket = bucket_of(key.holder_id)
        self.pin_is_transport = key.pin_is_transport
        self.is_code = key.pin is None and not key.pin_is_transport
        self._tap: Verify | None = None
        self._pin: Verify | None = None

    def proves(self, request: Request, digest: bytes) -> bool:
        """Whether this card signed `digest` with the key that the request's evidence calls for."""
        signature = request.signature
        # Big-endian numbers of one length compare as their bytes do.
        if signature[32:] > _HALF_ORDER:
            return False
        # A code on paper can be copied: it must not pass for a chip, nor a chip for it.
        if (request.identifier_kind is _CODE) is not self.is_code:
            return False
        if request.evidence is _PIN:
            if self.key.pin is None:
                return False
            verify = self._pin = self._pin or verifier(self.key.pin)
        else:
            verify = self._tap = self._tap or verifier(self.key.tap)
        return verify(digest, der_signature(signature))


def der_signature(signature: bytes) -> bytes:
    """Return r‖s (64 bytes) as the DER sequence of two integers that libraries want (RFC 3279)."""
    r, s = signature[:32], signature[32:]
    if r[0] and 0 < s[0] < 0x80:
        # All but one in 128 of low-S signatures: only r may need a sign byte.
        return (_R_SIGNED if r[0] & 0x80 else _R_PLAIN) + r + _S_PLAIN + s
    return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))


class CardCache:
    """Cards seen lately, the longest unused leaving first.

    An unknown card is not remembered: it may be issued the next moment. Nor is it that a PIN is a
    transport PIN: its holder may change it the next moment, so a PIN has it looked up again.
    Blocking is no matter of this cache; the rules read a card's state from the database every time.
    """

    def __init__(self, load: LoadCard, cards_max: int = CARDS_CACHED_MAX) -> None:
        self._load = load
        self._cards_max = cards_max
        self._cards: OrderedDict[bytes, KnownCard] = OrderedDict()
        self._lookups = Turns(LOOKUPS_AT_ONCE_MAX, LOOKUPS_WAITING_MAX)

    def __len__(self) -> int:
        return len(self._cards)

    def known(self, card_id: bytes, evidence: Evidence = _NONE) -> KnownCard | None:
        """Return the card if enough is known of it for this evidence, without asking anybody."""
        card = self._cards.get(card_id)
        if card is None:
            return None
        self._cards.move_to_end(card_id)
        return None if card.pin_is_transport and evidence is _PIN else card

    async def card(self, card_id: bytes, evidence: Evidence = _NONE) -> KnownCard | None:
        """Look up the card with this GUID (16 bytes); None when it is not registered."""
        async with self._lookups:
            if (known := self.known(card_id, evidence)) is not None:
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
    if request.evidence is _NONE:
        return _NOT_NEEDED
    if card is None:
        return _CARD_UNKNOWN
    if card.pin_is_transport and request.evidence is _PIN:
        return _TRANSPORT_PIN
    return _RIGHT if card.proves(request, digest) else _WRONG
