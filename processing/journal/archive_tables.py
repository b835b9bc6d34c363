"""What an archived month consists of: tables, their columns and the order of their rows.

Format 1. `event` is ordered by place in the journal, so that a block's decisions stand together
and its Merkle root can be computed while reading; `line` by key; `block` by number. `block` holds
every block that has a decision of the month, and stays in the database too.

`journal.child` is not archived: its rows number what happened to a transaction, so that two at
once cannot both be the first; what they say stands in the children's own events.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

FORMAT: Final = 1


class Kind(Enum):
    """A column's type, the same in PostgreSQL and in Parquet."""

    BOOLEAN = auto()
    SMALLINT = auto()
    INTEGER = auto()
    BIGINT = auto()
    BIGINT_LIST = auto()
    TEXT = auto()
    JSON_TEXT = auto()
    BYTES = auto()
    UUID = auto()
    DATE = auto()
    UTC_MICROSECONDS = auto()


class Column(msgspec.Struct, frozen=True):
    """A column; `nullable` as in the database."""

    name: str
    kind: Kind
    nullable: bool = False


class ArchiveTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of an archived month.

    `source` is the SQL it is read from, with {suffix} for the month; `summed` are columns whose
    sums are checked, `ranged` those whose least and greatest value stand in the file.
    """

    name: str
    columns: tuple[Column, ...]
    source: str
    order: str
    summed: tuple[str, ...] = ()
    ranged: tuple[str, ...] = ()

    def select(self, suffix: str) -> str:
        """Return the query for the rows of a month, UUIDs as 16 bytes."""
        columns = ", ".join(
            f"uuid_send(t.{column.name}) AS {column.name}"
            if column.kind is Kind.UUID
            else f"t.{column.name}"
            for column in self.columns
        )
        # The suffix is a Month's.
        return f"SELECT {columns} FROM {self._from(suffix)} AS t ORDER BY {self.order}"  # noqa: S608

    def select_sums(self, suffix: str) -> str:
        """Return the query for the number of rows and the sums of a month."""
        sums = "".join(f", {self._sum(name)} AS {name}" for name in self.summed)
        return f"SELECT count(*) AS row_count{sums} FROM {self._from(suffix)} AS t"  # noqa: S608

    def _from(self, suffix: str) -> str:
        return self.source.format(suffix=suffix)

    def _sum(self, name: str) -> str:
        if self.column(name).kind is Kind.BIGINT_LIST:
            return f"coalesce(sum((SELECT sum(n) FROM unnest(t.{name}) AS n)), 0)"  # noqa: S608
        return f"coalesce(sum(t.{name}), 0)"

    def column(self, name: str) -> Column:
        """Return the column called `name`."""
        return self.columns[self.position(name)]

    def position(self, name: str) -> int:
        """Return where the column stands, from 0."""
        return [column.name for column in self.columns].index(name)


_KEY: Final = (
    Column("bucket", Kind.SMALLINT),
    Column("business_date", Kind.DATE),
    Column("terminal_id", Kind.TEXT),
    Column("stan", Kind.INTEGER),
    Column("message_class", Kind.SMALLINT),
    Column("assigned", Kind.SMALLINT),
)

EVENT: Final = ArchiveTable(
    name="event",
    columns=(
        *_KEY,
        Column("lane", Kind.SMALLINT),
        Column("block", Kind.BIGINT),
        Column("ordinal", Kind.SMALLINT),
        Column("kind", Kind.SMALLINT),
        Column("advice", Kind.BOOLEAN),
        Column("evidence", Kind.SMALLINT),
        Column("card_id", Kind.UUID),
        Column("holder_id", Kind.UUID),
        Column("service", Kind.TEXT),
        Column("service_version", Kind.INTEGER),
        Column("parent_business_date", Kind.DATE, nullable=True),
        Column("parent_terminal_id", Kind.TEXT, nullable=True),
        Column("parent_stan", Kind.INTEGER, nullable=True),
        Column("parent_message_class", Kind.SMALLINT, nullable=True),
        Column("signed_at", Kind.UTC_MICROSECONDS),
        Column("local_date", Kind.DATE),
        Column("posting_date", Kind.DATE),
        Column("decided_at", Kind.UTC_MICROSECONDS),
        Column("request_digest", Kind.BYTES),
        Column("request", Kind.BYTES),
        Column("signature", Kind.BYTES),
        Column("outcome", Kind.SMALLINT),
        Column("approval_code", Kind.TEXT),
        Column("covered_kopecks", Kind.BIGINT_LIST, nullable=True),
        Column("paid_kopecks", Kind.BIGINT_LIST, nullable=True),
        Column("facts", Kind.JSON_TEXT, nullable=True),
    ),
    source="journal.event_{suffix}",
    order="t.lane, t.block, t.ordinal",
    summed=("covered_kopecks", "paid_kopecks"),
    ranged=("business_date", "posting_date", "decided_at"),
)

LINE: Final = ArchiveTable(
    name="line",
    columns=(
        *_KEY,
        Column("line_no", Kind.SMALLINT),
        Column("part", Kind.SMALLINT),
        Column("item", Kind.TEXT),
        Column("quantity", Kind.BIGINT),
        Column("gross_kopecks", Kind.BIGINT),
        Column("covered_kopecks", Kind.BIGINT),
        Column("paid_kopecks", Kind.BIGINT),
        Column("allowance_id", Kind.UUID, nullable=True),
        Column("period_start", Kind.DATE, nullable=True),
        Column("debited", Kind.BIGINT),
        Column("excess", Kind.BIGINT),
        Column("entitlement_id", Kind.UUID, nullable=True),
        Column("measure", Kind.TEXT, nullable=True),
        Column("category", Kind.TEXT, nullable=True),
        Column("funding", Kind.TEXT, nullable=True),
        Column("tariff", Kind.TEXT, nullable=True),
    ),
    source="journal.line_{suffix}",
    order=(
        "t.business_date, t.terminal_id, t.stan, t.message_class, t.assigned, t.line_no, t.part"
    ),
    summed=("gross_kopecks", "covered_kopecks", "paid_kopecks", "debited", "excess"),
    ranged=("business_date",),
)

BLOCK: Final = ArchiveTable(
    name="block",
    columns=(
        Column("lane", Kind.SMALLINT),
        Column("block", Kind.BIGINT),
        Column("leaf_count", Kind.SMALLINT),
        Column("decided_at", Kind.UTC_MICROSECONDS),
    ),
    source=(
        "(SELECT b.* FROM (SELECT DISTINCT e.lane, e.block FROM journal.event_{suffix} AS e) AS d "
        "INNER JOIN journal.block AS b USING (lane, block))"
    ),
    order="t.lane, t.block",
    summed=("leaf_count",),
    ranged=("decided_at",),
)

TABLES: Final = (EVENT, LINE, BLOCK)
