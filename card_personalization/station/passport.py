"""The social passport of a card seen at a station: looked at, and renewed when it is due."""

from __future__ import annotations

from uuid import UUID

from card_personalization.chip.errors import CardFault, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.station.centre import CentreClient
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.management import HsmManagementKey
from hsm_stub.client.client import HsmClient


def refresh_passport(card: PivClient, centre: CentreClient, hsm: HsmClient) -> bool:
    """Write the passport that belongs on the card, unless it is there; whether it was written.

    A card taken away meanwhile keeps the old one or has a torn one, which no terminal believes:
    present it again. Raises StationError, CardError, and the errors of the key service.
    """
    card.select()
    guid = card.read_chuid().guid
    wanted = centre.passport(UUID(bytes=guid))
    if _at_hand(card) == wanted:
        return False
    known = centre.card(UUID(bytes=guid))
    master = 0 if known is None else known.card_master
    card.authenticate_management(HsmManagementKey(hsm, guid, master))
    card.write_passport(wanted)
    if _at_hand(card) != wanted:
        raise StationError(StationFault.READ_BACK_DIFFERS, what="social passport")
    return True


def _at_hand(card: PivClient) -> bytes | None:
    try:
        return card.read_passport()
    except StatusError as error:
        if error.fault is CardFault.NOT_FOUND:
            return None
        raise
