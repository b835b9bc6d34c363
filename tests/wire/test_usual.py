"""The quick ways and the careful ways agree: on what they accept, and on every byte and word of it.

`Layout.read` beside `decode_carefully`, `usual_message` beside `careful_message`, `usual_proof`
beside `decode_proof`, and a usual answer beside one that is made entry by entry, field by field.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.wire.iso8583 import answers, codec, de55, fields, messages, usual
from processing.wire.iso8583.answers import encode_answer
from processing.wire.iso8583.codec import decode, decode_carefully
from processing.wire.iso8583.errors import Decoded, WireError
from processing.wire.iso8583.mac import sealed
from processing.wire.iso8583.messages import ParsedMessage, Transaction
from processing.wire.iso8583.requests import careful_message, encode_request, parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.iso8583.usual import usual_message
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    DecidedLine,
    Kind,
    Line,
    MessageClass,
    Request,
    TransactionKey,
)
from tests.wire.examples import (
    ENVELOPE,
    MAC,
    NETWORK,
    RIGHT,
    TOTALS,
    answer_of,
    decision_of,
    request_of,
)
from tests.wire.strategies import any_requests

BOTH = pytest.mark.parametrize("profile", Profile, ids=lambda profile: str(profile.value))
Result = TypeVar("Result")


def _said(call: Callable[[], Result]) -> Result | tuple[str, int, str, str, Decoded]:
    """Return what a reading gives, or all that its error says."""
    try:
        return call()
    except WireError as error:
        return error.field, error.offset, error.expected, error.found, error.decoded


def _agrees(frame: bytes, profile: Profile) -> ParsedMessage | None:
    """Hold the quick readings of a frame to the careful ones; return what the quick one gave."""
    carefully = _said(lambda: decode_carefully(frame, profile))
    assert _said(lambda: decode(frame, profile)) == carefully
    quickly = usual_message(frame, profile)
    if not isinstance(carefully, Decoded):
        assert quickly is None
        return None
    if quickly is not None:
        plain = msgspec.structs.replace(quickly, echo=None)
        assert plain == careful_message(frame, carefully, profile)
        assert plain.decoded == carefully
    return quickly


def _frame(request: Request, profile: Profile, changes: dict[int, bytes | None]) -> bytes:
    """Return the request with some fields replaced, added or, for None, left out."""
    whole = decode(encode_request(request, ENVELOPE, profile, MAC), profile)
    kept = {number: value for number, value in whole.fields.items() if number not in (64, 128)}
    given_fields = {number: value for number, value in changes.items() if value is not None}
    for number in changes:
        kept.pop(number, None)
    content = kept | given_fields
    # A case may say itself where the MAC stands; then none is made.
    return sealed(whole.mti, content, profile, None if 64 in content else MAC)


@BOTH
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.REVERSAL])
def test_every_kind_but_a_reversal_is_usual(kind: Kind, profile: Profile) -> None:
    for repeat in (False, True):
        request = msgspec.structs.replace(request_of(kind), repeat=repeat)
        frame = encode_request(request, ENVELOPE, profile, MAC)
        parsed = _agrees(frame, profile)
        assert parsed is not None
        assert parsed.message == Transaction(request)


@BOTH
def test_what_is_rare_is_read_carefully(profile: Profile) -> None:
    for message in (request_of(Kind.REVERSAL), TOTALS, NETWORK):
        frame = encode_request(message, ENVELOPE, profile, MAC)
        assert _agrees(frame, profile) is None
        assert parse_message(frame, profile).authentic(MAC)


def test_28_lines_are_usual() -> None:
    lines = tuple(Line(f"N02BE01-500-{number}", 2, 796, 0, 100 + number) for number in range(28))
    request = msgspec.structs.replace(request_of(Kind.SALE), lines=lines)
    frame = encode_request(request, ENVELOPE, Profile.BINARY, MAC)
    assert 62 in decode(frame, Profile.BINARY).fields
    assert _agrees(frame, Profile.BINARY) is not None
    more = _frame(request, Profile.BINARY, {62: b"IT011A,1,796,0,0" * 28})
    assert _agrees(more, Profile.BINARY) is None


@given(any_requests(), st.sampled_from(Profile))
def test_any_sound_request_is_read_alike(request: Request, profile: Profile) -> None:
    frame = encode_request(request, ENVELOPE, profile, MAC)
    quickly = _agrees(frame, profile)
    assert quickly is None or quickly.message == Transaction(request)
    assert parse_message(frame, profile).message == Transaction(request)


@settings(max_examples=300)
@given(st.sampled_from(Kind), st.sampled_from(Profile), st.data())
def test_damaged_frames_are_read_alike(kind: Kind, profile: Profile, data: st.DataObject) -> None:
    sound = encode_request(request_of(kind), ENVELOPE, profile, MAC)
    frame = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        match data.draw(st.sampled_from(("change", "cut", "insert", "swap"))):
            case "change":
                frame[at] = data.draw(st.sampled_from(b"019AFaf ,-+_=.\x00\x7f\xff"))
            case "cut":
                del frame[at : at + data.draw(st.integers(1, 4))]
            case "insert":
                frame[at:at] = data.draw(st.sampled_from((b"0", b"A", b",", b"\xff")))
            case _:
                frame[at : at + 2] = frame[at : at + 2][::-1]
        frame = frame or bytearray(b"0")
    quickly = _agrees(bytes(frame), profile)
    assert quickly is None or quickly.authentic(MAC) is (frame == sound)


_NUMBERS = [
    *(str(2**bits + off) for bits in (31, 32, 53, 63) for off in (-1, 0)),
    *("9" * digits for digits in (4, 5, 9, 10, 15, 16, 18, 19, 20)),
    *("", "0", "00", "007", "+1", "-1", " 1", "1_0", "1.0", "A"),
]
_GUID = "3F" * 16
_USUAL = {"DT": "20260302", "CR": "77" + _GUID, "RH": "01" * 16, "ID": "1", "EP": "3", "SQ": "1003"}
_USUAL |= {"ST": "1772442000000", "CH": "A1", "PK": "20260302T00000420001042", "SV": "MED-148"}
_USUAL |= {"VR": "5", "PV": "2", "SL": "41", "PG": "7", "IT": "A,1,796,0,5"}
_ODD: dict[str, list[str]] = {
    "DT": ["20260303", "20260230", "00000101", "99991231", "2026030", "202603020"],
    "CR": [region + _GUID for region in ("00", "01", "99", "7", "AA")] + ["77" + _GUID.lower()],
    "RH": ["00" * 16, "ab" * 16, "AB" * 15, "FF" * 17],
    "ID": ["0", "1", "4", "5", "12"],
    "CH": ["", "A", "a1", "A1B2C", "00", "FF" * 32, "FF" * 33],
    "PK": [f"{_USUAL['PK'][:-1]}{one}" for one in (0, 1, 3, 4, 9)] + ["20260230T00000420001042"],
    "SV": ["VR0015", "AVR0015", "XIT0", "IT011A", "-A", "med", "Z" * 16, "Z" * 17, ""],
    "IT": [
        *("A,1,796,0,0", "A,0,796,0,5", "A,01,796,0,5", "A,1,0,0,5", "A,1,0796,0,5", "A,1,796,7,5"),
        *("A,1,796,6,5", "A,1,796,0,-5", "A,1,796,0,05", ".,1,796,0,5", "A,1,796,0,5,", "A,1,796"),
        f"{'Z' * 20},9999999999,9999,6,5",
        f"{'Z' * 21},1,796,0,5",
        "A,1,796,0,1000000000000",
        "A,10000000000,796,0,5",
    ],
}


def _content(entries: dict[str, str], shift: dict[str, int] | None = None) -> bytes:
    """Return a field 48; `shift` makes the length of an entry wrong by so much."""
    wrong = shift or {}
    texts = (f"{tag}{len(v) + wrong.get(tag, 0):03d}{v}" for tag, v in entries.items())
    return "".join(texts).encode("ascii")


def _contents_of(kind: Kind) -> list[bytes]:
    """Return fields 48 that differ from a sound one of this kind in one thing each."""
    sound = dict(_USUAL)
    if request_of(kind).parent is None:
        del sound["PK"]
    without = [{tag: sound[tag] for tag in sound if tag != left_out} for left_out in sound]
    odd = [sound | {tag: value} for tag in sound for value in _ODD.get(tag, _NUMBERS)]
    backwards = dict(reversed(sound.items()))
    both = dict(_USUAL)
    shifted = [_content(sound, {tag: by}) for tag in sound for by in (-1, 1) if len(sound[tag]) > 1]
    twice = [_content(sound) + _content({tag: sound[tag]}) for tag in sound]
    return [_content(one) for one in (sound, both, backwards, *without, *odd)] + shifted + twice


@BOTH
@pytest.mark.parametrize("kind", Kind, ids=lambda kind: str(kind.name))
def test_odd_contents_are_read_alike(kind: Kind, profile: Profile) -> None:
    seen = {True: 0, False: 0}
    for content in _contents_of(kind):
        frame = _frame(request_of(kind), profile, {48: content, 4: b"000000000005", 13: None})
        seen[_agrees(frame, profile) is not None] += 1
    assert seen[False] > 100
    assert seen[True] == 0 if kind is Kind.REVERSAL else seen[True] > 20


_NO_LINES = _content({tag: _USUAL[tag] for tag in _USUAL if tag not in ("IT", "PK")})

# Name, kind, fields changed, and whether it is still sound.
_ODD_FIELDS: list[tuple[str, Kind, dict[int, bytes | None], bool]] = [
    ("nothing", Kind.SALE, {}, True),
    ("no local date", Kind.SALE, {13: None}, True),
    ("no local time", Kind.SALE, {12: None}, True),
    ("a reference", Kind.SALE, {37: b"ABC123456789"}, True),
    ("no acceptor", Kind.SALE, {42: None}, True),
    ("a name of the acceptor", Kind.SALE, {43: b"APTEKA".ljust(40)}, False),
    ("another local date", Kind.SALE, {13: b"0303"}, False),
    ("another amount", Kind.SALE, {4: b"000000042551"}, False),
    ("STAN 0", Kind.SALE, {11: b"000000"}, False),
    ("lower-case terminal", Kind.SALE, {41: b"t0000042"}, False),
    ("spaced terminal", Kind.SALE, {41: b"T000004 "}, False),
    ("no time", Kind.SALE, {7: None}, False),
    ("key id 256", Kind.SALE, {53: b"0125600000000000"}, False),
    ("29 lines", Kind.SALE, {62: b"IT011A,1,796,0,0" * 27}, False),
    ("half a line", Kind.SALE, {62: b"IT011A,1,796,0"}, False),
    ("single entry in 62", Kind.SALE, {62: b"PV0011"}, False),
    ("unsigned sale", Kind.SALE, {55: b"\xdf\x01\x10" + bytes(16)}, False),
    ("another nonce", Kind.COMPLETION, {55: b"\xdf\x01\x10" + bytes(16)}, True),
    ("a field behind the MAC", Kind.SALE, {64: bytes(8), 100: b"1"}, False),
    ("completion as 0200", Kind.SALE, {3: b"920000"}, False),
    ("no line", Kind.SALE, {48: _NO_LINES, 4: b"0" * 12}, False),
    ("no line of a visit", Kind.VISIT_START, {48: _NO_LINES, 4: b"0" * 12}, True),
    ("unknown code", Kind.SALE, {3: b"990000"}, False),
]


@BOTH
@pytest.mark.parametrize(
    ("kind", "changes", "usual_still"),
    [row[1:] for row in _ODD_FIELDS],
    ids=[row[0] for row in _ODD_FIELDS],
)
def test_odd_fields_are_read_alike(
    kind: Kind, changes: dict[int, bytes | None], usual_still: bool, profile: Profile
) -> None:
    quickly = _agrees(_frame(request_of(kind), profile, changes), profile)
    assert (quickly is not None) is usual_still


_PROOFS = [decode(encode_request(request_of(kind), ENVELOPE, Profile.BINARY, MAC), Profile.BINARY)
           .fields[55] for kind in (Kind.SALE, Kind.COMPLETION)]  # fmt: skip


@pytest.mark.parametrize("proof", _PROOFS, ids=["signed", "unsigned"])
def test_damaged_proofs_are_read_alike(proof: bytes) -> None:
    damaged = [proof[:at] + proof[at + 1 :] for at in range(len(proof))]
    damaged += [
        proof[:at] + bytes((byte,)) + proof[at + 1 :]
        for at in range(len(proof))
        for byte in (0, proof[at] ^ 1, proof[at] + 1 & 0xFF, 0x9A, 0x81)
    ]
    accepted = 0
    for data in damaged:
        try:
            quickly = de55.usual_proof(data)
        except ValueError:
            continue
        accepted += 1
        read = de55.decode_proof(data)
        assert quickly == (read.nonce, read.signature, read.evidence, read.algorithm)
    assert 0 < accepted < len(damaged)


def test_proofs_as_written_are_usual() -> None:
    for proof in _PROOFS:
        read = de55.decode_proof(proof)
        assert de55.usual_proof(proof) == (
            read.nonce,
            read.signature,
            read.evidence,
            read.algorithm,
        )


_SALE = request_of(Kind.SALE)
_DECISION = decision_of(_SALE)
_ODD_NUMBERS = st.sampled_from([-1, 0, 1, 10**5 - 1, 10**5, 10**12, 10**16, 10**20 - 1, 10**20])


_ODD_RIGHTS = [
    msgspec.structs.replace(RIGHT, **{name: value})
    for name, value in (
        *(("holder_id", bytes(range(16))), ("valid_to", date(999, 1, 2)), ("holder_id", b"12")),
        *(("granted", 10**19), ("granted", -1), ("remaining", 10**19 - 1), ("remaining", -1)),
        *(("service", "med"), ("service_version", -1), ("item_class", "й"), ("item_class", "")),
        *(("unit_okei", 10_000), ("scale", 7), ("percent", 1000)),
    )
]


@st.composite
def _answers(draw: st.DrawFn) -> Any:
    """Return an answer with a decision whose parts need not be sound."""
    changes: dict[str, object] = {}
    for name in ("lane", "block", "ordinal", "decided_at_ms"):
        if not draw(st.integers(0, 5)):
            changes[name] = draw(_ODD_NUMBERS)
    kopecks = st.one_of(st.integers(0, 10**6), _ODD_NUMBERS)
    lines = draw(st.lists(st.builds(DecidedLine, st.integers(0, 10**6), kopecks), max_size=40))
    codes = st.sampled_from(["004711", "", "12345", "ABC12z", "ключик", "12 456", "1234567"])
    decision = msgspec.structs.replace(
        _DECISION, lines=tuple(lines), approval_code=draw(codes), **changes
    )
    names = st.sampled_from(["remaining", "limit", "a", "A", "", "x" * 24, "x" * 25, "a=b"])
    values = st.sampled_from(["10", "", "x" * 40, "x" * 41, "й", "a\nb", "~ ", "DL0031,2"])
    return answer_of(
        _SALE,
        outcome=draw(st.sampled_from(Outcome)),
        decision=decision,
        facts=draw(st.dictionaries(names, values, max_size=5)),
        rights=draw(st.sampled_from([(), (RIGHT,), (RIGHT, *_ODD_RIGHTS[:2]), (RIGHT,) * 30]))
        or (draw(st.sampled_from(_ODD_RIGHTS)),) * draw(st.integers(0, 1)),
        receipt=draw(st.sampled_from([b"", bytes(127), bytes(128), bytes(640), bytes(641)])),
        next_right=draw(st.sampled_from([0, 0, 7])),
    )


@settings(max_examples=150)
@given(_answers(), st.sampled_from(Profile), st.sets(st.sampled_from([12, 13, 37, 42])))
def test_usual_answers_are_written_alike(answer: Any, profile: Profile, left_out: set[int]) -> None:
    frame = _frame(_SALE, profile, dict.fromkeys(left_out))
    message = parse_message(frame, profile)
    assert message.echo is not None
    quickly = _said(lambda: encode_answer(answer, message, MAC))
    plain = msgspec.structs.replace(message, echo=None)
    carefully = _said(lambda: encode_answer(answer, plain, MAC))
    if isinstance(carefully, bytes):
        assert quickly == carefully
    else:
        # Both refuse; where several things are wrong, each may name its own first.
        assert not isinstance(quickly, bytes)


@pytest.mark.parametrize(
    ("name", "limit"),
    [("lane", 10**5), ("ordinal", 10**5), ("block", 10**20), ("decided_at_ms", 10**16)],
)
def test_numbers_over_their_form_are_not_written(name: str, limit: int) -> None:
    message = parse_message(encode_request(_SALE, ENVELOPE, Profile.BINARY, MAC), Profile.BINARY)
    for value, fits in ((0, True), (limit - 1, True), (limit, False), (-1, False)):
        decision = msgspec.structs.replace(_DECISION, **{name: value})
        answer = answer_of(_SALE, decision=decision)
        assert isinstance(_said(partial(encode_answer, answer, message, MAC)), bytes) is fits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("", "1"), ("A", "1"), ("x" * 25, "1"), ("й", "1"), ("a", ""), ("a", "x" * 41)),
        *(("a", "й"), ("a", "a\nb"), ("a", "\x7f"), ("a=b", "x" * 40)),
    ],
)
def test_facts_of_another_form_are_not_written(name: str, value: str) -> None:
    message = parse_message(encode_request(_SALE, ENVELOPE, Profile.BINARY, MAC), Profile.BINARY)
    with pytest.raises(WireError) as caught:
        encode_answer(answer_of(_SALE, facts={name: value}), message, MAC)
    assert caught.value.field == "48.FC"


@BOTH
def test_an_approval_is_usual(profile: Profile) -> None:
    message = parse_message(encode_request(_SALE, ENVELOPE, profile, MAC), profile)
    approval = answer_of(_SALE, 256)
    made = answers._usual_fields(approval, profile)
    assert made is not None
    fields = answers._transaction_fields(approval, 0, profile)
    assert made == (fields[38] + b"00", fields[48], fields[55])
    undecided = msgspec.structs.replace(approval, decision=None, outcome=Outcome.KEY_REUSED)
    assert answers._usual_fields(undecided, profile) is None
    assert encode_answer(approval, message, MAC)[:4] == b"0210"


def test_a_value_for_the_mac_is_refused() -> None:
    with pytest.raises(WireError) as caught:
        sealed("0200", {11: b"000001", 64: bytes(8)}, Profile.BINARY, MAC)
    assert caught.value.field == "64"


def test_what_is_kept_from_the_network_is_bounded() -> None:
    for number in range(3 * usual.KEPT_MAX):
        usual._service(f"SV001AVR{len(str(number)):03d}{number}")
        usual._day(date.fromordinal(730_000 + number).strftime("%Y%m%d"))
        fields.day_text(date.fromordinal(730_000 + number))
        messages.answer_mti(f"{number:04d}")
        answers._is_fact_name(f"name{number}")
        answers._kind_of_right("MED-148", number, "N02", 796, 0, 50, date(2026, 12, 31))
    for number in range(usual.ACCEPTORS_MAX + 10):
        usual._terminal_id(b"", f"T{number:07d}".encode())
    kept = [
        (usual._service, usual.KEPT_MAX),
        (usual._day, usual.KEPT_MAX),
        (usual._terminal_id, usual.ACCEPTORS_MAX),
        (answers._usual_head, codec.PLANS_MAX),
        (fields.day_text, fields.DAYS_MAX),
        (messages.answer_mti, messages.ANSWER_MTIS_MAX),
        (answers._is_fact_name, answers.FACT_NAMES_MAX),
        (answers._kind_of_right, answers.RIGHT_KINDS_MAX),
        (codec._layout, codec.PLANS_MAX),
        (codec._writing, codec.PLANS_MAX),
        (de55._head, de55.HEADS_MAX),
    ]
    for store, most in kept:
        info = store.cache_info()
        assert info.maxsize == most
        assert info.currsize <= most


def test_a_parent_is_taken_apart() -> None:
    assert usual._parent("PK02320260302T00000420001042") == TransactionKey(
        date(2026, 3, 2), "T0000042", 104, MessageClass.FINANCIAL
    )
