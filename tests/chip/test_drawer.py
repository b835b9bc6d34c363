from __future__ import annotations

import contextlib
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_personalization.chip.apdu import Command, encode_short
from card_personalization.chip.piv.objects import Algorithm, Slot
from card_personalization.chip.softcard import state as card_state
from card_personalization.chip.softcard.drawer import Drawer, DrawerError
from card_personalization.chip.softcard.state import (
    CardFileDamaged,
    CardState,
    Definition,
    KeySet,
    Origin,
    PinPolicy,
    Platform,
    PrivateKey,
    Profile,
    Secret,
    decode_state,
    encode_state,
    factory_state,
)
from card_personalization.chip.transport.inprocess import InProcessTransport
from tests.chip.issued import IssuedCard

SELECT = bytes.fromhex("00a4040005a000000308")
WRONG_PIN = bytes.fromhex("0020008008303030303030ffff")
PIN_STATUS = bytes.fromhex("00200080")

SECRETS = st.builds(
    lambda value, total, used: Secret(value, total, max(0, total - used)),
    st.binary(min_size=8, max_size=8),
    st.integers(1, 255),
    st.integers(0, 255),
)
KEYS = st.builds(
    PrivateKey,
    scalar=st.integers(1, 2**255).map(lambda number: number.to_bytes(32, "big")),
    pin_policy=st.sampled_from(PinPolicy),
    origin=st.sampled_from(Origin),
)
JAVA_CARDS = st.builds(
    Platform,
    key_set=st.builds(KeySet, st.integers(0, 255), *[st.binary(min_size=24, max_size=24)] * 3),
    initialized=st.integers(0, 2**24 - 1),
    failures=st.integers(0, 10),
    keys=st.dictionaries(st.integers(0, 0xFFFF), st.just(Definition(1, 0, 4, 16)), max_size=3),
    objects=st.dictionaries(st.integers(0, 0x5FC123), st.just(Definition(1, 0)), max_size=3),
)
STATES = st.builds(
    CardState,
    profile=st.sampled_from([Profile.YUBICO, Profile.GENERIC, Profile.STRICT]),
    serial=st.integers(0, 2**32 - 1),
    pin=SECRETS,
    puk=SECRETS,
    management_key=st.binary(min_size=32, max_size=32),
    management_algorithm=st.just(Algorithm.AES_256),
    keys=st.dictionaries(st.sampled_from([int(slot) for slot in Slot]), KEYS),
    objects=st.dictionaries(st.integers(0x5FC101, 0x5FC123), st.binary(max_size=200), max_size=4),
)
CARDS = STATES | st.builds(
    lambda state, platform: msgspec.structs.replace(
        state, profile=Profile.OPENFIPS201, platform=platform
    ),
    STATES,
    JAVA_CARDS,
)


@pytest.fixture
def drawer(tmp_path: Path) -> Drawer:
    return Drawer(tmp_path / "cards")


@given(CARDS)
def test_state_survives_its_file(state: CardState) -> None:
    assert decode_state(encode_state(state)) == state


@given(data=st.data(), state=CARDS)
def test_any_damage_is_noticed(data: st.DataObject, state: CardState) -> None:
    file = bytearray(encode_state(state))
    place = data.draw(st.integers(0, len(file) - 1))
    file[place] ^= data.draw(st.integers(1, 255))
    again: CardState | None = None
    with contextlib.suppress(CardFileDamaged):
        again = decode_state(bytes(file))
    # Damage to the JSON around the state may leave the meaning whole, never change it.
    assert again in (None, state)


