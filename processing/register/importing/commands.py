"""`spk register import`: take files into the register, look at what became of them, undo them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import asyncpg
import cyclopts

from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import DatabasePool
from processing.kernel.errors import DatabaseError
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.register.importing import screen
from processing.register.importing.errors import ImportRefused
from processing.register.importing.headers import NOT_TAKEN
from processing.register.importing.opening import as_before, open_sheet
from processing.register.importing.preparing import Prepared, kind_named, prepare
from processing.register.importing.rejects import write_rejects
from processing.register.importing.running import IMPORT_LIMITS, Runner
from processing.register.importing.store import Import, ImportStore
from processing.register.rights import deliver_rights
from processing.register.rules import RegisterError
from processing.wire.figures import Language

APPLICATION_NAME: Final = "spk register import"
IMPORTS_LISTED_MAX: Final = 50
"""Latest imports that are listed."""

WAITING_LISTED_MAX: Final = 50
"""Waiting rows that are shown at a time; `--after` shows those behind."""

EXIT_CODE_REJECTED: Final = 3
"""Some rows were not taken: the rest was."""

app = cyclopts.App(name="import", help="Take CSV and XLSX files into the register.")
Result = TypeVar("Result")
By = Annotated[str, cyclopts.Parameter(help="Who does it: their name stands in the history.")]


class _RolledBack(Exception):
    """Ends a dry run's transaction."""


@app.default
def take(
    file: Path,
    *,
    kind: str,
    source: str,
    by: By,
    mapping: tuple[str, ...] = (),
    yes: bool = False,
    dry_run: bool = False,
    lang: Language = "ru",
) -> int:
    """Import a file. Exits with 3 when some rows were rejected.

    Args:
        file: A CSV file or an XLSX workbook.
        kind: What its rows are: citizen, category, prescription …
        source: Who it is from; the mapping of columns is kept for the source.
        by: Who imports it.
        mapping: A column and its field, 'Column=field'; 'Column=' leaves a column out.
        yes: Take the mapping as shown.
        dry_run: Only tell what would become of the rows.
        lang: The language of the answer.
    """
    with _told(lang):
        chosen = _chosen(mapping)
        ready = _run(lambda pool: _prepared(pool, file, kind, source, chosen))
        print(screen.mapping(ready, lang))
        if not ready.header.is_settled and not yes and not _confirmed(lang):
            raise ImportRefused(
                "столбцы не подтверждены; проверьте их и повторите с --yes, или поправьте:"
                " --mapping 'Столбец=поле'",
                "the columns are not confirmed; check them and repeat with --yes, or correct"
                " them: --mapping 'Column=field'",
            )
        if dry_run:
            done = _run(lambda pool: _rehearse(pool, ready, source, by))
            print(screen.rehearsed(done, lang))
            return _exit_code(done)
        done, earlier = _run(lambda pool: _take(pool, ready, source, by, lang))
        print(screen.summary(done, lang, earlier))
        return _exit_code(done)


@app.command(name="list")
def list_imports(*, lang: Language = "ru") -> None:
    """List the latest imports."""
    imports = _run(lambda pool: _with_store(pool, lambda s: s.latest(IMPORTS_LISTED_MAX)))
    print(screen.imports(imports, lang))


@app.command
def show(number: int, *, lang: Language = "ru") -> None:
    """Show what became of an import's rows."""
    with _told(lang):
        found = _run(lambda pool: Runner(pool, _today()).load(number))
        print(screen.summary(found, lang))


@app.command
def resume(number: int, file: Path | None = None, *, lang: Language = "ru") -> int:
    """Go on with an import that was interrupted.

    Args:
        number: Its number.
        file: The same file; not needed for one that was approved and is being written.
        lang: The language of the answer.
    """
    with _told(lang):
        done = _run(lambda pool: _resume(pool, number, file, lang), delivering=True)
        print(screen.summary(done, lang))
        return _exit_code(done)


@app.command
def approve(number: int, *, by: By, lang: Language = "ru") -> int:
    """Approve an import that creates rights, and write it. Not by who began it."""
    with _told(lang):
        done = _run(lambda pool: _approve(pool, number, by, lang), delivering=True)
        print(screen.summary(done, lang))
        return _exit_code(done)


@app.command
def refuse(number: int, *, by: By, reason: str, lang: Language = "ru") -> None:
    """Refuse an import that waits for approval; nothing of it is written."""

    async def work(pool: DatabasePool) -> Import:
        async with _decided(pool) as store:
            if not await store.refuse(number, by, reason):
                raise _not_proposed(number)
        return await Runner(pool, _today()).load(number)

    with _told(lang):
        print(screen.summary(_run(work), lang))


@app.command
def undo(number: int, *, by: By, reason: str, lang: Language = "ru") -> None:
    """Take back all that an import wrote, as a unit."""

    async def work(pool: DatabasePool) -> tuple[int | None, int | None]:
        await Runner(pool, _today()).load(number)
        async with pool.transaction() as connection:
            return await ImportStore(connection).undo(number, by, reason)

    with _told(lang):
        change, request = _run(work)
        print(screen.undone(number, change, request, lang))


