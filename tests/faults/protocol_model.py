"""A centre made of a dictionary: what docs/kinds.md and docs/outcomes.md say, in plain Python.

It is written from the pages, not from the SQL, and is as slow and simple as they are.
`Model.decide` says what the centre must answer to a request and changes what the model remembers;
`used` says what the counters must show. Quantities are pieces, amounts kopecks, times UTC.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from processing.authorization.model import Proof
from processing.wire.digest import request_digest
from processing.wire.outcome import Outcome
from processing.wire.transaction import Evidence, Kind, Line, MessageClass, Request, TransactionKey
from tests.faults.protocol_parts import Part, amounts_of, covered_upto, cut, difference, merged
from tests.plugins.town import ZONE

DAYS_BEHIND: Final = 3
DAYS_AHEAD: Final = 1
SKEW: Final = timedelta(minutes=15)
SOLD: Final = frozenset({Kind.SALE, Kind.COMPLETION})


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a service's regulation; `percents` by measure."""

    percents: dict[str, int]
    partly: bool = False
    evidence: Evidence = Evidence.TAP
    valid_to: date = date(2039, 12, 31)
    here: bool = True
    reserve_minutes: int | None = None


class Item(msgspec.Struct, frozen=True):
    """An item of the catalogue; the cap limits what HALF covers of one piece."""

    item_class: str
    cap_kopecks: int | None = None


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """A countable right: `period` is "all", "day" or "month"."""

    allowance_id: UUID
    holder_id: bytes
    item_class: str
    measure: str
    granted: int
    period: str
    priority: int
    valid_from: date

    def start(self, day: date) -> date:
        """Return the first day of the period that `day` lies in."""
        match self.period:
            case "day":
                return day
            case "month":
                return max(day.replace(day=1), self.valid_from)
            case _:
                return self.valid_from


class State(Enum):
    """What became of a transaction under a key."""

    GIVEN = "given"
    OPEN = "open"
    DECLINED = "declined"
    CONFLICT = "conflict"
    CLOSED = "closed"
    COMPLETED = "completed"
    REVERSED = "reversed"
    EXPIRED = "expired"


@dataclass
class Entry:
    """What the journal holds of one transaction; `standing` is what is left of it by now."""

    request: Request
    digest: bytes
    outcome: Outcome
    facts: dict[str, str]
    state: State
    amounts: list[tuple[int, int]] = field(default_factory=list)
    standing: list[Part] = field(default_factory=list)
    moved: list[Part] = field(default_factory=list)
    original: Entry | None = None
    expires: datetime | None = None


class Told(msgspec.Struct, frozen=True):
    """What the centre must answer. `facts` must be among the answer's; `amounts` by line."""

    outcome: Outcome
    amounts: list[tuple[int, int]] = []
    facts: dict[str, str] = {}
    decision: bool = True
    replayed: bool = False


NOTHING: Final[dict[str, str]] = {}


class Refusal(Exception):
    """The first rule that a request breaks."""

    def __init__(self, outcome: Outcome, **facts: object) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.facts = {name: str(value) for name, value in facts.items()}


