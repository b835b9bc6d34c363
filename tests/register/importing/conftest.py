"""An office with an empty register of one region."""

from collections.abc import AsyncIterator

import pytest

from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.register.importing.running import IMPORT_LIMITS
from tests.plugins.postgres import Database
from tests.register.importing.office import Office


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    async with database.connect() as admin:
        await admin.execute(
            "INSERT INTO regulations.region VALUES (99, 'Europe/Moscow', 'Область', 'Region')"
        )
        pool = await open_pool(
            database.dsn(Role.REGISTER), Role.REGISTER, "test import", IMPORT_LIMITS
        )
        try:
            yield Office(pool, admin)
        finally:
            await pool.close()
