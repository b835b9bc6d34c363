"""Replay: every transaction of a service in a past period, decided once more under a draft.

By the engine itself, in scratch databases that are dropped afterwards: live data is read under one
snapshot and never written. Each target is split by buckets into parts, one scratch database and one
session each, that run side by side; no transaction of one part can touch another's rights.
What is exact and what is approximated: docs/regulations.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from typing import Final

import asyncpg
import msgspec

from processing.kernel.config import Settings
from processing.kernel.database import PLANNED_BY_INDEX
from processing.kernel.errors import SpkError
from processing.kernel.locate import administrator_dsn
from processing.kernel.roles import Role
from processing.kernel.targets import TargetMap, target_dsn
from processing.regulations.compiling import compile_regulation
from processing.regulations.document import Regulation
from processing.regulations.replay_model import (
    CHANGES_KEPT_MAX,
    TRANSACTIONS_MAX,
    Change,
    Replay,
    Sums,
    added,
    heaviest,
)
from processing.regulations.replay_taking import BEFORE_PERIOD_DAYS, Period, take
from processing.regulations.scratch import forget_at_crash, scratch_database, scratch_session
from processing.regulations.store import RegulationStore

WORKSHOP: Final = "regulation_replay"
SESSIONS: Final = 2
"""Parts that run side by side; more targets than this make as many parts."""

BATCH_MAX: Final = 512
"""Most transactions that the engine decides in one call of a replay."""

SLICE_MINUTES: Final = 60
"""The longest span of one batch: no region's midnight lies within."""

ENDS_ANEW_SLICE_MINUTES: Final = 10
"""The same where reservations end at other times than they did: so late may an end be noticed."""

DRAFT_VERSION: Final = 1_000_000
"""The number that a draft has in a scratch database: above every published one."""

EVER: Final = (date(2000, 1, 1), date(2999, 12, 31))

Progress = Callable[[int], None]
"""Told how many transactions were decided since it was last told."""


class ReplayError(SpkError):
    """A period that cannot be replayed; the message says why and what to do."""

    exit_code = 2


class Place(msgspec.Struct, frozen=True):
    """Where a part's transactions are: addresses of owner and administrator, and buckets."""

    dsn: str
    administrator_dsn: str
    buckets: tuple[int, int]


class Under(msgspec.Struct, frozen=True):
    """What to decide under: a draft, or a version that is published already."""

    service: str
    version: int
    draft: Regulation | None = None

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that the draft opens."""
        clauses = () if self.draft is None else self.draft.clauses
        return tuple({one.measure for one in clauses if one.measure is not None})


class Done(msgspec.Struct, frozen=True):
    """What a part, or all parts together, came to."""

    sums: tuple[Sums, ...]
    changes: tuple[Change, ...]


class ReplayOrder(msgspec.Struct, frozen=True):
    """Which draft goes through which days, and who asks; `body` is the draft's exact text."""

    regulation: Regulation
    body: bytes
    first_day: date
    last_day: date
    made_by: str

    @property
    def document_sha256(self) -> bytes:
        """SHA-256 of the draft's text."""
        return hashlib.sha256(self.body).digest()

    def told(self, done: Done) -> Replay:
        """Return what came of it, to be kept."""
        return Replay(
            service=self.regulation.regulation.service,
            version=self.regulation.regulation.version,
            document_sha256=self.document_sha256,
            first_day=self.first_day,
            last_day=self.last_day,
            sums=done.sums,
            changes=done.changes,
            made_by=self.made_by,
        )


def under_draft(regulation: Regulation) -> Under:
    """Return the draft as what is decided under, in force at any time."""
    head = msgspec.structs.replace(
        regulation.regulation, version=DRAFT_VERSION, valid_from=EVER[0], valid_to=EVER[1]
    )
    draft = msgspec.structs.replace(regulation, regulation=head)
    return Under(head.service, DRAFT_VERSION, draft)


def places_of(settings: Settings, targets: TargetMap) -> tuple[Place, ...]:
    """Return the parts of all targets: at least `SESSIONS`, each within one target."""
    per_target = max(1, SESSIONS // len(targets))
    places = []
    for target in targets.targets:
        first, last = target.buckets
        edges = [first + (last + 1 - first) * n // per_target for n in range(per_target + 1)]
        places += [
            Place(
                target_dsn(settings, target, Role.OWNER),
                administrator_dsn(settings, target),
                (edges[n], edges[n + 1] - 1),
            )
            for n in range(per_target)
        ]
    return tuple(places)


async def replay(
    places: Sequence[Place],
    under: Under,
    first_day: date,
    last_day: date,
    progress: Progress = lambda count: None,
    on_change: Callable[[Change], None] | None = None,
) -> Done:
    """Decide the service's transactions posted from `first_day` to `last_day` anew.

    `on_change` is told every changed transaction, where the result keeps `CHANGES_KEPT_MAX`.
    Raises `ReplayError` when the journal no longer has the period or it is too long, and the
    errors of `scratch_database`.
    """
    turn = asyncio.Semaphore(SESSIONS)

    async def part(place: Place) -> Done:
        async with turn:
            return await _part(place, under, first_day, last_day, progress, on_change)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part(place)) for place in places]
    except* SpkError as errors:
        raise errors.exceptions[0] from None
    done = [task.result() for task in tasks]
    return Done(
        added(one for part in done for one in part.sums),
        heaviest((one for part in done for one in part.changes), CHANGES_KEPT_MAX),
    )