@app.command
def rejected(number: int, *, to: Path | None = None, lang: Language = "ru") -> None:
    """Write the rejected rows as a file like the user's own, the bad cells marked.

    Args:
        number: The import.
        to: The file to write; by default beside you, named after the user's file.
        lang: The language of the reasons.
    """

    async def work(pool: DatabasePool) -> tuple[Path, int]:
        found = await Runner(pool, _today()).load(number)
        path = to or Path(screen.rejects_name(found, lang))
        async with pool.connection() as connection:
            rows = ImportStore(connection).rejects(number)
            return path, await write_rejects(path, found.form, found.opening, rows, lang)

    with _told(lang):
        path, count = _run(work)
        print(screen.rejects_written(path, count, lang))


@app.command
def duplicates(
    number: int, *, by: By, purpose: str = "", after: int = 0, lang: Language = "ru"
) -> None:
    """Show rows that wait for a decision, and whom they may be about. The look is logged.

    Args:
        number: The import.
        by: Who looks.
        purpose: What for; by default to decide on this import's rows.
        after: Show rows behind this one.
        lang: The language of the answer.
    """

    async def work(pool: DatabasePool) -> str:
        found = await Runner(pool, _today()).load(number)
        why = purpose or f"import {number}: duplicates"
        async with pool.transaction() as connection:
            waiting = await ImportStore(connection).waiting(
                number, after, WAITING_LISTED_MAX, by, why
            )
        return screen.duplicates(found, waiting, WAITING_LISTED_MAX, lang)

    with _told(lang):
        print(_run(work))


@app.command
def decide(
    number: int,
    line: int,
    decision: Literal["same", "other", "skip"],
    *,
    record: str | None = None,
    by: By,
    reason: str,
    lang: Language = "ru",
) -> None:
    """Decide on a row that waits.

    Args:
        number: The import.
        line: The row.
        decision: same: it is about the record shown and changes it; other: it is about somebody
            new; skip: it is not taken.
        record: Which of several candidates it is about.
        by: Who decides.
        reason: Why.
        lang: The language of the answer.
    """

    async def work(pool: DatabasePool) -> str | None:
        runner = Runner(pool, _today())
        chosen = record
        if decision == "same" and chosen is None:
            chosen = await _only_candidate(pool, number, line, by)
        return await runner.decide(number, line, decision, chosen, by, reason)

    with _told(lang):
        against = _run(work, delivering=True)
        print(screen.decided(line, decision, against, lang))


async def _prepared(
    pool: DatabasePool, file: Path, kind: str, source: str, chosen: dict[str, str]
) -> Prepared:
    found = kind_named(kind)
    saved = await _with_store(pool, lambda store: store.mapping(source, kind))
    return await asyncio.to_thread(prepare, file, found, saved, chosen)


async def _begin(store: ImportStore, ready: Prepared, source: str, by: str) -> tuple[int, str]:
    import_id, state, _ = await store.begin(
        kind=ready.kind.kind,
        source=source,
        file_name=ready.sheet.path.name,
        form=ready.sheet.form,
        header=ready.header,
        opening=ready.opening,
        by=by,
    )
    return import_id, state


async def _take(
    pool: DatabasePool, ready: Prepared, source: str, by: str, lang: Language
) -> tuple[Import, int | None]:
    async with pool.transaction() as connection:
        store = ImportStore(connection)
        await store.keep_mapping(source, ready.kind.kind, ready.header.saved(), by)
        import_id, _ = await _begin(store, ready, source, by)
        earlier = await store.earlier(import_id)
    runner = Runner(pool, _today())
    with _resumable(import_id, lang), screen.progress(ready.sheet, ready.header, lang) as advance:
        return await runner.read(import_id, ready.sheet, advance), earlier


async def _rehearse(pool: DatabasePool, ready: Prepared, source: str, by: str) -> Import:
    result: list[Import] = []
    with contextlib.suppress(_RolledBack):
        async with pool.transaction() as connection:
            store = ImportStore(connection)
            import_id, _ = await _begin(store, ready, source, by)
            found = await store.load(import_id)
            if found is not None and found.chunks:
                raise ImportRefused(
                    f"этот файл уже вносится импортом {import_id}",
                    f"this file is being imported as import {import_id}",
                )
            result.append(await Runner(pool, _today()).rehearse(store, import_id, ready.sheet))
            raise _RolledBack
    return result[0]


