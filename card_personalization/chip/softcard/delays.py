"""A software card that takes as long as a bought one, for measurements: it sleeps, it never spins.

The card's own computing counts towards the delay, so that sixteen of them wait side by side on one
processor as sixteen real ones would.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

from card_personalization.chip.apdu import CHAINING_BIT, Ins
from card_personalization.chip.piv.objects import Reference
from card_personalization.chip.transport.inprocess import ApduCard

_ATTEST: Final = 0xF9
_MS: Final = 1_000


class Delays(msgspec.Struct, frozen=True):
    """How long a card takes: for any APDU, and on top of it for one that uses a private key."""

    apdu_ms: int = 20
    key_operation_ms: int = 200

    def of(self, apdu: bytes) -> int:
        """The milliseconds that an answer to this APDU takes."""
        return self.apdu_ms + (self.key_operation_ms if uses_private_key(apdu) else 0)


def uses_private_key(apdu: bytes) -> bool:
    """Whether an APDU makes or uses a private key, by its header; links of a chain do not."""
    if len(apdu) < 4 or apdu[0] & CHAINING_BIT:
        return False
    if apdu[1] == Ins.GENERAL_AUTHENTICATE:
        return apdu[3] != Reference.MANAGEMENT_KEY
    return apdu[1] in (Ins.GENERATE_ASYMMETRIC_KEY_PAIR, _ATTEST)


class DelayedCard:
    """A card in front of another: the same answers, later. For one reader's thread at a time."""

    def __init__(self, card: ApduCard, delays: Delays | None = None) -> None:
        self._card = card
        self._delays = delays or Delays()

    @property
    def atr(self) -> bytes:
        """The answer to reset, without resetting."""
        return self._card.atr

    def power_on(self) -> bytes:
        """Power up; the answer to reset."""
        return self._card.power_on()

    def power_off(self) -> None:
        """Forget everything that needs power."""
        self._card.power_off()

    def reset(self) -> bytes:
        """Forget what a reset forgets; the answer to reset."""
        return self._card.reset()

    def transmit(self, apdu: bytes) -> bytes:
        """Answer one command APDU, not before its time."""
        due_s = time.monotonic() + self._delays.of(apdu) / _MS
        answer = self._card.transmit(apdu)
        left_s = due_s - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)
        return answer
