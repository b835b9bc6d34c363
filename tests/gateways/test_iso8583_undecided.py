"""Answers that decide nothing: nothing is stored under the key, and the right message then wins."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    NetworkCode,
    Settlement,
    TerminalTotals,
    Totals,
    TotalsAnswer,
)
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.transaction import Request
from tests.plugins.line import Line
from tests.plugins.live_centre import LiveCentre
from tests.plugins.town import PRICE_KOPECKS, Shop, business_day, citizen, signed

MARIA = citizen(1)
OTHER_KEY = Mac(bytes(range(16)))


# Requests that no rule decides: those from beyond the calendar.
REFUSED: dict[str, tuple[Callable[[Shop], Request], Outcome]] = {
    "signed in the year 10000": (
        lambda s: s.sale(MARIA, signed_at_ms=253_402_300_800_000),
        Outcome.MALFORMED,
    ),
    "signed at the last moment of the wire": (
        lambda s: s.sale(MARIA, signed_at_ms=2**53 - 1),
        Outcome.MALFORMED,
    ),
}


async def test_what_cannot_be_decided_is_said_and_leaves_the_key_free(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    for name, (build, outcome) in REFUSED.items():
        request = build(shop)
        answer = await line.decide(request)
        assert (answer.outcome, answer.decision) == (outcome, None), name
        assert await live.stored(request) is None, name
    assert await live.events() == 0
    assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.APPROVED


# How a sale is sent so that it is not authentic, and the answer.
FOREIGN: dict[str, tuple[Callable[[Line, Request], bytes], Outcome]] = {
    "another key": (lambda line, sale: line.message(sale, OTHER_KEY), Outcome.MAC_WRONG),
    "one bit of the MAC": (
        lambda line, sale: line.message(sale)[:-1] + bytes((line.message(sale)[-1] ^ 1,)),
        Outcome.MAC_WRONG,
    ),
    "a MAC of zeros": (lambda line, sale: line.message(sale)[:-8] + bytes(8), Outcome.MAC_WRONG),
    "a transmission time changed on the way": (
        lambda line, sale: _with_other_time(line.message(sale)),
        Outcome.MAC_WRONG,
    ),
    "a key generation that is not this terminal's": (
        lambda line, sale: line.message(sale, key_id=2),
        Outcome.TERMINAL_UNKNOWN,
    ),
}


def _with_other_time(message: bytes) -> bytes:
    # Type indicator, one bitmap, fields 3 and 4: field 7 is the next, MMDDhhmmss.
    at = 4 + 16 + 6 + 12
    assert message[at : at + 10].isdigit()
    return message[:at] + b"0101000000" + message[at + 10 :]


async def test_a_message_that_is_not_authentic_occupies_no_key(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    for name, (forge, outcome) in FOREIGN.items():
        sale = shop.sale(MARIA)
        await line.send(forge(line, sale))
        raw = await line.receive()
        fields = decode(raw, line.profile).fields
        assert fields[39].decode() == TEXTS[outcome].de39, name
        assert 64 not in fields, f"{name}: there is no key to make a MAC with"
        assert line.read(raw).outcome is outcome, name
        assert await live.stored(sale) is None, name
        right = await line.decide(sale)
        assert right.outcome is Outcome.APPROVED, name
    logged = live.logged("message not authentic")
    assert [one["outcome"] for one in logged] == [outcome.name for _, outcome in FOREIGN.values()]


async def test_an_unknown_terminal_is_told_so(live: LiveCentre) -> None:
    line = await live.line("NOBODY01", mac=OTHER_KEY)
    sale = Shop("NOBODY01").sale(MARIA)
    answer = await line.ask(sale)
    assert answer.outcome is Outcome.TERMINAL_UNKNOWN
    assert await live.events() == 0


async def test_a_stolen_key_speaks_for_its_own_terminal_only(live: LiveCentre) -> None:
    own = await live.mac("SHOP0001")
    line = await live.line("SHOP0002", mac=own)
    answer = await line.ask(Shop("SHOP0002").sale(MARIA))
    assert answer.outcome is Outcome.MAC_WRONG
    assert await live.events() == 0


NETWORK = [
    (NetworkCode.SIGN_ON, Outcome.APPROVED),
    (NetworkCode.SIGN_OFF, Outcome.APPROVED),
    (NetworkCode.CUT_OVER, Outcome.APPROVED),
    (NetworkCode.ECHO, Outcome.APPROVED),
    (NetworkCode.KEY_CHANGE, Outcome.APPROVED),
]


async def test_messages_about_the_connection_are_answered(live: LiveCentre) -> None:
    line = await live.line()
    for stan, (code, outcome) in enumerate(NETWORK, 1):
        answer = await line.ask(Network(terminal_id="SHOP0001", stan=stan, code=code))
        assert answer.outcome is outcome, code
        if outcome is Outcome.APPROVED:
            assert isinstance(answer, NetworkAnswer), code
            assert answer.posting_date == business_day(), code


@pytest.mark.parametrize("repeat", [False, True])
async def test_totals_are_compared(live: LiveCentre, repeat: bool) -> None:
    shop, line = Shop(), await live.line()
    taken_back = shop.sale(MARIA, 2)
    await line.decide(shop.sale(MARIA, 3))
    await line.decide(taken_back)
    await line.decide(shop.reversal(taken_back))
    # 3 + 2 pills at 100.00 were given free of charge, 2 of them taken back.
    right = TerminalTotals(
        approved_count=2,
        gross_kopecks=5 * PRICE_KOPECKS,
        covered_kopecks=5 * PRICE_KOPECKS,
        paid_kopecks=0,
        reversed_count=1,
        reversed_covered_kopecks=2 * PRICE_KOPECKS,
    )
    wrong = msgspec.structs.replace(right, approved_count=1)
    for totals, settlement in (
        (right, Settlement.IN_BALANCE),
        (wrong, Settlement.OUT_OF_BALANCE),
    ):
        message = Totals(
            terminal_id="SHOP0001",
            stan=shop.stan(),
            business_date=business_day(),
            totals=totals,
            repeat=repeat,
        )
        answer = await line.ask(message)
        assert isinstance(answer, TotalsAnswer)
        assert (answer.settlement, answer.totals) == (settlement, right)


async def test_totals_that_no_table_holds_are_answered_all_the_same(live: LiveCentre) -> None:
    huge = TerminalTotals(
        approved_count=10**10 - 1,
        gross_kopecks=10**16 - 1,
        covered_kopecks=10**16 - 1,
        paid_kopecks=0,
        reversed_count=10**10 - 1,
        reversed_covered_kopecks=0,
    )
    line = await live.line()
    message = Totals(terminal_id="SHOP0001", stan=1, business_date=business_day(), totals=huge)
    answer = await line.ask(message)
    assert not answer.outcome.decided or isinstance(answer, TotalsAnswer)
    assert (await line.decide(Shop(first_stan=2).sale(MARIA))).outcome is Outcome.APPROVED


async def test_signing_anew_after_a_refusal_is_another_sale(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    forged = msgspec.structs.replace(sale, signature=bytes(64))
    refused = await line.decide(forged)
    # The signature is no part of the content: its refusal is what this key holds from now on.
    again = await line.decide(signed(sale, MARIA))
    assert refused.outcome is Outcome.SIGNATURE_WRONG
    assert again.decision == refused.decision
    assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.APPROVED
