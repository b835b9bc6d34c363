"""Reads decisions as they were told, with the names of their codes, from every database."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from processing.kernel.target_pools import TargetPools
from processing.wire.explanation import (
    Audience,
    Explanation,
    ItemName,
    Names,
    RefusalText,
    ServiceName,
    explain,
)
from processing.wire.figures import Language
from processing.wire.outcome import Outcome
from processing.wire.transaction import Kind

EXPIRY_KIND: Final = 9
"""The kind of the event that ends a reservation: the centre's own, which no terminal sends."""

_TOLD: Final = """
    SELECT * FROM journal.told
    WHERE business_date = $1 AND terminal_id = $2 AND stan = $3
    ORDER BY message_class, assigned
"""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One decision under a terminal's number.

    `kind` is None for an expiry. `assigned` is above 0 where the centre gave an advice a number of
    its own.
    """

    kind: Kind | None
    message_class: int
    assigned: int
    advice: bool
    service: str
    service_version: int
    outcome: Outcome
    approval_code: str
    covered_kopecks: tuple[int, ...]
    paid_kopecks: tuple[int, ...]
    facts: dict[str, str]
    decided_at: datetime
    place: tuple[int, int, int]
    names: Names

    def explained(self, audience: Audience, language: Language) -> Explanation:
        """Return why it was decided so, for one reader."""
        return explain(
            self.outcome,
            self.facts,
            service=self.service,
            service_version=self.service_version,
            audience=audience,
            language=language,
            names=self.names,
        )


async def decisions_told(
    targets: TargetPools, business_date: date, terminal_id: str, stan: int
) -> list[Told]:
    """Return every decision under a number, of all databases; none where there is none.

    The pools act as spk_operator or spk_finance. Raises the errors of `DatabasePool`.
    """
    found: list[Told] = []
    for pool in targets.pools.values():
        async with pool.connection() as connection:
            rows = await connection.fetch(_TOLD, business_date, terminal_id, stan)
        found += map(_told, rows)
    return found


def _told(row: asyncpg.Record) -> Told:
    return Told(
        kind=None if row["kind"] == EXPIRY_KIND else Kind(row["kind"]),
        message_class=row["message_class"],
        assigned=row["assigned"],
        advice=row["advice"],
        service=row["service"],
        service_version=row["service_version"],
        outcome=Outcome(row["outcome"]),
        approval_code=row["approval_code"],
        covered_kopecks=tuple(row["covered_kopecks"] or ()),
        paid_kopecks=tuple(row["paid_kopecks"] or ()),
        facts=msgspec.json.decode(row["facts"] or "{}", type=dict[str, str]),
        decided_at=row["decided_at"],
        place=(row["lane"], row["block"], row["ordinal"]),
        names=_names(row),
    )


def _names(row: asyncpg.Record) -> Names:
    items, services = {}, {}
    if row["item"] is not None:
        items[row["item"]] = ItemName(
            row["item_ru"], row["item_en"], row["unit_okei"], row["scale"]
        )
    if row["service_ru"] is not None:
        services[row["service"]] = ServiceName(
            row["service_ru"], row["service_en"], row["consumes"]
        )
    zone: tzinfo = UTC if row["time_zone"] is None else ZoneInfo(row["time_zone"])
    refusals = {}
    if row["refusal_ru"] is not None:
        refusals[row["service"], Outcome(row["outcome"])] = RefusalText(
            row["refusal_ru"], row["refusal_en"], row["remedy_ru"], row["remedy_en"]
        )
    return Names(items, services, zone, refusals)
