"""Several databases as an operator meets them: spk db, spk region, and a centre of two workers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from processing.wire.api import ProbeStatus
from processing.wire.outcome import Outcome
from tests.authorization.audit import audit
from tests.plugins.centre import Programs
from tests.plugins.targets import Databases
from tests.plugins.town import Shop, build_town, citizen
from tests.workers.crew import Crew

FRONT = "import sys; from processing.cli import main; sys.argv[0] = 'spk'; main()"


def spk(*words: str, **environ: str) -> tuple[int, str]:
    """Run one command line; return its exit code and all it said."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SPK_", "PG"))}
    done = subprocess.run(
        [sys.executable, "-c", FRONT, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**own, **environ, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout + done.stderr


async def counts(databases: Databases, table: str) -> list[int]:
    """Return how many rows a table has in each database."""
    query = f"SELECT count(*) FROM {table}"  # noqa: S608 - a table of this test
    return [int(one) for one in await databases.everywhere(lambda each: each.fetchval(query))]


async def test_a_region_over_two_databases(two_databases: Databases, tmp_path: Path) -> None:
    place = two_databases.settings(tmp_path)
    code, said = await asyncio.to_thread(spk, "db", "migrate", **place)
    assert (code, said.count("Nothing to do: all")) == (0, 2)
    assert (await asyncio.to_thread(spk, "db", "status", **place))[0] == 0
    created = await asyncio.to_thread(spk, "region", "create", "-n", "300", **place)
    assert created[0] == 0, created[1]
    people = await counts(two_databases, "register.citizen")
    rights = await counts(two_databases, "rights.allowance")
    assert people == [300, 0]
    assert min(rights) > 0
    assert len(set(await counts(two_databases, "terminals.terminal"))) == 1
    assert (await asyncio.to_thread(spk, "db", "compare", **place))[0] == 0
    async with two_databases.by_number[2].connect() as connection:
        await connection.execute("UPDATE terminals.terminal SET state = 2")
        await connection.execute("DELETE FROM terminals.terminal_service")
    code, said = await asyncio.to_thread(spk, "db", "compare", **place)
    assert (code, said.count("DIFFERENT")) == (1, 2)
    code, said = await asyncio.to_thread(spk, "db", "spread", **place)
    assert (code, "terminals.terminal_service" in said) == (0, True)
    assert (await asyncio.to_thread(spk, "db", "compare", **place))[0] == 0
    code, said = await asyncio.to_thread(
        spk, "journal", "audit-keys", "--date", "2026-03-02", **place
    )
    assert (code, "no number was decided in two databases" in said) == (0, True)


def test_one_database_of_two_is_not_taken_for_the_whole(
    two_databases: Databases, tmp_path: Path
) -> None:
    code, said = spk("db", "status", SPK_DSN=two_databases.home.superuser_dsn)
    assert code == 2
    assert "is target 1 of 2, for buckets 0 to 511" in said
    both = two_databases.settings(tmp_path) | {"SPK_DSN": two_databases.home.superuser_dsn}
    code, said = spk("db", "status", **both)
    assert (code, "unset SPK_DSN" in said) == (2, True)


@pytest.mark.parametrize("away", [1, 2])
async def test_workers_go_on_without_one_database(
    two_databases: Databases, programs: Programs, tmp_path: Path, away: int
) -> None:
    """The other's citizens are served, and health says which database is away."""
    await two_databases.everywhere(build_town)
    place = two_databases.settings(tmp_path)
    crew = await asyncio.to_thread(lambda: Crew(programs, workers=2, **place))
    shop, line = Shop("SHOP0001"), await crew.line("SHOP0001")
    sales = [shop.sale(citizen(number)) for number in range(1, 9)]
    assert {(await line.decide(sale)).outcome for sale in sales} == {Outcome.APPROVED}
    assert set((await crew.health()).parts) >= {"database-1", "database-2", "hsm"}
    gone = two_databases.by_number[away]
    await gone.server.execute(f"ALTER DATABASE {gone.name} ALLOW_CONNECTIONS false")
    await gone.server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "  # noqa: S608 - ours
        f"WHERE datname = '{gone.name}'"
    )
    told = [(await line.decide(shop.sale(citizen(number)))).outcome for number in range(1, 9)]
    served = [one.decision for one in [await line.decide(sale) for sale in sales]]
    assert set(told) == {Outcome.APPROVED, Outcome.TRY_LATER}
    assert [one is None for one in served] == [one is Outcome.TRY_LATER for one in told]
    parts = (await crew.health()).parts
    assert parts[f"database-{away}"].status is ProbeStatus.FAILING
    assert parts[f"database-{3 - away}"].status is ProbeStatus.OK
    await line.close()
    await gone.server.execute(f"ALTER DATABASE {gone.name} ALLOW_CONNECTIONS true")
    assert await two_databases.everywhere(audit) == [[], []]


async def test_a_regulation_is_tried_in_one_of_two(
    two_databases: Databases, tmp_path: Path
) -> None:
    """Test cases ring up invented citizens, who must be of the database that tries them."""
    place = two_databases.settings(tmp_path)
    created = await asyncio.to_thread(spk, "region", "create", "-n", "60", **place)
    assert created[0] == 0, created[1]
    document = str(resources.files("processing.regulations") / "catalogue" / "medicine.toml")
    code, said = await asyncio.to_thread(spk, "regulation", "test", document, **place)
    assert code == 0, said
