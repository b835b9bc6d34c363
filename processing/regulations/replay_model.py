"""What a replay found: sums by category and provider, and the transactions that changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

CHANGES_KEPT_MAX: Final = 10_000
"""Most changed transactions that are kept with a replay's record, those that weigh most first; an
export written by the run itself has all."""

TRANSACTIONS_MAX: Final = 5_000_000
"""Most transactions that are replayed at once: about 5 GB of disk while it runs."""


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of everything (`level` all), of a category or of a provider, before and after.

    Approved are 702 and 703, recorded the conflicts (701), refused all else. Kopecks are what is
    covered, net of returns and reversals. A holder gains who is covered more than before or, if as
    much, is given more often.
    """

    level: str
    name: str
    transactions: int = 0
    before_approved: int = 0
    after_approved: int = 0
    before_recorded: int = 0
    after_recorded: int = 0
    before_refused: int = 0
    after_refused: int = 0
    before_kopecks: int = 0
    after_kopecks: int = 0
    changed: int = 0
    gainers: int = 0
    losers: int = 0
    gained_kopecks: int = 0
    lost_kopecks: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction that the draft decides otherwise.

    `given` is 1 for a service given only after, -1 for one given only before. `holder_id` is the
    reference of the rights holder, which tells no name.
    """

    holder_id: UUID
    business_date: date
    terminal_id: str
    stan: int
    kind: int
    provider: str
    category: str
    decided_at: datetime
    before_outcome: int
    after_outcome: int
    before_kopecks: int
    after_kopecks: int
    given: int
    before_facts: dict[str, str] = {}
    after_facts: dict[str, str] = {}

    @property
    def gain_kopecks(self) -> int:
        """What is covered more than before; negative: less."""
        return self.after_kopecks - self.before_kopecks

    @property
    def gains(self) -> bool:
        """Whether this transaction is better for the holder than before."""
        return self.gain_kopecks > 0 or (self.gain_kopecks == 0 and self.given > 0)

    @property
    def loses(self) -> bool:
        """Whether this transaction is worse for the holder than before."""
        return self.gain_kopecks < 0 or (self.gain_kopecks == 0 and self.given < 0)


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a replay; `document_sha256` is of the draft's exact text."""

    service: str
    version: int
    document_sha256: bytes
    first_day: date
    last_day: date
    sums: tuple[Sums, ...]
    changes: tuple[Change, ...] = ()
    made_by: str = ""
    made_at: datetime | None = None

    @property
    def total(self) -> Sums:
        """The sums of everything."""
        found = self.of_level("all")
        return found[0] if found else Sums(level="all", name="")

    def of_level(self, level: str) -> tuple[Sums, ...]:
        """Return the sums by `category` or `provider`, the dearest first."""
        chosen = [one for one in self.sums if one.level == level]
        return tuple(sorted(chosen, key=lambda one: (-one.before_kopecks, one.name)))


def added(sums: Iterable[Sums]) -> tuple[Sums, ...]:
    """Return sums of parts that have no holder in common as one, by level and name."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in sums:
        values = msgspec.structs.asdict(one)
        known = found.setdefault((one.level, one.name), dict.fromkeys(values, 0))
        for name, value in values.items():
            known[name] = value if isinstance(value, str) else known[name] + value
    return tuple(Sums(**found[key]) for key in sorted(found))


def heaviest(changes: Iterable[Change], count: int) -> tuple[Change, ...]:
    """Return the changes that weigh most, in that order."""
    return tuple(
        sorted(
            changes,
            key=lambda one: (-abs(one.gain_kopecks), -abs(one.given), one.decided_at, one.stan),
        )[:count]
    )
