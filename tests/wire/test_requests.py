"""Requests: round trips, one row per thing that can be wrong, and the wire budget."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.iso8583.answers import malformed_answer
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.errors import WireError
from processing.wire.iso8583.framing import FRAME_MAX_BYTES
from processing.wire.iso8583.mac import Mac, sealed
from processing.wire.iso8583.messages import Envelope, Network, NetworkCode, Transaction
from processing.wire.iso8583.requests import encode_request, parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.transaction import (
    AMOUNT_MAX_KOPECKS,
    OF_A_PARENTS_LINES,
    QUANTITY_MAX,
    WITH_LINES,
    Evidence,
    Kind,
    Line,
    MessageClass,
    Request,
    SignatureAlgorithm,
    TransactionKey,
)
from tests.wire.examples import DAY, ENVELOPE, MAC, NETWORK, TERMINAL_ID, TOTALS, request_of
from tests.wire.strategies import any_requests

BOTH = pytest.mark.parametrize("profile", Profile, ids=lambda profile: str(profile.value))
EACH_KIND = pytest.mark.parametrize("kind", Kind, ids=lambda kind: str(kind.name))


def _sent(request: Request, profile: Profile = Profile.BINARY) -> Request:
    message = parse_message(encode_request(request, ENVELOPE, profile, MAC), profile).message
    assert isinstance(message, Transaction)
    return message.request


@BOTH
@EACH_KIND
def test_request_comes_back(kind: Kind, profile: Profile) -> None:
    request = request_of(kind)
    frame = encode_request(request, ENVELOPE, profile, MAC)
    parsed = parse_message(frame, profile)
    assert parsed.message == Transaction(request)
    assert (parsed.terminal_id, parsed.key_id) == (TERMINAL_ID, ENVELOPE.key_id)
    assert parsed.authentic(MAC)
    assert not parsed.authentic(Mac(bytes(16)))


MTIS = [
    (Kind.INQUIRY, False, False, "0100"),
    (Kind.INQUIRY, False, True, "0101"),
    (Kind.VISIT_START, True, False, "0120"),
    (Kind.VISIT_START, True, True, "0121"),
    (Kind.SALE, False, False, "0200"),
    (Kind.SALE, False, True, "0201"),
    (Kind.SALE, True, False, "0220"),
    (Kind.SALE, True, True, "0221"),
    (Kind.COMPLETION, True, False, "0220"),
    (Kind.COMPLETION, True, True, "0221"),
    (Kind.REVERSAL, False, False, "0400"),
    (Kind.REVERSAL, False, True, "0401"),
    (Kind.REVERSAL, True, False, "0420"),
    (Kind.REVERSAL, True, True, "0421"),
]


@pytest.mark.parametrize(("kind", "advice", "repeat", "mti"), MTIS)
def test_type_indicator_says_how_it_travelled(
    kind: Kind, advice: bool, repeat: bool, mti: str
) -> None:
    request = msgspec.structs.replace(request_of(kind), advice=advice, repeat=repeat)
    assert encode_request(request, ENVELOPE, Profile.BINARY, MAC)[:4] == mti.encode()
    assert _sent(request) == request


def test_completion_always_travels_as_an_advice() -> None:
    request = msgspec.structs.replace(request_of(Kind.COMPLETION), advice=False)
    assert encode_request(request, ENVELOPE, Profile.BINARY, MAC)[:4] == b"0220"


@BOTH
def test_totals_and_network_come_back(profile: Profile) -> None:
    for message in (TOTALS, NETWORK, msgspec.structs.replace(NETWORK, repeat=True)):
        frame = encode_request(message, ENVELOPE, profile, MAC)
        parsed = parse_message(frame, profile)
        assert parsed.message == message
        assert parsed.authentic(MAC)


@pytest.mark.parametrize("code", NetworkCode)
def test_network_codes(code: NetworkCode) -> None:
    network = Network(terminal_id=TERMINAL_ID, stan=1, code=code)
    frame = encode_request(network, ENVELOPE, Profile.BINARY, MAC)
    assert parse_message(frame, Profile.BINARY).message == network


def test_net_of_totals_may_be_negative() -> None:
    totals = msgspec.structs.replace(TOTALS.totals, reversed_covered_kopecks=200_000)
    message = msgspec.structs.replace(TOTALS, totals=totals)
    frame = encode_request(message, ENVELOPE, Profile.BINARY, MAC)
    assert decode(frame, Profile.BINARY).fields[97] == b"C0000000000112050"
    assert parse_message(frame, Profile.BINARY).message == message


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("kind", WITH_LINES)
def test_only_a_parents_line_can_be_left_out_by_a_quantity_of_zero(
    kind: Kind, profile: Profile
) -> None:
    request = request_of(kind)
    first, second = request.lines
    left_out = msgspec.structs.replace(first, quantity=0, gross_kopecks=0)
    request = msgspec.structs.replace(request, lines=(left_out, second))
    if kind in OF_A_PARENTS_LINES:
        assert _sent(request, profile) == request
        return
    with pytest.raises(WireError) as caught:
        _sent(request, profile)
    assert caught.value.field == "48.IT[1].quantity"
    assert caught.value.expected == "1 to 10 digits, 1 or more"


@given(any_requests(), st.sampled_from(Profile))
def test_any_sound_request_comes_back(request: Request, profile: Profile) -> None:
    assert _sent(request, profile) == request


GREATEST = Line("Z" * 20, QUANTITY_MAX, 9999, 6, 10**11)
LEAST = Line("A", 1, 1, 0, 0)


def _fullest(lines: int, line: Line) -> Request:
    """Return a request whose every entry of field 48 is as long as it may be."""
    return msgspec.structs.replace(
        request_of(Kind.RETURN),
        terminal_epoch=2**32 - 1,
        terminal_sequence=2**63 - 1,
        signed_at_ms=2**53 - 1,
        challenge=b"\xff" * 32,
        service="Z" * 16,
        service_version=2**31 - 1,
        passport_version=2**31 - 1,
        stop_list_version=2**31 - 1,
        lines=(line,) * lines,
    )


@BOTH
@pytest.mark.parametrize("count", [1, 9, 10, 11, 12, 27, 28])
@pytest.mark.parametrize(
    "line", [msgspec.structs.replace(GREATEST, gross_kopecks=35_714_285_714), LEAST]
)
def test_every_sound_request_fits(line: Line, count: int, profile: Profile) -> None:
    request = _fullest(count, line)
    envelope = msgspec.structs.replace(ENVELOPE, first_right=9999, reference="Z" * 12)
    frame = encode_request(request, envelope, profile, MAC)
    assert len(frame) <= FRAME_MAX_BYTES
    assert parse_message(frame, profile).message == Transaction(request, 9999)
    fields = decode(frame, profile).fields
    if count <= 10:
        assert 62 not in fields, "ten lines of any length fit field 48"


@pytest.mark.parametrize("line", [GREATEST, LEAST])
def test_more_than_28_lines_are_not_sent(line: Line) -> None:
    with pytest.raises(WireError) as caught:
        encode_request(_fullest(29, line), ENVELOPE, Profile.BINARY, MAC)
    assert (caught.value.field, caught.value.expected) == ("48.IT", "at most 28")


UNSOUND: list[tuple[str, dict[str, object], str]] = [
    ("terminal", {"key": TransactionKey(DAY, "t0000042", 1, MessageClass.FINANCIAL)}, "41"),
    ("Arabic terminal", {"key": TransactionKey(DAY, "٠" * 8, 1, MessageClass.FINANCIAL)}, "41"),
    ("STAN", {"key": TransactionKey(DAY, TERMINAL_ID, 0, MessageClass.FINANCIAL)}, "11"),
    ("class", {"key": TransactionKey(DAY, TERMINAL_ID, 1, MessageClass.REVERSAL)}, "MTI"),
    ("card", {"card_id": b"short"}, "48.CR"),
    ("region", {"issuer_region": 100}, "48.CR"),
    ("holder", {"holder_id": bytes(16)}, "48.RH"),
    ("nonce", {"nonce": bytes(15)}, "55.DF01"),
    ("signature", {"signature": b""}, "55.DF02"),
    ("algorithm", {"algorithm": SignatureAlgorithm.NONE}, "55.DF04"),
    ("evidence", {"evidence": Evidence.NONE, "signature": b""}, "55.DF04"),
    ("service", {"service": "мед"}, "48.SV"),
    ("challenge", {"challenge": bytes(33)}, "48.CH"),
    ("epoch", {"terminal_epoch": -1}, "48.EP"),
    ("sequence", {"terminal_sequence": 2**63}, "48.SQ"),
    ("time", {"signed_at_ms": 2**53}, "48.ST"),
    ("version", {"service_version": 2**31}, "48.VR"),
    ("no lines", {"lines": ()}, "48.IT"),
    ("item", {"lines": (Line("a,b", 1, 796, 0, 0),)}, "48.IT[1].item"),
    ("quantity", {"lines": (LEAST, Line("A", 0, 796, 0, 0))}, "48.IT[2].quantity"),
    ("negative", {"lines": (Line("A", 1, 796, 0, -1),)}, "48.IT[1].gross_kopecks"),
    ("total", {"lines": (Line("A", 1, 796, 0, AMOUNT_MAX_KOPECKS),) * 2}, "4"),
]


@pytest.mark.parametrize(
    ("changes", "field"), [row[1:] for row in UNSOUND], ids=[row[0] for row in UNSOUND]
)
def test_unsound_requests_are_not_sent(changes: dict[str, object], field: str) -> None:
    request = msgspec.structs.replace(request_of(Kind.SALE), **changes)
    with pytest.raises(WireError) as caught:
        encode_request(request, ENVELOPE, Profile.BINARY, MAC)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("envelope", "field"),
    [
        (Envelope(key_id=256, sent_at_ms=0), "53"),
        (Envelope(key_id=1, sent_at_ms=10**20), "7"),
        (Envelope(key_id=1, sent_at_ms=0, local_time="12:00"), "12"),
        (Envelope(key_id=1, sent_at_ms=0, reference="ref"), "37"),
        (Envelope(key_id=1, sent_at_ms=0, provider_id="аптека"), "42"),
        (Envelope(key_id=1, sent_at_ms=0, first_right=10_000), "48.PG"),
    ],
)
def test_unsound_envelopes_are_not_sent(envelope: Envelope, field: str) -> None:
    with pytest.raises(WireError) as caught:
        encode_request(request_of(Kind.INQUIRY), envelope, Profile.BINARY, MAC)
    assert caught.value.field == field


def test_an_inquiry_is_no_advice() -> None:
    request = msgspec.structs.replace(request_of(Kind.INQUIRY), advice=True)
    with pytest.raises(WireError) as caught:
        encode_request(request, ENVELOPE, Profile.BINARY, MAC)
    assert caught.value.field == "MTI"


@BOTH
def test_mac_covers_every_byte_before_it(profile: Profile) -> None:
    frame = encode_request(request_of(Kind.REVERSAL), ENVELOPE, profile, MAC)
    characters = 8 if profile is Profile.BINARY else 16
    parsed = parse_message(frame, profile)
    assert parsed.sealed == frame[:-characters]
    for at in range(len(parsed.sealed)):
        changed = bytes((parsed.sealed[at] ^ 1,))
        forged = parsed.sealed[:at] + changed + parsed.sealed[at + 1 :]
        assert not MAC.matches(forged, parsed.mac)


def test_mac_is_the_published_cmac() -> None:
    """RFC 4493 section 4: examples 1 to 3, cut to eight bytes."""
    message = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411"
    )
    assert MAC.tag(b"").hex() == "bb1d6929e9593728"
    assert MAC.tag(message[:16]).hex() == "070a16b46b4d4144"
    assert MAC.tag(message).hex() == "dfa66747de9ae630"


@pytest.mark.parametrize("place", ["missing", "in 64 beside a secondary bitmap"])
def test_mac_missing_or_in_the_wrong_field(place: str) -> None:
    whole = decode(
        encode_request(request_of(Kind.REVERSAL), ENVELOPE, Profile.BINARY, MAC), Profile.BINARY
    )
    fields = {number: value for number, value in whole.fields.items() if number != 128}
    if place != "missing":
        fields[64] = bytes(8)
    with pytest.raises(WireError) as caught:
        parse_message(sealed("0400", fields, Profile.BINARY, None), Profile.BINARY)
    assert caught.value.field == ("128" if place == "missing" else "64")


@given(st.sampled_from(Kind), st.sampled_from(Profile), st.data())
def test_damaged_messages_raise_only_wire_errors(
    kind: Kind, profile: Profile, data: st.DataObject
) -> None:
    sound = encode_request(request_of(kind), ENVELOPE, profile, MAC)
    frame = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(frame)
    try:
        parsed = parse_message(damaged, profile)
    except WireError as error:
        code = decode(malformed_answer(error, profile, MAC), profile).fields[39]
    else:
        code = b"30"
        assert damaged.startswith(parsed.sealed)
        assert parsed.authentic(MAC) is (damaged == sound)
    assert code in (b"30", b"40")


def test_a_leap_day_is_a_day() -> None:
    key = msgspec.structs.replace(request_of(Kind.SALE).key, business_date=date(2028, 2, 29))
    request = msgspec.structs.replace(request_of(Kind.SALE), key=key)
    assert _sent(request) == request
