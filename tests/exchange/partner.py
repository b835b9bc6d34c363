"""A served exchange and a partner that speaks with it, each message held to the description."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from processing.exchange.dci.attributes import Part
from processing.exchange.dci.envelope import enclose, iso
from processing.exchange.dci.server import Server
from processing.exchange.dci.signature import Algorithm, SigningKeys, new_signing_keys
from processing.exchange.dci.store import DciStore
from processing.gateways.http import HttpParts, http_application
from processing.kernel.clock import ManualClock
from processing.kernel.database import SessionLimits, open_pool
from processing.kernel.metrics import new_registry, page_of
from processing.kernel.roles import Role
from tests.exchange.published import Published
from tests.plugins.postgres import Database

NOW_MS = 1_795_000_000_000
CENTRE = "sr.region99.example"
PARTNER, OTHER = "spmis.example.org", "pensions.example.org"
CALLBACK = "http://localhost:9/callback"
BENEFITS, PENSIONS = "benefits", "pensions"
ACTIONS = {
    "/registry/sync/search": "search",
    "/registry/search": "search",
    "/registry/subscribe": "subscribe",
    "/registry/unsubscribe": "unsubscribe",
    "/registry/txn/status": "txn-status",
    "/registry/sync/txn/status": "txn-status",
    "/registry/on-search": "on-search",
    "/registry/on-subscribe": "on-subscribe",
    "/registry/on-unsubscribe": "on-unsubscribe",
    "/registry/notify": "notify",
    "/registry/txn/on-status": "txn-on-status",
}

Client = TestClient[web.Request, web.Application]


class Partner:
    """A registered participant, its keys and token, and the client it speaks through."""

    def __init__(self, peer_id: str, client: Client, clock: ManualClock) -> None:
        self.peer_id = peer_id
        self.client = client
        self.clock = clock
        self.keys: SigningKeys = new_signing_keys()
        self.token = f"{peer_id}.secret-of-{len(peer_id)}"
        self.algorithm = Algorithm.ED25519
        self.published: Published | None = None

    def header(self, path: str, **changes: Any) -> dict[str, Any]:
        """Give a right header for a path, changed as told; a field set to None is left out."""
        header = {
            "version": "1.0.0",
            "message_id": uuid4().hex,
            "message_ts": iso(self.clock.utc_ms()),
            "action": ACTIONS.get(path, "search"),
            "sender_id": self.peer_id,
            "receiver_id": CENTRE,
            "total_count": 1,
            **({"status": "succ"} if "on-" in path or "notify" in path else {}),
            **changes,
        }
        return {name: value for name, value in header.items() if value is not None}

    def body(
        self, path: str, message: object, signature: str | None = None, **changes: Any
    ) -> bytes:
        """Give a signed message."""
        header = msgspec.json.encode(self.header(path, **changes))
        inside = msgspec.json.encode(message)
        now_s = self.clock.utc_ms() // 1000
        signed = self.keys.sign(self.algorithm, self.peer_id, header, inside, now_s)
        return enclose(signed if signature is None else signature, header, inside)

    async def post(
        self, path: str, body: bytes, token: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Send bytes; status and answer, which must be what the description says."""
        headers.setdefault("Authorization", f"Bearer {token or self.token}")
        headers.setdefault("Content-Type", "application/json")
        async with self.client.post(path, data=io.BytesIO(body), headers=headers) as answer:
            told = msgspec.json.decode(await answer.read(), type=dict[str, Any])
            if self.published is not None and path in ACTIONS:
                assert self.published.response_faults(path, answer.status, told) == []
            return answer.status, told

    async def ask(
        self, path: str, message: object, *, valid: bool = True, **changes: Any
    ) -> tuple[int, dict[str, Any]]:
        """Send a message, by default one that must be what the description says."""
        body = self.body(path, message, **changes)
        if valid and self.published is not None:
            assert self.published.request_faults(path, msgspec.json.decode(body)) == []
        return await self.post(path, body)

    async def search(self, criteria: dict[str, Any], **item: Any) -> dict[str, Any]:
        """Search for one thing at once; the one answer."""
        status, told = await self.ask(
            "/registry/sync/search", self.searches(criteria, **item), valid=not item
        )
        assert status == 200, told
        (answer,) = told["message"]["search_response"]
        return dict(answer)

    def searches(self, *criteria: dict[str, Any], **item: Any) -> dict[str, Any]:
        """Give the message of a search."""
        return {
            "transaction_id": uuid4().hex,
            "search_request": [
                {
                    "reference_id": f"ref-{number}",
                    "timestamp": iso(self.clock.utc_ms()),
                    "search_criteria": {
                        "authorize": {"purpose": {"code": BENEFITS}},
                        **one,
                    },
                    "locale": "eng",
                    **item,
                }
                for number, one in enumerate(criteria)
            ],
        }


def by_id(number: str, kind: str = "SNILS", **more: Any) -> dict[str, Any]:
    """Give the criteria of a search by an identifier."""
    return {"query_type": "idtype-value", "query": {"type": kind, "value": number}, **more}


def by_expression(query: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Give the criteria of a search by an expression."""
    value = {"expression": {"collection": "Member", "query": query}}
    return {"query_type": "expression", "query": {"type": "expression", "value": value}, **more}


async def register(
    database: Database,
    partner: Partner,
    parts: Sequence[str] = tuple(Part),
    messages_per_minute: int = 60_000,
) -> None:
    """Make a partner known, for benefits by law and for pensions by consent."""
    async with database.connect(Role.OPERATOR) as connection:
        await connection.execute(
            "INSERT INTO exchange.peer VALUES ($1, $1, $2, $3, $4, NULL, $5, $6, $7)",
            partner.peer_id,
            msgspec.json.encode(partner.keys.jwks()).decode(),
            hashlib.sha256(partner.token.encode()).digest(),
            CALLBACK,
            partner.algorithm,
            list(parts),
            messages_per_minute,
        )
        await connection.executemany(
            "INSERT INTO exchange.peer_purpose VALUES ($1, $2, $3)",
            [(partner.peer_id, BENEFITS, False), (partner.peer_id, PENSIONS, True)],
        )


class Town:
    """A served exchange with two partners."""

    def __init__(self, database: Database, client: Client, clock: ManualClock) -> None:
        self.database = database
        self.clock = clock
        self.partner = Partner(PARTNER, client, clock)
        self.other = Partner(OTHER, client, clock)
        self.other.algorithm = Algorithm.ES256


@contextlib.asynccontextmanager
async def served_town(database: Database) -> AsyncIterator[Town]:
    """Serve the exchange from a populated database."""
    clock = ManualClock("Europe/Moscow", NOW_MS)
    limits = SessionLimits(connections_max=4)
    pool = await open_pool(database.dsn(Role.EXCHANGE), Role.EXCHANGE, "test", limits)
    server = Server(DciStore(pool), new_signing_keys(), CENTRE, clock)
    parts = HttpParts(measurements=page_of(new_registry()), probes={}, exchange=server)
    client: Client = TestClient(TestServer(http_application(parts)))
    await client.start_server()
    try:
        town = Town(database, client, clock)
        for partner in (town.partner, town.other):
            await register(database, partner)
        yield town
    finally:
        await client.close()
        await pool.close()
