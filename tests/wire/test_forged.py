"""What a stranger's client may get wrong: each mistake has its named error and its answer."""

from __future__ import annotations

import re

import msgspec
import pytest

from processing.wire.iso8583.answers import decode_answer, encode_answer, malformed_answer
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.errors import WireError
from processing.wire.iso8583.mac import sealed
from processing.wire.iso8583.messages import NetworkAnswer, OfferedKey, Rejection
from processing.wire.iso8583.requests import encode_request, parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import Kind
from tests.wire.examples import ENVELOPE, MAC, NETWORK, TERMINAL_ID, TOTALS, request_of

BOTH = pytest.mark.parametrize("profile", Profile, ids=lambda profile: str(profile.value))

# What a stranger's client may get wrong: name, kind, changed fields, expected field, part of found.
_SALE48 = decode(
    encode_request(request_of(Kind.SALE), ENVELOPE, Profile.BINARY, MAC), Profile.BINARY
).fields[48]
_SALE55 = decode(
    encode_request(request_of(Kind.SALE), ENVELOPE, Profile.BINARY, MAC), Profile.BINARY
).fields[55]


def _swap(old: bytes, new: bytes, data: bytes = _SALE48) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


_SQ64 = (b"SQ0041003", b"SQ0199999999999999999999")
_KEY = b"PK02320260302T0000042000104"
FORGED: list[tuple[str, Kind, dict[int, bytes | None], str, str]] = [
    ("no field 3", Kind.SALE, {3: None}, "3", "no such field"),
    ("no field 4", Kind.SALE, {4: None}, "4", "no such field"),
    ("no field 7", Kind.SALE, {7: None}, "7", "no such field"),
    ("no field 11", Kind.SALE, {11: None}, "11", "no such field"),
    ("no field 41", Kind.SALE, {41: None}, "41", "no such field"),
    ("no field 48", Kind.SALE, {48: None}, "48", "no such field"),
    ("no field 53", Kind.SALE, {53: None}, "53", "no such field"),
    ("no field 55", Kind.SALE, {55: None}, "55", "no such field"),
    ("no field 90", Kind.REVERSAL, {90: None}, "90", "no such field"),
    ("no field 70", Kind.SALE, {3: b"990000"}, "3", "990000"),
    ("STAN 0", Kind.SALE, {11: b"000000"}, "11", "0"),
    ("terminal in lower case", Kind.SALE, {41: b"t0000042"}, "41", "t0000042"),
    ("amount is not the sum", Kind.SALE, {4: b"000000042549"}, "4", "000000042549"),
    ("other local date", Kind.SALE, {13: b"0303"}, "13", "0303"),
    ("other scheme", Kind.SALE, {53: b"0200100000000000"}, "53", "0200100000000000"),
    ("key id 256", Kind.SALE, {53: b"0125600000000000"}, "53", "01256"),
    ("key id with a tail", Kind.SALE, {53: b"0100100000000001"}, "53", "01001"),
    ("completion as 0200", Kind.SALE, {3: b"920000"}, "MTI", "0200"),
    ("original of another class", Kind.REVERSAL, {90: b"0100" + b"0" * 38}, "90", "0100"),
    ("unknown tag", Kind.SALE, {48: _SALE48 + b"XX0011"}, "48", "XX"),
    ("lower-case tag", Kind.SALE, {48: _swap(b"DT008", b"dt008")}, "48", "dt"),
    ("tag twice", Kind.SALE, {48: _SALE48 + b"DT00820260302"}, "48.DT", "the tag again"),
    ("half a tag", Kind.SALE, {48: _SALE48 + b"I"}, "48", "I"),
    ("length cut", Kind.SALE, {48: _SALE48 + b"PV00"}, "48.PV", "00"),
    ("length not digits", Kind.SALE, {48: _swap(b"DT008", b"DT0 8")}, "48.DT", "0 8"),
    ("length too long", Kind.SALE, {48: _SALE48 + b"PV0091"}, "48.PV", "1: the field ends"),
    ("length far too long", Kind.SALE, {48: _SALE48 + b"PV999"}, "48.PV", "0: the field ends"),
    ("empty value", Kind.SALE, {48: _SALE48 + b"PV000"}, "48.PV", "nothing"),
    ("single entry in 62", Kind.SALE, {62: b"PV0011"}, "62.PV", "one of field 48"),
    ("no card", Kind.SALE, {48: _swap(b"CR034", b"IT034")}, "48.IT[1]", "77"),
    ("no date", Kind.SALE, {48: _swap(b"DT00820260302", b"")}, "48.DT", "no such entry"),
    ("no such day", Kind.SALE, {48: _swap(b"20260302", b"20260230")}, "48.DT", "20260230"),
    ("month of 13", Kind.SALE, {48: _swap(b"20260302", b"20261302")}, "48.DT", "20261302"),
    ("lower-case hex", Kind.SALE, {48: _swap(b"3F2504E0", b"3f2504e0")}, "48.CR", "3f2504e0"),
    ("identifier kind 5", Kind.SALE, {48: _swap(b"ID0011", b"ID0015")}, "48.ID", "5"),
    ("negative sequence", Kind.SALE, {48: _swap(b"SQ0041", b"SQ004-")}, "48.SQ", "-003"),
    ("plus sign", Kind.SALE, {48: _swap(b"SQ0041", b"SQ004+")}, "48.SQ", "+003"),
    ("underscore in digits", Kind.SALE, {48: _swap(b"SQ0041003", b"SQ0041_03")}, "48.SQ", "1_03"),
    (
        "last value cut",
        Kind.SALE,
        {48: _SALE48[:-1]},
        "48.IT[2]",
        "the field ends",
    ),
    (
        "sequence of 64 bits",
        Kind.SALE,
        {48: _swap(*_SQ64)},
        "48.SQ",
        "9999999999999999999",
    ),
    ("line of four parts", Kind.SALE, {48: _SALE48 + b"IT009A,1,796,0"}, "48.IT[3]", "A,1,796,0"),
    ("negative gross", Kind.SALE, {48: _SALE48 + b"IT012A,1,796,0,-1"}, "48.IT[3]", "-1"),
    ("quantity 0", Kind.SALE, {62: b"IT011A,0,796,0,0"}, "62.IT[3].quantity", "0"),
    ("29 lines", Kind.SALE, {62: b"IT011A,1,796,0,0" * 27}, "48.IT", "29 lines"),
    (
        "parent on a sale",
        Kind.SALE,
        {48: _SALE48 + _KEY + b"2"},
        "48.PK",
        "20260302T0000042",
    ),
    (
        "class 9 of the parent",
        Kind.SALE,
        {48: _SALE48 + _KEY + b"9"},
        "48.PK",
        "9",
    ),
    ("no parent", Kind.RETURN, {48: _SALE48}, "48.PK", "none"),
    ("empty 55", Kind.SALE, {55: b""}, "55.DF01", "no such"),
    ("unknown object", Kind.SALE, {55: _SALE55 + b"\xdf\x05\x00"}, "55", "DF05"),
    ("object twice", Kind.SALE, {55: _SALE55 + _SALE55[:19]}, "55.DF01", "again"),
    ("half a BER tag", Kind.SALE, {55: _SALE55 + b"\xdf"}, "55", "DF"),
    ("no BER length", Kind.SALE, {55: _SALE55 + b"\xdf\x11"}, "55", "DF11"),
    ("indefinite length", Kind.SALE, {55: b"\xdf\x01\x80" + bytes(16)}, "55.DF01", "x80"),
    (
        "length of four bytes",
        Kind.SALE,
        {55: b"\xdf\x01\x84\0\0\0\x10" + bytes(16)},
        "55.DF01",
        "x84",
    ),
    (
        "length over the end",
        Kind.SALE,
        {55: b"\xdf\x01\x10" + bytes(15)},
        "55.DF01",
        "15: the field",
    ),
    ("nonce of 15", Kind.SALE, {55: b"\xdf\x01\x0f" + bytes(15)}, "55.DF01", "15"),
    ("signature alone", Kind.SALE, {55: _SALE55[19:]}, "55.DF01", "no such"),
    ("no key reference", Kind.SALE, {55: _SALE55[:86]}, "55.DF03", "no such"),
    (
        "key 9C",
        Kind.SALE,
        {55: _swap(b"\xdf\x03\x01\x9e", b"\xdf\x03\x01\x9c", _SALE55)},
        "55.DF03",
        "9C",
    ),
    ("algorithm 2", Kind.SALE, {55: _SALE55[:-1] + b"\x02"}, "55.DF04", "02"),
    ("unsigned sale", Kind.SALE, {55: _SALE55[:19]}, "55.DF03", "0"),
]


