"""Several databases for tests: of one server, each migrated, each serving a part of the buckets.

`--targets 2` (or SPK_TEST_TARGETS=2) lets the suites that serve the town run on so many; the tests
in tests/targets always run on two.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from processing.kernel.bucket import BUCKETS
from processing.kernel.config import Settings
from processing.kernel.database import ONLINE_LIMITS, SessionLimits
from processing.kernel.roles import Role
from processing.kernel.target_pools import TargetPools, open_pools
from processing.kernel.targets import Target, TargetMap, assign_target
from tests.plugins.postgres import Database, Server, _temporary_database


class Databases:
    """The databases of one centre, by target number."""

    def __init__(self, databases: dict[int, Database]) -> None:
        self.by_number = databases
        count = len(databases)
        edges = [BUCKETS * place // count for place in range(count + 1)]
        self.map = TargetMap(
            tuple(
                Target(
                    number=number,
                    buckets=(edges[number - 1], edges[number] - 1),
                    dsn=database.superuser_dsn,
                )
                for number, database in databases.items()
            )
        )

    @property
    def home(self) -> Database:
        """The first."""
        return self.by_number[1]

    async def assign(self) -> None:
        """Tell each what it serves."""
        for target in self.map.targets:
            async with self.by_number[target.number].connect() as connection:
                await assign_target(connection, target, len(self.by_number))

    @contextlib.asynccontextmanager
    async def pools(
        self, role: Role, limits: SessionLimits = ONLINE_LIMITS, *, patient: bool = False
    ) -> AsyncIterator[TargetPools]:
        """Open pools that act as `role`."""
        settings = Settings(home=Path())
        async with open_pools(
            settings, self.map, role, "test targets", limits, patient=patient
        ) as pools:
            yield pools

    async def everywhere(self, work: Callable[[asyncpg.Connection], Any]) -> list[Any]:
        """Do something in every database as superuser; what it gave, in their order."""
        found = []
        for database in self.by_number.values():
            async with database.connect() as connection:
                found.append(await work(connection))
        return found

    def file(self, folder: Path) -> Path:
        """Write the file that SPK_TARGETS names, and return its path."""
        path = folder / "targets.toml"
        path.write_text(
            "".join(
                f"[[target]]\nnumber = {target.number}\n"
                f"buckets = [{target.buckets[0]}, {target.buckets[1]}]\ndsn = '{target.dsn}'\n"
                for target in self.map.targets
            ),
            encoding="utf-8",
        )
        return path

    def settings(self, folder: Path) -> dict[str, str]:
        """Return the environment of programs that use these databases."""
        if len(self.by_number) == 1:
            return {"SPK_DSN": self.home.superuser_dsn}
        return {"SPK_TARGETS": str(self.file(folder))}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that spreads a centre over several databases."""
    parser.getgroup("spk").addoption(
        "--targets",
        type=int,
        default=int(os.environ.get("SPK_TEST_TARGETS", "1")),
        help="over how many databases the town is spread",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark of tests that look inside a centre with one database."""
    config.addinivalue_line("markers", "one_database: skipped when --targets names several")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is about one database in a run with several."""
    if config.getoption("--targets") == 1:
        return
    for item in items:
        if item.get_closest_marker("one_database"):
            item.add_marker(pytest.mark.skip(reason="about one database"))


@contextlib.contextmanager
def several(postgres: Server, template: str, count: int, first: Database | None) -> Iterator[Any]:
    """Make `count` databases, `first` among them if given."""
    with contextlib.ExitStack() as ends:
        made = {
            number: first
            if first is not None and number == 1
            else ends.enter_context(_temporary_database(postgres, template))
            for number in range(1, count + 1)
        }
        databases = Databases(made)
        if count > 1:
            asyncio.run(databases.assign())
        yield databases


@pytest.fixture
def two_databases(postgres: Server, migrated_template: str) -> Iterator[Databases]:
    """Give two databases that serve half of the buckets each."""
    with several(postgres, migrated_template, 2, None) as databases:
        yield databases


@pytest.fixture
def databases(
    postgres: Server, migrated_template: str, database: Database, request: pytest.FixtureRequest
) -> Iterator[Databases]:
    """Give as many databases as the run was told, the first of them being `database`."""
    count = request.config.getoption("--targets")
    with several(postgres, migrated_template, count, database) as found:
        yield found
