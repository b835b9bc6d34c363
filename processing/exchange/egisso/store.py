"""Files of ЕГИССО in the database: calls of sql/functions/exchange, as `spk_exchange`.

Facts are gathered from every database, compared and numbered at home in one transaction, and
rendered a package at a time; nothing is held in memory but one package.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec

from processing.exchange.dci.store import moment
from processing.exchange.egisso.catalogue import Catalogue
from processing.exchange.egisso.facts import (
    RECORDS_PER_PACKAGE_MAX,
    FactRecord,
    RecordKind,
    package_of,
)
from processing.kernel.database import Connection, DatabasePool, SessionLimits
from processing.kernel.target_pools import TargetPools

ROWS_PER_TRIP_MAX: Final = 5_000
"""Most rows carried from one database to another at a time."""

EXPORT_LIMITS: Final = SessionLimits(
    connections_max=4,
    acquire_timeout_ms=10_000,
    statement_timeout_ms=3_600_000,
    command_timeout_ms=3_610_000,
)
"""A month of a million facts is compared in one statement: it may take its time."""

EXPORTS_LISTED_MAX: Final = 200
"""Most exports that one list shows."""

_COLUMNS: Final = (
    "period", "basis", "entitlement_id", "holder_id", "measure", "category", "unit_okei", "scale",
    "quantity", "covered_kopecks", "decided_on", "valid_from", "valid_to",
)  # fmt: skip
_GATHER: Final = {
    "provided": "SELECT $1::date, 'provided', p.* FROM exchange.provided($1, $2) AS p",
    "assigned": "SELECT $1::date, 'assigned', a.* FROM exchange.assigned($1, $2, $3) AS a",
}
_ASSIGNED: Final = (
    "SELECT array_agg(m.measure) FROM exchange.egisso_measure AS m WHERE m.basis = 'assigned'"
)
# A transaction here waits while another database counts what its journal holds.
_PATIENT: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
_CLEAR: Final = "DELETE FROM exchange.egisso_gathered WHERE period = $1"
_DRAW: Final = "SELECT exchange.draw_facts($1, $2, $3, TRUE)"
_EXPORT: Final = "SELECT * FROM exchange.egisso_export WHERE export_id = $1"
_EXPORTS: Final = """
    SELECT e.*, (
        SELECT count(*) FROM exchange.egisso_package AS p WHERE p.export_id = e.export_id
    ) AS package_count
    FROM exchange.egisso_export AS e
    ORDER BY e.export_id DESC
    LIMIT $1
"""
_HELD: Final = """
    SELECT h.reason, h.measure, h.category, count(*) AS held_count
    FROM exchange.egisso_held AS h
    WHERE h.export_id = $1
    GROUP BY h.reason, h.measure, h.category
    ORDER BY h.reason, h.measure, h.category
"""
_RECORDS: Final = "SELECT * FROM exchange.package_records($1, $2, $3)"
_PACKAGE: Final = """
    SELECT content, content_sha256 FROM exchange.egisso_package
    WHERE export_id = $1 AND number = $2
"""
_KEEP_PACKAGE: Final = """
    INSERT INTO exchange.egisso_package (export_id, number, package_id, content_sha256, content)
    VALUES ($1, $2, $3, $4, $5)
