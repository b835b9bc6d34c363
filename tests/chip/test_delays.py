from __future__ import annotations

from collections.abc import Callable

import pytest

from card_personalization.chip.softcard import delays
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.delays import DelayedCard, Delays
from card_personalization.chip.softcard.state import factory_state
from tests.chip.issued import IssuedCard, client_of

SELECT = bytes.fromhex("00a4040005a000000308")


class Clock:
    """Time that passes only when somebody sleeps, or a card computes."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(round(seconds, 6))
        self.now_s += seconds


class ComputingCard(SoftCard):
    """A card whose computing takes a known time."""

    def __init__(self, compute: Callable[[], None]) -> None:
        super().__init__(factory_state(serial=1))
        self._compute = compute

    def transmit(self, apdu: bytes) -> bytes:
        self._compute()
        return super().transmit(apdu)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(delays, "time", made)
    return made


@pytest.mark.parametrize(
    ("apdu", "key_operation"),
    [
        ("00a4040005a000000308", False),
        ("00cb3fff055c035fc10200", False),
        ("00870a9b047c02800000", False),
        ("1087119e04ffffffff", False),
        ("0087119e04ffffffff", True),
        ("0087119a04ffffffff", True),
        ("0047009e05ac0380011100", True),
        ("0447009e05ac0380011100", True),
        ("00f99e0000", True),
        ("00f70080", False),
        ("0020", False),
    ],
)
def test_which_apdus_use_a_private_key(apdu: str, key_operation: bool) -> None:
    expected = 220 if key_operation else 20
    assert Delays().of(bytes.fromhex(apdu)) == expected


def test_the_cards_own_computing_counts(clock: Clock) -> None:
    def compute() -> None:
        clock.now_s += 0.015

    card = DelayedCard(ComputingCard(compute), Delays(20, 200))
    assert card.transmit(SELECT)[-2:] == b"\x90\x00"
    assert clock.slept_s == [0.005]
    slow = DelayedCard(ComputingCard(compute), Delays(10, 0))
    slow.transmit(SELECT)
    assert clock.slept_s == [0.005]


def test_a_delayed_card_is_the_same_card(clock: Clock, issued: IssuedCard) -> None:
    card = DelayedCard(issued.card)
    assert card.atr == issued.card.atr == card.reset() == card.power_on()
    plain, late = client_of(issued.card), DelayedCard(issued.card)
    assert late.transmit(SELECT) == issued.card.transmit(SELECT)
    card.power_off()
    assert clock.slept_s == [0.02]
    assert plain.select()
