"""The software card, APDU by APDU."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, encode_extended, encode_short
from card_personalization.chip.ecdsa_signature import public_point
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.softcard.card import COMMAND_DATA_LIMIT_BYTES, SoftCard
from card_personalization.chip.softcard.signing import shared_secret
from card_personalization.chip.softcard.state import (
    FACTORY_MANAGEMENT_KEY,
    OBJECT_LIMIT_BYTES,
    CardState,
    Profile,
    factory_state,
)
from tests.chip.issued import IssuedCard, contactless, issue

SELECT = "00a404000ba00000030800001000010000"
PIN = "313233343536ffff"
WRONG = "303030303030ffff"
PUK = "3132333435363738"


@pytest.fixture(scope="module")
def strict() -> CardState:
    return issue(Profile.STRICT).card.state


def say(card: SoftCard, command: str) -> str:
    return card.transmit(bytes.fromhex(command)).hex()


def fresh(profile: Profile = Profile.YUBICO) -> SoftCard:
    card = SoftCard(factory_state(profile, 1))
    card.power_on()
    assert say(card, SELECT).endswith("9000")
    return card


def prove_management(card: SoftCard) -> None:
    answer = card.transmit(bytes.fromhex("00870a9b047c02810000"))
    challenge = tlv.unwrap(tlv.unwrap(answer[:-2], 0x7C), 0x81)
    cipher = Cipher(algorithms.AES(FACTORY_MANAGEMENT_KEY), modes.ECB()).encryptor()  # noqa: S305  # what the standard asks for
    proof = tlv.encode(0x7C, tlv.encode(0x82, cipher.update(challenge)))
    assert card.transmit(encode_short(Command(0x87, 0x0A, 0x9B, proof))) == b"\x90\x00"


DIALOGUES = {
    "status without data": [("00200080", "63c3"), ("0020008000", "63c3")],
    "right PIN": [("0020008008" + PIN, "9000"), ("00200080", "9000")],
    "wrong PIN takes the right away": [
        ("0020008008" + PIN, "9000"),
        ("0020008008" + WRONG, "63c2"),
        ("00200080", "63c2"),
    ],
    "right PIN restores the counter": [
        ("0020008008" + WRONG, "63c2"),
        ("0020008008" + PIN, "9000"),
        ("0020ff80", "9000"),
        ("00200080", "63c3"),
    ],
    "three wrong PINs block": [
        ("0020008008" + WRONG, "63c2"),
        ("0020008008" + WRONG, "63c1"),
        ("0020008008" + WRONG, "63c0"),
        ("0020008008" + PIN, "6983"),
        ("00200080", "6983"),
        ("0024008010" + PIN + PIN, "6983"),
    ],
    "PUK unblocks": [
        *[("0020008008" + WRONG, f"63c{left}") for left in (2, 1, 0)],
        ("002c008010" + WRONG + PIN, "63c2"),
        ("002c008010" + PUK + WRONG, "9000"),
        ("00200080", "63c3"),
        ("0020008008" + WRONG, "9000"),
    ],
    "three wrong PUKs block": [
        *[("002c008010" + WRONG + PIN, f"63c{left}") for left in (2, 1, 0)],
        ("002c008010" + PUK + PIN, "6983"),
        ("0020008008" + PIN, "9000"),
    ],
    "change wants the old one": [
        ("0024008010" + WRONG + PIN, "63c2"),
        ("0024008010" + PIN + WRONG, "9000"),
        ("0020008008" + WRONG, "9000"),
        ("0024008110" + WRONG + PUK, "63c2"),
        ("0024008110" + PUK + WRONG, "9000"),
    ],
    "a new PIN needs its form": [
        ("0024008010" + PIN + "3132333435ffffff", "6a80"),
        ("0024008010" + PIN + "313233ff34353637", "6a80"),
        ("0020008008" + PIN, "9000"),
    ],
    "lengths": [("0020008007" + PIN[:-2], "6a80"), ("0024008008" + PIN, "6a80")],
    "references": [
        ("00200000", "6a88"),
        ("00200096", "6a88"),
        ("0020018008" + PIN, "6a86"),
        ("0024008210" + PIN + PIN, "6a88"),
        ("002c008110" + PUK + PIN, "6a88"),
        ("002c018010" + PUK + PIN, "6a86"),
    ],
    "classes": [
        ("04200080", "6882"),
        ("0c200080", "6882"),
        ("01200080", "6881"),
        ("80200080", "6e00"),
        ("e0200080", "6e00"),
    ],
    "unknown instructions": [("00100000", "6d00"), ("00c0000000", "6985")],
    "select": [
        ("00a4040005a000000308", "61114f0600001000010079074f05a0000003089000"),
        ("00a4040004a0000003", "6a82"),
        ("00a4040006a00000030801", "6a82"),
        ("00a4000005a000000308", "6a86"),
    ],
    "objects": [
        ("00cb3fff055c035fc10200", "6a82"),
        ("00cb3fff055c035fc10900", "6982"),
        ("00cb3ffe055c035fc10200", "6a86"),
        ("00cb3fff0100", "6a80"),
        ("00cb3fff02530000", "6a80"),
        ("00cb3fff035c017e00", "7e124f0ba0000003080000100001005f2f0240009000"),
        ("00cb3fff035c017e", "7e124f0ba0000003080000100001005f2f0240009000"),
        ("00cb3fff035c017e05", "7e124f0ba0610f"),
        ("00db3fff085c035fc102530141", "6982"),
    ],
    "keys": [
        ("0047009a05ac0380011100", "6982"),
        ("0047009b05ac0380011100", "6a86"),
        ("008711" + "9e" + "047c02820000", "6a88"),
        ("00870c9b047c02800000", "6a86"),
        ("0087119b047c02800000", "6a86"),
        ("00870a9b027c0000", "6a80"),
        ("00870a9b0153", "6a80"),
    ],
    "lengths of commands": [("00", "6700"), ("00a40400ff00", "6700")],
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name: str) -> None:
    card = fresh()
    for command, answer in DIALOGUES[name]:
        assert (command, say(card, command)) == (command, answer)


def test_nothing_works_before_select() -> None:
    card = SoftCard()
    card.power_on()
    assert say(card, "00200080") == "6985"


def test_counters_above_15_show_as_15() -> None:
    card = fresh()
    assert say(card, "0020008008" + PIN) == "9000"
    prove_management(card)
    assert say(card, "00faff10") == "9000"
    assert say(card, "00200080") == "63cf"
    assert say(card, "0020008008" + WRONG) == "63cf"
    assert card.state.pin.attempts_remaining == 254


@pytest.mark.parametrize(
    ("steps", "sw"),
    [
        (["00870a9b267c248010" + "00" * 16 + "8110" + "00" * 16], "6982"),
        (["00870a9b047c028000", "00870a9b267c248010" + "00" * 16 + "8110" + "00" * 16], "6982"),
        (["00870a9b147c128210" + "00" * 16], "6982"),
        (["00870a9b047c028100", "00870a9b147c128210" + "00" * 16], "6982"),
        (["00870a9b047c028100", "00870a9b167c148110" + "00" * 16 + "8200"], "6a80"),
    ],
    ids=["witness unasked", "witness wrong", "answer unasked", "answer wrong", "oracle"],
)
def test_a_management_key_is_not_proven_by(steps: list[str], sw: str) -> None:
    card = fresh()
    answers = [say(card, step) for step in steps]
    assert answers[-1] == sw
    assert say(card, "00db3fff085c035fc102530141") == "6982"


def test_a_witness_serves_once() -> None:
    card = SoftCard(factory_state(serial=1), random_bytes=bytes)
    say(card, SELECT)
    say(card, "00870a9b047c028000")
    proof = "00870a9b267c248010" + "00" * 16 + "8110" + "11" * 16
    assert say(card, proof).endswith("9000")
    assert say(card, proof) == "6982"
    assert say(card, "00db3fff085c035fc102530141") == "6982"


def test_external_authentication_opens_writing_until_reset() -> None:
    card = fresh()
    prove_management(card)
    assert say(card, "00db3fff085c035fc102530141") == "9000"
    assert say(card, "00cb3fff055c035fc10200") == "5301419000"
    card.reset()
    say(card, SELECT)
    assert say(card, "00db3fff075c035fc1025300") == "6982"


@pytest.mark.parametrize(
    ("tag", "size_bytes", "sw"),
    [
        ("5fc102", OBJECT_LIMIT_BYTES, "9000"),
        ("5fc102", OBJECT_LIMIT_BYTES + 1, "6a84"),
        ("5fff01", 10, "9000"),
        ("5effff", 10, "6a81"),
        ("7e", 10, "6a81"),
    ],
)
def test_limits_of_objects(tag: str, size_bytes: int, sw: str) -> None:
    card = fresh()
    prove_management(card)
    data = tlv.encode(0x5C, bytes.fromhex(tag)) + tlv.encode(0x53, bytes(size_bytes))
    assert card.transmit(encode_extended(Command(0xDB, 0x3F, 0xFF, data, None))).hex() == sw


def test_memory_as_a_whole_has_a_limit() -> None:
    card = fresh()
    prove_management(card)
    answers = []
    for number in range(18):
        tag = tlv.encode(0x5C, (0x5FFF10 + number).to_bytes(3, "big"))
        data = tag + tlv.encode(0x53, bytes(OBJECT_LIMIT_BYTES))
        answers.append(card.transmit(encode_extended(Command(0xDB, 0x3F, 0xFF, data))).hex())
    assert answers == ["9000"] * 16 + ["6a84"] * 2


def test_chains_are_gathered_interrupted_and_limited() -> None:
    card = fresh()
    prove_management(card)
    assert say(card, "10db3fff055c035fc102") == "9000"
    assert say(card, "00db3fff03530141") == "9000"
    assert say(card, "10db3fff055c035fc103") == "9000"
    assert say(card, "00cb3fff055c035fc10200") == "5301419000"
    assert say(card, "00db3fff03530142") == "6a80"
    link = "10db3fffff" + "00" * 255
    answers = [say(card, link) for _ in range(COMMAND_DATA_LIMIT_BYTES // 255 + 1)]
    assert answers[-2:] == ["9000", "6a84"]


def test_a_long_answer_waits_for_get_response(issued: IssuedCard) -> None:
    card = issued.card
    say(card, SELECT)
    first = say(card, "00cb3fff055c035fc10500")
    assert (len(first), first[-4:-2]) == (516, "61")
    rest = say(card, "00c00000" + first[-2:])
    assert rest.endswith("9000")
    whole = say(card, "00cb3fff0000055c035fc1050000")
    assert whole == first[:-4] + rest
    say(card, "00cb3fff055c035fc10500")
    assert say(card, "00200080") == "63c3"
    assert say(card, "00c0000000") == "6985"


def test_key_agreement(issued: IssuedCard) -> None:
    card = issued.card
    say(card, SELECT)
    say(card, "0020008008" + PIN)
    peer = (99).to_bytes(32, "big")
    template = tlv.encode(0x7C, tlv.encode(0x82) + tlv.encode(0x85, public_point(peer)))
    answer = card.transmit(encode_short(Command(0x87, 0x11, 0x9D, template)))
    secret = tlv.unwrap(tlv.unwrap(answer[:-2], 0x7C), 0x82)
    assert secret == shared_secret(peer, issued.points[Slot.KEY_MANAGEMENT])
    off_curve = tlv.encode(0x7C, tlv.encode(0x82) + tlv.encode(0x85, b"\x04" + bytes(64)))
    assert card.transmit(encode_short(Command(0x87, 0x11, 0x9D, off_curve))) == b"\x6a\x80"


@pytest.mark.parametrize(
    ("command", "on_yubico", "on_strict", "on_contactless"),
    [
        ("00200080", "63c3", "63c3", "6982"),
        ("0020008008" + PIN, "9000", "9000", "6982"),
        ("0024008010" + PIN + PIN, "9000", "9000", "6982"),
        ("0024008010" + PIN + "616263646566ffff", "9000", "6a80", "6982"),
        ("002c008010" + PUK + PIN, "9000", "9000", "6982"),
        ("00cb3fff055c035fc10d00", "6a82", "6a82", "6982"),
        ("00cb3fff055c035fc10600", "6a82", "6a82", "6982"),
        ("00cb3fff055c035fc10305", "6982", "6982", "6982"),
        ("00870a9b047c02800005", "61", "61", "6982"),
        ("0087119a267c2482008120" + "00" * 32, "6982", "6982", "6982"),
        ("00fd000000", "0507029000", "6d00", "6d00"),
        ("00f7009b00", "01010a0202000105010190", "6d00", "6d00"),
        ("00f8000000", "01312d019000", "6d00", "6d00"),
        ("0047008205ac03800111", "6982", "6a86", "6a86"),
    ],
)
def test_profiles(
    command: str,
    on_yubico: str,
    on_strict: str,
    on_contactless: str,
    issued: IssuedCard,
    strict: CardState,
) -> None:
    cards = (issued.card, SoftCard(strict), contactless(SoftCard(strict)))
    for card, expected in zip(cards, (on_yubico, on_strict, on_contactless), strict=True):
        say(card, SELECT)
        answer = say(card, command)
        assert expected in answer if len(expected) != 4 else answer == expected


def test_a_strict_card_serves_a_tap_without_contacts(strict: CardState) -> None:
    card = contactless(SoftCard(strict))
    assert card.power_on()[:4].hex() == "3b8c8001"
    say(card, SELECT)
    for readable in ("5c035fc102", "5c035fc101", "5c017e"):
        data = bytes.fromhex(readable)
        answer = card.transmit(encode_extended(Command(0xCB, 0x3F, 0xFF, data, 65_536)))
        assert answer[-2:] == b"\x90\x00"
    assert say(card, "0087119e267c2482008120" + "00" * 32)[-4:] == "9000"


VENDOR = range(0xF6, 0x100)
COMMANDS = st.builds(
    lambda command, extended: encode_extended(command) if extended else encode_short(command),
    st.builds(
        Command,
        ins=st.sampled_from(
            [0x20, 0x24, 0x2C, 0x47, 0x50, 0x82, 0x87, 0xA4, 0xC0, 0xCA, 0xCB, 0xD8, 0xDB, *VENDOR]
        ),
        p1=st.sampled_from([0x00, 0x04, 0x0A, 0x11, 0x3F, 0xFF]),
        p2=st.sampled_from([0x00, 0x80, 0x81, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x82, 0xFF]),
        data=st.one_of(
            st.binary(max_size=60),
            st.binary(max_size=40).map(lambda value: tlv.encode(0x7C, value)),
            st.binary(max_size=30).map(lambda v: tlv.encode(0x7C, tlv.encode(0x81, v))),
            st.binary(max_size=30).map(lambda v: b"\x5c\x03\x5f\xc1\x02" + tlv.encode(0x53, v)),
        ),
        answer_bytes=st.one_of(st.none(), st.integers(1, 256)),
        cla=st.sampled_from([0x00, 0x00, 0x10, 0x04, 0x80, 0x84]),
    ),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(
    profile=st.sampled_from(Profile),
    proven=st.booleans(),
    messages=st.lists(st.one_of(st.binary(max_size=50), COMMANDS), max_size=12),
)
def test_any_bytes_get_an_answer_and_a_state_that_loads(
    profile: Profile, proven: bool, messages: list[bytes]
) -> None:
    card = fresh(profile)
    if proven and profile is not Profile.OPENFIPS201:
        prove_management(card)
    for message in messages:
        before = card.changes
        state = card.state
        answer = card.transmit(message)
        assert len(answer) >= 2
        assert answer[-2] in (0x90, 0x61, 0x63, 0x67, 0x68, 0x69, 0x6A, 0x6D, 0x6E)
        assert (card.changes == before) == (card.state is state)
    assert SoftCard.from_state(card.to_state()).state == card.state
