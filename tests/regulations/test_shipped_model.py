"""Every shipped regulation against plain arithmetic: what is covered, left and refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fractions import Fraction

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.regulations.compiling import compile_regulation
from processing.regulations.directory import Directory
from processing.regulations.document import (
    Case,
    CaseExpect,
    CaseFact,
    CaseLine,
    CaseRight,
    Clause,
    Consumes,
    HolderFact,
    Regulation,
    Shortage,
)
from processing.regulations.shipped import shipped_regulations
from processing.regulations.store import CaseOutcome, RegulationStore
from processing.regulations.trial import rolled_back
from processing.wire.outcome import Outcome
from tests.plugins.postgres import Database
from tests.regulations.test_publication import small_region

VISIT_MINUTES = 60


class Asked(msgspec.Struct, frozen=True):
    """One line, and the one right that is open to it."""

    regulation: Regulation
    clause: Clause
    item: str
    granted: int
    used: int
    quantity: int
    gross_kopecks: int


def half_up(amount: Fraction) -> int:
    return int(amount + Fraction(1, 2))


def expected(asked: Asked, scale: int, cap_kopecks: int | None) -> CaseOutcome:
    """Return what the regulation's words mean, worked out with fractions."""
    transaction, gross = asked.regulation.transaction, Fraction(asked.gross_kopecks)
    left = asked.granted - asked.used
    counted = gross
    if asked.clause.capped and cap_kopecks is not None:
        counted = min(gross, Fraction(cap_kopecks * asked.quantity, 10**scale))
    share = Fraction(asked.clause.percent, 100)
    covered = half_up(counted * share)
    need = {
        Consumes.QUANTITY: asked.quantity,
        Consumes.KOPECKS: covered,
        Consumes.ONE_PER_LINE: 1,
        Consumes.NOTHING: 0,
    }[transaction.consumes]
    if need <= left:
        return CaseOutcome(Outcome.APPROVED, (covered,), (left - need,))
    if transaction.shortage is Shortage.REFUSE or left == 0:
        return CaseOutcome(Outcome.ALLOWANCE_EXHAUSTED, (), (left,))
    if transaction.consumes is Consumes.KOPECKS:
        return CaseOutcome(Outcome.APPROVED_PARTLY, (left,), (0,))
    upto = Fraction(int(gross * left / need))
    part = counted * upto / gross if gross else Fraction(0)
    return CaseOutcome(Outcome.APPROVED_PARTLY, (half_up(part * share),), (0,))


@st.composite
def asked_of(draw: st.DrawFn, directory: Directory) -> Asked:
    """Draw a line of a shipped service that takes something, and a right to it."""
    takes = [one for one in shipped_regulations() if one.clauses[0].measure is not None]
    regulation = draw(st.sampled_from(takes))
    clause = draw(st.sampled_from(regulation.clauses))
    classes = {right.item_class for case in regulation.cases for right in case.rights}
    items = sorted(item for item, one in directory.items.items() if one.item_class in classes)
    item = draw(st.sampled_from(items))
    scale = directory.items[item].scale
    money = regulation.transaction.consumes is Consumes.KOPECKS
    granted = draw(st.integers(0, 200_000 if money else 90 * 10**scale))
    return Asked(
        regulation,
        clause,
        item,
        granted,
        draw(st.integers(0, granted)),
        draw(st.integers(1, VISIT_MINUTES * 10**scale)),
        draw(st.integers(0, 200_000)),
    )


def case_of(asked: Asked, directory: Directory) -> Case:
    right = CaseRight(
        measure=asked.clause.measure or "",
        item_class=directory.items[asked.item].item_class,
        granted=asked.granted,
        used=asked.used,
        category=next(iter(asked.clause.categories), None),
    )
    line = CaseLine(item=asked.item, quantity=asked.quantity, gross_kopecks=asked.gross_kopecks)
    return Case(
        clause=asked.clause.clause,
        title_ru="-",
        rights=(right,),
        facts=tuple(CaseFact(fact=fact) for fact in HolderFact),
        lines=(line,),
        minutes=None if asked.regulation.visit is None else VISIT_MINUTES,
        expect=CaseExpect(outcome="APPROVED"),
    )


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with small_region(database) as session:
        yield session


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_money_and_limits_of_every_shipped_regulation(
    connection: asyncpg.Connection, directory: Directory, data: st.DataObject
) -> None:
    asked = data.draw(asked_of(directory))
    cap = await connection.fetchval(
        "SELECT cap_kopecks FROM regulations.item WHERE item = $1", asked.item
    )
    store = RegulationStore(connection)
    async with rolled_back(connection):
        await store.put_version(compile_regulation(asked.regulation))
        found = await store.try_case(asked.regulation, case_of(asked, directory), directory)
    assert found == expected(asked, directory.items[asked.item].scale, cap)
