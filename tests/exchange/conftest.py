"""A served exchange for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.exchange import people
from tests.exchange.partner import Town, served_town
from tests.exchange.published import Published
from tests.plugins.postgres import Database


@pytest.fixture(scope="session")
def published() -> Published:
    """Give the published description; skips where it is absent."""
    return Published()


@pytest.fixture
async def town(database: Database) -> AsyncIterator[Town]:
    """Give a served exchange with two partners."""
    await people.populate(database)
    async with served_town(database) as served:
        yield served


@pytest.fixture
def judged(town: Town, published: Published) -> Town:
    """Give the same, with every message held to the published description."""
    town.partner.published = town.other.published = published
    return town
