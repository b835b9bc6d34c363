from __future__ import annotations

import hashlib

import pytest

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command
from card_personalization.chip.chaining import open_channel
from card_personalization.chip.ecdsa_signature import is_low_s, verifies
from card_personalization.chip.errors import (
    AttemptError,
    CardError,
    CardFault,
    MalformedAnswer,
    StatusError,
)
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import (
    PASSPORT_LIMIT_BYTES,
    PASSPORT_TAG,
    Algorithm,
    Slot,
    Tag,
)
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import FACTORY_MANAGEMENT_KEY
from card_personalization.chip.transport.inprocess import InProcessTransport
from tests.chip.issued import EXPIRES_ON, GUID, IssuedCard, client_of

DIGEST = hashlib.sha256(b"one tap").digest()


def factory_host() -> LocalManagementKey:
    return LocalManagementKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192)


class AnsweringCard:
    """Gives the same answer to everything."""

    name = "answering"

    def __init__(self, answer: bytes, sw: int = 0x9000) -> None:
        self._answer = (answer, sw)

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        assert command
        return self._answer

    def close(self) -> None:
        pass


@pytest.mark.parametrize("extended", [False, True])
def test_what_a_tap_reads(issued: IssuedCard, extended: bool) -> None:
    client = PivClient(open_channel(InProcessTransport(issued.card), extended=extended))
    assert tlv.unwrap(client.select(), 0x61)
    chuid = client.read_chuid()
    assert (chuid.guid, chuid.expires_on) == (GUID, EXPIRES_ON)
    assert client.read_discovery().knows_application_pin
    for slot, der in issued.certificates.items():
        assert client.read_certificate(slot) == der


def test_a_tap_signs_without_pin(issued: IssuedCard, client: PivClient) -> None:
    raws = {client.sign_digest(Slot.CARD_AUTHENTICATION, bytes([n]) * 32) for n in range(16)}
    assert len(raws) == 16
    assert all(len(raw) == 64 and is_low_s(raw) for raw in raws)
    raw = client.sign_digest(Slot.CARD_AUTHENTICATION, DIGEST)
    assert verifies(issued.points[Slot.CARD_AUTHENTICATION], DIGEST, raw)


@pytest.mark.parametrize(
    ("slot", "signatures_per_pin"), [(Slot.AUTHENTICATION, 3), (Slot.SIGNATURE, 1)]
)
def test_other_keys_want_the_pin(
    issued: IssuedCard, client: PivClient, slot: Slot, signatures_per_pin: int
) -> None:
    for _ in range(2):
        with pytest.raises(StatusError) as caught:
            client.sign_digest(slot, DIGEST)
        assert caught.value.fault is CardFault.NOT_ALLOWED
        client.verify_pin("123456")
        for _ in range(signatures_per_pin):
            assert verifies(issued.points[slot], DIGEST, client.sign_digest(slot, DIGEST))
        if slot is Slot.AUTHENTICATION:
            client.forget_pin()


def test_pin_always_means_immediately_before(client: PivClient) -> None:
    client.verify_pin("123456")
    client.read_chuid()
    with pytest.raises(StatusError) as caught:
        client.sign_digest(Slot.SIGNATURE, DIGEST)
    assert caught.value.fault is CardFault.NOT_ALLOWED
    client.verify_pin("123456")
    client.sign_digest(Slot.SIGNATURE, DIGEST)


def test_wrong_pins_count_down_to_the_block_and_the_puk_frees_it(client: PivClient) -> None:
    assert client.pin_attempts_remaining() == 3
    for left in (2, 1, 0):
        with pytest.raises(AttemptError) as caught:
            client.verify_pin("000000")
        assert caught.value.attempts_remaining == left
        assert client.pin_attempts_remaining() == left
    with pytest.raises(AttemptError, match="The PIN is blocked") as caught:
        client.verify_pin("123456")
    assert caught.value.fault is CardFault.PIN_BLOCKED
    with pytest.raises(AttemptError) as caught:
        client.unblock_pin("00000000", "654321")
    assert (caught.value.fault, caught.value.attempts_remaining) == (CardFault.PUK_WRONG, 2)
    client.unblock_pin("12345678", "654321")
    assert client.pin_attempts_remaining() == 3
    client.verify_pin("654321")
    assert client.pin_attempts_remaining() is None


def test_pin_and_puk_change(client: PivClient) -> None:
    with pytest.raises(AttemptError, match="Attempts left: 2"):
        client.change_pin("000000", "111111")
    client.change_pin("123456", "111111")
    client.change_puk("12345678", "8765-4!?")
    client.unblock_pin("8765-4!?", "222222")
    client.verify_pin("222222")
    with pytest.raises(AttemptError) as caught:
        client.change_puk("12345678", "00000000")
    assert caught.value.fault is CardFault.PUK_WRONG


def test_a_pin_of_wrong_form_costs_no_attempt(client: PivClient) -> None:
    for pin in ("12345", "abcdef", ""):
        with pytest.raises(ValueError, match="6 to 8 digits"):
            client.verify_pin(pin)
    assert client.pin_attempts_remaining() == 3


