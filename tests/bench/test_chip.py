"""The measurement of the card client measures what it says; its figures are not tested."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench import chip
from bench.chip import NullTransport, issue, read_objects, record, sign, write_objects
from card_personalization.chip.chaining import Channel, open_channel
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import factory_state
from card_personalization.chip.transport.inprocess import InProcessTransport


@pytest.mark.parametrize(("dialogue", "apdus"), [(read_objects, 9), (write_objects, 8), (sign, 1)])
def test_a_dialogue_is_recorded_and_played_again(
    dialogue: Callable[[Channel], None], apdus: int
) -> None:
    answers = record(dialogue)
    assert len(answers) == apdus
    channel = open_channel(NullTransport(answers))
    dialogue(channel)
    dialogue(channel)


def test_the_client_is_measured_without_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip, "ROUNDS", 2)
    monkeypatch.setattr(chip, "TURNS", 1)
    cost = chip.protected_cost()
    assert (cost.apdus, cost.cpu_ms > 0) == (8, True)


def test_a_slow_card_is_written_whole() -> None:
    card = SoftCard(factory_state(serial=1))
    issue(PivClient(open_channel(InProcessTransport(card))))
    assert card.state.management_key == bytes(24)
    assert sorted(card.state.keys) == [0x9A, 0x9E]
    assert card.state.pin.attempts_total == 5
