"""Life events → candidate measures → rights that come unasked, or applications that are offered.

Each event is looked at once, in one transaction with what came of it; a run that was stopped goes
on where it was. What is to be granted by itself is granted afterwards, one decision at a time, and
what a stopped run left open the next one finishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from processing.eligibility.applications import (
    Application,
    ApplicationError,
    Applications,
    Decision,
    Refusal,
    application_of,
)
from processing.eligibility.document import Granting, HolderWord, Proactive, Rule
from processing.eligibility.evaluating import evaluate
from processing.eligibility.facts import Answer
from processing.eligibility.store import EligibilityStore, Person, PublishedRule, Settings
from processing.kernel.database import Connection, DatabasePool

MADE_BY: Final = "spk eligibility run"
"""Who made an application that nobody asked for."""

EVENTS_AT_ONCE_MAX: Final = 100
"""Most life events that are looked at in one transaction."""

EVENT_AGE_MAX_DAYS: Final = 366
"""An event that happened earlier brings nothing by itself any more."""

APPLICATIONS_LISTED_MAX: Final = 1_000
"""Most applications of one page of a list."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A life event, whose it is, and who else lives in the household."""

    event_id: UUID
    event_version: int
    event: str
    happened_on: date
    citizen_id: UUID
    members: tuple[UUID, ...]


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did: how many events and people, what was made of them."""

    run_id: int
    events: int
    people: int
    granted: int
    awaiting_approval: int
    offered: int
    failed: tuple[str, ...] = ()


class Run:
    """One going over new life events on a day."""

    def __init__(
        self, pool: DatabasePool, day: date, by: str, explain: Callable[[Decision], str]
    ) -> None:
        self._pool = pool
        self._day = day
        self._by = by
        self._explain = explain

    async def over_new_events(self) -> RunReport:
        """Look at every new event; return what came of it. Again is harmless."""
        purpose = "беззаявительное назначение по жизненному событию"
        async with self._pool.connection() as connection:
            store = EligibilityStore(connection)
            rules = {
                measure: one
                for measure, one in (await store.rules_on(self._day)).items()
                if one.rule.proactive is not None
            }
            settings = await store.settings_on(self._day)
            run_id = await connection.fetchval(
                "SELECT eligibility.start_run($1, $2, $3)", self._day, purpose, self._by
            )
        events = people = offered = drafted = 0
        while True:
            seen, asked, made = await self._some(rules, settings, run_id, purpose)
            if not seen:
                break
            events, people = events + seen, people + asked
            offered += sum(one.state == "offered" for one in made)
            drafted += sum(one.state == "drafted" for one in made)
        granted, failed = await self._grant_automatic(rules)
        async with self._pool.connection() as connection:
            await connection.execute("SELECT eligibility.end_run($1, $2)", run_id, people)
        return RunReport(
            run_id=run_id,
            events=events,
            people=people,
            granted=granted,
            awaiting_approval=await self._awaiting(run_id),
            offered=offered,
            failed=tuple(failed),
        )

    async def _some(
        self,
        rules: Mapping[str, PublishedRule],
        settings: Settings,
        run_id: int,
        purpose: str,
    ) -> tuple[int, int, list[Application]]:
        """Look at the next events; return how many, how many people, what was made."""
        words = sorted({word for one in rules.values() for word in _proactive(one.rule).events})
        async with self._pool.transaction() as connection:
            store = EligibilityStore(connection)
            rows = await connection.fetch(
                "SELECT * FROM eligibility.new_events($1, $2, $3, $4)",
                words,
                self._day - timedelta(days=EVENT_AGE_MAX_DAYS),
                self._day,
                EVENTS_AT_ONCE_MAX,
            )
            events = [_event(row) for row in rows]
            if not events:
                return 0, 0, []
            asked = sorted({one for event in events for one in _concerned(event, rules)})
            people = await store.people(asked, self._day, self._by, purpose)
            consents = await self._consents(connection, asked)
            made = [
                msgspec.structs.replace(one, run_id=run_id)
                for event in events
                for one in made_of(event, rules, people, settings, consents)
            ]
            kept = set(await Applications(connection, self._day).keep(made, MADE_BY))
            await connection.execute(
                "SELECT eligibility.mark_seen($1, $2, $3)",
                run_id,
                [event.event_id for event in events],
                [event.event_version for event in events],
            )
        return len(events), len(people), [one for one in made if one.application_id in kept]

    async def _consents(
        self, connection: Connection, citizens: Sequence[UUID]
    ) -> set[tuple[UUID, str]]:
        rows = await connection.fetch(
            "SELECT * FROM eligibility.consenting($1, $2)", citizens, self._day
        )
        return {(row["citizen_id"], row["scope"]) for row in rows}

    async def _grant_automatic(self, rules: Mapping[str, PublishedRule]) -> tuple[int, list[str]]:
        """Grant what waits for nobody: whoever approved such a rule has decided."""
        granted, failed, after = 0, list[str](), None
        while rows := await self._drafted(None, after):
            for row in rows:
                after = row["application_id"]
                published = rules.get(row["measure"])
                if published and _proactive(published.rule).granting is Granting.AUTOMATIC:
                    against = await self.decide(after, published.approved_by)
                    granted += against is None
                    failed += [against] if against else []
        return granted, failed

    async def approve(self, run_id: int) -> RunReport:
        """Grant what a run left to a person, who is `by` of this run; raises `ApplicationError`."""
        async with self._pool.connection() as connection:
            against = await connection.fetchval(
                "SELECT eligibility.approve_run($1, $2)", run_id, self._by
            )
        if against is not None:
            raise ApplicationError(str(run_id), Refusal(against))
        granted, failed, after = 0, list[str](), None
        while rows := await self._drafted(run_id, after):
            for row in rows:
                after = row["application_id"]
                told = await self.decide(after, self._by)
                granted += told is None
                failed += [told] if told else []
        return RunReport(
            run_id=run_id,
            events=0,
            people=granted + len(failed),
            granted=granted,
            awaiting_approval=await self._awaiting(run_id),
            offered=0,
            failed=tuple(failed),
        )

    async def decide(self, application_id: UUID, by: str) -> str | None:
        """Decide one application in a transaction of its own; return what stood against it."""
        try:
            async with self._pool.transaction() as connection:
                steps = Applications(connection, self._day)
                decision = await steps.decide(application_id, by, self._explain)
        except ApplicationError as error:
            if error.refusal is Refusal.HELD_ALREADY:
                async with self._pool.transaction() as connection:
                    steps = Applications(connection, self._day)
                    await steps.withdraw(application_id, MADE_BY, error.text("ru"))
            return error.text("ru")
        return None if decision.number else f"{application_id}: {self._explain(decision)}"

    async def _drafted(self, run_id: int | None, after: UUID | None) -> list[asyncpg.Record]:
        async with self._pool.connection() as connection:
            # Only what comes unasked is ever drafted.
            return await connection.fetch(
                "SELECT * FROM eligibility.applications('{drafted}', NULL, $1, $2, $3)",
                run_id,
                after,
                APPLICATIONS_LISTED_MAX,
            )

    async def _awaiting(self, run_id: int) -> int:
        count, after = 0, None
        while rows := await self._drafted(run_id, after):
            count, after = count + len(rows), rows[-1]["application_id"]
        return count


def made_of(
    event: Event,
    rules: Mapping[str, PublishedRule],
    people: Mapping[UUID, Person],
    settings: Settings,
    consents: set[tuple[UUID, str]],
) -> Iterator[Application]:
    """Give the applications that an event brings to the people it concerns."""
    for published in rules.values():
        rule, proactive = published.rule, _proactive(published.rule)
        if event.event not in proactive.events:
            continue
        for citizen_id in _candidates(event, proactive):
            person = people.get(citizen_id)
            held = person.facts.measures or () if person else ()
            if person is None or rule.eligibility.measure in held:
                continue
            trace = evaluate(rule, person.facts, settings.of(person.region))
            if trace.answer is not Answer.NO:
                unasked = (
                    trace.answer is Answer.YES
                    and proactive.granting is not Granting.OFFER
                    and (citizen_id, proactive.consent) in consents
                )
                made = application_of(rule, person, trace, "drafted" if unasked else "offered")
                until = settings.day + timedelta(days=rule.eligibility.offer_days)
                yield msgspec.structs.replace(
                    made,
                    proactive=unasked,
                    event_id=event.event_id,
                    event_version=event.event_version,
                    answer_by=None if unasked else until,
                )


def _concerned(event: Event, rules: Mapping[str, PublishedRule]) -> Iterator[UUID]:
    for one in rules.values():
        if event.event in _proactive(one.rule).events:
            yield from _candidates(event, _proactive(one.rule))


def _candidates(event: Event, proactive: Proactive) -> tuple[UUID, ...]:
    if proactive.candidates is HolderWord.HOUSEHOLD:
        return (event.citizen_id, *event.members)
    return (event.citizen_id,)


def _proactive(rule: Rule) -> Proactive:
    assert rule.proactive is not None  # noqa: S101 - only such rules are looked at
    return rule.proactive


def _event(row: asyncpg.Record) -> Event:
    return Event(
        event_id=row["event_id"],
        event_version=row["event_version"],
        event=row["event"],
        happened_on=row["happened_on"],
        citizen_id=row["citizen_id"],
        members=tuple(row["members"]),
    )
