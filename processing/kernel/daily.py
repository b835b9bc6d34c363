"""What the centre does once a day: commands, each in a process of its own, one after another.

What was done on which day stands in a file, so that a centre that was down at the hour makes up for
it when it starts, and one that is started twice a day does nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, time
from pathlib import Path
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from processing.kernel.child import run_child
from processing.kernel.clock import Clock
from processing.kernel.database import Connection

DAILY_TIMEOUT_SECONDS: Final = 4 * 3_600
"""Longest time that one command may take; what it has committed by then stays."""

DAILY_CHECK_SECONDS: Final = 60
"""How often the centre looks whether something is due."""

DAILY_RETRY_SECONDS: Final = 900
"""How long after a command that failed it is tried again."""


class DailyWork(msgspec.Struct, frozen=True):
    """A command for every day, and its name in the log and the file."""

    name: str
    command: Sequence[str]


class Daily:
    """Does what is due; its day begins at `at`, local time."""

    def __init__(
        self,
        works: Sequence[DailyWork],
        at: time,
        done_file: Path,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._works = works
        self._at = at
        self._done_file = done_file
        self._clock = clock
        self._log = log

    async def keep(self) -> None:
        """Do what is due, again and again, until cancelled."""
        while True:
            complete = await self.once()
            await asyncio.sleep(DAILY_CHECK_SECONDS if complete else DAILY_RETRY_SECONDS)

    async def once(self) -> bool:
        """Do what is due and was not done on this day; return whether all of it succeeded."""
        complete = True
        for work in self._works:
            day = self._day()
            if self._done().get(work.name) == day:
                continue
            fault, told = await run_child(work.command, DAILY_TIMEOUT_SECONDS)
            if fault:
                complete = False
                self._log.error("daily work failed", work=work.name, fault=fault)
                continue
            self._note(work.name, day)
            self._log.info("daily work done", work=work.name, told=told)
        return complete

    def _day(self) -> date:
        """Return the day whose work is due: it begins at the hour, not at midnight."""
        since_midnight_ms = (self._at.hour * 60 + self._at.minute) * 60_000
        return self._clock.local_date(self._clock.utc_ms() - since_midnight_ms)

    def _done(self) -> dict[str, date]:
        try:
            return msgspec.json.decode(self._done_file.read_bytes(), type=dict[str, date])
        except (OSError, msgspec.DecodeError):
            # Every work can be done again on its day: at worst it finds nothing left to do.
            return {}

    def _note(self, name: str, day: date) -> None:
        draft = self._done_file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self._done() | {name: day}))
        draft.replace(self._done_file)


async def only_one(connection: Connection, name: str) -> bool:
    """Whether this session is the only one at the work of that name, until it is closed."""
    return bool(
        await connection.fetchval(
            "SELECT pg_try_advisory_lock(hashtext('spk daily'), hashtext($1))", name
        )
    )
