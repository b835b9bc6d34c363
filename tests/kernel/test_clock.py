"""The clock: the region's date turns at the region's midnight, not at UTC's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.kernel.clock import ManualClock, SystemClock, date_in, time_zone
from processing.kernel.errors import ConfigurationError


def utc_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


DATES = [
    ("Europe/Moscow", "2026-03-31T20:59:59.999+00:00", date(2026, 3, 31)),
    ("Europe/Moscow", "2026-03-31T21:00:00+00:00", date(2026, 4, 1)),
    ("Asia/Kamchatka", "2025-12-31T12:00:00+00:00", date(2026, 1, 1)),
    ("Europe/Kaliningrad", "2025-12-31T21:59:59+00:00", date(2025, 12, 31)),
    # Moscow kept summer time all year until it turned back for good on 2014-10-26.
    ("Europe/Moscow", "2014-10-25T20:30:00+00:00", date(2014, 10, 26)),
    ("Europe/Moscow", "2014-10-26T20:30:00+00:00", date(2014, 10, 26)),
    ("UTC", "1969-12-31T23:59:59.999+00:00", date(1969, 12, 31)),
]


@pytest.mark.parametrize(("zone", "moment", "expected"), DATES)
def test_local_date(zone: str, moment: str, expected: date) -> None:
    assert SystemClock(zone).local_date(utc_ms(moment)) == expected
    assert ManualClock(zone, utc_ms(moment)).local_date() == expected


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_a_date_never_steps_back(moment_ms: int) -> None:
    zone = ZoneInfo("Asia/Yekaterinburg")
    assert date_in(zone, moment_ms) <= date_in(zone, moment_ms + 1)
    assert date_in(zone, moment_ms + 86_400_000 * 2) > date_in(zone, moment_ms)


def test_system_clock_tells_the_present() -> None:
    clock = SystemClock("Europe/Moscow")
    before, inner, after = datetime.now(UTC), clock.utc_ms(), datetime.now(UTC)
    told = datetime.fromtimestamp(inner / 1000, UTC)
    assert before - timedelta(milliseconds=2) <= told <= after
    assert clock.monotonic_ns() <= clock.monotonic_ns()
    assert clock.local_date() in {date_in(ZoneInfo("Europe/Moscow"), clock.utc_ms() - 60_000),
                                  date_in(ZoneInfo("Europe/Moscow"), clock.utc_ms())}  # fmt: skip


def test_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock("Europe/Moscow", 1_000)
    clock.advance(250)
    assert (clock.utc_ms(), clock.monotonic_ns()) == (1_250, 250_000_000)
    clock.set_utc_ms(10)
    assert (clock.utc_ms(), clock.monotonic_ns()) == (10, 250_000_000)
    with pytest.raises(ValueError, match="only advances"):
        clock.advance(-1)


@pytest.mark.parametrize("name", ["Nowhere/City", "", "/etc/localtime", "Europe"])
def test_unknown_zone(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not a known time zone"):
        time_zone(name)