async def _part(
    place: Place,
    under: Under,
    first_day: date,
    last_day: date,
    progress: Progress,
    on_change: Callable[[Change], None] | None,
) -> Done:
    period = Period(under.service, first_day, last_day, place.buckets)
    async with _live_session(place.dsn) as live:
        await _require_replayable(live, period)
    async with scratch_database(place.administrator_dsn, WORKSHOP) as dsn:
        async with scratch_session(dsn) as scratch:
            await scratch.execute(
                "SELECT journal.ensure_partitions($1::date - $3::integer, $2::date + 2)",
                first_day,
                last_day,
                BEFORE_PERIOD_DAYS,
            )
            await forget_at_crash(scratch)
            async with _live_session(place.dsn) as live:
                await take(live, scratch, period, under.measures)
            ends_anew = await _ends_anew(scratch, under)
            if under.draft is not None:
                rows = compile_regulation(under.draft)
                await RegulationStore(scratch).put_version(rows)
            minutes = ENDS_ANEW_SLICE_MINUTES if ends_anew else SLICE_MINUTES
            batches = await scratch.fetchval("SELECT replay.lay_out($1, $2)", minutes, BATCH_MAX)
            await scratch.execute("ANALYZE replay.step; ANALYZE replay.batch")
        async with scratch_session(dsn) as scratch:
            await _decide_all(scratch, under, batches, ends_anew=ends_anew, progress=progress)
        async with scratch_session(dsn) as scratch:
            return await _told(scratch, on_change)


async def _require_replayable(live: asyncpg.Connection, period: Period) -> None:
    closed = await live.fetchval("SELECT journal.closed_before()")
    # Without a closed month the date is infinite, which asyncpg gives as the earliest one.
    if closed is not None and closed > period.first_day:
        raise ReplayError(
            f"the journal is archived up to {closed}: begin the period on that day or later"
        )
    count = await live.fetchval(
        "SELECT count(*) FROM (SELECT FROM journal.event AS e WHERE e.service = $1 "
        "AND e.posting_date BETWEEN $2 AND $3 LIMIT $4) AS e",
        period.service,
        period.first_day,
        period.last_day,
        TRANSACTIONS_MAX + 1,
    )
    if count > TRANSACTIONS_MAX:
        raise ReplayError(
            f"the period has more than {TRANSACTIONS_MAX} transactions of {period.service}: "
            "choose a shorter one"
        )


async def _ends_anew(scratch: asyncpg.Connection, under: Under) -> bool:
    """Whether reservations of the period would have stood for another time than they did."""
    if under.draft is None:
        minutes = await scratch.fetchval(
            "SELECT reserve_minutes FROM regulations.service WHERE service = $1 AND version = $2",
            under.service,
            under.version,
        )
    else:
        minutes = compile_regulation(under.draft).service.reserve_minutes
    return bool(
        await scratch.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM (
                    SELECT DISTINCT t.service_version FROM replay.taken AS t WHERE t.kind IN (2, 7)
                ) AS t
                INNER JOIN regulations.service AS s
                    ON s.service = $1 AND t.service_version = s.version
                WHERE s.reserve_minutes IS DISTINCT FROM $2::integer
            )
            """,
            under.service,
            minutes,
        )
    )


async def _decide_all(
    scratch: asyncpg.Connection, under: Under, batches: int, *, ends_anew: bool, progress: Progress
) -> None:
    for name, value in PLANNED_BY_INDEX.items():
        await scratch.execute(f"SET {name} = {value}")
    decide = await scratch.prepare("SELECT replay.decide($1, $2, $3, $4)")
    for number in range(1, batches + 1):
        progress(await decide.fetchval(number, under.service, under.version, ends_anew))


async def _told(scratch: asyncpg.Connection, on_change: Callable[[Change], None] | None) -> Done:
    # Everything is read once: never row by row.
    await scratch.execute("SET enable_nestloop = off; SET enable_mergejoin = off")
    await scratch.execute("ANALYZE replay.result; ANALYZE journal.event; ANALYZE journal.line")
    await scratch.execute("SELECT replay.tell()")
    await scratch.execute("ANALYZE replay.money; ANALYZE replay.told")
    sums = [Sums(**dict(row)) for row in await scratch.fetch("SELECT * FROM replay.sums()")]
    changes: list[Change] = []
    async with scratch.transaction():
        query = "SELECT * FROM replay.change LIMIT $1"
        limit = CHANGES_KEPT_MAX if on_change is None else TRANSACTIONS_MAX
        async for row in scratch.cursor(query, limit, prefetch=1_000):
            change = _change(row)
            if len(changes) < CHANGES_KEPT_MAX:
                changes.append(change)
            if on_change is not None:
                on_change(change)
    return Done(tuple(sums), tuple(changes))


def _change(row: asyncpg.Record) -> Change:
    values = dict(row)
    for name in ("before_facts", "after_facts"):
        values[name] = msgspec.json.decode(values[name] or "{}", type=dict[str, str])
    return Change(**values)


@contextlib.asynccontextmanager
async def _live_session(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Open a session of the owner in the live database: it reads, for as long as copying takes."""
    connection = await asyncpg.connect(
        dsn,
        server_settings={
            "role": Role.OWNER.value,
            "application_name": "spk regulation replay",
            "TimeZone": "UTC",
            "jit": "off",
        },
    )
    try:
        yield connection
    finally:
        await connection.close()
