"""Sales made ready are the sales that a terminal would send."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Final

import msgspec
import pytest

from bench.dialects import HttpDialect, IsoDialect, place_of
from bench.generator import iso_tag
from bench.traffic import HOT_PERCENT, Press, Sales, Traffic
from bench.world import HOT_HOLDER, BenchTerminal, World, public_point_of, terminal_id_of, uuid_of
from processing.authorization.model import CardKey
from processing.authorization.proof import KnownCard
from processing.wire.digest import request_digest
from processing.wire.iso8583.answers import undecided_answer
from processing.wire.iso8583.framing import Framing
from processing.wire.iso8583.messages import Transaction
from processing.wire.iso8583.requests import parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import STAN_MAX

SIGNED_AT_MS: Final = 1_772_442_000_000
WORLD: Final = World(
    cards=50,
    business_date=date(2026, 3, 2),
    terminals=tuple(
        BenchTerminal(terminal_id_of(number), 1, bytes([number]) * 16) for number in range(4)
    ),
    receipt_key=b"",
)


@pytest.mark.parametrize("traffic", Traffic)
def test_a_printed_message_equals_an_encoded_one(traffic: Traffic) -> None:
    sales = Sales(WORLD, traffic)
    press = Press(sales, SIGNED_AT_MS)
    for number in (0, 1, 5, 1_234, 399_999):
        draft = sales.draft(number)
        parsed = parse_message(press.message(draft), Profile.BINARY)
        assert parsed.authentic(sales.mac_of(draft))
        assert isinstance(parsed.message, Transaction)
        request = parsed.message.request
        unsigned = msgspec.structs.replace(request, signature=bytes(64))
        assert unsigned == sales.request(draft, SIGNED_AT_MS)
        point = public_point_of(draft.card)
        card = KnownCard(CardKey(draft.card_id, draft.holder_id, point, point))
        assert card.proves(request, request_digest(request))


def test_no_key_is_used_twice() -> None:
    sales = Sales(WORLD, Traffic.SINGLE)
    keys = {sales.request(sales.draft(number), SIGNED_AT_MS).key for number in range(500)}
    assert len(keys) == 500
    with pytest.raises(ValueError, match="the STANs of 4 terminals end"):
        sales.draft(4 * STAN_MAX)


def test_hot_traffic_has_its_share_and_others_draw_on_their_own() -> None:
    hot = Sales(WORLD, Traffic.HOT)
    found = Counter(hot.draft(number).holder_id == HOT_HOLDER.bytes for number in range(5_000))
    assert abs(found[True] / 50 - HOT_PERCENT) < 3
    for number in range(100):
        draft = Sales(WORLD, Traffic.SINGLE).draft(number)
        assert draft.holder_id == uuid_of("holder", draft.card).bytes


def test_answers_are_found_in_a_stream_cut_anywhere() -> None:
    sales = Sales(WORLD, Traffic.SINGLE)
    press, stream, tags = Press(sales, SIGNED_AT_MS), b"", []
    for number in range(6):
        draft = sales.draft(number)
        parsed = parse_message(press.message(draft), Profile.BINARY)
        answer = undecided_answer(Outcome.TRY_LATER, parsed, sales.mac_of(draft))
        stream += Framing().wrap(answer)
        tags.append(iso_tag(sales, draft))
    for size in (1, 3, 100, len(stream)):
        dialect = IsoDialect()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        heard = [one for piece in pieces for one in dialect.feed(piece)]
        assert [one.tag for one in heard] == tags
        assert {one.code for one in heard} == {"96"}


def test_http_answers() -> None:
    body = b'{"outcome":"approved"}'
    good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    bad = b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 2\r\n\r\n{}"
    dialect, stream = HttpDialect(), good + bad + good
    heard = [one for at in range(len(stream)) for one in dialect.feed(stream[at : at + 1])]
    assert [one.code for one in heard] == ["00", "422", "00"]


@pytest.mark.parametrize(
    ("field", "bitmap", "expected"),
    [
        (11, b"3220000000000001", 4 + 16 + 6 + 12 + 10),
        (11, b"0020000000000000", 4 + 16),
        (11, b"8020000000000000", 4 + 32),
        (39, b"0020000002000000", 4 + 16 + 6),
    ],
)
def test_where_a_field_begins(field: int, bitmap: bytes, expected: int) -> None:
    assert place_of(field, bitmap) == expected


@pytest.mark.parametrize(
    ("field", "bitmap", "reason"),
    [
        (39, b"0020000000000000", "is not in the answer"),
        (11, b"4020000000000000", "no fixed length"),
    ],
)
def test_where_a_field_cannot_be_found(field: int, bitmap: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        place_of(field, bitmap)
