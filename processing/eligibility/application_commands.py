"""Commands on applications: runs over life events, steps of an application, daily upkeep."""

from __future__ import annotations

import sys
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import cyclopts

from processing.eligibility.applications import (
    Application,
    ApplicationError,
    Applications,
    Decision,
    Refusal,
)
from processing.eligibility.candidates import APPLICATIONS_LISTED_MAX, Run, RunReport
from processing.eligibility.directory import Directory
from processing.eligibility.document import Rule
from processing.eligibility.evaluating import Found, Trace
from processing.eligibility.facts import Answer, Facts
from processing.eligibility.session import (
    in_transaction,
    local_today,
    reference_of,
    told,
    with_database,
    with_pool,
)
from processing.eligibility.store import EligibilityStore
from processing.eligibility.tasks import DONE_BY, Upkeep, daily
from processing.eligibility.why import VERDICTS, why
from processing.eligibility.wording import one_of
from processing.kernel.daily import only_one
from processing.kernel.database import Connection, DatabasePool
from processing.regulations.faults import Language
from processing.wire.explanation import Audience
from processing.wire.figures import format_date

OPEN_STATES: Final = ("drafted", "offered", "submitted")
STATES: Final[dict[str, tuple[str, str]]] = {
    "drafted": ("ждёт утверждения", "awaits approval"),
    "offered": ("предложено гражданину", "offered to the citizen"),
    "submitted": ("подано", "submitted"),
    "decided": ("назначено", "granted"),
    "refused": ("отказано", "refused"),
    "withdrawn": ("отозвано", "withdrawn"),
}
Choices = Annotated[list[str] | None, cyclopts.Parameter(name="--choice")]


def run_events(*, by: str, lang: Language = "ru") -> None:
    """Look at new life events: grant, propose for approval, or offer what they bring.

    Args:
        by: Who starts it; another person approves what it proposes.
        lang: The language of the answer.
    """
    today = local_today()
    with told(lang):
        report = with_pool(lambda pool: Run(pool, today, by, refusal_text).over_new_events())
    _print_report(report, lang)


def approve_run(run: int, *, by: str, lang: Language = "ru") -> None:
    """Approve what a run proposes: each right is granted under a decision of its own.

    Args:
        run: The run's number.
        by: Who approves it: not who started it.
        lang: The language of the answer.
    """
    today = local_today()
    with told(lang):
        report = with_pool(lambda pool: Run(pool, today, by, refusal_text).approve(run))
    _print_report(report, lang)


def applications(
    *,
    citizen: str | None = None,
    run: int | None = None,
    after: UUID | None = None,
    every: Annotated[bool, cyclopts.Parameter(name="--all")] = False,
    tasks: bool = False,
    lang: Language = "ru",
) -> None:
    """List applications: the open ones, or with --all every one.

    Args:
        citizen: Only those of this СНИЛС or register id.
        run: Only those of this run.
        after: Only those after this one, for the next page.
        every: Decided, refused and withdrawn ones too.
        tasks: Instead: what corrected or withdrawn life events leave to a person.
        lang: The language of the answer.
    """
    states = list(STATES) if every else list(OPEN_STATES)

    async def ask(connection: Connection) -> list[asyncpg.Record]:
        if tasks:
            return await connection.fetch(
                "SELECT * FROM eligibility.open_follow_ups($1)", APPLICATIONS_LISTED_MAX
            )
        citizen_id = None
        if citizen is not None:
            citizen_id = await EligibilityStore(connection).citizen_of(reference_of(citizen))
            if citizen_id is None:
                raise ApplicationError(citizen, Refusal.NO_SUCH_CITIZEN)
        return await connection.fetch(
            "SELECT * FROM eligibility.applications($1, $2, $3, $4, $5)",
            states,
            citizen_id,
            run,
            after,
            APPLICATIONS_LISTED_MAX,
        )

    with told(lang):
        rows = with_database(ask)
    for row in rows:
        print(_task_line(row, lang) if tasks else _line(row, lang))
    if not rows:
        print(one_of(lang, ("ничего нет", "nothing")), file=sys.stderr)