@BOTH
@pytest.mark.parametrize(
    ("kind", "changes", "field", "found"),
    [row[1:] for row in FORGED],
    ids=[row[0] for row in FORGED],
)
def test_forged_message_gets_a_named_error_and_an_answer(
    kind: Kind, changes: dict[int, bytes | None], field: str, found: str, profile: Profile
) -> None:
    whole = decode(encode_request(request_of(kind), ENVELOPE, profile, MAC), profile)
    fields = {number: value for number, value in whole.fields.items() if number not in (64, 128)}
    for number, value in changes.items():
        fields.pop(number, None)
        if value is not None:
            fields[number] = value
    frame = sealed(whole.mti, fields, profile, MAC)
    with pytest.raises(WireError) as caught:
        parse_message(frame, profile)
    error = caught.value
    assert error.field == field
    assert found in error.found
    assert 0 <= error.offset <= len(frame)
    assert error.decoded.fields.items() >= fields.items()
    unsupported = changes.get(3) == b"990000"
    assert error.outcome is (Outcome.NOT_SUPPORTED if unsupported else Outcome.MALFORMED)
    answer = decode_answer(malformed_answer(error, profile, MAC), profile, MAC)
    assert isinstance(answer, Rejection)
    assert answer.outcome is error.outcome
    assert answer.facts["field"] == field
    assert answer.stan == int(fields.get(11, b"0"))


