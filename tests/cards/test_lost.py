"""A lost card: stopped at once, a code serves meanwhile, and ends when the new card is there."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from processing.cards.copies import card_store
from processing.cards.life import Stage
from processing.cards.lost import TEMPORARY_DAYS, report_lost
from processing.cards.model import Refusal
from processing.cards.store import CardStore
from processing.cards.temporary_page import PageFormat, temporary_page
from processing.kernel.clock import SystemClock
from processing.kernel.errors import DatabaseUnavailableError
from processing.kernel.roles import Role
from processing.wire.api import LentCard, ProblemType
from processing.wire.outcome import Outcome
from processing.wire.statement import Domain
from processing.wire.temporary_card import TemporaryCard
from processing.wire.transaction import Evidence, IdentifierKind, Request
from tests.plugins.centre import ServeTown
from tests.plugins.live_centre import LiveCentre
from tests.plugins.stop_lists import PUBLIC_KEY, signer_of
from tests.plugins.town import ZONE, Citizen, Shop, citizen

MARIA = citizen(1)
CARD = UUID(bytes=MARIA.card_id)
CODE = IdentifierKind.QR_CERTIFICATE
SIGN = signer_of(Domain.TEMPORARY_CARD)
STOPPED_SECONDS_MAX = 1.0


@pytest.fixture
async def centre(serve_town: ServeTown) -> AsyncIterator[LiveCentre]:
    """Give a centre that serves the town."""
    async with serve_town() as centre:
        yield centre


async def lose(centre: LiveCentre, card_id: UUID = CARD) -> LentCard | Refusal:
    """Report a card as lost."""
    async with centre.databases.pools(Role.ISSUING) as pools:
        return await report_lost(
            card_store(pools), SIGN, SystemClock(ZONE), card_id, by="Ольга", reason="in a tram"
        )


async def lent(centre: LiveCentre, card_id: UUID = CARD) -> LentCard:
    """Report a card as lost, which must be possible."""
    answer = await lose(centre, card_id)
    assert isinstance(answer, LentCard), answer
    return answer


def holder_of(code: LentCard) -> Citizen:
    """Give the citizen with a code in the place of the card."""
    card = TemporaryCard.decode(code.text, (PUBLIC_KEY,))
    assert (card.card_id, card.valid_to) == (code.card_id.bytes, code.valid_to)
    key = ec.derive_private_key(int.from_bytes(card.private_key), ec.SECP256R1())
    return msgspec.structs.replace(MARIA, card_id=card.card_id, tap=key, pin=key)


def by_code(shop: Shop, who: Citizen) -> Request:
    """Give a sale for the code."""
    return shop.sale(who, identifier_kind=CODE)


async def issue_new_card(centre: LiveCentre, who: Citizen) -> UUID:
    """Order and issue the citizen's next card by the functions that the gateway calls."""
    order_id, card_id = uuid4(), uuid4()
    await centre.execute("SELECT cards.add_station('office', $1, FALSE)", bytes(32))
    ordered = await centre.value(
        "SELECT cards.order_card($1, $2, 1, 'office', $3, '9643900000000000777', 99::smallint, "
        "'2039-01-01', $4, now(), current_date, FALSE)",
        order_id,
        UUID(bytes=who.holder_id),
        card_id,
        bytes(32),
    )
    issued = await centre.value(
        "SELECT cards.issue_card($1, 'office', $2, $2, 'a', 'b', now(), current_date)",
        order_id,
        os.urandom(65),
    )
    assert (ordered, issued) == (1, 1)
    return card_id


async def test_from_the_loss_to_the_new_card(centre: LiveCentre) -> None:
    line, shop = await centre.line(), Shop()
    assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.APPROVED
    began = time.monotonic()
    code = await lent(centre)
    refused = await line.decide(shop.sale(MARIA))
    assert time.monotonic() - began < STOPPED_SECONDS_MAX
    assert refused.outcome is Outcome.CARD_BLOCKED
    who = holder_of(code)
    assert (await line.decide(by_code(shop, who))).outcome is Outcome.APPROVED
    assert await centre.value("SELECT state FROM cards.application") == 1
    await issue_new_card(centre, MARIA)
    assert await centre.value("SELECT state FROM cards.application") == 3
    assert (await line.decide(by_code(shop, who))).outcome is Outcome.CARD_BLOCKED
    async with centre.databases.pools(Role.OPERATOR) as pools:
        lives = [await CardStore(pools.home).life(card) for card in (CARD, code.card_id)]
    assert [step.to_stage for step in lives[0]] == ["suspended", "replaced"]
    assert [step.to_stage for step in lives[1]] == ["active", "replaced"]
    assert lives[0][0].reason == "lost: in a tram"


