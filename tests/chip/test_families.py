"""Every family's driver against the software card that plays it: written, refused, cut off."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.ecdsa_signature import public_point, verifies
from card_personalization.chip.errors import TransportError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.profiles.detection import check_blank, detect_family
from card_personalization.chip.profiles.family import CodeState, Condition, Findings
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import CardState, Profile, factory_state
from tests.chip.writing import (
    GUID,
    OWN_CHANNEL,
    OWN_KEY,
    PUK,
    SLOTS,
    CutTransport,
    Family,
    client_over,
    expect_written,
    families,
    is_fresh,
    own_access,
    write_card,
)

NAMES = ("yubico", "generic", "openfips201")


@pytest.fixture(params=NAMES)
def family(request: pytest.FixtureRequest) -> Family:
    return families()[request.param]


def test_a_card_is_written_whole(family: Family) -> None:
    card = SoftCard(factory_state(family.profile, 77))
    client = client_over(card)
    assert detect_family(client) == family.driver
    findings = check_blank(family.driver, client, family.factory, own_access())
    assert findings.condition is Condition.BLANK
    points = write_card(family, client)
    expect_written(client, points)
    raw = client.sign_digest(Slot.CARD_AUTHENTICATION, bytes(32))
    assert verifies(points[Slot.CARD_AUTHENTICATION], bytes(32), raw)
    assert {slot: public_point(card.state.keys[slot].scalar) for slot in SLOTS} == points
    found = family.driver.inspect(client_over(card), family.factory, own_access())
    assert (found.condition, found.guid) == (Condition.FINISHED, GUID)
    if family.codes.pin_attempts is not None:
        assert (card.state.pin.attempts_total, card.state.puk.attempts_total) == (5, 6)


def expect_truth(family: Family, found: Findings, state: CardState, before: CardState) -> None:
    """Check what a driver found against the card's memory."""
    locked = (
        state.platform.key_set.enc == OWN_CHANNEL.enc
        if state.platform is not None
        else state.management_key == OWN_KEY or state.puk.value == PUK.encode()
        if family.profile is Profile.GENERIC
        else state.management_key == OWN_KEY
    )
    if locked:
        assert found.condition is Condition.FINISHED
    elif is_fresh(state, before):
        assert found.condition is Condition.BLANK
    else:
        assert found.condition is Condition.BEGUN
    assert found.objects == frozenset(state.objects)
    for slot, told in found.keys.items():
        assert told in (None, slot in state.keys)
    if found.pin is CodeState.FACTORY:
        assert state.pin.value == before.pin.value
    if found.pin is CodeState.CHANGED:
        assert state.pin.value != before.pin.value
    assert (found.guid == GUID) == (0x5FC102 in state.objects)


def apdus_of(family: Family) -> int:
    """How many APDUs the writing of a card takes, SELECT included."""
    transport = CutTransport(SoftCard(factory_state(family.profile, 1)), 10_000, done=False)
    client = PivClient(open_channel(transport))
    client.select()
    write_card(family, client)
    return transport.sent


def cut_off(family: Family, state: CardState, apdus: int, *, done: bool) -> CardState:
    """What a card remembers whose writing lost it after so many APDUs."""
    card = SoftCard(state)
    client = PivClient(open_channel(CutTransport(card, apdus, done=done)))
    with contextlib.suppress(TransportError):
        client.select()
        write_card(family, client)
    return card.state


def expect_recognised(family: Family, state: CardState, before: CardState) -> Condition:
    """Check that a later run finds what is so; the condition it finds."""
    later = client_over(SoftCard(state))
    found = family.driver.inspect(later, family.factory, own_access())
    expect_truth(family, found, state, before)
    return found.condition


def expect_made_good(family: Family, state: CardState) -> None:
    """Check that writing the card again from the start finishes it."""
    client = client_over(SoftCard(state))
    expect_written(client, write_card(family, client))


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_at_every_apdu_is_recognised_and_made_good(name: str) -> None:
    family = families()[name]
    before = factory_state(family.profile, 1)
    for apdus in range(apdus_of(family)):
        # The card goes before the command reaches it, or with the command done and no answer.
        for done in (False, True):
            state = cut_off(family, before, apdus, done=done)
            if expect_recognised(family, state, before) is not Condition.FINISHED:
                expect_made_good(family, state)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_cut_after_cut_is_recognised_and_made_good(name: str, data: st.DataObject) -> None:
    family = families()[name]
    before = state = factory_state(family.profile, 1)
    for _ in range(data.draw(st.integers(2, 4))):
        apdus = data.draw(st.integers(0, apdus_of(family) - 1))
        state = cut_off(family, state, apdus, done=data.draw(st.booleans()))
        if expect_recognised(family, state, before) is Condition.FINISHED:
            return
    expect_made_good(family, state)
