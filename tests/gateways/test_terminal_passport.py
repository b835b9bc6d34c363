"""Who may renew passports over HTTP: terminals that prove themselves and were allowed to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from uuid import UUID

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from hsm_stub.client.commands import CardAdminStarted
from processing.cards.model import Card, CardCode
from processing.cards.passport_refresh import PassportRefresh
from processing.gateways.http import HttpParts, http_application
from processing.gateways.terminal_passport import PassportParts
from processing.kernel.clock import ManualClock
from processing.kernel.database import open_pool
from processing.kernel.metrics import new_registry, page_of
from processing.kernel.roles import Role
from processing.terminals.keys import TerminalKeys
from processing.terminals.store import TerminalStore
from processing.wire.api import CardPassport
from processing.wire.passport_refresh import (
    BEGIN_PATH,
    FINISH_PATH,
    REFRESH_BODY_BYTES_MAX,
    BeginRefresh,
    FinishRefresh,
    RefreshStarted,
)
from processing.wire.terminal_http import CLOCK_SKEW_MAX_MS, Claim
from tests.authorization.world import TERMINAL, build
from tests.plugins.postgres import Database

NOW_MS = 1_790_000_000_000
KEY = bytes(range(16))
CARD = UUID(int=77)
BEGIN = msgspec.json.encode(BeginRefresh(card_id=CARD, passport_sha256=b"", witness=bytes(16)))
FINISH = msgspec.json.encode(FinishRefresh(handle=b"h" * 16, response=bytes(16)))


class Behind:
    """What the gateway stands on, beyond the database: one card, its passport, its 9B key."""

    async def derive_terminal_key(self, _terminal_id: str, _key_id: int, _master: int) -> bytes:
        """Derive every terminal the same key."""
        return KEY

    async def for_card(self, _card_id: UUID, _read_by: str) -> bytes | None:
        """Return a passport."""
        return b"passport"

    async def card(self, card_id: UUID) -> Card | None:
        """Return the card."""
        found = Card(card_id=card_id, card_number="", state=CardCode.ACTIVE, valid_to=date.max)
        return found if card_id == CARD else None

    async def card_admin_begin(
        self, _guid: bytes, _version: int, _witness: bytes, _master: int = 0
    ) -> CardAdminStarted:
        """Begin."""
        return CardAdminStarted(handle=b"h" * 16, witness=b"w" * 16, challenge=b"c" * 16)

    async def card_admin_finish(self, _handle: bytes, _response: bytes) -> None:
        """Believe the card."""


Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[Client]:
    """Give the gateway, with a terminal that may renew passports."""
    async with database.connect() as connection:
        await build(connection)
    async with database.connect(Role.OPERATOR) as connection:
        assert await connection.fetchval("SELECT terminals.let_write_passports($1, TRUE)", TERMINAL)
    pool = await open_pool(database.dsn(Role.PROCESSING), Role.PROCESSING, "test")
    store, behind = TerminalStore(pool), Behind()
    parts = PassportParts(
        PassportRefresh(behind, behind, behind, lambda: 0),
        store,
        TerminalKeys(store, behind),
        ManualClock("Europe/Moscow", NOW_MS),
    )
    app = http_application(
        HttpParts(measurements=page_of(new_registry()), probes={}, passports=parts)
    )
    async with TestClient(TestServer(app)) as opened:
        yield opened
    await pool.close()


async def say(client: Client, path: str, body: bytes, header: str = "") -> tuple[int, bytes]:
    """Post as a terminal does; the status and what was answered."""
    header = header or claim(path, body).header
    answer = await client.post(path, data=body, headers={"Authorization": header})
    return answer.status, await answer.read()


def claim(path: str, body: bytes, now_ms: int = NOW_MS, key_id: int = 1, key: bytes = KEY) -> Claim:
    """Claim to be the terminal."""
    return Claim.of(TERMINAL, key_id, key, now_ms, path, body)


async def test_a_terminal_gets_the_passport_of_the_card_at_hand(client: Client) -> None:
    status, answer = await say(client, BEGIN_PATH, BEGIN)
    assert status == 200
    assert msgspec.json.decode(answer, type=RefreshStarted).witness == b"w" * 16
    status, answer = await say(client, FINISH_PATH, FINISH)
    assert (status, msgspec.json.decode(answer, type=CardPassport).passport) == (200, b"passport")
    assert (await say(client, FINISH_PATH, FINISH))[0] == 409


REFUSED = [
    "Bearer token",
    "SPK-MAC",
    f"SPK-MAC {TERMINAL}:x:1:00",
    "SPK-MAC " + ":" * 200,
    claim(BEGIN_PATH, BEGIN, key=bytes(16)).header,
    claim(BEGIN_PATH, BEGIN, key_id=9).header,
    claim(FINISH_PATH, BEGIN).header,
    claim(BEGIN_PATH, FINISH).header,
    claim(BEGIN_PATH, BEGIN, NOW_MS - CLOCK_SKEW_MAX_MS - 1).header,
    claim(BEGIN_PATH, BEGIN, NOW_MS + CLOCK_SKEW_MAX_MS + 1).header,
    claim(BEGIN_PATH, BEGIN).header.replace(TERMINAL, "X9999999"),
]


@pytest.mark.parametrize("header", REFUSED)
async def test_who_is_not_the_terminal_is_refused(client: Client, header: str) -> None:
    assert (await say(client, BEGIN_PATH, BEGIN, header))[0] == 401


@pytest.mark.parametrize(
    "change", ["terminals.let_write_passports($1, FALSE)", "terminals.set_state($1, 2::smallint)"]
)
async def test_a_terminal_that_may_not_is_refused(
    client: Client, database: Database, change: str
) -> None:
    async with database.connect(Role.OPERATOR) as connection:
        await connection.fetchval(f"SELECT {change}", TERMINAL)
    assert (await say(client, BEGIN_PATH, BEGIN))[0] == 403


async def test_what_is_no_request_is_told(client: Client) -> None:
    long = b"x" * (REFRESH_BODY_BYTES_MAX + 1)
    unknown = BEGIN.replace(str(CARD).encode(), str(UUID(int=78)).encode())
    for body, status in ((b"{}", 400), (b"\xff", 400), (unknown, 404), (long, 401)):
        assert (await say(client, BEGIN_PATH, body))[0] == status
