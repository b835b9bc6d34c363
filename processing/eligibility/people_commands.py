"""Commands on people: why somebody may have a measure or not, and who all may."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

import cyclopts

from processing.eligibility.applications import ApplicationError, Applications, Decision, Refusal
from processing.eligibility.bulk import Count, count_answers, entitled, gathered
from processing.eligibility.directory import Directory
from processing.eligibility.document import Rule
from processing.eligibility.session import (
    local_today,
    reference_of,
    told,
    with_database,
)
from processing.eligibility.store import EligibilityStore
from processing.eligibility.why import Record, why
from processing.eligibility.wording import one_of
from processing.kernel.database import Connection
from processing.regulations.faults import Language
from processing.wire.explanation import Audience

LISTED_MAX: Final = 1_000_000
"""Most people that are written to one list."""

AudienceName = Literal["operator", "citizen", "cashier"]


def why_person(
    citizen: str,
    measure: str,
    *,
    by: str,
    purpose: str,
    audience: AudienceName = "operator",
    on: date | None = None,
    lang: Language = "ru",
) -> None:
    """Tell why somebody may have a measure, or not: each clause, its fact, what would change it.

    Args:
        citizen: СНИЛС or register id.
        measure: The measure, such as SCHOOL.MEAL.
        by: Who asks.
        purpose: What for; both are noted, and the citizen can see them.
        audience: For whose eyes; a cashier is told nothing.
        on: As of which day; by default today.
        lang: The language of the answer.
    """
    day = on or local_today()

    async def ask(connection: Connection) -> tuple[Decision, list[Record], Directory]:
        store = EligibilityStore(connection)
        citizen_id = await store.citizen_of(reference_of(citizen))
        if citizen_id is None:
            raise ApplicationError(citizen, Refusal.NO_SUCH_CITIZEN)
        found = await Applications(connection, day).assess(citizen_id, measure, by, purpose)
        return found, await store.sources(citizen_id, day, by), await store.directory()

    with told(lang):
        found, records, directory = with_database(ask)
    lines = why(
        found.rule,
        found.trace,
        found.person.facts,
        records,
        directory,
        lang,
        Audience(audience),
    )
    print(*lines, sep="\n")


def candidates(
    measure: str,
    *,
    by: str,
    purpose: str,
    on: date | None = None,
    listed: Annotated[Path | None, cyclopts.Parameter(name="--list")] = None,
    lang: Language = "ru",
) -> None:
    """Ask a rule of everybody: how many may have the measure, and where the others fail.

    Args:
        measure: The measure, such as SCHOOL.MEAL.
        by: Who asks.
        purpose: What for.
        on: As of which day; by default today.
        listed: A file for the register ids of those who may have it and do not.
        lang: The language of the answer.
    """
    day = on or local_today()

    async def ask(connection: Connection) -> tuple[Rule, dict[str, Count]]:
        store = EligibilityStore(connection)
        published = await store.rule_on(measure, day)
        if published is None:
            raise ApplicationError(measure, Refusal.NO_RULE)
        settings = await store.settings_on(day)
        async with gathered(connection, day, by, purpose):
            counts = await count_answers(connection, published.rule, settings)
            if listed is not None:
                found = await entitled(connection, published.rule, settings, LISTED_MAX)
                await connection.execute(
                    "SELECT eligibility.note_listed($1, $2, $3)", found, by, purpose
                )
                listed.write_text("".join(f"{one}\n" for one in found), encoding="utf-8")
        return published.rule, counts

    with told(lang):
        rule, counts = with_database(ask)
    _print_counts(rule, counts, lang)


def _print_counts(rule: Rule, counts: dict[str, Count], lang: Language) -> None:
    if not counts:
        print(one_of(lang, ("в регистре никого нет", "the register is empty")), file=sys.stderr)
        return
    total = counts[""]
    russian = f"людей {total.people}, положено {total.yes}, не положено {total.no}"
    english = f"{total.people} people, {total.yes} entitled, {total.no} not"
    said = (
        f"{russian}, не хватает сведений {total.unknown}",
        f"{english}, facts missing of {total.unknown}",
    )
    print(f"{rule.title}: {one_of(lang, said)}")
    for clause in rule.clauses:
        count = counts[clause.clause]
        text = one_of(lang, (clause.text_ru, clause.text_en))
        numbers = f"✓ {count.yes:>9}  ✗ {count.no:>9}  ? {count.unknown:>9}"
        print(f"{numbers}  {clause.clause}. {text}")
