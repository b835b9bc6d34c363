"""Which family a card belongs to."""

from __future__ import annotations

from card_personalization.chip.errors import CardFault, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.profiles.family import CardFamily
from card_personalization.chip.profiles.generic import GenericFamily
from card_personalization.chip.profiles.yubico import YubicoFamily


def detect_family(client: PivClient) -> CardFamily:
    """The family of a selected card: whoever answers GET VERSION is Yubico's, others generic."""
    family = YubicoFamily()
    try:
        family.version(client)
    except StatusError as error:
        if error.fault in (CardFault.NOT_SUPPORTED, CardFault.STATUS):
            return GenericFamily()
        raise
    return family
