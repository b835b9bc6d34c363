"""`spk regulation`: check, explain, try and publish the regulations that agencies write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import asyncpg
import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS, open_session
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.spread import spread
from processing.kernel.target_pools import open_targets
from processing.kernel.targets import target_dsn, target_map
from processing.regulations import replay_store
from processing.regulations.changes import changes
from processing.regulations.check import check_regulation
from processing.regulations.compiling import compile_regulation
from processing.regulations.directory import Directory
from processing.regulations.document import Regulation, read_regulation
from processing.regulations.explaining import explain_regulation
from processing.regulations.faults import DocumentError, Language
from processing.regulations.publication import PublicationError, approve, propose
from processing.regulations.replay import Done, ReplayOrder, places_of, replay, under_draft
from processing.regulations.replay_export import change_file
from processing.regulations.replay_model import Replay
from processing.regulations.replay_words import chosen, show, show_changes
from processing.regulations.store import RegulationStore
from processing.regulations.trial import CaseResult, run_cases

APPLICATION_NAME: Final = "spk regulation"
EXIT_CODE_CASE_FAILED: Final = 1

app = cyclopts.App(name="regulation", help="Check, try and publish service regulations.")
Result = TypeVar("Result")


@app.command
def check(document: Path, *, lang: Language = "ru") -> None:
    """Tell everything that is wrong with a regulation: its form, and what it refers to.

    Args:
        document: The TOML document.
        lang: The language of the answer.
    """
    regulation, _ = _checked(document, lang)
    print(f"{regulation.title}: {'ошибок нет' if lang == 'ru' else 'no faults'}")


@app.command(name="compile")
def compile_rows(document: Path, *, lang: Language = "ru") -> None:
    """Print the rows that a regulation becomes in the database, as JSON."""
    regulation, _ = _checked(document, lang)
    print(msgspec.json.format(msgspec.json.encode(compile_regulation(regulation))).decode())


@app.command
def explain(document: Path, *, lang: Language = "ru") -> None:
    """Print a regulation in sentences (Markdown)."""
    regulation, directory = _checked(document, lang)
    print(explain_regulation(regulation, directory, lang), end="")


@app.command(name="test")
def try_cases(document: Path, *, lang: Language = "ru") -> None:
    """Run a regulation's test cases through the engine; nothing of it stays in the database."""
    regulation, directory = _checked(document, lang)
    results = _with_database(lambda connection: run_cases(connection, regulation, directory))
    console = Console(highlight=False, markup=False)
    for result in results:
        _print_result(console, regulation, result, lang)
    failed = sum(not result.passed for result in results)
    if lang == "ru":
        console.print(f"{regulation.title}: примеров {len(results)}, не сошлось {failed}")
    else:
        console.print(f"{regulation.title}: {len(results)} cases, {failed} failed")
    if failed:
        sys.exit(EXIT_CODE_CASE_FAILED)


@app.command
def diff(before: Path, after: Path, *, lang: Language = "ru") -> None:
    """Tell in words what changes from one document to another.

    Args:
        before: The document in force.
        after: The draft.
        lang: The language of the answer.
    """
    with _told(lang):
        old, new = (read_regulation(_bytes_of(one), one.name) for one in (before, after))
    print(*changes(old, new, lang), sep="\n")


@app.command
def publish(document: Path, *, by: str, lang: Language = "ru") -> None:
    """Propose a regulation; it comes into force when another person approves it.

    Args:
        document: The TOML document, with the next version's number.
        by: Who proposes it.
        lang: The language of the answer.
    """
    with _told(lang):
        body = _bytes_of(document)
        regulation = read_regulation(body, document.name)
        _propose(regulation, body, by)
    told = "внесён; утверждает другой человек" if lang == "ru" else "proposed; another approves"
    print(f"{regulation.title}: {told}")


def _propose(regulation: Regulation, body: bytes, by: str) -> None:
    settings = read_settings(os.environ)

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            targets = await stack.enter_async_context(
                open_targets(settings, Role.OWNER, APPLICATION_NAME, REPORTING_LIMITS)
            )
            dsn = target_dsn(settings, targets.map.targets[0], Role.OWNER)
            connection = await open_session(dsn, Role.OWNER, APPLICATION_NAME, REPORTING_LIMITS)
            stack.push_async_callback(connection.close)
            elsewhere = [
                await stack.enter_async_context(pool.connection())
                for pool in targets.elsewhere.values()
            ]
            await propose(connection, regulation, body, by, elsewhere)

    asyncio.run(run())