def trace(application: UUID, *, by: str, purpose: str, lang: Language = "ru") -> None:
    """Print what the rule answered when an application was made or decided, clause by clause.

    Args:
        application: Its number.
        by: Who asks.
        purpose: What for; both are noted, and the citizen can see them.
        lang: The language of the answer.
    """
    today = local_today()

    async def ask(connection: Connection) -> tuple[Rule, Trace, Directory]:
        rule, kept = await Applications(connection, today).kept(application, by, purpose)
        return rule, kept, await EligibilityStore(connection).directory()

    with told(lang):
        rule, kept, directory = with_database(ask)
    print(*why(rule, kept, Facts(), (), directory, lang, Audience.OPERATOR), sep="\n")


def apply(
    citizen: str, measure: str, *, by: str, choice: Choices = None, lang: Language = "ru"
) -> None:
    """Enter a citizen's own application for a measure.

    Args:
        citizen: СНИЛС or register id.
        measure: The measure.
        by: Who enters it.
        choice: An answer of the citizen, such as KIND=CAMP; once for each question.
        lang: The language of the answer.
    """
    today = local_today()

    async def enter(connection: Connection) -> Application:
        citizen_id = await EligibilityStore(connection).citizen_of(reference_of(citizen))
        if citizen_id is None:
            raise ApplicationError(citizen, Refusal.NO_SUCH_CITIZEN)
        steps = Applications(connection, today)
        return await steps.apply(citizen_id, measure, _choices(choice), by)

    with told(lang):
        made = in_transaction(enter)
    until = format_date(made.decide_by or today, lang)
    said = (f"подано, решение до {until}", f"submitted, to be decided by {until}")
    print(f"{made.application_id}: {one_of(lang, said)}")


def submit(application: UUID, *, by: str, choice: Choices = None, lang: Language = "ru") -> None:
    """Note that the citizen accepts an offer.

    Args:
        application: Its number.
        by: Who enters it.
        choice: An answer of the citizen, such as KIND=CAMP; once for each question.
        lang: The language of the answer.
    """
    today = local_today()
    with told(lang):
        until = in_transaction(
            lambda connection: Applications(connection, today).submit(
                application, _choices(choice), by
            )
        )
    day = format_date(until, lang)
    said = (f"подано, решение до {day}", f"submitted, to be decided by {day}")
    print(f"{application}: {one_of(lang, said)}")


def decide(application: UUID, *, by: str, lang: Language = "ru") -> None:
    """Decide an application by the rule, with the facts of today.

    Args:
        application: Its number.
        by: Who decides: not who entered it.
        lang: The language of the answer.
    """
    today = local_today()
    with told(lang):
        decision = in_transaction(
            lambda connection: Applications(connection, today).decide(application, by, refusal_text)
        )
    if decision.number is not None:
        said = (f"назначено, решение {decision.number}", f"granted, decision {decision.number}")
        print(f"{application}: {one_of(lang, said)}")
    else:
        refused = one_of(lang, ("отказано", "refused"))
        print(f"{application}: {refused}: {refusal_text(decision, lang)}")


def refuse(application: UUID, *, by: str, reason: str, lang: Language = "ru") -> None:
    """Refuse an application for a reason in words."""
    today = local_today()
    with told(lang):
        in_transaction(lambda one: Applications(one, today).refuse(application, by, reason))
    print(f"{application}: {one_of(lang, STATES['refused'])}")


def withdraw(application: UUID, *, by: str, reason: str, lang: Language = "ru") -> None:
    """Note that an application is not wanted any more."""
    today = local_today()
    with told(lang):
        in_transaction(lambda one: Applications(one, today).withdraw(application, by, reason))
    print(f"{application}: {one_of(lang, STATES['withdrawn'])}")


def close_task(application: UUID, *, by: str, resolution: str, lang: Language = "ru") -> None:
    """Close what a corrected or withdrawn life event left to a person.

    Args:
        application: The application's number.
        by: Who saw to it.
        resolution: What was done.
        lang: The language of the answer.
    """
    closed = in_transaction(
        lambda connection: connection.fetchval(
            "SELECT eligibility.close_follow_ups($1, $2, $3)", application, by, resolution
        )
    )
    print(f"{application}: {one_of(lang, ('закрыто задач', 'tasks closed'))}: {closed}")


