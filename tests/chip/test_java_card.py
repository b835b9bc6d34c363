"""The software Java card: both sides of SCP03 against each other, and OpenFIPS201 APDU by APDU."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from card_personalization.chip import scp03
from card_personalization.chip.apdu import Command
from card_personalization.chip.chaining import open_channel
from card_personalization.chip.errors import (
    AttemptError,
    CardFault,
    ChannelError,
    StatusError,
    TransportError,
)
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Algorithm, Slot, Tag
from card_personalization.chip.profiles.openfips201 import (
    SECURITY_DOMAIN_AID,
    OpenFips201Family,
)
from card_personalization.chip.scp03 import ChannelKeys, SecurityLevel
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.secure_channel import aes_cmac
from card_personalization.chip.softcard.session import Interface
from card_personalization.chip.softcard.state import (
    CardState,
    KeySet,
    Profile,
    factory_state,
)
from card_personalization.chip.transport.inprocess import InProcessTransport
from tests.chip.writing import (
    GUID,
    OWN_CHANNEL,
    PIN,
    CutTransport,
    client_over,
    families,
    write_card,
)

DRIVER = OpenFips201Family()
RESOURCES = Command(0xCA, 0xFF, 0x21, cla=0x80)
LEVELS = (0x01, 0x03, 0x11, 0x13, 0x33)


def with_keys(keys: ChannelKeys) -> CardState:
    """A fresh card with this key set."""
    state = factory_state(Profile.OPENFIPS201, 3)
    assert state.platform is not None
    held = KeySet(keys.version, keys.enc, keys.mac, keys.dek)
    return msgspec.structs.replace(
        state, platform=msgspec.structs.replace(state.platform, key_set=held)
    )


def domain_of(card: SoftCard) -> PivClient:
    """A client with the security domain selected."""
    client = PivClient(open_channel(InProcessTransport(card)))
    assert client.channel.send(Command(0xA4, 0x04, 0x00, SECURITY_DOMAIN_AID)).ok
    return client


@given(key=st.binary(min_size=16, max_size=16), message=st.binary(max_size=100))
def test_both_ways_to_reckon_cmac_agree(key: bytes, message: bytes) -> None:
    assert aes_cmac(key, message) == scp03.cmac(key, message)


@settings(max_examples=40, deadline=None)
@given(
    key_bytes=st.sampled_from([16, 24, 32]),
    level=st.sampled_from(LEVELS),
    seed=st.binary(min_size=3, max_size=3),
    commands=st.integers(1, 4),
)
def test_both_sides_agree_at_every_level(
    key_bytes: int, level: int, seed: bytes, commands: int
) -> None:
    enc, mac, dek = (bytes([byte]) * key_bytes for byte in seed)
    keys = ChannelKeys(enc, mac, dek, 9)
    client = domain_of(SoftCard(with_keys(keys)))
    channel = scp03.open_secure_channel(client.channel, keys, SecurityLevel(level))
    for _ in range(commands):
        answer = channel.send(RESOURCES)
        assert answer.ok
        assert answer.data.hex().startswith("ff210f8101018204")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("position", [0, 2, 5, -1])
def test_a_command_changed_on_its_way_ends_the_channel(level: int, position: int) -> None:
    card = SoftCard(with_keys(OWN_CHANNEL))
    client = domain_of(card)
    channel = scp03.open_secure_channel(client.channel, OWN_CHANNEL, SecurityLevel(level))
    wrapped = channel.wrap(Command(0xCA, 0x00, 0xE0, b"\x01\x02", cla=0x80))
    apdu = bytearray(scp03_apdu(wrapped))
    apdu[position] ^= 0x02 if position else 0x08
    answer = card.transmit(bytes(apdu))
    assert answer[-2:].hex() in ("6982", "6700", "6882", "6e00", "6986")
    with pytest.raises((ChannelError, AssertionError)):
        assert channel.send(RESOURCES).ok


def scp03_apdu(command: Command) -> bytes:
    head = bytes([command.cla, command.ins, command.p1, command.p2, len(command.data)])
    return head + command.data


def test_a_command_sent_twice_is_not_taken_twice() -> None:
    card = SoftCard(with_keys(OWN_CHANNEL))
    client = domain_of(card)
    channel = scp03.open_secure_channel(client.channel, OWN_CHANNEL)
    apdu = scp03_apdu(channel.wrap(RESOURCES))
    assert card.transmit(apdu)[-2:] == b"\x90\x00"
    assert card.transmit(apdu)[-2:].hex() == "6982"


@pytest.mark.parametrize("key_bytes", [16, 24, 32])
def test_channel_keys_of_every_length_are_replaced(key_bytes: int) -> None:
    card = SoftCard(factory_state(Profile.OPENFIPS201, 3))
    client = client_over(card)
    enc, mac, dek = (bytes([byte]) * key_bytes for byte in (1, 2, 3))
    wanted = ChannelKeys(enc, mac, dek, version=5)
    DRIVER.replace_channel_keys(client, DRIVER.factory_access().channel, wanted)
    again = msgspec.structs.replace(OWN_CHANNEL, version=6)
    DRIVER.replace_channel_keys(client, wanted, again)
    assert card.state.platform is not None
    assert card.state.platform.key_set.version == 6
    with pytest.raises(ChannelError) as caught:
        DRIVER.replace_channel_keys(client, wanted, again)
    assert caught.value.fault is CardFault.CHANNEL_VERSION_ABSENT


def test_wrong_cryptograms_are_counted_for_good() -> None:
    card = SoftCard(factory_state(Profile.OPENFIPS201, 3))
    for count in range(1, 12):
        card.reset()
        card.transmit(bytes.fromhex("80500000080102030405060708"))
        answer = card.transmit(bytes.fromhex("8482010010") + bytes(16))
        assert answer.hex() == ("6300" if count <= 10 else "6983")
    with pytest.raises(ChannelError, match="6983"):
        DRIVER.open(client_over(card), DRIVER.factory_access())


def written() -> SoftCard:
    """A finished card."""
    family = families()["openfips201"]
    card = SoftCard(factory_state(family.profile, 3))
    write_card(family, client_over(card))
    return card


def test_an_issued_card_over_both_interfaces() -> None:
    card = written()
    client = client_over(card)
    with pytest.raises(StatusError) as caught:
        client.sign_digest(Slot.AUTHENTICATION, bytes(32))
    assert caught.value.fault is CardFault.NOT_ALLOWED
    client.verify_pin(PIN)
    assert len(client.sign_digest(Slot.AUTHENTICATION, bytes(32))) == 64
    tapped = client_over(SoftCard(card.state, interface=Interface.CONTACTLESS))
    assert len(tapped.sign_digest(Slot.CARD_AUTHENTICATION, bytes(32))) == 64
    assert tapped.read_chuid().guid == GUID
    for refused in (
        lambda: tapped.verify_pin(PIN),
        lambda: tapped.get_data(Tag.CERTIFICATE_9A),
        lambda: tapped.sign_digest(Slot.AUTHENTICATION, bytes(32)),
    ):
        with pytest.raises(StatusError) as caught:
            refused()
        assert caught.value.fault is CardFault.NOT_ALLOWED


def test_the_last_wrong_pin_is_told_as_blocked() -> None:
    client = client_over(written())
    left = []
    for _ in range(5):
        with pytest.raises(AttemptError) as caught:
            client.verify_pin("000000")
        left.append((caught.value.attempts_remaining, caught.value.sw))
    assert left == [(4, 0x63C4), (3, 0x63C3), (2, 0x63C2), (1, 0x63C1), (0, 0x6983)]
    client.unblock_pin("87654321", "222222")
    client.verify_pin("222222")


@pytest.mark.parametrize(
    ("request_", "sw"),
    [
        ("640b8b035fc1028c017f8d017f", 0x6E27),
        ("64038b0101", 0x6E17),
        ("64038c017f", 0x6E15),
        ("66128b019e8c017f8d017f8e01118f0104900100", 0x6E27),
        ("66128b019d8c017f8d017f8e01078f0104900110", 0x6A81),
        ("66128b019b8c017f8d01008e01088f0101900108", 0x6A80),
        ("6805a003860110", 0x6E26),
        ("6805a003870109", 0x6E26),
        ("6f00", 0x6E14),
        ("640b8b035f", 0x6A80),
    ],
)
def test_definitions_that_are_refused(request_: str, sw: int) -> None:
    card = SoftCard(factory_state(Profile.OPENFIPS201, 3))
    client = client_over(card)
    DRIVER.open(client, DRIVER.factory_access())
    DRIVER.prepare(client)
    command = Command(0xDB, 0x3F, 0x00, bytes.fromhex(request_), answer_bytes=None)
    assert client.channel.send(command).sw == sw
    assert client_over(card).channel.send(command).sw == 0x6982


def test_nothing_is_there_before_it_is_defined() -> None:
    client = client_over(SoftCard(factory_state(Profile.OPENFIPS201, 3)))
    DRIVER.open(client, DRIVER.factory_access())
    for slot in (Slot.AUTHENTICATION, Slot.CARD_AUTHENTICATION):
        with pytest.raises(StatusError, match="6A86"):
            client.generate_key(slot)
    with pytest.raises(StatusError) as caught:
        client.put_data(Tag.CHUID, b"x")
    assert caught.value.fault is CardFault.NOT_FOUND
    with pytest.raises(StatusError):
        DRIVER.set_management_key(client, bytes(24), Algorithm.AES_192)
    with pytest.raises(ValueError, match="between 1 and 15"):
        DRIVER.set_attempts(client, 16, 5)


@pytest.mark.parametrize(("links", "zeros"), [(1, 769), (3, 291), (4, 52)])
def test_a_large_object_broken_off_stays_in_part(links: int, zeros: int) -> None:
    card = SoftCard(factory_state(Profile.OPENFIPS201, 3))
    client = client_over(card)
    DRIVER.open(client, DRIVER.factory_access())
    DRIVER.prepare(client)
    transport = CutTransport(card, 3 + links, done=False)
    client = PivClient(open_channel(transport))
    client.select()
    DRIVER.open(client, DRIVER.factory_access())
    with pytest.raises(TransportError):
        DRIVER.write_object(client, Tag.RETIRED_1, b"\xff" * 999)
    content = client_over(SoftCard(card.state)).get_data(Tag.RETIRED_1)
    assert len(content) == 999
    assert content == b"\xff" * (999 - zeros) + bytes(zeros)
    client = client_over(card)
    DRIVER.open(client, DRIVER.factory_access())
    DRIVER.write_object(client, Tag.RETIRED_1, b"\xfe" * 999)
    assert client.get_data(Tag.RETIRED_1) == b"\xfe" * 999
