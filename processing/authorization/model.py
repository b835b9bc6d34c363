"""What passes between the parts of authorization, to the database and back."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol
from uuid import UUID

import msgspec

from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Decision, Request, Right


class Proof(IntEnum):
    """What the check of the card's signature found; a fact for the rules, not yet an outcome."""

    NOT_NEEDED = 0
    RIGHT = 1
    CARD_UNKNOWN = 2
    WRONG = 3
    TRANSPORT_PIN = 4
    """The PIN is one that the card's printed number tells: a signature after it proves nothing."""


class Asker(Protocol):
    """Whoever waits for the answer to one request. It is told exactly once."""

    def answered(self, answer: Answer) -> None:
        """Take the answer; never raises, whatever became of the asker meanwhile."""


class CardKey(msgspec.Struct, frozen=True):
    """A card's public keys (uncompressed P-256 points) and whose card it is.

    They never change for a card's GUID: a new key is a new card. A temporary card, which is a code
    on paper, has no key of a PIN; nor is one told of a card that has its transport PIN still.
    """

    card_id: bytes
    holder_id: bytes
    tap: bytes
    pin: bytes | None
    pin_is_transport: bool = False


class Case(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A request made ready for the rules.

    `holder_id` is the request's, or the card's own holder when an inquiry names none; `bucket`
    is that holder's; `canonical` are the bytes the card signed and `digest` their SHA-256.
    """

    request: Request
    canonical: bytes
    digest: bytes
    proof: Proof
    holder_id: UUID
    bucket: int


class Waiting(msgspec.Struct, frozen=True, eq=False):
    """A case that waits for its batch, who asked, and where an inquiry's page of rights begins."""

    case: Case
    asker: Asker
    first_right: int = 0


class Ruling(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What engine.authorize answered to one case.

    `decision` is None when the key belongs to another request. `replayed` tells a stored decision
    from one just made. `balances` are what the allowances drawn on still hold.
    """

    outcome: Outcome
    decision: Decision | None
    replayed: bool
    facts: dict[str, str]
    balances: tuple[Right, ...] = ()
