"""A register with a few people in it, and connections as the roles that use it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from processing.kernel.roles import Role
from processing.register.store import RegisterStore
from tests.plugins.postgres import Database
from tests.register.people import populate


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a superuser's connection to a register with the people of tests.register.people."""
    async with database.connect() as connection:
        await populate(connection)
        yield connection


@pytest.fixture
async def store(database: Database, owner: asyncpg.Connection) -> AsyncIterator[RegisterStore]:
    """Give the same register as the role spk_register reaches it."""
    async with database.connect(Role.REGISTER) as connection:
        yield RegisterStore(connection)


@pytest.fixture
async def clerk(database: Database, owner: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the role spk_register to the same register."""
    async with database.connect(Role.REGISTER) as connection:
        yield connection
