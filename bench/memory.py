"""Watches how large the processes of a program grow."""

from __future__ import annotations

import threading
from typing import Final

from bench import usage

MEMORY_EVERY_SECONDS: Final = 2.0


class MemorySampler:
    """Looks every few seconds how large the largest process of a tree is, until stopped."""

    def __init__(self, process_id: int) -> None:
        self._process_id = process_id
        self._seen: list[int] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> tuple[int, ...]:
        """Return the sizes seen, in bytes."""
        self._stopped.set()
        self._thread.join()
        return tuple(self._seen)

    def _look(self) -> None:
        while True:
            self._seen.append(max(usage.memory_of_members(self._process_id).values(), default=0))
            if self._stopped.wait(MEMORY_EVERY_SECONDS):
                return
