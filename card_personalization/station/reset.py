"""Making a card blank again: for cards whose writing broke off, and for blocked ones."""

from __future__ import annotations

import secrets
from typing import Final
from uuid import UUID

from card_personalization.chip.errors import AttemptError, CardFault, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import PIN_BYTES
from card_personalization.chip.profiles.detection import detect_family
from card_personalization.chip.profiles.yubico import YubicoFamily
from card_personalization.station.centre import CentreClient
from card_personalization.station.faults import StationError, StationFault
from processing.wire.api import CardState

WRONG_ATTEMPTS_MAX: Final = 256
"""More wrong codes than any card's counter allows: then something else is the matter."""


def reset_card(card: PivClient, centre: CentreClient) -> None:
    """Wipe a card to its factory state: keys, certificates, PIN, PUK and 9B.

    Refused for a card that the centre counts as active. The family's reset asks that PIN and PUK
    be blocked first; wrong codes see to that. Raises StationError, CardError.
    """
    card.select()
    family = detect_family(card)
    if not isinstance(family, YubicoFamily):
        ru, en = "её нельзя сбросить", "no command resets it"
        raise StationError(StationFault.FAMILY_UNSUITED, family=family.name, ru=ru, en=en)
    _refuse_active(card, centre)
    _block_pin(card)
    _block_puk(card)
    family.factory_reset(card)


def _refuse_active(card: PivClient, centre: CentreClient) -> None:
    try:
        card_id = UUID(bytes=card.read_chuid().guid)
    except StatusError as error:
        if error.fault is CardFault.NOT_FOUND:
            return
        raise
    known = centre.card(card_id)
    if known is not None and known.state is CardState.ACTIVE:
        raise StationError(StationFault.CARD_COUNTS, card_id=str(card_id))


def _block_pin(card: PivClient) -> None:
    for _ in range(WRONG_ATTEMPTS_MAX):
        try:
            card.verify_pin(_random_code())
        except AttemptError as error:
            if error.attempts_remaining == 0:
                return


def _block_puk(card: PivClient) -> None:
    for _ in range(WRONG_ATTEMPTS_MAX):
        code = _random_code()
        try:
            card.change_puk(code, code)
        except AttemptError as error:
            if error.attempts_remaining == 0:
                return


def _random_code() -> str:
    return f"{secrets.randbelow(10**PIN_BYTES):0{PIN_BYTES}d}"
