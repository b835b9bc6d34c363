"""Stop-lists over real cards: the stopped are listed, those let go are not, none is forgotten."""

from __future__ import annotations

import hashlib
import random
from datetime import date
from uuid import UUID

import pytest

from processing.cards import stop_list
from processing.cards.stop_list import (
    StopListInput,
    StopListStore,
    increment_is_long,
    issue_stop_list,
    new_complete_list,
    new_increment,
)
from processing.kernel.clock import SystemClock
from processing.kernel.database import DatabasePool
from processing.kernel.errors import DatabaseError
from processing.wire.golomb_set import GolombSet
from processing.wire.statement import Domain
from processing.wire.stop_list import StopList, StopLists
from tests.plugins.stop_lists import PUBLIC_KEY, signer_of

sign = signer_of(Domain.STOP_LIST)
CLOCK = SystemClock("Europe/Moscow")
CARDS = [UUID(int=0x5000 + number, version=4) for number in range(60)]
LONG_AGO, LONG_HENCE = date(2020, 1, 1), date(2039, 12, 31)


async def add_cards(pool: DatabasePool, cards: list[UUID], state: int, valid_to: date) -> None:
    async with pool.connection() as connection:
        await connection.executemany(
            """
            INSERT INTO cards.card (
                card_id, card_number, holder_id, issuer_region, state, valid_to, public_key_tap,
                public_key_pin, certificate_tap, certificate_pin, issued_at
            ) VALUES ($1, $2, $1, 99, $3, $4, $5, $5, '', '', '2026-01-01')
            """,
            [(one, f"964390{one.int % 10**13:013d}", state, valid_to, bytes(65)) for one in cards],
        )


async def set_state(pool: DatabasePool, card_id: UUID, state: int) -> None:
    async with pool.connection() as connection:
        await connection.execute("SELECT cards.set_state($1, $2::smallint)", card_id, state)


async def lists_of(store: StopListStore) -> StopLists:
    complete, increment = await store.newest(complete=True), await store.newest(complete=False)
    assert complete is not None
    return StopLists(
        StopList.decode(complete.body, [PUBLIC_KEY]),
        None if increment is None else StopList.decode(increment.body, [PUBLIC_KEY]),
    )


def stopped_by(lists: StopLists) -> set[UUID]:
    return {one for one in CARDS if lists.stops(one)}


@pytest.mark.parametrize("seed", range(3))
async def test_lists_follow_the_cards(issuing_pool: DatabasePool, seed: int) -> None:
    draw = random.Random(seed)
    store = StopListStore(issuing_pool)
    await add_cards(issuing_pool, CARDS, 1, LONG_HENCE)
    stopped: set[UUID] = set()
    for number in range(1, 7):
        for one in draw.sample(CARDS, 8):
            stopped ^= {one}
            await set_state(issuing_pool, one, 2 if one in stopped else 1)
        issued = await issue_stop_list(store, sign, 99, CLOCK, complete=number == 4)
        assert issued.complete is (number in (1, 4))
        assert (issued.number, issued.stopped) == (number, len(stopped))
        lists = await lists_of(store)
        assert stopped_by(lists) == stopped
        assert lists.newest.number == number


async def test_a_card_whose_day_has_passed_needs_no_list(issuing_pool: DatabasePool) -> None:
    store = StopListStore(issuing_pool)
    await add_cards(issuing_pool, CARDS[:2], 2, LONG_AGO)
    await add_cards(issuing_pool, CARDS[2:4], 3, LONG_HENCE)
    await issue_stop_list(store, sign, 99, CLOCK)
    assert stopped_by(await lists_of(store)) == set(CARDS[2:4])


async def test_of_two_who_issue_the_same_number_one_is_told(issuing_pool: DatabasePool) -> None:
    store = StopListStore(issuing_pool)
    first = await issue_stop_list(store, sign, 99, CLOCK)
    with pytest.raises(DatabaseError):
        await store.keep(first, b"")
    assert await store.newest(complete=True) == first


async def test_a_new_key_begins_with_a_complete_list(issuing_pool: DatabasePool) -> None:
    store = StopListStore(issuing_pool)

    async def sign_with_the_next(document: bytes) -> tuple[bytes, bytes]:
        return bytes(8), (await sign(document))[1]

    signers = (sign, sign, sign_with_the_next, sign_with_the_next)
    issued = [await issue_stop_list(store, signer, 99, CLOCK) for signer in signers]
    assert [one.complete for one in issued] == [True, False, True, False]


async def test_nothing_is_kept_when_nobody_signs(issuing_pool: DatabasePool) -> None:
    async def away(_document: bytes) -> tuple[bytes, bytes]:
        raise ConnectionError("the key service is away")

    store = StopListStore(issuing_pool)
    with pytest.raises(ConnectionError):
        await issue_stop_list(store, away, 99, CLOCK)
    assert await store.newest(complete=True) is None


def many(numbers: range) -> bytes:
    return b"".join(hashlib.sha256(n.to_bytes(8)).digest()[:16] for n in numbers)


def cards_of(**known: bytes) -> StopListInput:
    empty = dict.fromkeys(("stopped", "served", "stopped_since", "let_go_since"), b"")
    return StopListInput(newest=1, base=1, **{**empty, **known})


@pytest.mark.parametrize(
    ("cards", "long"),
    [
        (cards_of(stopped=many(range(5_000)), stopped_since=many(range(5_000))), False),
        (cards_of(stopped=many(range(5_001)), stopped_since=many(range(5_001))), True),
        (cards_of(stopped=many(range(60_000)), let_go_since=many(range(6_000))), False),
        (cards_of(stopped=many(range(60_000)), let_go_since=many(range(6_001))), True),
    ],
)
def test_a_long_increment_gives_way_to_a_complete_list(cards: StopListInput, long: bool) -> None:
    assert increment_is_long(cards) is long


def test_salts_are_drawn_until_no_card_is_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash that hits everybody at first, another salt is taken."""
    tried: list[bytes] = []
    honest = GolombSet.hits

    def hits(self: GolombSet, references: object) -> list[bytes]:
        tried.append(self.salt)
        found = honest(self, references)  # type: ignore[arg-type]
        return [b"somebody"] if len(tried) < 3 else found

    monkeypatch.setattr(GolombSet, "hits", hits)
    made = new_complete_list(cards_of(stopped=many(range(9)), served=many(range(9, 20))), 99, 0)
    assert made.stopped.salt == tried[2]
    assert len(set(tried)) == 3
    monkeypatch.setattr(GolombSet, "hits", lambda *_: [b"somebody"])
    with pytest.raises(AssertionError, match=f"{stop_list.SALTS_MAX} salts"):
        new_complete_list(cards_of(stopped=many(range(9))), 99, 0)


def test_a_new_card_that_an_old_list_hits_is_let_go() -> None:
    """The base was made before the card was; here the card is even in it."""
    base = new_complete_list(cards_of(stopped=many(range(4))), 99, 0)
    increment = new_increment(cards_of(stopped=many(range(3)), served=many(range(3, 4))), base, 1)
    lists = StopLists(base, increment)
    known = [UUID(bytes=many(range(n, n + 1))) for n in range(4)]
    assert [lists.stops(one) for one in known] == [True, True, True, False]
