"""SCP03 against dialogues recorded by others on a bought card.

The dialogues stand in the test suite of pySim (osmocom.org), file test_globalplatform.py:
one per key length and security level, with pseudo-random challenges (i=70).
"""

from __future__ import annotations

import msgspec
import pytest

from card_personalization.chip import scp03
from card_personalization.chip.apdu import Command, Response, decode_command, encode_short
from card_personalization.chip.errors import CardFault, ChannelError
from card_personalization.chip.scp03 import ChannelKeys, SecurityLevel

E2_DATA = "bf3e035c015a"
E2_ANSWER = "bf3e125a1089882119900000000000000000000005"
# Commands that follow, in the clear and, per dialogue, as they went over the wire.
PLAIN = ("80f22002", "80ca006600", "80f220020a4f0212345c054f9f70c5", "80f28002024f0000")


class Dialogue(msgspec.Struct, frozen=True):
    """One recorded session: challenge of the host, answers, protected commands."""

    key_bytes: int
    level: int
    host_challenge: str
    initialized: str
    external_authenticate: str
    command: str
    answer: str
    others: tuple[str, str, str, str]


DIALOGUES = (
    Dialogue(
        16,
        0x11,
        "b13e5f938fc108c4",
        "000000000000000000003003703eb51047495b249f66c484c1d2ef1948000002",
        "84821100107d5f5826a993ebc89eea24957fa0b3ce",
        "84e291000ebf3e035c015a558d036518a2829700",
        "bf3e125a1089882119900000000000000000000005971be68992dbbdfa",
        (
            "84f220020863a63f8959827fb2",
            "84ca006608a0c6a4a74166f7ce00",
            "84f22002124f0212345c054f9f70c52249b50272656536",
            "84f280020a4f00e91443f6dce6b8ed00",
        ),
    ),
    Dialogue(
        16,
        0x03,
        "8e1552d0513c60f3",
        "0000000000000000000030037030760cd2c47c1dd395065fe5ead8a9d7000001",
        "8482030010fd4721a14d9b07003c451d2f8ae6bb21",
        "84e2910018ca9c00f6713d79bc8baa642bdff51c3f6a4082d3bd9ad26c00",
        E2_ANSWER,
        (
            "84f2200208c9811b11f1264cf1",
            "84ca006608e10ab60b3054798800",
            "84f22002184e2908bdb48b2315a55482e9e936ca122d6ecfae7d17416e",
            "84f28002180dd10a6b6193e5340b9e77d32d5a179cd710ac2773aefb2800",
        ),
    ),
    Dialogue(
        16,
        0x33,
        "fdf38259a1e0de44",
        "000000000000000000003003703b1aca81e821f219081cdc01c26b372d000003",
        "84823300108c36f96bcc00724a4e13ad591d7da3f0",
        "84e2910018267a85dfe4a98fca6fb0527e0dfecce4914e40401433c87f00",
        "f3ba2b1013aa6224f5e1c138d71805c569e5439b47576260b75fc021b25097cb2e68f8a0144975b9",
        (
            "84f2200208ac6a59024bed84cc",
            "84ca006608409912ad8fb7aed000",
            "84f22002185f3dafc3ac14c381536a488bf44e06d056df9d74dbd21e5a",
            "84f280021865165105be3373347d0424d4400af2ac393f569ec779389e00",
        ),
    ),
    Dialogue(
        24,
        0x33,
        "9b3f2eef0e8c9374",
        "00000000000000000000310370f6bb305a15bae1a68f79fb08212fbed7000002",
        "84823300109100bc22d58b45b86a26365ce39ff3cf",
        "84e29100188f7f946c84f70d17994bc6e8791251bb1bb1bf02cf8de58900",
        "c05176c1b6f72aae50c32cbee63b0e95998928fd4dfb2be9f27ffde8c8476f5909b4805cc4039599",
        (
            "84f2200208d5d97754b6b3d2ba",
            "84ca006608516c82b8e30adbeb00",
            "84f2200218cc247f4761e6944277a4e0d6e32e44025b1e31537e2fc668",
            "84f2800218ba22b63d509bef5d093b43e5eaed03ed23144ab2d9cb51de00",
        ),
    ),
    Dialogue(
        32,
        0x33,
        "97b2055fe58599fd",
        "00000000000000000000320370a8439a22cedf045fa9f1903b2834f26e000002",
        "8482330010508a0fd959d2e547c6b33154a6be2057",
        "84e29100187a5ef717eaf1e135ae92fe54429d0e465decda65f5fe5aea00",
        "ea90dbfa648a67c5eb6abc57f8530b97d0cd5647c5e8732016b55203b078dd2ace7f8bc5d1c1cd99",
        (
            "84f2200208bcc5c17275545d93",
            "84ca00660804806aba9d543bb600",
            "84f2200218717222491556ec81a45f49ce48be33320024801a1c4cb0e0",
            "84f2800218561f105bccd3a1642904b251ccc1228beb80a82370a8637000",
        ),
    ),
)


def keys_of(key_bytes: int, version: int = 0) -> ChannelKeys:
    """The keys of the recorded card: 00 01 … 0f, again from the start where longer."""

    def key(first: int) -> bytes:
        row = bytes(range(first, first + 16))
        return (row + row)[:key_bytes]

    return ChannelKeys(key(0x00), key(0x10), key(0x20), version)


