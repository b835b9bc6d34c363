"""Answers: round trips, paging, receipts on both profiles, and what a terminal must not believe."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.iso8583.answers import decode_answer, encode_answer, undecided_answer
from processing.wire.iso8583.codec import decode, encode
from processing.wire.iso8583.errors import WireError
from processing.wire.iso8583.framing import FRAME_MAX_BYTES
from processing.wire.iso8583.mac import Mac, sealed
from processing.wire.iso8583.messages import (
    NetworkAnswer,
    OfferedKey,
    ParsedMessage,
    Rejection,
    Settlement,
    TotalsAnswer,
)
from processing.wire.iso8583.requests import encode_request, parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.receipt import Receipt, ReceiptError, ReceiptFault
from processing.wire.transaction import (
    LINES_MAX,
    RIGHTS_MAX,
    Answer,
    DecidedLine,
    Kind,
    Right,
)
from tests.wire.examples import (
    DAY,
    ENVELOPE,
    MAC,
    NETWORK,
    RECEIPT_SCALAR,
    RIGHT,
    SIGNED_AT_MS,
    TERMINAL_ID,
    TOTALS,
    answer_of,
    decision_of,
    point_of,
    receipt_of,
    request_of,
)

BOTH = pytest.mark.parametrize("profile", Profile, ids=lambda profile: str(profile.value))
EACH_KIND = pytest.mark.parametrize("kind", Kind, ids=lambda kind: str(kind.name))


def _parsed(kind: Kind, profile: Profile = Profile.BINARY, first_right: int = 0) -> ParsedMessage:
    envelope = msgspec.structs.replace(ENVELOPE, first_right=first_right)
    return parse_message(encode_request(request_of(kind), envelope, profile, MAC), profile)


def _received(answer: Answer, message: ParsedMessage) -> Answer:
    frame = encode_answer(answer, message, MAC)
    assert len(frame) <= FRAME_MAX_BYTES
    received = decode_answer(frame, message.profile, MAC)
    assert isinstance(received, Answer)
    return received


@BOTH
@EACH_KIND
def test_answer_comes_back(kind: Kind, profile: Profile) -> None:
    answer = answer_of(request_of(kind))
    assert _received(answer, _parsed(kind, profile)) == answer


@pytest.mark.parametrize(
    ("kind", "mti"),
    [
        (Kind.INQUIRY, b"0110"),
        (Kind.SALE, b"0210"),
        (Kind.COMPLETION, b"0230"),
        (Kind.REVERSAL, b"0410"),
    ],
)
def test_answer_echoes_its_request(kind: Kind, mti: bytes) -> None:
    message = _parsed(kind)
    frame = encode_answer(answer_of(request_of(kind)), message, MAC)
    assert frame[:4] == mti
    fields = decode(frame, Profile.BINARY).fields
    for number in (3, 4, 7, 11, 12, 13, 41, 42, 53):
        assert fields[number] == message.decoded.fields[number]


def test_same_decision_gives_the_same_bytes() -> None:
    answer, message = answer_of(request_of(Kind.SALE)), _parsed(Kind.SALE)
    assert encode_answer(answer, message, MAC) == encode_answer(answer, message, MAC)


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: str(outcome.name))
def test_every_outcome_travels(outcome: Outcome) -> None:
    request = request_of(Kind.SALE)
    decision = None
    if outcome.decided and outcome is not Outcome.KEY_REUSED:
        decision = msgspec.structs.replace(
            decision_of(request), outcome=outcome, approval_code="", lines=()
        )
    answer = Answer(outcome=outcome, key=request.key, decision=decision, facts={"limit": "7 pcs"})
    frame = encode_answer(answer, _parsed(Kind.SALE), MAC)
    assert decode_answer(frame, Profile.BINARY, MAC) == answer
    assert decode(frame, Profile.BINARY).fields[39] == TEXTS[outcome].de39.encode()


UNDECIDED = [outcome for outcome in Outcome if not outcome.decided]


@BOTH
@pytest.mark.parametrize("outcome", UNDECIDED, ids=lambda outcome: str(outcome.name))
def test_what_decides_nothing_may_come_without_mac(outcome: Outcome, profile: Profile) -> None:
    message = _parsed(Kind.SALE, profile)
    for mac in (MAC, None):
        received = decode_answer(undecided_answer(outcome, message, mac), profile, MAC)
        assert received == Answer(outcome=outcome, key=request_of(Kind.SALE).key)


@pytest.mark.parametrize("outcome", UNDECIDED, ids=lambda outcome: str(outcome.name))
def test_undecided_totals_and_network_are_rejections(outcome: Outcome) -> None:
    for sent in (TOTALS, NETWORK):
        frame = encode_request(sent, ENVELOPE, Profile.BINARY, MAC)
        message = parse_message(frame, Profile.BINARY)
        answer = undecided_answer(outcome, message, MAC, {"seconds": "5"})
        assert decode_answer(answer, Profile.BINARY, MAC) == Rejection(
            outcome=outcome, terminal_id=TERMINAL_ID, stan=sent.stan, facts={"seconds": "5"}
        )


@BOTH
@pytest.mark.parametrize(
    "answer",
    [
        TotalsAnswer(
            outcome=Outcome.APPROVED, settlement=Settlement.IN_BALANCE, totals=TOTALS.totals
        ),
        TotalsAnswer(outcome=Outcome.APPROVED, settlement=Settlement.OUT_OF_BALANCE),
        NetworkAnswer(outcome=Outcome.APPROVED, centre_time_ms=SIGNED_AT_MS, posting_date=DAY),
        NetworkAnswer(outcome=Outcome.TERMINAL_BLOCKED, centre_time_ms=0),
        NetworkAnswer(outcome=Outcome.APPROVED, centre_time_ms=1, rules_mark="0123456789ABCDEF"),
        NetworkAnswer(outcome=Outcome.APPROVED, centre_time_ms=1, key_due=True),
        NetworkAnswer(
            outcome=Outcome.APPROVED,
            centre_time_ms=SIGNED_AT_MS,
            posting_date=DAY,
            key=OfferedKey(generation=255, wrapped=bytes(range(24))),
        ),
    ],
)
def test_totals_and_network_answers_come_back(
    answer: TotalsAnswer | NetworkAnswer, profile: Profile
) -> None:
    sent = TOTALS if isinstance(answer, TotalsAnswer) else NETWORK
    message = parse_message(encode_request(sent, ENVELOPE, profile, MAC), profile)
    frame = encode_answer(answer, message, MAC)
    assert frame[:4] == (b"0510" if sent is TOTALS else b"0810")
    assert decode_answer(frame, profile, MAC) == answer


@BOTH
@pytest.mark.parametrize("count", [1, 10, 11, 19, 20, 28])
def test_every_decision_fits_with_all_its_lines(count: int, profile: Profile) -> None:
    decision = msgspec.structs.replace(
        decision_of(request_of(Kind.SALE)),
        decided_at_ms=2**53 - 1,
        lane=2**16 - 1,
        block=2**64 - 1,
        ordinal=2**16 - 1,
        lines=(DecidedLine(10**12 - 1, 10**12 - 1),) * count,
    )
    facts = {letter * 24: "v" * 40 for letter in "abcd"}
    receipt = msgspec.structs.replace(receipt_of(decision_of(request_of(Kind.SALE))))
    receipt = msgspec.structs.replace(
        receipt, lane=2**16 - 1, block=2**64 - 1, ordinal=2**16 - 1, path=(bytes(32),) * 16
    )
    answer = answer_of(
        request_of(Kind.SALE),
        decision=decision,
        facts=facts,
        rights=(_greatest_right(1),) * RIGHTS_MAX,
        receipt=receipt.encode(),
    )
    received = _received(answer, _parsed(Kind.SALE, profile))
    assert (received.decision, received.facts) == (decision, facts)
    assert received.rights == answer.rights[: len(received.rights)]
    assert received.next_right == len(received.rights) > 0


def _greatest_right(holder: int) -> Right:
    return Right(
        holder_id=holder.to_bytes(16),
        service="Z" * 16,
        service_version=2**31 - 1,
        item_class="Z" * 20,
        unit_okei=9999,
        scale=6,
        granted=2**63 - 1,
        remaining=2**63 - 1,
        percent=100,
        valid_to=date(9999, 12, 31),
    )


@BOTH
@pytest.mark.parametrize("total", [0, 1, 5, 6, 11, 12, 13, 14, 27, RIGHTS_MAX])
@pytest.mark.parametrize("greatest", [False, True])
def test_pages_of_an_inquiry_show_every_right_once(
    total: int, greatest: bool, profile: Profile
) -> None:
    every = tuple(
        _greatest_right(number + 1)
        if greatest
        else msgspec.structs.replace(RIGHT, remaining=number, holder_id=(number // 3).to_bytes(16))
        for number in range(total)
    )
    seen: list[Right] = []
    first, pages = 0, 0
    while True:
        answer = answer_of(request_of(Kind.INQUIRY), rights=every[first:])
        received = _received(answer, _parsed(Kind.INQUIRY, profile, first))
        seen += received.rights
        pages += 1
        if not received.next_right:
            break
        assert received.next_right == len(seen) > first, "a page that shows nothing never ends"
        first = received.next_right
    assert tuple(seen) == every
    assert pages <= (total // 10 + 1 if greatest else total // 13 + 1)


@given(st.integers(0, RIGHTS_MAX), st.integers(0, 4), st.sampled_from(Profile), st.data())
def test_any_answer_fits(rights: int, facts: int, profile: Profile, data: st.DataObject) -> None:
    kopecks = st.integers(0, 10**12 - 1)
    lines = data.draw(st.lists(st.builds(DecidedLine, kopecks, kopecks), max_size=LINES_MAX))
    decision = msgspec.structs.replace(decision_of(request_of(Kind.SALE)), lines=tuple(lines))
    length = data.draw(st.integers(1, 40))
    answer = answer_of(
        request_of(Kind.SALE),
        decision=decision,
        facts=dict.fromkeys("abcd"[:facts], "=" * length),
        rights=tuple(_greatest_right(number % 2) for number in range(rights)),
        next_right=data.draw(st.sampled_from([0, 64])),
    )
    received = _received(answer, _parsed(Kind.SALE, profile))
    assert (received.decision, received.facts) == (decision, answer.facts)
    assert received.rights == answer.rights[: len(received.rights)]
    whole = len(received.rights) == rights
    assert received.next_right == (answer.next_right if whole else len(received.rights))


LEVELS = [(1, 0), (2, 1), (256, 8), (1024, 10), (2048, 11)]


@pytest.mark.parametrize(("leaves", "levels"), LEVELS)
@BOTH
def test_receipt_travels_with_its_path_where_it_fits(
    leaves: int, levels: int, profile: Profile
) -> None:
    answer = answer_of(request_of(Kind.SALE), leaves)
    received = _received(answer, _parsed(Kind.SALE, profile))
    assert received.decision is not None
    receipt = Receipt.decode(received.receipt)
    if profile is Profile.HEX and levels > 10:
        with pytest.raises(ReceiptError) as caught:
            receipt.verify(received.decision, point_of(RECEIPT_SCALAR))
        assert caught.value.fault is ReceiptFault.PATH_MISSING
    else:
        assert received == answer
        assert len(receipt.path) == levels
        receipt.verify(received.decision, point_of(RECEIPT_SCALAR))


BAD_ANSWERS = [
    ("five facts", {"facts": dict.fromkeys("abcde", "1")}, "48.FC"),
    ("fact in Russian", {"facts": {"limit": "остаток"}}, "48.FC"),
    ("fact with a capital", {"facts": {"Limit": "1"}}, "48.FC"),
    ("fact of 41", {"facts": {"limit": "x" * 41}}, "48.FC"),
    ("empty fact", {"facts": {"limit": ""}}, "48.FC"),
    ("negative balance", {"rights": (msgspec.structs.replace(RIGHT, remaining=-1),)}, "48.RT"),
    ("comma in a class", {"rights": (msgspec.structs.replace(RIGHT, item_class="a,b"),)}, "48.RT"),
    ("page of five digits", {"next_right": 10_000}, "48.NR"),
    ("receipt cut", {"receipt": bytes(127)}, "55.DF12"),
]


@pytest.mark.parametrize(
    ("changes", "field"), [row[1:] for row in BAD_ANSWERS], ids=[row[0] for row in BAD_ANSWERS]
)
def test_unsound_answers_are_not_sent(changes: dict[str, Any], field: str) -> None:
    answer = answer_of(request_of(Kind.SALE), **changes)
    with pytest.raises(WireError) as caught:
        encode_answer(answer, _parsed(Kind.SALE), MAC)
    assert caught.value.field == field


def _changed(changes: dict[int, bytes | None], mti: str = "0210", mac: Mac | None = MAC) -> bytes:
    answer = answer_of(request_of(Kind.SALE))
    fields = decode(encode_answer(answer, _parsed(Kind.SALE), MAC), Profile.BINARY).fields
    del fields[64]
    for number, value in changes.items():
        fields.pop(number)
        if value is not None:
            fields[number] = value
    return sealed(mti, fields, Profile.BINARY, mac)


_DE48 = decode(_changed({}), Profile.BINARY).fields[48]
_NO_HOLDER = (b"RT0750195519E5A0070008000000000000007", b"RT043")
BELIED: list[tuple[str, bytes, str]] = [
    ("no MAC on a decision", _changed({}, mac=None), "64"),
    ("another key's MAC", _changed({}, mac=Mac(bytes(16))), "64"),
    ("a request", _changed({}, mti="0200"), "MTI"),
    ("another version", _changed({}, mti="1210"), "MTI"),
    ("no outcome", _changed({48: _DE48.replace(b"RC003703", b"")}), "48.RC"),
    ("unknown outcome", _changed({48: _DE48.replace(b"RC003703", b"RC003999")}), "48.RC"),
    ("39 of another outcome", _changed({39: b"51"}), "39"),
    ("no field 39", _changed({39: None}), "39"),
    ("no field 48", _changed({48: None}), "48"),
    ("place without field 55", _changed({55: None}), "55"),
    ("place without posting date", _changed({48: _DE48.replace(b"PD00820260302", b"")}), "48.PD"),
    ("no terminal", _changed({41: None}), "41"),
    ("no STAN", _changed({11: None}), "11"),
    ("holder left out first", _changed({48: _DE48.replace(*_NO_HOLDER)}), "48.RT[1]"),
    ("five facts", _changed({48: _DE48 + b"FC003a=1" * 4}), "48.FC[5]"),
    ("no digest", _changed({55: b"\xdf\x12\x81\x80" + bytes(128)}), "55.DF11"),
]


@pytest.mark.parametrize(
    ("frame", "field"), [row[1:] for row in BELIED], ids=[row[0] for row in BELIED]
)
def test_terminal_believes_no_unsound_answer(frame: bytes, field: str) -> None:
    with pytest.raises(WireError) as caught:
        decode_answer(frame, Profile.BINARY, MAC)
    assert caught.value.field == field


@given(st.data())
def test_damaged_answers_raise_only_wire_errors(data: st.DataObject) -> None:
    frame = bytearray(encode_answer(answer_of(request_of(Kind.SALE)), _parsed(Kind.SALE), MAC))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WireError):
        decode_answer(bytes(frame), Profile.BINARY, MAC)


@given(st.binary(max_size=400), st.sampled_from(("0210", "0510", "0810", "0610")))
def test_random_field_48_raises_only_wire_errors(tlv: bytes, mti: str) -> None:
    printable = bytes(0x20 + byte % 0x5F for byte in tlv)
    frame = encode(mti, {39: b"00", 48: printable}, Profile.BINARY)
    with pytest.raises(WireError):
        decode_answer(frame, Profile.BINARY, MAC)
