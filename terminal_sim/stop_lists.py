"""The stop-lists that this terminal has: fetched from the centre or a mirror, believed if signed.

Two files lie in the state folder, stop-list.complete and stop-list.increment. What is fetched is
checked before it takes a file's place, so that a bad download never costs the list at hand.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from processing.wire.parameter_file import ParameterFile
from processing.wire.stop_list import (
    SIZE_MAX_BYTES,
    StopList,
    StopListError,
    StopListFault,
    StopLists,
)
from terminal_sim.errors import TerminalError

COMPLETE_NAME: Final = "stop-list.complete"
INCREMENT_NAME: Final = "stop-list.increment"
FETCH_TIMEOUT_MS: Final = 30_000
"""Longest wait for the next bytes of a download."""

Fetch = Callable[[str, int | None], bytes | None]
"""Fetches a path unless its newest version is this number; None: it is, or there is no file."""


class StopListShelf:
    """The lists in one state folder. A file that is damaged is as good as none."""

    def __init__(self, folder: Path, public_keys: tuple[bytes, ...]) -> None:
        self._folder = folder
        self._public_keys = public_keys
        self.lists = self._read()

    def _read(self) -> StopLists | None:
        complete = self._file(COMPLETE_NAME)
        if complete is None:
            return None
        try:
            return StopLists(complete, self._file(INCREMENT_NAME))
        except StopListError:
            # The increment belongs to a complete list that was replaced.
            return StopLists(complete)

    def _file(self, name: str) -> StopList | None:
        try:
            return StopList.decode((self._folder / name).read_bytes(), self._public_keys)
        except (OSError, StopListError):
            return None

    def renew(self, fetch: Fetch) -> StopLists:
        """Fetch what is newer and return the lists; raises `TerminalError` when there is none."""
        try:
            for name, path in ((COMPLETE_NAME, "complete"), (INCREMENT_NAME, "increment")):
                at_hand = self._file(name)
                self._take(name, fetch(path, None if at_hand is None else at_hand.head.number))
        except StopListError as error:
            raise TerminalError(
                f"Стоп-лист не принят: {error.fault.ru}", f"stop-list not taken: {error.fault.en}"
            ) from error
        self.lists = self._read()
        if self.lists is None:
            raise TerminalError(
                "У центра ещё нет стоп-листа: повторите через несколько минут",
                "the centre has no stop-list yet: ask again in a few minutes",
            )
        return self.lists

    def _take(self, name: str, data: bytes | None) -> None:
        if data is None:
            return
        fetched = StopList.decode(data, self._public_keys)
        known = self._file(name)
        if known is not None and fetched.head.number < known.head.number:
            raise StopListError(StopListFault.OLDER)
        write_whole(self._folder / name, data)


def fetcher(parameters: ParameterFile, url: str | None) -> Fetch:
    """Return what fetches over HTTP; `url` comes before the address in the parameter file."""
    base = (url or parameters.content_url).rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise TerminalError(
            "Не указано, откуда брать стоп-лист: --from http://…",
            "nothing says where to fetch the stop-list: --from http://…",
        )

    def fetch(name: str, number: int | None) -> bytes | None:
        # The scheme was checked above: no file of this machine is read.
        request = urllib.request.Request(f"{base}/terminals/v1/stop-list/{name}")  # noqa: S310
        if number is not None:
            request.add_header("If-None-Match", f'"{number}"')
        try:
            with urllib.request.urlopen(request, timeout=FETCH_TIMEOUT_MS / 1000) as answer:  # noqa: S310
                data: bytes = answer.read(SIZE_MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            if error.code in (304, 404):
                return None
            raise _away(base, f"HTTP {error.code}") from error
        except OSError as error:
            raise _away(base, str(error)) from error
        return data

    return fetch


def _away(base: str, what: str) -> TerminalError:
    return TerminalError(
        f"Стоп-лист не получен, {base}: {what}", f"no stop-list from {base}: {what}"
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that whoever reads it finds the old one or the whole new one."""
    aside = path.with_name(f"{path.name}.new")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
