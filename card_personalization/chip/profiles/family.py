"""What a card family offers beyond NIST: one driver per family, told apart by asking the card."""

from __future__ import annotations

from typing import Protocol

import msgspec

from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Algorithm


class FactoryKey(msgspec.Struct, frozen=True):
    """The management key a card comes with."""

    key: bytes
    algorithm: Algorithm


class CardFamily(Protocol):
    """Vendor commands of one family. CardError(NOT_SUPPORTED) for what the family lacks."""

    @property
    def name(self) -> str:
        """The family's name, as it goes into the issue report."""

    @property
    def factory_key(self) -> FactoryKey | None:
        """The well-known key of fresh cards; None when each order has its own."""

    def set_management_key(self, client: PivClient, key: bytes, algorithm: Algorithm) -> None:
        """Replace 9B. Needs `authenticate_management` before."""

    def set_attempts(self, client: PivClient, pin_attempts: int, puk_attempts: int) -> None:
        """Set the limits of wrong PINs and PUKs. Needs 9B and PIN; both fall back to factory."""

    def serial(self, client: PivClient) -> int | None:
        """The chip's serial number, or None where the family has none."""
