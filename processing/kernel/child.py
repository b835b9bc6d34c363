"""A command run to its end in a process of its own, so that nobody here waits for its work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

WORDS_MAX: Final = 2_000
"""Most characters kept of what a command said, from its end."""


async def run_child(command: Sequence[str], timeout_seconds: float) -> tuple[str, str]:
    """Run a command; return what went wrong ("" if nothing) and what it said.

    One that has not ended after `timeout_seconds`, or whose caller is cancelled, is killed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return f"{command[0]}: {error}", ""
    try:
        async with asyncio.timeout(timeout_seconds):
            told, _ = await process.communicate()
    except TimeoutError:
        return f"no end within {timeout_seconds} s", ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # Its pipes are closed with it; else the loop may end before they are.
        await process.wait()
    words = told.decode(errors="replace").strip()[-WORDS_MAX:]
    return (words or f"exit code {process.returncode}", "") if process.returncode else ("", words)
