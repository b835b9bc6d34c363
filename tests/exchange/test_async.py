"""Searches answered by callback, subscriptions, notices, states of requests, and the outbox."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from processing.exchange.dci.envelope import iso, read_envelope
from processing.exchange.dci.notices import NOTICE_RECORDS_MAX, Notices
from processing.exchange.dci.outbox import ATTEMPTS_MAX, Outbox, pause_seconds
from processing.exchange.dci.running import running_exchange
from processing.exchange.dci.signature import new_signing_keys, read_jwks, verify
from processing.exchange.dci.store import DciStore
from processing.exchange.dci.tasks import forget_old
from processing.exchange.dci.tokens import ExchangeFolder, OutgoingTokens
from processing.kernel.config import LogFormat, LogLevel
from processing.kernel.database import open_pool
from processing.kernel.log import open_log
from processing.kernel.roles import Role
from processing.kernel.target_pools import TargetPools, alone
from tests.exchange import people as p
from tests.exchange.partner import BENEFITS, CENTRE, PARTNER, PENSIONS, Town, by_expression, by_id
from tests.plugins.live_centre import assert_until

DAY_MS = 86_400_000


class Listener:
    """What listens at the partner's callback address."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.raw: list[bytes] = []
        self.status, self.answer = 200, "ACK"

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw.append(body)
        self.got.append((request.path, msgspec.json.decode(body)))
        assert request.headers["Authorization"] == "Bearer partners-token"
        told = {
            "message": {"ack_status": self.answer, "timestamp": "", "correlation_id": "c"},
        }
        return web.json_response(told, status=self.status)


class Post:
    """The centre's outbox, with a partner that listens."""

    def __init__(self, town: Town, store: DciStore, outbox: Outbox, listener: Listener) -> None:
        self.town = town
        self.store = store
        self.outbox = outbox
        self.listener = listener
        self.notices = Notices(store, CENTRE, town.clock)

    async def deliver(self) -> list[dict[str, Any]]:
        """Make notices, post what is due; what came, each what the description says."""
        self.listener.got.clear()
        await self.notices.make_due()
        async with aiohttp.ClientSession() as session:
            await self.outbox.deliver_due(session)
        published = self.town.partner.published
        assert published is not None
        for path, body in self.listener.got:
            assert published.request_faults(path.removeprefix("/callback"), body) == []
        return [body for _, body in self.listener.got]

    async def change(self, *citizens: tuple[object, ...], households: Any = ()) -> None:
        """Let the register learn of citizens and members."""
        async with self.town.database.connect() as connection, connection.transaction():
            await connection.execute("SELECT register.begin_change('t', 't', 'edit')")
            await p.add_citizens(connection, *citizens)
            for household_id, citizen_id in households:
                await p.add_member(connection, household_id, citizen_id, "other")

    async def row(self) -> Any:
        """Give the one message of the outbox."""
        async with self.town.database.connect() as connection:
            return await connection.fetchrow("SELECT * FROM exchange.outbox")


@pytest.fixture
async def post(judged: Town, tmp_path: Any) -> AsyncIterator[Post]:
    listener = Listener()
    app = web.Application()
    app.router.add_post("/callback/{path:.*}", listener.take)
    server = TestServer(app)
    await server.start_server()
    async with judged.database.connect() as connection:
        await connection.execute(
            "UPDATE exchange.peer SET callback_uri = $1", f"http://127.0.0.1:{server.port}/callback"
        )
    tokens = OutgoingTokens(tmp_path / "tokens")
    tokens.keep(PARTNER, "partners-token")
    log = open_log(LogFormat.JSON, LogLevel.DEBUG, io.StringIO())
    pool = await open_pool(judged.database.dsn(Role.EXCHANGE), Role.EXCHANGE, "test outbox")
    store = DciStore(pool)
    keys = new_signing_keys()
    try:
        yield Post(judged, store, Outbox(store, keys, tokens, CENTRE, judged.clock, log), listener)
        for raw in listener.raw:
            check_signed(raw, keys.jwks(), judged)
    finally:
        await server.close()
        await pool.close()


