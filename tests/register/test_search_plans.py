"""How PostgreSQL finds people: through indexes, and looking at few rows, inside functions too."""

from __future__ import annotations

import asyncpg

from bench.register_search import fill, sorts, sought
from processing.kernel.roles import Role
from processing.register.model import Reader
from processing.register.search import CANDIDATES_MAX, Question, find
from tests.plugins.plans import watched
from tests.plugins.postgres import Database

PEOPLE = 6_000
WORDS_MAX = 400
"""Words that a mistyped one may be like, in a town of so many people."""
READER = Reader("Орлова", "проверка планов")
LARGE = {
    "address", "citizen", "contact", "household", "household_member", "identity_document",
    "name_word",
}  # fmt: skip


async def test_every_question_is_answered_through_indexes(database: Database) -> None:
    async with database.connect() as owner:
        await fill(owner, PEOPLE)
        people = await sought(owner, 1)
    read: dict[str, list[object]] = {}
    async with watched(database, Role.REGISTER) as watch:
        for sort, (question,) in sorts(people):
            watch.plans.clear()
            page = await find(watch.connection, question, READER, count=20)
            assert page.found or sort == "nobody", sort
            read[sort] = [*watch.whole_reads(LARGE), *watch.long_reads(_bound(question))]
            assert len(list(watch.steps())) > 1, sort
    assert {sort: steps for sort, steps in read.items() if steps} == {}


async def test_every_kind_of_number_has_an_index(
    database: Database, owner: asyncpg.Connection
) -> None:
    async with watched(database, Role.REGISTER) as watch:
        # Tables are empty or small here, so a whole read would be right; without an index the
        # planner has nothing else.
        await watch.connection.execute("SET enable_seqscan = off")
        for question in (
            Question(number="9904 123456"),
            Question(birth_date=(await owner.fetchval("SELECT current_date"))),
            Question(name="Иванова Анна Петровна"),
            Question(name="Иванва"),
            Question(address="Лесная 5"),
            Question(name="Иванова", address="Лесная 5"),
        ):
            await find(watch.connection, question, READER)
        tables = {step.table for step in watch.steps() if step.table}
        assert {"prescription", "policy", "certificate", "personal_account"} <= tables
        assert watch.whole_reads(tables) == []


def _bound(question: Question) -> int:
    """Return how many rows one step may look at: the candidates, or the words like a typed one."""
    return max(CANDIDATES_MAX, 0 if question.name is None else WORDS_MAX)
