"""Chances that come out the same everywhere."""

import uuid
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.region.chance import ID_EPOCH_MS, Chance, Shuffled, Weighted, uuid7_shape
from processing.region.rights import derived_id


def test_the_sequence_is_fixed() -> None:
    # A different value here means that every region of every seed has become another one.
    chance = Chance(1)
    assert [chance.between(1, 1000) for _ in range(5)] == [135, 848, 764, 256, 496]
    assert chance.next_id().hex() == "019b76daa8017a6db8e510617311d8a3"


@pytest.mark.parametrize("prime", [7, 101, 10_007])
@pytest.mark.parametrize("seed", [1, 2, 99])
def test_shuffled_gives_each_number_once(prime: int, seed: int) -> None:
    shuffled = Shuffled(prime, Chance(seed))
    assert sorted(shuffled.take() for _ in range(prime)) == list(range(prime))


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_identifiers_are_shaped_as_version_7(time_ms: int, bits: int) -> None:
    made = uuid.UUID(bytes=uuid7_shape(time_ms, bits))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == time_ms


def test_identifiers_rise() -> None:
    chance = Chance(3)
    made = [chance.next_id() for _ in range(1000)]
    assert made == sorted(set(made))
    assert int.from_bytes(made[0][:6], "big") == ID_EPOCH_MS + 1


@given(st.binary(min_size=16, max_size=16), st.text(max_size=20), st.text(max_size=20))
def test_derived_identifiers_follow_their_parent(parent: bytes, one: str, other: str) -> None:
    child = derived_id(parent, one)
    assert child == derived_id(parent, one)
    assert child[:6] == parent[:6]
    assert uuid.UUID(bytes=child).version == 7
    assert (child == derived_id(parent, other)) is (one == other)


@given(st.integers(0, 2**32), st.integers(-50, 50), st.integers(0, 100))
def test_between_stays_between(seed: int, low: int, width: int) -> None:
    chance = Chance(seed)
    drawn = {chance.between(low, low + width) for _ in range(30)}
    assert low <= min(drawn) <= max(drawn) <= low + width


def test_weights_are_kept() -> None:
    chance = Chance(5)
    choice = Weighted(("rare", "common"), (1, 3))
    drawn = Counter(chance.one_of(choice) for _ in range(4000))
    assert 800 < drawn["rare"] < 1200
    assert choice.pick(0.0) == "rare"
    assert choice.pick(0.9999999) == "common"
