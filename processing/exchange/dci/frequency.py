"""How often a subscriber wants to be told: a cron expression of Quartz's six or seven fields.

`0 0 0 5,15 * ? *` is midnight (UTC) of the 5th and 15th of every month. Fields: seconds, minutes,
hours, day of month, month, day of week (1 is Sunday), year. Each is `*`, `?`, numbers, ranges
`a-b`, steps `*/n` or `a-b/n`, joined by commas; months and days also by their English names.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

EXPRESSION_LENGTH_MAX: Final = 120
"""Most characters of an expression."""

LOOK_AHEAD_DAYS_MAX: Final = 366 * 5
"""How far ahead the next moment is looked for; what does not come round until then never does."""

_MONTHS: Final = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_BOUNDS: Final = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
_MS: Final = 1000


class FrequencyFault(Exception):
    """No cron expression that is understood here; `str()` says what is off."""


class Frequency(msgspec.Struct, frozen=True):
    """The moments at which an expression comes round."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def next_after(self, utc_ms: int) -> int | None:
        """Return the first moment after `utc_ms`, both in milliseconds since 1970; None: never."""
        start = datetime.fromtimestamp(utc_ms // _MS, UTC) + timedelta(seconds=1)
        midnight = start.replace(hour=0, minute=0, second=0)
        for ahead in range(LOOK_AHEAD_DAYS_MAX):
            day = midnight + timedelta(days=ahead)
            if not self._falls_on(day):
                continue
            for moment in self._of(day):
                if moment >= start:
                    return int(moment.timestamp()) * _MS
        return None

    def _falls_on(self, day: datetime) -> bool:
        return (
            day.year in self.years
            and day.month in self.months
            and day.day in self.days
            and day.isoweekday() % 7 + 1 in self.weekdays
        )

    def _of(self, day: datetime) -> list[datetime]:
        # The subscriber is told of a day's changes by hours and minutes; seconds only shift them.
        second = min(self.seconds)
        return [
            day.replace(hour=hour, minute=minute, second=second)
            for hour in sorted(self.hours)
            for minute in sorted(self.minutes)
        ]


def read_frequency(text: str) -> Frequency:
    """Return the moments that an expression names; raises `FrequencyFault`."""
    fields = text.upper().split()
    if len(text) > EXPRESSION_LENGTH_MAX or len(fields) not in {6, 7}:
        raise FrequencyFault("frequency: a cron expression of six or seven fields is expected")
    if len(fields) == 6:
        fields.append("*")
    return Frequency(*(_field(number, field) for number, field in enumerate(fields)))


def _field(number: int, text: str) -> frozenset[int]:
    names = {4: _MONTHS, 5: _DAYS}.get(number, ())
    for value, name in enumerate(names, start=1):
        text = text.replace(name, str(value))
    found: set[int] = set()
    for piece in text.split(","):
        found |= _piece(number, piece)
    return frozenset(found)


def _piece(number: int, piece: str) -> set[int]:
    low, high = _BOUNDS[number]
    span, slash, step_text = piece.partition("/")
    step = int(step_text) if slash and step_text.isdecimal() and step_text.isascii() else 1
    first, dash, last = span.partition("-")
    if span in {"*", "?"}:
        begin, end = low, high
    elif first.isdecimal() and (not dash or last.isdecimal()) and span.isascii():
        begin = int(first[:5])
        end = int(last[:5]) if dash else (high if slash else begin)
    else:
        raise FrequencyFault(f"frequency: {piece[:20]!r} is not understood")
    if (slash and not step_text) or step < 1 or not low <= begin <= end <= high:
        raise FrequencyFault(f"frequency: {piece[:20]!r} is outside {low} to {high}")
    return set(range(begin, end + 1, step))
