"""The quick ways to points and signatures give what the slow ones give."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.keys import Pen, private_key_of, public_point_of, public_points

PEN = Pen()
ALGORITHM = ec.ECDSA(Prehashed(hashes.SHA256()))


def slow_point(card: int) -> bytes:
    return (
        private_key_of(card)
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )


@pytest.mark.parametrize(("first", "count"), [(0, 2_001), (999, 2), (7, 1), (12_345, 0)])
def test_points(first: int, count: int) -> None:
    points = list(public_points(first, count))
    assert len(points) == count
    for offset in {0, 1, 998, 999, 1_000, 1_001, count - 1} & set(range(count)):
        assert points[offset] == slow_point(first + offset) == public_point_of(first + offset)


@settings(max_examples=30)
@given(st.integers(0, 1_000_000), st.binary(max_size=40))
def test_a_signature_verifies_with_its_card_and_no_other(card: int, text: bytes) -> None:
    digest = hashlib.sha256(text).digest()
    signature = PEN.signature(card, digest)
    r, s = (int.from_bytes(signature[at : at + 32]) for at in (0, 32))
    assert s <= 0x7FFFFFFF800000007FFFFFFFFFFFFFFFDE737D56D38BCF4279DCE5617E3192A8
    encoded = encode_dss_signature(r, s)
    private_key_of(card).public_key().verify(encoded, digest, ALGORITHM)
    with pytest.raises(InvalidSignature):
        private_key_of(card + 1).public_key().verify(encoded, digest, ALGORITHM)
