"""Orders, reports and card states on real PostgreSQL, through the same calls as the gateway."""

from __future__ import annotations

import asyncio
from datetime import date
from uuid import UUID

import msgspec
import pytest

from processing.cards.issuing import CARD_VALIDITY_YEARS, Issuing
from processing.cards.model import CardCode, Refusal
from processing.cards.passport import Passports
from processing.cards.report_check import IssuingAuthority
from processing.cards.stations import new_token, station_of, token_sha256
from processing.cards.store import CardStore
from processing.kernel.bucket import bucket_of
from processing.kernel.clock import ManualClock, years_after
from processing.kernel.database import open_pool
from processing.kernel.errors import ConfigurationError
from processing.kernel.ids import uuid7
from processing.kernel.roles import Role
from processing.register.identifiers import read_card_number
from processing.wire.api import (
    CardOrder,
    CardState,
    CardStatus,
    IssuedCard,
    OrderRequest,
    OrderState,
    ProblemType,
)
from processing.wire.statement import Domain
from tests.cards import population as p
from tests.cards.papers import NOW, NOW_MS, Authority, Keys, Ordered
from tests.plugins.postgres import Database
from tests.plugins.stop_lists import signer_of

STATION, OTHER_STATION = "office-1", "office-2"
VALID_TO = date(2031, 9, 21)


class Office:
    """The centre's issuing with a CA and a clock of the test."""

    def __init__(self, database: Database, store: CardStore) -> None:
        self.database = database
        self.authority = Authority()
        self.clock = ManualClock("Asia/Yekaterinburg", NOW_MS)
        self.passports = Passports(store.pool, signer_of(Domain.SOCIAL_PASSPORT), self.clock)
        self.issuing = Issuing(
            store, IssuingAuthority((self.authority.der,)), self.passports, self.clock
        )

    async def order(self, citizen_id: UUID = p.MOTHER, *, replace: bool = False) -> CardOrder:
        """Order a card, which must be possible."""
        request = OrderRequest(citizen_id=citizen_id, replace=replace)
        order = await self.issuing.order(STATION, request)
        assert isinstance(order, CardOrder), order
        return order

    async def issue(self, citizen_id: UUID = p.MOTHER, *, replace: bool = False) -> IssuedCard:
        """Order a card and report it, which must be possible."""
        order = await self.order(citizen_id, replace=replace)
        issued = await self.issuing.issue(
            STATION, order.order_id, Keys().report(self.authority, ordered(order))
        )
        assert isinstance(issued, IssuedCard), issued
        return issued

    async def authorities(self, card_id: UUID) -> dict[UUID, tuple[object, ...]]:
        """Give what the hot path sees of a card."""
        async with self.database.connect() as connection:
            rows = await connection.fetch(
                "SELECT * FROM rights.card_authority WHERE card_id = $1", card_id
            )
        return {row["holder_id"]: tuple(row.values()) for row in rows}

    async def states(self, card_id: UUID) -> set[int]:
        """Give the states that card and copies have."""
        async with self.database.connect() as connection:
            rows = await connection.fetch(
                """
                SELECT state FROM cards.card WHERE card_id = $1
                UNION ALL SELECT card_state FROM rights.card_authority WHERE card_id = $1
                """,
                card_id,
            )
        assert len(rows) > 1
        return {row["state"] for row in rows}


def ordered(order: CardOrder) -> Ordered:
    return Ordered(
        order_id=order.order_id,
        card_id=order.card_id,
        card_number=order.card_number,
        valid_to=order.valid_to,
        challenge=order.challenge,
    )


def refusal(value: object) -> ProblemType:
    assert isinstance(value, Refusal), value
    return value.kind


@pytest.fixture
async def office(populated: Database, store: CardStore) -> Office:
    async with populated.connect() as connection:
        await connection.executemany(
            "SELECT cards.add_station($1, $2, FALSE)",
            [(STATION, bytes(32)), (OTHER_STATION, bytes([1]) * 32)],
        )
    return Office(populated, store)


async def test_an_order_names_a_card_and_nobody(office: Office) -> None:
    order = await office.order()
    assert read_card_number(order.card_number).startswith("96439099")
    assert (order.state, order.valid_to) == (OrderState.ORDERED, VALID_TO)
    assert (order.holder_id, order.register_version, order.issuer_region) == (p.MOTHER, 1, 99)
    assert len(order.challenge) == 32
    assert order.card_id.version == 4
    assert await office.issuing.read_order(STATION, order.order_id) == order
    assert set(msgspec.structs.asdict(order)) == {
        "order_id",
        "state",
        "holder_id",
        "register_version",
        "card_id",
        "card_number",
        "issuer_region",
        "valid_to",
        "challenge",
        "ordered_at",
        "batch_id",
    }


