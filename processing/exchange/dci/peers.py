"""Who takes part in the exchange: registered, changed and listed by an operator."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from processing.exchange.dci.attributes import Part
from processing.exchange.dci.model import Peer
from processing.exchange.dci.signature import Algorithm
from processing.exchange.dci.store import read_peer
from processing.kernel.database import DatabasePool

SECRET_BYTES: Final = 32
PEERS_LISTED_MAX: Final = 500
"""Most participants that one list shows."""

_PUT: Final = "SELECT exchange.put_peer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_SET_ACTIVE: Final = "UPDATE exchange.peer SET active = $2 WHERE peer_id = $1 RETURNING TRUE"
_LIST: Final = """
    SELECT p.*, (
        SELECT jsonb_object_agg(u.purpose, u.needs_consent) FROM exchange.peer_purpose AS u
        WHERE u.peer_id = p.peer_id
    ) AS purposes
    FROM exchange.peer AS p
    ORDER BY p.peer_id
    LIMIT $1
"""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What is agreed with a participant; `purposes` as in `Peer`."""

    peer_id: str
    name: str
    jwks: bytes
    callback_uri: str | None
    registry_uri: str | None
    algorithm: Algorithm
    parts: Sequence[Part]
    messages_per_minute: int
    purposes: Mapping[str, bool]


class PeerStore:
    """The participants; the pool acts as `spk_operator`."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def put(self, registration: Registration, token: str | None) -> bool:
        """Register a participant or change what is agreed; `token` None leaves the one it has.

        False when it is new and there is no token.
        """
        async with self._pool.connection() as connection:
            return bool(
                await connection.fetchval(
                    _PUT,
                    registration.peer_id,
                    registration.name,
                    registration.jwks.decode(),
                    None if token is None else hashlib.sha256(token.encode()).digest(),
                    registration.callback_uri,
                    registration.registry_uri,
                    registration.algorithm,
                    list(registration.parts),
                    registration.messages_per_minute,
                    list(registration.purposes),
                    list(registration.purposes.values()),
                )
            )

    async def set_active(self, peer_id: str, *, active: bool) -> bool:
        """Suspend or resume the exchange with a participant; False: there is no such one."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_SET_ACTIVE, peer_id, active))

    async def peers(self) -> list[Peer]:
        """Return the participants by name."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_LIST, PEERS_LISTED_MAX)
        return [read_peer(row) for row in rows]


def new_token(peer_id: str) -> str:
    """Return a fresh bearer token `ID.SECRET`; the secret has no dot."""
    return f"{peer_id}.{secrets.token_urlsafe(SECRET_BYTES)}"
