"""Regulations in the database: calls of sql/functions/regulations, as the role spk_owner."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, cast

import asyncpg
import msgspec

from processing.regulations.compiling import Rows
from processing.regulations.directory import Directory, ItemEntry
from processing.regulations.document import (
    CODES,
    Case,
    CaseLine,
    Consumes,
    EvidenceWord,
    Regulation,
)
from processing.wire.figures import KOPECK_SCALE, ROUBLE_OKEI

_DAY: Final = timedelta(days=1)


class CaseOutcome(msgspec.Struct, frozen=True):
    """What the engine answered to a test case: the outcome's number, amounts, what is left."""

    outcome: int
    covered_kopecks: tuple[int, ...]
    remaining: tuple[int, ...]


class RegulationStore:
    """What regulations read and write, on one connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def directory(self) -> Directory:
        """Return the codes a regulation may refer to."""
        (row,) = await self._connection.fetch("SELECT * FROM regulations.directory()")
        items = msgspec.json.decode(row["items"] or "{}", type=dict[str, ItemEntry])
        return Directory(
            measures=msgspec.json.decode(row["measures"] or "{}", type=dict[str, str]),
            opened=msgspec.json.decode(row["opened"] or "{}", type=dict[str, frozenset[str]]),
            items=items,
            provider_kinds=frozenset(row["provider_kinds"]),
        )

    async def put_version(self, rows: Rows) -> None:
        """Put a version's rows in place of what stood under its number."""
        await self._connection.execute("SELECT regulations.put_version($1)", rows.values)

    async def document(self, service: str, version: int) -> bytes | None:
        """Return the text of a version that was proposed or approved, None if there is none."""
        body = await self._connection.fetchval(
            "SELECT d.body FROM regulations.document AS d WHERE d.service = $1 AND d.version = $2",
            service,
            version,
        )
        return cast("bytes | None", body)

    async def propose(self, regulation: Regulation, body: bytes, by: str) -> str | None:
        """Keep a draft; return what stands against it."""
        head = regulation.regulation
        against = await self._connection.fetchval(
            "SELECT regulations.propose($1, $2, $3, $4, $5, now())",
            head.service,
            head.version,
            body,
            head.valid_from,
            by,
        )
        return cast("str | None", against)

    async def approve(self, rows: Rows, body: bytes, by: str, today: date) -> str | None:
        """Put a draft in force, if it is still the text `body`; return what stands against it."""
        against = await self._connection.fetchval(
            "SELECT regulations.approve($1, $2, $3, now(), $4)",
            rows.values,
            hashlib.sha256(body).digest(),
            by,
            today,
        )
        return cast("str | None", against)

    async def try_case(
        self, regulation: Regulation, case: Case, directory: Directory
    ) -> CaseOutcome:
        """Ring up a test case under the version whose rows are in the database; writes."""
        head, transaction = regulation.regulation, regulation.transaction
        evidence: EvidenceWord = case.evidence or transaction.evidence
        day = case.day or head.valid_from
        (row,) = await self._connection.fetch(
            "SELECT * FROM regulations.try_case($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            head.service,
            head.version,
            CODES[evidence],
            day,
            _right_rows(regulation, case, directory),
            [
                (one.fact.value, one.of_this_provider, day - _DAY * one.ended_days)
                for one in case.facts
            ],
            _line_rows(1, case.lines, directory),
            case.minutes,
            _line_rows(2, case.finish_lines or case.lines, directory),
        )
        return CaseOutcome(
            row["outcome"], tuple(row["covered_kopecks"] or ()), tuple(row["remaining"])
        )


def _right_rows(
    regulation: Regulation, case: Case, directory: Directory
) -> Sequence[tuple[object, ...]]:
    consumes = regulation.transaction.consumes
    units = {entry.item_class: (entry.unit_okei, entry.scale) for entry in directory.items.values()}
    money = (ROUBLE_OKEI, KOPECK_SCALE)
    return [
        (
            right.measure,
            right.item_class,
            *(money if consumes is Consumes.KOPECKS else units[right.item_class]),
            granted,
            right.used,
            CODES[period],
            right.priority,
            right.category or _usual_category(directory, right.measure),
            right.item,
            right.course_days,
            right.running_days,
        )
        for right in case.rights
        for granted, period in [regulation.granted(case, right)]
    ]


def _usual_category(directory: Directory, measure: str) -> str:
    """Return the category of a case's right that names none: the first that opens its measure."""
    return min(directory.opened.get(measure, ("TRIAL",)))


def _line_rows(
    ordinal: int, lines: Sequence[CaseLine], directory: Directory
) -> Sequence[tuple[object, ...]]:
    return [
        (
            ordinal,
            number,
            line.item,
            line.quantity,
            directory.items[line.item].unit_okei,
            directory.items[line.item].scale,
            line.gross_kopecks,
        )
        for number, line in enumerate(lines, 1)
    ]