def check_signed(raw: bytes, jwks: dict[str, Any], town: Town) -> None:
    envelope = read_envelope(raw)
    keys = read_jwks(msgspec.json.encode(jwks))
    now_s = msgspec.json.decode(raw)["signature"].partition('created="')[2].partition('"')[0]
    header, message = bytes(envelope.header), bytes(envelope.message)
    verify(envelope.signature or "", keys, CENTRE, header, message, int(now_s))


def subscription(town: Town, criteria: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": uuid4().hex,
        "subscribe_request": [
            {
                "reference_id": "sub-1",
                "timestamp": iso(town.clock.utc_ms()),
                "subscribe_criteria": {
                    "reg_event_type": "spdci:common:RegistryEventType:REGISTER",
                    "notify_record_type": "spdci-extensions-dci:Member",
                    "filter_type": criteria["query_type"],
                    "filter": criteria["query"],
                    "authorize": {"purpose": {"code": BENEFITS}},
                    **changes,
                },
                "locale": "eng",
            }
        ],
    }


EVERYBODY = by_expression({"region": {"$eq": 99}})
NEWCOMER = (UUID(int=0xC1), "00000000501", "Новикова", "Нина", None, "1990-01-01", "f")
MAN = (UUID(int=0xC2), "00000000601", "Новиков", "Олег", None, "1990-01-01", "m")


async def subscribe(post: Post, criteria: dict[str, Any] = EVERYBODY, **changes: Any) -> Any:
    """Subscribe; the one answer, which came by callback."""
    message = subscription(post.town, criteria, **changes)
    status, told = await post.town.partner.ask("/registry/subscribe", message, valid=False)
    assert (status, told["message"]["ack_status"]) == (200, "ACK"), told
    (answer,) = await post.deliver()
    assert answer["message"]["correlation_id"] == told["message"]["correlation_id"]
    return answer["message"]["subscribe_response"][0]


async def test_a_search_is_answered_by_callback(post: Post) -> None:
    partner = post.town.partner
    message = partner.searches(by_id(p.ANNA_SNILS), by_id("00000000501"))
    _, told = await partner.ask("/registry/search", message, total_count=2)
    (answer,) = await post.deliver()
    assert answer["message"]["correlation_id"] == told["message"]["correlation_id"]
    assert answer["message"]["transaction_id"] == message["transaction_id"]
    first, second = answer["message"]["search_response"]
    assert [len(one["data"]["reg_records"]) for one in (first, second)] == [1, 0]
    row = await post.row()
    assert row["delivered_at"] is not None
    assert (row["header"], row["message"]) == (None, None)
    assert await post.deliver() == []


async def test_a_message_not_taken_is_tried_again_and_given_up(post: Post) -> None:
    partner = post.town.partner
    post.listener.status = 503
    await partner.ask("/registry/search", partner.searches(by_id(p.ANNA_SNILS)))
    for attempt in range(1, ATTEMPTS_MAX + 1):
        assert len(await post.deliver()) == 1
        assert await post.deliver() == [], "it was tried again without a pause"
        assert (await post.row())["attempts"] == attempt
        post.town.clock.advance(1000 * pause_seconds(attempt))
    row = await post.row()
    assert row["dead_at"] is not None
    assert "503" in row["fault"]
    assert await post.deliver() == []
    post.listener.status = 200
    assert await post.store.retry(row["message_id"], post.town.clock.utc_ms())
    (answer,) = await post.deliver()
    assert answer["header"]["message_id"] == str(row["message_id"])
    assert not await post.store.retry(row["message_id"], post.town.clock.utc_ms())


