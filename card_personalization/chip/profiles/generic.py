"""Any PIV card: NIST's commands and nothing else."""

from __future__ import annotations

import msgspec

from card_personalization.chip.errors import CardError, CardFault
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Algorithm
from card_personalization.chip.profiles.family import FactoryKey


class GenericFamily(msgspec.Struct, frozen=True):
    """A card of unknown make.

    SP 800-73-5 has no command that sets 9B or the attempts: the maker does that. So such a card
    must be ordered with the diversified key of its serial number already in it.
    """

    name: str = "generic"
    factory_key: FactoryKey | None = None

    def set_management_key(self, _client: PivClient, _key: bytes, _algorithm: Algorithm) -> None:
        """Always CardError(NOT_SUPPORTED)."""
        raise CardError(
            CardFault.NOT_SUPPORTED,
            what="setting the management key (9B): order such cards with their key in them",
        )

    def set_attempts(self, _client: PivClient, _pin_attempts: int, _puk_attempts: int) -> None:
        """Always CardError(NOT_SUPPORTED)."""
        raise CardError(
            CardFault.NOT_SUPPORTED,
            what="setting the attempts of PIN and PUK: order such cards with the limits wanted",
        )

    def serial(self, _client: PivClient) -> int | None:
        """None: the GUID in the CHUID is all that NIST numbers a card with."""
        return None
