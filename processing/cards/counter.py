"""What the office's commands share: the way to its database, words that must be said."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from processing.kernel.clock import Clock, SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS, DatabasePool
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets

APPLICATION_NAME: Final = "spk cards"
_R = TypeVar("_R")


def at_office(work: Callable[[DatabasePool, Clock], Awaitable[_R]]) -> _R:
    """Do something with the home database, acting as spk_issuing."""

    async def run() -> _R:
        settings = read_settings(os.environ)
        async with open_targets(
            settings, Role.ISSUING, APPLICATION_NAME, limits=REPORTING_LIMITS
        ) as targets:
            return await work(targets.home, SystemClock(settings.time_zone))

    return asyncio.run(run())


def said(text: str) -> str:
    """Return a name or a reason that somebody has to give; raises `ConfigurationError`."""
    if not text.strip():
        raise ConfigurationError("назовите себя и причину / say who you are and why")
    return text.strip()
