"""One record of the audit: a line of JSON that names the SHA-256 of the line before.

Records are chained, so none can be changed, left out or put in without every later one showing
it; seals are signed with the audit key, so nobody can write the chain anew. What the last seal does
not cover yet is only chained (`docs/keys.md`).
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Final

import msgspec

from hsm_stub.policy import Rule

GENESIS: Final = bytes(32)
"""What stands for the line before the first."""


class What(Enum):
    """What a record tells."""

    OPENED = "opened"
    """A service began to write here: the policy, the audit key, the counters."""
    USED = "used"
    """A key was used."""
    REFUSED = "refused"
    """A use was refused; `code` says why."""
    BEGUN = "begun"
    """Frequent uses follow that are told together; where no `summed` follows it was killed."""
    SUMMED = "summed"
    """How many uses there were since `begun`, with a digest over all of them in their order."""
    POLICY = "policy"
    """Another policy came into force."""
    TORN = "torn"
    """The last line of the file before was not whole: power was lost while it was written."""
    SEAL = "seal"
    """A signature over everything so far, with the counters."""
    CLOSED = "closed"
    """The service ended, or goes on in the next file."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the audit. Hexadecimal text, since people read it."""

    number: int
    at_ms: int
    what: What
    before: str
    client: str = ""
    uid: int = -1
    command: str = ""
    rule: str = ""
    day: str = ""
    key: str = ""
    generation: int = 0
    code: str = ""
    facts: dict[str, str | int] = {}
    count: int = 0
    digest: str = ""
    policy: str = ""
    audit_key: str = ""
    counters: tuple[tuple[str, int, str, int], ...] = ()
    key_id: str = ""
    signature: str = ""


def line_of(record: Record) -> bytes:
    """Return the record's line, without its newline."""
    return msgspec.json.encode(record)


def record_of(line: bytes) -> Record:
    """Return the record in a line; raises `msgspec.DecodeError`."""
    return msgspec.json.decode(line, type=Record)


def line_sha256(line: bytes) -> bytes:
    """Return what the next record names, and what a seal signs."""
    return hashlib.sha256(line).digest()


class Counters:
    """How often each rule was used: in all, and on the last day it was used on."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}
        self._days: dict[str, tuple[str, int]] = {}

    def add(self, rule: str, day: str, count: int = 1) -> None:
        """Count uses of a rule on a day (ISO; empty where days do not matter)."""
        self._totals[rule] = self._totals.get(rule, 0) + count
        if day:
            last, used = self._days.get(rule, (day, 0))
            self._days[rule] = (day, used + count if last == day else count)

    def total(self, rule: str) -> int:
        """Return how often a rule was used in all."""
        return self._totals.get(rule, 0)

    def has_room(self, rule: Rule, day: str) -> bool:
        """Return whether a rule may be used once more on a day."""
        last, used = self._days.get(rule.name, ("", 0))
        today = used if last == day else 0
        in_all = self._totals.get(rule.name, 0)
        return (rule.per_day_max is None or today < rule.per_day_max) and (
            rule.total_max is None or in_all < rule.total_max
        )

    def rows(self) -> tuple[tuple[str, int, str, int], ...]:
        """Return all counters as a record carries them: rule, total, last day, uses on it."""
        return tuple(
            (rule, total, *self._days.get(rule, ("", 0)))
            for rule, total in sorted(self._totals.items())
        )

    def take(self, rows: tuple[tuple[str, int, str, int], ...]) -> None:
        """Put the counters to what a record carries."""
        self._totals = {rule: total for rule, total, _, _ in rows}
        self._days = {rule: (day, used) for rule, _, day, used in rows if day}

    def apply(self, record: Record) -> None:
        """Take over what a record says happened."""
        match record.what:
            case What.OPENED | What.SEAL:
                self.take(record.counters)
            case What.USED:
                self.add(record.rule, record.day)
            case What.SUMMED:
                self.add(record.rule, record.day, record.count)
            case What.REFUSED | What.BEGUN | What.POLICY | What.TORN | What.CLOSED:
                return
