"""What a till is asked to do and what came of it, for whoever shows it."""

from __future__ import annotations

from datetime import date

import msgspec

from processing.wire.iso8583.messages import TerminalTotals, TotalsAnswer
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Evidence, Kind, Line, Request, Right
from terminal_sim.errors import TerminalError
from terminal_sim.terminal import Judgement, Verdict


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request. `entry` states are in the store; this is for the screen.

    `answer` is None when none can be believed; `fault` says why. `offline` when it was only
    recorded here. `parent` is the reservation or start that is completed or
    finished, where it is at hand; `at_ms` when what was booked is to be given.
    """

    request: Request
    parent: Request | None = None
    at_ms: int | None = None
    answer: Answer | None = None
    judgement: Judgement | None = None
    fault: TerminalError | None = None
    offline: bool = False

    @property
    def decided(self) -> bool:
        """Whether the centre's decision came and is believed."""
        return self.judgement is not None and self.judgement.verdict is Verdict.DECIDED

    @property
    def exit_code(self) -> int:
        """Return 0 approved, 1 declined, 2 not decided."""
        if not self.decided or self.answer is None:
            return 2
        outcome = self.answer.outcome
        return 0 if outcome.approved or outcome is Outcome.RECORDED_IN_CONFLICT else 1


class RightsAnswer(msgspec.Struct, frozen=True):
    """All pages of an inquiry: its outcome with facts, and what the card is entitled to here."""

    answer: Answer
    rights: tuple[Right, ...]


class TotalsComparison(msgspec.Struct, frozen=True):
    """The terminal's totals of a day beside the centre's answer to them."""

    business_date: date
    mine: TerminalTotals
    answer: TotalsAnswer


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sold to whom, reserved or begun: what the cashier decides of a request.

    `at_ms` is when a booked service is to be given, UTC; the centre is told the hold only.
    """

    holder_id: bytes
    service: str
    version: int
    lines: tuple[Line, ...]
    evidence: Evidence = Evidence.TAP
    offline: bool = False
    kind: Kind = Kind.SALE
    at_ms: int | None = None