@app.command(name="replay")
def replay_draft(
    document: Path,
    *,
    first_day: Annotated[date, Parameter(name="--from")],
    last_day: Annotated[date, Parameter(name="--to")],
    by: str = "spk",
    which: Annotated[Literal["gainers", "losers", "all"] | None, Parameter(name="--list")] = None,
    category: str | None = None,
    provider: str | None = None,
    export: Path | None = None,
    lang: Language = "ru",
) -> None:
    """Decide a service's past transactions once more under a draft; nothing live is changed.

    Args:
        document: The TOML document of the draft.
        first_day: The first posting date.
        last_day: The last posting date.
        by: Who asks; it stands in the record.
        which: List the transactions of those who gain or lose, or all that change. If this text
            went through this period already, its record is read instead of a new run.
        category: List only those of this benefit category.
        provider: List only those of this provider.
        export: Write every change into this file, .csv or .xlsx.
        lang: The language of the answer.
    """
    if first_day > last_day:
        raise ConfigurationError(f"--from {first_day} is after --to {last_day}")
    with _told(lang):
        body = _bytes_of(document)
        regulation, _ = _checked(document, lang)
    order = ReplayOrder(regulation, body, first_day, last_day, by)
    console = Console(highlight=False, markup=False)
    replay = _recorded(order) if which is not None and export is None else None
    if replay is None:
        replay = _run_replay(order, export, lang)
        show(console, replay, lang)
    if which is not None:
        found = list(chosen(replay.changes, which, category, provider))
        show_changes(console, found, lang)
        if len(replay.changes) < replay.total.changed:
            kept = len(replay.changes)
            console.print(
                f"В записи прогона — {kept} самых крупных; все — в файле (--export)"
                if lang == "ru"
                else f"The record keeps the {kept} that weigh most; a file has all (--export)"
            )


def _recorded(order: ReplayOrder) -> Replay | None:
    """Return the record of the same text over the same period, if there is one."""
    return _with_database(
        lambda connection: replay_store.latest(
            connection, order.document_sha256, order.first_day, order.last_day
        )
    )


def _run_replay(order: ReplayOrder, export: Path | None, lang: Language) -> Replay:
    """Replay, with a bar on the screen, and keep the record."""
    settings = read_settings(os.environ)
    places = places_of(settings, target_map(settings))

    async def run() -> Done:
        with contextlib.ExitStack() as stack:
            on_change = None if export is None else stack.enter_context(change_file(export, lang))
            bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
            task = bar.add_task(order.regulation.title, total=None)
            return await replay(
                places,
                under_draft(order.regulation),
                order.first_day,
                order.last_day,
                lambda count: bar.advance(task, count),
                on_change,
            )

    _with_database(lambda connection: RegulationStore(connection).directory())
    done = asyncio.run(run())
    found = order.told(done)
    _with_database(lambda connection: replay_store.keep(connection, found, datetime.now(UTC)))
    return found


@app.command(name="approve")
def approve_version(service: str, version: int, *, by: str, lang: Language = "ru") -> None:
    """Put a proposed version in force from its first day.

    Args:
        service: The service, such as MEDICINE.
        version: The version that was proposed.
        by: Who approves it: not who proposed it.
        lang: The language of the answer.
    """
    today = SystemClock(read_settings(os.environ).time_zone).local_date()
    with _told(lang):
        regulation = _with_database(
            lambda connection: approve(connection, service, version, by, today), spreading=True
        )
    first = regulation.regulation.valid_from
    told = f"утверждён, действует с {first}" if lang == "ru" else f"approved, in force from {first}"
    print(f"{regulation.title}: {told}")


def _print_result(
    console: Console, regulation: Regulation, result: CaseResult, lang: Language
) -> None:
    place = regulation.source.place(("case", result.number - 1))
    mark, style = ("✓", "green") if result.passed else ("✗", "red")
    clause = f"{'пункт' if lang == 'ru' else 'clause'} {result.case.clause}"
    console.print(mark, style=style, end=" ")
    console.print(f"{regulation.source.name}:{place.line} {clause}: {result.case.title_ru}")
    console.print(f"    {result.sentence(lang)}")


def _checked(document: Path, lang: Language) -> tuple[Regulation, Directory]:
    """Return a sound regulation and what it refers to; tells what is wrong and leaves else."""
    with _told(lang):
        regulation = read_regulation(_bytes_of(document), document.name)
        directory = _with_database(lambda connection: RegulationStore(connection).directory())
        check_regulation(regulation, directory)
    return regulation, directory


@contextlib.contextmanager
def _told(lang: Language) -> Iterator[None]:
    """Tell what is wrong with a document in the reader's language, and leave."""
    try:
        yield
    except (DocumentError, PublicationError) as error:
        print(error.text(lang), file=sys.stderr)
        sys.exit(error.exit_code)


def _bytes_of(document: Path) -> bytes:
    try:
        return document.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{document}: {error.strerror}") from error


def _with_database(
    work: Callable[[asyncpg.Connection], Awaitable[Result]], *, spreading: bool = False
) -> Result:
    """Return what `work` makes of a session that acts as the owner of the regulations."""
    settings = read_settings(os.environ)

    async def run() -> Result:
        async with open_targets(
            settings, Role.OWNER, APPLICATION_NAME, REPORTING_LIMITS
        ) as targets:
            home = targets.map.targets[0]
            dsn = target_dsn(settings, home, Role.OWNER)
            connection = await open_session(dsn, Role.OWNER, APPLICATION_NAME, REPORTING_LIMITS)
            try:
                result = await work(connection)
            finally:
                await connection.close()
            if spreading:
                # Of several databases each decides by its own copy.
                await spread(targets)
            return result

    return asyncio.run(run())
