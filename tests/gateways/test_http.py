"""The HTTP gateway over a real socket and a real database: answers, refusals, limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import Counter
from structlog.testing import capture_logs

from processing.cards.issuing import Issuing
from processing.cards.passport import Passports
from processing.cards.report_check import IssuingAuthority
from processing.cards.stations import new_token, token_sha256
from processing.cards.store import CardStore
from processing.gateways import http
from processing.gateways import issuing as issuing_routes
from processing.gateways.http import HttpParts, Probe, http_application
from processing.kernel.clock import ManualClock
from processing.kernel.database import SessionLimits, open_pool
from processing.kernel.metrics import new_registry, page_of
from processing.kernel.roles import Role
from processing.wire.api import (
    BODY_BYTES_MAX,
    PROBLEM_CONTENT_TYPE,
    PROBLEMS,
    CardOrder,
    CardState,
    CardStatus,
    IssuedCard,
    ProbeResult,
    ProbeStatus,
    Problem,
    ProblemType,
)
from processing.wire.statement import Domain
from tests.cards import population as p
from tests.cards.papers import NOW_MS, Authority, Keys, Ordered
from tests.plugins.postgres import Database
from tests.plugins.stop_lists import signer_of

Client = TestClient[web.Request, web.Application]
STATION = "office-1"


class Gateway:
    """A served gateway with one station."""

    def __init__(self, client: Client, token: str, authority: Authority) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}
        self.authority = authority

    async def ask(
        self, method: str, path: str, body: object = None, **options: Any
    ) -> tuple[int, bytes]:
        """Send one request as the station; status and body."""
        options.setdefault("headers", self.headers)
        if body is not None:
            options["data"] = msgspec.json.encode(body)
        async with self.client.request(method, f"/issuing/v1{path}", **options) as answer:
            return answer.status, await answer.read()

    async def order(self) -> CardOrder:
        """Order a card for the lone pensioner, as a replacement if need be."""
        status, body = await self.ask(
            "POST", "/orders", {"citizen_id": str(p.LONE), "replace": True}
        )
        assert status == 201, body
        return msgspec.json.decode(body, type=CardOrder)

    async def refused(
        self, method: str, path: str, body: object = None, **options: Any
    ) -> tuple[int, Problem]:
        """Send one request that must be refused with a whole problem."""
        status, answer = await self.ask(method, path, body, **options)
        problem = msgspec.json.decode(answer, type=Problem)
        assert problem.status == status
        assert problem.title
        assert problem.title_ru
        assert problem.detail
        assert problem.detail_ru
        return status, problem


def report_of(authority: Authority, order: CardOrder) -> dict[str, object]:
    """Give a right report as JSON-ready values."""
    ordered = Ordered(
        order_id=order.order_id,
        card_id=order.card_id,
        card_number=order.card_number,
        valid_to=order.valid_to,
        challenge=order.challenge,
    )
    report: dict[str, object] = msgspec.to_builtins(Keys().report(authority, ordered))
    return report


async def served(parts: HttpParts) -> Client:
    client = TestClient(TestServer(http_application(parts)))
    await client.start_server()
    return client


def parts_with(probes: dict[str, Probe], issuing: Issuing | None = None) -> HttpParts:
    return HttpParts(measurements=page_of(new_registry()), probes=probes, issuing=issuing)


def issuing_over(store: CardStore, authority: IssuingAuthority) -> Issuing:
    clock = ManualClock("Europe/Moscow", NOW_MS)
    passports = Passports(store.pool, signer_of(Domain.SOCIAL_PASSPORT), clock)
    return Issuing(store, authority, passports, clock)


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    await p.populate(database)
    token, authority = new_token(STATION), Authority()
    async with database.connect(Role.OPERATOR) as connection:
        await connection.execute(
            "SELECT cards.add_station($1, $2, FALSE)", STATION, token_sha256(token)
        )
    pool = await open_pool(database.dsn(Role.ISSUING), Role.ISSUING, "test")
    issuing = issuing_over(CardStore(pool), IssuingAuthority((authority.der,)))
    client = await served(parts_with({}, issuing))
    try:
        yield Gateway(client, token, authority)
    finally:
        await client.close()
        await pool.close()


async def test_a_card_is_ordered_reported_read_and_blocked(gateway: Gateway) -> None:
    order = await gateway.order()
    assert (
        msgspec.json.decode(
            (await gateway.ask("GET", f"/orders/{order.order_id}"))[1], type=CardOrder
        )
        == order
    )
    report = report_of(gateway.authority, order)
    first = await gateway.ask("POST", f"/orders/{order.order_id}/card", report)
    assert first[0] == 200
    issued = msgspec.json.decode(first[1], type=IssuedCard)
    assert (issued.card_id, issued.holder_count) == (order.card_id, 1)
    assert await gateway.ask("POST", f"/orders/{order.order_id}/card", report) == first
    for method, path, state in (
        ("GET", f"/cards/{order.card_id}", CardState.ACTIVE),
        ("POST", f"/cards/{order.card_id}/block", CardState.BLOCKED),
        ("GET", f"/cards/{order.card_id}", CardState.BLOCKED),
    ):
        status, body = await gateway.ask(method, path)
        assert status == 200
        assert msgspec.json.decode(body, type=CardStatus).state is state


async def test_the_log_says_who_did_what_and_to_nobody(gateway: Gateway) -> None:
    with capture_logs() as lines:
        order = await gateway.order()
        await gateway.ask("POST", f"/cards/{order.card_id}/block")
        await gateway.ask("GET", "/orders", headers={"Authorization": "Bearer office-1.guessed"})
    assert [(each["event"], each.get("station"), each.get("status")) for each in lines] == [
        ("issuing", STATION, 201),
        ("issuing", STATION, 404),
        ("station refused", None, None),
    ]
    assert str(order.card_id) in lines[1]["path"]
    assert str(p.LONE) not in str(lines)
    assert "guessed" not in str(lines)


async def test_an_order_is_given_up(gateway: Gateway) -> None:
    order = await gateway.order()
    status, body = await gateway.ask("DELETE", f"/orders/{order.order_id}")
    assert (status, msgspec.json.decode(body)["state"]) == (200, "given_up")
    report = report_of(gateway.authority, order)
    path = f"/orders/{order.order_id}/card"
    status, problem = await gateway.refused("POST", path, report)
    assert (status, problem.kind) == (409, ProblemType.ORDER_GIVEN_UP)


UNKNOWN = UUID(int=7)
REFUSALS: dict[str, tuple[str, str, object, int, ProblemType, str]] = {
    "no such citizen": (
        "POST",
        "/orders",
        {"snils": "087-654-302 00"},
        404,
        ProblemType.CITIZEN_UNKNOWN,
        "snils",
    ),
    "a wrong СНИЛС": (
        "POST",
        "/orders",
        {"snils": "112-233-445 00"},
        400,
        ProblemType.BODY_MALFORMED,
        "snils",
    ),
    "a misspelt field": (
        "POST",
        "/orders",
        {"snlis": "112-233-445 95"},
        400,
        ProblemType.BODY_MALFORMED,
        "",
    ),
    "a field of another type": (
        "POST",
        "/orders",
        {"snils": 11223344595},
        400,
        ProblemType.BODY_MALFORMED,
        "snils",
    ),
    "no object": ("POST", "/orders", [], 400, ProblemType.BODY_MALFORMED, ""),
    "a short proof": (
        "POST",
        f"/orders/{UNKNOWN}/card",
        {"certificate_tap": "AA==", "certificate_pin": "AA==", "proof": "AA=="},
        400,
        ProblemType.BODY_MALFORMED,
        "proof",
    ),
    "no such order": ("GET", f"/orders/{UNKNOWN}", None, 404, ProblemType.ORDER_UNKNOWN, ""),
    "an order that is no UUID": (
        "DELETE",
        "/orders/seven",
        None,
        404,
        ProblemType.ORDER_UNKNOWN,
        "order_id",
    ),
    "no such card": ("POST", f"/cards/{UNKNOWN}/block", None, 404, ProblemType.CARD_UNKNOWN, ""),
    "no such path": ("GET", "/nothing", None, 404, ProblemType.NOT_FOUND, ""),
    "no such method": ("PUT", "/orders", None, 405, ProblemType.METHOD_NOT_ALLOWED, ""),
}


async def test_refusals_are_problems_with_their_field(gateway: Gateway) -> None:
    for name, (method, path, body, status, kind, field) in REFUSALS.items():
        found, problem = await gateway.refused(method, path, body)
        assert (found, problem.kind, problem.field) == (status, kind, field), name


async def test_bytes_that_are_no_json_are_refused(gateway: Gateway) -> None:
    for data in (b"", b"{", b"\xff\xfe", b'{"snils": "\xff"}', b"[" * 10_000):
        status, problem = await gateway.refused("POST", "/orders", data=data)
        assert (status, problem.kind) == (400, ProblemType.BODY_MALFORMED), data[:10]


async def test_a_body_over_the_limit_is_refused(gateway: Gateway) -> None:
    status, problem = await gateway.refused("POST", "/orders", data=b" " * (BODY_BYTES_MAX + 1))
    assert (status, problem.kind) == (413, ProblemType.BODY_TOO_LARGE)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer x", "Basic b2ZmaWNlLTE6eA==", f"Bearer {STATION}.secret"],
)
async def test_nobody_without_the_token_comes_in(gateway: Gateway, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("POST", "/orders"), ("GET", f"/cards/{UNKNOWN}")):
        status, problem = await gateway.refused(method, path, headers=headers)
        assert (status, problem.kind) == (401, ProblemType.STATION_UNKNOWN)


async def test_a_report_that_does_not_fit_its_order_changes_nothing(gateway: Gateway) -> None:
    order, other = await gateway.order(), await gateway.order()
    path = f"/orders/{order.order_id}/card"
    right = report_of(gateway.authority, order)
    cases: tuple[tuple[dict[str, object], int, ProblemType, str], ...] = (
        (
            report_of(gateway.authority, other),
            422,
            ProblemType.CERTIFICATE_WRONG,
            "certificate_tap",
        ),
        (report_of(Authority(), order), 422, ProblemType.CERTIFICATE_WRONG, "certificate_tap"),
        (
            right | {"proof": report_of(gateway.authority, order)["proof"]},
            422,
            ProblemType.PROOF_WRONG,
            "proof",
        ),
    )
    for body, status, kind, field in cases:
        found, problem = await gateway.refused("POST", path, body)
        assert (found, problem.kind, problem.field) == (status, kind, field)
        assert problem.reason
    assert (await gateway.refused("GET", f"/cards/{order.card_id}"))[0] == 404
    assert (await gateway.ask("POST", path, right))[0] == 200
    status, problem = await gateway.refused("POST", path, report_of(gateway.authority, order))
    assert (status, problem.kind) == (409, ProblemType.ORDER_ISSUED)


async def test_a_database_that_is_away_means_try_later(
    database: Database, gateway: Gateway
) -> None:
    async with database.connect() as connection:
        await connection.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = $1 AND pid <> pg_backend_pid()",
            database.name,
        )
        path = f"/issuing/v1/cards/{UNKNOWN}"
        async with gateway.client.get(path, headers=gateway.headers) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"].isdigit()
            assert answer.content_type == PROBLEM_CONTENT_TYPE


async def test_too_many_at_once_are_told_to_try_later(
    database: Database, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing_routes, "REQUESTS_CONCURRENT_MAX", 1)
    limits = SessionLimits(acquire_timeout_ms=20_000)
    pool = await open_pool(database.dsn(Role.ISSUING), Role.ISSUING, "test", limits)
    entered, leave = asyncio.Event(), asyncio.Event()

    class SlowStore(CardStore):
        async def station_token_sha256(self, station_id: str) -> bytes | None:
            entered.set()
            await leave.wait()
            return await super().station_token_sha256(station_id)

    issuing = issuing_over(SlowStore(pool), IssuingAuthority(()))
    client = await served(parts_with({}, issuing))
    path = f"/issuing/v1/cards/{UNKNOWN}"
    try:
        first = asyncio.create_task(client.get(path, headers=gateway.headers))
        await entered.wait()
        async with client.get(path, headers=gateway.headers) as second:
            assert second.status == 503
        leave.set()
        assert (await first).status == 404
    finally:
        await client.close()
        await pool.close()


async def well() -> ProbeResult:
    return ProbeResult(status=ProbeStatus.OK)


async def ill() -> ProbeResult:
    raise ConnectionRefusedError("nobody listens")


async def stuck() -> ProbeResult:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("probes", "status", "expected"),
    [
        ({}, 200, {"status": "ok", "parts": {}}),
        ({"hsm": well}, 200, {"status": "ok", "parts": {"hsm": {"status": "ok"}}}),
        (
            {"database": well, "hsm": ill, "lanes": stuck},
            503,
            {
                "status": "failing",
                "parts": {
                    "database": {"status": "ok"},
                    "hsm": {
                        "status": "failing",
                        "detail": "ConnectionRefusedError: nobody listens",
                    },
                    "lanes": {"status": "failing", "detail": "no answer in 50 ms"},
                },
            },
        ),
    ],
)
async def test_health_looks_at_every_part(
    probes: dict[str, Probe],
    status: int,
    expected: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "PROBE_TIMEOUT_MS", 50)
    client = await served(parts_with(probes))
    try:
        async with client.get("/health") as answer:
            assert (answer.status, await answer.json()) == (status, expected)
    finally:
        await client.close()


async def test_metrics_are_prometheus_text() -> None:
    registry = new_registry()
    Counter("spk_test_total", "Counted here.", registry=registry).inc(3)
    client = await served(HttpParts(measurements=page_of(registry), probes={}))
    try:
        async with client.get("/metrics") as answer:
            assert answer.content_type == "text/plain"
            assert "spk_test_total 3.0" in await answer.text()
        async with client.get("/issuing/v1/orders") as answer:
            assert answer.status == 404
    finally:
        await client.close()


async def test_a_fault_keeps_its_words_to_the_log(gateway: Gateway) -> None:
    class BrokenIssuing(Issuing):
        async def station(self, token: str) -> str | None:
            raise RuntimeError(f"secret {token}")

    broken = BrokenIssuing.__new__(BrokenIssuing)
    client = await served(parts_with({}, broken))
    try:
        async with client.get(f"/issuing/v1/cards/{UNKNOWN}", headers=gateway.headers) as answer:
            problem = msgspec.json.decode(await answer.read(), type=Problem)
        assert (answer.status, problem.kind) == (500, ProblemType.FAULT)
        assert "secret" not in problem.detail + problem.reason + problem.title
    finally:
        await client.close()


def test_every_problem_has_words_and_a_status() -> None:
    assert set(PROBLEMS) == set(ProblemType)
    for text in PROBLEMS.values():
        assert 400 <= text.status <= 599
        assert all((text.ru, text.ru_remedy, text.en, text.en_remedy))
