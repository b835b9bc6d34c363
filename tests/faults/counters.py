"""What a run really did: a fault test that met no fault, or no replay, proves nothing.

Each test counts what happened and ends with `require`: a zero among what it is for fails it.
The counts are printed at the end of the run (tests/plugins/faults.py), so that
docs/testing.md can quote them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum


class Counted(StrEnum):
    """One thing worth counting; the value is what a reader of the summary sees."""

    APPROVALS = "approvals"
    DECLINES = "declines"
    ADVICES = "advices"
    CONFLICTS_OF_ADVICES = "advices in conflict"
    INQUIRIES = "inquiries"
    RESERVATIONS = "reservations"
    COMPLETIONS = "completions"
    RETURNS = "returns"
    EXPIRIES = "expiries"
    REVERSALS = "reversals"
    REVERSALS_BEFORE = "reversals before their request"
    REPLAYS = "replays"
    KEY_CONFLICTS = "same key, other content"
    RETRIES = "requests asked more than once"
    UNDECIDED = "answers that decided nothing"
    LINES_CUT = "connections lost"

    WORKERS_KILLED = "workers killed"
    CENTRES_KILLED = "centres killed, all processes at once"
    SESSIONS_KILLED = "database sessions killed"
    DATABASES_KILLED = "databases killed"
    BOTH_KILLED = "centre and database killed together"
    KEY_SERVICES_KILLED = "key services killed"
    DISKS_FILLED = "disks filled"
    DATABASES_PANICKED = "databases panicked"
    CLOCK_JUMPS = "clock jumps"

    KEYS_RACED = "keys asked for at once"
    UNITS_RACED = "last units asked for at once"


TRAFFIC = (
    Counted.APPROVALS,
    Counted.DECLINES,
    Counted.ADVICES,
    Counted.RESERVATIONS,
    Counted.COMPLETIONS,
    Counted.RETURNS,
    Counted.REVERSALS,
    Counted.REVERSALS_BEFORE,
    Counted.REPLAYS,
    Counted.KEY_CONFLICTS,
)
"""What any run under the load of tests/faults/load.py must have seen."""


class Counters:
    """Counts of one run."""

    def __init__(self) -> None:
        self._counts: Counter[Counted] = Counter()

    def add(self, counted: Counted, times: int = 1) -> None:
        """Count one more, or several."""
        self._counts[counted] += times

    def __getitem__(self, counted: Counted) -> int:
        return self._counts[counted]

    def missing(self, wanted: Iterable[Counted]) -> list[str]:
        """Return what never happened of what was wanted."""
        return [counted.value for counted in wanted if not self._counts[counted]]

    def check(self, wanted: Iterable[Counted]) -> None:
        """Fail unless everything wanted happened at least once."""
        missing = self.missing(wanted)
        assert not missing, f"the run proves less than it should, it never saw: {missing}; {self}"

    def __str__(self) -> str:
        counts = (f"{c.value} {self._counts[c]:,}" for c in Counted if self._counts[c])
        return ", ".join(counts) or "nothing"
