"""A card is lost: it is suspended everywhere, a new one is asked for, a code serves meanwhile.

The code is a temporary card (`processing.wire.temporary_card`). Its key pair is made here; the
private key leaves in the code and is kept nowhere. It may act for whom the lost card may, only
with the centre's answer, never in the place of a PIN, for `TEMPORARY_DAYS`. It ends when the new
card is issued, when the lost one is found, or when another is lent.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from processing.cards.life import MoveResult, Stage
from processing.cards.model import LendResult, Refusal, TemporaryRow
from processing.cards.signing import SignDocument
from processing.cards.store import CardStore
from processing.kernel.clock import Clock
from processing.kernel.errors import DatabaseError, DatabaseUnavailableError
from processing.kernel.ids import uuid7
from processing.register.identifiers import CARD_SERIAL_DIGITS, make_card_number
from processing.wire.api import LentCard, ProblemType
from processing.wire.temporary_card import TemporaryCard

TEMPORARY_DAYS: Final = 14
"""How long a temporary card serves, the day it is lent included."""
NUMBER_DRAWS_MAX: Final = 8
"""Ten random digits collide once in millions of draws; eight in a row mean that something broke."""


async def report_lost(
    store: CardStore, sign: SignDocument, clock: Clock, card_id: UUID, *, by: str, reason: str
) -> LentCard | Refusal:
    """Suspend the card, ask for a new one and lend a code; again lends another.

    The card is suspended first, so that it is stopped whatever fails after. CARD_UNKNOWN and
    CARD_NOT_IN_USE say why not. Raises the errors of the store and of the key service.
    """
    told = f"lost: {reason}"
    away: DatabaseUnavailableError | None = None
    try:
        move = await store.move(card_id, Stage.SUSPENDED, by, told)
    except DatabaseUnavailableError as error:
        # Suspended wherever it can be. Those that are away are told later: the code need not wait.
        away = error
    else:
        if move.result is MoveResult.CARD_UNKNOWN:
            return Refusal(ProblemType.CARD_UNKNOWN)
        if not move.done:
            return Refusal(ProblemType.CARD_NOT_IN_USE, "card_id", move.en)
    try:
        region = await store.issuer_region(card_id)
    except DatabaseError:
        if away is not None:
            raise away from None
        raise
    if region is None:
        return Refusal(ProblemType.CARD_UNKNOWN)
    now = datetime.fromtimestamp(clock.utc_ms() / 1000, UTC)
    for _ in range(NUMBER_DRAWS_MAX):
        code, row = _draw(region, now, clock.local_date())
        text = code.encode(*await sign(code.document))
        match await store.lend_code(card_id, uuid7(now), row, by, told):
            case LendResult.LENT:
                return LentCard(
                    lost_card_id=card_id, card_id=row.card_id, valid_to=row.valid_to, text=text
                )
            case LendResult.NOT_SUSPENDED:
                return Refusal(ProblemType.CARD_NOT_IN_USE, "card_id", "it is no chip card in use")
            case LendResult.RIGHT_MISSING:
                raise DatabaseError("this database role has no right to lend temporary cards")
            case LendResult.NUMBER_TAKEN:
                continue
    raise DatabaseError(f"{NUMBER_DRAWS_MAX} card numbers drawn in a row are all taken")


def _draw(region: int, now: datetime, on: date) -> tuple[TemporaryCard, TemporaryRow]:
    """Return a new temporary card and what is kept of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Version 4: the GUID travels on every transaction and must not tell when it was made.
    card_id = UUID(bytes=os.urandom(16), version=4)
    valid_to = on + timedelta(days=TEMPORARY_DAYS - 1)
    code = TemporaryCard(
        card_id=card_id.bytes,
        region=region,
        valid_to=valid_to,
        private_key=key.private_numbers().private_value.to_bytes(32),
    )
    row = TemporaryRow(
        card_id=card_id,
        card_number=make_card_number(region, secrets.randbelow(10**CARD_SERIAL_DIGITS)),
        public_key_tap=key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        ),
        lent_at=now,
        lent_on=on,
        valid_to=valid_to,
    )
    return code, row
