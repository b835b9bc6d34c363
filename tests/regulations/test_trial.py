"""Test cases run through the real engine, and leave nothing behind."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from processing.regulations.directory import Directory
from processing.regulations.document import read_regulation
from processing.regulations.shipped import shipped_regulations
from processing.regulations.store import RegulationStore
from processing.regulations.trial import run_cases
from tests.plugins.postgres import Database
from tests.regulations.test_publication import small_region


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with small_region(database) as session:
        yield session


async def contents(connection: asyncpg.Connection) -> dict[str, str]:
    """Return a digest of every table that a test case writes to."""
    tables = (
        "journal.event",
        "journal.line",
        "journal.block",
        "rights.counter",
        "rights.allowance",
        "rights.card_authority",
        "rights.holder_fact",
        "regulations.service",
        "regulations.price_rule",
        "regulations.requirement",
        "regulations.norm",
        "regulations.refusal",
        "terminals.terminal",
        "terminals.provider",
    )
    digest = "SELECT coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') FROM {} AS t"
    return {table: await connection.fetchval(digest.format(table)) for table in tables}


async def test_every_shipped_case_holds_and_leaves_nothing(
    connection: asyncpg.Connection,
) -> None:
    directory = await RegulationStore(connection).directory()
    before = await contents(connection)
    for regulation in shipped_regulations():
        results = await run_cases(connection, regulation, directory)
        failed = [result.sentence("en") for result in results if not result.passed]
        assert failed == []
        assert len(results) == len(regulation.cases) > 0
    assert await contents(connection) == before


async def test_the_directory_is_that_of_the_documents(
    connection: asyncpg.Connection, directory: Directory
) -> None:
    assert await RegulationStore(connection).directory() == directory


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("covered_kopecks = [24_000]", "covered_kopecks = [24_001]", "covered 24000"),
        (
            'expect = { outcome = "NO_ENTITLEMENT"',
            'expect = { outcome = "ALLOWANCE_EXHAUSTED"',
            "found: NO_ENTITLEMENT",
        ),
        ("remaining = [0, 4]", "remaining = [1, 3]", "left 0, 4"),
        ("percent = 50", "percent = 60", "covered 5911"),
        ('shortage = "refuse"', 'shortage = "cover what is left"', "found: APPROVED_PARTLY"),
    ],
)
async def test_a_case_that_does_not_hold_is_told(
    connection: asyncpg.Connection, medicine: str, old: str, new: str, told: str
) -> None:
    assert old in medicine
    regulation = read_regulation(medicine.replace(old, new, 1).encode(), "draft.toml")
    directory = await RegulationStore(connection).directory()
    results = await run_cases(connection, regulation, directory)
    failed = [result.sentence("en") for result in results if not result.passed]
    assert failed
    assert any(told in sentence for sentence in failed)
