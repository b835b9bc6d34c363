"""The register in the database: calls of sql/functions/register, as the role spk_register.

Persons are reached through functions alone, which log every read. What breaks a rule raises
`RegisterError` and leaves the database as it was; whatever else the database says is raised as
it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
import msgspec

from processing.kernel.database import Connection
from processing.register.model import (
    Edit,
    HistoryStep,
    LaterChange,
    OpenRequest,
    ReadEntry,
    Reader,
    RequestedEdit,
    StoredRecord,
    Undone,
)
from processing.register.rules import refusal_of

EDITS_MAX: Final = 1_000
"""Most edits of one change or request; more come as an import."""

PAGE_MAX: Final = 200
"""Most rows of one page."""


class RegisterStore:
    """What is read and written, on one connection; each call is a transaction of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def resolve(self, kind: str, numbers: Sequence[str]) -> dict[str, UUID]:
        """Return the keys of the records of `kind` by the number that people name them by."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.resolve($1, $2)", kind, list(numbers)
        )
        return {row["number"]: row["record_id"] for row in rows}

    async def make_change(
        self,
        by: str,
        reason: str,
        edits: Sequence[Edit],
        *,
        source: str = "edit",
        reference: str | None = None,
    ) -> int:
        """Make a change at once and return its number; refused for what creates rights."""
        with refused_in_words():
            number = await self._connection.fetchval(
                "SELECT register.make_change($1, $2, $3, $4, $5)",
                by,
                reason,
                source,
                reference,
                _rows(edits),
            )
        return cast("int", number)

    async def propose_change(
        self,
        by: str,
        reason: str,
        edits: Sequence[Edit],
        *,
        source: str = "edit",
        reference: str | None = None,
        asked_by_citizen: UUID | None = None,
    ) -> int:
        """Keep a change for another person to decide on and return the request's number."""
        with refused_in_words():
            number = await self._connection.fetchval(
                "SELECT register.propose_change($1, $2, $3, $4, $5, $6)",
                by,
                reason,
                source,
                reference,
                asked_by_citizen,
                _rows(edits),
            )
        return cast("int", number)

    async def approve(self, request_id: int, by: str) -> int:
        """Make a requested change and return its number."""
        with refused_in_words():
            number = await self._connection.fetchval(
                "SELECT register.decide_request($1, $2, TRUE, NULL)", request_id, by
            )
        return cast("int", number)

    async def refuse(self, request_id: int, by: str, reason: str) -> None:
        """Refuse a request, with the reason that its maker is told."""
        with refused_in_words():
            await self._connection.execute(
                "SELECT register.decide_request($1, $2, FALSE, $3)", request_id, by, reason
            )

    async def undo(self, change_id: int, by: str, reason: str) -> Undone:
        """Take a change back, or propose to where rights rest on its records."""
        with refused_in_words():
            (row,) = await self._connection.fetch(
                "SELECT * FROM register.undo_change($1, $2, $3)", change_id, by, reason
            )
        return Undone(row["change_id"], row["request_id"])

    async def later_changes(self, change_id: int) -> tuple[LaterChange, ...]:
        """Return what stands in the way of undoing a change."""
        rows = await self._connection.fetch("SELECT * FROM register.later_changes($1)", change_id)
        return tuple(LaterChange(*row) for row in rows)

    async def open_requests(
        self, *, after: int = 0, count: int = PAGE_MAX
    ) -> tuple[OpenRequest, ...]:
        """Return the requests to be decided, the oldest first, after the request `after`."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.open_requests($1, $2)", after, min(count, PAGE_MAX)
        )
        return tuple(OpenRequest(*row.values()) for row in _with_tuples(rows, "kinds"))

    async def request(self, request_id: int, reader: Reader) -> tuple[RequestedEdit, ...]:
        """Return a request's edits beside the records as they are now; logged."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.read_request($1, $2, $3)",
            request_id,
            reader.by,
            reader.purpose,
        )
        return tuple(RequestedEdit(*row.values()) for row in _decoded(rows, "before", "body"))

    async def citizen_file(
        self, citizen_id: UUID, reader: Reader, at: datetime | None = None
    ) -> tuple[StoredRecord, ...]:
        """Return all records of a citizen, as they are or as they were known at `at`; logged."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.read_citizen($1, $2, $3, $4)",
            citizen_id,
            reader.by,
            reader.purpose,
            at,
        )
        return tuple(StoredRecord(*row.values()) for row in _decoded(rows, "body"))

    async def record(
        self, kind: str, record_id: UUID, reader: Reader
    ) -> tuple[int, dict[str, Any]] | None:
        """Return a record's version and columns, None when there is none; logged."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.read_record($1, $2, $3, $4)",
            kind,
            record_id,
            reader.by,
            reader.purpose,
        )
        return next(((row["version"], row["body"]) for row in _decoded(rows, "body")), None)

    async def history(self, kind: str, record_id: UUID, reader: Reader) -> tuple[HistoryStep, ...]:
        """Return how a record came to be what it is, the first step first; logged."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.history_of($1, $2, $3, $4)",
            kind,
            record_id,
            reader.by,
            reader.purpose,
        )
        return tuple(HistoryStep(*row.values()) for row in _decoded(rows, "before", "after"))

    async def reads_of(
        self, citizen_id: UUID, *, before: int | None = None, count: int = PAGE_MAX
    ) -> tuple[ReadEntry, ...]:
        """Return who read a citizen's records, the latest first, before the read `before`."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.reads_of($1, $2, $3)",
            citizen_id,
            before,
            min(count, PAGE_MAX),
        )
        return tuple(ReadEntry(*row.values()) for row in _with_tuples(rows, "kinds"))


@contextlib.contextmanager
def refused_in_words() -> Iterator[None]:
    """Raise `RegisterError` for what breaks a rule of the register."""
    try:
        yield
    except asyncpg.PostgresError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        # The database's own words would quote the record.
        raise refusal from None


def _rows(edits: Sequence[Edit]) -> list[tuple[str, UUID, int, str | None]]:
    if len(edits) > EDITS_MAX:
        raise ValueError(f"{len(edits)} edits: at most {EDITS_MAX} belong to one change")
    return [
        (
            edit.kind,
            edit.record_id,
            edit.base_version,
            None if edit.body is None else msgspec.json.encode(edit.body).decode(),
        )
        for edit in edits
    ]


def _decoded(rows: Sequence[asyncpg.Record], *columns: str) -> Iterator[dict[str, Any]]:
    """Give the rows with these JSON columns decoded."""
    for row in rows:
        values = dict(row)
        for column in columns:
            if values[column] is not None:
                values[column] = msgspec.json.decode(values[column])
        yield values


def _with_tuples(rows: Sequence[asyncpg.Record], column: str) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {**row, column: tuple(row[column])}
