"""Sales made ready are the sales that a terminal would send."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Final

import msgspec
import pytest

from bench.keys import public_point_of
from bench.traffic import HOT_PERCENT, Press, Sales, Traffic
from bench.world import HOT_HOLDER, BenchTerminal, World, terminal_id_of, uuid_of
from processing.authorization.model import CardKey
from processing.authorization.proof import KnownCard
from processing.wire.digest import request_digest
from processing.wire.iso8583.messages import Transaction
from processing.wire.iso8583.requests import parse_message
from processing.wire.iso8583.spec import Profile
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
        assert press.message(draft) == sales.message(draft, SIGNED_AT_MS)
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
