"""Batches, stages, faces and blanks over HTTP: every path answers, every refusal is a problem."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from processing.cards.stations import new_token, token_sha256
from processing.cards.store import CardStore
from processing.gateways.http import HttpParts, http_application
from processing.kernel.database import open_pool
from processing.kernel.metrics import new_registry, page_of
from processing.kernel.roles import Role
from processing.wire.api import CardOrder, Problem
from processing.wire.batches import BatchList, BlankBalance, CardBatch, CardFace, OrderPage
from tests.cards import population as p
from tests.cards.ordering import CHIEF, STATION, TODAY, OrderingOffice
from tests.plugins.postgres import Database


class Counter:
    """A served gateway with one station and a batch of two people."""

    def __init__(
        self, client: TestClient[web.Request, web.Application], token: str, office: OrderingOffice
    ) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}
        self.office = office

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Send one request as the station; status and body."""
        data = None if body is None else msgspec.json.encode(body)
        async with self.client.request(
            method, f"/issuing/v1{path}", data=data, headers=self.headers
        ) as answer:
            return answer.status, await answer.read()

    async def told(self, method: str, path: str, kind: type[Any], body: object = None) -> Any:
        """Send one request that must be carried out."""
        status, answer = await self.ask(method, path, body)
        assert status in (200, 201), answer
        return msgspec.json.decode(answer, type=kind)


@pytest.fixture
async def counter(database: Database) -> AsyncIterator[Counter]:
    await p.populate(database)
    pool = await open_pool(database.dsn(Role.ISSUING), Role.ISSUING, "test")
    office = OrderingOffice(database, CardStore(pool))
    await office.set_up()
    token = new_token(STATION)
    await office.rows("SELECT cards.add_station($1, $2, TRUE)", STATION, token_sha256(token))
    parts = HttpParts(measurements=page_of(new_registry()), probes={}, issuing=office.issuing)
    client = TestClient(TestServer(http_application(parts)))
    await client.start_server()
    try:
        yield Counter(client, token, office)
    finally:
        await client.close()
        await pool.close()


async def test_a_batch_is_worked_off(counter: Counter) -> None:
    status, answer = await counter.ask("POST", "/batches/next")
    assert (status, msgspec.json.decode(answer, type=Problem).type) == (
        404,
        "urn:spk:problem:batch-unknown",
    )
    await counter.office.approved(p.LONE, p.MOTHER)
    await counter.office.batch_store.make(TODAY, CHIEF)
    batch = await counter.told("POST", "/batches/next", CardBatch)
    here = f"/batches/{batch.batch_id}"
    assert await counter.told("POST", f"{here}/take", CardBatch) == batch
    assert await counter.told("GET", here, CardBatch) == batch
    assert (await counter.told("GET", "/batches", BatchList)).batches == (batch,)
    page = await counter.told("GET", f"{here}/orders", OrderPage)
    first, second = page.orders
    rest = await counter.told("GET", f"{here}/orders?after={first.order_id}", OrderPage)
    assert rest.orders == (second,)
    with capture_logs() as lines:
        face = await counter.told(
            "POST", f"/orders/{first.order_id}/face", CardFace, {"purpose": "печать"}
        )
    assert (face.last_name, face.card_number) == ("Тестова", first.card_number)
    assert "Тестова" not in str(lines)
    told = await counter.ask("POST", f"/orders/{first.order_id}/stage", {"stage": "keyed"})
    assert told == (200, msgspec.json.encode({"order_id": first.order_id, "stage": "keyed"}))
    fresh = await counter.told(
        "POST", f"/orders/{second.order_id}/spoiled", CardOrder, {"reason": "сломан чип"}
    )
    assert fresh.card_id != second.card_id
    await counter.office.issued(fresh)
    balance = await counter.told("POST", "/blanks/count", BlankBalance, {"left": 0})
    assert (balance.good, balance.spoiled, balance.missing) == (1, 1, -2)


NOBODY = str(uuid4())
REFUSED: list[tuple[str, str, object, str]] = [
    ("POST", f"/batches/{NOBODY}/take", None, "batch-unknown"),
    ("POST", "/batches/x/take", None, "batch-unknown"),
    ("GET", f"/batches/{NOBODY}", None, "batch-unknown"),
    ("GET", f"/batches/{NOBODY}/orders", None, "batch-unknown"),
    ("GET", f"/batches/{NOBODY}/orders?after=x", None, "body-malformed"),
    ("POST", f"/orders/{NOBODY}/stage", {"stage": "keyed"}, "order-unknown"),
    ("POST", f"/orders/{NOBODY}/stage", {"stage": "issued"}, "body-malformed"),
    ("POST", f"/orders/{NOBODY}/stage", {}, "body-malformed"),
    ("POST", f"/orders/{NOBODY}/face", {"purpose": "x"}, "order-unknown"),
    ("POST", f"/orders/{NOBODY}/face", {"purpose": ""}, "body-malformed"),
    ("POST", f"/orders/{NOBODY}/spoiled", {"reason": "x"}, "order-unknown"),
    ("POST", "/orders/x/spoiled", {"reason": "x"}, "order-unknown"),
    ("POST", "/blanks/count", {"left": -1}, "body-malformed"),
    ("POST", "/blanks/count", {"left": 1, "lef": 1}, "body-malformed"),
]


async def test_every_refusal_is_a_problem(counter: Counter) -> None:
    for method, path, body, kind in REFUSED:
        status, answer = await counter.ask(method, path, body)
        problem = msgspec.json.decode(answer, type=Problem)
        assert (problem.type, problem.status) == (f"urn:spk:problem:{kind}", status), path
        assert problem.detail_ru
    counter.headers = {"Authorization": "Bearer office-1.guessed"}
    assert (await counter.ask("POST", "/batches/next"))[0] == 401
