"""Which database serves which bucket: what is accepted, and what a database refuses."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from processing.kernel.config import Settings
from processing.kernel.errors import ConfigurationError, TargetMismatchError
from processing.kernel.roles import Role
from processing.kernel.targets import (
    TargetMap,
    assign_target,
    check_target,
    read_target_map,
    target_map,
)
from tests.plugins.postgres import Database
from tests.plugins.targets import Databases

ONE = "[[target]]\nnumber = 1\nbuckets = [0, 511]\ndsn = 'postgresql://db1/spk'\n"
TWO = "[[target]]\nnumber = 2\nbuckets = [512, 1023]\ndsn = 'postgresql://db2/spk'\n"
SECRET = "hunter2"

REFUSED = {
    "empty": ("", "missing required field `target`"),
    "no TOML": ("[[target]", "is no TOML document"),
    "gap": (
        ONE + TWO.replace("512", "600"),
        "no target serves the buckets from 512 to 599",
    ),
    "end missing": (ONE, "no target serves the buckets from 512 to 1023"),
    "beginning missing": (
        TWO.replace("number = 2", "number = 1"),
        "no target serves the buckets from 0 to 511",
    ),
    "twice": (ONE + TWO.replace("512", "500"), "bucket 500 is served by target 1 and by target 2"),
    "backwards": (ONE + TWO.replace("[512, 1023]", "[1023, 512]"), "ends before it begins"),
    "out of range": (ONE + TWO.replace("1023", "1024"), "<= 1023"),
    "same number": (ONE + TWO.replace("number = 2", "number = 1"), "found: 1, 1"),
    "number left out": (ONE + TWO.replace("number = 2", "number = 3"), "found: 1, 3"),
    "one database": (ONE + TWO.replace("db2", "db1"), "targets 1 and 2 are one database"),
    "misspelled": (ONE.replace("buckets", "bucket") + TWO, "bucket"),
    "no address": (ONE + TWO.replace("postgresql://", SECRET), "regex"),
    "two addresses": (ONE + TWO + "database = 'spk2'\n", "give one of them"),
    "odd name": (ONE + "[[target]]\nnumber = 2\nbuckets = [512, 1023]\ndatabase = 'a b'", "regex"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_is_refused_in_words(case: str) -> None:
    text, said = REFUSED[case]
    with pytest.raises(ConfigurationError) as caught:
        read_target_map(text, "SPK_TARGETS=targets.toml")
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_each_bucket_has_its_target() -> None:
    found = read_target_map(TWO + ONE, "file")
    assert [target.number for target in found.targets] == [1, 2]
    assert [found.number_of(bucket) for bucket in (0, 511, 512, 1023)] == [1, 1, 2, 2]
    assert [target.first_lane for target in found.targets] == [1, 1025]


def test_without_a_file_one_database_serves_all(tmp_path: Path) -> None:
    found = target_map(Settings(home=tmp_path))
    assert {found.number_of(bucket) for bucket in range(1024)} == {1}


async def test_a_database_knows_what_it_serves(two_databases: Databases) -> None:
    first, second = two_databases.map.targets
    async with two_databases.by_number[2].connect() as connection:
        await check_target(connection, second, 2)
        for target, count in ((first, 2), (second, 3)):
            with pytest.raises(TargetMismatchError, match="is target 2 of 2, for buckets 512"):
                await check_target(connection, target, count)


async def test_a_wrong_map_is_refused_when_a_pool_is_opened(two_databases: Databases) -> None:
    first, second = two_databases.map.targets
    mixed = Databases({1: two_databases.by_number[2], 2: two_databases.by_number[1]})
    assert [target.dsn for target in mixed.map.targets] == [second.dsn, first.dsn]
    with pytest.raises(TargetMismatchError, match="name it where it belongs"):
        async with mixed.pools(Role.PROCESSING):
            pass


TABLES = ("rights.allowance", "rights.counter", "rights.card_authority", "journal.event")


async def test_rows_of_a_foreign_bucket_are_refused(two_databases: Databases) -> None:
    async with two_databases.by_number[2].connect() as connection:
        for table in TABLES:
            served = await connection.fetchval(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conrelid = $1::regclass AND conname = 'served_here'",
                table,
            )
            assert served == "CHECK (((bucket >= 512) AND (bucket <= 1023)))"
        with pytest.raises(asyncpg.CheckViolationError, match="served_here"):
            await connection.execute(
                "INSERT INTO rights.counter VALUES (511, gen_random_uuid(), '2026-01-01', 1, 1)"
            )
        with pytest.raises(asyncpg.CheckViolationError, match="served_here"):
            await connection.execute("INSERT INTO journal.block VALUES (1024, 1, 1, now())")
        await connection.execute("INSERT INTO journal.block VALUES (1025, 1, 1, now())")


async def test_one_that_serves_alone_has_no_such_checks(database: Database) -> None:
    async with database.connect() as connection:
        count = await connection.fetchval(
            "SELECT count(*) FROM pg_constraint WHERE conname = 'served_here'"
        )
    assert count == 0


async def test_buckets_with_rows_are_not_given_away(database: Database) -> None:
    first = read_target_map(ONE + TWO, "file").targets[0]
    whole = TargetMap((target_map(Settings(home=Path())).targets[0],))
    async with database.connect() as connection:
        await connection.execute(
            "INSERT INTO rights.counter VALUES (700, gen_random_uuid(), '2026-01-01', 1, 1)"
        )
        with pytest.raises(TargetMismatchError, match=r"in rights\.counter"):
            await assign_target(connection, first, 2)
        await check_target(connection, whole.targets[0], 1)
        await connection.execute("DELETE FROM rights.counter")
        assert await assign_target(connection, first, 2)
        assert not await assign_target(connection, first, 2)
        await check_target(connection, first, 2)