def test_offset_points_at_the_wrong_value() -> None:
    for profile in Profile:
        frame = encode_request(request_of(Kind.SALE), ENVELOPE, profile, MAC)
        wrong = frame.replace(b"ST0131772442000000", b"ST013177244200000X")
        with pytest.raises(WireError) as caught:
            parse_message(wrong, profile)
        assert wrong[caught.value.offset :].startswith(b"177244200000X")


@pytest.mark.parametrize(
    ("mti", "answer"),
    [
        ("0600", "0610"),
        ("0110", "0110"),
        ("0210", "0210"),
        ("0140", "0150"),
        ("0202", "0210"),
        ("1200", "1210"),
        ("9999", "9990"),
        ("0520", "0530"),
        ("0000", "0010"),
    ],
)
def test_unknown_type_indicator(mti: str, answer: str) -> None:
    frame = mti.encode() + encode_request(NETWORK, ENVELOPE, Profile.BINARY, MAC)[4:]
    with pytest.raises(WireError) as caught:
        parse_message(frame, Profile.BINARY)
    assert caught.value.field == "MTI"
    written = malformed_answer(caught.value, Profile.BINARY)
    fields = decode(written, Profile.BINARY).fields
    assert written[:4] == answer.encode()
    assert fields[39] == b"30"
    assert fields[41] == TERMINAL_ID.encode()
    assert 64 not in fields


def test_unreadable_bytes_are_answered_too() -> None:
    for frame in (b"", b"\xff" * 40, b"GET / HTTP/1.1\r\n\r\n..", b"0200"):
        with pytest.raises(WireError) as caught:
            parse_message(frame, Profile.HEX)
        decoded = decode(malformed_answer(caught.value, Profile.HEX), Profile.HEX)
        assert decoded.mti == ("0210" if frame == b"0200" else "0610")
        assert decoded.fields[39] == b"30"


def test_unknown_network_code_is_not_supported() -> None:
    frame = encode_request(NETWORK, ENVELOPE, Profile.BINARY, MAC).replace(b"301", b"302")
    with pytest.raises(WireError) as caught:
        parse_message(frame, Profile.BINARY)
    assert (caught.value.field, caught.value.outcome) == ("70", Outcome.NOT_SUPPORTED)


def test_totals_must_add_up() -> None:
    frame = encode_request(TOTALS, ENVELOPE, Profile.BINARY, MAC)
    wrong = frame.replace(b"D0000000000045400", b"D0000000000045401")
    with pytest.raises(WireError) as caught:
        parse_message(wrong, Profile.BINARY)
    assert caught.value.field == "97"


def test_negative_totals_are_not_sent() -> None:
    totals = msgspec.structs.replace(TOTALS.totals, approved_count=-1)
    with pytest.raises(WireError) as caught:
        encode_request(msgspec.structs.replace(TOTALS, totals=totals), ENVELOPE, Profile.HEX, MAC)
    assert caught.value.field == "76"


@pytest.mark.parametrize("lost", [b"KG", b"KW"])
def test_a_key_without_its_generation_is_no_answer(lost: bytes) -> None:
    message = parse_message(encode_request(NETWORK, ENVELOPE, Profile.BINARY, MAC), Profile.BINARY)
    key = OfferedKey(generation=2, wrapped=bytes(24))
    answer = NetworkAnswer(outcome=Outcome.APPROVED, centre_time_ms=0, key=key)
    fields = dict(decode(encode_answer(answer, message, MAC), Profile.BINARY).fields)
    entry = re.compile(rb"KG0012" if lost == b"KG" else rb"KW048[0-9A-F]{48}")
    fields[48] = entry.sub(b"", fields[48])
    del fields[128]
    with pytest.raises(WireError) as caught:
        decode_answer(sealed("0810", fields, Profile.BINARY, MAC), Profile.BINARY, MAC)
    assert caught.value.field == f"48.{lost.decode()}"
