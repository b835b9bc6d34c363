"""Receipts prove a decision with the public key alone, and each fault has its name."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.merkle import inclusion_path, leaf_hash, tree_levels
from processing.wire.outcome import Outcome
from processing.wire.receipt import (
    Receipt,
    ReceiptError,
    ReceiptFault,
    decision_bytes,
    encoded_receipts,
)
from processing.wire.transaction import DecidedLine, Decision, Kind
from tests.wire.examples import (
    CARD_SCALAR,
    RECEIPT_SCALAR,
    decision_of,
    point_of,
    receipt_of,
    request_of,
)

PUBLIC = point_of(RECEIPT_SCALAR)
DECISION = decision_of(request_of(Kind.SALE))


@given(st.integers(1, 300), st.data())
def test_any_place_in_a_block_is_proven(size: int, data: st.DataObject) -> None:
    ordinal = data.draw(st.integers(0, size - 1))
    decision = msgspec.structs.replace(DECISION, ordinal=ordinal)
    receipt = Receipt.decode(receipt_of(decision, size).encode())
    receipt.verify(decision, PUBLIC)
    forged = msgspec.structs.replace(decision, outcome=Outcome.APPROVED_PARTLY)
    with pytest.raises(ReceiptError) as caught:
        receipt.verify(forged, PUBLIC)
    assert caught.value.fault is ReceiptFault.PATH_WRONG


def _with(**changes: object) -> Callable[[Receipt], Receipt]:
    return lambda receipt: msgspec.structs.replace(receipt, **changes)


FAULTS = [
    ("other block", _with(block=901), PUBLIC, ReceiptFault.OTHER_PLACE),
    ("other lane", _with(lane=2), PUBLIC, ReceiptFault.OTHER_PLACE),
    ("other ordinal", _with(ordinal=1), PUBLIC, ReceiptFault.OTHER_PLACE),
    ("no path", _with(path=()), PUBLIC, ReceiptFault.PATH_MISSING),
    ("strange path", _with(path=(bytes(32),) * 3), PUBLIC, ReceiptFault.PATH_WRONG),
    ("short path", _with(path=(bytes(32),)), PUBLIC, ReceiptFault.PATH_WRONG),
    ("other root", _with(root=bytes(32)), PUBLIC, ReceiptFault.PATH_WRONG),
    ("other size", _with(leaf_count=5, path=(bytes(32),) * 3), PUBLIC, ReceiptFault.PATH_WRONG),
    ("other key", _with(), point_of(CARD_SCALAR), ReceiptFault.KEY_OTHER),
    ("other key id", _with(key_id=bytes(8)), PUBLIC, ReceiptFault.KEY_OTHER),
    ("other time", _with(signed_at_ms=1), PUBLIC, ReceiptFault.SIGNATURE_WRONG),
    ("other signature", _with(signature=b"\1" * 64), PUBLIC, ReceiptFault.SIGNATURE_WRONG),
    ("zero signature", _with(signature=bytes(64)), PUBLIC, ReceiptFault.SIGNATURE_WRONG),
]


@pytest.mark.parametrize(
    ("change", "public_key", "fault"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_fault(
    change: Callable[[Receipt], Receipt], public_key: bytes, fault: ReceiptFault
) -> None:
    receipt = change(receipt_of(DECISION, 8))
    with pytest.raises(ReceiptError) as caught:
        receipt.verify(DECISION, public_key)
    assert caught.value.fault is fault


SOUND = receipt_of(DECISION, 8).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SOUND[:-1],
        SOUND + b"\0",
        b"\2" + SOUND[1:],
        SOUND[:127],
        SOUND[:127] + b"\x11" + bytes(17 * 32),
    ],
    ids=["empty", "cut", "trailing", "version 2", "no path length", "17 levels"],
)
def test_unreadable(data: bytes) -> None:
    with pytest.raises(ReceiptError) as caught:
        Receipt.decode(data)
    assert caught.value.fault is ReceiptFault.UNREADABLE


def test_every_fault_is_tested() -> None:
    assert {row[3] for row in FAULTS} | {ReceiptFault.UNREADABLE} == set(ReceiptFault)


@given(st.binary(max_size=300).filter(lambda data: len(data) not in (128, 160, 192, 224, 256, 288)))
def test_random_bytes_are_unreadable(data: bytes) -> None:
    with pytest.raises(ReceiptError) as caught:
        Receipt.decode(data)
    assert caught.value.fault is ReceiptFault.UNREADABLE


def test_decision_bytes_are_frozen() -> None:
    """One decision written out by hand from the table of docs/wire.md."""
    decision = Decision(
        request_digest=bytes(range(32)),
        outcome=Outcome.APPROVED,
        approval_code="000123",
        posting_date=DECISION.posting_date,
        decided_at_ms=0x0102030405060708,
        lane=1,
        block=2,
        ordinal=3,
        lines=(DecidedLine(4, 5),),
    )
    assert decision_bytes(decision).hex() == (
        "73706b2f6465636973696f6e01000000"
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "02bf"
        "303030313233"
        "013525ce"
        "0102030405060708"
        "0001"
        "0000000000000002"
        "0003"
        "01"
        "0000000000000004"
        "0000000000000005"
    )
    declined = msgspec.structs.replace(decision, approval_code="")
    assert decision_bytes(declined)[50:56] == bytes(6)


@given(st.integers(1, 260), st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1))
def test_the_receipts_of_a_block_are_encoded_alike(size: int, lane: int, block: int) -> None:
    tree = tree_levels([leaf_hash(number.to_bytes(2)) for number in range(size)])
    key_id, signature = bytes(range(8)), bytes(range(64))
    one_by_one = [
        Receipt(
            key_id=key_id,
            lane=lane,
            block=block,
            ordinal=ordinal,
            leaf_count=size,
            signed_at_ms=7,
            root=tree[-1][0],
            signature=signature,
            path=tuple(inclusion_path(tree, ordinal)),
        ).encode()
        for ordinal in range(size)
    ]
    assert encoded_receipts(key_id, lane, block, 7, signature, tree) == one_by_one
