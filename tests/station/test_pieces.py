"""The station's small pieces: letters, texts, addresses, tokens, and repeated requests."""

from __future__ import annotations

import stat
import string
from datetime import date
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_personalization.chip.profiles.family import FactoryKey
from card_personalization.station import centre as centre_module
from card_personalization.station.centre import ATTEMPTS_MAX, CentreClient, read_token
from card_personalization.station.equipment import fill_drawer, hsm_address, read_factory_key
from card_personalization.station.faults import (
    TEXTS,
    CentreAway,
    CentreRefused,
    StationError,
    StationFault,
)
from card_personalization.station.pin_letter import (
    PinLetter,
    draw_letter,
    is_obvious,
    write_letter,
)
from processing.wire.api import CardState, CardStatus, ProblemType, problem

CARD_ID = UUID(int=4)
STATUS = CardStatus(
    card_id=CARD_ID,
    card_number="9643909900000000011",
    state=CardState.ACTIVE,
    valid_to=date(2031, 1, 1),
)


def test_every_fault_has_both_texts_with_the_same_facts() -> None:
    assert set(TEXTS) == set(StationFault)
    for fault, text in TEXTS.items():
        names = [
            {name for _, name, _, _ in string.Formatter().parse(each) if name}
            for each in (text.ru, text.en)
        ]
        worded = StationFault.CENTRE_REFUSED, StationFault.CHOICE, StationFault.FAMILY_UNSUITED
        if fault not in worded:
            assert names[0] == names[1], fault


@pytest.mark.parametrize(
    ("pin", "obvious"),
    [
        ("000000", True),
        ("777777", True),
        ("123456", True),
        ("890123", True),
        ("654321", True),
        ("109876", True),
        ("123457", False),
        ("112233", False),
        ("135791", False),
    ],
)
def test_obvious_pins(pin: str, obvious: bool) -> None:
    assert is_obvious(pin) is obvious


def test_letters_are_drawn_fresh_and_hide_from_logs() -> None:
    letters = [draw_letter("9643909900000000011") for _ in range(50)]
    assert len({letter.pin for letter in letters}) > 40
    for letter in letters:
        assert (len(letter.pin), len(letter.puk)) == (6, 8)
        assert (letter.pin + letter.puk).isdigit()
        assert letter.pin not in repr(letter)
        assert letter.puk not in repr(letter)


def test_a_letter_goes_to_a_new_private_file(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    write_letter(PinLetter("1", "135791", "24680246"), path, "en")
    assert path.read_text(encoding="utf-8") == "Card 1\nPIN  135791\nPUK  24680246\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(StationError, match="letter"):
        write_letter(PinLetter("2", "135791", "24680246"), path, "en")


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("http://127.0.0.1:8580", True),
        ("http://[::1]:8580/", True),
        ("http://localhost", True),
        ("https://centre.example", True),
        ("http://centre.example", False),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.example", False),
        ("ftp://127.0.0.1", False),
        ("127.0.0.1:8580", False),
        ("", False),
    ],
)
def test_a_token_never_travels_in_the_clear(address: str, safe: bool) -> None:
    if safe:
        assert address.rstrip("/") in repr(CentreClient(address, "secret"))
        assert "secret" not in repr(CentreClient(address, "secret"))
    else:
        with pytest.raises(StationError) as caught:
            CentreClient(address, "secret")
        assert caught.value.fault is StationFault.CENTRE_ADDRESS


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", b"a\x00b", b"x" * 300])
def test_a_token_file_must_hold_a_token(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(StationError) as caught:
        read_token(path)
    assert caught.value.fault is StationFault.TOKEN_UNUSABLE


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SPK_HSM": "tcp:127.0.0.1:7", "SPK_HOME": "/x"}, "tcp:127.0.0.1:7"),
        ({"SPK_HOME": "/x"}, "unix:/x/hsm.sock"),
    ],
)
def test_the_key_service_is_found(environ: dict[str, str], expected: str) -> None:
    assert hsm_address(None, environ) == expected
    assert hsm_address("unix:/given", environ) == "unix:/given"


