"""Setting PIN and PUK where an earlier run came half way, and where nothing helps but a reset."""

from __future__ import annotations

import pytest

from card_personalization.chip.errors import CardBegun, CardError, CodesBlocked, OldFirmware
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.profiles.yubico import YubicoFamily
from card_personalization.chip.softcard import vendor
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import Profile, factory_state
from tests.chip.writing import PIN, PUK, Family, client_over, families


def opened(name: str) -> tuple[Family, SoftCard, PivClient]:
    family = families()[name]
    card = SoftCard(factory_state(family.profile, 1))
    client = client_over(card)
    family.driver.open(client, family.factory)
    return family, card, client


def block_puk(client: PivClient) -> None:
    for _ in range(3):
        with pytest.raises(CardError):
            client.change_puk("00000000", "00000000")


@pytest.mark.parametrize(
    ("name", "pin", "puk", "expected"),
    [
        ("generic", "123456", "12345678", None),
        ("generic", PIN, "12345678", None),
        ("generic", PIN, PUK, None),
        ("generic", "555555", "12345678", None),
        ("generic", "555555", "55555555", CardBegun),
        ("generic", "123456", "55555555", CardBegun),
        ("yubico", "123456", "12345678", None),
        ("yubico", PIN, "12345678", None),
        ("yubico", PIN, PUK, None),
        ("yubico", "123456", "55555555", None),
        ("yubico", "555555", "12345678", CardBegun),
        ("openfips201", "555555", "55555555", None),
    ],
)
def test_codes_found_on_the_card(
    name: str, pin: str, puk: str, expected: type[CardError] | None
) -> None:
    family, card, client = opened(name)
    if name != "openfips201":
        client.change_pin("123456", pin)
        client.change_puk("12345678", puk)
    if expected is None:
        family.driver.set_codes(client, family.factory, family.codes)
        client = client_over(card)
        client.verify_pin(PIN)
        client.change_puk(PUK, PUK)
        return
    with pytest.raises(expected):
        family.driver.set_codes(client, family.factory, family.codes)


@pytest.mark.parametrize("name", ["generic", "yubico"])
def test_blocked_codes_are_said(name: str) -> None:
    family, _, client = opened(name)
    client.change_pin("123456", "555555")
    for _ in range(3):
        with pytest.raises(CardError):
            client.verify_pin("000000")
    if name == "generic":
        block_puk(client)
    with pytest.raises(CodesBlocked) as caught:
        family.driver.set_codes(client, family.factory, family.codes)
    assert "заблокирован" in caught.value.text("ru")


def test_old_firmware_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "VERSION", bytes([5, 4, 3]))
    client = client_over(SoftCard(factory_state(Profile.YUBICO, 1)))
    with pytest.raises(OldFirmware, match=r"firmware 5\.4\.3 is too old, 5\.7\.0 or newer"):
        YubicoFamily().identify(client)
