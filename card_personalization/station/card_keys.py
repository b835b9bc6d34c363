"""Where the keys of a card under way come from: the key service, or a bureau's batch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from datetime import time as day_time
from typing import Final, Protocol

import msgspec

from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.scp03 import ChannelKeys
from card_personalization.station.faults import StationError, StationFault
from hsm_stub.client import commands as c
from processing.wire.api import CardOrder
from processing.wire.batch_file import Batch, BatchCard

ADMIN_KEY_VERSION: Final = 1
"""How often this card's 9B key was replaced, and one; the card master has its own generation."""
BACKDATE_MS: Final = 60_000
"""Certificates begin a minute ago, for terminals whose clocks are a little behind."""
CHANNEL_VERSION: Final = 1
"""Key version under which a Java card keeps our channel keys."""
_CHANNEL_KEY_BYTES: Final = 16

_CERTIFICATE_SLOTS: Final = {
    Slot.CARD_AUTHENTICATION: c.CertificateSlot.CARD_AUTHENTICATION,
    Slot.AUTHENTICATION: c.CertificateSlot.AUTHENTICATION,
}


class CardSecrets(msgspec.Struct, frozen=True):
    """A card's own 9B key and channel keys, and the generation of the master they come from."""

    management_key: bytes
    channel: ChannelKeys | None
    card_master: int

    def __repr__(self) -> str:
        """Return the generation alone: the keys must not reach a log."""
        return f"CardSecrets(<hidden>, card_master={self.card_master})"


class SlotKeys(msgspec.Struct, frozen=True):
    """Private numbers (32 bytes) and certificates to put into a card that makes no keys itself."""

    scalars: Mapping[Slot, bytes]
    certificates: Mapping[Slot, bytes]

    def __repr__(self) -> str:
        """Return nothing of the keys."""
        return "SlotKeys(<hidden>)"


class CardKeys(Protocol):
    """What a station needs to know to key a card. Methods raise HsmError, StationError."""

    def secrets(self, order: CardOrder, *, channel: bool, card_master: int = 0) -> CardSecrets:
        """The card's 9B key, with `channel` its SCP03 keys, from a generation of the master.

        0 is the active one.
        """

    def slot_keys(self, order: CardOrder) -> SlotKeys | None:
        """Keys to be put in; None where the card makes its own."""

    def certify(self, order: CardOrder, points: Mapping[Slot, bytes]) -> dict[Slot, bytes]:
        """Certificates (DER) of the keys that the card made."""


class KeyService(Protocol):
    """The part of the key service's client that a station needs."""

    def derive_card_keys(
        self, card_guid: bytes, version: int, master: int = 0, *, channel: bool = False
    ) -> c.CardAdminKey:
        """Return a card's 9B key and the generation it is from, with `channel` its SCP03 keys."""

    def issue_card_certificates(self, command: c.IssueCardCertificates) -> tuple[bytes, ...]:
        """Return the certificates of a card's slots, in their order."""


class ServiceKeys:
    """Keys of the key service, asked for one card at a time. Threads may share it."""

    def __init__(self, service: KeyService) -> None:
        self._service = service

    def secrets(self, order: CardOrder, *, channel: bool, card_master: int = 0) -> CardSecrets:
        """Have the card's keys derived, which is counted as an export."""
        guid = order.card_id.bytes
        told = self._service.derive_card_keys(guid, ADMIN_KEY_VERSION, card_master, channel=channel)
        keys = _channel_keys(told.channel) if channel else None
        return CardSecrets(told.key, keys, told.master)

    def slot_keys(self, _order: CardOrder) -> SlotKeys | None:
        """None: the card makes its keys."""
        return None

    def certify(self, order: CardOrder, points: Mapping[Slot, bytes]) -> dict[Slot, bytes]:
        """Have all keys certified at once, until the end of the card's last day."""
        last_moment = datetime.combine(order.valid_to, day_time(23, 59, 59), UTC)
        command = c.IssueCardCertificates(
            slots=tuple(
                c.SlotPoint(slot=_CERTIFICATE_SLOTS[slot], public_key=point)
                for slot, point in points.items()
            ),
            card_guid=order.card_id.bytes,
            card_number=order.card_number,
            not_before_ms=time.time_ns() // 1_000_000 - BACKDATE_MS,
            not_after_ms=int(last_moment.timestamp()) * 1000,
        )
        return dict(zip(points, self._service.issue_card_certificates(command), strict=True))


class BatchKeys:
    """Keys out of an opened batch: no master key. `service` certifies what cards make themselves.

    None where there is no line to it: then the batch has to bring key pairs and certificates.
    """

    def __init__(self, batch: Batch, service: KeyService | None = None) -> None:
        self._cards = {card.order_id: card for card in batch.cards}
        self._service = None if service is None else ServiceKeys(service)

    def secrets(self, order: CardOrder, *, channel: bool, card_master: int = 0) -> CardSecrets:
        """The keys that the batch brought for this order."""
        card = self._card(order)
        keys = _channel_keys(card.channel_keys) if channel else None
        return CardSecrets(card.admin_key, keys, card.card_master)

    def slot_keys(self, order: CardOrder) -> SlotKeys | None:
        """The key pairs that the batch brought, if it did."""
        card = self._card(order)
        if not card.keys:
            return None
        by_slot = {Slot(int(key.slot, 16)): key for key in card.keys}
        return SlotKeys(
            {slot: key.scalar for slot, key in by_slot.items()},
            {slot: key.certificate for slot, key in by_slot.items()},
        )

    def certify(self, order: CardOrder, points: Mapping[Slot, bytes]) -> dict[Slot, bytes]:
        """Have the keys certified. StationError(BATCH_WITHOUT_KEYS) without a line to do so."""
        if self._service is not None:
            return self._service.certify(order, points)
        raise StationError(StationFault.BATCH_WITHOUT_KEYS, card_number=order.card_number)

    def _card(self, order: CardOrder) -> BatchCard:
        card = self._cards.get(order.order_id.bytes)
        if card is None:
            raise StationError(StationFault.ORDER_NOT_IN_BATCH, card_number=order.card_number)
        return card


def _channel_keys(keys: bytes) -> ChannelKeys:
    enc, mac, dek = (keys[at : at + _CHANNEL_KEY_BYTES] for at in (0, 16, 32))
    return ChannelKeys(enc, mac, dek, CHANNEL_VERSION)
