from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_personalization.chip import ecdsa_signature as ecdsa
from card_personalization.chip.ecdsa_signature import public_point
from card_personalization.chip.softcard.signing import (
    shared_secret,
    sign_with_cryptography,
    sign_with_ecdsa,
)

NUMBERS = st.integers(1, ecdsa.P256_ORDER - 1)
SCALARS = NUMBERS.map(lambda number: number.to_bytes(32, "big"))


@given(r=NUMBERS, s=NUMBERS)
def test_der_to_raw_lowers_s_and_keeps_r(r: int, s: int) -> None:
    high_or_low = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    raw = ecdsa.raw_from_der(ecdsa.der_from_raw(high_or_low))
    assert raw[:32] == high_or_low[:32]
    assert int.from_bytes(raw[32:], "big") in (s, ecdsa.P256_ORDER - s)
    assert ecdsa.is_low_s(raw)
    assert ecdsa.raw_from_der(ecdsa.der_from_raw(raw)) == raw


@pytest.mark.parametrize(
    "der",
    [
        "",
        "3000",
        "3006020101020100",
        "30060201ff020101",
        "3009020101020101020101",
        "300604010102010100",
        "3027020101" + "0222" + "00" * 33 + "01",
        "3026020101" + "0221" + "00" + "ff" * 32,
    ],
)
def test_what_is_no_signature_is_refused(der: str) -> None:
    with pytest.raises(ValueError, match=r"ECDSA|TLV"):
        ecdsa.raw_from_der(bytes.fromhex(der))


@given(scalar=SCALARS, message=st.binary(max_size=64))
def test_two_implementations_check_each_other(scalar: bytes, message: bytes) -> None:
    digest = hashlib.sha256(message).digest()
    point = public_point(scalar)
    for sign in (sign_with_ecdsa, sign_with_cryptography):
        raw = ecdsa.raw_from_der(sign(scalar, digest))
        assert ecdsa.verifies(point, digest, raw)
        assert not ecdsa.verifies(point, hashlib.sha256(digest).digest(), raw)


def test_rfc_6979_vector() -> None:
    # RFC 6979 A.2.5, P-256 with SHA-256 over "sample".
    scalar = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
    raw = ecdsa.raw_from_der(sign_with_ecdsa(scalar, hashlib.sha256(b"sample").digest()))
    s = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    assert raw[:32].hex().upper() == (
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    )
    assert int.from_bytes(raw[32:], "big") == ecdsa.P256_ORDER - s


def test_both_sides_agree_on_a_secret() -> None:
    mine, yours = (5).to_bytes(32, "big"), (11).to_bytes(32, "big")
    assert shared_secret(mine, public_point(yours)) == shared_secret(yours, public_point(mine))


@pytest.mark.parametrize("point", [b"", b"\x04" + bytes(64), b"\x02" + bytes(32), bytes(65)])
def test_points_off_the_curve_are_refused(point: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the library words it differently per case
        ecdsa.public_key_from_point(point)


def test_a_raw_signature_has_64_bytes() -> None:
    with pytest.raises(ValueError, match="64 bytes, not 63"):
        ecdsa.der_from_raw(bytes(63))
