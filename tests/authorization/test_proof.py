"""What the card's signature proves, checked with keys that the world publishes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from processing.authorization.model import CardKey, Proof
from processing.authorization.proof import CardCache, KnownCard, check_proof, der_signature
from processing.authorization.verifying import Verify, aws_lc_verifier, openssl_verifier
from processing.wire.digest import request_digest
from processing.wire.transaction import Evidence, Request
from tests.authorization.world import HOLDER, inquiry, pills, reversal, sale
from tests.wire.examples import CARD_SCALAR, ORDER, RECEIPT_SCALAR, point_of, signed

CARD = KnownCard(CardKey(bytes(16), HOLDER.bytes, point_of(CARD_SCALAR), point_of(RECEIPT_SCALAR)))
FRESH = KnownCard(CardKey(bytes(16), HOLDER.bytes, point_of(CARD_SCALAR), None, True))
CODE = KnownCard(CardKey(bytes(16), HOLDER.bytes, point_of(CARD_SCALAR), None))
SALE = signed(sale(1, pills(1, 100)).request)
WITH_PIN = signed(msgspec.structs.replace(SALE, evidence=Evidence.PIN))


def with_s(request: Request, change: Callable[[int], int]) -> Request:
    s = change(int.from_bytes(request.signature[32:]))
    signature = request.signature[:32] + s.to_bytes(32)
    return msgspec.structs.replace(request, signature=signature)


MakeVerify = Callable[[bytes], Verify]


def _with_zeros(parts: bytes) -> bytes:
    """Return numbers of 31 bytes each, written in 32."""
    return b"\0" + parts[:31] + b"\0" + parts[31:]


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
    ("the tap's key does not prove a PIN", WITH_PIN, CARD, Proof.WRONG),
    ("a tap of a card with its transport PIN", SALE, FRESH, Proof.RIGHT),
    ("a transport PIN", WITH_PIN, FRESH, Proof.TRANSPORT_PIN),
    ("a chip's tap for a code", SALE, CODE, Proof.WRONG),
]


@pytest.mark.parametrize(
    ("request_", "card", "expected"), [pytest.param(*row, id=name) for name, *row in PROOFS]
)
def test_proof(request_: Request, card: KnownCard | None, expected: Proof) -> None:
    assert check_proof(request_, request_digest(request_), card) is expected


# A signature as DER, r and s in hex: each library must say the same of it.
_R, _S = SALE.signature[:32].hex(), SALE.signature[32:].hex()
SIGNATURES = [
    ("right", _R, _S, True),
    ("high S, which the centre refuses before", _R, f"{ORDER - int(_S, 16):064x}", True),
    ("one bit of R", f"{int(_R, 16) ^ 1:064x}", _S, False),
    ("one bit of S", _R, f"{int(_S, 16) ^ 1:064x}", False),
    ("R zero", "00" * 32, _S, False),
    ("S zero", _R, "00" * 32, False),
    ("R the order", f"{ORDER:064x}", _S, False),
    ("S the order", _R, f"{ORDER:064x}", False),
    ("all ones", "ff" * 32, "ff" * 32, False),
    ("swapped", _S, _R, False),
]


@pytest.mark.parametrize("make", [openssl_verifier, aws_lc_verifier])
@pytest.mark.parametrize(("r", "s", "right"), [row[1:] for row in SIGNATURES])
def test_every_library_says_the_same(make: MakeVerify, r: str, s: str, right: bool) -> None:
    if make is aws_lc_verifier:
        pytest.importorskip("awscrt")
    verify = make(point_of(CARD_SCALAR))
    digest = request_digest(SALE)
    assert verify(digest, encode_dss_signature(int(r, 16), int(s, 16))) is right
    assert not verify(bytes(32), encode_dss_signature(int(r, 16), int(s, 16)))
    assert not verify(digest, b"")
    assert not verify(digest, bytes.fromhex(r + s))


@pytest.mark.parametrize("make", [openssl_verifier, aws_lc_verifier])
def test_every_library_refuses_what_is_no_point(make: MakeVerify) -> None:
    if make is aws_lc_verifier:
        pytest.importorskip("awscrt")
    point = point_of(CARD_SCALAR)
    for wrong in (b"", bytes(65), point[:-1], point[:-1] + bytes((point[-1] ^ 1,))):
        with pytest.raises(ValueError, match=r"\S"):
            make(wrong)


@given(st.binary(min_size=64, max_size=64) | st.binary(min_size=62, max_size=62).map(_with_zeros))
def test_der_is_that_of_the_library(signature: bytes) -> None:
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    assert der_signature(signature) == encode_dss_signature(r, s)


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


async def test_that_a_pin_is_a_transport_pin_is_not_remembered() -> None:
    told = [True, True, False]
    loads = []

    async def load(card_id: bytes) -> CardKey | None:
        loads.append(card_id)
        transport = told.pop(0)
        return CardKey(card_id, bytes(16), b"", None if transport else b"", transport)

    cache, card_id = CardCache(load), bytes(16)
    seen = []
    for evidence in (Evidence.TAP, Evidence.TAP, Evidence.PIN, Evidence.PIN, Evidence.PIN):
        known = cache.known(card_id, evidence) or await cache.card(card_id, evidence)
        assert known is not None
        seen.append(known.pin_is_transport)
    assert (seen, len(loads), len(cache)) == ([True, True, True, False, False], 3, 1)
