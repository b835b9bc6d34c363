"""What the card's signature proves, checked with keys that the world publishes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from processing.authorization.model import CardKey, Proof
from processing.authorization.proof import CardCache, KnownCard, check_proof
from processing.wire.digest import request_digest
from processing.wire.transaction import Evidence, Request
from tests.authorization.world import HOLDER, inquiry, pills, reversal, sale
from tests.wire.examples import CARD_SCALAR, ORDER, RECEIPT_SCALAR, point_of, signed

CARD = KnownCard(CardKey(bytes(16), HOLDER.bytes, point_of(CARD_SCALAR), point_of(RECEIPT_SCALAR)))
SALE = signed(sale(1, pills(1, 100)).request)


def with_s(request: Request, change: Callable[[int], int]) -> Request:
    s = change(int.from_bytes(request.signature[32:]))
    signature = request.signature[:32] + s.to_bytes(32)
    return msgspec.structs.replace(request, signature=signature)


PROOFS = [
    ("signed by the card", SALE, CARD, Proof.RIGHT),
    ("an inquiry", signed(inquiry(1).request), CARD, Proof.RIGHT),
    ("a reversal needs no card", reversal(2, sale(1)).request, None, Proof.NOT_NEEDED),
    ("card not registered", SALE, None, Proof.CARD_UNKNOWN),
    ("high S", with_s(SALE, lambda s: ORDER - s), CARD, Proof.WRONG),
    ("one bit off", with_s(SALE, lambda s: s ^ 1), CARD, Proof.WRONG),
    ("S is zero", with_s(SALE, lambda s: 0), CARD, Proof.WRONG),
    ("all zero", msgspec.structs.replace(SALE, signature=bytes(64)), CARD, Proof.WRONG),
    (
        "R beyond the order",
        msgspec.structs.replace(SALE, signature=b"\xff" * 32 + SALE.signature[32:]),
        CARD,
        Proof.WRONG,
    ),
    (
        "another amount",
        msgspec.structs.replace(SALE, lines=(pills(1, 99),)),
        CARD,
        Proof.WRONG,
    ),
    (
        "the tap's key does not prove a PIN",
        signed(msgspec.structs.replace(SALE, evidence=Evidence.PIN)),
        CARD,
        Proof.WRONG,
    ),
]


@pytest.mark.parametrize(
    ("request_", "card", "expected"), [pytest.param(*row, id=name) for name, *row in PROOFS]
)
def test_proof(request_: Request, card: KnownCard | None, expected: Proof) -> None:
    assert check_proof(request_, request_digest(request_), card) is expected


async def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    loads: list[int] = []

    async def load(card_id: bytes) -> CardKey | None:
        loads.append(card_id[0])
        return None if card_id[0] == 99 else CardKey(card_id, bytes(16), b"", b"")

    cache = CardCache(load, cards_max=2)
    for number in (1, 2, 1, 3, 1, 2, 99, 99):
        card = await cache.card(bytes([number]) * 16)
        assert (card is None) is (number == 99)
        assert len(cache) <= 2
    # 2 left when 3 came, since 1 was used later; an unknown card is asked for every time.
    assert loads == [1, 2, 3, 2, 99, 99]
