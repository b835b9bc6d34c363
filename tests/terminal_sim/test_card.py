"""The card at the terminal: whose it is, whether it may be trusted, its signature, its PIN."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from card_personalization.chip.ecdsa_signature import public_point, verifies
from card_personalization.chip.errors import AttemptError, CardError, CardFault
from card_personalization.chip.piv.objects import Chuid, Slot
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import factory_state
from card_personalization.chip.transport.inprocess import InProcessTransport
from processing.wire.parameter_file import ParameterFile
from processing.wire.transaction import Evidence
from terminal_sim.card import CardRefused, PresentedCard, drawer_card, luhn_is_right
from tests.terminal_sim import world

DIGEST = hashlib.sha256(b"a request").digest()
WRONG_PIN = "654321"


def presented(card: SoftCard, file: ParameterFile | None = None) -> PresentedCard:
    return PresentedCard.read(InProcessTransport(card), file or world.parameters(), world.NOW_MS)


def point(card: SoftCard, slot: Slot) -> bytes:
    """The public point of a key, computed from the card's own memory."""
    return public_point(card.state.keys[slot].scalar)


def no_pin() -> str:
    raise AssertionError("no PIN is needed for a tap")


def test_who_the_card_is() -> None:
    card = presented(world.issued_card())
    assert card.identity.card_id == world.GUID
    assert (card.identity.issuer_region, card.identity.number) == (99, world.CARD_NUMBER)
    assert card.valid_to == world.VALID_TO.date()


@pytest.mark.parametrize(
    ("evidence", "slot"),
    [(Evidence.TAP, Slot.CARD_AUTHENTICATION), (Evidence.PIN, Slot.AUTHENTICATION)],
)
def test_each_evidence_has_its_key(evidence: Evidence, slot: Slot) -> None:
    card = world.issued_card()
    ask = no_pin if evidence is Evidence.TAP else lambda: world.PIN
    signature = presented(card).sign(DIGEST, evidence, ask)
    assert verifies(point(card, slot), DIGEST, signature)


def wrong_certificate(**changes: object) -> Callable[[], SoftCard]:
    """Makes a card whose certificate in 9E is wrong in one thing."""

    def make() -> SoftCard:
        card = world.issued_card()
        client = world.blank_client(card)
        point_9e = point(card, Slot.CARD_AUTHENTICATION)
        der = world.card_certificate(point_9e, **changes)  # type: ignore[arg-type]
        client.write_certificate(Slot.CARD_AUTHENTICATION, der)
        return card

    return make


def unknown_version() -> SoftCard:
    """A card whose certificate is of a version of X.509 that there is not."""
    card = world.issued_card()
    der = world.card_certificate(point(card, Slot.CARD_AUTHENTICATION))
    changed = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020142"), 1)
    world.blank_client(card).write_certificate(Slot.CARD_AUTHENTICATION, changed)
    return card


def other_key() -> SoftCard:
    """A card whose key in 9E is not the certificate's."""
    card = world.issued_card()
    world.blank_client(card).generate_key(Slot.CARD_AUTHENTICATION)
    return card


REFUSED = [
    ("another issuer", wrong_certificate(ca_key=world.OTHER_KEY), "not issued here"),
    ("another version of X.509", unknown_version, "not issued here"),
    ("another card's", wrong_certificate(guid=bytes(16)), "another card"),
    (
        "out of date",
        wrong_certificate(valid_to=datetime(2026, 2, 1, tzinfo=UTC)),
        "valid until 2026-02-01",
    ),
    ("no card number", wrong_certificate(number="Ivanov"), "no social card"),
    ("a wrong check digit", wrong_certificate(number="9643909900000000010"), "no social card"),
    ("a bank's number", wrong_certificate(number="4111111111111111"), "no social card"),
]


@pytest.mark.parametrize(
    ("make", "words"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_cards_that_are_refused(make: Callable[[], SoftCard], words: str) -> None:
    with pytest.raises(CardRefused, match=words) as caught:
        presented(make())
    assert caught.value.text("ru") != caught.value.text("en")


def test_a_blank_card_is_told_from_a_broken_one() -> None:
    with pytest.raises(CardError) as caught:
        presented(SoftCard(factory_state()))
    assert caught.value.fault is CardFault.NOT_FOUND


def test_a_key_that_is_not_the_certificates_is_noticed() -> None:
    card = presented(other_key())
    with pytest.raises(CardRefused, match="does not fit"):
        card.sign(DIGEST, Evidence.TAP, no_pin)


def test_damaged_parameters_are_told() -> None:
    with pytest.raises(CardRefused, match="enrol"):
        presented(world.issued_card(), world.parameters(issuing_cas=(b"\x30\x00",)))


def test_a_wrong_pin_counts_down_to_a_block() -> None:
    card = world.issued_card()
    for left in (2, 1):
        with pytest.raises(AttemptError) as caught:
            presented(card).sign(DIGEST, Evidence.PIN, lambda: WRONG_PIN)
        assert caught.value.attempts_remaining == left
        assert f"Осталось попыток: {left}" in caught.value.text("ru")
        assert presented(card).pin_attempts_remaining() == left
    for pin in (WRONG_PIN, world.PIN):
        with pytest.raises(AttemptError) as caught:
            presented(card).sign(DIGEST, Evidence.PIN, lambda pin=pin: pin)  # type: ignore[misc]
        assert caught.value.fault is CardFault.PIN_BLOCKED
    # A blocked PIN does not take the tap away.
    assert len(presented(card).sign(DIGEST, Evidence.TAP, no_pin)) == 64


@pytest.mark.parametrize("typed", ["", "12345", "123456789", "12345a", "١٢٣٤٥٦"])
def test_what_is_no_pin_costs_no_attempt(typed: str) -> None:
    card = world.issued_card()
    with pytest.raises(CardRefused, match="6 to 8 digits"):
        presented(card).sign(DIGEST, Evidence.PIN, lambda: typed)
    assert presented(card).pin_attempts_remaining() == 3


def test_the_pin_does_not_outlive_its_signature() -> None:
    card = presented(world.issued_card())
    card.sign(DIGEST, Evidence.PIN, lambda: world.PIN)
    assert card.pin_attempts_remaining() == 3


def test_pin_attempts_of_a_card_in_a_drawer_survive(tmp_path: Path) -> None:
    file = world.card_file(tmp_path)
    with drawer_card(file) as transport:
        card = PresentedCard.read(transport, world.parameters(), world.NOW_MS)
        with pytest.raises(AttemptError):
            card.sign(DIGEST, Evidence.PIN, lambda: WRONG_PIN)
    with drawer_card(file) as transport:
        card = PresentedCard.read(transport, world.parameters(), world.NOW_MS)
        assert card.pin_attempts_remaining() == 2


def test_a_card_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CardRefused, match="no card"), drawer_card(tmp_path / "nobody.card"):
        pass


@pytest.mark.parametrize(
    ("number", "right"),
    [("9643909900000000019", True), ("4111111111111111", True), ("9643909900000000010", False)],
)
def test_luhn(number: str, right: bool) -> None:
    assert luhn_is_right(number) is right


def test_the_chuid_rules_which_card_it_is() -> None:
    card = world.issued_card()
    world.blank_client(card).write_chuid(Chuid(bytes(range(16)), world.VALID_TO.date()))
    with pytest.raises(CardRefused, match="another card"):
        presented(card)
