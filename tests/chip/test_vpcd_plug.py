"""The plug against a stand-in for vpcd; tests/chip/test_readers.py has the real one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import factory_state
from card_personalization.chip.transport.vpcd_plug import Control, VpcdPlug

TIMEOUT_S = 10.0
SELECT = bytes.fromhex("00a4040005a000000308")
PIN = bytes.fromhex("0020008008313233343536ffff")
STATUS = bytes.fromhex("00200080")


class Reader:
    """vpcd's side: listens, and talks in small writes as vpcd does."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(TIMEOUT_S)
        self.port = int(self.server.getsockname()[1])
        self.card: socket.socket | None = None

    def accept(self) -> None:
        if self.card is not None:
            self.card.close()
        self.card, _ = self.server.accept()
        self.card.settimeout(TIMEOUT_S)

    def say(self, message: bytes) -> None:
        assert self.card is not None
        self.card.sendall(len(message).to_bytes(2, "big"))
        self.card.sendall(message)

    def hear(self) -> bytes:
        assert self.card is not None
        length = int.from_bytes(self.card.recv(2, socket.MSG_WAITALL), "big")
        return self.card.recv(length, socket.MSG_WAITALL)

    def ask(self, message: bytes) -> bytes:
        self.say(message)
        return self.hear()

    def ended(self) -> bool:
        assert self.card is not None
        return self.card.recv(1) == b""

    def close(self) -> None:
        if self.card is not None:
            self.card.close()
        self.server.close()


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture
def plug(reader: Reader) -> Iterator[VpcdPlug]:
    plug = VpcdPlug(SoftCard(factory_state(serial=1)), reader.port)
    plug.insert()
    plug.insert()
    reader.accept()
    yield plug
    plug.remove()


def test_controls_and_commands(reader: Reader, plug: VpcdPlug) -> None:
    reader.say(bytes([Control.POWER_ON]))
    atr = reader.ask(bytes([Control.GIVE_ATR]))
    assert atr.startswith(b"\x3b")
    assert plug.wait_until_powered(TIMEOUT_S)
    assert reader.ask(SELECT)[-2:] == b"\x90\x00"
    assert reader.ask(PIN) == b"\x90\x00"
    assert reader.ask(bytes([Control.GIVE_ATR])) == atr
    assert reader.ask(STATUS) == b"\x90\x00"
    for control in (Control.RESET, Control.POWER_OFF):
        reader.say(bytes([control]))
        reader.ask(SELECT)
        assert reader.ask(STATUS) == b"\x63\xc3"
        reader.ask(PIN)


def test_the_card_stays_when_the_reader_starts_anew(reader: Reader, plug: VpcdPlug) -> None:
    assert reader.card is not None
    reader.card.close()
    reader.accept()
    assert reader.ask(SELECT)[-2:] == b"\x90\x00"
    assert plug.failure is None


def test_removal_ends_the_connection(reader: Reader, plug: VpcdPlug) -> None:
    reader.ask(SELECT)
    plug.remove()
    plug.remove()
    assert reader.ended()
    plug.insert()
    reader.accept()
    assert reader.ask(bytes([Control.GIVE_ATR]))


def test_an_unknown_control_unplugs(reader: Reader, plug: VpcdPlug) -> None:
    reader.say(b"\x07")
    assert reader.ended()
    assert plug.failure is None


def test_a_card_that_cannot_answer_is_taken_out(reader: Reader) -> None:
    class Broken(SoftCard):
        def transmit(self, apdu: bytes) -> bytes:
            raise OSError(f"disk full, {len(apdu)} bytes unsaved")

    plug = VpcdPlug(Broken(), reader.port)
    plug.insert()
    reader.accept()
    reader.say(SELECT)
    assert reader.ended()
    plug.remove()
    assert "disk full" in str(plug.failure)


def test_no_command_waits_for_a_delayed_acknowledgement(reader: Reader, plug: VpcdPlug) -> None:
    assert plug.failure is None
    times_s = []
    for _ in range(21):
        began = time.perf_counter()
        reader.ask(STATUS)
        times_s.append(time.perf_counter() - began)
    # A delayed acknowledgement takes 40 ms; the middle value forgives a busy machine.
    assert sorted(times_s)[10] < 0.03
