"""The holder's own PIN in the place of the transport PIN: asked for, proven, written down.

A chip tells nobody whether its PIN was changed. A station asks the centre for a challenge, changes
the PIN and has the card sign the challenge after the new one. That shows that the card was there
and its PIN was entered; that this was not the old one again is the station's word.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from processing.cards.model import Card, Refusal
from processing.cards.report_check import proves
from processing.cards.store import CardStore
from processing.wire.api import CHALLENGE_BYTES, PinChallenge, ProblemType, own_pin_digest

PIN_CHALLENGE_MINUTES_MAX: Final = 60
"""How long a card may take to sign: its holder thinks of a PIN, and lines break off."""


async def ask_own_pin(store: CardStore, card_id: UUID, now: datetime) -> PinChallenge | Refusal:
    """Return what this card has to sign after its holder's own PIN; CARD_UNKNOWN."""
    card = await store.card(card_id)
    if card is None:
        return Refusal(ProblemType.CARD_UNKNOWN)
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    await store.ask_own_pin(card_id, challenge, now)
    return PinChallenge(
        card_id=card_id,
        card_number=card.card_number,
        pin_is_transport=card.pin_is_transport,
        challenge=challenge,
    )


async def set_own_pin(
    store: CardStore, card_id: UUID, proof: bytes, by: str, now: datetime
) -> Card | Refusal:
    """Take note of the holder's own PIN; again is harmless. CARD_UNKNOWN, PIN_PROOF_WRONG."""
    asked = await store.pin_in_question(card_id)
    if asked is not None:
        if now - asked.asked_at > timedelta(minutes=PIN_CHALLENGE_MINUTES_MAX):
            return _wrong(f"asked for more than {PIN_CHALLENGE_MINUTES_MAX} minutes ago")
        if not proves(asked.public_key_pin, own_pin_digest(card_id, asked.challenge), proof):
            return _wrong("no signature by slot 9A over the last challenge")
        await store.set_own_pin(card_id, asked.challenge, by)
    card = await store.card(card_id)
    if card is None:
        return Refusal(ProblemType.CARD_UNKNOWN)
    if card.pin_is_transport:
        return _wrong("no challenge was asked for, or another one since")
    return card


def _wrong(reason: str) -> Refusal:
    return Refusal(ProblemType.PIN_PROOF_WRONG, "proof", reason)
