"""Centres over a world, audited after every test.

Most tests run inside one transaction that is rolled back, which is quick; those that need several
connections take `live`, a database of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from processing.kernel.roles import Role
from tests.authorization.audit import audit
from tests.authorization.world import Centre, build
from tests.plugins.postgres import Database, Server, _temporary_database


@pytest.fixture(scope="session")
def built(postgres: Server, migrated_template: str) -> Iterator[Database]:
    """Give a database with the world in it, which nobody changes for good."""

    async def fill(database: Database) -> None:
        async with database.connect() as connection:
            await build(connection)

    with _temporary_database(postgres, migrated_template) as database:
        asyncio.run(fill(database))
        yield database


@pytest.fixture
async def world(built: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a superuser's connection to the world, in a transaction that must stand the audit."""
    async with built.connect() as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        assert await audit(connection) == []
        await transaction.rollback()


@pytest.fixture
def centre(world: asyncpg.Connection) -> Centre:
    """Give a worker that acts as the processing role in the world's transaction."""
    return Centre(world, role=Role.PROCESSING)


@pytest.fixture
async def live(database: Database) -> AsyncIterator[Database]:
    """Give a database of the test's own with the world in it; what is decided there stays."""
    async with database.connect() as connection:
        await build(connection)
    yield database
    async with database.connect() as connection:
        assert await audit(connection) == []
