"""What was archived is never decided again, whoever sends it, and receipts stay one per place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import asyncpg
import pytest

from processing.authorization.model import Case, Ruling
from processing.journal.store import JournalStore
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.wire.outcome import Outcome
from tests.authorization.world import Centre, pills, reversal, sale
from tests.journal.history import (
    NEXT_DAY,
    OFFLINE,
    SOLD,
    SPRING,
    centre_of,
    snapshot,
)
from tests.journal.test_archive import archive_before, restore
from tests.plugins.postgres import Database

LATE_REVERSAL = reversal(30, SOLD, business_date=SPRING.date(), signed_at=SPRING)


async def decide_in_april(connection: asyncpg.Connection, *cases: Case) -> list[Ruling]:
    centre: Centre = centre_of(connection)
    centre.block = 100 + int(
        await connection.fetchval("SELECT coalesce(max(block), 0) FROM journal.block")
    )
    return await centre.decide(*cases, at=SPRING, posting=SPRING.date())


async def rows_and_counters(connection: asyncpg.Connection) -> tuple[object, ...]:
    return (
        await snapshot(connection),
        await connection.fetch("SELECT * FROM rights.counter ORDER BY 1, 2, 3"),
        await connection.fetch("SELECT * FROM journal.event_other"),
        await connection.fetch("SELECT * FROM journal.child ORDER BY 2, 3, 4, 5, 6, 7"),
    )


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(
    "case",
    [SOLD, OFFLINE, sale(2, pills(1, 300)), sale(20, pills(1, 300), advice=True),
     sale(777, pills(1, 300)), sale(777, pills(1, 300), advice=True),
     reversal(6, SOLD, business_date=NEXT_DAY)],
    ids=["replay", "advice", "other content", "other advice", "new", "new advice", "reversal"],
)  # fmt: skip
async def test_no_key_of_an_archived_month_is_decided_again(
    history: Database, tmp_path: Path, case: Case, drop: bool
) -> None:
    await archive_before(history, tmp_path, "2026-04", drop=drop)
    async with history.connect() as admin:
        before = await rows_and_counters(admin)
        (ruling,) = await decide_in_april(admin, case)
        assert (ruling.outcome, ruling.decision) == (Outcome.CLOCK_WRONG, None)
        assert await rows_and_counters(admin) == before


async def test_an_archived_transaction_is_not_taken_back(history: Database, tmp_path: Path) -> None:
    unknown = sale(888, pills(1, 100))
    late = reversal(31, unknown, business_date=SPRING.date(), signed_at=SPRING)
    await archive_before(history, tmp_path, "2026-04")
    async with history.connect() as admin:
        before = await rows_and_counters(admin)
        rulings = await decide_in_april(admin, LATE_REVERSAL, late)
        for ruling in rulings:
            assert ruling.outcome is Outcome.ORIGINAL_UNKNOWN
            assert ruling.facts == {"original": "archived"}
            assert ruling.decision is not None
        # The refusals stand in the journal under the reversals' own keys, and nothing else does.
        assert (await rows_and_counters(admin))[1:] == before[1:]
        again = await decide_in_april(admin, LATE_REVERSAL)
        assert again[0].replayed
        assert again[0].outcome is Outcome.ORIGINAL_UNKNOWN


async def test_a_restored_month_answers_replays_and_nothing_else(
    history: Database, tmp_path: Path
) -> None:
    async with history.connect() as admin:
        (first,) = await decide_in_april(admin, SOLD)
        await archive_before(history, tmp_path, "2026-04", drop=True)
        await restore(history, tmp_path, "2026-03")
        rulings = await decide_in_april(admin, SOLD, sale(777, pills(1, 300)))
    assert rulings[0].replayed
    assert rulings[0].decision == first.decision
    assert (rulings[1].outcome, rulings[1].decision) == (Outcome.CLOCK_WRONG, None)


async def test_other_requests_of_the_batch_are_decided(history: Database, tmp_path: Path) -> None:
    await archive_before(history, tmp_path, "2026-04", drop=True)
    fresh = sale(40, pills(1, 100), business_date=SPRING.date(), signed_at=SPRING)
    async with history.connect() as admin:
        rulings = await decide_in_april(admin, OFFLINE, fresh)
    assert [one.outcome for one in rulings] == [
        Outcome.CLOCK_WRONG,
        Outcome.APPROVED,
    ]


async def test_a_block_that_lost_decisions_to_the_archive_is_not_signed_anew(
    history: Database, tmp_path: Path
) -> None:
    """Half a block has another Merkle root: a receipt from it would contradict the first one."""
    pool = await open_pool(history.dsn(), Role.PROCESSING, "tests")
    try:
        store = JournalStore(pool)
        assert len(await store.block(1, 1)) == 2
        await archive_before(history, tmp_path, "2026-03")
        assert await store.block(1, 1) == []
        assert len(await store.block(1, 2)) == 3
    finally:
        await pool.close()


async def test_rows_that_came_before_their_month_was_made_move_into_it(history: Database) -> None:
    """A reversal may name an original of a day whose partition is not there yet."""
    may = date(2026, 5, 3)
    early = sale(888, pills(1, 100), business_date=may)
    async with history.connect() as admin:
        (ruling,) = await decide_in_april(
            admin, reversal(50, early, business_date=SPRING.date(), signed_at=SPRING)
        )
        assert ruling.outcome is Outcome.APPROVED
        assert await admin.fetchval("SELECT count(*) FROM journal.event_other") == 1
        made = await admin.fetchval("SELECT journal.ensure_partitions($1, $1)", may)
        assert made == ["event_2026_05", "line_2026_05"]
        assert await admin.fetchval("SELECT count(*) FROM journal.event_other") == 0
        row = await admin.fetchrow("SELECT stan, outcome FROM journal.event_2026_05")
        assert row is not None
        assert tuple(row) == (888, Outcome.REVERSED_BEFORE)
        for name in ("event_other", "event_2026_05"):
            triggers = await admin.fetch(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass", f"journal.{name}"
            )
            assert "append_only" in {trigger["tgname"] for trigger in triggers}
