"""What a terminal remembers: the records of what happened, and the state they add up to.

A request is *pending* until the centre's decision on it is believed. A pending request is
repeated with the same content; only the way it travels (`repeat`) changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from enum import IntEnum
from typing import Final

import msgspec

from processing.wire.iso8583.messages import TerminalTotals
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    Answer,
    DecidedLine,
    Kind,
    MessageClass,
    Request,
    TransactionKey,
)
from terminal_sim.keys import MacKey

DECIDED_KEPT: Final = 2_000
"""How many decided requests are kept, the newest, for reversals and copies of receipts."""

RESERVATIONS_KEPT: Final = 1_000
"""How many open reservations and visits are kept beyond `DECIDED_KEPT`, the newest."""

DATES_KEPT: Final = 62
"""How many business dates keep their totals and last STAN."""

HOLDING: Final = (Kind.RESERVE, Kind.VISIT_START)
"""What holds something until it is ended."""

ENDING: Final = (Kind.COMPLETION, Kind.VISIT_FINISH, Kind.REVERSAL)

NO_TOTALS: Final = TerminalTotals(
    approved_count=0,
    gross_kopecks=0,
    covered_kopecks=0,
    paid_kopecks=0,
    reversed_count=0,
    reversed_covered_kopecks=0,
)


class EntryState(IntEnum):
    """How far a request has come."""

    PENDING = 1
    UNDECIDED = 2
    DECIDED = 3


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A request and what is known of it.

    PENDING: no answer yet. UNDECIDED: the centre answered that nothing is decided (`answer` says
    why), or its answer could not be believed (`answer` is None). DECIDED: `answer` is final.
    """

    request: Request
    state: EntryState = EntryState.PENDING
    answer: Answer | None = None


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The state began anew: the first record of a log, and the one after damage."""

    terminal_id: str
    epoch: int
    business_date: date
    stan: int


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """A number was used for a message that need not be repeated: inquiry, totals, echo."""

    business_date: date
    stan: int
    sequence: int


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """A request is about to be sent."""

    request: Request


class Appointed(msgspec.Struct, frozen=True, tag="appointed"):
    """What is about to be reserved is meant for this moment, UTC milliseconds."""

    key: TransactionKey
    at_ms: int


class Undecided(msgspec.Struct, frozen=True, tag="undecided"):
    """An answer came that decides nothing; None when it could not be believed."""

    key: TransactionKey
    answer: Answer | None


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """The centre's decision came and was believed."""

    key: TransactionKey
    answer: Answer


class DayClosed(msgspec.Struct, frozen=True, tag="closed"):
    """The business day ended: the next transaction belongs to the next day."""

    business_date: date


class KeyKept(msgspec.Struct, frozen=True, tag="key"):
    """A MAC key came over the line; `file` is the fingerprint of the parameter file's keys.

    Both keys are kept until the centre answered under this one.
    """

    file: bytes
    key: MacKey


class KeyTaken(msgspec.Struct, frozen=True, tag="key taken"):
    """The centre answered under the key kept last: the one before is forgotten."""

    generation: int


class Held(msgspec.Struct, frozen=True, tag="held"):
    """Compaction kept this open reservation or visit."""

    entry: Entry


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """Compaction kept this request; the totals count it already."""

    entry: Entry


class Day(msgspec.Struct, frozen=True, tag="day"):
    """Compaction kept what a business date added up to."""

    business_date: date
    stan: int
    sequence: int
    totals: TerminalTotals
    closed: bool


Record = (
    Opened
    | Counted
    | Asked
    | Appointed
    | Undecided
    | Decided
    | DayClosed
    | KeyKept
    | KeyTaken
    | Held
    | Kept
    | Day
)


