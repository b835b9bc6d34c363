"""What the commands of `spk eligibility` share: sessions, languages, what is told on failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

from processing.eligibility.applications import ApplicationError
from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS, Connection, DatabasePool
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.register.rights import deliver_rights
from processing.regulations.faults import DocumentError, Language
from processing.regulations.publication import PublicationError

AWAY: Final = "база недоступна, права дойдут до неё позже / away, it gets its rights later"

APPLICATION_NAME: Final = "spk eligibility"

Result = TypeVar("Result")


def with_pool(work: Callable[[DatabasePool], Awaitable[Result]]) -> Result:
    """Return what `work` makes of the home database, as the role of the register.

    Rights that it granted are handed to the databases that serve their holders; one that is away
    gets them the next time.
    """
    settings = read_settings(os.environ)

    async def run() -> Result:
        async with open_targets(
            settings, Role.REGISTER, APPLICATION_NAME, REPORTING_LIMITS, patient=True
        ) as targets:
            result = await work(targets.home)
            for number in await deliver_rights(targets):
                print(f"{AWAY}: {number}", file=sys.stderr)
            return result

    return asyncio.run(run())


def with_database(work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Return what `work` makes of one connection; each statement commits by itself."""

    async def run(pool: DatabasePool) -> Result:
        async with pool.connection() as connection:
            return await work(connection)

    return with_pool(run)


def in_transaction(work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Return what `work` makes of one transaction."""

    async def run(pool: DatabasePool) -> Result:
        async with pool.transaction() as connection:
            return await work(connection)

    return with_pool(run)


def local_today() -> date:
    """Return the region's calendar date."""
    return SystemClock(read_settings(os.environ).time_zone).local_date()


@contextlib.contextmanager
def told(lang: Language) -> Iterator[None]:
    """Tell what is wrong in the reader's language, and leave."""
    try:
        yield
    except (DocumentError, PublicationError, ApplicationError) as error:
        print(error.text(lang), file=sys.stderr)
        sys.exit(error.exit_code)


def bytes_of(document: Path) -> bytes:
    """Return a document; raises `ConfigurationError` where it cannot be read."""
    try:
        return document.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{document}: {error.strerror}") from error


def reference_of(text: str) -> str:
    """Return a СНИЛС as its eleven digits, anything else as it is."""
    digits = text.replace("-", "").replace(" ", "")
    return digits if digits.isdecimal() else text
