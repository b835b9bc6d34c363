"""Our client against our own server, and against registries that lie, stall and flood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from processing.exchange.dci.attributes import Part
from processing.exchange.dci.client import AskFault, Client
from processing.exchange.dci.codes import Action
from processing.exchange.dci.envelope import enclose
from processing.exchange.dci.model import Peer
from processing.exchange.dci.signature import (
    Algorithm,
    SigningKeys,
    new_signing_keys,
    read_jwks,
)
from processing.exchange.dci.store import DciStore
from processing.exchange.dci.tokens import OutgoingTokens
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from tests.exchange import people as p
from tests.exchange.partner import CENTRE, PARTNER, Town, by_id

HOSTILE = "liar.example.org"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Asker:
    """The partner's own client: what it asks is our server, or whoever the test puts there."""

    def __init__(self, town: Town, client: Client, store: DciStore) -> None:
        self.town = town
        self.client = client
        self.store = store

    async def search(self, peer: Peer, *, synchronous: bool = True) -> Any:
        message = self.town.partner.searches(by_id(p.ANNA_SNILS))
        return await self.client.ask(peer, Action.SEARCH, message, synchronous=synchronous)


def peer_at(uri: str, name: str, keys: Any) -> Peer:
    return Peer(
        peer_id=name,
        name=name,
        keys=keys,
        callback_uri=None,
        registry_uri=uri,
        algorithm=Algorithm.ES256,
        parts=frozenset(Part),
        messages_per_minute=1,
        active=True,
        purposes={},
    )


@pytest.fixture
async def asker(town: Town, tmp_path: Any) -> AsyncIterator[Asker]:
    tokens = OutgoingTokens(tmp_path / "tokens")
    tokens.keep(CENTRE, town.partner.token)
    pool = await open_pool(town.database.dsn(Role.EXCHANGE), Role.EXCHANGE, "test client")
    store = DciStore(pool)
    async with aiohttp.ClientSession() as session:
        client = Client(session, store, town.partner.keys, tokens, PARTNER, town.clock)
        yield Asker(town, client, store)
    await pool.close()


async def own_server(asker: Asker) -> Peer:
    """Give our own server as a participant."""
    http = asker.town.partner.client
    async with http.get("/.well-known/jwks.json") as answer:
        keys = read_jwks(await answer.read())
    async with asker.town.database.connect() as connection:
        await connection.execute(
            "INSERT INTO exchange.peer SELECT $1, name, jwks, token_sha256, NULL, NULL, algorithm,"
            " parts, messages_per_minute, TRUE FROM exchange.peer LIMIT 1",
            CENTRE,
        )
    return peer_at(str(http.make_url("/")), CENTRE, keys)


async def test_our_client_and_our_server_understand_each_other(asker: Asker) -> None:
    centre = await own_server(asker)
    asked = await asker.search(centre)
    (found,) = asked.message["search_response"]
    assert found["data"]["reg_records"][0]["@id"] == f"urn:uuid:{p.ANNA}"
    question = {
        "transaction_id": uuid4().hex,
        "txnstatus_request": {
            "reference_id": "q",
            "txn_type": "search",
            "attribute_type": "transaction_id",
            "attribute_value": asked.transaction_id,
        },
    }
    state = await asker.client.ask(centre, Action.TXN_STATUS, question, synchronous=True)
    assert state.message is not None
    assert state.message["txnstatus_response"]["txn_status"]["search_response"]


async def test_an_asynchronous_search_is_acknowledged_and_expected(asker: Asker) -> None:
    asked = await asker.search(await own_server(asker), synchronous=False)
    assert asked.correlation_id
    async with asker.town.database.connect() as connection:
        (row,) = await connection.fetch("SELECT * FROM exchange.asked")
    assert (row["transaction_id"], row["peer_id"]) == (asked.transaction_id, CENTRE)