async def _resume(pool: DatabasePool, number: int, file: Path | None, lang: Language) -> Import:
    runner = Runner(pool, _today())
    found = await runner.load(number)
    if found.state == "applying":
        with _resumable(number, lang), screen.progress_of(found, lang) as advance:
            return await runner.apply(number, advance)
    if found.state != "reading":
        return found
    if file is None:
        raise ImportRefused(
            f"укажите файл: spk register import resume {number} «{found.file_name}»",
            f"give the file: spk register import resume {number} “{found.file_name}”",
        )
    sheet = await asyncio.to_thread(open_sheet, file, lambda cells: 0)
    if sheet.form.sha256 != found.file_sha256:
        raise ImportRefused(
            f"{file.name}: это не тот файл, которым начат импорт {number}; внесите его отдельно",
            f"{file.name}: not the file that import {number} began with; import it by itself",
        )
    with _resumable(number, lang), screen.progress(sheet, found.header, lang) as advance:
        return await runner.read(number, as_before(sheet, found.form), advance)


async def _approve(pool: DatabasePool, number: int, by: str, lang: Language) -> Import:
    runner = Runner(pool, _today())
    found = await runner.load(number)
    async with _decided(pool) as store:
        if not await store.approve(number, by):
            raise _not_proposed(number)
    with _resumable(number, lang), screen.progress_of(found, lang) as advance:
        return await runner.apply(number, advance)


async def _only_candidate(pool: DatabasePool, number: int, line: int, by: str) -> str | None:
    async with pool.transaction() as connection:
        waiting = await ImportStore(connection).waiting(
            number, line - 1, 1, by, f"import {number}: duplicates"
        )
    candidates = waiting[0].candidates if waiting and waiting[0].line == line else ()
    if len(candidates) > 1:
        raise ImportRefused(
            f"у строки {line} несколько кандидатов; укажите одного: --record",
            f"row {line} has several candidates; name one: --record",
        )
    return candidates[0].record_id if candidates else None


@contextlib.asynccontextmanager
async def _decided(pool: DatabasePool) -> AsyncIterator[ImportStore]:
    """Give a store in a transaction; words the rule that another person decides."""
    try:
        async with pool.transaction() as connection:
            yield ImportStore(connection)
    except asyncpg.CheckViolationError as error:
        if error.constraint_name != "another_person_decides_import":
            raise
        raise ImportRefused(
            "импорт начали вы; решает о нём другой человек",
            "you began this import; another person decides on it",
        ) from None


@contextlib.contextmanager
def _resumable(number: int, lang: Language) -> Iterator[None]:
    """Say after a lost database or file how to go on."""
    try:
        yield
    except (DatabaseError, asyncpg.PostgresError, OSError) as error:
        raise ImportRefused(
            f"импорт {number} прерван: {error}. Внесённые строки целы; продолжите:"
            f" spk register import resume {number} ФАЙЛ",
            f"import {number} was interrupted: {error}. What was taken is safe; go on with:"
            f" spk register import resume {number} FILE",
        ) from error


def _not_proposed(number: int) -> ImportRefused:
    return ImportRefused(
        f"импорт {number} не ждёт утверждения; посмотрите его: spk register import show {number}",
        f"import {number} does not wait for approval; see: spk register import show {number}",
    )


def _chosen(mapping: tuple[str, ...]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for pair in mapping:
        title, sign, field = pair.rpartition("=")
        if not sign or not title.strip():
            raise ImportRefused(
                f"--mapping: нужно 'Столбец=поле', а не '{pair}'",
                f"--mapping: 'Column=field' is expected, not '{pair}'",
            )
        chosen[title] = field.strip() or NOT_TAKEN
    return chosen


def _confirmed(lang: Language) -> bool:
    if not sys.stdin.isatty():
        return False
    question = "Всё верно? [д/н] " if lang == "ru" else "Is this right? [y/n] "
    return input(question).strip().lower() in {"д", "да", "y", "yes"}


def _exit_code(done: Import) -> int:
    return EXIT_CODE_REJECTED if done.sums.rejected else 0


def _today() -> date:
    return SystemClock(read_settings(os.environ).time_zone).local_date()


async def _with_store(
    pool: DatabasePool, work: Callable[[ImportStore], Awaitable[Result]]
) -> Result:
    async with pool.connection() as connection:
        return await work(ImportStore(connection))


def _run(work: Callable[[DatabasePool], Awaitable[Result]], *, delivering: bool = False) -> Result:
    """Return what `work` makes of the register's database.

    With `delivering`, other databases are told the rights that rest on what it wrote.
    """

    async def run() -> Result:
        async with open_targets(
            read_settings(os.environ), Role.REGISTER, APPLICATION_NAME, IMPORT_LIMITS
        ) as targets:
            result = await work(targets.home)
            if delivering and (away := await deliver_rights(targets)):
                print(f"targets {', '.join(map(str, away))}: away, told later", file=sys.stderr)
            return result

    return asyncio.run(run())


@contextlib.contextmanager
def _told(lang: Language) -> Iterator[None]:
    """Tell a refusal in the reader's language, and leave."""
    try:
        yield
    except (ImportRefused, RegisterError) as error:
        print(error.text(lang), file=sys.stderr)
        sys.exit(error.exit_code)