async def test_an_operator_gives_a_message_up(post: Post) -> None:
    partner = post.town.partner
    await partner.ask("/registry/search", partner.searches(by_id(p.ANNA_SNILS)))
    message_id = (await post.row())["message_id"]
    assert await post.store.drop(message_id, "by anna", post.town.clock.utc_ms())
    assert (await post.row())["message"] is None
    assert await post.deliver() == []


async def test_who_took_a_message_and_died_leaves_it_to_the_next(post: Post) -> None:
    partner, clock = post.town.partner, post.town.clock
    await partner.ask("/registry/search", partner.searches(by_id(p.ANNA_SNILS)))
    assert len(await post.store.take_due(clock.utc_ms(), 60, 10)) == 1
    assert await post.deliver() == []
    clock.advance(60_000)
    assert len(await post.deliver()) == 1


async def test_a_nack_means_that_it_was_taken_before(post: Post) -> None:
    partner = post.town.partner
    post.listener.answer = "NACK"
    await partner.ask("/registry/search", partner.searches(by_id(p.ANNA_SNILS)))
    await post.deliver()
    assert (await post.row())["delivered_at"] is not None


async def test_a_subscriber_is_told_of_whom_it_asked_for(post: Post) -> None:
    answer = await subscribe(post, by_expression({"sex": {"$eq": "f"}}))
    (info,) = answer["subscriptions"]
    assert info["status"] == "subscribe"
    await post.change(NEWCOMER, MAN)
    (notice,) = await post.deliver()
    (event,) = notice["message"]["notify_event"]
    assert event["data"]["reg_event_type"] == "REGISTER"
    assert [one["@id"] for one in event["data"]["reg_records"]] == [f"urn:uuid:{NEWCOMER[0]}"]
    assert event["reference_id"] == info["code"]
    assert await post.deliver() == []


async def test_a_new_member_of_a_household_is_told_of(post: Post) -> None:
    group = "spdci-extensions-social:Group"
    await subscribe(post, EVERYBODY, reg_event_type="NewHouseHoldMember", notify_record_type=group)
    await post.change(NEWCOMER, households=[(p.ALONE, NEWCOMER[0])])
    (notice,) = await post.deliver()
    (record,) = notice["message"]["notify_event"][0]["data"]["reg_records"]
    assert (record["@id"], record["group_size"]) == (f"urn:uuid:{p.ALONE}", 2)


async def test_who_did_not_consent_is_not_told_of(post: Post) -> None:
    await subscribe(post, EVERYBODY, authorize={"purpose": {"code": PENSIONS}})
    await post.change(NEWCOMER)
    assert await post.deliver() == []


async def test_many_are_told_of_in_pieces_at_the_time_agreed(post: Post) -> None:
    now_ms = post.town.clock.utc_ms()
    times = {"start_time": iso(now_ms), "end_time": iso(now_ms + 30 * DAY_MS)}
    await subscribe(post, EVERYBODY, frequency={**times, "frequency": "0 30 6 * * ?"})
    number = NOTICE_RECORDS_MAX + 5
    await post.change(
        *(
            (UUID(int=0xD000 + n), f"{n:011}", "А", "Б", None, "1990-01-01", "f")
            for n in range(number)
        )
    )
    assert await post.deliver() == []
    post.town.clock.advance(DAY_MS)
    told = await post.deliver()
    records = [one["message"]["notify_event"][0]["data"]["reg_records"] for one in told]
    assert sorted(len(some) for some in records) == [5, NOTICE_RECORDS_MAX]
    await post.change(NEWCOMER)
    assert await post.deliver() == []
    post.town.clock.advance(DAY_MS)
    assert len(await post.deliver()) == 1


