"""A passport renewed at the terminal: when, how, and the card taken away at every command."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

import msgspec
import pytest

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.errors import TransportError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Algorithm
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import FACTORY_MANAGEMENT_KEY, CardState
from card_personalization.chip.transport.contract import Transport
from card_personalization.chip.transport.inprocess import InProcessTransport
from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.client.errors import HsmRefused
from hsm_stub.errors import CommandRefused
from hsm_stub.key_material import new_key_material
from hsm_stub.security_module import SecurityModule
from processing.cards.model import Card, CardCode
from processing.cards.passport_refresh import REFRESH_LIFETIME_MS, PassportRefresh
from processing.wire.passport_refresh import BEGIN_PATH, BeginRefresh, FinishRefresh
from processing.wire.social_passport import OfflineLimit, SocialPassport
from processing.wire.statement import Domain
from processing.wire.transaction import Evidence
from terminal_sim.card import PresentedCard
from terminal_sim.errors import TerminalError
from terminal_sim.keys import key_of_file
from terminal_sim.passport import Refreshed, is_due, poster, refresh
from tests.chip.writing import CutTransport
from tests.plugins.stop_lists import PUBLIC_KEY, signature_of
from tests.terminal_sim import world

TODAY = world.TODAY
CARD_ID = UUID(bytes=world.GUID)
TERMINAL = "AP000001"
PARAMETERS = world.parameters(
    content_keys=(PUBLIC_KEY,), content_url="http://127.0.0.1:1", writes_passports=True
)
MATERIAL = new_key_material("99", world.NOW_MS)


def passport(number: int, valid_from: date = TODAY, term_days: int = 180) -> bytes:
    """Return a passport of the card."""
    made = SocialPassport(
        card_id=world.GUID,
        region=99,
        number=number,
        valid_from=valid_from,
        valid_to=valid_from + timedelta(days=term_days),
        # Many, so that reading and writing take several commands.
        categories=tuple(f"CATEGORY.WITH.A.LONG.NAME.{one:02}" for one in range(30)),
        limits={"*": OfflineLimit(number, 300_000, 7)},
    )
    return made.encode(*signature_of(made.document, Domain.SOCIAL_PASSPORT))


OLD = passport(1, TODAY - timedelta(days=30))
NEW = passport(2)


class Keys:
    """The key service's half of 9B."""

    def __init__(self) -> None:
        self.module = SecurityModule(SoftwareBackend(MATERIAL), lambda: 0)

    async def card_admin_begin(
        self, card_guid: bytes, version: int, witness_ciphertext: bytes, master: int = 0
    ) -> c.CardAdminStarted:
        """Decrypt the witness."""
        asked = c.BeginCardAdmin(
            card_guid=card_guid,
            version=version,
            witness_ciphertext=witness_ciphertext,
            master=master,
        )
        started = self.module.execute(asked)
        assert isinstance(started, c.CardAdminStarted)
        return started

    async def card_admin_finish(self, handle: bytes, response: bytes) -> None:
        """Check the response."""
        try:
            self.module.execute(c.FinishCardAdmin(handle=handle, response=response))
        except CommandRefused as refused:
            raise HsmRefused(refused.code, refused.message) from None


class Centre:
    """The centre's half, asked without a line; `asked` are the paths."""

    def __init__(self, state: CardCode = CardCode.ACTIVE) -> None:
        self.asked: list[str] = []
        self.state = state
        self.now_ms = 0
        self.refresh = PassportRefresh(self, self, Keys(), lambda: self.now_ms)

    async def for_card(self, card_id: UUID, read_by: str) -> bytes | None:
        """Return the newest passport."""
        assert read_by == f"terminal {TERMINAL}"
        return NEW if card_id == CARD_ID else None

    async def card(self, card_id: UUID) -> Card | None:
        """Return the card."""
        return Card(card_id=card_id, card_number="", state=self.state, valid_to=TODAY)

    def post(self, path: str, body: bytes) -> bytes:
        """Answer as over HTTP."""
        self.asked.append(path)
        if path == BEGIN_PATH:
            begun = msgspec.json.decode(body, type=BeginRefresh)
            answer: msgspec.Struct | None = asyncio.run(self.refresh.begin(TERMINAL, begun))
        else:
            ended = msgspec.json.decode(body, type=FinishRefresh)
            answer = asyncio.run(self.refresh.finish(TERMINAL, ended))
        if answer is None:
            raise TerminalError("нет", "HTTP 409")
        return msgspec.json.encode(answer)


def issued(at_hand: bytes | None = OLD) -> SoftCard:
    """Return a card of the region as the station leaves it: with its own 9B key."""
    card = world.issued_card()
    client = client_of(InProcessTransport(card))
    client.authenticate_management(LocalManagementKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192))
    if at_hand is not None:
        client.write_passport(at_hand)
    derived = Keys().module.execute(c.DeriveCardAdminKey(card_guid=world.GUID, version=1, master=1))
    assert isinstance(derived, c.CardAdminKey)
    return with_key(card.state, derived.key)


