"""The trust list that this terminal has: the centre's keys as they are now, believed by a chain.

It lies in trust.signed in the state folder and takes the place of the parameter file's keys. What
is fetched must be signed by a key at hand or by one that a key at hand leads to, and an older list
is not taken. So rotated keys need no new parameter file, and a bad download costs nothing.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from processing.wire.parameter_file import ParameterFile
from processing.wire.trust_list import (
    TRUST_LIST_MAX_BYTES,
    SignedTrustList,
    TrustList,
    TrustListError,
)
from terminal_sim.errors import TerminalError
from terminal_sim.stop_lists import write_whole

TRUST_NAME: Final = "trust.signed"
TRUST_FETCH_TIMEOUT_MS: Final = 30_000
"""Longest wait for the next bytes of a download."""

FetchTrust = Callable[[], bytes | None]
"""Fetches the trust list; None: the centre gives none out."""


class TrustShelf:
    """The trust list in one state folder. A file that is damaged is as good as none."""

    def __init__(self, folder: Path, parameters: ParameterFile) -> None:
        self._file = folder / TRUST_NAME
        self._parameters = parameters
        self.trusted = self._read()

    def parameters(self) -> ParameterFile:
        """Return the terminal's parameters with the newest keys at hand."""
        trusted = self.trusted
        return self._parameters if trusted is None else trusted.applied_to(self._parameters)

    def usable(self, now_ms: int) -> bool:
        """Return whether the keys at hand may be relied on without asking the centre.

        Those of the parameter file are, as long as no list came after them.
        """
        return self.trusted is None or now_ms < self.trusted.ends_at_ms

    def renew(self, fetch: FetchTrust) -> bool:
        """Fetch the list and keep it if it is newer; whether it was.

        Raises `TerminalError` for what is not believed and when the centre is away.
        """
        data = fetch()
        if data is None:
            return False
        try:
            # Of what is kept, only the keys at hand count: one that was retired vouches no more.
            fetched = SignedTrustList.decode(data).trusted(self.parameters().content_keys)
        except TrustListError as error:
            raise TerminalError(
                f"Список ключей не принят: {error.fault.ru}",
                f"trust list not taken: {error.fault.en}",
            ) from error
        if faults := fetched.applied_to(self._parameters).faults():
            listed = "; ".join(faults)
            raise TerminalError(
                f"Список ключей не принят: {listed}", f"trust list not taken: {listed}"
            )
        if self.trusted is not None and fetched.issued_at_ms <= self.trusted.issued_at_ms:
            return False
        write_whole(self._file, data)
        self.trusted = fetched
        return True

    def _read(self) -> TrustList | None:
        """Return the list at hand: it was believed when it came, and is checked again."""
        try:
            kept = SignedTrustList.decode(self._file.read_bytes())
            return kept.trusted(self._parameters.content_keys)
        except (OSError, TrustListError):
            return None


def trust_fetcher(
    parameters: ParameterFile, url: str | None, *, timeout_ms: int = TRUST_FETCH_TIMEOUT_MS
) -> FetchTrust:
    """Return what fetches over HTTP; `url` comes before the address in the parameter file."""
    base = (url or parameters.content_url).rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise TerminalError(
            "Не указано, откуда брать список ключей: --from http://…",
            "nothing says where to fetch the trust list: --from http://…",
        )

    def fetch() -> bytes | None:
        try:
            # The scheme was checked above: no file of this machine is read.
            with urllib.request.urlopen(  # noqa: S310
                f"{base}/terminals/v1/trust", timeout=timeout_ms / 1000
            ) as answer:
                data: bytes = answer.read(TRUST_LIST_MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise _away(base, f"HTTP {error.code}") from error
        except OSError as error:
            raise _away(base, str(error)) from error
        return data

    return fetch


def _away(base: str, what: str) -> TerminalError:
    return TerminalError(
        f"Список ключей не получен, {base}: {what}", f"no trust list from {base}: {what}"
    )
