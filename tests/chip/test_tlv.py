from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_personalization.chip import tlv

TAGS = st.one_of(
    st.integers(0x01, 0xFE).filter(lambda tag: tag & 0x1F != 0x1F),
    st.builds(
        lambda first, second: first << 8 | second,
        st.sampled_from((0x5F, 0x7F, 0x9F)),
        st.integers(0x01, 0x7F),
    ),
    st.integers(0x5FC101, 0x5FC123),
)

ENCODED = [
    (0x53, b"", "5300"),
    (0x80, b"\x01", "800101"),
    (0x5FC102, b"\xaa\xbb", "5fc10202aabb"),
    (0x7F49, bytes(0x7F), "7f497f" + "00" * 0x7F),
    (0x53, bytes(0x80), "538180" + "00" * 0x80),
    (0x53, bytes(0x100), "53820100" + "00" * 0x100),
]

BROKEN = [
    ("53", 1, "a length byte"),
    ("5f", 1, "another byte of the tag"),
    ("5fc1", 2, "another byte of the tag"),
    ("5fc1c1c101", 0, "a tag of at most 3 bytes"),
    ("5305aabb", 2, "5 bytes of value, found 2"),
    ("5380aabb0000", 1, "a definite length in 1 to 3 bytes"),
    ("538401000000", 1, "a definite length in 1 to 3 bytes"),
    ("5382ff", 2, "2 length bytes"),
    ("530153" + "5302aa", 5, "2 bytes of value, found 1"),
]


@pytest.mark.parametrize(("tag", "value", "expected"), ENCODED)
def test_encode(tag: int, value: bytes, expected: str) -> None:
    assert tlv.encode(tag, value).hex() == expected
    assert tlv.unwrap(bytes.fromhex(expected), tag) == value


@pytest.mark.parametrize(("data", "offset", "expected"), BROKEN)
def test_a_broken_object_is_told_with_its_offset(data: str, offset: int, expected: str) -> None:
    with pytest.raises(tlv.TlvError) as caught:
        tlv.parse(bytes.fromhex(data))
    assert (caught.value.offset, caught.value.expected) == (offset, expected)


def test_too_long_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 65535"):
        tlv.encode(0x53, bytes(0x10000))


@pytest.mark.parametrize("data", ["", "5300" + "5300", "5400"])
def test_unwrap_wants_exactly_the_object_named(data: str) -> None:
    with pytest.raises(tlv.TlvError, match="one data object with tag 53"):
        tlv.unwrap(bytes.fromhex(data), 0x53)


@given(st.lists(st.tuples(TAGS, st.binary(max_size=300)), max_size=6))
def test_what_was_encoded_is_parsed(items: list[tuple[int, bytes]]) -> None:
    data = b"".join(tlv.encode(tag, value) for tag, value in items)
    assert [(item.tag, item.value) for item in tlv.parse(data)] == items


@given(st.binary(max_size=80))
def test_parsing_never_reads_past_the_end(data: bytes) -> None:
    offset = 0
    items: tuple[tlv.Tlv, ...] = ()
    try:
        items = tlv.parse(data)
    except tlv.TlvError as error:
        offset = error.offset
    assert 0 <= offset <= len(data)
    assert sum(len(item.value) + 2 for item in items) <= len(data)
    assert all(item.value in data[item.offset :] for item in items)
