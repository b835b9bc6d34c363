"""Applications: made, offered, submitted, decided by another person, refused with their trace.

A decision asks the rule again, with the facts of its own day: what was true when an offer was made
need not be true any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

import asyncpg
import msgspec

from processing.eligibility.document import HolderWord, Rule, read_rule
from processing.eligibility.evaluating import Trace, evaluate
from processing.eligibility.facts import Answer
from processing.eligibility.granting import rights_of
from processing.eligibility.store import EligibilityStore, Person
from processing.eligibility.stored_trace import restored, stored
from processing.kernel.database import Connection
from processing.kernel.errors import SpkError
from processing.kernel.ids import uuid7
from processing.regulations.faults import Language


class Refusal(StrEnum):
    """What stands against a step of an application."""

    NO_SUCH_APPLICATION = "no such application"
    NO_SUCH_CITIZEN = "no such citizen"
    NO_SUCH_RUN = "no such run"
    NO_RULE = "no rule"
    NOT_IN_THIS_STATE = "not in this state"
    NOT_ENTITLED = "not entitled"
    SAME_PERSON = "same person"
    HELD_ALREADY = "held already"
    OPEN_ALREADY = "open already"
    APPROVED_ALREADY = "approved already"
    FACTS_MISSING = "facts missing"
    CHOICE_MISSING = "choice missing"
    CHOICE_UNKNOWN = "choice unknown"
    NO_HOUSEHOLD = "no household"
    ENDS_BEFORE_IT_BEGINS = "ends before it begins"


_WORDS: Final[dict[Refusal, tuple[str, str]]] = {
    Refusal.NO_SUCH_APPLICATION: (
        "такого заявления нет; проверьте номер",
        "there is no such application; check its number",
    ),
    Refusal.NO_SUCH_CITIZEN: (
        "такого гражданина нет в регистре (или он умер); проверьте СНИЛС",
        "the register knows no such living citizen; check the СНИЛС",
    ),
    Refusal.NO_SUCH_RUN: ("такого прохода нет; проверьте номер", "there is no such run"),
    Refusal.NO_RULE: (
        "для этой меры нет действующего правила; утвердите его (spk eligibility approve)",
        "no rule is in force for this measure; approve one (spk eligibility approve)",
    ),
    Refusal.NOT_IN_THIS_STATE: (
        "в этом состоянии заявления так поступить нельзя (spk eligibility applications)",
        "the application's state does not allow it (spk eligibility applications)",
    ),
    Refusal.NOT_ENTITLED: ("мера не положена; посмотрите, почему", "not entitled; look why"),
    Refusal.SAME_PERSON: (
        "заявление внесли вы; решить по нему должен другой человек",
        "you made it; another person has to decide",
    ),
    Refusal.HELD_ALREADY: (
        "эта мера на это время уже назначена",
        "the measure is granted for this time already",
    ),
    Refusal.OPEN_ALREADY: (
        "заявление на эту меру уже есть и ещё не решено",
        "there is an application for this measure that is not decided yet",
    ),
    Refusal.APPROVED_ALREADY: (
        "проход уже утвердил другой человек",
        "another person approved the run already",
    ),
    Refusal.FACTS_MISSING: (
        "решить нельзя: не хватает сведений; посмотрите, каких (spk eligibility why)",
        "it cannot be decided: facts are missing; look which (spk eligibility why)",
    ),
    Refusal.CHOICE_MISSING: (
        "не на все вопросы есть ответ гражданина; добавьте --choice",
        "the citizen has not answered every question; add --choice",
    ),
    Refusal.CHOICE_UNKNOWN: (
        "такого вопроса или ответа в правиле нет; посмотрите его (spk eligibility explain)",
        "the rule has no such question or answer; look at it (spk eligibility explain)",
    ),
    Refusal.NO_HOUSEHOLD: (
        "право семьи, а состав семьи неизвестен; внесите его в регистр",
        "the right is a household's, and the household is unknown; enter it into the register",
    ),
    Refusal.ENDS_BEFORE_IT_BEGINS: (
        "право кончилось бы раньше, чем началось; посмотрите сроки",
        "the right would end before it begins; look at its term",
    ),
}


class ApplicationError(SpkError):
    """A step that cannot be taken; nothing was changed."""

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, refusal: Refusal) -> None:
        super().__init__(what, refusal)
        self.what = what
        self.refusal = refusal

    def text(self, language: Language) -> str:
        """Return what stands against it, and what to do."""
        russian, english = _WORDS[self.refusal]
        return f"{self.what}: {russian if language == 'ru' else english}"

    def __str__(self) -> str:
        return self.text("en")


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `eligibility.application` to be made."""

    application_id: UUID
    citizen_id: UUID
    household_id: UUID | None
    measure: str
    rule_version: int
    state: str
    proactive: bool
    event_id: UUID | None = None
    event_version: int | None = None
    run_id: int | None = None
    day: date
    answer: Answer
    trace: list[object]
    missing: tuple[str, ...]
    choices: Mapping[str, str] = {}
    answer_by: date | None = None
    decide_by: date | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an application: granted under a number, or refused by the trace."""

    rule: Rule
    person: Person
    trace: Trace
    number: str | None


def application_of(rule: Rule, person: Person, trace: Trace, state: str) -> Application:
    """Return an application as the rule's answer makes it."""
    household = person.household_id if rule.grant.holder is HolderWord.HOUSEHOLD else None
    return Application(
        application_id=uuid7(datetime.now(UTC)),
        citizen_id=person.citizen_id,
        household_id=household,
        measure=trace.measure,
        rule_version=trace.version,
        state=state,
        proactive=False,
        day=trace.day,
        answer=trace.answer,
        trace=[msgspec.to_builtins(one) for one in stored(trace)],
        missing=tuple(trace.missing),
    )