def every_day(*, lang: Language = "ru") -> None:
    """Do what is due today: go over new life events, then remind; the centre runs it.

    What events bring unasked is granted, the rest waits for a person; again finds nothing new.
    """
    today = local_today()

    async def work(pool: DatabasePool) -> tuple[RunReport, Upkeep] | None:
        async with pool.connection() as connection:
            if not await only_one(connection, "eligibility"):
                return None
            report = await Run(pool, today, DONE_BY, refusal_text).over_new_events()
            return report, await daily(connection, today)

    with told(lang):
        done = with_pool(work)
    if done is None:
        print(one_of(lang, ("этим уже занята другая программа", "another program is at it")))
        return
    _print_report(done[0], lang)
    _print_upkeep(done[1], lang)


def remind(*, lang: Language = "ru") -> None:
    """Do what is due today: reminders of what ends soon, lapsed offers, corrected events."""
    today = local_today()
    _print_upkeep(in_transaction(lambda connection: daily(connection, today)), lang)


def _print_upkeep(done: Upkeep, lang: Language) -> None:
    words = {
        ("напоминаний", "reminders"): done.reminders,
        ("просроченных предложений", "lapsed offers"): done.lapsed,
        ("задач по изменённым событиям", "tasks of changed events"): done.follow_ups,
    }
    print(_counts(words, lang))


def refusal_text(decision: Decision, language: Language = "ru") -> str:
    """Return which clauses stand against a right, in their own words."""
    failed = [one for one in decision.trace.found if _decides(one)]
    parts = [
        f"{one_of(language, ('п.', 'clause'))} {one.clause.clause}: "
        f"{one_of(language, (one.clause.text_ru, one.clause.text_en))}"
        for one in failed
    ]
    verdict = one_of(language, VERDICTS[decision.trace.answer])
    return f"{verdict}: {'; '.join(parts)}" if parts else verdict


def _decides(found: Found) -> bool:
    return found.met is Answer.NO and not found.clause.parent


def _choices(given: list[str] | None) -> dict[str, str]:
    pairs = (one.partition("=") for one in given or ())
    return {choice: option for choice, _, option in pairs}


def _print_report(report: RunReport, lang: Language) -> None:
    words = {
        ("событий", "events"): report.events,
        ("людей", "people"): report.people,
        ("назначено", "granted"): report.granted,
        ("ждут утверждения", "awaiting approval"): report.awaiting_approval,
        ("предложено", "offered"): report.offered,
    }
    print(f"{one_of(lang, ('проход', 'run'))} {report.run_id}: {_counts(words, lang)}")
    print(*report.failed, sep="\n", end="\n" if report.failed else "")


def _counts(words: dict[tuple[str, str], int], lang: Language) -> str:
    return ", ".join(f"{one_of(lang, pair)} {count}" for pair, count in words.items())


def _line(row: asyncpg.Record, lang: Language) -> str:
    parts = [str(row["application_id"]), row["measure"], one_of(lang, STATES[row["state"]])]
    if row["decision_number"]:
        parts.append(row["decision_number"])
    deadlines = {"answer_by": ("ответ до", "answer by"), "decide_by": ("решение до", "decide by")}
    for name, words in deadlines.items():
        if row[name] is not None and row["state"] in OPEN_STATES:
            parts.append(f"{one_of(lang, words)} {format_date(row[name], lang)}")
    if row["missing"]:
        parts.append(f"{one_of(lang, ('не хватает', 'missing'))}: {', '.join(row['missing'])}")
    if row["reason"]:
        parts.append(row["reason"])
    return "  ".join(parts)


def _task_line(row: asyncpg.Record, lang: Language) -> str:
    words = {
        "corrected": ("событие исправлено", "the event was corrected"),
        "withdrawn": ("события больше нет", "the event is gone"),
    }
    state = one_of(lang, STATES[row["state"]])
    what = one_of(lang, words[row["what"]])
    return f"{row['application_id']}  {row['measure']}  {state}  {what}"
