from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_personalization.chip.apdu import (
    ApduError,
    Command,
    Sw,
    attempts_remaining,
    decode_command,
    decode_response,
    encode_extended,
    encode_short,
    sw_name,
)

# The seven cases of ISO/IEC 7816-3 §12.1.3.
CASES = [
    ("00200080", Command(0x20, 0, 0x80, answer_bytes=None)),
    ("0020008000", Command(0x20, 0, 0x80, answer_bytes=256)),
    ("00c0000010", Command(0xC0, answer_bytes=16)),
    ("0020008002aabb", Command(0x20, 0, 0x80, b"\xaa\xbb", None)),
    ("00cb3fff035c017e00", Command(0xCB, 0x3F, 0xFF, b"\x5c\x01\x7e", 256)),
    ("00cb3fff000000", Command(0xCB, 0x3F, 0xFF, b"", 65_536, extended=True)),
    ("00cb3fff000123", Command(0xCB, 0x3F, 0xFF, b"", 0x123, extended=True)),
    ("00cb3fff0000035c017e", Command(0xCB, 0x3F, 0xFF, b"\x5c\x01\x7e", None, extended=True)),
    ("00cb3fff0000035c017e0000", Command(0xCB, 0x3F, 0xFF, b"\x5c\x01\x7e", 65_536, extended=True)),
    ("10db3fff02aabb", Command(0xDB, 0x3F, 0xFF, b"\xaa\xbb", None, cla=0x10)),
]

BROKEN = [
    ("", 0),
    ("00a404", 3),
    ("00a4040005aabb", 5),
    ("00a4040001aabbcc", 6),
    ("00a404000001", 5),
    ("00a4040000000000", 5),
    ("00a40400000005aabb", 7),
    ("00a40400000001aabb", 8),
]


@pytest.mark.parametrize(("encoded", "command"), CASES)
def test_command_cases(encoded: str, command: Command) -> None:
    assert decode_command(bytes.fromhex(encoded)) == command
    encode = encode_extended if command.extended else encode_short
    assert encode(command).hex() == encoded


@pytest.mark.parametrize(("encoded", "offset"), BROKEN)
def test_a_broken_command_is_told_with_its_offset(encoded: str, offset: int) -> None:
    with pytest.raises(ApduError) as caught:
        decode_command(bytes.fromhex(encoded))
    assert caught.value.offset == offset


def test_lengths_have_limits() -> None:
    with pytest.raises(ValueError, match="255"):
        encode_short(Command(0xDB, data=bytes(256)))
    with pytest.raises(ValueError, match="65535"):
        encode_extended(Command(0xDB, data=bytes(65_536)))
    with pytest.raises(ApduError, match="status word"):
        decode_response(b"\x90")


@pytest.mark.parametrize(
    ("sw", "name", "left"),
    [
        (0x9000, "ok", None),
        (0x6105, "more data waits", None),
        (0x63C2, "verification failed, 2 attempts left", 2),
        (0x63C0, "verification failed, 0 attempts left", 0),
        (Sw.AUTHENTICATION_BLOCKED, "authentication blocked", 0),
        (0x6C10, "wrong expected length, 16 fits", None),
        (0x6999, "unknown", None),
    ],
)
def test_status_words_in_words(sw: int, name: str, left: int | None) -> None:
    assert (sw_name(sw), attempts_remaining(sw)) == (name, left)


@given(
    st.builds(
        Command,
        ins=st.integers(0, 255),
        p1=st.integers(0, 255),
        p2=st.integers(0, 255),
        data=st.binary(max_size=300),
        answer_bytes=st.one_of(st.none(), st.integers(1, 65_536)),
        cla=st.sampled_from((0x00, 0x10)),
        extended=st.booleans(),
    )
)
def test_round_trip(command: Command) -> None:
    extended = len(command.data) > 255 or (command.answer_bytes or 0) > 256
    encoded = encode_extended(command) if extended else encode_short(command)
    again = decode_command(encoded)
    assert (again.data, again.answer_bytes) == (command.data, command.answer_bytes)
    assert (again.cla, again.ins, again.p1, again.p2) == (
        command.cla,
        command.ins,
        command.p1,
        command.p2,
    )


@given(st.binary(max_size=40))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    offset, taken = 0, 0
    try:
        taken = len(decode_command(data).data)
    except ApduError as error:
        offset = error.offset
    assert 0 <= offset <= len(data) + 2
    assert taken <= len(data)
