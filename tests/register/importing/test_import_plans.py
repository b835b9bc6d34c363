"""How PostgreSQL takes a chunk of a file: each row looked up by an index."""

from __future__ import annotations

from pathlib import Path

from processing.kernel.roles import Role
from processing.register.importing.reading import read_chunks
from processing.register.importing.store import ImportStore
from tests.plugins.plans import watched
from tests.plugins.postgres import Database
from tests.register.importing.office import TODAY, Office, csv_file, person

KNOWN = 1_500
ROWS = 60
LOOKED_AT_MAX = 10 * ROWS
"""Rows that one step may look at in all: of those born on a row's day a few are known here."""


async def test_a_chunk_is_matched_and_written_through_indexes(
    office: Office, database: Database, tmp_path: Path
) -> None:
    await office.take(csv_file(tmp_path / "known.csv", [person(n) for n in range(KNOWN)]))
    await office.admin.execute("ANALYZE")
    rows = [person(n, Отчество="Ильич") for n in range(ROWS // 2)]
    rows += [person(KNOWN + n) for n in range(ROWS // 2)]
    ready = office.prepared(csv_file(tmp_path / "more.csv", rows))
    import_id, _, _ = await office.begin(ready)
    (chunk,) = read_chunks(ready.sheet, ready.header, ready.kind, TODAY)
    async with watched(database, Role.REGISTER) as watch, watch.connection.transaction():
        problems = await ImportStore(watch.connection).take(
            import_id,
            chunk.staged,
            writes=True,
            kept=[None] * ROWS,
            unread=[],
            from_score=70,
        )
        assert problems == []
        tables = {step.table for step in watch.steps()} - {"staged", "likely"}
        assert {"citizen", "import_row", "name_word"} <= tables
        assert watch.whole_reads(tables - {"region", "record_kind", "import_kind"}) == []
        assert [s for s in watch.long_reads(LOOKED_AT_MAX) if s.table in tables] == []
