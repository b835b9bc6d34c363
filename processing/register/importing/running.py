"""Runs imports: a transaction for each chunk, so that a stopped one is gone on with.

While the database takes a chunk, the next is read in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import date
from typing import Final, TypeVar

import asyncpg

from processing.kernel.database import DatabasePool, SessionLimits
from processing.register.importing.errors import ImportRefused
from processing.register.importing.reading import Chunk, read_chunks
from processing.register.importing.rejects import Reject
from processing.register.importing.sheet import SheetFile
from processing.register.importing.store import Import, ImportStore, Problem
from processing.register.importing.words import worded
from processing.register.kinds.shape import RecordKind
from processing.register.records import KIND_BY_NAME

DUPLICATE_SCORE_MIN: Final = 70
"""From so many percent on, a new citizen who may be known already waits for a decision."""

IMPORT_LIMITS: Final = SessionLimits(
    connections_max=2,
    acquire_timeout_ms=10_000,
    statement_timeout_ms=3_600_000,
    lock_timeout_ms=120_000,
    idle_in_transaction_timeout_ms=120_000,
    command_timeout_ms=3_610_000,
)
"""Imports wait for each other chunk by chunk, and for a dry run to its end; taking a million rows
back is one statement."""

Progress = Callable[[int], None]
Result = TypeVar("Result")


class Runner:
    """Takes, applies and corrects imports over one pool of connections."""

    def __init__(
        self, pool: DatabasePool, today: date, *, from_score: int = DUPLICATE_SCORE_MIN
    ) -> None:
        self._pool = pool
        self._today = today
        self._from_score = from_score

    async def read(self, import_id: int, sheet: SheetFile, advance: Progress) -> Import:
        """Take the rows of a begun import that are not taken yet; return it as it then stands.

        `advance` is told the number of records behind. Raises `ImportRefused`, `DatabaseError`;
        what was taken until then stays taken.
        """
        found = await self.load(import_id)
        if found.state != "reading":
            return found
        kind = KIND_BY_NAME[found.kind]
        chunks = read_chunks(sheet, found.header, kind, self._today, done=found.record_count)
        advance(found.record_count)
        number = found.chunks
        upcoming = asyncio.create_task(asyncio.to_thread(next, chunks, None))
        try:
            while (chunk := await upcoming) is not None:
                upcoming = asyncio.create_task(asyncio.to_thread(next, chunks, None))
                number += 1
                async with self._pool.transaction() as connection:
                    await self._take(ImportStore(connection), found, kind, number, chunk)
                advance(chunk.record_count)
        finally:
            # The thread reads to the end of its chunk; nobody else may read the file meanwhile.
            await asyncio.wait([upcoming])
        async with self._pool.transaction() as connection:
            store = ImportStore(connection)
            await store.pass_rights_on(import_id)
            await store.finish(import_id)
        return await self.load(import_id)

    async def rehearse(self, store: ImportStore, import_id: int, sheet: SheetFile) -> Import:
        """Take all rows in the caller's transaction, which is then rolled back."""
        found = await _loaded(store, import_id)
        kind = KIND_BY_NAME[found.kind]
        chunks: Iterator[Chunk] = read_chunks(sheet, found.header, kind, self._today)
        number = 0
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            number += 1
            await self._take(store, found, kind, number, chunk)
        return await _loaded(store, import_id)

    async def apply(self, import_id: int, advance: Progress) -> Import:
        """Write what is not written yet of an approved import."""
        found = await self.load(import_id)
        if found.state != "applying":
            return found
        async with self._pool.connection() as connection:
            chunks = await ImportStore(connection).chunks(import_id)
        for number, first, last, is_written in chunks:
            if not is_written:
                async with self._pool.transaction() as connection:
                    store = ImportStore(connection)
                    await self._retake(store, found, first, last)
                    await store.recount(import_id, number, is_written=True)
            advance(last - first + 1)
        async with self._pool.transaction() as connection:
            store = ImportStore(connection)
            await store.pass_rights_on(import_id)
            await store.finish(import_id)
        return await self.load(import_id)

    async def decide(
        self, import_id: int, line: int, decision: str, record_id: str | None, by: str, reason: str
    ) -> str | None:
        """Keep a decision about a waiting row and carry it out.

        Returns why the row was not taken all the same, in Russian and English with a line between,
        or None. Raises `ImportRefused` when the row does not wait.
        """
        found = await self.load(import_id)
        async with self._pool.transaction() as connection:
            store = ImportStore(connection)
            if not await store.decide(import_id, line, decision, record_id, by, reason):
                raise ImportRefused(
                    f"строка {line} импорта {import_id} не ждёт такого решения; посмотрите"
                    f" ждущие: spk register import duplicates {import_id}",
                    f"row {line} of import {import_id} does not wait for this decision; look at"
                    f" those that do: spk register import duplicates {import_id}",
                )
            number, is_written = await self._chunk_of(store, import_id, line)
            problems = await self._retake(store, found, line, line)
            await store.forget_reject(import_id, line)
            await store.recount(import_id, number, is_written=is_written)
            await store.pass_rights_on(import_id)
        kind = KIND_BY_NAME[found.kind]
        faults = [worded(p, kind, found.header) for p in problems if p.code != "skipped"]
        return "\n".join((faults[0].ru, faults[0].en)) if faults else None

    async def load(self, import_id: int) -> Import:
        """Return an import; raises `ImportRefused` when there is none of this number."""
        async with self._pool.connection() as connection:
            return await _loaded(ImportStore(connection), import_id)

    async def _take(
        self, store: ImportStore, found: Import, kind: RecordKind, number: int, chunk: Chunk
    ) -> None:
        writes = not found.creates_rights
        problems = await store.take(
            found.import_id,
            chunk.staged,
            writes=writes,
            kept=[None] * len(chunk.staged) if writes else chunk.kept,
            unread=[reject.line for reject in chunk.rejects],
            from_score=self._from_score,
        )
        came = {row.line: raw for row, raw in zip(chunk.staged, chunk.kept, strict=True)}
        await store.keep(
            found.import_id,
            [*chunk.rejects, *_rejects(problems, came, kind, found)],
        )
        try:
            await store.end_chunk(
                found.import_id,
                number,
                (chunk.first_line, chunk.last_line),
                chunk.record_count,
                chunk.blank_count,
                is_written=writes,
            )
        except asyncpg.UniqueViolationError:
            raise ImportRefused(
                f"импорт {found.import_id} уже ведёт другой процесс; дождитесь его",
                f"another process is running import {found.import_id}; wait for it",
            ) from None

    async def _retake(
        self, store: ImportStore, found: Import, first: int, last: int
    ) -> list[Problem]:
        """Take rows again that are not in the register: approved or decided ones."""
        kind = KIND_BY_NAME[found.kind]
        rows = await store.unwritten(found.import_id, first, last)
        writes = not found.creates_rights or found.state in {"applying", "done"}
        problems = await store.take(
            found.import_id,
            [staged for staged, _ in rows],
            writes=writes,
            kept=[raw for _, raw in rows],
            unread=[],
            from_score=self._from_score,
        )
        came = {staged.line: raw or b"" for staged, raw in rows}
        await store.keep(found.import_id, _rejects(problems, came, kind, found))
        return problems

    async def _chunk_of(self, store: ImportStore, import_id: int, line: int) -> tuple[int, bool]:
        for number, first, last, is_written in await store.chunks(import_id):
            if first <= line <= last:
                return number, is_written
        raise AssertionError("a row is in a chunk")


async def _loaded(store: ImportStore, import_id: int) -> Import:
    found = await store.load(import_id)
    if found is None:
        raise ImportRefused(
            f"импорта {import_id} нет; посмотрите список: spk register import list",
            f"there is no import {import_id}; see the list: spk register import list",
        )
    return found


def _rejects(
    problems: list[Problem], came: dict[int, bytes], kind: RecordKind, found: Import
) -> list[Reject]:
    return [
        Reject(problem.line, came[problem.line], (worded(problem, kind, found.header),))
        for problem in problems
    ]


class Rehearsed(Exception):
    """Carries the result of a dry run out of its transaction, which it rolls back."""

    def __init__(self, result: Import, rejects: tuple[Reject, ...]) -> None:
        super().__init__()
        self.result = result
        self.rejects = rejects
