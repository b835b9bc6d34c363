"""What card keeping does by the clock: stop-lists are issued."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from structlog.typing import FilteringBoundLogger

STOP_LIST_PAUSE_SECONDS: Final = 600
"""How long after one stop-list the next is issued."""
STOP_LIST_TIMEOUT_SECONDS: Final = 300
"""Longest time that making one may take: a million cards take half a minute."""
_WORDS_MAX: Final = 2_000


async def keep_issuing(command: Sequence[str], log: FilteringBoundLogger) -> None:
    """Run `command`, which issues a stop-list, at once and every ten minutes, until cancelled.

    It runs in a process of its own: no terminal waits while a million cards are hashed.
    """
    while True:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(STOP_LIST_TIMEOUT_SECONDS):
                told, _ = await process.communicate()
            words = told.decode(errors="replace").strip()[-_WORDS_MAX:]
        except TimeoutError:
            words = f"no end within {STOP_LIST_TIMEOUT_SECONDS} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if process.returncode:
            # Terminals go on by the list they have, as long as its age allows.
            log.error("stop-list not issued", fault=words)
        else:
            log.info("stop-list issued", told=words)
        await asyncio.sleep(STOP_LIST_PAUSE_SECONDS)
