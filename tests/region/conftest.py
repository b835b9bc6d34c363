"""One small region, made once per worker: tests only read it."""

from datetime import date

import pytest

from processing.region.generate import (
    RegionOrder,
    RegionSources,
    generate,
    households,
    load_sources,
)
from processing.region.model import Household
from processing.region.rows import Row
from processing.region.tables import Table

TODAY = date(2026, 11, 20)
ORDER = RegionOrder(citizens=3000, seed=7, today=TODAY)


@pytest.fixture(scope="session")
def sources() -> RegionSources:
    return load_sources()


@pytest.fixture(scope="session")
def drawn(sources: RegionSources) -> tuple[Household, ...]:
    """Give the households of a region of 3000 citizens, the cast's first."""
    return tuple(households(ORDER, sources))


@pytest.fixture(scope="session")
def rows(sources: RegionSources) -> dict[Table, list[dict[str, object]]]:
    """Give the rows of the same region by table, each by column."""
    collected: dict[Table, list[dict[str, object]]] = {}
    for batch in generate(ORDER, sources):
        for table, found in batch.rows.items():
            collected.setdefault(table, []).extend(by_column(table, row) for row in found)
    return collected


def by_column(table: Table, row: Row) -> dict[str, object]:
    return dict(zip(table.columns, row, strict=True))
