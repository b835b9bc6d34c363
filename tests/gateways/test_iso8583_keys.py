"""A terminal's key changed through the port: which key is good when, and for which forgery."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from hsm_stub.key_material import KeyMaterial
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    NetworkCode,
    OfferedKey,
    Rejection,
)
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import ProfileName
from processing.wire.transaction import Answer
from tests.plugins.centre import ServeTown
from tests.plugins.line import Line
from tests.plugins.live_centre import LiveCentre, Port
from tests.plugins.town import SHOPS, Shop, citizen

MARIA = citizen(1)
BOTH = pytest.mark.parametrize("profile", ProfileName)


def told(code: NetworkCode, stan: int) -> Network:
    return Network(terminal_id=SHOPS[0], stan=stan, code=code)


async def handed_out(line: Line, stan: int) -> OfferedKey:
    answer = await line.ask(told(NetworkCode.KEY_CHANGE, stan))
    assert isinstance(answer, NetworkAnswer)
    assert answer.key is not None
    return answer.key


async def opened(live: LiveCentre, offered: OfferedKey) -> Mac:
    return Mac(aes_key_unwrap(await live.exchange_key(SHOPS[0]), offered.wrapped))


async def outcome_under(line: Line, shop: Shop, mac: Mac, key_id: int) -> Outcome:
    """Ask for a sale under a key; what is refused for its key has no MAC."""
    line.mac = mac
    answer = await line.ask_raw(line.message(shop.sale(MARIA), mac, key_id))
    assert isinstance(answer, Answer | Rejection)
    return answer.outcome


async def generations(live: LiveCentre) -> tuple[int, int | None]:
    async with live.database.connect() as connection:
        row = await connection.fetchrow(
            "SELECT key_generation, next_key_generation FROM terminals.terminal "
            "WHERE terminal_id = $1",
            SHOPS[0],
        )
    assert row is not None
    return row[0], row[1]


@BOTH
async def test_both_keys_are_good_until_the_new_one_is_used(
    serve_town: ServeTown, profile: ProfileName
) -> None:
    async with serve_town(Port(profile=profile.profile)) as live:
        shop, line = Shop(), await live.line()
        old = line.mac
        first = await handed_out(line, shop.stan())
        # The answer was lost: asking again brings the same.
        assert await handed_out(line, shop.stan()) == first
        assert await generations(live) == (1, 2)
        assert await outcome_under(line, shop, old, 1) is Outcome.APPROVED
        new = await opened(live, first)
        assert await outcome_under(line, shop, new, 2) is Outcome.APPROVED
        assert await generations(live) == (2, None)
        assert await outcome_under(line, shop, old, 1) is Outcome.TERMINAL_UNKNOWN
        assert await outcome_under(line, shop, new, 2) is Outcome.APPROVED


async def test_naming_the_new_key_without_having_it_changes_nothing(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    old = line.mac
    await handed_out(line, shop.stan())
    for wrong in (old, Mac(bytes(16))):
        assert await outcome_under(line, shop, wrong, 2) is Outcome.MAC_WRONG
    assert await generations(live) == (1, 2)
    assert await outcome_under(line, shop, old, 1) is Outcome.APPROVED


async def test_a_request_kept_under_the_old_key_is_answered_under_the_new(
    live: LiveCentre,
) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    decided = await line.decide(sale)
    new = await opened(live, await handed_out(line, shop.stan()))
    line.mac, line.key_id = new, 2
    again = await line.decide(sale)
    assert again.decision == decided.decision
    assert await live.used() == 1


async def test_no_key_leaves_while_the_key_service_is_away(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    assert isinstance(await line.ask(told(NetworkCode.ECHO, shop.stan())), NetworkAnswer)
    await live.stop_hsm()
    answer = await line.ask(told(NetworkCode.KEY_CHANGE, shop.stan()))
    assert isinstance(answer, Rejection)
    assert answer.outcome is Outcome.TRY_LATER
    await live.start_hsm()
    assert (await handed_out(line, shop.stan())).generation == 2


async def test_another_worker_takes_the_new_key_at_once(
    live: LiveCentre, town_keys: KeyMaterial
) -> None:
    shop, line = Shop(), await live.line()
    new = await opened(live, await handed_out(line, shop.stan()))
    async with LiveCentre(live.databases, town_keys, live.port).serving() as other:
        beside = await other.line()
        assert await outcome_under(beside, shop, line.mac, 1) is Outcome.APPROVED
        assert await outcome_under(line, shop, new, 2) is Outcome.APPROVED
        assert await outcome_under(beside, shop, new, 2) is Outcome.APPROVED
