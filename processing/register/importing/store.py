"""The database's side of an import: functions write, views read (sql/functions/register)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from processing.kernel.database import Connection
from processing.register.importing.headers import Header
from processing.register.importing.rejects import Opening, Reject, RowFault
from processing.register.importing.rows import Staged
from processing.register.importing.sheet import Form
from processing.register.store import refused_in_words

PAGE_ROWS: Final = 1_000
"""Rejected rows that are fetched at a time."""

_FAULTS: Final = msgspec.json.Decoder(tuple[RowFault, ...])


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an import's rows; `waiting` is a part of `rejected`."""

    rows: int
    created: int
    changed: int
    unchanged: int
    rejected: int
    waiting: int
    blank: int

    @property
    def balances(self) -> bool:
        """Tell whether every row has exactly one fate."""
        return self.rows == self.created + self.changed + self.unchanged + self.rejected


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """One import as it stands."""

    import_id: int
    kind: str
    source: str
    file_name: str
    file_sha256: bytes
    form: Form
    header: Header
    opening: Opening
    state: str
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    decided_by: str | None
    decision_reason: str | None
    change_id: int | None
    creates_rights: bool
    chunks: int
    chunks_written: int
    record_count: int
    sums: Sums


class Problem(msgspec.Struct, frozen=True):
    """A staged row that was not taken: `waiting` or `rejected`, and the reason's code.

    `field` is a column (`unknown_reference`) or a rule's name (`rule`), `other_line` the earlier
    row of the same key (`repeated`).
    """

    line: int
    outcome: str
    code: str
    field: str | None
    other_line: int | None


class Candidate(msgspec.Struct, frozen=True):
    """A record that a waiting row may be about; `known` is None when it is gone."""

    record_id: str
    reasons: tuple[str, ...]
    score_percent: int
    known: dict[str, Any] | None


class Waiting(msgspec.Struct, frozen=True):
    """A row that waits for a decision: what it says, and whom it may be about."""

    line: int
    body: dict[str, Any]
    candidates: tuple[Candidate, ...]


