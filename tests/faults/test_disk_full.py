"""The database's disk fills up under load: nothing is approved that is not stored.

The database lies on a small file system in memory. A ballast file takes the last byte of it, then
a replication slot lets pg_wal grow until PostgreSQL itself panics. Meanwhile the centre answers
"try later"; when there is room again it goes on by itself, and starts its database where that
stopped. Mounting takes root: others skip this.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from hsm_stub.key_material import KeyMaterial
from processing.kernel.embedded import DISK_FREE_BYTES_MIN_NEW, EmbeddedPostgres
from tests.faults.auditor import receipt_public_key_of
from tests.faults.counters import TRAFFIC, Counted
from tests.faults.load import Load
from tests.faults.stage import Stage, standing
from tests.plugins.centre import Programs
from tests.plugins.faults import SEEN, FaultPlan
from tests.workers.crew import until

DISK_BYTES: Final = DISK_FREE_BYTES_MIN_NEW + 64 * 1024 * 1024
ROOM_FOR_RESTART_BYTES: Final = 160 * 1024 * 1024
"""Size of the ballast whose removal lets a panicked database start again."""

TOLD_BETWEEN: Final = 60
REFUSED_WHILE_FULL: Final = 40
"""So many answers must have been "try later" before there is room again."""

GRANTED_PER_ROUND: Final = 60


@pytest.fixture
def small_disk(programs: Programs) -> Iterator[Path]:
    """Give the folder of the programs' database, on a small file system of its own."""
    folder = programs.folder / "postgres"
    folder.mkdir(mode=0o711)
    options = f"size={DISK_BYTES},mode=0711"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    # An operator of so small a disk keeps no segments of pg_wal in store.
    (folder / "local.conf").write_text("min_wal_size = '32MB'\nmax_wal_size = '64MB'\n")
    (folder / "local.conf").chmod(0o644)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path, leave_bytes: int = 0) -> None:
    """Let a file grow until the disk has `leave_bytes` left, by default none."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(_DiskFull):
        for piece in (bytes(1024 * 1024), bytes(4096)):
            while _free(ballast.parent) > leave_bytes + len(piece):
                _write(file.fileno(), piece)
        while not leave_bytes:
            _write(file.fileno(), bytes(512))


class _DiskFull(Exception):
    pass


def _write(descriptor: int, data: bytes) -> None:
    try:
        os.write(descriptor, data)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _DiskFull from error
        raise


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


async def refused(stage: Stage) -> None:
    """Return when the terminals met the full disk often enough."""
    stage.counters.add(Counted.DISKS_FILLED)
    wanted = stage.counters[Counted.UNDECIDED] + REFUSED_WHILE_FULL

    async def often() -> bool:
        return stage.counters[Counted.UNDECIDED] >= wanted

    await until(often, "terminals are told to try later")


async def fill_with_ballast(stage: Stage, disk: Path) -> None:
    """Take the last byte away, then give it back."""
    fill(disk / "ballast")
    await refused(stage)
    (disk / "ballast").unlink()


async def fill_with_wal(stage: Stage, disk: Path) -> None:
    """Keep all of pg_wal until there is no room for more, then make room and drop what kept it."""
    assert _free(disk) > ROOM_FOR_RESTART_BYTES, "the ballast would not be what keeps it down"
    fill(disk / "ballast", leave_bytes=_free(disk) - ROOM_FOR_RESTART_BYTES)
    superuser = stage.database.superuser_dsn()
    connection = await asyncpg.connect(superuser)
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await connection.execute("SELECT pg_create_physical_replication_slot('keeps', TRUE)")
        while True:
            await connection.execute(
                "SELECT pg_logical_emit_message(FALSE, 'ballast', repeat('x', 1000000)), "
                "pg_switch_wal()"
            )
    await connection.close()
    await refused(stage)

    async def down() -> bool:
        return stage.database.status().process_id is None

    # Its own attempts to recover fail for want of room as well.
    await until(down, "the database gives up")
    stage.counters.add(Counted.DATABASES_PANICKED)
    (disk / "ballast").unlink()
    # Nobody but the centre starts it again.
    await _drop_slot(superuser)


async def _drop_slot(superuser: str) -> None:
    async def dropped() -> bool:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(superuser)
            try:
                await connection.execute("SELECT pg_drop_replication_slot('keeps')")
                await connection.execute("CHECKPOINT")
            finally:
                await connection.close()
            return True
        return False

    await until(dropped, "the database runs again")


@pytest.mark.timeout(300)
async def test_the_disk_fills_up_under_load(
    programs: Programs,
    small_disk: Path,
    town_keys: KeyMaterial,
    fault_plan: FaultPlan,
    record_property: Callable[[str, object], None],
) -> None:
    granted = GRANTED_PER_ROUND * max(fault_plan.cycles, round(10 * fault_plan.minutes))
    async with standing(programs, 2, fault_plan.seed, granted) as stage:
        load = Load(stage.connect, stage.counters, fault_plan.seed)
        async with load.running():
            for _ in fault_plan.rounds():
                await load.more(stage.chance.randint(1, TOLD_BETWEEN))
                await fill_with_ballast(stage, small_disk)
                await load.more(TOLD_BETWEEN)
                await fill_with_wal(stage, small_disk)
            await load.more(TOLD_BETWEEN, TRAFFIC)
        assert EmbeddedPostgres(programs.folder).running()
        # A full disk is no fault of any one case, to be searched for by halving its batch.
        assert stage.crew.centre.logged("case cannot be decided") == []
        found = await stage.findings(load, receipt_public_key_of(town_keys))
    record_property(SEEN, f"{stage.counters}")
    assert found == []
    seen = {*TRAFFIC, Counted.UNDECIDED, Counted.RETRIES}
    stage.counters.check({*seen, Counted.DISKS_FILLED, Counted.DATABASES_PANICKED})