REFUSED: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
    ({"reference_id": ""}, {}, "rjct.reference_id.invalid"),
    ({"timestamp": "x"}, {}, "rjct.timestamp.invalid"),
    ({}, {"reg_event_type": "LiveBirth"}, "rjct.notify_types.invalid"),
    ({}, {"notify_record_type": "Cow"}, "rjct.notify_types.invalid"),
    ({"subscribe_criteria": []}, {}, "rjct.notify_details.invalid"),
    ({}, {"filter_type": "graphql"}, "rjct.notify_details.invalid"),
    ({}, {"authorize": {"purpose": {"code": "x"}}}, "rjct.notify_details.invalid"),
    ({}, {"frequency": {"start_time": "x", "end_time": "x", "frequency": "x"}},
     "rjct.notify_details.invalid"),
    ({}, {"filter_type": "idtype-value", "filter": {"type": "SNILS", "value": "1"}},
     "rjct.person_id.invalid"),
    ({}, {"filter_type": "idtype-value", "filter": {"type": "SHOE", "value": "1"}},
     "rjct.person_id.invalid"),
)  # fmt: skip


async def test_wrong_subscriptions_are_rejected(post: Post) -> None:
    partner = post.town.partner
    for item, criteria, reason in REFUSED:
        message = subscription(post.town, EVERYBODY, **criteria)
        message["subscribe_request"][0] |= item
        await partner.ask("/registry/subscribe", message, valid=False)
        (answer,) = await post.deliver()
        (told,) = answer["message"]["subscribe_response"]
        assert (told["status"], told.get("status_reason_code")) == ("rjct", reason), criteria
    message = subscription(post.town, EVERYBODY)
    message["subscribe_request"] *= 2
    await partner.ask("/registry/subscribe", message, total_count=2)
    (answer,) = await post.deliver()
    reasons = [one.get("status_reason_code") for one in answer["message"]["subscribe_response"]]
    assert reasons == [None, "rjct.reference_id.duplicate"]
    assert (await subscribe(post))["status_reason_code"] == "rjct.event.already_subscribed"


async def test_subscriptions_end(post: Post) -> None:
    code = (await subscribe(post))["subscriptions"][0]["code"]
    for partner, codes, changes, reason in (
        (post.town.partner, [code], {"timestamp": "x"}, "rjct.timestamp.invalid"),
        (post.town.partner, [code], {"transaction_id": ""}, "rjct.reference_id.invalid"),
        (post.town.partner, [code, code], {}, "rjct.reference_id.duplicate"),
        (post.town.partner, [], {}, "rjct.subscription_code.invalid"),
        (post.town.partner, [code, "x"], {}, "rjct.subscription_code.invalid"),
        (post.town.other, [code], {}, "rjct.requester.invalid"),
        (post.town.partner, [code], {}, None),
        (post.town.partner, [code], {}, "rjct.event.already_unsubscribed"),
    ):
        message = {
            "transaction_id": uuid4().hex,
            "timestamp": iso(post.town.clock.utc_ms()),
            "subscription_codes": codes,
            **changes,
        }
        async with post.town.database.connect() as connection:
            await connection.execute("TRUNCATE exchange.outbox")
        await partner.ask("/registry/unsubscribe", message, valid=False)
        row = await post.row()
        told = msgspec.json.decode(row["message"])
        assert told.get("status_reason_code") == reason, (codes, changes)
        assert partner.published is not None
        body = {"header": msgspec.json.decode(row["header"]), "message": told}
        assert partner.published.request_faults("/registry/on-unsubscribe", body) == []
    await post.change(NEWCOMER)
    assert all(one["header"]["action"] != "notify" for one in await post.deliver())


