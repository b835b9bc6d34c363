"""The codec: round trips, one row per kind of error, and bytes from nowhere."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processing.wire.iso8583 import codec
from processing.wire.iso8583.codec import decode, encode, offset_of
from processing.wire.iso8583.errors import WireError
from processing.wire.iso8583.spec import FIELDS, Charset, Length, Profile

BOTH = pytest.mark.parametrize("profile", Profile, ids=lambda profile: str(profile.value))

_ALPHABETS = {
    Charset.DIGITS: "0123456789",
    Charset.ALNUM: "0123456789ABCXYZabcxyz",
    Charset.TEXT: "".join(map(chr, range(0x20, 0x7F))),
    Charset.TRACK: "0123456789=D",
}


def _values(number: int, profile: Profile) -> st.SearchStrategy[bytes]:
    """Return values that field `number` may hold."""
    spec = FIELDS[number]
    most = spec.room(profile)
    least = most if spec.length is Length.FIXED else 0
    match spec.charset:
        case Charset.BINARY:
            return st.binary(min_size=least, max_size=most)
        case Charset.SIGNED:
            digits = st.text("0123456789", min_size=most - 1, max_size=most - 1)
            return st.builds(
                lambda sign, rest: (sign + rest).encode(), st.sampled_from("CD"), digits
            )
        case charset:
            text = st.text(_ALPHABETS[charset], min_size=least, max_size=most)
            return text.map(str.encode)


@st.composite
def _messages(draw: st.DrawFn) -> tuple[str, dict[int, bytes], Profile]:
    profile = draw(st.sampled_from(Profile))
    numbers = draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=12))
    fields = {number: draw(_values(number, profile)) for number in sorted(numbers)}
    return draw(st.text("0123456789", min_size=4, max_size=4)), fields, profile


@given(_messages())
def test_what_was_written_is_read(message: tuple[str, dict[int, bytes], Profile]) -> None:
    mti, fields, profile = message
    frame = encode(mti, fields, profile)
    decoded = decode(frame, profile)
    assert (decoded.mti, decoded.fields) == (mti, fields)
    for number, value in fields.items():
        as_text = FIELDS[number].charset is Charset.BINARY and profile is Profile.HEX
        wire = value.hex().upper().encode() if as_text else value
        assert frame[offset_of(number, decoded, profile) :].startswith(wire)


@given(_messages(), st.data())
def test_no_cut_message_is_read(
    message: tuple[str, dict[int, bytes], Profile], data: st.DataObject
) -> None:
    mti, fields, profile = message
    frame = encode(mti, fields, profile)
    cut = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(WireError) as caught:
        decode(frame[:cut], profile)
    error = caught.value
    assert error.offset <= cut
    assert error.decoded.fields.items() <= fields.items()


@BOTH
@pytest.mark.parametrize("number", sorted(FIELDS))
def test_every_field_at_its_greatest(number: int, profile: Profile) -> None:
    spec = FIELDS[number]
    fill = b"C" + b"1" * 16 if spec.charset is Charset.SIGNED else b"1" * spec.room(profile)
    value = fill[: spec.room(profile)]
    assert decode(encode("0800", {number: value}, profile), profile).fields == {number: value}
    with pytest.raises(WireError) as caught:
        encode("0800", {number: value + b"1"}, profile)
    assert caught.value.field == str(number)


_HEAD = b"0200"
_DE2 = b"4000000000000000"
_DE3_4 = b"3000000000000000"
_DE41 = b"0000000000800000"
_DE52 = b"0000000000001000"
_DE70 = b"80000000000000000400000000000000"
_DE97 = b"80000000000000000000000080000000"

# name, frame, profile, field, offset, part of what was found, decoded so far
ERRORS: list[tuple[str, bytes, Profile, str, int, str, dict[int, bytes]]] = [
    ("nothing", b"", Profile.BINARY, "MTI", 0, "nothing", {}),
    ("short type", b"020", Profile.BINARY, "MTI", 0, "020", {}),
    ("letters in type", b"02A0" + _DE2, Profile.BINARY, "MTI", 0, "02A0", {}),
    ("Arabic-Indic type", "٠٢".encode() + _DE2, Profile.BINARY, "MTI", 0, "xd9", {}),
    ("no bitmap", _HEAD, Profile.BINARY, "bitmap", 4, "nothing", {}),
    ("short bitmap", _HEAD + b"40000", Profile.BINARY, "bitmap", 4, "40000", {}),
    ("lower-case bitmap", _HEAD + b"f" + _DE2[1:], Profile.BINARY, "bitmap", 4, "f0", {}),
    ("binary bitmap", _HEAD + b"\x40" + bytes(15), Profile.BINARY, "bitmap", 4, "x00", {}),
    ("signed bitmap", _HEAD + b"+" + _DE2[1:], Profile.BINARY, "bitmap", 4, "+0", {}),
    ("no second bitmap", _HEAD + _DE70[:16], Profile.BINARY, "bitmap", 20, "nothing", {}),
    ("half second bitmap", _HEAD + _DE70[:30], Profile.BINARY, "bitmap", 20, "0400", {}),
    ("empty second bitmap", _HEAD + b"8" + b"0" * 31, Profile.BINARY, "bitmap", 20, "none", {}),
    (
        "third bitmap",
        _HEAD + b"80000000000000008000000000000000",
        Profile.BINARY,
        "bitmap",
        20,
        "65",
        {},
    ),
    ("no length", _HEAD + _DE2, Profile.BINARY, "2", 20, "nothing", {}),
    ("letters in length", _HEAD + _DE2 + b"1A", Profile.BINARY, "2", 20, "1A", {}),
    ("negative length", _HEAD + _DE2 + b"-1", Profile.BINARY, "2", 20, "-1", {}),
    ("spaced length", _HEAD + _DE2 + b" 1", Profile.BINARY, "2", 20, " 1", {}),
    ("length over maximum", _HEAD + _DE2 + b"20", Profile.BINARY, "2", 20, "20", {}),
    ("value cut", _HEAD + _DE2 + b"16411", Profile.BINARY, "2", 22, "3: the message ends", {}),
    ("letters in digits", _HEAD + _DE2 + b"0241A", Profile.BINARY, "frame", 24, "A", {2: b"41"}),
    ("wrong digits", _HEAD + _DE2 + b"024A", Profile.BINARY, "2", 22, "4A", {}),
    (
        "second of a run",
        _HEAD + _DE3_4 + b"00000000000000012-",
        Profile.BINARY,
        "4",
        26,
        "12-",
        {3: b"000000"},
    ),
    ("cut in a run", _HEAD + _DE3_4 + b"00000000", Profile.BINARY, "4", 26, "2", {3: b"000000"}),
    ("not printable", _HEAD + _DE41 + b"T000004\x7f", Profile.BINARY, "41", 20, "x7f", {}),
    ("UTF-8 digits", _HEAD + _DE41 + "٤٢٠٠".encode(), Profile.BINARY, "41", 20, "xd9", {}),
    ("signed without sign", _HEAD + _DE97 + b"1" * 17, Profile.BINARY, "97", 36, "111", {}),
    ("signed with minus", _HEAD + _DE97 + b"D-" + b"1" * 15, Profile.BINARY, "97", 36, "D-1", {}),
    ("trailing bytes", _HEAD + _DE70 + b"301\0", Profile.BINARY, "frame", 39, "x00", {70: b"301"}),
    ("lower-case hex", _HEAD + _DE52 + b"00112233445566aa", Profile.HEX, "52", 20, "aa", {}),
    ("not hex", _HEAD + _DE52 + b"001122334455667G", Profile.HEX, "52", 20, "G", {}),
    ("hex with spaces", _HEAD + _DE52 + b"00112233445566  ", Profile.HEX, "52", 20, "  ", {}),
    ("odd hex", _HEAD + b"0000000000000200003ABC", Profile.HEX, "55", 23, "ABC", {}),
    (
        "hex over room",
        _HEAD + b"0000000000000200999" + b"A" * 999,
        Profile.HEX,
        "55",
        20,
        "999",
        {},
    ),
]


@pytest.mark.parametrize(
    ("frame", "profile", "field", "offset", "found", "decoded"),
    [row[1:] for row in ERRORS],
    ids=[row[0] for row in ERRORS],
)
def test_error_names_field_place_and_finding(
    frame: bytes, profile: Profile, field: str, offset: int, found: str, decoded: dict[int, bytes]
) -> None:
    with pytest.raises(WireError) as caught:
        decode(frame, profile)
    error = caught.value
    assert (error.field, error.offset) == (field, offset)
    assert found in error.found
    assert error.decoded.fields == decoded
    assert str(error).startswith(f"field {field} at byte {offset}: expected ")


# name, type, fields, field named
UNWRITABLE: list[tuple[str, str, dict[int, bytes], str]] = [
    ("short type", "020", {}, "MTI"),
    ("Arabic-Indic type", "٠٢٠٠", {}, "MTI"),
    ("field 1", "0200", {1: b""}, "bitmap"),
    ("field 65", "0200", {65: bytes(8)}, "bitmap"),
    ("field 129", "0200", {129: b""}, "bitmap"),
    ("too short", "0200", {11: b"1"}, "11"),
    ("too long", "0200", {48: b"x" * 1000}, "48"),
    ("minus", "0200", {4: b"-00000000001"}, "4"),
    ("line feed", "0200", {48: b"\n"}, "48"),
]


@pytest.mark.parametrize(
    ("mti", "fields", "field"), [row[1:] for row in UNWRITABLE], ids=[row[0] for row in UNWRITABLE]
)
def test_unsound_values_are_not_written(mti: str, fields: dict[int, bytes], field: str) -> None:
    with pytest.raises(WireError) as caught:
        encode(mti, fields, Profile.BINARY)
    assert caught.value.field == field


_BITMAPS = st.binary(min_size=8, max_size=16).map(lambda raw: raw.hex().upper().encode())


@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda bitmap, rest: b"0200" + bitmap + rest, _BITMAPS, st.binary(max_size=200)),
        st.builds(
            lambda bitmap, rest: b"0200" + bitmap + rest,
            _BITMAPS,
            st.text("0123456789ABCD=", max_size=600).map(str.encode),
        ),
    ),
    st.sampled_from(Profile),
)
@example(b"0200" + b"F" * 32, Profile.BINARY)
def test_random_bytes_raise_only_wire_errors(frame: bytes, profile: Profile) -> None:
    try:
        decoded = decode(frame, profile)
    except WireError as error:
        offset = error.offset
    else:
        offset = len(encode(decoded.mti, decoded.fields, profile))
        assert offset == len(frame)
    assert 0 <= offset <= len(frame)


def test_plans_from_the_network_are_bounded() -> None:
    for number in range(3 * codec.PLANS_MAX):
        with pytest.raises(WireError, match="expected"):
            decode(b"0200%016X" % (1 << 56 | number), Profile.BINARY)
    assert codec._layout.cache_info().currsize <= codec.PLANS_MAX
