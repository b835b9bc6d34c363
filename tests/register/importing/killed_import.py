"""Imports a file and kills its own process with SIGKILL at a chosen moment.

python -m tests.register.importing.killed_import DSN FILE CHUNK MOMENT
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import date
from pathlib import Path

from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.register.importing import reading
from processing.register.importing.preparing import kind_named, prepare
from processing.register.importing.running import IMPORT_LIMITS, Runner
from processing.register.importing.store import ImportStore

CHUNK_RECORDS = 10
MOMENTS = ("before", "taken", "counted", "committed")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingStore(ImportStore):
    """Dies in the middle of a chunk's transaction."""

    chunk = 0
    moment = ""

    async def end_chunk(
        self, import_id: int, chunk: int, *others: object, is_written: bool
    ) -> None:
        if chunk == self.chunk and self.moment == "taken":
            die()
        await super().end_chunk(import_id, chunk, *others, is_written=is_written)  # type: ignore[arg-type]
        if chunk == self.chunk and self.moment == "counted":
            die()


async def run(dsn: str, path: Path, chunk: int, moment: str) -> None:
    DyingStore.chunk, DyingStore.moment = chunk, moment
    ready = prepare(path, kind_named("citizen"), {}, {})
    pool = await open_pool(dsn, Role.REGISTER, "killed", IMPORT_LIMITS)
    async with pool.transaction() as connection:
        import_id, _, _ = await ImportStore(connection).begin(
            kind="citizen",
            source="МФЦ Заречный",
            file_name=path.name,
            form=ready.sheet.form,
            header=ready.header,
            opening=ready.opening,
            by="Орлова",
        )
    behind = 0

    def advance(count: int) -> None:
        nonlocal behind
        behind += 1
        # the first call tells what was behind before
        if moment == "before" and behind == chunk:
            die()
        if moment == "committed" and behind == chunk + 1:
            die()

    await Runner(pool, date(2026, 11, 20)).read(import_id, ready.sheet, advance)


def main() -> None:
    from processing.register.importing import running

    reading.CHUNK_RECORDS_MAX = CHUNK_RECORDS  # type: ignore[misc]
    running.ImportStore = DyingStore  # type: ignore[attr-defined]
    dsn, path, chunk, moment = sys.argv[1:]
    asyncio.run(run(dsn, Path(path), int(chunk), moment))


if __name__ == "__main__":
    main()
