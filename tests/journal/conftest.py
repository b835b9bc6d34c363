"""A database with a few weeks of history."""

from __future__ import annotations

import asyncio

import pytest

from tests.journal.history import fill
from tests.plugins.postgres import Database


@pytest.fixture
def history(database: Database) -> Database:
    """Give the history of `tests.journal.history`."""
    asyncio.run(fill(database))
    return database
