"""A region in a real PostgreSQL: whole, once, or not at all."""

from collections.abc import Iterator

import asyncpg
import pytest

from processing.kernel.database import REPORTING_LIMITS, DatabasePool, open_pool
from processing.kernel.errors import DatabaseError
from processing.kernel.roles import Role
from processing.kernel.target_pools import alone
from processing.region.commands import create
from processing.region.generate import RegionOrder, RegionSources, generate
from processing.region.rows import ALLOWANCE, CITIZEN, TABLES, Batch
from processing.region.store import Loaded, RegionExists, load_region
from tests.plugins.postgres import Database
from tests.region.conftest import TODAY

# The names are constants of processing.region.rows.
COUNTS = {t.full_name: f"SELECT count(*) FROM {t.full_name}" for t in TABLES}  # noqa: S608
ORDER = RegionOrder(citizens=500, seed=3, today=TODAY)


async def pool_of(database: Database) -> DatabasePool:
    return await open_pool(database.dsn(Role.OWNER), Role.OWNER, "test", REPORTING_LIMITS)


async def load(database: Database, batches: Iterator[Batch]) -> Loaded:
    pool = await pool_of(database)
    try:
        return await load_region(alone(pool), batches, lambda count: None)
    finally:
        await pool.close()


async def counts(database: Database) -> dict[str, int]:
    async with database.connect() as connection:
        return {name: await connection.fetchval(query) for name, query in COUNTS.items()}


async def test_a_region_is_written_whole(database: Database, sources: RegionSources) -> None:
    told: list[int] = []
    pool = await pool_of(database)
    try:
        loaded = await load_region(alone(pool), generate(ORDER, sources), told.append)
    finally:
        await pool.close()
    assert sum(told) == ORDER.citizens
    assert await counts(database) == loaded.rows_by_table
    assert loaded.row_count == sum(loaded.rows_by_table.values())
    async with database.connect() as connection:
        await check_stored(connection, sources)


async def check_stored(connection: asyncpg.Connection, sources: RegionSources) -> None:
    sokolova = sources.cast.member("sokolova")
    row = await connection.fetchrow(
        "SELECT citizen_id, last_name, birth_date, region, version FROM register.citizen"
        " WHERE snils = $1",
        sokolova.snils,
    )
    assert row is not None
    assert tuple(row) == (sokolova.citizen_id, "Соколова", sokolova.birth_date, 99, 1)
    assert (
        await connection.fetchval(
            "SELECT count(*) FROM rights.allowance WHERE bucket <> rights.bucket_of(holder_id)"
        )
        == 0
    )
    analyzed = await connection.fetchval(
        "SELECT count(*) FROM pg_class WHERE reltuples > 0 AND oid = ANY($1::regclass[])",
        [table.full_name for table in TABLES],
    )
    assert analyzed == len(TABLES)
    # An empty table known as empty gets bad plans once it fills.
    assert (
        await connection.fetchval(
            "SELECT reltuples FROM pg_class WHERE oid = 'rights.counter'::regclass"
        )
        == -1
    )


async def test_a_second_region_is_refused(database: Database, sources: RegionSources) -> None:
    await load(database, generate(ORDER, sources))
    before = await counts(database)
    with pytest.raises(RegionExists, match="already holds citizens; nothing was changed"):
        await load(database, generate(ORDER, sources))
    assert await counts(database) == before


async def test_what_another_has_entered_is_not_mixed_with(
    database: Database, sources: RegionSources
) -> None:
    async with database.connect() as connection:
        await connection.execute(
            "INSERT INTO regulations.region VALUES (1, 'Europe/Moscow', 'Область', 'Region')"
        )
    with pytest.raises(RegionExists, match=r"already holds rows in regulations\.region"):
        await load(database, generate(ORDER, sources))


def failing_at(batches: Iterator[Batch], fault: str) -> Iterator[Batch]:
    """Give the batches with one fault in the last: a broken row, or no row at all."""
    last = list(batches)
    broken = last[-1]
    if fault == "generator":
        yield from last
        raise RuntimeError("the generator broke")
    table = CITIZEN if fault == "twin" else ALLOWANCE
    row = broken.rows[table][-1]
    if fault == "twin":
        broken.rows[table].append(row)
    else:
        broken.rows[table][-1] = (5000, *row[1:])
    yield from last


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("twin", DatabaseError, r"register\.citizen could not be written"),
        ("bucket", DatabaseError, r"rights\.allowance could not be written"),
        ("generator", RuntimeError, "the generator broke"),
    ],
)
async def test_a_failure_leaves_nothing(
    database: Database,
    sources: RegionSources,
    fault: str,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message) as raised:
        await load(database, failing_at(generate(ORDER, sources), fault))
    assert set((await counts(database)).values()) == {0}
    # Whoever reads the message learns the constraint, not a person's data.
    assert "Соколова" not in str(raised.value)
    loaded = await load(database, generate(ORDER, sources))
    assert loaded.rows_by_table["register.citizen"] == ORDER.citizens


def test_the_command_says_what_it_wrote(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPK_DSN", database.superuser_dsn)
    create(citizens=60, seed=5)
    shown = capsys.readouterr().out
    assert "register.citizen" in shown
    assert "seconds" in shown
    with pytest.raises(RegionExists, match="spk db migrate"):
        create(citizens=60, seed=5)
    assert capsys.readouterr().out.strip() == ""
