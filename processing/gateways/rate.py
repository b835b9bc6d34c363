"""How many messages one terminal may send: a token bucket each, told by one number.

The number is the moment at which the terminal's bucket is full again (the generic cell rate
algorithm, ITU-T I.371 annex A). A terminal is served while that moment lies less than the burst
ahead. What is turned away costs nothing of the bucket.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

TERMINAL_RATE_PER_SECOND: Final = 500
"""Messages a second from one terminal to one worker: more than any till rings up, far less than a
worker decides, so that one terminal gone wild leaves room for the others."""

TERMINAL_BURST_SECONDS: Final = 4
"""A terminal that was quiet may send what this many seconds allow at once, as after an outage."""

TERMINALS_WATCHED_MAX: Final = 20_000
"""Most terminals whose buckets are kept. The one quiet for longest leaves first; its bucket is the
fullest, so that forgetting it gives away least."""


class TerminalRates:
    """The buckets of one worker. `per_second` 0 admits everything."""

    def __init__(self, per_second: int, terminals_max: int = TERMINALS_WATCHED_MAX) -> None:
        self._interval_ns = 1_000_000_000 // per_second if per_second else 0
        self._burst_ns = TERMINAL_BURST_SECONDS * 1_000_000_000
        self._terminals_max = terminals_max
        self._full_at_ns: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at_ns)

    def admit(self, terminal_id: str, now_ns: int) -> bool:
        """Whether the terminal may send one more message at `now_ns` of the monotonic clock."""
        if not self._interval_ns:
            return True
        full_at_ns = max(self._full_at_ns.get(terminal_id, 0), now_ns) + self._interval_ns
        if full_at_ns - now_ns > self._burst_ns:
            return False
        self._full_at_ns[terminal_id] = full_at_ns
        self._full_at_ns.move_to_end(terminal_id)
        if len(self._full_at_ns) > self._terminals_max:
            self._full_at_ns.popitem(last=False)
        return True