class Model:
    """Everything the centre knows of a few citizens, cards and terminals."""

    def __init__(
        self,
        services: dict[tuple[str, int], Service],
        items: dict[str, Item],
        allowances: Iterable[Allowance],
        authorities: set[tuple[bytes, bytes]],
        own_holders: dict[bytes, bytes],
    ) -> None:
        self.services = services
        self.items = items
        self.allowances = list(allowances)
        self.authorities = authorities
        self.own_holders = own_holders
        self.blocked_cards: set[bytes] = set()
        self.blocked_terminals: set[str] = set()
        self.journal: defaultdict[TransactionKey, list[Entry]] = defaultdict(list)
        self.now = datetime.min.replace(tzinfo=UTC)
        self._zone = ZoneInfo(ZONE)

    @property
    def today(self) -> date:
        """The centre's date."""
        return self.now.astimezone(self._zone).date()

    def used(self) -> dict[tuple[UUID, date], int]:
        """Return what every counter must show; those at nought are left out."""
        sums: defaultdict[tuple[UUID, date], int] = defaultdict(int)
        for entries in self.journal.values():
            for entry in entries:
                if entry.state in (State.GIVEN, State.OPEN):
                    for part in entry.standing:
                        if part.counter is not None:
                            sums[part.counter] += part.debited
        return {counter: units for counter, units in sums.items() if units}

    def entries(self, *states: State) -> list[Entry]:
        """Return what is in one of these states, oldest first."""
        return [one for entries in self.journal.values() for one in entries if one.state in states]

    def expire(self) -> int:
        """End the reservations whose time is over; return how many."""
        due = [
            one
            for one in self.entries(State.OPEN)
            if one.expires is not None and one.expires <= self.now
        ]
        for entry in due:
            entry.state = State.EXPIRED
        return len(due)

    def decide(self, request: Request, proof: Proof) -> Told:
        """Say what the centre must answer, and remember it."""
        digest, key = request_digest(request), request.key
        entries = self.journal[key]
        for entry in entries:
            if entry.digest == digest:
                return Told(entry.outcome, entry.amounts, entry.facts, replayed=True)
        if entries and not request.advice:
            closed = any(entry.state is State.CLOSED for entry in entries)
            return Told(Outcome.REVERSED_BEFORE if closed else Outcome.KEY_REUSED, decision=False)
        entry = self._decided(request, proof, digest)
        entries.append(entry)
        return Told(entry.outcome, entry.amounts, entry.facts)

    def _decided(self, request: Request, proof: Proof, digest: bytes) -> Entry:
        entry = Entry(request, digest, Outcome.APPROVED, {}, State.GIVEN)
        try:
            match request.kind:
                case Kind.REVERSAL:
                    self._reverse(entry)
                case Kind.COMPLETION:
                    self._complete(entry)
                case Kind.RETURN:
                    self._check_card(request, proof)
                    self._give_back(entry)
                case Kind.INQUIRY:
                    self._check_card(request, proof)
                    self._check_service(request)
                case _:
                    self._check_card(request, proof)
                    self._check_service(request)
                    self._allot(entry, offline=request.advice)
        except Refusal as refusal:
            self._refuse(entry, refusal, proof)
        return entry

    def _refuse(self, entry: Entry, refusal: Refusal, proof: Proof) -> None:
        """Decline; but what happened offline, and is proven, is recorded in conflict."""
        request = entry.request
        happened = request.kind is Kind.COMPLETION or (
            request.advice
            and proof is Proof.RIGHT
            and request.kind in (Kind.SALE, Kind.RESERVE, Kind.RETURN)
        )
        entry.outcome = refusal.outcome
        entry.facts = refusal.facts
        entry.state = State.DECLINED
        if happened:
            entry.outcome = Outcome.RECORDED_IN_CONFLICT
            entry.facts = refusal.facts | {"reason": f"{refusal.outcome:d}"}
            entry.amounts = [(0, line.gross_kopecks) for line in request.lines]
            entry.state = State.GIVEN if request.kind in SOLD else State.CONFLICT
            entry.standing = [
                Part(number, line.item, line.quantity, line.gross_kopecks)
                for number, line in enumerate(request.lines, 1)
            ]

    # Rules in the order of docs/outcomes.md.

    def _check_card(self, request: Request, proof: Proof) -> None:
        self._check_terminal(request)
        holder = request.holder_id
        if request.kind is Kind.INQUIRY:
            holder = self.own_holders.get(request.card_id, holder)
        if proof is Proof.CARD_UNKNOWN:
            raise Refusal(Outcome.CARD_UNKNOWN)
        if proof is not Proof.RIGHT:
            raise Refusal(Outcome.SIGNATURE_WRONG)
        if (request.card_id, holder) not in self.authorities:
            raise Refusal(Outcome.CARD_NOT_FOR_HOLDER)
        if request.card_id in self.blocked_cards:
            raise Refusal(Outcome.CARD_BLOCKED)

    def _check_terminal(self, request: Request) -> None:
        if request.key.terminal_id in self.blocked_terminals:
            raise Refusal(Outcome.TERMINAL_BLOCKED)
        signed_at = self.signed_at(request)
        days = (request.key.business_date - self.today).days
        late = not request.advice and signed_at < self.now - SKEW
        if not -DAYS_BEHIND <= days <= DAYS_AHEAD or signed_at > self.now + SKEW or late:
            raise Refusal(Outcome.CLOCK_WRONG)
        if self._closed_to(request):
            raise Refusal(Outcome.REVERSED_BEFORE)

    def _closed_to(self, request: Request) -> bool:
        """Whether this card's own reversal came before this advice."""
        return any(
            one.state is State.CLOSED and self._same_party(one.request, request)
            for one in self.journal[request.key]
        )

    def _check_service(self, request: Request) -> None:
        if request.kind is Kind.INQUIRY:
            return
        name, version = request.service, request.service_version
        versions = [one for one in self.services if one[0] == name]
        if not versions:
            raise Refusal(Outcome.SERVICE_UNKNOWN)
        if not self.services[versions[-1]].here:
            raise Refusal(Outcome.SERVICE_NOT_HERE)
        service = self.services.get((name, version))
        if service is None or self.local_date(request) > service.valid_to:
            raise Refusal(Outcome.REGULATION_OUTDATED, version=versions[-1][1])
        if request.kind is Kind.RESERVE and service.reserve_minutes is None:
            raise Refusal(Outcome.REGULATION_OUTDATED, reserve="no")
        if request.evidence < service.evidence:
            raise Refusal(Outcome.EVIDENCE_WEAK)

    # Sale and reserve.

    def _allot(self, entry: Entry, *, offline: bool) -> None:
        """Draw each line on the allowances that are open to it, in order of priority."""
        request = entry.request
        service = self.services[request.service, request.service_version]
        held = self.used()
        parts, uncovered = [], []
        none_open = short = taken = 0
        for number, line in enumerate(request.lines, 1):
            rights = self._rights(request, line, service)
            if not rights:
                none_open += 1
                uncovered.append(Outcome.NO_ENTITLEMENT)
            drawn = self._draw(number, line, rights, service, held, self.local_date(request))
            parts += drawn
            taken += sum(part.debited for part in drawn)
            if rights and drawn[-1].counter is None:
                short += 1
                uncovered.append(Outcome.ALLOWANCE_EXHAUSTED)
        whole = not (service.partly or offline)
        if none_open == len(request.lines) or (whole and none_open):
            outcome = Outcome.NO_ENTITLEMENT
        elif short and (whole or not taken):
            outcome = Outcome.ALLOWANCE_EXHAUSTED
        else:
            outcome = Outcome.APPROVED_PARTLY if uncovered else Outcome.APPROVED
        if outcome < Outcome.RECORDED_IN_CONFLICT and not offline:
            raise Refusal(outcome)
        if offline and outcome is not Outcome.APPROVED:
            reason = outcome
            if outcome is Outcome.APPROVED_PARTLY:
                reason = Outcome.ALLOWANCE_EXHAUSTED if short else Outcome.NO_ENTITLEMENT
            entry.facts = {"reason": f"{reason:d}"}
            outcome = Outcome.RECORDED_IN_CONFLICT
        entry.outcome = outcome
        entry.standing = parts
        entry.amounts = amounts_of(parts)
        if request.kind is Kind.RESERVE:
            entry.state = State.OPEN
            assert service.reserve_minutes is not None
            entry.expires = self.now + timedelta(minutes=service.reserve_minutes)
            entry.facts = entry.facts | {"expires": f"{entry.expires:%Y-%m-%dT%H:%M:%SZ}"}

    def _rights(self, request: Request, line: Line, service: Service) -> list[Allowance]:
        item_class = self.items[line.item].item_class
        return sorted(
            (
                one
                for one in self.allowances
                if one.holder_id == request.holder_id
                and one.item_class == item_class
                and one.measure in service.percents
            ),
            key=lambda one: one.priority,
        )

    def _draw(
        self,
        number: int,
        line: Line,
        rights: list[Allowance],
        service: Service,
        held: dict[tuple[UUID, date], int],
        day: date,
    ) -> list[Part]:
        """Return the parts of one line; what no allowance covers is the last, without a counter."""
        parts: list[Part] = []
        met = gross_before = 0
        for right in rights:
            counter = (right.allowance_id, right.start(day))
            taken = min(line.quantity - met, right.granted - held.get(counter, 0))
            if taken <= 0:
                continue
            held[counter] = held.get(counter, 0) + taken
            met += taken
            gross_upto = line.gross_kopecks * met // line.quantity
            percent = service.percents[right.measure]
            cap = self.items[line.item].cap_kopecks if right.measure == "HALF" else None
            rule = (line.gross_kopecks, line.quantity, cap, percent)
            parts.append(
                Part(
                    number,
                    line.item,
                    taken,
                    gross_upto - gross_before,
                    covered_upto(gross_upto, *rule) - covered_upto(gross_before, *rule),
                    taken,
                    percent,
                    cap,
                    counter,
                )
            )
            gross_before = gross_upto
        if met < line.quantity:
            rest = line.gross_kopecks - gross_before
            parts.append(Part(number, line.item, line.quantity - met, rest))
        return parts

    def local_date(self, request: Request) -> date:
        """Return the day that counts: online the centre's, offline the one that was signed."""
        moment = self.signed_at(request) if request.advice else self.now
        return moment.astimezone(self._zone).date()

    def signed_at(self, request: Request) -> datetime:
        """Return when the card signed."""
        return datetime.fromtimestamp(request.signed_at_ms / 1000, self._zone)

    # What comes after.

    def _reverse(self, entry: Entry) -> None:
        request, parent = entry.request, entry.request.parent
        assert parent is not None
        if parent.terminal_id != request.key.terminal_id or (
            parent.message_class is MessageClass.REVERSAL
        ):
            raise Refusal(Outcome.ORIGINAL_MISMATCH)
        entries = self.journal[parent]
        if not entries:
            entry.facts = {"original": "unknown"}
            grave = replace(entry, digest=b"", state=State.CLOSED, outcome=Outcome.REVERSED_BEFORE)
            entries.append(grave)
            return
        mine = [one for one in entries if self._same_party(one.request, request)]
        if not mine and all(one.state is State.CLOSED for one in entries):
            mine = entries
        if not mine:
            raise Refusal(Outcome.ORIGINAL_MISMATCH)
        standing = [
            one
            for one in mine
            if one.request.kind is not Kind.INQUIRY
            and one.state in (State.GIVEN, State.OPEN, State.CONFLICT)
        ]
        if not standing and mine[-1].request.kind is Kind.INQUIRY:
            raise Refusal(Outcome.ORIGINAL_MISMATCH, field="kind")
        if not standing:
            self._nothing_left(entry, mine)
            return
        original = standing[-1]
        match original.request.kind:
            case Kind.RETURN:
                self._sell_again(entry, original)
            case _:
                entry.amounts = amounts_of(original.standing)
                original.state = State.REVERSED

    def _nothing_left(self, entry: Entry, mine: list[Entry]) -> None:
        """Answer a reversal of what does not stand (any more)."""
        words = {
            State.CLOSED: "reversed",
            State.REVERSED: "reversed",
            State.EXPIRED: "expired",
            State.COMPLETED: "completed",
            State.DECLINED: "declined",
        }
        given = [one for one in mine if one.state is not State.DECLINED]
        original = (given or mine)[-1]
        entry.facts = {"original": words[original.state]}
        if original.state is State.COMPLETED:
            raise Refusal(Outcome.ORIGINAL_MISMATCH, **entry.facts)

    def _sell_again(self, entry: Entry, returned: Entry) -> None:
        """Take a return back: debit anew what it gave, all or nothing."""
        sold = returned.original
        if sold is None:
            # Its goods came back in conflict: nothing was given back that could be debited anew.
            entry.facts = {"original": "return"}
            entry.amounts = amounts_of(returned.standing)
            returned.state = State.REVERSED
            return
        if sold.state is not State.GIVEN:
            entry.facts = {"original": "reversed"}
            return
        granted = {one.allowance_id: one.granted for one in self.allowances}
        used = self.used()
        for part in returned.moved:
            if part.counter is not None and part.debited:
                used[part.counter] = used.get(part.counter, 0) + part.debited
                if used[part.counter] > granted[part.counter[0]]:
                    if entry.request.advice:
                        entry.outcome = Outcome.RECORDED_IN_CONFLICT
                        entry.facts = {"reason": "602"}
                        return
                    raise Refusal(Outcome.ALLOWANCE_EXHAUSTED)
        entry.facts = {"original": "return"}
        entry.amounts = amounts_of(returned.moved)
        returned.state = State.REVERSED
        sold.standing = merged(sold.standing, returned.moved)

    def _complete(self, entry: Entry) -> None:
        request, parent = entry.request, entry.request.parent
        assert parent is not None
        if self._closed_to(request):
            raise Refusal(Outcome.REVERSED_BEFORE)
        if parent.terminal_id != request.key.terminal_id:
            raise Refusal(Outcome.ORIGINAL_MISMATCH, field="parent")
        reserved = self._one_under(parent, request)
        if reserved.request.kind is not Kind.RESERVE and reserved.state is not State.CLOSED:
            raise Refusal(Outcome.ORIGINAL_MISMATCH, field="kind")
        if reserved.state is not State.CLOSED:
            if not self._same_party(reserved.request, request):
                raise Refusal(Outcome.ORIGINAL_MISMATCH, field="card or holder")
            if reserved.request.service != request.service:
                raise Refusal(Outcome.ORIGINAL_MISMATCH, field="service")
        if reserved.state is not State.OPEN:
            raise Refusal(Outcome.ORIGINAL_UNKNOWN, original=_STANDING_WORDS[reserved.state])
        kept: list[Part] = []
        for number, line in enumerate(request.lines, 1):
            own = [part for part in reserved.standing if part.line_no == number]
            fault = _fault_of(line, own)
            if fault is not None and entry.outcome is Outcome.APPROVED:
                entry.outcome = Outcome.RECORDED_IN_CONFLICT
                entry.facts = {"reason": f"{fault:d}", "line": f"{number}"}
            if fault is Outcome.ORIGINAL_MISMATCH:
                own = []
            quantity = min(line.quantity, sum(part.quantity for part in own))
            gross = min(line.gross_kopecks, sum(part.gross for part in own))
            kept += cut(own, quantity, gross)
            if fault is not None:
                more = (line.quantity - quantity, line.gross_kopecks - gross)
                kept.append(Part(number, line.item, *more))
        reserved.state = State.COMPLETED
        entry.standing = kept
        entry.amounts = amounts_of(kept)

    def _give_back(self, entry: Entry) -> None:
        request, parent = entry.request, entry.request.parent
        assert parent is not None
        sold = self._one_under(parent, request)
        if sold.state is not State.CLOSED:
            if sold.request.kind not in SOLD:
                raise Refusal(Outcome.ORIGINAL_MISMATCH, field="kind")
            if sold.request.holder_id != request.holder_id:
                raise Refusal(Outcome.ORIGINAL_MISMATCH, field="holder")
            if sold.request.service != request.service:
                raise Refusal(Outcome.ORIGINAL_MISMATCH, field="service")
        if sold.state is not State.GIVEN:
            raise Refusal(Outcome.ORIGINAL_UNKNOWN, original=_STANDING_WORDS[sold.state])
        if not any(line.quantity or line.gross_kopecks for line in request.lines):
            raise Refusal(Outcome.AMOUNT_WRONG, line=1)
        left: list[Part] = []
        for number, line in enumerate(request.lines, 1):
            own = [part for part in sold.standing if part.line_no == number]
            fault = _fault_of(line, own)
            if fault is not None:
                raise Refusal(fault, line=number, item=line.item)
            quantity = sum(part.quantity for part in own) - line.quantity
            gross = sum(part.gross for part in own) - line.gross_kopecks
            gone = line.quantity and not quantity
            if quantity < 0 or gross < 0 or (gone and gross > 0):
                raise Refusal(Outcome.AMOUNT_WRONG, line=number)
            left += cut(own, quantity, gross, back=True)
        untouched = [part for part in sold.standing if part.line_no > len(request.lines)]
        entry.original = sold
        entry.moved = difference(sold.standing, left + untouched)
        entry.amounts = amounts_of(entry.moved)[: len(request.lines)]
        sold.standing = left + untouched

    def _one_under(self, key: TransactionKey, request: Request) -> Entry:
        """Return what a request names: of several the card's own, the latest that stands."""
        entries = self.journal.get(key, [])
        if not entries:
            raise Refusal(Outcome.ORIGINAL_UNKNOWN, original="unknown")

        def rank(entry: Entry) -> tuple[bool, bool, bool, bool]:
            return (
                entry.request.holder_id == request.holder_id,
                entry.request.card_id == request.card_id,
                entry.state not in (State.DECLINED, State.CLOSED),
                entry.state not in (State.REVERSED, State.COMPLETED, State.EXPIRED),
            )

        return max(reversed(entries), key=rank)

    def _same_party(self, one: Request, other: Request) -> bool:
        return (one.card_id, self._holder(one)) == (other.card_id, self._holder(other))

    def _holder(self, request: Request) -> bytes:
        if any(request.holder_id):
            return request.holder_id
        return self.own_holders.get(request.card_id, request.holder_id)


def _fault_of(line: Line, parts: list[Part]) -> Outcome | None:
    """Return why a line of a completion or return does not fit the original's line."""
    if not parts or line.item != parts[0].item:
        return Outcome.ORIGINAL_MISMATCH
    more = line.quantity > sum(part.quantity for part in parts)
    if more or line.gross_kopecks > sum(part.gross for part in parts):
        return Outcome.AMOUNT_WRONG
    return None


_STANDING_WORDS: Final = {
    State.CLOSED: "reversed",
    State.REVERSED: "reversed",
    State.EXPIRED: "expired",
    State.COMPLETED: "completed",
    State.DECLINED: "declined",
    State.CONFLICT: "conflict",
}
