"""A card's PIN is changed, and the centre learns when it was its transport PIN.

The transport PIN is on the card's face, so its holder types only the PIN of their own. If the line
or the card went away between the change and the report, the same is done again with the same new
PIN: the transport PIN is wrong then, and the card signs after the PIN that is on it.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from card_personalization.chip.errors import AttemptError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Slot
from card_personalization.station.centre import CentreClient
from card_personalization.station.faults import CentreAway, StationError, StationFault
from card_personalization.station.reading import read_card
from processing.wire.api import PinChallenge, own_pin_digest, transport_pin

AskCode = Callable[[], str]


def change_pin(
    card: PivClient, centre: CentreClient | None, ask_old: AskCode, ask_new: AskCode
) -> bool:
    """Change a card's PIN; whether it was its transport PIN, and the centre knows.

    `ask_old` is asked only for a PIN of the holder's own, which is changed without the centre too;
    a transport PIN is not. StationError(PIN_FORM, PIN_TRANSPORT, PIN_AT_CENTRE), CardError.
    """
    card.select()
    view = read_card(card)
    transport = transport_pin(view.card_number or "")
    asked, away = _ask(centre, view.card_id)
    if centre is None or asked is None or not asked.pin_is_transport:
        old = ask_old()
        if away is not None and old == transport:
            raise away
        _change(card, old, ask_new())
        return False
    new = ask_new()
    if new == transport:
        raise StationError(StationFault.PIN_TRANSPORT)
    try:
        _change(card, transport, new)
    except AttemptError as error:
        if error.attempts_remaining == 0:
            raise
        # It may have been changed before, and the report did not arrive: then this one is right.
    card.verify_pin(new)
    digest = own_pin_digest(view.card_id, asked.challenge)
    proof = card.sign_digest(Slot.AUTHENTICATION, digest)
    card.forget_pin()
    centre.own_pin(view.card_id, proof)
    return True


def _ask(
    centre: CentreClient | None, card_id: UUID
) -> tuple[PinChallenge | None, StationError | None]:
    """What the centre asks of this card, or why it could not be asked."""
    if centre is None:
        return None, StationError(StationFault.PIN_AT_CENTRE)
    try:
        return centre.ask_own_pin(card_id), None
    except CentreAway as error:
        return None, error


def _change(card: PivClient, old: str, new: str) -> None:
    try:
        card.change_pin(old, new)
    except ValueError:
        raise StationError(StationFault.PIN_FORM) from None