def _envelope(**changes: object) -> bytes:
    envelope = json.loads(encode_state(factory_state(serial=1)))
    return json.dumps(envelope | changes).encode()


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"{}", "required field"),
        (bytes(card_state.FILE_LIMIT_BYTES + 1), "at most 262144"),
        (_envelope(format="another"), "format 'another'"),
        (_envelope(version=2), "use the newer program"),
        (_envelope(sha256="00"), "SHA-256"),
        (encode_state(factory_state(serial=1))[:-20], "truncated"),
    ],
)
def test_damage_is_told_in_words(drawer: Drawer, file: bytes, reason: str) -> None:
    drawer.add("one", factory_state())
    (drawer.folder / "one.card").write_bytes(file)
    with pytest.raises(DrawerError, match="Restore the file from a copy") as caught:
        drawer.take("one")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (CardState(Profile.YUBICO, 1, pin=Secret(b"short")), "PIN"),
        (CardState(Profile.YUBICO, 1, puk=Secret(b"12345678", 3, 4)), "PUK"),
        (CardState(Profile.YUBICO, 1, management_key=bytes(16)), "management key"),
        (CardState(Profile.YUBICO, 1, management_key=b""), "management key"),
        (CardState(Profile.OPENFIPS201, 1), "no such platform"),
        (
            CardState(
                Profile.OPENFIPS201, 1, platform=Platform(KeySet(1, bytes(16), bytes(16), b""))
            ),
            "secure-channel keys",
        ),
        (
            CardState(
                Profile.YUBICO,
                1,
                keys={0x9A: PrivateKey(bytes(32), PinPolicy.ONCE, Origin.GENERATED)},
            ),
            "slot 9A",
        ),
    ],
)
def test_impossible_states_are_refused(broken: CardState, reason: str) -> None:
    with pytest.raises(CardFileDamaged, match=reason):
        decode_state(encode_state(broken))


def test_a_change_is_on_the_disk_before_the_answer(drawer: Drawer) -> None:
    drawer.add("one", factory_state(serial=1))
    first = drawer.take("one")
    first.power_on()
    first.transmit(SELECT)
    assert first.transmit(WRONG_PIN).hex() == "63c2"
    # The program dies here: nothing is put back, only the lock falls.
    saved = decode_state((drawer.folder / "one.card").read_bytes())
    assert saved.pin.attempts_remaining == 2
    assert saved == first.state
    first.put_back()
    second = drawer.take("one")
    second.power_on()
    second.transmit(SELECT)
    assert second.transmit(PIN_STATUS).hex() == "63c2"
    second.put_back()


def test_what_does_not_change_is_not_written(drawer: Drawer, issued: IssuedCard) -> None:
    drawer.add("one", issued.card.state)
    path = drawer.folder / "one.card"
    before = path.stat()
    card = drawer.take("one")
    transport = InProcessTransport(card, "one")
    for command in (
        SELECT,
        PIN_STATUS,
        encode_short(Command(0x87, 0x11, 0x9E, bytes.fromhex("7c2482008120") + bytes(32))),
    ):
        assert transport.transceive(command)[1] in (0x9000, 0x63C3)
    transport.close()
    card.put_back()
    assert path.stat().st_ino == before.st_ino


def test_a_card_is_held_by_one_program(drawer: Drawer) -> None:
    drawer.add("one", factory_state())
    drawer.add("two", factory_state(Profile.STRICT))
    held = drawer.take("one")
    with pytest.raises(DrawerError, match="another program holds the card 'one'"):
        drawer.take("one")
    drawer.take("two").put_back()
    held.put_back()
    held.put_back()
    again = drawer.take("one")
    assert again.atr == again.reset()
    again.put_back()


def test_names(drawer: Drawer) -> None:
    assert drawer.names() == ()
    for name in ("b", "a-1", "A_2"):
        drawer.add(name, factory_state())
    assert drawer.names() == ("A_2", "a-1", "b")
    with pytest.raises(DrawerError, match="already holds a card 'b'"):
        drawer.add("b", factory_state())
    with pytest.raises(DrawerError, match="cards there: A_2, a-1, b"):
        drawer.take("missing")


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden", "x" * 65, "карта", "a\n"])
def test_names_that_are_none(drawer: Drawer, name: str) -> None:
    with pytest.raises(DrawerError, match="is no name of a card"):
        drawer.add(name, factory_state())