class Applications:
    """Steps of applications, on one connection and one day."""

    def __init__(self, connection: Connection, today: date) -> None:
        self._connection = connection
        self._store = EligibilityStore(connection)
        self._today = today

    async def assess(self, citizen_id: UUID, measure: str, by: str, purpose: str) -> Decision:
        """Return what the rule in force answers for a person today; `number` is None.

        Raises `ApplicationError`. The read is noted.
        """
        published = await self._store.rule_on(measure, self._today)
        if published is None:
            raise ApplicationError(measure, Refusal.NO_RULE)
        people = await self._store.people([citizen_id], self._today, by, purpose)
        if citizen_id not in people:
            raise ApplicationError(str(citizen_id), Refusal.NO_SUCH_CITIZEN)
        person = people[citizen_id]
        settings = await self._store.settings_on(self._today)
        trace = evaluate(published.rule, person.facts, settings.of(person.region))
        return Decision(rule=published.rule, person=person, trace=trace, number=None)

    async def kept(self, application_id: UUID, by: str, purpose: str) -> tuple[Rule, Trace]:
        """Return the trace that is kept with an application, and its rule; the read is noted."""
        rows = await self._connection.fetch(
            "SELECT * FROM eligibility.trace_of($1, $2, $3)", application_id, by, purpose
        )
        if not rows:
            raise ApplicationError(str(application_id), Refusal.NO_SUCH_APPLICATION)
        (row,) = rows
        rule = read_rule(row["body"], row["measure"])
        return rule, restored(rule, row["day"], Answer(row["answer"]), row["trace"])

    async def apply(
        self, citizen_id: UUID, measure: str, choices: Mapping[str, str], by: str
    ) -> Application:
        """Enter a citizen's own application, submitted at once; raises `ApplicationError`."""
        found = await self.assess(citizen_id, measure, by, f"заявление на меру {measure}")
        _require_choices(measure, found.rule, choices)
        made = msgspec.structs.replace(
            application_of(found.rule, found.person, found.trace, "submitted"),
            choices=dict(choices),
            decide_by=self._today + timedelta(days=found.rule.eligibility.decision_days),
        )
        if not await self.keep([made], by):
            raise ApplicationError(measure, Refusal.OPEN_ALREADY)
        return made

    async def keep(self, made: list[Application], by: str) -> list[UUID]:
        """Write new applications; return those that are not there already."""
        rows = await self._connection.fetch(
            "SELECT kept FROM eligibility.keep_applications($1, $2) AS kept",
            msgspec.json.encode(made).decode(),
            by,
        )
        return [row["kept"] for row in rows]

    async def submit(self, application_id: UUID, choices: Mapping[str, str], by: str) -> date:
        """Note that a citizen sent in what was offered; return until when it is decided."""
        held = await self._held(application_id)
        rule = await self._store.rule_on(held["measure"], self._today)
        if rule is None:
            raise ApplicationError(held["measure"], Refusal.NO_RULE)
        _require_choices(str(application_id), rule.rule, choices)
        until = self._today + timedelta(days=rule.rule.eligibility.decision_days)
        encoded = msgspec.json.encode(choices).decode()
        await self._move(application_id, "submitted", by, None, encoded, until)
        return until

    async def withdraw(self, application_id: UUID, by: str, reason: str) -> None:
        """Note that an application is not wanted any more."""
        await self._move(application_id, "withdrawn", by, reason, None, None)

    async def refuse(self, application_id: UUID, by: str, reason: str) -> None:
        """Refuse an application for a reason in words."""
        await self._move(application_id, "refused", by, reason, None, None)

    async def decide(
        self, application_id: UUID, by: str, explain: Callable[[Decision], str]
    ) -> Decision:
        """Decide by the rule: grant, or refuse with the trace that `explain` puts into words.

        Raises `ApplicationError`: facts are missing, the same person, held already.
        """
        held = await self._held(application_id)
        title = str(application_id)
        found = await self.assess(
            held["citizen_id"], held["measure"], by, f"решение по заявлению {title}"
        )
        trace = found.trace
        await self._connection.execute(
            "SELECT eligibility.reassess($1, $2, $3, $4, $5, $6)",
            application_id,
            trace.version,
            trace.day,
            trace.answer,
            msgspec.json.encode(stored(trace)).decode(),
            trace.missing,
        )
        match trace.answer:
            case Answer.UNKNOWN:
                raise ApplicationError(title, Refusal.FACTS_MISSING)
            case Answer.NO:
                await self.refuse(application_id, by, explain(found))
                return found
            case Answer.YES:
                number = await self._grant(application_id, by, found, held["happened_on"])
                return msgspec.structs.replace(found, number=number)

    async def _grant(
        self, application_id: UUID, by: str, found: Decision, happened_on: date | None
    ) -> str:
        ids = [uuid7(datetime.now(UTC)) for _ in range(1 + len(found.rule.rights))]
        rights = rights_of(found.rule, found.person, self._today, happened_on, ids)
        title = str(application_id)
        if rights is None:
            raise ApplicationError(title, Refusal.NO_HOUSEHOLD)
        if not rights.lasts:
            raise ApplicationError(title, Refusal.ENDS_BEFORE_IT_BEGINS)
        (row,) = await self._connection.fetch(
            "SELECT * FROM eligibility.grant_application($1, $2, $3, $4)",
            application_id,
            by,
            self._today,
            msgspec.json.encode(rights).decode(),
        )
        if row["against"] is not None:
            raise ApplicationError(title, Refusal(row["against"]))
        return str(row["decision"])

    async def _held(self, application_id: UUID) -> asyncpg.Record:
        rows = await self._connection.fetch(
            "SELECT * FROM eligibility.application_of($1)", application_id
        )
        if not rows:
            raise ApplicationError(str(application_id), Refusal.NO_SUCH_APPLICATION)
        return rows[0]

    async def _move(
        self,
        application_id: UUID,
        state: str,
        by: str,
        reason: str | None,
        choices: str | None,
        until: date | None,
    ) -> None:
        against = await self._connection.fetchval(
            "SELECT eligibility.move($1, $2, $3, $4, $5, $6)",
            application_id,
            state,
            by,
            reason,
            choices,
            until,
        )
        if against is not None:
            raise ApplicationError(str(application_id), Refusal(against))


def _require_choices(what: str, rule: Rule, choices: Mapping[str, str]) -> None:
    known = {one.choice: {option.option for option in one.options} for one in rule.choices}
    if any(option not in known.get(choice, ()) for choice, option in choices.items()):
        raise ApplicationError(what, Refusal.CHOICE_UNKNOWN)
    if set(known) - set(choices):
        raise ApplicationError(what, Refusal.CHOICE_MISSING)
