"""How often one terminal may speak."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.gateways.rate import TERMINAL_BURST_SECONDS, TerminalRates

SECOND_NS = 1_000_000_000


@pytest.mark.parametrize("per_second", [1, 10, 500])
def test_a_quiet_terminal_may_send_a_burst_and_then_its_rate(per_second: int) -> None:
    rates = TerminalRates(per_second)
    burst = per_second * TERMINAL_BURST_SECONDS
    assert [rates.admit("A", 0) for _ in range(burst + 1)] == [True] * burst + [False]
    later = [rates.admit("A", SECOND_NS) for _ in range(per_second + 1)]
    assert later == [True] * per_second + [False]
    assert rates.admit("B", SECOND_NS)


def test_rate_zero_admits_everything_and_keeps_nothing() -> None:
    rates = TerminalRates(0)
    assert all(rates.admit("A", 0) for _ in range(10_000))
    assert len(rates) == 0


def test_the_table_is_bounded_and_forgets_the_one_quiet_for_longest() -> None:
    rates = TerminalRates(1, terminals_max=2)
    for terminal in ("A", "B"):
        assert [rates.admit(terminal, 0) for _ in range(5)] == [True] * 4 + [False]
    assert rates.admit("C", 0)
    assert len(rates) == 2
    assert (rates.admit("B", 0), rates.admit("A", 0)) == (False, True)


@given(
    st.integers(1, 1000),
    st.lists(st.integers(0, 3 * SECOND_NS), min_size=1, max_size=200),
)
def test_nobody_is_admitted_more_than_burst_and_rate_allow(
    per_second: int, pauses_ns: list[int]
) -> None:
    rates, now_ns, admitted = TerminalRates(per_second), SECOND_NS, 0
    for pause_ns in pauses_ns:
        now_ns += pause_ns
        admitted += rates.admit("A", now_ns)
        elapsed_ns = now_ns - SECOND_NS - pauses_ns[0]
        # The interval is whole nanoseconds, rounded down: it may be one part in a million short.
        interval_ns = SECOND_NS // per_second
        assert admitted <= (TERMINAL_BURST_SECONDS * SECOND_NS + elapsed_ns) // interval_ns + 1
