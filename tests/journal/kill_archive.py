"""Archives the history at a DSN and kills itself with SIGKILL when a stage begins: for tests.

python -m tests.journal.kill_archive DSN FOLDER STAGE TABLE
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from processing.journal.archive import Archive, ArchiveOrder, Stage, choose
from processing.journal.month import Month
from processing.journal.month_store import ARCHIVE_LIMITS, MonthStore
from processing.kernel.database import open_pool
from processing.kernel.roles import Role


async def work(dsn: str, folder: Path, fatal: tuple[str, str]) -> None:
    """Archive and drop everything before April 2026."""

    def watch(month: Month, stage: Stage, table: str) -> None:
        if (stage.value, table) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    order = ArchiveOrder(
        before=Month(2026, 4), this_month=Month(2026, 11), even_unsettled=True, drop=True
    )
    pool = await open_pool(dsn, Role.OPERATOR, "tests", ARCHIVE_LIMITS)
    store = MonthStore(pool)
    for seen in choose(await store.overview(), order):
        await Archive(store, folder, watch).archive(seen, drop=True)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), (sys.argv[3], sys.argv[4])))
