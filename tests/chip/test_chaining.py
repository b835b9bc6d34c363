from __future__ import annotations

import pytest

from card_personalization.chip.apdu import Command
from card_personalization.chip.chaining import ANSWER_LIMIT_BYTES, open_channel
from card_personalization.chip.errors import CardError, CardFault


class ScriptedCard:
    """Expects commands in order and gives the answers beside them."""

    name = "script"

    def __init__(self, *steps: tuple[str, str]) -> None:
        self._steps = list(steps)

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        expected, answer = self._steps.pop(0)
        assert command.hex() == expected
        return bytes.fromhex(answer[:-4]), int(answer[-4:], 16)

    def close(self) -> None:
        assert not self._steps


class EndlessCard:
    """Promises more for ever, in portions of one size."""

    name = "endless"

    def __init__(self, portion: bytes) -> None:
        self._portion = portion

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        assert command
        return self._portion, 0x6100

    def close(self) -> None:
        pass


LONG = bytes(range(256)) + bytes(300)

SCRIPTS = [
    ("plain", False, [("00f8000000", "01029000")], "0102", 0x9000),
    ("refused", False, [("00f8000000", "6982")], "", 0x6982),
    ("gathered", False, [("00f8000000", "aa6102"), ("00c0000002", "bbcc9000")], "aabbcc", 0x9000),
    ("told of 256", False, [("00f8000000", "6100"), ("00c0000000", "bb9000")], "bb", 0x9000),
    (
        "asked again",
        False,
        [("00f8000000", "6c03"), ("00f8000003", "aabbcc9000")],
        "aabbcc",
        0x9000,
    ),
    (
        "asked again for the rest",
        False,
        [("00f8000000", "aa6105"), ("00c0000005", "6c01"), ("00c0000001", "bb9000")],
        "aabb",
        0x9000,
    ),
    ("fails late", False, [("00f8000000", "aa6102"), ("00c0000002", "6f00")], "aa", 0x6F00),
    ("extended", True, [("00f80000000000", "01029000")], "0102", 0x9000),
]


@pytest.mark.parametrize(
    ("extended", "steps", "data", "sw"), [row[1:] for row in SCRIPTS], ids=[r[0] for r in SCRIPTS]
)
def test_answers(extended: bool, steps: list[tuple[str, str]], data: str, sw: int) -> None:
    card = ScriptedCard(*steps)
    answer = open_channel(card, extended=extended).send(Command(0xF8))
    assert (answer.data.hex(), answer.sw) == (data, sw)
    card.close()


def test_long_data_go_as_a_chain() -> None:
    card = ScriptedCard(
        ("10db3fffff" + LONG[:255].hex(), "9000"),
        ("10db3fffff" + LONG[255:510].hex(), "9000"),
        ("00db3fff2e" + LONG[510:].hex() + "00", "9000"),
    )
    assert open_channel(card).send(Command(0xDB, 0x3F, 0xFF, LONG)).ok
    card.close()


def test_a_refused_link_ends_the_chain() -> None:
    card = ScriptedCard(("10db3fffff" + LONG[:255].hex(), "6982"))
    assert open_channel(card).send(Command(0xDB, 0x3F, 0xFF, LONG)).sw == 0x6982
    card.close()


def test_extended_form_sends_long_data_at_once() -> None:
    head = "00db3fff00" + len(LONG).to_bytes(2, "big").hex()
    card = ScriptedCard((head + LONG.hex(), "9000"))
    command = Command(0xDB, 0x3F, 0xFF, LONG, answer_bytes=None)
    assert open_channel(card, extended=True).send(command).ok
    card.close()


@pytest.mark.parametrize(
    ("portion", "fault"), [(b"", CardFault.MALFORMED), (bytes(200), CardFault.TOO_LONG)]
)
def test_an_endless_answer_is_not_gathered(portion: bytes, fault: CardFault) -> None:
    with pytest.raises(CardError) as caught:
        open_channel(EndlessCard(portion)).send(Command(0xCB))
    assert caught.value.fault is fault
    assert caught.value.facts.get("limit_bytes", ANSWER_LIMIT_BYTES) == ANSWER_LIMIT_BYTES