class ImportStore:
    """Calls over one connection, which may be inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(
        self,
        *,
        kind: str,
        source: str,
        file_name: str,
        form: Form,
        header: Header,
        opening: Opening,
        by: str,
    ) -> tuple[int, str, bool]:
        """Begin an import or find the unfinished one of this file: number, state, whether new."""
        row = await self._connection.fetchrow(
            "SELECT import_id, state, is_new FROM register.import_begin"
            "($1, $2, $3, $4, $5, $6, $7, $8)",
            kind,
            source,
            file_name,
            form.sha256,
            msgspec.json.encode(form).decode(),
            msgspec.json.encode(header).decode(),
            msgspec.msgpack.encode(opening),
            by,
        )
        if row is None:
            raise AssertionError("an import is begun or found")
        return row["import_id"], row["state"], row["is_new"]

    async def load(self, import_id: int) -> Import | None:
        """Return an import; None when there is none of this number."""
        row = await self._connection.fetchrow(
            "SELECT * FROM register.import_overview WHERE import_id = $1", import_id
        )
        return None if row is None else _import_of(row)

    async def latest(self, limit: int) -> list[Import]:
        """Return the latest imports, the newest first."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.import_overview ORDER BY import_id DESC LIMIT $1", limit
        )
        return [_import_of(row) for row in rows]

    async def earlier(self, import_id: int) -> int | None:
        """Return the latest finished import of the same file and source before this one."""
        found: int | None = await self._connection.fetchval(
            "SELECT max(o.import_id) FROM register.import_overview AS o"
            " INNER JOIN register.import_overview AS n ON o.file_sha256 = n.file_sha256"
            " AND o.source = n.source AND o.kind = n.kind"
            " WHERE n.import_id = $1 AND o.import_id < $1 AND o.state = 'done'",
            import_id,
        )
        return found

    async def take(
        self,
        import_id: int,
        rows: Sequence[Staged],
        *,
        writes: bool,
        kept: Sequence[bytes | None],
        unread: Sequence[int],
        from_score: int,
    ) -> list[Problem]:
        """Take a chunk's sound rows, and note the unread ones; return those not taken."""
        found = await self._connection.fetch(
            "SELECT line, outcome, code, field, other_line FROM register.import_take"
            "($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            import_id,
            writes,
            [row.line for row in rows],
            [row.key for row in rows],
            [row.body for row in rows],
            [row.references for row in rows],
            kept,
            unread,
            from_score,
        )
        return [Problem(*row) for row in found]

    async def keep(self, import_id: int, rejects: Sequence[Reject]) -> None:
        """Keep rows that were not taken."""
        await self._connection.execute(
            "SELECT register.import_keep($1, $2, $3, $4)",
            import_id,
            [reject.line for reject in rejects],
            [reject.kept for reject in rejects],
            [msgspec.json.encode(reject.faults).decode() for reject in rejects],
        )

    async def end_chunk(
        self,
        import_id: int,
        chunk: int,
        lines: tuple[int, int],
        record_count: int,
        blank_count: int,
        *,
        is_written: bool,
    ) -> None:
        """Close a chunk; raises `UniqueViolationError` when another has closed it."""
        await self._connection.execute(
            "SELECT register.import_end_chunk($1, $2, $3, $4, $5, $6, $7)",
            import_id,
            chunk,
            *lines,
            record_count,
            blank_count,
            is_written,
        )

    async def recount(self, import_id: int, chunk: int, *, is_written: bool) -> None:
        """Count a chunk anew."""
        await self._connection.execute(
            "SELECT register.import_recount($1, $2, $3)", import_id, chunk, is_written
        )

    async def chunks(self, import_id: int) -> list[tuple[int, int, int, bool]]:
        """Return the chunks: number, first and last line, whether they are in the register."""
        rows = await self._connection.fetch(
            "SELECT chunk, first_line, last_line, is_written FROM register.import_progress"
            " WHERE import_id = $1 ORDER BY chunk",
            import_id,
        )
        return [(r["chunk"], r["first_line"], r["last_line"], r["is_written"]) for r in rows]

    async def unwritten(
        self, import_id: int, first_line: int, last_line: int
    ) -> list[tuple[Staged, bytes | None]]:
        """Return sound rows that are not in the register, with how they came."""
        rows = await self._connection.fetch(
            "SELECT line, key, body, named, kept FROM register.import_unwritten($1, $2, $3)",
            import_id,
            first_line,
            last_line,
        )
        return [(Staged(r["line"], r["key"], r["body"], r["named"]), r["kept"]) for r in rows]

    async def pass_rights_on(self, import_id: int) -> None:
        """Pass on the rights that rest on an import, and for whom it lets cards act."""
        await self._connection.execute("SELECT register.import_pass_rights_on($1)", import_id)

    async def finish(self, import_id: int) -> str:
        """Tell the database that all rows are taken; return the import's state."""
        state: str = await self._connection.fetchval("SELECT register.import_finish($1)", import_id)
        return state

    async def approve(self, import_id: int, by: str) -> bool:
        """Approve a proposed import; False when it is not proposed."""
        done: bool = await self._connection.fetchval(
            "SELECT register.import_approve($1, $2)", import_id, by
        )
        return done

    async def refuse(self, import_id: int, by: str, reason: str) -> bool:
        """Refuse a proposed import; False when it is not proposed."""
        done: bool = await self._connection.fetchval(
            "SELECT register.import_refuse($1, $2, $3)", import_id, by, reason
        )
        return done

    async def undo(self, import_id: int, by: str, reason: str) -> tuple[int | None, int | None]:
        """Take back all that an import wrote; return the change, or the request for one.

        Where rights rest on what it wrote, another person has to approve. Raises `RegisterError`.
        """
        with refused_in_words():
            row = await self._connection.fetchrow(
                "SELECT change_id, request_id FROM register.import_undo($1, $2, $3)",
                import_id,
                by,
                reason,
            )
        return (None, None) if row is None else (row["change_id"], row["request_id"])

    async def decide(
        self, import_id: int, line: int, decision: str, record_id: str | None, by: str, reason: str
    ) -> bool:
        """Keep a decision about a waiting row; False when it does not wait."""
        done: bool = await self._connection.fetchval(
            "SELECT register.import_decide($1, $2, $3, $4, $5, $6)",
            import_id,
            line,
            decision,
            record_id,
            by,
            reason,
        )
        return done

    async def forget_reject(self, import_id: int, line: int) -> None:
        """Take a row that came in after all off the list of those that did not."""
        await self._connection.execute(
            "SELECT register.import_forget_reject($1, $2)", import_id, line
        )

    async def mapping(self, source: str, kind: str) -> dict[str, str]:
        """Return the source's confirmed mapping: field by a column's plain name."""
        found = await self._connection.fetchval(
            "SELECT register.import_mapping_of($1, $2)", source, kind
        )
        return {} if found is None else msgspec.json.decode(found, type=dict[str, str])

    async def keep_mapping(self, source: str, kind: str, columns: dict[str, str], by: str) -> None:
        """Keep a confirmed mapping, adding to what is known of the source."""
        await self._connection.execute(
            "SELECT register.import_keep_mapping($1, $2, $3, $4)",
            source,
            kind,
            msgspec.json.encode(columns).decode(),
            by,
        )

    async def rejects(self, import_id: int) -> AsyncIterator[Reject]:
        """Give the rows that were not taken, in the file's order."""
        line = 0
        while True:
            rows = await self._connection.fetch(
                "SELECT line, kept, faults FROM register.import_rejects($1, $2, $3)",
                import_id,
                line,
                PAGE_ROWS,
            )
            for row in rows:
                yield Reject(row["line"], row["kept"], _FAULTS.decode(row["faults"]))
            if len(rows) < PAGE_ROWS:
                return
            line = rows[-1]["line"]

    async def waiting(
        self, import_id: int, after_line: int, limit: int, by: str, purpose: str
    ) -> list[Waiting]:
        """Return a page of rows that wait for a decision; whose records are shown is logged."""
        rows = await self._connection.fetch(
            "SELECT * FROM register.import_waiting($1, $2, $3, $4, $5)",
            import_id,
            after_line,
            limit,
            by,
            purpose,
        )
        bodies = {row["line"]: msgspec.json.decode(row["body"]) for row in rows}
        candidates: dict[int, list[Candidate]] = {line: [] for line in bodies}
        for row in rows:
            known = None if row["known"] is None else msgspec.json.decode(row["known"])
            candidates[row["line"]].append(
                Candidate(str(row["record_id"]), tuple(row["reasons"]), row["score"], known)
            )
        return [Waiting(line, body, tuple(candidates[line])) for line, body in bodies.items()]


def _import_of(row: Any) -> Import:
    return Import(
        import_id=row["import_id"],
        kind=row["kind"],
        source=row["source"],
        file_name=row["file_name"],
        file_sha256=row["file_sha256"],
        form=msgspec.json.decode(row["form"], type=Form),
        header=msgspec.json.decode(row["header"], type=Header),
        opening=msgspec.msgpack.decode(row["opening"], type=Opening),
        state=row["state"],
        started_by=row["started_by"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        decided_by=row["decided_by"],
        decision_reason=row["decision_reason"],
        change_id=row["change_id"],
        creates_rights=row["creates_rights"],
        chunks=row["chunks"],
        chunks_written=row["chunks_written"],
        record_count=row["record_count"],
        sums=Sums(
            rows=row["row_count"],
            created=row["created_count"],
            changed=row["changed_count"],
            unchanged=row["unchanged_count"],
            rejected=row["rejected_count"],
            waiting=row["waiting_count"],
            blank=row["blank_count"],
        ),
    )