class TerminalState:
    """What a terminal's records add up to. `apply` is the only way to change it."""

    def __init__(self) -> None:
        self.terminal_id = ""
        self.epoch = 0
        self.sequence = 0
        self.last_stans: dict[date, int] = {}
        self.closed: set[date] = set()
        self.totals: dict[date, TerminalTotals] = {}
        self.pending: dict[TransactionKey, Entry] = {}
        self.decided: dict[TransactionKey, Entry] = {}
        self.reservations: dict[TransactionKey, Entry] = {}
        """Reservations that were not completed, and visits that were not finished."""
        self.appointments: dict[TransactionKey, int] = {}
        self.key_file = b""
        self.key: MacKey | None = None
        self.next_key: MacKey | None = None

    def apply(self, record: Record) -> None:
        """Take one record in. Raises ValueError for one that cannot follow what was before."""
        match record:
            case Opened():
                self.terminal_id = record.terminal_id
                self.epoch = record.epoch
                self._use(record.business_date, record.stan)
            case Counted():
                self._use(record.business_date, record.stan)
                self.sequence = max(self.sequence, record.sequence)
            case Asked(request=request):
                self._use(request.key.business_date, request.key.stan)
                self.sequence = max(self.sequence, request.terminal_sequence)
                self.pending[request.key] = Entry(request=request)
            case Appointed():
                self.appointments[record.key] = record.at_ms
            case Undecided():
                entry = self._pending(record.key)
                self.pending[record.key] = Entry(
                    request=entry.request, state=EntryState.UNDECIDED, answer=record.answer
                )
            case Decided():
                self._decide(record)
            case DayClosed():
                self.closed.add(record.business_date)
            case KeyKept():
                if record.file != self.key_file:
                    self.key_file, self.key = record.file, None
                self.next_key = record.key
            case KeyTaken(generation=generation):
                if self.next_key is None or self.next_key.generation != generation:
                    raise ValueError(f"no key of generation {generation} was kept")
                self.key, self.next_key = self.next_key, None
            case Held(entry=entry):
                self._use(entry.request.key.business_date, entry.request.key.stan)
                self._hold(entry)
            case Kept(entry=entry):
                self._use(entry.request.key.business_date, entry.request.key.stan)
                self.decided[entry.request.key] = entry
            case Day():
                self._use(record.business_date, record.stan)
                self.sequence = max(self.sequence, record.sequence)
                self.totals[record.business_date] = record.totals
                if record.closed:
                    self.closed.add(record.business_date)

    def snapshot(self) -> Iterator[Record]:
        """Return the records that give this state again, without what is too old to keep."""
        dates = sorted(self.last_stans)[-DATES_KEPT:]
        newest = dates[-1] if dates else date.min
        yield Opened(self.terminal_id, self.epoch, newest, self.last_stans.get(newest, 0))
        for day in dates:
            yield Day(
                day,
                self.last_stans[day],
                self.sequence,
                self.totals.get(day, NO_TOTALS),
                day in self.closed,
            )
        if self.key is not None:
            yield KeyKept(self.key_file, self.key)
            yield KeyTaken(self.key.generation)
        if self.next_key is not None:
            yield KeyKept(self.key_file, self.next_key)
        for entry in self.decided.values():
            yield Kept(entry)
        for entry in self.reservations.values():
            yield Held(entry)
        for key, at_ms in self.appointments.items():
            if key in self.reservations or key in self.pending:
                yield Appointed(key, at_ms)
        for entry in self.pending.values():
            yield Asked(entry.request)
            if entry.state is EntryState.UNDECIDED:
                yield Undecided(entry.request.key, entry.answer)

    def entry(self, key: TransactionKey) -> Entry | None:
        """Return what is known of a transaction, or None."""
        return self.pending.get(key) or self.decided.get(key) or self.reservations.get(key)

    def named(self, key: TransactionKey) -> Entry | None:
        """Return what stands under these numbers as a sale, completion, return or reservation.

        A terminal uses a number once a day, whatever the class.
        """
        for message_class in (MessageClass.FINANCIAL, MessageClass.AUTHORIZATION):
            entry = self.entry(msgspec.structs.replace(key, message_class=message_class))
            if entry is not None:
                return entry
        return None

    def children(self, key: TransactionKey) -> list[Entry]:
        """Return the requests that name this one as their parent and stand or may still do so."""
        every = (*self.decided.values(), *self.pending.values())
        return [
            entry
            for entry in every
            if entry.request.parent == key
            and (
                entry.state is not EntryState.DECIDED
                or entry.answer is None
                or given(entry.answer.outcome)
            )
        ]

    def open_holds(self, kind: Kind) -> list[Entry]:
        """Return the reservations or the visits that nothing has ended here, the oldest first.

        Those that wait to be told to the centre are among them.
        """
        waiting = (
            entry
            for entry in self.pending.values()
            if entry.request.kind is kind and entry.request.advice
        )
        held = (entry for entry in self.reservations.values() if entry.request.kind is kind)
        return [entry for entry in (*held, *waiting) if not self.children(entry.request.key)]

    def _use(self, day: date, stan: int) -> None:
        self.last_stans[day] = max(stan, self.last_stans.get(day, 0))

    def _pending(self, key: TransactionKey) -> Entry:
        entry = self.pending.get(key)
        if entry is None:
            raise ValueError(f"no request is pending under {quoted(key)}")
        return entry

    def _decide(self, record: Decided) -> None:
        request = self._pending(record.key).request
        del self.pending[record.key]
        entry = Entry(request=request, state=EntryState.DECIDED, answer=record.answer)
        self.decided[record.key] = entry
        if len(self.decided) > DECIDED_KEPT:
            del self.decided[next(iter(self.decided))]
        if request.kind in HOLDING and holds(record.answer):
            self._hold(entry)
        elif request.parent is not None and _ends_reservation(entry):
            self.reservations.pop(request.parent, None)
            self.appointments.pop(request.parent, None)
        if _was_given(entry):
            counted = _with_return if request.kind is Kind.RETURN else _with_sale
            self._count(record.key.business_date, counted, entry)
        elif request.parent is not None and _took_back(entry):
            of_return = record.answer.facts.get("original") == "return"
            counted = _without_return if of_return else _with_reversal
            self._count(request.parent.business_date, counted, entry)

    def _hold(self, entry: Entry) -> None:
        self.reservations[entry.request.key] = entry
        if len(self.reservations) > RESERVATIONS_KEPT:
            del self.reservations[next(iter(self.reservations))]

    def _count(
        self, day: date, counted: Callable[[TerminalTotals, Entry], TerminalTotals], entry: Entry
    ) -> None:
        self.totals[day] = counted(self.totals.get(day, NO_TOTALS), entry)


