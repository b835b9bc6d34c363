"""Percentiles by nearest rank."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.latency import percentile, summarized


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7], 0.5, 7),
        ([7], 0.999, 7),
        ([1, 2], 0.5, 1),
        ([1, 2], 0.51, 2),
        ([1, 2, 3, 4], 0.25, 1),
        ([1, 2, 3, 4], 0.26, 2),
        ([1, 2, 3, 4], 1, 4),
        (range(1, 101), 0.5, 50),
        (range(1, 101), 0.99, 99),
        (range(1, 101), 0.999, 100),
        # 0.07 * 100 is more than 7 in floating point, and its rank is 7 all the same.
        (range(1, 101), 0.07, 7),
        (range(1, 1001), 0.999, 999),
        (range(1, 1002), 0.999, 1000),
    ],
)
def test_percentile(values: list[int], share: float, expected: int) -> None:
    assert percentile(list(values), share) == expected


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1], 0.0), ([1], 1.01), ([1], -1.0)])
def test_percentile_of_nothing(values: list[int], share: float) -> None:
    with pytest.raises(ValueError, match="a percentile needs"):
        percentile(values, share)


@given(st.lists(st.integers(0, 10**12), min_size=1), st.integers(1, 1000))
def test_a_percentile_is_the_least_value_with_so_many_at_or_below(
    values: list[int], per_mille: int
) -> None:
    found = percentile(sorted(values), per_mille / 1000)
    at_or_below = sum(value <= found for value in values)
    below = sum(value < found for value in values)
    assert found in values
    assert at_or_below * 1000 >= per_mille * len(values) > below * 1000


def test_summary_is_in_microseconds() -> None:
    told = summarized([number * 1000 for number in range(1000, 0, -1)])
    assert (told.count, told.p50_us, told.p99_us, told.p999_us, told.max_us) == (
        1000,
        500,
        990,
        999,
        1000,
    )
    assert summarized([]).count == 0
