"""What rows amount to, added up while they stream by: from the database and from a file alike.

Two streams with the same figures hold the same rows in the same order: `rows_sha256` is over every
value. The sums and the Merkle roots say the same in terms that an auditor can check otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from processing.journal.archive_tables import EVENT, ArchiveTable, Kind
from processing.wire.merkle import leaf_hash, tree_root
from processing.wire.outcome import Outcome
from processing.wire.receipt import decision_bytes
from processing.wire.transaction import DecidedLine, Decision

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DECISION_COLUMNS: Final = (
    "request_digest",
    "outcome",
    "approval_code",
    "posting_date",
    "decided_at",
    "lane",
    "block",
    "ordinal",
    "covered_kopecks",
    "paid_kopecks",
)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a table's rows of a month amount to.

    `sums` and the bounds are by column name. Of events, `roots_sha256` is SHA-256 over each
    block's Merkle root in order of lane and block, taken over the decisions that lie in the month;
    of other tables it is that of nothing.
    """

    row_count: int
    sums: dict[str, int]
    least: dict[str, date]
    greatest: dict[str, date]
    block_count: int
    roots_sha256: str
    rows_sha256: str

    def differences(self, other: Figures) -> list[str]:
        """Return the names of the figures in which the two differ."""
        return [
            name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)
        ]


class Tally:
    """Adds rows up; events must come by lane, block and ordinal."""

    def __init__(self, table: ArchiveTable) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._rows = hashlib.sha256()
        self._row_count = 0
        self._summed = [(name, *_place(table, name)) for name in table.summed]
        self._ranged = [(name, table.position(name)) for name in table.ranged]
        self._sums = dict.fromkeys(table.summed, 0)
        self._least: dict[str, date] = {}
        self._greatest: dict[str, date] = {}
        self._roots = _Roots() if table is EVENT else None

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows, in the order of the table."""
        for row in rows:
            self._rows.update(self._encoder.encode(row))
            self._row_count += 1
            for name, position, is_list in self._summed:
                value = row[position]
                self._sums[name] += sum(value or ()) if is_list else value
            for name, position in self._ranged:
                value = row[position]
                if name not in self._least or value < self._least[name]:
                    self._least[name] = value
                if name not in self._greatest or value > self._greatest[name]:
                    self._greatest[name] = value
            if self._roots is not None:
                self._roots.add(row)

    def figures(self) -> Figures:
        """Return what was added up; nothing can be added after it."""
        roots = self._roots or _Roots()
        roots.end_block()
        return Figures(
            row_count=self._row_count,
            sums=self._sums,
            least=self._least,
            greatest=self._greatest,
            block_count=roots.block_count,
            roots_sha256=roots.digest.hexdigest(),
            rows_sha256=self._rows.hexdigest(),
        )


class _Roots:
    """The Merkle roots of blocks whose decisions come one after the other."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.block_count = 0
        self._positions = [EVENT.position(name) for name in _DECISION_COLUMNS]
        self._place: tuple[int, int] | None = None
        self._leaves: list[bytes] = []

    def add(self, row: tuple[Any, ...]) -> None:
        decision = _decision(*(row[position] for position in self._positions))
        place = (decision.lane, decision.block)
        if place != self._place:
            self.end_block()
            self._place = place
        self._leaves.append(leaf_hash(decision_bytes(decision)))

    def end_block(self) -> None:
        if self._leaves:
            self.digest.update(tree_root(self._leaves))
            self.block_count += 1
            self._leaves.clear()


def _place(table: ArchiveTable, name: str) -> tuple[int, bool]:
    return table.position(name), table.column(name).kind is Kind.BIGINT_LIST


def _decision(
    request_digest: bytes,
    outcome: int,
    approval_code: str,
    posting_date: date,
    decided_at: datetime,
    lane: int,
    block: int,
    ordinal: int,
    covered_kopecks: list[int] | None,
    paid_kopecks: list[int] | None,
) -> Decision:
    amounts = zip(covered_kopecks or (), paid_kopecks or (), strict=True)
    return Decision(
        request_digest=request_digest,
        outcome=Outcome(outcome),
        approval_code=approval_code,
        posting_date=posting_date,
        decided_at_ms=(decided_at - _EPOCH) // _MILLISECOND,
        lane=lane,
        block=block,
        ordinal=ordinal,
        lines=tuple(DecidedLine(covered, paid) for covered, paid in amounts),
    )
