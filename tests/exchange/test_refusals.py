"""Bad input: every error and reason code of the description is reached by what earns it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from processing.exchange.dci.codes import (
    CODE_TEXT_LENGTH_MAX,
    Ack,
    Action,
    ErrorCode,
    HeaderReason,
    Locale,
    SearchReason,
    Status,
    SubscribeReason,
    UnsubscribeReason,
    words,
)
from processing.exchange.dci.endpoints import ENDPOINTS
from processing.exchange.dci.envelope import iso
from processing.exchange.dci.server import BODY_BYTES_MAX
from processing.exchange.dci.signature import Algorithm, new_signing_keys
from tests.exchange import people as p
from tests.exchange.partner import NOW_MS, Partner, Town, by_expression, by_id
from tests.exchange.published import Published

SEARCH, SYNC, STATUS = "/registry/search", "/registry/sync/search", "/registry/sync/txn/status"
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("codes", "place"),
    [
        (ErrorCode, ("Error", "properties", "code")),
        (HeaderReason, ("MsgHeaderStatusReasonCode",)),
        (SearchReason, ("SearchStatusReasonCode",)),
        (SubscribeReason, ("SubscribeStatusReasonCode",)),
        (UnsubscribeReason, ("UnSubscribeStatusReasonCode",)),
        (Status, ("UnSubscribeResponse", "properties", "status")),
    ],
)
def test_the_codes_are_those_of_the_description(
    published: Published, codes: Any, place: tuple[str, ...]
) -> None:
    assert sorted(code.value for code in codes) == sorted(published.enum(*place))


@pytest.mark.parametrize(
    "code",
    [*ErrorCode, *HeaderReason, *SearchReason, *SubscribeReason, *UnsubscribeReason],
    ids=str,
)
def test_every_code_is_told_in_both_languages(code: Any) -> None:
    russian = words(code, Locale.RUSSIAN, "x" * 2000)
    english = words(code, Locale.ENGLISH, "x" * 2000)
    assert russian != english
    assert len(russian) == len(english) == CODE_TEXT_LENGTH_MAX


def test_every_path_of_the_description_is_served(published: Published) -> None:
    assert sorted(each.path for each in ENDPOINTS) == sorted(published.document["paths"])
    for endpoint in ENDPOINTS:
        post = published.document["paths"][endpoint.path]["post"]
        schema = post["requestBody"]["content"]["application/json"]["schema"]
        asked = schema["properties"]["header"]["allOf"][1]["properties"]["action"]["enum"]
        assert asked == [endpoint.action]


def message_of(partner: Partner) -> dict[str, Any]:
    return partner.searches(by_id(p.ANNA_SNILS))


def signed_by_another(partner: Partner) -> bytes:
    keys, partner.keys = partner.keys, new_signing_keys()
    body = partner.body(SEARCH, message_of(partner))
    partner.keys = keys
    return body


def changed_after_signing(partner: Partner) -> bytes:
    return partner.body(SEARCH, message_of(partner)).replace(b"ref-0", b"ref-1")


def signed_long_ago(partner: Partner) -> bytes:
    partner.clock.set_utc_ms(NOW_MS - HOUR_MS)
    body = partner.body(SEARCH, message_of(partner), message_ts=iso(NOW_MS))
    partner.clock.set_utc_ms(NOW_MS)
    return body


def with_header(**changes: Any) -> Callable[[Partner], bytes]:
    return lambda partner: partner.body(SEARCH, message_of(partner), **changes)


def with_signature(text: str) -> Callable[[Partner], bytes]:
    return lambda partner: partner.body(SEARCH, message_of(partner), signature=text)


def plain(body: bytes) -> Callable[[Partner], bytes]:
    return lambda _partner: body


def with_message(message: Any) -> Callable[[Partner], bytes]:
    return lambda partner: partner.body(SEARCH, message)


REFUSED: tuple[tuple[Callable[[Partner], bytes], ErrorCode, str], ...] = (
    (plain(b""), ErrorCode.BAD, ""),
    (plain(b"{"), ErrorCode.BAD, ""),
    (plain(b"\xff\xfe"), ErrorCode.BAD, ""),
    (plain(b"[]"), ErrorCode.BAD, "expected"),
    (plain(b'{"message": {}}'), ErrorCode.BAD, "header"),
    (plain(b'{"header": 1, "message": {}}'), ErrorCode.BAD, "header"),
    (plain(b'{"header": {"a": NaN}, "message": {}}'), ErrorCode.BAD, ""),
    (plain(b"[" * 100_000), ErrorCode.BAD, ""),
    (plain(b'{"header":{},"message":"' + b"x" * BODY_BYTES_MAX + b'"}'), ErrorCode.BAD, "bytes"),
    (with_header(message_id=None), ErrorCode.BAD, "message_id"),
    (with_header(message_id=""), ErrorCode.BAD, "message_id"),
    (with_header(message_id="\0"), ErrorCode.BAD, "message_id"),
    (with_header(message_id="x" * 100), ErrorCode.BAD, "message_id"),
    (with_header(message_id=7), ErrorCode.BAD, "message_id"),
    (with_header(message_ts=None), ErrorCode.BAD, "message_ts"),
    (with_header(action=None), ErrorCode.BAD, "action"),
    (with_header(total_count=None), ErrorCode.BAD, "total_count"),
    (with_header(total_count="1"), ErrorCode.BAD, "total_count"),
    (with_header(version="0.1.0"), ErrorCode.VERSION_NOT_SUPPORTED, "1.0.0"),
    (with_header(sender_id=None), ErrorCode.SENDER_ID_INVALID, ""),
    (with_header(sender_id="somebody"), ErrorCode.SENDER_ID_INVALID, ""),
    (with_header(receiver_id="another.registry"), ErrorCode.RECEIVER_ID_INVALID, ""),
    (with_header(sender_uri="https://evil.example/take"), ErrorCode.SENDER_URI_INVALID, ""),
    (with_header(sender_uri="http://localhost:9/callbacks"), ErrorCode.SENDER_URI_INVALID, ""),
    (with_header(sender_uri="http://localhost:10/callback"), ErrorCode.SENDER_URI_INVALID, ""),
    (with_header(sender_uri="http://x@localhost:9/callback"), ErrorCode.SENDER_URI_INVALID, ""),
    (with_header(sender_uri="http://localhost:9/callback/../a"), ErrorCode.SENDER_URI_INVALID, ""),
    (with_header(sender_uri="http://[::1"), ErrorCode.SENDER_URI_INVALID, ""),
    (with_header(sender_uri="http://localhost:99999/"), ErrorCode.SENDER_URI_INVALID, ""),
    (with_signature(""), ErrorCode.SIGNATURE_MISSING, ""),
    (with_signature("Signature: nothing"), ErrorCode.SIGNATURE_INVALID, "parts"),
    (with_signature("x" * 5000), ErrorCode.SIGNATURE_INVALID, "longer"),
    (signed_by_another, ErrorCode.SIGNATURE_INVALID, "not registered"),
    (changed_after_signing, ErrorCode.SIGNATURE_INVALID, "not those signed"),
    (signed_long_ago, ErrorCode.SIGNATURE_INVALID, "present"),
    (with_header(is_msg_encrypted=True), ErrorCode.ENCRYPTION_INVALID, ""),
    (with_header(message_ts="yesterday"), ErrorCode.BAD, "rjct.message_ts.invalid"),
    (with_header(message_ts=iso(NOW_MS - HOUR_MS)), ErrorCode.BAD, "rjct.message_ts.invalid"),
    (with_header(message_ts="2026-11-18T12:00:00"), ErrorCode.BAD, "rjct.message_ts.invalid"),
    (with_header(action="subscribe"), ErrorCode.BAD, "rjct.action.invalid"),
    (with_header(action="disburse"), ErrorCode.BAD, "rjct.action.not_supported"),
    (with_header(total_count=2), ErrorCode.BAD, "rjct.total_count.invalid"),
    (with_message({}), ErrorCode.BAD, "transaction_id"),
    (with_message({"transaction_id": "t"}), ErrorCode.BAD, "search_request"),
    (with_message({"transaction_id": 1, "search_request": [{}]}), ErrorCode.BAD, "transaction_id"),
    (with_message({"transaction_id": "t", "search_request": []}), ErrorCode.BAD, "no request"),
    (with_message({"transaction_id": "t", "search_request": {}}), ErrorCode.BAD, "array"),
    (with_message("text"), ErrorCode.BAD, "object"),
)


async def test_what_is_no_message_is_refused_with_its_code(judged: Town) -> None:
    partner = judged.partner
    for make, code, detail in REFUSED:
        status, told = await partner.post(SEARCH, make(partner))
        acknowledged = told["message"]
        assert status == 400, (code, detail, told)
        assert acknowledged["ack_status"] == Ack.ERR
        assert (acknowledged["error"]["code"], detail) == (code, detail), told
        assert detail.lower() in acknowledged["error"]["message"].lower()
    async with judged.database.connect() as connection:
        assert await connection.fetchval("SELECT count(*) FROM exchange.message") == 0
        assert await connection.fetchval("SELECT count(*) FROM exchange.outbox") == 0


async def test_who_has_no_right_token_is_turned_away(judged: Town) -> None:
    partner = judged.partner
    body = partner.body(SEARCH, message_of(partner))
    for path in (SEARCH, SYNC):
        for header in ("", "Bearer", "Bearer x", "Basic x", f"Bearer {partner.token}x", "Bearer .",
                       f"Bearer {partner.peer_id}.", "Bearer " + "x" * 5000):  # fmt: skip
            status, told = await partner.post(path, body, Authorization=header)
            assert (status, told["errors"][0]["code"]) == (401, ErrorCode.UNAUTHORIZED), header
    async with judged.database.connect() as connection:
        await connection.execute("UPDATE exchange.peer SET active = FALSE")
    status, told = await partner.post(SEARCH, body)
    assert (status, told["errors"][0]["code"]) == (403, ErrorCode.FORBIDDEN)


async def test_another_participants_token_does_not_serve(judged: Town) -> None:
    body = judged.partner.body(SEARCH, message_of(judged.partner))
    _, told = await judged.partner.post(SEARCH, body, judged.other.token)
    assert told["message"]["error"]["code"] == ErrorCode.SENDER_ID_INVALID


async def test_a_path_of_nobody_and_a_body_of_another_kind(judged: Town) -> None:
    partner = judged.partner
    status, told = await partner.post("/registry/link", b"{}")
    assert (status, told["errors"][0]["code"]) == (404, ErrorCode.NOT_FOUND)
    status, told = await partner.post(SEARCH, b"{}", **{"Content-Type": "text/xml"})
    assert told["message"]["error"]["code"] == ErrorCode.BAD


async def test_who_sends_too_often_is_told_to_wait(judged: Town) -> None:
    async with judged.database.connect() as connection:
        await connection.execute("UPDATE exchange.peer SET messages_per_minute = 6")
    codes = []
    for _ in range(3):
        status, told = await judged.partner.ask(SEARCH, message_of(judged.partner))
        codes.append((status, told["message"].get("error", {}).get("code")))
    assert codes[0] == (200, None)
    assert codes[-1] == (429, ErrorCode.TOO_MANY_REQUESTS)
    judged.clock.advance(10_000)
    assert (await judged.partner.ask(SEARCH, message_of(judged.partner)))[0] == 200


async def test_a_database_that_is_away_takes_nothing(judged: Town) -> None:
    name = judged.database.name
    async with judged.database.connect() as connection:
        await judged.database.server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = $1 AND pid <> pg_backend_pid()",
            name,
        )
    body = judged.partner.body(SEARCH, message_of(judged.partner))
    status, told = await judged.partner.post(SEARCH, body)
    await judged.database.server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert (status, told["message"]["error"]["code"]) == (503, ErrorCode.UNAVAILABLE)
    assert (await judged.partner.post(SEARCH, body))[0] == 200


HEADER_REASONS: tuple[tuple[dict[str, Any], int, HeaderReason | None], ...] = (
    ({"version": "2.0.0"}, 1, HeaderReason.VERSION_INVALID),
    ({"message_ts": iso(NOW_MS + HOUR_MS)}, 1, HeaderReason.MESSAGE_TS_INVALID),
    ({"action": "txn-status"}, 1, HeaderReason.ACTION_INVALID),
    ({"action": "verify"}, 1, HeaderReason.ACTION_NOT_SUPPORTED),
    ({"total_count": 3}, 1, HeaderReason.TOTAL_COUNT_INVALID),
    ({"total_count": 101}, 101, HeaderReason.TOTAL_COUNT_LIMIT_EXCEEDED),
    ({"sender_id": "nobody"}, 1, None),
)


async def test_a_synchronous_message_is_rejected_in_its_header(judged: Town) -> None:
    partner = judged.partner
    for changes, count, reason in HEADER_REASONS:
        message = partner.searches(*[by_id(p.ANNA_SNILS)] * count)
        status, told = await partner.ask(SYNC, message, valid=False, **changes)
        assert status == 400, changes
        assert told["header"]["status"] == Status.REJECTED
        assert told["header"].get("status_reason_code") == reason
        assert told["header"]["status_reason_message"]
        assert "message" not in told
    wrong = partner.searches(*[by_id("1")] * 11)
    _, told = await partner.ask(SYNC, wrong, total_count=11)
    assert told["header"]["status_reason_code"] == HeaderReason.TOO_MANY_ERRORS


async def test_the_reason_is_told_in_russian_to_who_asks_so(judged: Town) -> None:
    message = message_of(judged.partner)
    _, told = await judged.partner.ask(SYNC, message, version="2.0.0", meta={"locale": "rus"})
    assert "Поддерживается" in told["header"]["status_reason_message"]


async def test_a_message_is_taken_once(judged: Town) -> None:
    partner = judged.partner
    body = partner.body(SYNC, message_of(partner))
    first, again = await partner.post(SYNC, body), await partner.post(SYNC, body)
    assert first[0] == 200
    assert again[1]["header"]["status_reason_code"] == HeaderReason.MESSAGE_ID_DUPLICATE
    body = partner.body(SEARCH, message_of(partner))
    (_, taken), (status, told) = await partner.post(SEARCH, body), await partner.post(SEARCH, body)
    assert taken["message"]["ack_status"] == Ack.ACK
    assert (status, told["message"]["ack_status"]) == (200, Ack.NACK)
    assert told["message"]["correlation_id"] == taken["message"]["correlation_id"]
    # Another participant may use the same number.
    same = msgspec.json.decode(body, type=dict[str, Any])["header"]["message_id"]
    status, _ = await judged.other.ask(SEARCH, message_of(judged.other), message_id=same)
    assert status == 200
    async with judged.database.connect() as connection:
        assert await connection.fetchval("SELECT count(*) FROM exchange.outbox") == 2


UNDATED: dict[str, Any] = {"timestamp": "today"}
SEARCH_REASONS: tuple[tuple[dict[str, Any], dict[str, Any], SearchReason], ...] = (
    ({}, {"reference_id": ""}, SearchReason.REFERENCE_ID_INVALID),
    ({}, {"reference_id": 1}, SearchReason.REFERENCE_ID_INVALID),
    ({}, {"reference_id": "x" * 100}, SearchReason.REFERENCE_ID_INVALID),
    ({}, UNDATED, SearchReason.TIMESTAMP_INVALID),
    ({}, {"timestamp": iso(NOW_MS + HOUR_MS)}, SearchReason.TIMESTAMP_INVALID),
    ({}, {"search_criteria": 1}, SearchReason.CRITERIA_INVALID),
    ({"version": "0.9"}, {}, SearchReason.CRITERIA_INVALID),
    ({"reg_type": "ns:org:RegistryType:Civil"}, {}, SearchReason.CRITERIA_INVALID),
    ({"reg_record_type": "Farmer"}, {}, SearchReason.CRITERIA_INVALID),
    ({"response_entity": "Village"}, {}, SearchReason.CRITERIA_INVALID),
    ({"query_type": "graphql"}, {}, SearchReason.CRITERIA_INVALID),
    ({"authorize": {"purpose": {"code": "curiosity"}}}, {}, SearchReason.CRITERIA_INVALID),
    ({"authorize": None}, {}, SearchReason.CRITERIA_INVALID),
    ({"query": {"type": "SNILS"}}, {}, SearchReason.FILTER_INVALID),
    ({"query": {"type": "SNILS", "value": "11223344596"}}, {}, SearchReason.FILTER_INVALID),
    ({"query": {"type": "SHOE", "value": "42"}}, {}, SearchReason.FILTER_INVALID),
    ({"query": {"type": "SNILS", "value": {}}}, {}, SearchReason.FILTER_INVALID),
    ({"query": {"type": "SNILS", "value": ["1"] * 101}}, {}, SearchReason.FILTER_INVALID),
    ({"query_type": "predicate"}, {}, SearchReason.FILTER_INVALID),
    ({"query_type": "predicate", "query": []}, {}, SearchReason.FILTER_INVALID),
    ({"query_type": "expression"}, {}, SearchReason.FILTER_INVALID),
    (by_expression({}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"income": {"$gt": 1}}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"surname": {"$like": "И"}}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"surname": {}}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"sex": {"$lt": "f"}}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"birth_date": "1985-02-30"}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"birth_year": "10" * 9}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"surname": "\0"}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"$and": []}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"$and": [{"$and": [{"$and": [{"$and": [{"$and": [{"$and": [{"$and": [
        {"$and": [{"sex": "f"}]}]}]}]}]}]}]}]}), {}, SearchReason.FILTER_INVALID),
    (by_expression({"$or": [{"sex": "f"}] * 51}), {}, SearchReason.FILTER_INVALID),
    ({"sort": "surname"}, {}, SearchReason.SORT_INVALID),
    ({"sort": [{"attribute_name": "height"}]}, {}, SearchReason.SORT_INVALID),
    ({"sort": [{"attribute_name": "category"}]}, {}, SearchReason.SORT_INVALID),
    ({"sort": [{"attribute_name": "dob", "sort_order": "up"}]}, {}, SearchReason.SORT_INVALID),
    ({"sort": [{"attribute_name": "dob"}] * 6}, {}, SearchReason.SORT_INVALID),
    ({"pagination": {}}, {}, SearchReason.PAGINATION_INVALID),
    ({"pagination": {"page_size": 0}}, {}, SearchReason.PAGINATION_INVALID),
    ({"pagination": {"page_size": 501}}, {}, SearchReason.PAGINATION_INVALID),
    ({"pagination": {"page_size": 9, "page_number": 0}}, {}, SearchReason.PAGINATION_INVALID),
    ({"pagination": {"page_size": 9, "page_number": 2}}, {}, SearchReason.PAGINATION_INVALID),
    ({"pagination": {"page_size": 9, "page_number": 2**70}}, {}, SearchReason.PAGINATION_INVALID),
)  # fmt: skip


async def test_a_wrong_search_is_rejected_alone(judged: Town) -> None:
    partner = judged.partner
    for criteria, item, reason in SEARCH_REASONS:
        message = partner.searches({**by_id(p.ANNA_SNILS), **criteria}, by_id(p.ANNA_SNILS))
        message["search_request"][0] |= {"locale": "rus", **item}
        _, told = await partner.ask(SYNC, message, valid=False, total_count=2)
        wrong, right = told["message"]["search_response"]
        assert (wrong["status"], wrong.get("status_reason_code")) == ("rjct", reason), criteria
        assert any("а" <= letter <= "я" for letter in wrong["status_reason_message"])
        assert right["status"] == "succ"


async def test_a_reference_is_used_once_in_a_message(judged: Town) -> None:
    message = judged.partner.searches(*[by_id(p.ANNA_SNILS)] * 2)
    message["search_request"][1]["reference_id"] = "ref-0"
    _, told = await judged.partner.ask(SYNC, message, total_count=2)
    first, second = told["message"]["search_response"]
    assert first["status"] == "succ"
    assert second["status_reason_code"] == SearchReason.REFERENCE_ID_DUPLICATE


async def test_too_many_records_are_not_told(judged: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processing.exchange.dci.search.MATCHES_MAX", 3)
    answer = await judged.partner.search(by_expression({"region": {"$eq": 99}}))
    assert answer["status_reason_code"] == SearchReason.TOO_MANY_RECORDS
    async with judged.database.connect() as connection:
        told = await connection.fetch("SELECT citizen_id FROM register.read_log")
    assert [row["citizen_id"] for row in told] == [None]


async def test_slips_of_the_published_text_are_taken(town: Town) -> None:
    partner = town.partner
    message = message_of(partner)
    (item,) = message["search_request"]
    item["timesatmp"] = item.pop("timestamp")
    body = partner.body(SYNC, message).replace(b"kidId", b"keyId").replace(b"Signature: ", b"")
    status, told = await partner.post(SYNC, body)
    assert status == 200, told


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_answers_are_signed_as_agreed(town: Town, algorithm: Algorithm) -> None:
    partner = town.partner if algorithm is Algorithm.ED25519 else town.other
    _, told = await partner.ask(SYNC, message_of(partner))
    assert f'algorithm="{algorithm}"' in told["signature"]
    async with partner.client.get("/.well-known/jwks.json") as answer:
        keys = (await answer.json())["keys"]
    assert {(key["kty"], key["crv"]) for key in keys} == {("OKP", "Ed25519"), ("EC", "P-256")}
    assert not any("d" in key for key in keys)


async def test_a_message_may_come_as_a_file(town: Town) -> None:
    partner = town.partner
    file = partner.body(SEARCH, message_of(partner))
    for parts, code in (
        ({"action": "search", "fileName": file, "fileFormat": "json"}, None),
        ({"action": "subscribe", "fileName": file}, ErrorCode.BAD),
        ({"action": "search"}, ErrorCode.BAD),
        ({"action": "search", "fileName": file, "fileFormat": "csv"}, ErrorCode.BAD),
        ({"action": "search", "other": "x"}, ErrorCode.BAD),
    ):
        body, boundary = b"", uuid4().hex.encode()
        for name, value in parts.items():
            content = value if isinstance(value, bytes) else str(value).encode()
            body += b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (
                boundary,
                name.encode(),
                content,
            )
        kind = f"multipart/form-data; boundary={boundary.decode()}"
        _, told = await partner.post(
            SEARCH, body + b"--%s--\r\n" % boundary, **{"Content-Type": kind}
        )
        assert told["message"].get("error", {}).get("code") == code, told


def test_actions_are_those_of_the_paths() -> None:
    assert {each.action for each in ENDPOINTS} == set(Action)
