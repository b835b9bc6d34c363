"""Runs the test cases of a regulation through the engine that decides at the counter.

Everything happens in database transactions that are rolled back: nothing of it stays, and nobody
at a counter waits for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import asyncpg
import msgspec

from processing.regulations.compiling import compile_regulation
from processing.regulations.directory import Directory
from processing.regulations.document import Case, Regulation
from processing.regulations.faults import Language
from processing.regulations.store import CaseOutcome, RegulationStore
from processing.wire.outcome import TEXTS, Outcome


class CaseResult(msgspec.Struct, frozen=True):
    """A test case and what came of it; `number` counts the document's cases from 1."""

    number: int
    case: Case
    found: CaseOutcome

    @property
    def passed(self) -> bool:
        """Whether the engine answered what the document says."""
        return self.found == _expected(self.case, self.found)

    def sentence(self, language: Language) -> str:
        """Return what was expected and what was found, in one line."""
        expected = _expected(self.case, self.found)
        wanted, found = _told(expected, language), _told(self.found, language)
        if self.passed:
            return found
        return (
            f"ожидалось: {wanted}; получено: {found}"
            if language == "ru"
            else f"expected: {wanted}; found: {found}"
        )


async def run_cases(
    connection: asyncpg.Connection, regulation: Regulation, directory: Directory
) -> list[CaseResult]:
    """Return the results of all test cases of a checked regulation, in the document's order."""
    store = RegulationStore(connection)
    results = []
    for number, case in enumerate(regulation.cases, 1):
        async with rolled_back(connection):
            await store.put_version(compile_regulation(regulation))
            found = await store.try_case(regulation, case, directory)
        results.append(CaseResult(number, case, found))
    return results


@contextlib.asynccontextmanager
async def rolled_back(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Run a block in a transaction that leaves nothing behind."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


def _expected(case: Case, found: CaseOutcome) -> CaseOutcome:
    """Return what the case wants; a document may leave open what is left."""
    return CaseOutcome(
        int(case.outcome),
        case.expect.covered_kopecks,
        case.expect.remaining or found.remaining,
    )


def _told(outcome: CaseOutcome, language: Language) -> str:
    name = Outcome(outcome.outcome)
    text = TEXTS[name].ru if language == "ru" else TEXTS[name].en
    covered, left = ("покрыто", "осталось") if language == "ru" else ("covered", "left")
    parts = [f"{name.name} ({text})"]
    if outcome.covered_kopecks:
        parts.append(f"{covered} {', '.join(map(str, outcome.covered_kopecks))}")
    if outcome.remaining:
        parts.append(f"{left} {', '.join(map(str, outcome.remaining))}")
    return ", ".join(parts)
