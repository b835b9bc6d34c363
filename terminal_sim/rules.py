"""The rules that this terminal has beside its parameter file: fetched from the centre, if signed.

They lie in rules.signed in the state folder and take the place of the parameter file's services and
items. What is fetched is checked before it takes the file's place, and an older issue is not taken,
so that a bad download never costs the rules at hand.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from processing.wire.parameter_file import ParameterFile, ServiceParameters
from processing.wire.rules_file import (
    RULES_MAX_BYTES,
    Rules,
    RulesFileError,
    SignedRules,
    items_digest,
    rules_mark,
)
from terminal_sim.errors import TerminalError
from terminal_sim.stop_lists import write_whole
from terminal_sim.terminal import local_date, zone_of

RULES_NAME: Final = "rules.signed"
RULES_FETCH_TIMEOUT_MS: Final = 30_000
"""Longest wait for the next bytes of a download."""

RULES_WARNED_MINUTES: Final = 24 * 60
"""How long before its use ends a terminal is warned that its rules are old, and fetches anew."""

FetchRules = Callable[[str | None], bytes | None]
"""Fetches this terminal's rules unless its newest issue has this tag; None: it has, or there are
none for this terminal."""


class RulesShelf:
    """The rules in one state folder. A file that is damaged is as good as none."""

    def __init__(self, folder: Path, parameters: ParameterFile) -> None:
        self._file = folder / RULES_NAME
        self._parameters = parameters

    def rules(self) -> Rules | None:
        """Return the rules at hand, None if there are none or they are not believed."""
        known = self._at_hand()
        return None if known is None else known[1]

    def _at_hand(self) -> tuple[SignedRules, Rules] | None:
        try:
            data = self._file.read_bytes()
            return SignedRules.decode(data), self._believed(data)
        except (OSError, RulesFileError):
            return None

    def parameters(self, now_ms: int) -> ParameterFile:
        """Return the terminal's parameters under the newest rules at hand, of this day."""
        rules, today = self.rules(), local_date(now_ms, zone_of(self._parameters.time_zone))
        return self._parameters if rules is None else rules.applied_to(self._parameters, today)

    def coming(self, now_ms: int) -> tuple[ServiceParameters, ...]:
        """Return the versions at hand that begin after this day."""
        rules, today = self.rules(), local_date(now_ms, zone_of(self._parameters.time_zone))
        known = () if rules is None else rules.coming
        return tuple(one for one in known if one.valid_from is None or one.valid_from > today)

    @property
    def usable_until_ms(self) -> int | None:
        """Return until when the rules at hand may be used offline; None if there are none."""
        rules = self.rules()
        return None if rules is None else rules.usable_until_ms

    def behind(self, mark: str, now_ms: int) -> bool:
        """Whether to fetch: the centre names another mark than ours, or our issue grows old."""
        rules = self.rules()
        if not mark:
            return False
        own = self._parameters
        known = rules_mark(own.services, items_digest(own.items)) if rules is None else rules.mark
        return known != mark or rules is None or grows_old(rules.usable_until_ms, now_ms)

    def renew(self, fetch: FetchRules) -> bool:
        """Fetch the rules and keep them if they are newer; whether they were.

        Raises `TerminalError` for what is not believed and when the centre is away.
        """
        known = self._at_hand()
        data = fetch(None if known is None else known[0].tag)
        if data is None:
            return False
        try:
            fetched = self._believed(data)
        except RulesFileError as error:
            raise TerminalError(
                f"Правила не приняты: {error}", f"rules not taken: {error}"
            ) from error
        if known is not None and fetched.issued_at_ms <= known[1].issued_at_ms:
            return False
        write_whole(self._file, data)
        return True

    def _believed(self, data: bytes) -> Rules:
        keys = self._parameters.content_keys
        rules = SignedRules.decode(data).rules(self._parameters.terminal_id, keys)
        for day in (date.min, date.max):
            if faults := rules.applied_to(self._parameters, day).faults():
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

    def fetch(tag: str | None) -> bytes | None:
        # The scheme was checked above: no file of this machine is read.
        request = urllib.request.Request(address)  # noqa: S310
        if tag is not None:
            request.add_header("If-None-Match", f'"{tag}"')
        try:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=RULES_FETCH_TIMEOUT_MS / 1000
            ) as answer:
                data: bytes = answer.read(RULES_MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            if error.code in (304, 404):
                return None
            raise _away(base, f"HTTP {error.code}") from error
        except OSError as error:
            raise _away(base, str(error)) from error
        return data

    return fetch


def grows_old(usable_until_ms: int, now_ms: int) -> bool:
    """Whether the use of rules ends soon, or has ended."""
    return now_ms > usable_until_ms - RULES_WARNED_MINUTES * 60_000


def _away(base: str, what: str) -> TerminalError:
    return TerminalError(f"Правила не получены, {base}: {what}", f"no rules from {base}: {what}")
