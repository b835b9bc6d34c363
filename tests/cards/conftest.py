"""A populated database and the stores over it, for the tests of issuing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from processing.cards.store import CardStore
from processing.kernel.database import DatabasePool, open_pool
from processing.kernel.roles import Role
from tests.cards.population import populate
from tests.plugins.postgres import Database


@pytest.fixture
async def populated(database: Database) -> Database:
    """Give a database with the citizens of tests/cards/population.py."""
    await populate(database)
    return database


@pytest.fixture
async def issuing_pool(populated: Database) -> AsyncIterator[DatabasePool]:
    """Give connections that act as spk_issuing: what issuing may not do fails here."""
    pool = await open_pool(populated.dsn(Role.ISSUING), Role.ISSUING, "test")
    yield pool
    await pool.close()


@pytest.fixture
def store(issuing_pool: DatabasePool) -> CardStore:
    """Give the store as the centre uses it."""
    return CardStore(issuing_pool)