async def test_states_of_requests(judged: Town) -> None:
    partner = judged.partner
    searches = partner.searches(by_id(p.ANNA_SNILS), by_id("1"))
    _, first = await partner.ask("/registry/sync/search", searches, total_count=2)
    correlation_id = first["message"]["correlation_id"]
    for kind, attribute, value, expected in (
        ("search", "transaction_id", searches["transaction_id"], ["succ", "rjct"]),
        ("search", "correlation_id", correlation_id, ["succ", "rjct"]),
        ("search", "reference_id_list", ["ref-1"], ["rjct"]),
        ("receipt", "correlation_id", correlation_id, [f"urn:uuid:{p.ANNA}"]),
        ("subscribe", "correlation_id", correlation_id, None),
        ("search", "transaction_id", "nobody's", None),
    ):
        question = {
            "transaction_id": uuid4().hex,
            "txnstatus_request": {
                "reference_id": "q",
                "txn_type": kind,
                "attribute_type": attribute,
                "attribute_value": value,
            },
        }
        status, told = await partner.ask("/registry/sync/txn/status", question)
        if expected is None:
            assert status == 404
            assert "err.request.not_found" in told["header"]["status_reason_message"]
            continue
        answer = told["message"]["txnstatus_response"]["txn_status"]
        if kind == "receipt":
            found = [one["@id"] for one in answer["receipt_information"]["beneficiaries"]]
        else:
            found = [one["status"] for one in answer["search_response"]]
        assert found == expected
        # It is nobody else's business.
        status, _ = await judged.other.ask("/registry/sync/txn/status", question)
        assert status == 404
        status, told = await partner.ask("/registry/txn/status", question)
        assert (status, told["message"]["ack_status"]) == (200, "ACK")


async def test_what_others_answer_is_taken_when_it_was_asked_for(judged: Town) -> None:
    partner = judged.partner
    for path in ("on-search", "on-subscribe", "notify", "on-unsubscribe", "txn/on-status"):
        message = {"transaction_id": f"ours-{path}", "correlation_id": "c"}
        status, told = await partner.ask(f"/registry/{path}", message, valid=False)
        assert (status, told["message"]["error"]["code"]) == (404, "err.request.not_found")
        async with judged.database.connect() as connection:
            await connection.execute(
                "INSERT INTO exchange.asked VALUES ($1, $2, 'search', now())",
                message["transaction_id"],
                partner.peer_id,
            )
        assert (await judged.other.ask(f"/registry/{path}", message, valid=False))[0] == 404
        status, told = await partner.ask(f"/registry/{path}", message, valid=False)
        assert (status, told["message"]["ack_status"]) == (200, "ACK")
    async with judged.database.connect() as connection:
        assert await connection.fetchval("SELECT count(*) FROM exchange.inbox") == 5


async def test_the_room_delivers_by_itself_once_it_is_set_up(post: Post, tmp_path: Any) -> None:
    partner, town = post.town.partner, post.town
    log = open_log(LogFormat.JSON, LogLevel.DEBUG, io.StringIO())

    @contextlib.asynccontextmanager
    async def pools(role: Role) -> AsyncIterator[TargetPools]:
        pool = await open_pool(town.database.dsn(role), role, "test room")
        try:
            yield alone(pool)
        finally:
            await pool.close()

    async with running_exchange(tmp_path, pools, town.clock, log) as nothing:
        assert nothing is None
    folder = ExchangeFolder(tmp_path)
    folder.create(CENTRE, replace=False)
    folder.tokens().keep(PARTNER, "partners-token")
    await partner.ask("/registry/search", partner.searches(by_id(p.ANNA_SNILS)))
    async with running_exchange(tmp_path, pools, town.clock, log) as server:
        assert server is not None
        assert len(server.jwks()["keys"]) == 2
        await assert_until(lambda: post.listener.got, "the answer came")
    post.listener.raw.clear()


async def test_old_rows_are_erased(post: Post) -> None:
    partner = post.town.partner
    await partner.ask("/registry/search", partner.searches(by_id(p.ANNA_SNILS)))
    await post.deliver()
    assert await forget_old(post.store, post.town.clock) == 0
    post.town.clock.advance(2 * DAY_MS)
    assert await forget_old(post.store, post.town.clock) == 1
    post.town.clock.advance(90 * DAY_MS)
    assert await forget_old(post.store, post.town.clock) == 2
