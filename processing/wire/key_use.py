"""What still uses each generation of a key: told by the centre, read where keys are retired.

The key service knows its keys, the centre what was made with them; between the two stands this file
of JSON, which names nobody. `spk cards key-use` writes it, `spk hsm retire --use` reads it.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec

AGE_MAX_MS: Final = 24 * 3600 * 1000
"""Oldest report by which a generation is retired: since then cards may have been made."""


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a key: `users` cards or terminals, the last of them good until `last_day`.

    `key` is what the key service calls it; `generation` its number, of an issuing CA the key
    identifier of its certificate in hexadecimal.
    """

    key: str
    generation: str
    users: int
    last_day: date | None


class KeyUseReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that is in use, at a moment of UTC."""

    as_of_ms: int
    uses: tuple[KeyUse, ...]

    def of(self, key: str, generation: str) -> KeyUse | None:
        """Return what uses this generation; None: nothing."""
        for use in self.uses:
            if (use.key, use.generation) == (key, generation) and use.users:
                return use
        return None

    def encode(self) -> bytes:
        """Return the file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> KeyUseReport:
        """Return what a file says; raises `ValueError` for any other file."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"no report of the keys in use: {error}") from None
