"""The whole writing of a card through its family's driver, and ways to cut it off."""

from __future__ import annotations

import datetime

import msgspec

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.errors import CardFault, TransportError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import (
    Algorithm,
    Chuid,
    Slot,
    Tag,
    encode_certificate,
)
from card_personalization.chip.profiles.family import Access, CardFamily, Codes, LockKeys
from card_personalization.chip.profiles.generic import GenericFamily
from card_personalization.chip.profiles.openfips201 import OpenFips201Family
from card_personalization.chip.profiles.yubico import YubicoFamily
from card_personalization.chip.scp03 import ChannelKeys
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import FACTORY_MANAGEMENT_KEY, CardState, Profile
from card_personalization.chip.transport.inprocess import InProcessTransport

GUID = bytes(range(0x40, 0x50))
EXPIRES_ON = datetime.date(2031, 6, 30)
OWN_KEY = bytes(range(0x80, 0x98))
OWN_CHANNEL = ChannelKeys(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)), 1)
LOCK = LockKeys(OWN_KEY, Algorithm.AES_192, OWN_CHANNEL)
PIN, PUK = "918273", "87654321"
SLOTS = (Slot.CARD_AUTHENTICATION, Slot.AUTHENTICATION)


class Family(msgspec.Struct, frozen=True):
    """A family under test: its driver, the software card's profile, what opens a fresh card."""

    driver: CardFamily
    profile: Profile
    factory: Access
    codes: Codes


def own_access() -> Access:
    """What opens a finished card."""
    management = LocalManagementKey(OWN_KEY, Algorithm.AES_192)
    return Access(management=management, channel=OWN_CHANNEL, pin=PIN, puk=PUK)


def families() -> dict[str, Family]:
    """Every family, as its cards are delivered; generic ones with their own 9B in them."""
    yubico, generic, java = YubicoFamily(), GenericFamily(), OpenFips201Family()
    lot = Access(
        management=LocalManagementKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192),
        pin="123456",
        puk="12345678",
    )
    limited = Codes(PIN, PUK, 5, 6)
    return {
        "yubico": Family(yubico, Profile.YUBICO, yubico.factory_access(), limited),
        "generic": Family(generic, Profile.GENERIC, lot, Codes(PIN, PUK)),
        "openfips201": Family(java, Profile.OPENFIPS201, java.factory_access(), limited),
    }


def certificate_of(slot: Slot) -> bytes:
    """A stand-in of a certificate's size."""
    return encode_certificate(bytes([slot]) * 700)


def write_card(family: Family, card: PivClient) -> dict[Slot, bytes]:
    """Write a card from open to lock; the points of its keys."""
    driver = family.driver
    driver.open(card, family.factory)
    driver.prepare(card)
    points = {slot: driver.make_key(card, slot) for slot in SLOTS}
    for slot in SLOTS:
        driver.write_object(card, slot.certificate_tag, certificate_of(slot))
    driver.write_object(card, Tag.CHUID, Chuid(GUID, EXPIRES_ON).encode())
    driver.set_codes(card, family.factory, family.codes)
    if family.profile is not Profile.GENERIC:
        driver.lock(card, family.factory, LOCK)
    return points


def expect_written(card: PivClient, points: dict[Slot, bytes]) -> None:
    """Check all that a reader sees of a written card, and that the new codes are right."""
    card.select()
    assert card.read_chuid().guid == GUID
    for slot in SLOTS:
        assert card.get_data(slot.certificate_tag) == certificate_of(slot)
    card.verify_pin(PIN)
    card.change_puk(PUK, PUK)
    assert set(points) == set(SLOTS)


class CutTransport:
    """Lets so many APDUs pass, then loses the card: before the next one, or after it was done."""

    name = "cut"

    def __init__(self, card: SoftCard, apdus: int, *, done: bool) -> None:
        self._inner = InProcessTransport(card)
        self.left = apdus
        self._done = done
        self.sent = 0

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        if self.left == 0:
            if self._done:
                self._inner.transceive(command)
                self._done = False
            self._inner.close()
            raise TransportError(CardFault.CARD_REMOVED, reader=self.name)
        self.left -= 1
        self.sent += 1
        return self._inner.transceive(command)

    def close(self) -> None:
        self._inner.close()


def client_over(card: SoftCard) -> PivClient:
    """A selected client of a card that was just put in."""
    client = PivClient(open_channel(InProcessTransport(card)))
    client.select()
    return client


def is_fresh(state: CardState, before: CardState) -> bool:
    """Whether nothing lasting was written but the counter of opened channels."""
    if state.platform is None or before.platform is None:
        return state == before
    platform = msgspec.structs.replace(state.platform, initialized=0)
    fresh = msgspec.structs.replace(before.platform, initialized=0)
    same = msgspec.structs.replace(state, platform=None) == msgspec.structs.replace(
        before, platform=None
    )
    return same and platform == fresh
