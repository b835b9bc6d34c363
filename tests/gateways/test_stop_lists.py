"""Stop-lists on their whole way: cards, signed file, HTTP, the terminal's folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from processing.cards.stop_list import StopListStore, issue_stop_list
from processing.gateways.http import HttpParts, http_application
from processing.kernel.clock import SystemClock
from processing.kernel.database import DatabasePool, open_pool
from processing.kernel.metrics import new_registry, page_of
from processing.kernel.roles import Role
from processing.wire.statement import Domain
from terminal_sim.stop_lists import StopListShelf, fetcher
from tests.plugins.postgres import Database
from tests.plugins.stop_lists import PUBLIC_KEY, signer_of
from tests.plugins.town import build_town, citizen
from tests.terminal_sim import world

sign = signer_of(Domain.STOP_LIST)
CLOCK = SystemClock("Europe/Moscow")
MARIA = citizen(1)
MARIAS_CARD = UUID(bytes=MARIA.card_id)

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[DatabasePool]:
    """Give connections as spk_issuing to a town with Maria's card."""
    async with database.connect() as connection:
        await build_town(connection)
    pool = await open_pool(database.dsn(Role.ISSUING), Role.ISSUING, "test")
    yield pool
    await pool.close()


@pytest.fixture
async def client(pool: DatabasePool) -> AsyncIterator[Client]:
    """Give the HTTP gateway with the stop-lists alone."""
    parts = HttpParts(
        measurements=page_of(new_registry()), probes={}, stop_lists=StopListStore(pool)
    )
    async with TestClient(TestServer(http_application(parts))) as client:
        yield client


async def test_a_stopped_card_reaches_the_terminal(
    client: Client, pool: DatabasePool, tmp_path: Path
) -> None:
    store = StopListStore(pool)
    await issue_stop_list(store, sign, 99, CLOCK)
    shelf = StopListShelf(tmp_path, (PUBLIC_KEY,))
    fetch = fetcher(world.parameters(), f"http://127.0.0.1:{client.port}")
    before = await asyncio.to_thread(shelf.renew, fetch)
    async with pool.connection() as connection:
        await connection.execute("SELECT cards.set_state($1, 2::smallint)", MARIAS_CARD)
    await issue_stop_list(store, sign, 99, CLOCK)
    after = await asyncio.to_thread(shelf.renew, fetch)
    assert (before.newest.number, before.stops(MARIAS_CARD)) == (1, False)
    assert (after.newest.number, after.stops(MARIAS_CARD)) == (2, True)
    assert after.complete.head == before.complete.head


@pytest.mark.parametrize(
    ("name", "known", "status"),
    [
        ("complete", None, 200),
        ("complete", '"1"', 304),
        ("complete", '"7"', 200),
        ("increment", None, 404),
        ("other", None, 404),
    ],
)
async def test_what_is_at_hand_is_not_sent_again(
    client: Client, pool: DatabasePool, name: str, known: str | None, status: int
) -> None:
    await issue_stop_list(StopListStore(pool), sign, 99, CLOCK)
    headers = {} if known is None else {"If-None-Match": known}
    async with client.get(f"/terminals/v1/stop-list/{name}", headers=headers) as answer:
        body = await answer.read()
    assert answer.status == status
    assert (answer.headers.get("ETag") == '"1"') is (status != 404)
    assert (len(body) > 0) is (status != 304)
