"""Stop-lists: sets that forget nobody, files that cannot be forged, lists that fit together."""

from __future__ import annotations

import hashlib
import os
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.golomb_set import BUCKET_ENTRIES, GolombSet, GolombSetError
from processing.wire.statement import Domain
from processing.wire.stop_list import (
    StopList,
    StopListError,
    StopListFault,
    StopLists,
)
from tests.plugins.stop_lists import PUBLIC_KEY, SALT, signed, stop_list

ISSUED_AT_MS = 1_790_000_000_000


def card(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8)).digest()[:16]


def made(
    stopped: set[int], let_go: set[int] | None = None, *, number: int = 1, base: int | None = None
) -> StopList:
    return stop_list(
        map(card, stopped),
        None if let_go is None else map(card, let_go),
        number=number,
        base=base,
        issued_at_ms=ISSUED_AT_MS,
    )


@given(st.sets(st.binary(min_size=16, max_size=16), max_size=4 * BUCKET_ENTRIES))
def test_a_set_holds_what_it_was_made_of(references: set[bytes]) -> None:
    made_of = GolombSet.of(references, SALT)
    read = GolombSet(SALT, made_of.data)
    assert all(one in read for one in references)
    assert sorted(read.hits(references)) == sorted(references)
    assert read.count == len(references)


def test_a_set_holds_nothing_else() -> None:
    """Of 60,000 others 2^-28 each are taken for members: with this salt none."""
    numbers = range(5_000)
    stopped = GolombSet.of(map(card, numbers), SALT)
    others = [card(number) for number in range(10_000, 70_000)]
    assert stopped.hits(others) == []
    assert not any(one in stopped for one in others[:2_000])
    assert len(stopped.data) * 8 / len(numbers) < 31


def test_a_million_cards_take_less_than_four_megabytes() -> None:
    """What an entry takes does not grow with the number: 10,000 stand for a million."""
    data = GolombSet.of(map(card, range(10_000)), SALT).data
    assert 100 * len(data) < 4_000_000


@pytest.mark.parametrize("cut", [0, 3, 7, 8, 11, 12, 300, -1])
def test_a_cut_set_is_refused(cut: int) -> None:
    data = GolombSet.of(map(card, range(100)), SALT).data
    with pytest.raises(GolombSetError):
        GolombSet(SALT, data[:cut])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_set_or_refused(data: bytes) -> None:
    try:
        read = GolombSet(SALT, data)
    except GolombSetError:
        return
    assert read.hits([card(1)]) in ([], [card(1)])
    assert (card(1) in read) in (False, True)


def test_a_signed_list_reads_as_it_was_written() -> None:
    data = signed(made({1, 2, 3}))
    read = StopList.decode(data, [PUBLIC_KEY])
    assert read.head == made(set()).head
    assert read.stopped.count == 3
    assert StopList.read(data).head == read.head


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", StopListFault.UNREADABLE),
        (signed(made({1}))[:60], StopListFault.UNREADABLE),
        (signed(made({1}))[:-1], StopListFault.KEY_OTHER),
        (flipped(signed(made({1})), 20), StopListFault.SIGNATURE_WRONG),
        (flipped(signed(made({1})), -1), StopListFault.SIGNATURE_WRONG),
        (flipped(signed(made({1})), -70), StopListFault.KEY_OTHER),
        (signed(made({1}), Domain.PARAMETER_FILE), StopListFault.SIGNATURE_WRONG),
        # Signed, but a complete list that names another as its base.
        (signed(made({1}, number=2, base=1)), StopListFault.UNREADABLE),
    ],
)
def test_what_nobody_signed_is_refused(data: bytes, fault: StopListFault) -> None:
    with pytest.raises(StopListError) as raised:
        StopList.decode(data, [PUBLIC_KEY])
    assert raised.value.fault is fault
    assert fault.ru != fault.en


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_two_lists_say_what_a_new_one_would(before: set[int], now: set[int]) -> None:
    complete = StopList.decode(signed(made(before)), [PUBLIC_KEY])
    increment = made(now - before, before - now, number=2)
    lists = StopLists(complete, StopList.decode(signed(increment), [PUBLIC_KEY]))
    assert {n for n in range(31) if lists.stops(UUID(bytes=card(n)))} == now
    assert lists.newest.number == 2
    alone = StopLists(complete)
    assert {n for n in range(31) if alone.stops(UUID(bytes=card(n)))} == before


@pytest.mark.parametrize(
    ("complete", "increment"),
    [
        (made(set(), number=3, base=3), made(set(), set(), number=4, base=2)),
        (made(set(), set(), number=2), None),
        (made(set()), made(set(), number=1, base=1)),
    ],
)
def test_lists_that_do_not_fit_are_refused(complete: StopList, increment: StopList | None) -> None:
    with pytest.raises(StopListError) as raised:
        StopLists(complete, increment)
    assert raised.value.fault is StopListFault.OTHER_BASE


@pytest.mark.parametrize(
    ("minutes_later", "usable"), [(0, True), (59, True), (60, False), (61, False)]
)
def test_an_old_list_is_not_used(minutes_later: int, usable: bool) -> None:
    lists = StopLists(made({1}))
    assert lists.usable(ISSUED_AT_MS + minutes_later * 60_000) is usable


def test_salts_hide_which_cards_are_meant() -> None:
    cards = [card(number) for number in range(200)]
    one, other = (GolombSet.of(cards, os.urandom(16)) for _ in range(2))
    assert one.data != other.data
