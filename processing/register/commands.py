"""`spk register`: find people, show and change their records, with two persons where it counts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from typing import Annotated, Final, TypeVar
from uuid import UUID

import cyclopts

from processing.kernel.clock import SystemClock, time_zone
from processing.kernel.config import Settings, read_settings
from processing.kernel.daily import only_one
from processing.kernel.database import Connection
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.target_pools import TargetPools, open_targets
from processing.register import screen
from processing.register.editing import cells_of, changed_record, new_record, new_record_id
from processing.register.identifiers import read_snils
from processing.register.importing.commands import app as import_app
from processing.register.kinds.shape import RecordKind
from processing.register.model import Edit, Reader
from processing.register.records import KIND_BY_NAME
from processing.register.rights import deliver_rights
from processing.register.rules import RegisterError
from processing.register.search import FOUND_PAGE_MAX, Question, find, read_place
from processing.register.store import RegisterStore
from processing.register.tasks import follow_calendar, prolong_policies
from processing.wire.figures import Language

APPLICATION_NAME: Final = "spk register"
NEW: Final = "new"
TRY_AGAIN: Final = 75
"""How a command ends that has to be run again (EX_TEMPFAIL of sysexits.h)."""

app = cyclopts.App(name="register", help="Find, show and change the register's records.")
app.command(import_app)
Result = TypeVar("Result")
By = Annotated[str, cyclopts.Parameter(help="Who does it: the name stands in the history.")]
_PAGE: Final = cyclopts.validators.Number(gte=1, lte=FOUND_PAGE_MAX)
Purpose = Annotated[str, cyclopts.Parameter(help="What for: it stands in the log of reads.")]


@app.command(name="find")
def find_people(
    *,
    by: By,
    purpose: Purpose,
    number: str | None = None,
    name: str | None = None,
    born: datetime | None = None,
    address: str | None = None,
    count: Annotated[int, cyclopts.Parameter(validator=_PAGE)] = 20,
    after: str | None = None,
    lang: Language = "ru",
) -> None:
    """Find people by one or more of number, name, birth date and address.

    Args:
        by: Who asks.
        purpose: What for.
        number: Any number: СНИЛС, policy, ИНН, document, telephone, prescription, account …
        name: Last name, first name, patronymic in any order; typos are forgiven.
        born: The birth date (YYYY-MM-DD).
        address: Street, house, flat: any of them.
        count: How many people to show, 1 to 50.
        after: Where the page before ended, as its last line says.
        lang: The language of the answer.
    """
    question = Question(
        number=number, name=name, birth_date=born.date() if born else None, address=address
    )

    async def work(connection: Connection) -> Iterable[str]:
        place = read_place(after) if after else None
        page = await find(connection, question, Reader(by, purpose), after=place, count=count)
        return screen.found_lines(page, lang, first=place is None)

    _print(_with_register(work, lang))


@app.command
def show(
    citizen: str, *, by: By, purpose: Purpose, at: datetime | None = None, lang: Language = "ru"
) -> None:
    """Show all records of a citizen, as they are or as they were known at an instant.

    Args:
        citizen: The СНИЛС.
        by: Who reads.
        purpose: What for.
        at: The instant, local time (YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS).
        lang: The language of the answer.
    """
    zone = time_zone(_settings().time_zone)

    async def work(connection: Connection) -> Iterable[str]:
        store = RegisterStore(connection)
        records = await store.citizen_file(
            await _citizen(store, citizen),
            Reader(by, purpose),
            at.replace(tzinfo=at.tzinfo or zone) if at else None,
        )
        return screen.file_lines(records, lang)

    _print(_with_register(work, lang))


@app.command
def history(kind: str, record: str, *, by: By, purpose: Purpose, lang: Language = "ru") -> None:
    """Tell how a record came to be what it is: who, when, why, before and after.

    Args:
        kind: The kind of record: citizen, address, category …
        record: Its identifier, as `show` prints it; of a citizen the СНИЛС will do.
        by: Who reads.
        purpose: What for.
        lang: The language of the answer.
    """
    zone = time_zone(_settings().time_zone)

    async def work(connection: Connection) -> Iterable[str]:
        store = RegisterStore(connection)
        key = await _key(store, _kind(kind), record)
        steps = await store.history(kind, key, Reader(by, purpose))
        return screen.history_lines(kind, steps, zone, lang)

    _print(_with_register(work, lang))


@app.command
def change(
    kind: str,
    record: str,
    *,
    by: By,
    reason: str,
    set_: Annotated[tuple[str, ...], cyclopts.Parameter(name="--set")] = (),
    remove: bool = False,
    asked_by: str | None = None,
    lang: Language = "ru",
) -> None:
    """Make, change or remove a record. What creates rights waits for another person.

    Args:
        kind: The kind of record: citizen, address, category …
        record: Its identifier, `new` for a new one; of a citizen the СНИЛС will do.
        by: Who makes the change.
        reason: Why; it stands in the history.
        set_: A field and its value, 'line=ул. Мира, д. 3'; an empty value empties it.
        remove: Remove the record.
        asked_by: The СНИЛС of the citizen who asks for it: another person decides then.
        lang: The language of the answer.
    """
    today = SystemClock(_settings().time_zone).local_date()

    async def work(connection: Connection) -> Iterable[str]:
        store = RegisterStore(connection)
        wanted = _kind(kind)
        cells = cells_of(wanted, _pairs(set_))
        if record == NEW:
            now_ms = SystemClock(_settings().time_zone).utc_ms()
            edit = await new_record(store, wanted, cells, today, new_record_id(now_ms))
        else:
            key = await _key(store, wanted, record)
            stored = await store.record(kind, key, Reader(by, reason))
            if stored is None:
                raise ConfigurationError(f"{record}: нет такой записи / there is no such record")
            if remove:
                edit = Edit(kind, key, stored[0], None)
            else:
                edit = await changed_record(store, wanted, cells, today, (key, *stored))
        if wanted.creates_rights or asked_by is not None:
            asker = await _citizen(store, asked_by) if asked_by else None
            request_id = await store.propose_change(by, reason, [edit], asked_by_citizen=asker)
            return [_proposed(request_id, lang)]
        change_id = await store.make_change(by, reason, [edit])
        return [f"{screen.word('change', lang)} {change_id}: {edit.record_id}"]

    _print(_with_register(work, lang))


@app.command
def requests(
    number: int | None = None, *, by: By = "", purpose: Purpose = "", lang: Language = "ru"
) -> None:
    """List the requests that wait for another person; with a number, show what one would change.

    Args:
        number: The request to show.
        by: Who reads it.
        purpose: What for.
        lang: The language of the answer.
    """
    zone = time_zone(_settings().time_zone)

    async def work(connection: Connection) -> Iterable[str]:
        store = RegisterStore(connection)
        if number is None:
            return screen.request_lines(await store.open_requests(), zone, lang)
        if not by or not purpose:
            raise ConfigurationError("--by, --purpose: кто читает и зачем / who reads, what for")
        return screen.edit_lines(await store.request(number, Reader(by, purpose)), lang)

    _print(_with_register(work, lang))


@app.command
def approve(number: int, *, by: By, lang: Language = "ru") -> None:
    """Approve a request, as another person than the one who made it.

    Args:
        number: The request.
        by: Who approves.
        lang: The language of the answer.
    """

    async def work(connection: Connection) -> Iterable[str]:
        change_id = await RegisterStore(connection).approve(number, by)
        return [
            f"{screen.word('request', lang)} {number}: {screen.word('change', lang)} {change_id}"
        ]

    _print(_with_register(work, lang, delivering=True))


@app.command
def refuse(number: int, *, by: By, reason: str, lang: Language = "ru") -> None:
    """Refuse a request, with the reason that its maker is told.

    Args:
        number: The request.
        by: Who refuses.
        reason: Why.
        lang: The language of the answer.
    """

    async def work(connection: Connection) -> Iterable[str]:
        await RegisterStore(connection).refuse(number, by, reason)
        told = "отклонена" if lang == "ru" else "refused"
        return [f"{screen.word('request', lang)} {number}: {told}"]

    _print(_with_register(work, lang))


@app.command
def undo(number: int, *, by: By, reason: str, lang: Language = "ru") -> None:
    """Take a change back; where rights rest on its records, propose to.

    Args:
        number: The change.
        by: Who takes it back.
        reason: Why.
        lang: The language of the answer.
    """

    async def work(connection: Connection) -> Iterable[str]:
        store = RegisterStore(connection)
        try:
            undone = await store.undo(number, by, reason)
        except RegisterError:
            for later in await store.later_changes(number):
                kind = KIND_BY_NAME[later.kind].label(lang)
                print(
                    f"{screen.word('change', lang)} {later.change_id} ({later.made_by}): "
                    f"{kind}, {later.records}",
                    file=sys.stderr,
                )
            raise
        if undone.request_id is not None:
            return [_proposed(undone.request_id, lang)]
        told = f"{screen.word('undoes', lang)} {number}"
        return [f"{screen.word('change', lang)} {undone.change_id} {told}"]

    _print(_with_register(work, lang))


@app.command
def reads(citizen: str, *, lang: Language = "ru") -> None:
    """Tell who read a citizen's data, when and what for.

    Args:
        citizen: The СНИЛС.
        lang: The language of the answer.
    """
    zone = time_zone(_settings().time_zone)

    async def work(connection: Connection) -> Iterable[str]:
        store = RegisterStore(connection)
        return screen.read_lines(await store.reads_of(await _citizen(store, citizen)), zone, lang)

    _print(_with_register(work, lang))


@app.command(name="prolong-policies")
def prolong(*, lang: Language = "ru") -> None:
    """Prolong the health insurance policies that go on by themselves; run it every day."""
    today = SystemClock(_settings().time_zone).local_date()

    async def work(connection: Connection) -> Iterable[str]:
        count = await prolong_policies(connection, today)
        return [f"{screen.word('prolonged', lang)}: {count}"]

    _print(_with_register(work, lang, delivering=True))


@app.command
def daily(*, lang: Language = "ru") -> None:
    """Do what the register does every day; the centre runs it at SPK_DAILY_AT.

    Policies are prolonged, cards act for whom they may from today on, other databases are told.
    """
    today = SystemClock(_settings().time_zone).local_date()

    async def work(connection: Connection) -> Iterable[str]:
        if not await only_one(connection, "register"):
            return [screen.word("busy", lang)]
        prolonged = await prolong_policies(connection, today)
        followed = await follow_calendar(connection, today)
        return [
            f"{screen.word('prolonged', lang)}: {prolonged}",
            f"{screen.word('followed', lang)}: {followed}",
        ]

    _print(_with_register(work, lang, delivering=True))


@app.command
def deliver(*, lang: Language = "ru") -> None:
    """Tell the other databases the rights that they do not know yet; the centre runs it.

    Ends with 75 (try again) while one of them is away.
    """

    async def tell() -> tuple[int, ...]:
        settings = _settings()
        async with open_targets(settings, Role.REGISTER, APPLICATION_NAME, patient=True) as targets:
            return await deliver_rights(targets)

    if away := asyncio.run(tell()):
        numbers = ", ".join(map(str, away))
        print(f"{screen.word('away', lang)}: {numbers}", file=sys.stderr)
        sys.exit(TRY_AGAIN)


def _proposed(request_id: int, lang: Language) -> str:
    told = "ждёт утверждения другим человеком" if lang == "ru" else "waits for another's approval"
    return f"{screen.word('request', lang)} {request_id}: {told}"


def _kind(name: str) -> RecordKind:
    if name not in KIND_BY_NAME:
        raise ConfigurationError(
            f"{name}: нет такого вида записей / no such kind; {', '.join(KIND_BY_NAME)}"
        )
    return KIND_BY_NAME[name]


def _pairs(typed: Iterable[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in typed]
    if wrong := next((name for name, sign, _ in pairs if not sign), None):
        raise ConfigurationError(f"--set {wrong}: поле=значение / field=value")
    return {name: value for name, _, value in pairs}


async def _citizen(store: RegisterStore, snils: str) -> UUID:
    digits = read_snils(snils)
    found = await store.resolve("citizen", [digits])
    if digits not in found:
        raise ConfigurationError("СНИЛС: в регистре такого нет / SNILS: not in the register")
    return found[digits]


async def _key(store: RegisterStore, kind: RecordKind, record: str) -> UUID:
    try:
        return UUID(record)
    except ValueError:
        if kind.kind != "citizen":
            raise ConfigurationError(
                f"{record}: нужен идентификатор записи из `spk register show` / an identifier that "
                "`spk register show` prints is expected"
            ) from None
    return await _citizen(store, record)


def _settings() -> Settings:
    return read_settings(os.environ)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _with_register(
    work: Callable[[Connection], Awaitable[Result]], lang: Language, *, delivering: bool = False
) -> Result:
    """Return what `work` makes of a connection to the register; refusals are told and leave.

    With `delivering`, rights whose holders other databases serve are told to those afterwards.
    """

    async def run(targets: TargetPools) -> Result:
        async with targets.home.connection() as connection:
            result = await work(connection)
        if delivering and (away := await deliver_rights(targets)):
            numbers = ", ".join(map(str, away))
            print(f"targets {numbers}: away, told later", file=sys.stderr)
        return result

    async def connect() -> Result:
        async with open_targets(_settings(), Role.REGISTER, APPLICATION_NAME) as targets:
            return await run(targets)

    with _told(lang):
        return asyncio.run(connect())


@contextlib.contextmanager
def _told(lang: Language) -> Iterator[None]:
    """Tell what the register refused in the reader's language, and leave."""
    try:
        yield
    except RegisterError as error:
        print(error.text(lang), file=sys.stderr)
        sys.exit(error.exit_code)
