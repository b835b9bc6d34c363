"""Histories nobody would think of: a state machine talks to the centre, a dictionary foretells it.

Each step is a message of a terminal, a change of a card or a terminal, a move of the clock or a
new worker. The centre is the real one behind its port; after every step its counters are those of
the model, and an earlier request, asked again, is answered as it was.

    pytest tests/faults/test_protocol.py --protocol-examples 2000
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hsm_stub.key_material import KeyMaterial
from processing.authorization.model import Proof
from processing.wire.digest import request_digest
from processing.wire.iso8583.mac import Mac
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    CLASS_OF_KIND,
    Answer,
    Decision,
    Evidence,
    Kind,
    Line,
    MessageClass,
    Request,
    SignatureAlgorithm,
    TransactionKey,
)
from tests.faults.counters import Counted, Counters
from tests.faults.protocol_draws import Share, cards, hours_ago, lines, oddities, shares, shops
from tests.faults.protocol_model import State, Told
from tests.faults.protocol_world import ProtocolCentre, Town
from tests.plugins.faults import SEEN
from tests.plugins.postgres import Database
from tests.plugins.town import REGION, Citizen, signature_of

STEPS: Final = 30
ADVISABLE: Final = frozenset({Kind.SALE, Kind.RESERVE, Kind.RETURN, Kind.REVERSAL})
WRONG_MAC: Final = Mac(bytes(16))


class Protocol(RuleBasedStateMachine):
    """One history; `centre` and `counters` are those of the whole run."""

    centre: ClassVar[ProtocolCentre]
    counters: ClassVar[Counters]

    asked = Bundle("asked")
    unsent = Bundle("unsent")
    reserved = Bundle("reserved")
    sold = Bundle("sold")

    @initialize(granted=st.tuples(*[st.sampled_from([12, 6, 24, 3, 0])] * 4))
    def begin(self, granted: tuple[int, int, int, int]) -> None:
        self.town: Town = self.centre.new_town(granted)
        self.model = self.town.model
        self.told: dict[tuple[TransactionKey, bytes], tuple[Request, Told, Answer]] = {}
        self.numbers = itertools.count(1)
        self.turn = 0

    # What a cashier does.

    @rule(targets=(asked, sold), card=cards, shop=shops, goods=lines)
    def sell(self, card: int, shop: int, goods: tuple[Line, ...]) -> Request:
        return self._ask(self._sale(card, shop, goods))

    @rule(target=asked, card=cards, shop=shops, goods=lines, odd=oddities, advice=st.booleans())
    def sell_oddly(
        self, card: int, shop: int, goods: tuple[Line, ...], odd: dict[str, Any], advice: bool
    ) -> Request:
        proof = odd.get("proof", Proof.RIGHT)
        request = self._sale(card, shop, goods, advice=advice, **odd)
        return self._ask(request, proof)

    @rule(targets=(asked, sold), card=cards, shop=shops, goods=lines, hours=hours_ago)
    def advise(self, card: int, shop: int, goods: tuple[Line, ...], hours: int) -> Request:
        return self._ask(self._sale(card, shop, goods, advice=True, minutes=-60 * hours))

    @rule(targets=(asked, reserved), card=cards, shop=shops, goods=lines)
    def reserve(self, card: int, shop: int, goods: tuple[Line, ...]) -> Request:
        return self._ask(self._sale(card, shop, goods, kind=Kind.RESERVE))

    @rule(
        targets=(asked, reserved),
        card=cards,
        shop=shops,
        goods=lines,
        odd=oddities,
        hours=hours_ago,
    )
    def reserve_oddly(
        self, card: int, shop: int, goods: tuple[Line, ...], odd: dict[str, Any], hours: int
    ) -> Request:
        proof = odd.get("proof", Proof.RIGHT)
        told = {"minutes": -60 * hours} | odd
        request = self._sale(card, shop, goods, kind=Kind.RESERVE, advice=hours > 0, **told)
        return self._ask(request, proof)

    @rule(targets=(asked, sold), reservation=reserved, how=shares)
    def complete(self, reservation: Request, how: Share) -> Request:
        return self._ask(self._child(Kind.COMPLETION, reservation, how(reservation.lines)))

    @rule(
        target=asked,
        original=st.one_of(sold, reserved),
        other=st.sampled_from(["terminal", "card", "holder", "service"]),
    )
    def complete_wrongly(self, original: Request, other: str) -> Request:
        changes = self._other(original, other)
        return self._ask(
            self._child(
                Kind.COMPLETION,
                original,
                original.lines,
                elsewhere=other == "terminal",
                **changes,
            )
        )

    @rule(
        target=asked,
        original=sold,
        how=shares,
        card=cards,
        elsewhere=st.booleans(),
        advice=st.booleans(),
    )
    def give_back(
        self, original: Request, how: Share, card: int, elsewhere: bool, advice: bool
    ) -> Request:
        who = self.town.cards[card]
        return self._ask(
            self._child(
                Kind.RETURN,
                original,
                how(original.lines),
                elsewhere=elsewhere,
                card_id=who.card_id,
                advice=advice,
            )
        )

    @rule(target=asked, card=cards, shop=shops)
    def inquire(self, card: int, shop: int) -> Request:
        return self._ask(
            self._request(
                Kind.INQUIRY,
                self.town.cards[card],
                shop,
                service="ALL",
                service_version=0,
                holder_id=bytes(16),
            )
        )

    @rule(target=unsent, card=cards, shop=shops, goods=lines, advice=st.booleans())
    def write_but_not_send(
        self, card: int, shop: int, goods: tuple[Line, ...], advice: bool
    ) -> Request:
        return self._sale(card, shop, goods, advice=advice)

    @rule(target=asked, request=consumes(unsent))
    def send_late(self, request: Request) -> Request:
        return self._ask(request)

    @rule(target=asked, original=st.one_of(asked, unsent), advice=st.booleans())
    def take_back(self, original: Request, advice: bool) -> Request:
        return self._ask(self._reversal(original, advice=advice))

    @rule(target=asked, original=asked, other=st.sampled_from(["terminal", "card", "holder"]))
    def take_back_wrongly(self, original: Request, other: str) -> Request:
        changes = self._other(original, other)
        return self._ask(self._reversal(original, elsewhere=other == "terminal", **changes))

    # What lines and terminals do to messages.

    @rule(request=asked, advice=st.booleans())
    def repeat(self, request: Request, advice: bool) -> None:
        # Told later by advice is still the same; there is no advice of a question.
        advice = request.advice or (advice and request.kind in ADVISABLE)
        self._ask(msgspec.structs.replace(request, advice=advice, repeat=True))

    @rule(target=asked, taken=asked, card=cards, goods=lines, advice=st.booleans())
    def use_a_number_again(
        self, taken: Request, card: int, goods: tuple[Line, ...], advice: bool
    ) -> Request:
        if taken.kind is Kind.REVERSAL:
            other = self._reversal(taken, advice=advice)
        elif taken.key.message_class is MessageClass.AUTHORIZATION:
            other = self._sale(card, 0, goods, advice=advice, kind=Kind.RESERVE)
        else:
            other = self._sale(card, 0, goods, advice=advice)
        return self._ask(self._signed(msgspec.structs.replace(other, key=taken.key)))

    @rule(target=unsent, card=cards, shop=shops, goods=lines)
    def send_with_a_wrong_mac(self, card: int, shop: int, goods: tuple[Line, ...]) -> Request:
        request = self._sale(card, shop, goods)
        answer = self.centre.ask(self.town.shops[shop], request, WRONG_MAC)
        assert answer.outcome is Outcome.MAC_WRONG
        self.counters.add(Counted.UNDECIDED)
        return request

    # What the region does meanwhile.

    @precondition(lambda self: self.turn % 3 == 0)
    @rule(card=cards)
    def block_a_card(self, card: int) -> None:
        self.centre.set_card(self.town.cards[card], 2)
        self.model.blocked_cards.add(self.town.cards[card].card_id)

    @precondition(lambda self: self.turn % 3 == 1)
    @rule(shop=shops)
    def block_a_terminal(self, shop: int) -> None:
        self.centre.set_terminal(self.town.shops[shop], 2)
        self.model.blocked_terminals.add(self.town.shops[shop])

    @precondition(lambda self: bool(self.model.blocked_cards or self.model.blocked_terminals))
    @rule()
    def forgive_all(self) -> None:
        for card in self.town.cards:
            self.centre.set_card(card, 1)
        for shop in self.town.shops:
            self.centre.set_terminal(shop, 1)
        self.model.blocked_cards.clear()
        self.model.blocked_terminals.clear()

    @rule(minutes=st.sampled_from([1, 20, 61, 12 * 60, 24 * 60, 48 * 60]))
    def wait(self, minutes: int) -> None:
        self.centre.clock.advance(minutes * 60_000)
        self.counters.add(Counted.CLOCK_JUMPS)

    @precondition(lambda self: bool(self.model.entries(State.OPEN)))
    @rule(minutes=st.sampled_from([61, 0, 59]))
    def expire(self, minutes: int) -> None:
        self.centre.clock.advance(minutes * 60_000)
        self.model.now = self.now
        self.centre.expire()
        self.counters.add(Counted.EXPIRIES, self.model.expire())

    @precondition(lambda self: self.turn % 7 == 3)
    @rule()
    def replace_the_worker(self) -> None:
        self.centre.restart()

    # What must hold after every step.

    @invariant()
    def counters_show_what_the_model_says(self) -> None:
        self.turn += 1
        assert self.centre.counters(self.town) == self.model.used()

    @invariant()
    def an_earlier_request_is_answered_as_it_was(self) -> None:
        if self.told:
            request, told, answer = list(self.told.values())[self.turn * 7919 % len(self.told)]
            self._check(request, told, answer)

    # How.

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.centre.clock.utc_ms() / 1000, UTC)

    def _ask(self, request: Request, proof: Proof | None = None) -> Request:
        """Ask the model, then the centre; they must agree."""
        if proof is None:
            proof = self._proof_of(request)
        self.model.now = self.now
        told = self.model.decide(request, proof)
        answer = self._check(request, told, None)
        place = (request.key, request_digest(request))
        if told.decision:
            self.told.setdefault(place, (request, told, answer))
        self._count(request, told)
        return request

    def _check(self, request: Request, told: Told, before: Answer | None) -> Answer:
        answer = self.centre.ask(request.key.terminal_id, request)
        assert isinstance(answer, Answer)
        known = self.told.get((request.key, request_digest(request)))
        first = before or (known[2] if known else None)
        if first is not None:
            assert (answer.outcome, answer.decision, answer.facts) == (
                first.outcome,
                first.decision,
                first.facts,
            )
            return first
        assert answer.outcome is told.outcome, (answer.outcome, answer.facts, told)
        assert answer.facts | told.facts == answer.facts, (answer.facts, told)
        assert (answer.decision is not None) is told.decision
        if answer.decision is not None:
            assert _amounts(answer.decision) == told.amounts, told
        return answer

    def _proof_of(self, request: Request) -> Proof:
        if request.evidence is Evidence.NONE:
            return Proof.NOT_NEEDED
        return Proof.RIGHT

    def _sale(
        self,
        card: int,
        shop: int,
        goods: tuple[Line, ...],
        *,
        proof: Proof = Proof.RIGHT,
        for_maria: bool = False,
        kind: Kind = Kind.SALE,
        **changes: Any,
    ) -> Request:
        who = self.town.stranger if proof is Proof.CARD_UNKNOWN else self.town.cards[card]
        if for_maria:
            changes["holder_id"] = self.town.maria
        request = self._request(kind, who, shop, lines=goods, **changes)
        if proof is Proof.WRONG:
            forged = request.signature[:-1] + bytes((request.signature[-1] ^ 1,))
            request = msgspec.structs.replace(request, signature=forged)
        return request

    def _other(self, original: Request, other: str) -> dict[str, Any]:
        """Return what to change so that a request names something else than the original."""
        if other == "card":
            return {"card_id": self.town.stranger.card_id}
        if other == "holder":
            theirs = original.holder_id == self.town.maria
            return {"holder_id": self.town.boris if theirs else self.town.maria}
        if other == "service":
            return {"service": "PART" if original.service == "MED" else "MED"}
        return {}

    def _child(
        self,
        kind: Kind,
        original: Request,
        goods: tuple[Line, ...],
        *,
        elsewhere: bool = False,
        **changes: Any,
    ) -> Request:
        """Return a completion or a return of `original`."""
        shop = self.town.shops.index(original.key.terminal_id)
        told: dict[str, Any] = {
            "parent": original.key,
            "card_id": original.card_id,
            "holder_id": original.holder_id,
            "service": original.service,
            "service_version": original.service_version,
            "lines": goods,
        }
        if kind is Kind.COMPLETION:
            told |= {
                "evidence": Evidence.NONE,
                "algorithm": SignatureAlgorithm.NONE,
                "advice": True,
            }
        return self._request(kind, None, 1 - shop if elsewhere else shop, **(told | changes))

    def _reversal(self, original: Request, *, elsewhere: bool = False, **changes: Any) -> Request:
        shop = self.town.shops.index(original.key.terminal_id)
        told: dict[str, Any] = {
            "parent": original.key,
            "card_id": original.card_id,
            "holder_id": self.town.holder_of(original),
            "service": original.service,
            "service_version": original.service_version,
            "evidence": Evidence.NONE,
            "algorithm": SignatureAlgorithm.NONE,
        }
        return self._request(
            Kind.REVERSAL, None, 1 - shop if elsewhere else shop, **(told | changes)
        )

    def _request(
        self,
        kind: Kind,
        who: Citizen | None,
        shop: int,
        *,
        minutes: int = 0,
        days: int = 0,
        **changes: Any,
    ) -> Request:
        """Return a request of now, signed; `minutes` and `days` say how wrong the clock is."""
        number = next(self.numbers)
        today = self.centre.clock.local_date() + timedelta(days=days)
        value: dict[str, Any] = {
            "kind": kind,
            "key": TransactionKey(today, self.town.shops[shop], number, CLASS_OF_KIND[kind]),
            "issuer_region": REGION,
            "terminal_epoch": 1,
            "terminal_sequence": number,
            "signed_at_ms": self.centre.clock.utc_ms() + minutes * 60_000,
            "service": "MED",
            "service_version": 1,
            "nonce": self.town.number.to_bytes(8) + number.to_bytes(8),
        }
        if who is not None:
            value |= {"card_id": who.card_id, "holder_id": who.holder_id}
        return self._signed(Request(**(value | changes)))

    def _signed(self, request: Request) -> Request:
        if request.evidence is Evidence.NONE:
            return request
        who = {card.card_id: card for card in (*self.town.cards, self.town.stranger)}
        signature = signature_of(request_digest(request), request.evidence, who[request.card_id])
        return msgspec.structs.replace(request, signature=signature)

    def _count(self, request: Request, told: Told) -> None:
        for counted in _counted(request, told):
            self.counters.add(counted)


def _amounts(decision: Decision) -> list[tuple[int, int]]:
    return [(line.covered_kopecks, line.paid_kopecks) for line in decision.lines]


def _counted(request: Request, told: Told) -> Sequence[Counted]:
    """Return what a step is worth to the counters."""
    if told.replayed:
        return (Counted.REPLAYS,)
    if told.outcome is Outcome.KEY_REUSED:
        return (Counted.KEY_CONFLICTS,)
    if told.outcome < Outcome.RECORDED_IN_CONFLICT:
        return (Counted.DECLINES,)
    if request.kind is Kind.REVERSAL:
        before = told.facts.get("original") == "unknown"
        return (Counted.REVERSALS_BEFORE if before else Counted.REVERSALS,)
    if request.kind is Kind.INQUIRY:
        return (Counted.INQUIRIES,)
    if request.kind in COUNTED_AS:
        return (COUNTED_AS[request.kind],)
    if request.advice:
        conflict = told.outcome is Outcome.RECORDED_IN_CONFLICT
        return (Counted.ADVICES, *([Counted.CONFLICTS_OF_ADVICES] if conflict else []))
    return (Counted.APPROVALS,)


COUNTED_AS: Final = {
    Kind.RESERVE: Counted.RESERVATIONS,
    Kind.COMPLETION: Counted.COMPLETIONS,
    Kind.RETURN: Counted.RETURNS,
}
SEEN_ALWAYS: Final = (
    Counted.RESERVATIONS,
    Counted.COMPLETIONS,
    Counted.RETURNS,
    Counted.APPROVALS,
    Counted.DECLINES,
    Counted.ADVICES,
    Counted.CONFLICTS_OF_ADVICES,
    Counted.INQUIRIES,
    Counted.REVERSALS,
    Counted.REVERSALS_BEFORE,
    Counted.REPLAYS,
    Counted.KEY_CONFLICTS,
    Counted.UNDECIDED,
    Counted.CLOCK_JUMPS,
    Counted.EXPIRIES,
)


@pytest.mark.timeout(0)
def test_the_centre_does_what_the_model_says(
    database: Database,
    town_keys: KeyMaterial,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    examples = pytestconfig.getoption("--protocol-examples")
    counters = Counters()
    with ProtocolCentre(database, town_keys) as centre:
        machine = type("Protocol", (Protocol,), {"centre": centre, "counters": counters})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                deadline=None,
                print_blob=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
                phases=[phase for phase in Phase if phase is not Phase.explain],
            ),
        )
        assert centre.findings() == []
    record_property(SEEN, f"{examples} histories, {centre.restarts} workers replaced, {counters}")
    counters.check(SEEN_ALWAYS)
    assert centre.restarts > 0