async def test_a_refusal_is_told_in_its_words(asker: Asker) -> None:
    centre = await own_server(asker)
    asker.town.clock.advance(0)
    for changes, said in (
        ("UPDATE exchange.peer SET active = FALSE", "err.request.forbidden"),
        ("UPDATE exchange.peer SET active = TRUE, messages_per_minute = 1", ""),
    ):
        async with asker.town.database.connect() as connection:
            await connection.execute(changes)
        if said:
            with pytest.raises(AskFault, match=said):
                await asker.search(centre)
    await asker.search(centre)
    with pytest.raises(AskFault, match="too_many_requests"):
        await asker.search(centre)


class Liar:
    """A registry that answers as it is told, with keys of its own."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.keys: SigningKeys = new_signing_keys()

    async def right(self, request: web.Request, **changes: Any) -> bytes:
        """Give a right answer, its header or its message changed as told."""
        asked = msgspec.json.decode(await request.read())
        message = {
            "transaction_id": asked["message"]["transaction_id"],
            "correlation_id": "c",
            "search_response": [],
            **changes.pop("message", {}),
        }
        header = {
            "version": "1.0.0",
            "message_id": "m",
            "message_ts": asked["header"]["message_ts"],
            "action": "on-search",
            "status": "succ",
            "sender_id": HOSTILE,
            "receiver_id": PARTNER,
            **changes,
        }
        return self.sign(header, message)

    def sign(self, header: object, message: object, name: str = HOSTILE) -> bytes:
        head, inside = msgspec.json.encode(header), msgspec.json.encode(message)
        now_s = self.town.clock.utc_ms() // 1000
        return enclose(self.keys.sign(Algorithm.ES256, name, head, inside, now_s), head, inside)


def lies(liar: Liar) -> list[tuple[Answer, str]]:
    """Give what a hostile registry may answer, and what is said of it."""

    def changed(**changes: Any) -> Answer:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=await liar.right(request, **changes))

        return answer

    async def tampered(request: web.Request) -> web.Response:
        return web.Response(body=(await liar.right(request)).replace(b'"c"', b'"d"'))

    async def of_another_key(request: web.Request) -> web.Response:
        keys, liar.keys = liar.keys, new_signing_keys()
        body = await liar.right(request)
        liar.keys = keys
        return web.Response(body=body)

    async def unsigned(request: web.Request) -> web.Response:
        told = msgspec.json.decode(await liar.right(request))
        told.pop("signature")
        return web.json_response(told)

    async def redirecting(_request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/registry/elsewhere")

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>")

    async def silent(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def endless(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        while True:
            await stream.write(b" " * 65_536)

    return [
        (changed(), ""),
        (tampered, "without a good signature"),
        (of_another_key, "not registered"),
        (unsigned, "without a good signature"),
        (changed(message={"transaction_id": "an older one"}), "another request"),
        (changed(receiver_id="somebody"), "not asked"),
        (changed(action="on-subscribe"), "not asked"),
        (changed(message_ts="2020-01-01T00:00:00Z"), "time far from ours"),
        (changed(message_ts=7), "header"),
        (redirecting, "307"),
        (broken, "502"),
        (silent, "no whole answer within"),
        (endless, "longer than"),
    ]


async def test_a_hostile_registry_is_not_believed(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.exchange.dci.post.POST_TIMEOUT_MS", 1_000)
    monkeypatch.setattr("processing.exchange.dci.post.ANSWER_BYTES_MAX", 1_000_000)
    liar = Liar(asker.town)
    answers = lies(liar)
    place = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        return await answers[place][0](request)

    app = web.Application()
    app.router.add_post("/registry/sync/search", answer)
    server = TestServer(app)
    await server.start_server()
    keys = read_jwks(msgspec.json.encode(liar.keys.jwks()))
    peer = peer_at(str(server.make_url("/")), HOSTILE, keys)
    try:
        for place, (_, said) in enumerate(answers):
            if not said:
                assert (await asker.search(peer)).message is not None
                continue
            with pytest.raises(AskFault) as caught:
                await asker.search(peer)
            assert said in str(caught.value), place
    finally:
        await server.close()


async def test_nobody_at_home(asker: Asker) -> None:
    keys = read_jwks(msgspec.json.encode(asker.town.other.keys.jwks()))
    with pytest.raises(AskFault, match="does not answer"):
        await asker.search(peer_at("http://127.0.0.1:9", HOSTILE, keys))