@pytest.mark.parametrize(
    ("request_", "kind", "field"),
    [
        (OrderRequest(), ProblemType.BODY_MALFORMED, "snils"),
        (OrderRequest(snils="1", citizen_id=p.LONE), ProblemType.BODY_MALFORMED, "snils"),
        (OrderRequest(snils="112-233-445 96"), ProblemType.BODY_MALFORMED, "snils"),
        (OrderRequest(snils="087-654-302 00"), ProblemType.CITIZEN_UNKNOWN, "snils"),
        (OrderRequest(citizen_id=UUID(int=9)), ProblemType.CITIZEN_UNKNOWN, "citizen_id"),
    ],
)
async def test_an_order_that_names_nobody_is_refused(
    office: Office, request_: OrderRequest, kind: ProblemType, field: str
) -> None:
    answer = await office.issuing.order(STATION, request_)
    assert isinstance(answer, Refusal)
    assert (answer.kind, answer.field) == (kind, field)


async def test_a_typed_snils_finds_the_citizen(office: Office) -> None:
    order = await office.issuing.order(STATION, OrderRequest(snils="112-233-445 95"))
    assert isinstance(order, CardOrder)
    assert order.holder_id == p.LONE


async def test_a_reported_card_may_act_for_household_and_children(office: Office) -> None:
    issued = await office.issue(p.MOTHER)
    assert (issued.holder_count, issued.valid_to, issued.issued_at) == (4, VALID_TO, NOW)
    today = date(2026, 9, 21)

    def row(holder: UUID, until: date) -> tuple[object, ...]:
        bucket = bucket_of(holder.bytes)
        return (bucket, holder, issued.card_id, 99, None, today, until, 1, VALID_TO)

    assert await office.authorities(issued.card_id) == {
        p.MOTHER: row(p.MOTHER, VALID_TO),
        p.HOUSEHOLD: row(p.HOUSEHOLD, VALID_TO),
        p.CHILD: row(p.CHILD, date(2028, 6, 14)),
        p.BABY: row(p.BABY, VALID_TO),
    }


async def test_the_same_report_again_gets_the_same_answer(office: Office) -> None:
    order = await office.order()
    keys = Keys()
    first = keys.report(office.authority, ordered(order))
    issued = await office.issuing.issue(STATION, order.order_id, first)
    office.clock.advance(3_600_000)
    again = msgspec.structs.replace(first, proof=keys.prove(order.order_id, order.challenge))
    assert await office.issuing.issue(STATION, order.order_id, again) == issued
    assert isinstance(issued, IssuedCard)
    await office.issuing.block(STATION, issued.card_id)
    assert await office.issuing.issue(STATION, order.order_id, first) == issued
    assert await office.states(issued.card_id) == {CardCode.BLOCKED}


async def test_reports_are_refused_by_the_state_of_their_order(office: Office) -> None:
    order = await office.order()
    report = Keys().report(office.authority, ordered(order))
    other = Keys().report(office.authority, ordered(order))
    issue = office.issuing.issue
    unknown = ProblemType.ORDER_UNKNOWN
    assert refusal(await issue(STATION, UUID(int=5), report)) is unknown
    assert refusal(await issue(OTHER_STATION, order.order_id, report)) is unknown
    assert isinstance(await issue(STATION, order.order_id, report), IssuedCard)
    assert refusal(await issue(STATION, order.order_id, other)) is ProblemType.ORDER_ISSUED
    given_up = await office.order(p.LONE)
    await office.issuing.give_up(STATION, given_up.order_id)
    late = Keys().report(office.authority, ordered(given_up))
    kind = ProblemType.ORDER_GIVEN_UP
    assert refusal(await issue(STATION, given_up.order_id, late)) is kind
    assert refusal(await office.issuing.read_card(given_up.card_id)) is ProblemType.CARD_UNKNOWN


async def test_an_order_is_given_up_once_and_for_all(office: Office) -> None:
    order = await office.order()
    for _ in range(2):
        given_up = await office.issuing.give_up(STATION, order.order_id)
        assert isinstance(given_up, CardOrder)
        assert given_up.state is OrderState.GIVEN_UP
    unknown = ProblemType.ORDER_UNKNOWN
    assert refusal(await office.issuing.give_up(OTHER_STATION, order.order_id)) is unknown
    issued = await office.issue()
    kind = ProblemType.ORDER_ISSUED
    assert refusal(await office.issuing.give_up(STATION, issued.order_id)) is kind
    assert await office.states(issued.card_id) == {CardCode.ACTIVE}


