"""What finance reads of a day: which day, its totals by terminal, and how they compare."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum, StrEnum

import msgspec

from processing.wire.iso8583.messages import TerminalTotals


class DayBasis(StrEnum):
    """Whose calendar a day is of: the terminal's (business) or the centre's account (posting)."""

    BUSINESS = "business"
    POSTING = "posting"


class DayOrder(msgspec.Struct, frozen=True):
    """Which transactions are asked for. `provider_code` None means every provider's."""

    day: date
    basis: DayBasis = DayBasis.BUSINESS
    provider_code: str | None = None


class Amounts(msgspec.Struct, frozen=True):
    """Net sums in kopecks: what was given less what came back; gross = covered + paid."""

    gross_kopecks: int = 0
    covered_kopecks: int = 0
    paid_kopecks: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.gross_kopecks + other.gross_kopecks,
            self.covered_kopecks + other.covered_kopecks,
            self.paid_kopecks + other.paid_kopecks,
        )


class Balance(Enum):
    """How a terminal's own totals of a business date compare with the centre's."""

    IN_BALANCE = "in balance"
    DIFFERENT = "different"
    NOT_SETTLED = "not settled"
    NOT_COMPARED = "not compared"
    """Totals of a posting date: no terminal counts those."""


class LastSettlement(msgspec.Struct, frozen=True):
    """What a terminal sent last for the day (0500), and what the centre counts now, likewise.

    Unlike `Amounts` these include what was taken back, which stands in numbers of its own.
    """

    received_at: datetime
    terminal: TerminalTotals
    centre: TerminalTotals


class TerminalDay(msgspec.Struct, frozen=True, kw_only=True):
    """One terminal's day: sales with completions, reversals, returns of goods, and their net sums.

    `provider_code` is "" for a terminal that is no longer registered.
    """

    provider_code: str
    terminal_id: str
    sale_count: int
    reversal_count: int
    return_count: int
    amounts: Amounts
    balance: Balance
    settlement: LastSettlement | None = None


class DayReport(msgspec.Struct, frozen=True):
    """A day's totals by terminal, ordered by provider and terminal."""

    order: DayOrder
    terminals: tuple[TerminalDay, ...]

    @property
    def amounts(self) -> Amounts:
        """The sums over all terminals."""
        return sum((terminal.amounts for terminal in self.terminals), Amounts())

    @property
    def different(self) -> tuple[TerminalDay, ...]:
        """The terminals whose totals differ from the centre's."""
        return tuple(one for one in self.terminals if one.balance is Balance.DIFFERENT)
