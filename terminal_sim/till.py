"""One terminal at work: puts requests on the disk, has them signed, sent, judged and recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final

import msgspec

from processing.wire.digest import request_digest
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    NetworkCode,
    TerminalTotals,
    Totals,
    TotalsAnswer,
)
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    Answer,
    Evidence,
    Line,
    Request,
    Right,
    TransactionKey,
)
from terminal_sim.card import AskPin, PresentedCard
from terminal_sim.errors import TerminalError
from terminal_sim.link import WORTH_REPEATING, Link, LinkError, Pause, Pursuit, pursue
from terminal_sim.state import NO_TOTALS, Asked, DayClosed, Decided, EntryState, Undecided, quoted
from terminal_sim.store import Store
from terminal_sim.terminal import Judgement, Terminal, Verdict, checked

PAGES_MAX: Final = 64
"""Most pages of rights that one inquiry turns."""

NUMBERS_TRIED_MAX: Final = 3
"""How often a sale takes a new number when the centre says that its number is taken."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request. `entry` states are in the store; this is for the screen.

    `answer` is None when none can be believed; `fault` says why. `offline` when it was only
    recorded here.
    """

    request: Request
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
    """What is to be sold to whom: everything of a request that the cashier decides."""

    holder_id: bytes
    service: str
    version: int
    lines: tuple[Line, ...]
    evidence: Evidence = Evidence.TAP
    offline: bool = False


class Till:
    """A terminal with its store and its link. `now_ms` is UTC; `pause` waits between attempts."""

    def __init__(
        self,
        terminal: Terminal,
        store: Store,
        link: Link,
        now_ms: Callable[[], int],
        pause: Pause,
    ) -> None:
        self.terminal = terminal
        self.store = store
        self._link = link
        self._now_ms = now_ms
        self._pause = pause

    def rights(self, card: PresentedCard) -> RightsAnswer:
        """Ask what the card is entitled to here, page by page.

        The answer's `rights` are the first page's. Raises `LinkError` when the centre cannot be
        asked, `CardError` when the card cannot sign.
        """
        now_ms = self._now_ms()
        request = self._signed(self.terminal.inquiry(card.identity, now_ms), card, _no_pin)
        # A question is not kept as a request: nothing is lost with its answer. Its number is.
        self.store.write(self.terminal.counted(now_ms))
        first = self._ask(request, 0)
        rights = list(first.rights)
        page, first_right = first, 0
        for _ in range(PAGES_MAX):
            # 0 says that this was the last page.
            if page.next_right == 0:
                break
            first_right = page.next_right
            page = self._ask(request, first_right)
            # One that does not advance was there before: a line may deliver an answer twice.
            if not page.outcome.approved or 0 < page.next_right <= first_right:
                raise LinkError(
                    "Центр передал не все права: повторите", "not all rights came: ask again"
                )
            rights += page.rights
        return RightsAnswer(first, tuple(rights))

    def _ask(self, request: Request, first_right: int) -> Answer:
        """Ask one page, repeating after a lost answer. Raises the last `LinkError`."""
        limits = self._link.limits
        fault: LinkError | None = None
        answer: Answer | None = None
        for attempt in range(1, limits.attempts + 1):
            if attempt > 1:
                self._pause(limits.pause_ms(attempt))
            again = msgspec.structs.replace(request, repeat=attempt > 1)
            try:
                answer = self._link.transact(again, first_right)
            except LinkError as error:
                fault = error
                continue
            if answer.outcome not in WORTH_REPEATING:
                break
        if answer is None:
            raise fault or LinkError("Центр не спрошен", "the centre was not asked")
        return answer

    def sell(self, card: PresentedCard, sale: Sale, ask_pin: AskPin) -> Result:
        """Sell: sign, keep, send, judge. A number that is taken is replaced by the next one.

        Raises `CardError` (a wrong PIN, a card taken away) before anything was kept or sent.
        """
        result = self._sell_once(card, sale, ask_pin)
        for _ in range(1, NUMBERS_TRIED_MAX):
            if result.answer is None or result.answer.outcome is not Outcome.KEY_REUSED:
                break
            result = self._sell_once(card, sale, ask_pin)
        return result

    def _sell_once(self, card: PresentedCard, sale: Sale, ask_pin: AskPin) -> Result:
        unsigned = self.terminal.sale(
            card.identity,
            sale.holder_id,
            sale.service,
            sale.version,
            sale.lines,
            self._now_ms(),
            evidence=sale.evidence,
            offline=sale.offline,
        )
        request = self._signed(unsigned, card, ask_pin)
        self.store.write(Asked(request))
        if sale.offline:
            return Result(request=request, offline=True)
        return self._pursue(request)

    def _signed(self, unsigned: Request, card: PresentedCard, ask_pin: AskPin) -> Request:
        signature = card.sign(request_digest(unsigned), unsigned.evidence, ask_pin)
        return checked(msgspec.structs.replace(unsigned, signature=signature))

    def reverse(self, key: TransactionKey) -> Result:
        """Take back a transaction of this terminal. Raises `TerminalError` for an unknown one.

        A sale without a decision is taken back too: afterwards it is asked for once more, so that
        the terminal learns whether it had reached the centre.
        """
        entry = self.store.state.entry(key)
        if entry is None:
            raise TerminalError(
                f"Операция {quoted(key)} на этом терминале не найдена",
                f"this terminal knows no transaction {quoted(key)}",
            )
        request = self.terminal.reversal(entry.request, self._now_ms())
        self.store.write(Asked(request))
        result = self._pursue(request)
        if result.decided and key in self.store.state.pending:
            self._pursue(entry.request, repeated=True, attempts=1)
        return result

    def repeat_pending(self) -> list[Result]:
        """Repeat every request without a decision, oldest first, once each.

        Stops at the first that cannot be sent: without a link the others would only wait.
        """
        results = []
        for entry in list(self.store.state.pending.values()):
            # An advice that waits for its first sending is no repeat.
            first = entry.request.advice and entry.state is EntryState.PENDING
            result = self._pursue(entry.request, repeated=not first, attempts=1)
            results.append(result)
            if isinstance(result.fault, LinkError):
                break
        return results

    def _pursue(
        self, request: Request, *, repeated: bool = False, attempts: int | None = None
    ) -> Result:
        pursuit = pursue(
            self._link,
            self.terminal,
            request,
            self._pause,
            repeated=repeated,
            attempts=attempts,
        )
        self._record(request.key, pursuit)
        believed = pursuit.judgement and pursuit.judgement.verdict is not Verdict.NOT_BELIEVED
        return Result(
            request=request,
            answer=pursuit.answer if believed else None,
            judgement=pursuit.judgement,
            fault=pursuit.fault,
        )

    def _record(self, key: TransactionKey, pursuit: Pursuit) -> None:
        if pursuit.judgement is None or pursuit.answer is None:
            return
        match pursuit.judgement.verdict:
            case Verdict.DECIDED:
                self.store.write(Decided(key, pursuit.answer))
            case Verdict.NOT_DECIDED:
                self.store.write(Undecided(key, pursuit.answer))
            case Verdict.NOT_BELIEVED:
                self.store.write(Undecided(key, None))

    def totals(self, day: date) -> TotalsComparison:
        """Send the day's totals and return them beside the centre's. Raises `LinkError`."""
        number = self._number()
        mine = self.store.state.totals.get(day, NO_TOTALS)
        message = Totals(
            terminal_id=self.terminal.parameters.terminal_id,
            stan=number,
            business_date=day,
            totals=mine,
        )
        limits = self._link.limits
        for attempt in range(1, limits.attempts):
            try:
                return TotalsComparison(day, mine, self._link.totals(message))
            except LinkError:
                self._pause(limits.pause_ms(attempt + 1))
                message = msgspec.structs.replace(message, repeat=True)
        return TotalsComparison(day, mine, self._link.totals(message))

    def close_day(self, day: date) -> None:
        """End a business day: what is rung up from now on belongs to the next one."""
        self.store.write(DayClosed(day))

    def echo(self) -> NetworkAnswer:
        """Ask the centre whether it is there. Raises `LinkError`."""
        message = Network(
            terminal_id=self.terminal.parameters.terminal_id,
            stan=self._number(),
            code=NetworkCode.ECHO,
        )
        return self._link.network(message)

    def _number(self) -> int:
        counted = self.terminal.counted(self._now_ms())
        self.store.write(counted)
        return counted.stan


def _no_pin() -> str:
    raise AssertionError("an inquiry is signed by tap")