def given(outcome: Outcome) -> bool:
    """Whether the service was given: approved, or offline and recorded."""
    return outcome.approved or outcome is Outcome.RECORDED_IN_CONFLICT


def holds(answer: Answer) -> bool:
    """Whether a decided reserve holds anything: only then is it told when it ends.

    One that was recorded against a rule of the card or the service holds nothing.
    """
    return given(answer.outcome) and "expires" in answer.facts


def _was_given(entry: Entry) -> bool:
    """Whether goods or a service were given under this decided request."""
    answer = entry.answer
    financial = entry.request.key.message_class is MessageClass.FINANCIAL
    return financial and answer is not None and bool(answer.decision) and given(answer.outcome)


def _ends_reservation(entry: Entry) -> bool:
    """Whether nothing of its parent can be completed or finished after this decided request.

    A finish in conflict ended its visit: the centre gives the hold back, settlement sees both.
    """
    answer = entry.answer
    if answer is None or entry.request.kind not in ENDING:
        return False
    # A completion that was itself reversed before it came leaves the reservation open.
    overtaken = answer.facts.get("reason") == f"{int(Outcome.REVERSED_BEFORE)}"
    return given(answer.outcome) and not overtaken


def _took_back(entry: Entry) -> bool:
    """Whether this decided reversal moved money: not if it freed a reservation.

    Its decision then tells the amounts. It has none when the original was unknown, declined or
    taken back before.
    """
    answer, parent = entry.answer, entry.request.parent
    if entry.request.kind is not Kind.REVERSAL or answer is None or parent is None:
        return False
    of_money = parent.message_class is MessageClass.FINANCIAL
    return of_money and answer.outcome.approved and bool(_amounts(entry))


def _with_sale(totals: TerminalTotals, entry: Entry) -> TerminalTotals:
    """Return the day's totals with one more approved transaction."""
    amounts = _amounts(entry)
    covered_kopecks = sum(one.covered_kopecks for one in amounts)
    paid_kopecks = sum(one.paid_kopecks for one in amounts)
    return msgspec.structs.replace(
        totals,
        approved_count=totals.approved_count + 1,
        gross_kopecks=totals.gross_kopecks + covered_kopecks + paid_kopecks,
        covered_kopecks=totals.covered_kopecks + covered_kopecks,
        paid_kopecks=totals.paid_kopecks + paid_kopecks,
    )


def _with_reversal(totals: TerminalTotals, entry: Entry) -> TerminalTotals:
    """Return the totals of the original's day with one more reversal."""
    covered_kopecks = sum(one.covered_kopecks for one in _amounts(entry))
    return msgspec.structs.replace(
        totals,
        reversed_count=totals.reversed_count + 1,
        reversed_covered_kopecks=totals.reversed_covered_kopecks + covered_kopecks,
    )


def _with_return(totals: TerminalTotals, entry: Entry) -> TerminalTotals:
    """Return the day's totals with one more return of goods."""
    return _returns_changed(totals, 1, entry)


def _without_return(totals: TerminalTotals, entry: Entry) -> TerminalTotals:
    """Return the totals of a return's day without it, since it was reversed."""
    return _returns_changed(totals, -1, entry)


def _returns_changed(totals: TerminalTotals, sign: int, entry: Entry) -> TerminalTotals:
    covered_kopecks = sum(one.covered_kopecks for one in _amounts(entry))
    return msgspec.structs.replace(
        totals,
        returned_count=totals.returned_count + sign,
        returned_covered_kopecks=totals.returned_covered_kopecks + sign * covered_kopecks,
    )


def _amounts(entry: Entry) -> tuple[DecidedLine, ...]:
    decision = entry.answer.decision if entry.answer else None
    return decision.lines if decision else ()


def quoted(key: TransactionKey) -> str:
    """Return how people quote a transaction: date, terminal and STAN."""
    return f"{key.business_date:%Y%m%d}-{key.terminal_id}-{key.stan:06}"