async def test_a_second_card_must_be_a_replacement(office: Office) -> None:
    first = await office.issue()
    request = OrderRequest(citizen_id=p.MOTHER)
    assert refusal(await office.issuing.order(STATION, request)) is ProblemType.CARD_HELD
    second = await office.issue(replace=True)
    assert await office.states(first.card_id) == {CardCode.REPLACED}
    assert await office.states(second.card_id) == {CardCode.ACTIVE}
    still = await office.issuing.block(STATION, first.card_id)
    assert isinstance(still, CardStatus)
    assert still.state is CardState.REPLACED
    await office.issuing.block(STATION, second.card_id)
    third = await office.issue()
    assert await office.states(second.card_id) == {CardCode.REPLACED}
    assert await office.states(third.card_id) == {CardCode.ACTIVE}


async def test_an_expired_card_does_not_hold_up_a_new_one(office: Office) -> None:
    first = await office.issue()
    office.clock.advance(CARD_VALIDITY_YEARS * 366 * 86_400_000)
    await office.order()
    assert await office.states(first.card_id) == {CardCode.ACTIVE}


async def test_cards_reported_at_once_leave_one_active(office: Office) -> None:
    orders = [await office.order() for _ in range(4)]
    answers = await asyncio.gather(
        *(
            office.issuing.issue(
                STATION, order.order_id, Keys().report(office.authority, ordered(order))
            )
            for order in orders
        )
    )
    assert all(isinstance(answer, IssuedCard) for answer in answers)
    states = [await office.states(order.card_id) for order in orders]
    assert sorted(map(tuple, states)) == [(1,), (3,), (3,), (3,)]


async def test_one_report_sent_at_once_issues_one_card(office: Office) -> None:
    order = await office.order()
    report = Keys().report(office.authority, ordered(order))
    answers = await asyncio.gather(
        *(office.issuing.issue(STATION, order.order_id, report) for _ in range(4))
    )
    assert isinstance(answers[0], IssuedCard)
    assert all(answer == answers[0] for answer in answers)


async def test_blocking_reaches_every_copy(office: Office) -> None:
    issued = await office.issue()
    for _ in range(2):
        blocked = await office.issuing.block(STATION, issued.card_id)
        assert isinstance(blocked, CardStatus)
        assert blocked.state is CardState.BLOCKED
    assert await office.states(issued.card_id) == {CardCode.BLOCKED}
    assert refusal(await office.issuing.block(STATION, UUID(int=8))) is ProblemType.CARD_UNKNOWN


async def test_a_station_is_known_by_its_whole_token(populated: Database, store: CardStore) -> None:
    token = new_token("Office-7")
    pool = await open_pool(populated.dsn(Role.OPERATOR), Role.OPERATOR, "test")
    try:
        operator = CardStore(pool)
        assert await operator.add_station("Office-7", token_sha256(token), renew=False)
        assert await station_of(store, token) == "Office-7"
        fresh = new_token("Office-7")
        assert not await operator.add_station("Office-7", token_sha256(fresh), renew=False)
        assert await station_of(store, fresh) is None
        assert await operator.add_station("Office-7", token_sha256(fresh), renew=True)
        assert await station_of(store, token) is None
        assert await station_of(store, fresh) == "Office-7"
    finally:
        await pool.close()


@pytest.mark.parametrize(
    "token",
    ["", ".", "office-1", "office-1.", ".secret", "office-1.secret", "о.x", "a." + "x" * 200],
)
async def test_no_other_text_is_a_station(office: Office, token: str) -> None:
    assert await office.issuing.station(token) is None


@pytest.mark.parametrize("name", ["", "a b", "имя", "x" * 33, "a.b"])
def test_a_station_name_has_a_form(name: str) -> None:
    with pytest.raises(ConfigurationError, match="station name"):
        new_token(name)


@pytest.mark.parametrize(
    ("day", "expected"),
    [(date(2026, 9, 21), date(2031, 9, 21)), (date(2028, 2, 29), date(2033, 2, 28))],
)
def testyears_after(day: date, expected: date) -> None:
    assert years_after(day, 5) == expected


def test_order_ids_sort_by_time() -> None:
    ids = [uuid7(NOW.replace(second=second)) for second in range(60)]
    assert ids == sorted(ids)
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