def with_key(state: CardState, key: bytes) -> SoftCard:
    """Return the card with another 9B key."""
    return SoftCard(msgspec.structs.replace(state, management_key=key))


def client_of(transport: Transport) -> PivClient:
    """Return a client of a selected card."""
    client = PivClient(open_channel(transport))
    client.select()
    return client


def renewed(
    card: SoftCard, post: Callable[[str, bytes], bytes], transport: Transport | None = None
) -> Refreshed:
    """Renew the passport of a card at the reader."""
    client = client_of(transport or InProcessTransport(card))
    return refresh(client, world.GUID, PARAMETERS, TODAY, post)


def on(card: SoftCard) -> bytes:
    """Return the passport that is on a card."""
    return client_of(InProcessTransport(card)).read_passport()


def assert_serves(card: SoftCard) -> None:
    """Have a card sign a tap, which its certificate must prove."""
    presented = PresentedCard.read(InProcessTransport(card), world.parameters(), world.NOW_MS)
    assert presented.sign(bytes(32), Evidence.TAP, str)


@pytest.mark.parametrize("at_hand", [OLD, None, b"torn", passport(1, TODAY, 59)])
def test_what_is_due_is_renewed(at_hand: bytes | None) -> None:
    card, centre = issued(at_hand), Centre()
    assert renewed(card, centre.post) is Refreshed.WRITTEN
    assert on(card) == NEW
    assert renewed(card, centre.post) is Refreshed.NOT_DUE
    assert len(centre.asked) == 2


def test_what_is_right_is_left_alone() -> None:
    at_hand = passport(1, TODAY - timedelta(days=30))
    centre = Centre()
    card = issued(NEW)
    later = TODAY + timedelta(days=8)
    client = client_of(InProcessTransport(card))
    assert refresh(client, world.GUID, PARAMETERS, later, centre.post) is Refreshed.FRESH
    assert centre.asked == [BEGIN_PATH]
    assert is_due(at_hand, world.GUID, (PUBLIC_KEY,), TODAY)


def test_a_card_taken_away_at_any_command_is_none_the_worse() -> None:
    watched = CutTransport(issued(), 10_000, done=False)
    assert renewed(issued(), Centre().post, watched) is Refreshed.WRITTEN
    assert watched.sent >= 10
    for number, done in itertools.product(range(watched.sent), (False, True)):
        card = issued()
        with pytest.raises(TransportError):
            renewed(card, Centre().post, CutTransport(card, number, done=done))
        card = SoftCard(card.state)
        assert_serves(card)
        assert on(card) in (OLD, NEW), (number, done)
        assert renewed(card, Centre().post) in (Refreshed.WRITTEN, Refreshed.NOT_DUE)
        assert on(card) == NEW


def test_another_card_gets_no_passport_of_this_one() -> None:
    """Who has no card with the right 9B key in the reader learns nothing, and writes nothing."""
    centre, card = Centre(), with_key(issued().state, bytes(24))
    assert renewed(card, centre.post) is Refreshed.NOT_HERE
    assert centre.asked == [BEGIN_PATH]
    assert on(card) == OLD


def test_a_handle_serves_once_its_own_terminal_and_not_for_long() -> None:
    centre = Centre()
    handles = []
    for _ in range(3):
        begun = BeginRefresh(card_id=CARD_ID, passport_sha256=b"", witness=bytes(16))
        started = asyncio.run(centre.refresh.begin(TERMINAL, begun))
        assert started is not None
        handles.append(FinishRefresh(handle=started.handle, response=bytes(16)))
    wrong, stolen, late = handles
    assert asyncio.run(centre.refresh.finish(TERMINAL, wrong)) is None
    assert asyncio.run(centre.refresh.finish("AP000002", stolen)) is None
    centre.now_ms = REFRESH_LIFETIME_MS + 1
    assert asyncio.run(centre.refresh.finish(TERMINAL, late)) is None


def test_a_blocked_card_is_not_renewed() -> None:
    card = issued()
    with pytest.raises(TerminalError):
        renewed(card, Centre(CardCode.BLOCKED).post)
    assert on(card) == OLD


@pytest.mark.parametrize("url", ["", "http://centre.example:8580", "ftp://127.0.0.1"])
def test_categories_do_not_travel_in_the_clear(url: str) -> None:
    parameters = msgspec.structs.replace(PARAMETERS, content_url=url)
    with pytest.raises(TerminalError, match="over https only"):
        poster(parameters, key_of_file(parameters), lambda: 0)


def test_a_centre_that_is_away_leaves_the_card_as_it_was() -> None:
    card = issued()
    post = poster(PARAMETERS, key_of_file(PARAMETERS), lambda: world.NOW_MS)
    with pytest.raises(TerminalError, match="another time"):
        renewed(card, post)
    assert on(card) == OLD
    assert_serves(card)