def test_a_factory_key_comes_from_a_file_of_hex_digits(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert read_factory_key(None) is None
    for key_bytes in (16, 24, 32):
        path.write_text("0a" * key_bytes + "\n", encoding="ascii")
        key = read_factory_key(path)
        assert isinstance(key, FactoryKey)
        assert len(key.key) == key.algorithm.key_bytes == key_bytes
    for wrong in ("", "0a", "zz" * 16, "0a" * 33):
        path.write_text(wrong, encoding="ascii")
        with pytest.raises(StationError):
            read_factory_key(path)
    with pytest.raises(StationError):
        read_factory_key(tmp_path / "nowhere")


def test_blank_cards_are_numbered_on(tmp_path: Path) -> None:
    first = fill_drawer(tmp_path / "drawer", 2)
    second = fill_drawer(tmp_path / "drawer", 1)
    names = [path.name for path in (*first, *second)]
    assert names == ["card-0001.card", "card-0002.card", "card-0003.card"]
    assert all(path.is_file() for path in (*first, *second))


class Script(httpx.BaseTransport):
    """Answers requests one by one from a list; an exception in it is raised."""

    def __init__(self, answers: list[httpx.Response | Exception]) -> None:
        self.answers = answers
        self.asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        answer = self.answers[self.asked]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


def answer(value: msgspec.Struct, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=msgspec.json.encode(value))


def refused(kind: ProblemType) -> httpx.Response:
    return answer(problem(kind), problem(kind).status)


LOST = httpx.ReadTimeout("timed out")
OK = answer(STATUS)

SCRIPTS: dict[str, tuple[list[httpx.Response | Exception], object, int]] = {
    "at once": ([OK], STATUS, 1),
    "after a lost answer": ([LOST, OK], STATUS, 2),
    "after try later": ([refused(ProblemType.TRY_LATER), OK], STATUS, 2),
    "after a fault": ([refused(ProblemType.FAULT), LOST, OK], STATUS, 3),
    "never": ([LOST] * ATTEMPTS_MAX, CentreAway, ATTEMPTS_MAX),
    "always later": ([refused(ProblemType.TRY_LATER)] * ATTEMPTS_MAX, CentreAway, ATTEMPTS_MAX),
    "a refusal is final": ([refused(ProblemType.STATION_UNKNOWN)], CentreRefused, 1),
    "no issuing API": ([httpx.Response(502, content=b"<html>")] * 3, CentreAway, 3),
    "an answer of another form": ([httpx.Response(200, content=b"{}")] * 3, CentreAway, 3),
    "an endless answer": (
        [httpx.Response(200, content=b" " * (centre_module.ANSWER_BYTES_MAX + 1))] * 3,
        CentreAway,
        3,
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_requests_are_repeated_until_something_is_said(name: str) -> None:
    answers, expected, asked = SCRIPTS[name]
    script, pauses = Script(list(answers)), list[float]()
    client = CentreClient("http://127.0.0.1:1", "secret", pause=pauses.append)
    client._http = httpx.Client(
        base_url="http://127.0.0.1:1", headers={"Authorization": "Bearer secret"}, transport=script
    )
    if isinstance(expected, type) and issubclass(expected, Exception):
        with pytest.raises(expected):
            client.block(CARD_ID)
    else:
        assert client.block(CARD_ID) == expected
    assert script.asked == asked
    assert pauses == [0.5, 1.0][: asked - 1]


def test_a_card_that_the_centre_does_not_know_is_none() -> None:
    client = CentreClient("http://127.0.0.1:1", "secret")
    client._http = httpx.Client(
        base_url="http://127.0.0.1:1",
        headers={"Authorization": "Bearer secret"},
        transport=Script([refused(ProblemType.CARD_UNKNOWN), refused(ProblemType.CARD_HELD)]),
    )
    assert client.card(CARD_ID) is None
    with pytest.raises(CentreRefused):
        client.card(CARD_ID)


@given(pin=st.text(alphabet="0123456789", min_size=6, max_size=6))
def test_an_obvious_pin_is_equal_or_in_steps_of_one(pin: str) -> None:
    rows = {start * 6 for start in string.digits} | {
        ("01234567890123456789"[i : i + 6])[::way] for i in range(10) for way in (1, -1)
    }
    assert is_obvious(pin) is (pin in rows)