def test_the_social_passport_fits(client: PivClient) -> None:
    passport = bytes(range(256)) * 7 + bytes(PASSPORT_LIMIT_BYTES - 7 * 256)
    client.authenticate_management(factory_host())
    client.put_data(PASSPORT_TAG, passport)
    assert client.get_data(PASSPORT_TAG) == passport
    client.put_data(PASSPORT_TAG, b"")
    with pytest.raises(StatusError, match="does not hold it: object 5FC10D") as caught:
        client.get_data(PASSPORT_TAG)
    assert caught.value.fault is CardFault.NOT_FOUND


def test_writing_wants_the_management_key(client: PivClient) -> None:
    for write in (
        lambda: client.put_data(Tag.CHUID, b"x"),
        lambda: client.generate_key(Slot.CARD_AUTHENTICATION),
    ):
        with pytest.raises(StatusError) as caught:
            write()
        assert caught.value.fault is CardFault.NOT_ALLOWED


def test_a_wrong_management_key_is_refused(client: PivClient) -> None:
    with pytest.raises(StatusError) as caught:
        client.authenticate_management(LocalManagementKey(bytes(24), Algorithm.AES_192))
    assert caught.value.fault is CardFault.MANAGEMENT_KEY_WRONG
    with pytest.raises(StatusError) as caught:
        client.put_data(Tag.CHUID, b"x")
    assert caught.value.fault is CardFault.NOT_ALLOWED
    client.authenticate_management(factory_host())


def test_an_impostor_card_is_found_out() -> None:
    impostor = AnsweringCard(tlv.encode(0x7C, tlv.encode(0x80, bytes(16)) + tlv.encode(0x82, b"")))
    with pytest.raises(CardError) as caught:
        PivClient(open_channel(impostor)).authenticate_management(factory_host())
    assert caught.value.fault is CardFault.CARD_UNPROVEN


def test_a_local_key_has_the_length_of_its_algorithm() -> None:
    with pytest.raises(ValueError, match="24 bytes, not 16"):
        LocalManagementKey(bytes(16), Algorithm.AES_192)
    with pytest.raises(CardError):
        factory_host().finish(b"")


def test_a_card_without_piv_is_told() -> None:
    with pytest.raises(StatusError, match="no PIV application") as caught:
        PivClient(open_channel(AnsweringCard(b"", 0x6A82))).select()
    assert (caught.value.fault, caught.value.sw) == (CardFault.NOT_PIV, 0x6A82)


@pytest.mark.parametrize(
    "answer",
    ["", "00", "53", "5302aa", "7c00", "7c0482024142", "7f4900", "7f490286ff", "530e3410"],
)
def test_broken_answers_are_told_as_such(answer: str) -> None:
    client = PivClient(open_channel(AnsweringCard(bytes.fromhex(answer))))
    for ask in (
        client.read_chuid,
        client.read_discovery,
        lambda: client.generate_key(Slot.SIGNATURE),
        lambda: client.sign_digest(Slot.SIGNATURE, DIGEST),
        lambda: client.authenticate_management(factory_host()),
    ):
        with pytest.raises(MalformedAnswer):
            ask()


@pytest.mark.parametrize(
    ("sw", "fault"),
    [
        (0x6A84, CardFault.NO_SPACE),
        (0x6A80, CardFault.VALUE_REFUSED),
        (0x6A81, CardFault.NOT_SUPPORTED),
        (0x6D00, CardFault.NOT_SUPPORTED),
        (0x6A88, CardFault.NOT_FOUND),
        (0x6F00, CardFault.STATUS),
    ],
)
def test_refusals_by_status_word(sw: int, fault: CardFault) -> None:
    with pytest.raises(StatusError) as caught:
        PivClient(open_channel(AnsweringCard(b"", sw))).put_data(Tag.CHUID, b"x")
    assert (caught.value.fault, caught.value.sw) == (fault, sw)


def test_a_digest_has_32_bytes(client: PivClient) -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        client.sign_digest(Slot.CARD_AUTHENTICATION, bytes(31))


def test_a_closed_transport_is_a_card_removed() -> None:
    transport = InProcessTransport(SoftCard())
    client = PivClient(open_channel(transport))
    client.select()
    transport.close()
    transport.close()
    with pytest.raises(CardError) as caught:
        client.select()
    assert caught.value.fault is CardFault.CARD_REMOVED


def test_selecting_again_keeps_the_pin(issued: IssuedCard) -> None:
    client = client_of(issued.card)
    client.verify_pin("123456")
    client.select()
    assert client.pin_attempts_remaining() is None
    other = Command(0xA4, 0x04, 0x00, bytes.fromhex("A0000000031010"))
    assert client.channel.send(other).sw == 0x6A82
    assert client.pin_attempts_remaining() is None
    issued.card.reset()
    client.select()
    assert client.pin_attempts_remaining() == 3