async def test_a_code_is_no_chip_and_has_no_pin(centre: LiveCentre) -> None:
    line, shop = await centre.line(), Shop()
    who = holder_of(await lent(centre))
    wrong = Outcome.SIGNATURE_WRONG
    assert (await line.decide(shop.sale(who))).outcome is wrong
    pin = shop.sale(who, identifier_kind=CODE, evidence=Evidence.PIN)
    assert (await line.decide(pin)).outcome is wrong
    assert (await line.decide(shop.sale(citizen(2), identifier_kind=CODE))).outcome is wrong


async def test_one_code_at_a_time_and_none_once_the_card_is_found(centre: LiveCentre) -> None:
    line, shop = await centre.line(), Shop()
    first, second = [holder_of(await lent(centre)) for _ in range(2)]
    assert (await line.decide(by_code(shop, first))).outcome is Outcome.CARD_BLOCKED
    assert (await line.decide(by_code(shop, second))).outcome is Outcome.APPROVED
    assert await centre.value("SELECT count(*) FROM cards.application") == 1
    async with centre.databases.pools(Role.OPERATOR) as pools:
        move = await card_store(pools).move(CARD, Stage.ACTIVE, "Ольга", "found")
    assert move.done
    assert (await line.decide(by_code(shop, second))).outcome is Outcome.CARD_BLOCKED
    assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.APPROVED
    assert await centre.value("SELECT state FROM cards.application") == 4


async def test_what_is_kept_of_a_code(centre: LiveCentre) -> None:
    code = await lent(centre)
    card = TemporaryCard.decode(code.text, (PUBLIC_KEY,))
    row = await centre.value(
        "SELECT to_jsonb(c) FROM cards.card AS c WHERE card_id = $1", code.card_id
    )
    assert card.private_key.hex() not in row
    assert code.text not in repr(code)
    today = SystemClock(ZONE).local_date()
    assert code.valid_to == today + timedelta(days=TEMPORARY_DAYS - 1)


async def test_a_card_that_is_not_in_use_cannot_be_lost(centre: LiveCentre) -> None:
    code = await lent(centre)
    for card_id, kind in (
        (uuid4(), ProblemType.CARD_UNKNOWN),
        (code.card_id, ProblemType.CARD_NOT_IN_USE),
    ):
        refused = await lose(centre, card_id)
        assert isinstance(refused, Refusal)
        assert refused.kind is kind
    await issue_new_card(centre, MARIA)
    late = await lose(centre)
    assert isinstance(late, Refusal)
    assert late.kind is ProblemType.CARD_NOT_IN_USE
    assert "replaced" in late.reason


async def test_a_card_is_stopped_though_no_code_can_be_signed(centre: LiveCentre) -> None:
    async def sign(_document: bytes) -> tuple[bytes, bytes]:
        raise DatabaseUnavailableError("no key service")

    async with centre.databases.pools(Role.ISSUING) as pools:
        with pytest.raises(DatabaseUnavailableError):
            await report_lost(
                card_store(pools), sign, SystemClock(ZONE), CARD, by="Ольга", reason="lost"
            )
    line, shop = await centre.line(), Shop()
    assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.CARD_BLOCKED


@pytest.mark.parametrize(
    ("kind", "start"), [("pdf", b"%PDF-"), ("png", b"\x89PNG"), ("svg", b"<svg")]
)
@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_sheet_is_one_page(kind: PageFormat, start: bytes, language: str) -> None:
    code = TemporaryCard(
        card_id=bytes(16), region=99, valid_to=SystemClock(ZONE).local_date(), private_key=bytes(32)
    )
    text = code.encode(bytes(8), bytes(64))
    sheet = temporary_page(text, "0" * 36, code.valid_to, "МФЦ, ул. Мира, 1", language, kind)
    assert sheet.startswith(start)
