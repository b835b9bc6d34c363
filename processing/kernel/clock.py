"""Time: UTC in milliseconds inside, the region's calendar date where allowances need it.

Three times must not be mixed (docs/architecture.md): the wall clock is what events are stamped
with, the monotonic clock is what waits are measured with, and the local date is what allowance
periods are counted with.
"""

from __future__ import annotations

import time
import zoneinfo
from datetime import UTC, date, datetime
from typing import Protocol

from processing.kernel.errors import ConfigurationError


class Clock(Protocol):
    """What tells the time. Handed to whoever needs it, so that tests and replays can set it."""

    def utc_ms(self) -> int:
        """Return the wall time in milliseconds since 1970-01-01T00:00:00Z."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back; only differences mean anything."""

    def local_date(self, utc_ms: int | None = None) -> date:
        """Return the region's calendar date at `utc_ms`, by default now."""


class SystemClock:
    """The machine's clock in the time zone `zone_name` (IANA)."""

    def __init__(self, zone_name: str) -> None:
        self._zone = time_zone(zone_name)

    def utc_ms(self) -> int:
        """Return the wall time in milliseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back; only differences mean anything."""
        return time.monotonic_ns()

    def local_date(self, utc_ms: int | None = None) -> date:
        """Return the region's calendar date at `utc_ms`, by default now."""
        return date_in(self._zone, self.utc_ms() if utc_ms is None else utc_ms)


class ManualClock:
    """A clock that stands still until it is moved: for replays over history and for tests."""

    def __init__(self, zone_name: str, utc_ms: int) -> None:
        self._zone = time_zone(zone_name)
        self._utc_ms = utc_ms
        self._monotonic_ns = 0

    def utc_ms(self) -> int:
        """Return the time last set."""
        return self._utc_ms

    def monotonic_ns(self) -> int:
        """Return the nanoseconds moved forward so far."""
        return self._monotonic_ns

    def local_date(self, utc_ms: int | None = None) -> date:
        """Return the region's calendar date at `utc_ms`, by default at the time last set."""
        return date_in(self._zone, self._utc_ms if utc_ms is None else utc_ms)

    def advance(self, milliseconds: int) -> None:
        """Move both the wall and the monotonic clock forward; raises ValueError if backward."""
        if milliseconds < 0:
            raise ValueError("a clock only advances; use set_utc_ms to step the wall time")
        self._utc_ms += milliseconds
        self._monotonic_ns += milliseconds * 1_000_000

    def set_utc_ms(self, utc_ms: int) -> None:
        """Step the wall clock, as an operator or NTP may; the monotonic clock does not move."""
        self._utc_ms = utc_ms


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the IANA time zone `name`; raises `ConfigurationError` when it is unknown here."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"{name} is not a known time zone; give an IANA name such as Europe/Moscow or "
            "Asia/Yekaterinburg (bare machines need the Python package tzdata)"
        ) from None


def date_in(zone: zoneinfo.ZoneInfo, utc_ms: int) -> date:
    """Return the calendar date in `zone` at `utc_ms` milliseconds since 1970."""
    # Whole seconds: a float of milliseconds could round 23:59:59.9999 into the next day.
    return datetime.fromtimestamp(utc_ms // 1000, UTC).astimezone(zone).date()


def years_after(day: date, years: int) -> date:
    """Return the same day `years` later; for 29 February the 28th where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)
