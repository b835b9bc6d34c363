"""The rules that this terminal has beside its parameter file: fetched from the centre, if signed.

They lie in rules.signed in the state folder and take the place of the parameter file's services and
items. What is fetched is checked before it takes the file's place, and an older issue is not taken,
so that a bad download never costs the rules at hand.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from processing.wire.parameter_file import ParameterFile
from processing.wire.rules_file import RULES_MAX_BYTES, Rules, RulesFileError, SignedRules
from terminal_sim.errors import TerminalError
from terminal_sim.stop_lists import write_whole

RULES_NAME: Final = "rules.signed"
RULES_FETCH_TIMEOUT_MS: Final = 30_000
"""Longest wait for the next bytes of a download."""

FetchRules = Callable[[], bytes | None]
"""Fetches this terminal's rules; None: the centre has none for it."""


class RulesShelf:
    """The rules in one state folder. A file that is damaged is as good as none."""

    def __init__(self, folder: Path, parameters: ParameterFile) -> None:
        self._file = folder / RULES_NAME
        self._parameters = parameters

    def rules(self) -> Rules | None:
        """Return the rules at hand, None if there are none or they are not believed."""
        try:
            return self._believed(self._file.read_bytes())
        except (OSError, RulesFileError):
            return None

    def parameters(self) -> ParameterFile:
        """Return the terminal's parameters under the newest rules at hand."""
        rules = self.rules()
        return self._parameters if rules is None else rules.applied_to(self._parameters)

    def renew(self, fetch: FetchRules) -> bool:
        """Fetch the rules and keep them if they are newer; whether they were.

        Raises `TerminalError` for what is not believed and when the centre is away.
        """
        data = fetch()
        if data is None:
            return False
        try:
            fetched = self._believed(data)
        except RulesFileError as error:
            raise TerminalError(
                f"Правила не приняты: {error}", f"rules not taken: {error}"
            ) from error
        known = self.rules()
        if known is not None and fetched.issued_at_ms <= known.issued_at_ms:
            return False
        write_whole(self._file, data)
        return True

    def _believed(self, data: bytes) -> Rules:
        keys = self._parameters.content_keys
        rules = SignedRules.decode(data).rules(self._parameters.terminal_id, keys)
        if faults := rules.applied_to(self._parameters).faults():
            raise RulesFileError(f"the rules are wrong: {'; '.join(faults)}")
        return rules


def rules_fetcher(parameters: ParameterFile, url: str | None) -> FetchRules:
    """Return what fetches over HTTP; `url` comes before the address in the parameter file."""
    base = (url or parameters.content_url).rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise TerminalError(
            "Не указано, откуда брать правила: --from http://…",
            "nothing says where to fetch the rules: --from http://…",
        )
    address = f"{base}/terminals/v1/rules/{parameters.terminal_id}"

    def fetch() -> bytes | None:
        try:
            # The scheme was checked above: no file of this machine is read.
            with urllib.request.urlopen(  # noqa: S310
                address, timeout=RULES_FETCH_TIMEOUT_MS / 1000
            ) as answer:
                data: bytes = answer.read(RULES_MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise _away(base, f"HTTP {error.code}") from error
        except OSError as error:
            raise _away(base, str(error)) from error
        return data

    return fetch


def _away(base: str, what: str) -> TerminalError:
    return TerminalError(f"Правила не получены, {base}: {what}", f"no rules from {base}: {what}")
