"""What each order of a card gets for itself: identifiers, a number, a challenge."""

from __future__ import annotations

import os
import secrets
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from processing.kernel.errors import DatabaseError
from processing.kernel.ids import uuid7
from processing.register.identifiers import CARD_SERIAL_DIGITS, make_card_number
from processing.wire.api import CHALLENGE_BYTES

CARD_NUMBER_DRAWS_MAX: Final = 8
"""Ten random digits collide once in millions of draws; eight in a row mean that something broke."""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """An order's own: `challenge` (32 bytes) is what the new card signs."""

    order_id: UUID
    card_id: UUID
    card_number: str
    challenge: bytes


def draw(region: int, now: datetime) -> Drawn:
    """Return what one order of a card of this region gets; the number may turn out to be taken."""
    return Drawn(
        order_id=uuid7(now),
        # Version 4: a card's GUID travels on every tap and must not tell when it was ordered.
        card_id=UUID(bytes=os.urandom(16), version=4),
        card_number=make_card_number(region, secrets.randbelow(10**CARD_SERIAL_DIGITS)),
        challenge=os.urandom(CHALLENGE_BYTES),
    )


def all_taken() -> DatabaseError:
    """Return the fault of a row of draws that met taken numbers only."""
    return DatabaseError(f"{CARD_NUMBER_DRAWS_MAX} card numbers drawn in a row are all taken")
