"""Eligibility in the database: calls of sql/functions/eligibility, as the role spk_register."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, cast
from uuid import UUID

import asyncpg
import msgspec

from processing.eligibility.columns import facts_of
from processing.eligibility.directory import ClassUnit, Directory
from processing.eligibility.document import Rule, read_rule
from processing.eligibility.facts import Facts, Setting
from processing.eligibility.why import Record
from processing.kernel.database import Connection
from processing.register.kinds.family import LIFE_EVENT
from processing.register.records import RECORD_KINDS

PEOPLE_AT_ONCE_MAX: Final = 1_000
"""Most people whose facts are asked for in one call."""

_RECORD_FACTS: Final = (
    "service_plan",
    "rehabilitation_plan",
    "prescription",
    "certificate",
    "policy",
    "school_meals",
)
"""The kinds of records that the fact "record" tells of."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with the facts of a day."""

    citizen_id: UUID
    household_id: UUID | None
    region: int
    facts: Facts


class PublishedRule(msgspec.Struct, frozen=True):
    """A rule in force, and who approved it."""

    rule: Rule
    approved_by: str


class EligibilityStore:
    """What eligibility reads and writes, on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def directory(self) -> Directory:
        """Return the codes that a rule may refer to."""
        (row,) = await self._connection.fetch("SELECT * FROM eligibility.directory()")
        names = dict[str, tuple[str, str]]
        events = LIFE_EVENT.field("event").choices
        return Directory(
            measures=msgspec.json.decode(row["measures"] or "{}", type=names),
            categories=msgspec.json.decode(row["categories"] or "{}", type=names),
            parameters=msgspec.json.decode(row["parameters"] or "{}", type=names),
            item_classes=msgspec.json.decode(
                row["item_classes"] or "{}", type=dict[str, ClassUnit]
            ),
            events={str(choice.value): (choice.ru, choice.en) for choice in events},
            records={
                kind.kind: (kind.ru, kind.en) for kind in RECORD_KINDS if kind.kind in _RECORD_FACTS
            },
        )

    async def propose(self, rule: Rule, body: bytes, by: str) -> str | None:
        """Keep a draft; return what stands against it."""
        head = rule.eligibility
        against = await self._connection.fetchval(
            "SELECT eligibility.propose($1, $2, $3, $4, $5, $6)",
            head.measure,
            head.version,
            body,
            head.valid_from,
            head.valid_to,
            by,
        )
        return cast("str | None", against)

    async def approve(self, rule: Rule, body: bytes, by: str, today: date) -> str | None:
        """Put a draft in force, if it is still the text `body`; return what stands against it."""
        against = await self._connection.fetchval(
            "SELECT eligibility.approve($1, $2, $3, $4, $5)",
            rule.eligibility.measure,
            rule.eligibility.version,
            hashlib.sha256(body).digest(),
            by,
            today,
        )
        return cast("str | None", against)

    async def document(self, measure: str, version: int) -> bytes | None:
        """Return the text of a version that was proposed or approved, None if there is none."""
        body = await self._connection.fetchval(
            "SELECT d.body FROM eligibility.document_of($1, $2) AS d", measure, version
        )
        return cast("bytes | None", body)

    async def rules_on(self, day: date) -> dict[str, PublishedRule]:
        """Return the rules in force on a day, by measure."""
        rows = await self._connection.fetch("SELECT * FROM eligibility.rules_on($1)", day)
        return {row["measure"]: _published(row) for row in rows}

    async def rule_on(self, measure: str, day: date) -> PublishedRule | None:
        """Return the rule of a measure in force on a day, None if there is none."""
        rows = await self._connection.fetch(
            "SELECT * FROM eligibility.rules_on($1) WHERE measure = $2", day, measure
        )
        return next((_published(row) for row in rows), None)

    async def settings_on(self, day: date) -> Settings:
        """Return what each region compares with on a day."""
        amounts: dict[int, dict[str, int]] = {}
        for row in await self._connection.fetch("SELECT * FROM eligibility.amounts_on($1)", day):
            amounts.setdefault(row["region"], {})[row["parameter"]] = row["amount_kopecks"]
        return Settings(day, amounts)

    async def set_amount(
        self, region: int, parameter: str, valid_from: date, kopecks: int, basis: str, by: str
    ) -> bool:
        """Set an amount from a day on; return whether it is new there."""
        new = await self._connection.fetchval(
            "SELECT eligibility.set_amount($1, $2, $3, $4, $5, $6)",
            region,
            parameter,
            valid_from,
            kopecks,
            basis,
            by,
        )
        return bool(new)

    async def citizen_of(self, reference: str) -> UUID | None:
        """Return whose СНИЛС (eleven digits) or id this is; None: nobody's."""
        found = await self._connection.fetchval("SELECT eligibility.citizen_of($1)", reference)
        return cast("UUID | None", found)

    async def people(
        self, citizens: Sequence[UUID], day: date, by: str, purpose: str
    ) -> dict[UUID, Person]:
        """Return the living of these people with their facts; each is noted as read by `by`."""
        rows = await self._connection.fetch(
            "SELECT * FROM eligibility.people($1, $2, $3, $4)", citizens, day, by, purpose
        )
        return {row["citizen_id"]: _person(row) for row in rows}

    async def sources(self, citizen_id: UUID, day: date, by: str) -> list[Record]:
        """Return the records behind the facts that `by` read a moment ago."""
        rows = await self._connection.fetch(
            "SELECT * FROM eligibility.sources($1, $2, $3)", citizen_id, day, by
        )
        return [
            Record(row["field"], row["kind"], str(row["record_id"]), row["version"]) for row in rows
        ]


class Settings(msgspec.Struct, frozen=True):
    """The day of a question and the amounts of each region on it."""

    day: date
    amounts_kopecks: Mapping[int, Mapping[str, int]]

    def of(self, region: int) -> Setting:
        """Return the setting of somebody from a region; one without amounts has none."""
        return Setting(day=self.day, amounts_kopecks=self.amounts_kopecks.get(region, {}))


def _published(row: asyncpg.Record) -> PublishedRule:
    title = f"{row['measure']} v{row['version']}"
    return PublishedRule(read_rule(row["body"], title), row["approved_by"])


def _person(row: asyncpg.Record) -> Person:
    return Person(
        citizen_id=row["citizen_id"],
        household_id=row["household_id"],
        region=row["region"],
        facts=facts_of(row),
    )
