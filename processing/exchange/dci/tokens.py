"""The files of the exchange under SPK_HOME/exchange: signing keys, and tokens of others.

| file | holds |
| --- | --- |
| keys.json | the centre's private keys, a JWK Set |
| name | how the centre names itself (sender_id) |
| tokens/ID | the bearer token that participant ID gave the centre |

All have mode 0600. The key service signs no bytes of a caller's choice, so it is no place for
these keys; whoever reads the file can speak in the centre's name, and nothing more.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Final

from processing.exchange.dci.signature import SigningKeys, new_signing_keys, read_signing_keys
from processing.kernel.errors import ConfigurationError
from processing.kernel.private_file import write_private_file

PEER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,98}")


class ExchangeFolder:
    """SPK_HOME/exchange."""

    def __init__(self, home: Path) -> None:
        self._path = home / "exchange"

    def exists(self) -> bool:
        """Whether `create` was called."""
        return (self._path / "keys.json").exists()

    def create(self, sender_id: str, *, replace: bool) -> None:
        """Make keys and keep the centre's name; raises `ConfigurationError` if there are some."""
        check_peer_id(sender_id)
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = self._path / "keys.json"
        if replace and keys.exists():
            # What was signed with them can still be checked by who kept the old set.
            keys.rename(self._path / "keys.before.json")
        write_private_file(keys, new_signing_keys().encode())
        write_private_file(self._path / "name", f"{sender_id}\n".encode(), replace=True)

    def keys(self) -> SigningKeys:
        """Return the centre's keys; raises `ConfigurationError` when there are none."""
        try:
            return read_signing_keys((self._path / "keys.json").read_bytes())
        except OSError:
            raise ConfigurationError(
                "the exchange has no keys yet: spk exchange init NAME makes them"
            ) from None
        except ValueError as error:
            raise ConfigurationError(f"{self._path / 'keys.json'}: {error}") from None

    def sender_id(self) -> str:
        """Return how the centre names itself."""
        try:
            return (self._path / "name").read_text(encoding="utf-8").strip()
        except OSError:
            raise ConfigurationError(
                "the exchange has no name yet: spk exchange init NAME gives it one"
            ) from None

    def tokens(self) -> OutgoingTokens:
        """Return the tokens that participants gave the centre."""
        return OutgoingTokens(self._path / "tokens")


class OutgoingTokens:
    """A folder with a file for each participant."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, peer_id: str) -> str | None:
        """Return the token for a participant; None when it gave none."""
        with contextlib.suppress(OSError):
            return (self._path / peer_id).read_text(encoding="utf-8").strip() or None
        return None

    def keep(self, peer_id: str, token: str) -> None:
        """Keep a participant's token."""
        check_peer_id(peer_id)
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_file(self._path / peer_id, f"{token}\n".encode(), replace=True)


def check_peer_id(peer_id: str) -> None:
    """Raise `ConfigurationError` for a name that no participant may have."""
    if not PEER_ID.fullmatch(peer_id):
        raise ConfigurationError(
            f"{peer_id!r} is no participant's name: 1 to 99 letters, digits, dots, hyphens, "
            "underscores and colons, such as pensions.example.org"
        )