"""
_PROPOSE: Final = """
    INSERT INTO exchange.catalogue (package_id, body, body_sha256, proposed_by, proposed_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (package_id) DO NOTHING
    RETURNING catalogue_id
"""
_DRAFT: Final = "SELECT * FROM exchange.catalogue WHERE catalogue_id = $1"
_APPROVE: Final = "SELECT exchange.approve_catalogue($1, $2, $3, $4, $5, $6)"
_MEASURES: Final = """
    SELECT l.lmsz_id, l.body FROM exchange.lmsz AS l
    WHERE l.removed_by IS NULL
    ORDER BY l.title, l.lmsz_id
"""
_LINK: Final = """
    SELECT exchange.link_measure(
        ROW($1, $2, $3, $4, $5, $6, $7)::exchange.egisso_measure, $8, $9
    )
"""
_LINKS: Final = """
    SELECT m.*, l.title, l.form, (
        SELECT count(*) FROM exchange.egisso_category AS k WHERE k.measure = m.measure
    ) AS category_count
    FROM exchange.egisso_measure AS m
    INNER JOIN exchange.lmsz AS l ON m.lmsz_id = l.lmsz_id
    ORDER BY m.measure
"""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What a measure of ours is in ЕГИССО; `categories` gives the category id there for ours."""

    measure: str
    lmsz_id: UUID
    osz_code: str
    basis: str
    okei: str | None
    monetization: bool
    linked_by: str
    categories: Mapping[str, UUID]


class EgissoStore:
    """What was told, what is to be told, and the catalogue it is told by."""

    def __init__(self, pools: TargetPools) -> None:
        self._pools = pools
        self._home: DatabasePool = pools.home

    async def draw(self, first: date, last: date, by: str, now_ms: int) -> int:
        """Gather a month from every database and put down what is to be told of it; its number.

        Everything or nothing: a database that is away raises, and the month stays as it was.
        """
        async with self._home.transaction() as home:
            await home.execute(_PATIENT)
            await home.execute(_CLEAR, first)
            measures = await home.fetchval(_ASSIGNED)
            for pool in self._pools.pools.values():
                for basis, query in _GATHER.items():
                    values = (first, last) if basis == "provided" else (first, last, measures or [])
                    async with pool.transaction() as source:
                        await _carry(source, home, query, values)
            return int(await home.fetchval(_DRAW, first, by, moment(now_ms)))

    async def packages(self, export_id: int) -> AsyncIterator[tuple[int, bytes]]:
        """Give the files of an export by number; made when they are asked for first, then kept."""
        export = await self.export(export_id)
        count = 0 if export is None else export["record_count"]
        for number in range(1, -(-count // RECORDS_PER_PACKAGE_MAX) + 1):
            async with self._home.transaction() as connection:
                yield number, await _package(connection, export_id, number)

    async def export(self, export_id: int) -> asyncpg.Record | None:
        """Return an export; None when there is none with this number."""
        async with self._home.connection() as connection:
            return await connection.fetchrow(_EXPORT, export_id)

    async def exports(self) -> list[asyncpg.Record]:
        """Return the exports, the newest first."""
        async with self._home.connection() as connection:
            return await connection.fetch(_EXPORTS, EXPORTS_LISTED_MAX)

    async def held(self, export_id: int) -> list[asyncpg.Record]:
        """Return what an export could not tell, by reason, measure and category."""
        async with self._home.connection() as connection:
            return await connection.fetch(_HELD, export_id)

    async def propose(self, catalogue: Catalogue, body: bytes, by: str, now_ms: int) -> int | None:
        """Keep a catalogue for a second person; its number, None: this package is here already."""
        async with self._home.connection() as connection:
            number: int | None = await connection.fetchval(
                _PROPOSE,
                catalogue.package_id,
                body,
                hashlib.sha256(body).digest(),
                by,
                moment(now_ms),
            )
        return number

    async def draft(self, catalogue_id: int) -> asyncpg.Record | None:
        """Return a proposed catalogue; None when there is none with this number."""
        async with self._home.connection() as connection:
            return await connection.fetchrow(_DRAFT, catalogue_id)

    async def approve(
        self, catalogue_id: int, catalogue: Catalogue, body: bytes, by: str, now_ms: int
    ) -> str | None:
        """Put a catalogue in force; what stands against it, or None."""
        async with self._home.transaction() as connection:
            refused: str | None = await connection.fetchval(
                _APPROVE,
                catalogue_id,
                hashlib.sha256(body).digest(),
                by,
                moment(now_ms),
                msgspec.json.encode(catalogue.measures).decode(),
                list(catalogue.removed),
            )
        return refused

    async def measures(self) -> dict[UUID, dict[str, Any]]:
        """Return the local measures in force, by id, in the order of their titles."""
        async with self._home.connection() as connection:
            rows = await connection.fetch(_MEASURES)
        return {row["lmsz_id"]: msgspec.json.decode(row["body"]) for row in rows}

    async def link(self, link: Link) -> str | None:
        """Say what a measure of ours is there; what stands against it, or None."""
        async with self._home.transaction() as connection:
            refused: str | None = await connection.fetchval(
                _LINK,
                link.measure,
                link.lmsz_id,
                link.osz_code,
                link.basis,
                link.okei,
                link.monetization,
                link.linked_by,
                list(link.categories),
                list(link.categories.values()),
            )
        return refused

    async def links(self) -> list[asyncpg.Record]:
        """Return what our measures are there."""
        async with self._home.connection() as connection:
            return await connection.fetch(_LINKS)


async def _carry(
    source: Connection, home: Connection, query: str, values: Sequence[object]
) -> None:
    """Copy the rows of a query into what is gathered, a trip at a time."""
    rows: list[tuple[object, ...]] = []
    async for row in source.cursor(query, *values, prefetch=ROWS_PER_TRIP_MAX):
        rows.append(tuple(row))
        if len(rows) == ROWS_PER_TRIP_MAX:
            await _copy(home, rows)
            rows.clear()
    await _copy(home, rows)


async def _copy(home: Connection, rows: list[tuple[object, ...]]) -> None:
    await home.copy_records_to_table(
        "egisso_gathered", schema_name="exchange", columns=_COLUMNS, records=rows
    )


async def _package(connection: Connection, export_id: int, number: int) -> bytes:
    kept = await connection.fetchrow(_PACKAGE, export_id, number)
    if kept is not None:
        content = zlib.decompress(kept["content"])
        if hashlib.sha256(content).digest() != kept["content_sha256"]:
            raise ValueError(f"file {number} of export {export_id} is not what was sent")
        return content
    last = number * RECORDS_PER_PACKAGE_MAX
    rows = await connection.fetch(_RECORDS, export_id, last - RECORDS_PER_PACKAGE_MAX + 1, last)
    package_id = uuid4()
    records = (FactRecord(**{**row, "kind": RecordKind(row["kind"])}) for row in rows)
    content = package_of(package_id, records)
    await connection.execute(
        _KEEP_PACKAGE,
        export_id,
        number,
        package_id,
        hashlib.sha256(content).digest(),
        zlib.compress(content, 1),
    )
    return content
