"""The tokens of personalization stations: `NAME.SECRET`, of which the centre keeps the SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

from processing.cards.store import CardStore
from processing.kernel.errors import ConfigurationError

SECRET_BYTES: Final = 32
TOKEN_CHARACTERS_MAX: Final = 128
STATION_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,32}")

_NO_STATION: Final = bytes(32)
"""Compared with when the name is unknown, so that both ways take the same time."""


def new_token(station_id: str) -> str:
    """Return a fresh token; raises `ConfigurationError` for a name that no station may have."""
    if not STATION_NAME.fullmatch(station_id):
        raise ConfigurationError(
            f"{station_id!r} is no station name: 1 to 32 letters A-Z a-z, digits and hyphens"
        )
    return f"{station_id}.{secrets.token_urlsafe(SECRET_BYTES)}"


def token_sha256(token: str) -> bytes:
    """Return what the centre keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


async def station_of(store: CardStore, token: str) -> str | None:
    """Return the active station that this token belongs to; None for any other text."""
    station_id, _, secret = token.partition(".")
    if len(token) > TOKEN_CHARACTERS_MAX or not STATION_NAME.fullmatch(station_id) or not secret:
        return None
    kept = await store.station_token_sha256(station_id)
    fits = hmac.compare_digest(kept or _NO_STATION, token_sha256(token))
    return station_id if fits else None
