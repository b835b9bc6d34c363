"""Random histories of all kinds against a dictionary: counter and money agree to the kopeck."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.authorization.model import Case
from tests.authorization.audit import audit
from tests.authorization.world import (
    DAY,
    NOW,
    Centre,
    amounts,
    completion,
    goods_back,
    grant,
    pills,
    reserve,
    reversal,
    sale,
    undone,
)

CAP_KOPECKS: Final = 5_000
PERCENTS: Final = {"FULL": (100, False), "HALF": (50, False), "HALFCAP": (50, True)}


@dataclass
class Part:
    """What stands of one part: only the first debits and is covered."""

    quantity: int
    gross: int
    covered: int


@dataclass
class Fate:
    """One transaction of the model: its case, its state and what stands of it."""

    case: Case
    kind: str
    state: str
    parts: list[Part] = field(default_factory=list)
    original: Fate | None = None
    moved: list[Part] = field(default_factory=list)

    @property
    def quantity(self) -> int:
        return sum(part.quantity for part in self.parts)

    @property
    def gross(self) -> int:
        return sum(part.gross for part in self.parts)


class Model:
    """The rules of docs/kinds.md for one line over one allowance, in plain arithmetic."""

    def __init__(self, granted: int, measure: str) -> None:
        self.granted = granted
        self.used = 0
        self.percent, self.capped = PERCENTS[measure]

    def rule(self, quantity: int, gross: int) -> int:
        price = min(gross, CAP_KOPECKS * quantity) if self.capped else gross
        return (price * self.percent + 50) // 100

    def cut(self, parts: list[Part], quantity: int, gross: int, back: bool) -> list[Part]:
        """Return what stands of the parts when only so much had been sold."""
        whole = (quantity, gross)
        kept = []
        for at, part in enumerate(parts):
            mine = Part(min(part.quantity, quantity), min(part.gross, gross), 0)
            quantity, gross = quantity - mine.quantity, gross - mine.gross
            if (mine.quantity, mine.gross) == (part.quantity, part.gross):
                mine.covered = part.covered
            elif at == 0 and part.covered and mine.gross and (mine.quantity or not part.quantity):
                upto = self.upto(mine.gross, *whole)
                mine.covered = min(part.covered, mine.gross, upto)
            if back:
                mine.covered = max(mine.covered, part.covered - (part.gross - mine.gross))
            kept.append(mine)
        return kept

    def upto(self, upto: int, quantity: int, gross: int) -> int:
        """Return what is covered of the first kopecks of a line."""
        if not self.capped or gross <= CAP_KOPECKS * quantity:
            return (upto * self.percent + 50) // 100
        share = 2 * CAP_KOPECKS * quantity * self.percent * upto + 100 * gross
        return share // (200 * gross)

    def begin(self, fate: Fate, quantity: int, gross: int) -> int:
        if quantity > self.granted - self.used:
            fate.state = "declined"
            return 602
        self.used += quantity
        fate.parts = [Part(quantity, gross, self.rule(quantity, gross))]
        return 703

    def complete(self, fate: Fate, held: Fate, quantity: int, gross: int) -> int:
        fate.original = held
        if held.kind != "reserve" or held.state != "open":
            fate.parts = [Part(quantity, gross, 0)]
            return 701
        held.state = "completed"
        (whole,) = held.parts
        within = (min(quantity, whole.quantity), min(gross, whole.gross))
        (kept,) = self.cut([whole], *within, back=False)
        self.used += kept.quantity - whole.quantity
        beyond = Part(quantity - kept.quantity, gross - kept.gross, 0)
        fate.parts = [kept, beyond]
        return 701 if quantity > whole.quantity or gross > whole.gross else 703

    def give_back(self, fate: Fate, sold: Fate, quantity: int, gross: int) -> int:
        fate.original = sold
        if sold.kind not in ("sale", "completion"):
            fate.state = "declined"
            return 502
        if sold.state != "open":
            fate.state = "declined"
            return 501
        left = (sold.quantity - quantity, sold.gross - gross)
        if min(left) < 0 or (left[0] == 0 and left[1] > 0) or quantity + gross == 0:
            fate.state = "declined"
            return 405
        after = self.cut(sold.parts, *left, back=True)
        pairs = list(zip(sold.parts, after, strict=True))
        fate.moved = [
            Part(was.quantity - now.quantity, was.gross - now.gross, was.covered - now.covered)
            for was, now in pairs
        ]
        if self.debits(sold):
            self.used -= fate.moved[0].quantity
        sold.parts = after
        return 703

    @staticmethod
    def debits(sold: Fate) -> bool:
        """Whether the first part of a sale or completion was taken from the allowance."""
        return sold.kind == "sale" or (sold.original is not None and len(sold.parts) == 2)

    def reverse(self, fate: Fate, one: Fate) -> int:
        if one.state in ("declined", "reversed", "expired"):
            return 703
        if one.state == "completed":
            return 502
        if one.kind == "reversal":
            return 502
        if one.kind == "return":
            sold = one.original
            assert sold is not None
            if sold.state != "open":
                return 703
            again = one.moved[0].quantity if self.debits(sold) else 0
            if again > self.granted - self.used:
                return 602
            self.used += again
            for part, moved in zip(sold.parts, one.moved, strict=True):
                part.quantity += moved.quantity
                part.gross += moved.gross
                part.covered += moved.covered
            one.state = "reversed"
            fate.moved = one.moved
            return 703
        if one.kind == "reserve" or self.debits(one):
            self.used -= one.parts[0].quantity
        fate.moved = one.parts
        one.state = "reversed"
        return 703


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *["sale", "reserve", "reserve", "complete", "complete"],
                *["return", "return", "reverse", "expire"],
            ]
        ),
        st.integers(0, 9),
        st.integers(0, 4),
        st.integers(0, 20_000),
    ),
    min_size=3,
    max_size=14,
)


def step(
    model: Model, fates: list[Fate], stan: int, told: tuple[str, int, int, int]
) -> tuple[Fate, int]:
    """Let the model decide one step; return the transaction and its outcome."""
    name, at, quantity, gross = told
    line = pills(quantity, gross if quantity else 0)
    if name in ("sale", "reserve") or not fates:
        line = pills(max(1, quantity), gross)
        kind = "reserve" if name == "reserve" else "sale"
        fate = Fate({"sale": sale, "reserve": reserve}[kind](stan, line), kind, "open")
        return fate, model.begin(fate, line.quantity, line.gross_kopecks)
    one = fates[at % len(fates)]
    if name == "complete":
        fate = Fate(completion(stan, one.case, line), "completion", "open")
        return fate, model.complete(fate, one, line.quantity, line.gross_kopecks)
    if name == "return":
        fate = Fate(goods_back(stan, one.case, line), "return", "open")
        return fate, model.give_back(fate, one, line.quantity, line.gross_kopecks)
    fate = Fate(reversal(stan, one.case), "reversal", "open")
    return fate, model.reverse(fate, one)


def expected(fate: Fate, outcome: int) -> list[tuple[int, int]]:
    """Return covered and paid of the one line as the model has them."""
    parts = fate.moved or (fate.parts if fate.kind != "reversal" else [])
    if outcome < 700 or not parts:
        return []
    covered = sum(part.covered for part in parts)
    return [(covered, sum(part.gross for part in parts) - covered)]


@pytest.mark.timeout(300)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(granted=st.integers(0, 9), measure=st.sampled_from(sorted(PERCENTS)), steps=STEPS)
async def test_every_history_agrees_with_the_model(
    world: asyncpg.Connection, granted: int, measure: str, steps: list[tuple[str, int, int, int]]
) -> None:
    async with undone(world) as centre:
        pill = await grant(world, "PILL", granted, measure)
        model = Model(granted, measure)
        fates: list[Fate] = []
        for stan, told in enumerate(steps, 1):
            if told[0] == "expire" and fates:
                await _expire(centre)
                for one in fates:
                    if (one.kind, one.state) == ("reserve", "open"):
                        one.state = "expired"
                        model.used -= one.parts[0].quantity
                continue
            fate, outcome = step(model, fates, stan, told)
            answered = expected(fate, outcome)
            fates.append(fate)
            ruling = await centre.decide_one(fate.case)
            assert (int(ruling.outcome), amounts(ruling)) == (outcome, answered), ruling.facts
            assert await centre.used(pill) == model.used
        assert await audit(world) == []


async def _expire(centre: Centre) -> None:
    ended = await centre.connection.fetchval(
        "SELECT engine.expire($1, $2, $3, $4, 99)",
        centre.lane,
        centre.block,
        NOW + timedelta(hours=1),
        DAY,
    )
    centre.block += ended > 0
