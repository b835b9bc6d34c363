"""A database with one decided day in it."""

from __future__ import annotations

import asyncio

import pytest

from tests.plugins.postgres import Database
from tests.reconciliation.day import fill


@pytest.fixture
def region(database: Database) -> Database:
    """Give the region of `tests.reconciliation.day` with its day decided."""
    asyncio.run(fill(database))
    return database
