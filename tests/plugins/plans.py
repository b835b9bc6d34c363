"""What plans PostgreSQL really follows, those inside functions too, as its own auto_explain tells.

async with watched(database, Role.REGISTER) as watch:
    await find(watch.connection, question, READER)
assert watch.whole_reads({"citizen"}) == []
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

import asyncpg
import msgspec
import pytest

from processing.kernel.roles import Role
from tests.plugins.postgres import Database

SETTINGS = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "client_min_messages": "log",
    "jit": "off",
}


class Step(msgspec.Struct, frozen=True):
    """A node of a plan that read a table: how, how many rows it looked at in all, how often."""

    table: str
    how: str
    index: str
    rows: float
    loops: int
    query: str


class Watch:
    """Gathers the plans of everything that runs over its connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.plans: list[dict[str, Any]] = []

    def heard(self, _: object, message: Any) -> None:
        """Keep a plan that the server tells."""
        found = re.search(r"plan:\s*(\{.*\})\s*$", str(message.message), re.DOTALL)
        if found is not None:
            self.plans.append(msgspec.json.decode(found[1].encode()))

    def steps(self) -> Iterator[Step]:
        """Give every node that read a table, the server's own tables (asyncpg asks) left out."""
        for plan in self.plans:
            for step in _steps(plan["Plan"], plan["Query Text"]):
                if not step.table.startswith("pg_"):
                    yield step

    def whole_reads(self, tables: Collection[str]) -> list[Step]:
        """Return the nodes that read one of these tables from its first row to its last."""
        return [each for each in self.steps() if each.how == "Seq Scan" and each.table in tables]

    def long_reads(self, rows_max: int) -> list[Step]:
        """Return the nodes that looked at more rows than this."""
        return [each for each in self.steps() if each.rows > rows_max]

    def indexes(self) -> set[str]:
        """Return the names of all indexes used."""
        return {each.index for each in self.steps() if each.index}


def _steps(node: dict[str, Any], query: str) -> Iterator[Step]:
    how = node["Node Type"]
    table, index = node.get("Relation Name", ""), node.get("Index Name", "")
    if table or index:
        removed = node.get("Rows Removed by Filter", 0) + node.get(
            "Rows Removed by Index Recheck", 0
        )
        loops = int(node.get("Actual Loops", 0))
        rows = (node.get("Actual Rows", 0) + removed) * loops
        yield Step(table, how, index, rows, loops, query)
    for child in node.get("Plans", ()):
        yield from _steps(child, query)


@contextlib.asynccontextmanager
async def watched(database: Database, role: Role) -> AsyncIterator[Watch]:
    """Open a session of a role whose plans are gathered; skips where the server has no
    auto_explain."""
    async with database.connect() as connection:
        try:
            await connection.execute("LOAD 'auto_explain'")
        except asyncpg.UndefinedFileError:
            pytest.skip("this server has no auto_explain (contrib)")
        for name, value in SETTINGS.items():
            await connection.execute(f"SET {name} = '{value}'")
        await connection.execute(f"SET ROLE {role.value}")
        watch = Watch(connection)
        connection.add_log_listener(watch.heard)
        yield watch
        connection.remove_log_listener(watch.heard)
