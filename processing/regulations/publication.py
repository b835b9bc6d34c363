"""How a regulation comes into force: one person proposes, another approves (DESIGN §5).

Both steps run the document's test cases first, and take nothing while one of them fails. A service
that was used already needs a replay of exactly this text as well (`spk regulation replay`): its
first version needs none. A way back is a new version with the old text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import ClassVar, Final

import asyncpg

from processing.kernel.database import Connection
from processing.kernel.errors import SpkError
from processing.regulations.check import check_regulation
from processing.regulations.compiling import compile_regulation
from processing.regulations.directory import Directory
from processing.regulations.document import Regulation, read_regulation
from processing.regulations.faults import Language
from processing.regulations.replay_store import periods
from processing.regulations.store import RegulationStore
from processing.regulations.trial import CaseResult, run_cases

_HAS_HISTORY: Final = "SELECT regulations.has_history($1, $2, $3)"


class Refusal(StrEnum):
    """Why a version does not come into force."""

    NOT_NEXT = "not the next version"
    NOT_PROPOSED = "not proposed"
    APPROVED_ALREADY = "approved already"
    CHANGED_MEANWHILE = "changed meanwhile"
    SAME_PERSON = "same person"
    BEGINS_TOO_EARLY = "begins too early"
    CASE_FAILED = "case failed"
    NOT_REPLAYED = "not replayed"


REPLAY_DAYS_MIN: Final = 28
"""The shortest period through which a draft has to go; a service used for less time goes through
all of it."""

REPLAY_AGE_DAYS_MAX: Final = 31
"""How much of the service's history may have come after that period."""

_NOT_REPLAYED_RU: Final = (
    f"этот текст не прогнан по прошлым операциям за {REPLAY_DAYS_MIN} последних дней (за всё "
    "время, если услуга моложе); прогоните его (spk regulation replay) и внесите снова"
)
_NOT_REPLAYED_EN: Final = (
    f"this text did not go through the last {REPLAY_DAYS_MIN} days of transactions (or all, if the "
    "service is younger); replay it (spk regulation replay) and propose it again"
)
_WORDS: Final[dict[Refusal, tuple[str, str]]] = {
    Refusal.NOT_NEXT: (
        "номер версии не следующий за действующей; дайте следующий",
        "its number is not the next after the version in force; give it the next one",
    ),
    Refusal.NOT_PROPOSED: (
        "такого проекта нет; сначала внесите его (spk regulation publish)",
        "there is no such draft; propose it first (spk regulation publish)",
    ),
    Refusal.APPROVED_ALREADY: (
        "версия уже утверждена и не меняется; внесите следующую",
        "the version is approved and never changes; propose the next one",
    ),
    Refusal.CHANGED_MEANWHILE: (
        "проект изменили, пока вы его смотрели; посмотрите его ещё раз",
        "the draft was changed while you looked at it; look at it again",
    ),
    Refusal.SAME_PERSON: (
        "проект внесли вы; утвердить его должен другой человек",
        "you proposed it; another person has to approve",
    ),
    Refusal.BEGINS_TOO_EARLY: (
        "первый день должен быть позже сегодняшнего и позже начала прежней версии",
        "its first day must be after today, and after the first day of the version before",
    ),
    Refusal.CASE_FAILED: (
        "не сошлись примеры; посмотрите их (spk regulation test)",
        "test cases failed; look at them (spk regulation test)",
    ),
    Refusal.NOT_REPLAYED: (
        _NOT_REPLAYED_RU,
        _NOT_REPLAYED_EN,
    ),
}


class PublicationError(SpkError):
    """A version that does not come into force; nothing was changed."""

    exit_code: ClassVar[int] = 2

    def __init__(self, title: str, refusal: Refusal) -> None:
        super().__init__(title, refusal)
        self.title = title
        self.refusal = refusal

    def text(self, language: Language) -> str:
        """Return what stands against it, and what to do."""
        russian, english = _WORDS[self.refusal]
        return f"{self.title}: {russian if language == 'ru' else english}"

    def __str__(self) -> str:
        return self.text("en")


async def propose(
    connection: asyncpg.Connection,
    regulation: Regulation,
    body: bytes,
    by: str,
    elsewhere: Sequence[Connection] = (),
) -> None:
    """Keep a draft for another person to approve.

    `elsewhere` are sessions in the other databases of the centre, whose journals have a part of the
    service's history. Raises `DocumentError` and `PublicationError`.
    """
    store = RegulationStore(connection)
    await _require_sound(connection, regulation, await store.directory())
    if not await _replayed(connection, regulation, body, elsewhere):
        raise PublicationError(regulation.title, Refusal.NOT_REPLAYED)
    _require_nothing_against(regulation.title, await store.propose(regulation, body, by))


async def approve(
    connection: asyncpg.Connection, service: str, version: int, by: str, today: date
) -> Regulation:
    """Put a draft in force from its first day; return it.

    Raises `DocumentError` when the directory no longer knows what it refers to, and
    `PublicationError`.
    """
    store = RegulationStore(connection)
    title = f"{service} v{version}"
    body = await store.document(service, version)
    if body is None:
        raise PublicationError(title, Refusal.NOT_PROPOSED)
    regulation = read_regulation(body, title)
    await _require_sound(connection, regulation, await store.directory())
    against = await store.approve(compile_regulation(regulation), body, by, today)
    _require_nothing_against(title, against)
    return regulation


async def _replayed(
    connection: asyncpg.Connection,
    regulation: Regulation,
    body: bytes,
    elsewhere: Sequence[Connection],
) -> bool:
    """Whether the draft went through enough of what the service did, or there is nothing."""

    async def used(before: date | None = None, after: date | None = None) -> bool:
        service = regulation.regulation.service
        for database in (connection, *elsewhere):
            if await database.fetchval(_HAS_HISTORY, service, before, after):
                return True
        return False

    if not await used():
        return True
    for first, last in await periods(connection, hashlib.sha256(body).digest()):
        enough = (last - first).days + 1 >= REPLAY_DAYS_MIN or not await used(before=first)
        if enough and not await used(after=last + timedelta(days=REPLAY_AGE_DAYS_MAX)):
            return True
    return False


async def _require_sound(
    connection: asyncpg.Connection, regulation: Regulation, directory: Directory
) -> None:
    check_regulation(regulation, directory)
    results: Sequence[CaseResult] = await run_cases(connection, regulation, directory)
    if not all(result.passed for result in results):
        raise PublicationError(regulation.title, Refusal.CASE_FAILED)


def _require_nothing_against(title: str, against: str | None) -> None:
    if against is not None:
        raise PublicationError(title, Refusal(against))