class RecordedCard:
    """Gives recorded answers and keeps what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def send(self, command: Command) -> Response:
        self.asked.append(encode_short(command).hex())
        return self._answers.pop(0)


def ok(data: str = "") -> Response:
    return Response(bytes.fromhex(data), 0x9000)


@pytest.mark.parametrize(
    "dialogue", DIALOGUES, ids=lambda d: f"AES-{8 * d.key_bytes}-{d.level:02x}"
)
def test_a_bought_cards_dialogue(dialogue: Dialogue) -> None:
    initialized = ok(dialogue.initialized)
    version = initialized.data[10]
    card = RecordedCard(initialized, ok(), ok(dialogue.answer))
    channel = scp03.open_secure_channel(
        card,
        keys_of(dialogue.key_bytes, version),
        SecurityLevel(dialogue.level),
        bytes.fromhex(dialogue.host_challenge),
    )
    answer = channel.send(Command(0xE2, 0x91, 0x00, bytes.fromhex(E2_DATA), cla=0x80))
    assert answer.data.hex() == E2_ANSWER
    assert card.asked == [
        f"8050{version:02x}0008{dialogue.host_challenge}00",
        dialogue.external_authenticate,
        dialogue.command,
    ]
    for plain, protected in zip(PLAIN, dialogue.others, strict=True):
        # The recording host left Le out of answerless commands even where an R-MAC comes back.
        wrapped = encode_short(channel.wrap(decode_command(bytes.fromhex(plain)))).hex()
        assert wrapped.startswith(protected)
        assert wrapped[len(protected) :] in ("", "00")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Response(b"", 0x6A88), CardFault.CHANNEL_VERSION_ABSENT),
        (Response(b"", 0x6D00), CardFault.CHANNEL_PROTOCOL),
        (Response(b"", 0x6E00), CardFault.CHANNEL_PROTOCOL),
        (Response(b"", 0x6982), CardFault.CHANNEL_REFUSED),
        (Response(b"", 0x6983), CardFault.CHANNEL_REFUSED),
        (ok(), CardFault.CHANNEL_PROTOCOL),
        (ok("00" * 10 + "3002" + "00" * 16), CardFault.CHANNEL_PROTOCOL),
        (ok("00" * 10 + "300361" + "00" * 32), CardFault.CHANNEL_PROTOCOL),
        (ok("00" * 10 + "300360" + "00" * 17), CardFault.CHANNEL_PROTOCOL),
        (ok("00" * 10 + "300360" + "00" * 16), CardFault.CHANNEL_KEYS_WRONG),
        (ok(DIALOGUES[0].initialized[:-2] + "03"), None),
    ],
)
def test_cards_that_are_not_let_in(answer: Response, fault: CardFault | None) -> None:
    card = RecordedCard(answer, Response(b"", 0x6300))
    with pytest.raises(ChannelError) as caught:
        scp03.open_secure_channel(
            card,
            keys_of(16),
            scp03.ENCRYPTED_COMMANDS,
            bytes.fromhex(DIALOGUES[0].host_challenge),
        )
    assert caught.value.fault is (fault or CardFault.CHANNEL_REFUSED)
    # A wrong key is seen before the card is asked to count an attempt.
    assert len(card.asked) == (1 if fault else 2)


def test_a_level_the_card_lacks_is_said() -> None:
    for parameter, level in ((0x00, 0x11), (0x20, 0x33)):
        told = ok("00" * 10 + f"3003{parameter:02x}" + "00" * 16)
        with pytest.raises(ChannelError, match=f"SCP03 i={parameter:02X}"):
            scp03.open_secure_channel(RecordedCard(told), keys_of(16), SecurityLevel(level))
    with pytest.raises(ValueError, match="none of table 7-3"):
        scp03.open_secure_channel(RecordedCard(), keys_of(16), SecurityLevel.C_DECRYPTION)


@pytest.mark.parametrize("position", [0, 20, 30, 39])
def test_a_changed_answer_is_found(position: int) -> None:
    dialogue = DIALOGUES[2]
    changed = bytearray.fromhex(dialogue.answer)
    changed[position] ^= 1
    card = RecordedCard(ok(dialogue.initialized), ok(), Response(bytes(changed), 0x9000))
    channel = scp03.open_secure_channel(
        card, keys_of(16), scp03.FULL_PROTECTION, bytes.fromhex(dialogue.host_challenge)
    )
    with pytest.raises(ChannelError) as caught:
        channel.send(Command(0xE2, 0x91, 0x00, bytes.fromhex(E2_DATA), cla=0x80))
    assert caught.value.fault is CardFault.CHANNEL_FORGED


@pytest.mark.parametrize("lengths", [(16, 16, 24), (15, 15, 15), (0, 0, 0)])
def test_keys_that_are_none(lengths: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="three AES keys of one length"):
        ChannelKeys(bytes(lengths[0]), bytes(lengths[1]), bytes(lengths[2]))


@pytest.mark.parametrize("dialogue", DIALOGUES[:3], ids=lambda d: f"{d.level:02x}")
def test_the_bought_cards_challenges_follow_from_its_counter(dialogue: Dialogue) -> None:
    told = scp03.parse_initialized(bytes.fromhex(dialogue.initialized))
    assert told.sequence is not None
    # The application that opened the channel was the card's ISD-R.
    application = bytes.fromhex("A0000005591010FFFFFFFF8900000100")
    assert scp03.card_challenge(keys_of(16), told.sequence, application) == told.challenge
