"""Questions that any PIV card answers, which drivers build their `inspect` from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Ins, Sw
from card_personalization.chip.errors import (
    AttemptError,
    CardError,
    CardFault,
    CardTooSmall,
    ContactsNeeded,
    MalformedAnswer,
    StatusError,
)
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import ManagementHost
from card_personalization.chip.piv.objects import Algorithm, DynamicTag, Slot, Tag
from card_personalization.chip.profiles.family import CodeState

# What a station writes, and so what tells a blank card from one that was begun.
WRITTEN_TAGS: Final = (
    Tag.CHUID,
    Tag.CERTIFICATE_9E,
    Tag.CERTIFICATE_9A,
    Tag.CERTIFICATE_9C,
    Tag.CERTIFICATE_9D,
    Tag.CAPABILITY,
    Tag.SECURITY,
    Tag.RETIRED_1,
)
WRITTEN_SLOTS: Final = (Slot.CARD_AUTHENTICATION, Slot.AUTHENTICATION)
_ATTEMPTS_SPARE: Final = 2
_SECURITY_DOMAIN_AID: Final = bytes.fromhex("A000000151000000")
_GET_DATA: Final = 0xCA
_GP_CLA: Final = 0x80
_PRODUCTION: Final = 0x9F7F
_RESOURCES: Final = 0xFF21
_FREE_MEMORY: Final = 0x82


def objects_on(card: PivClient, tags: Iterable[int] = WRITTEN_TAGS) -> frozenset[int]:
    """Which of these objects hold something. One that wants a PIN or contacts does."""
    found: set[int] = set()
    for tag in tags:
        try:
            card.get_data(tag)
        except StatusError as error:
            if error.fault is CardFault.NOT_ALLOWED:
                found.add(tag)
            elif error.fault is not CardFault.NOT_FOUND:
                raise
            continue
        found.add(tag)
    return frozenset(found)


def guid_on(card: PivClient) -> bytes | None:
    """The GUID of the CHUID; None without a CHUID that can be read."""
    try:
        return card.read_chuid().guid
    except (StatusError, MalformedAnswer):
        return None


def key_status(card: PivClient, slot: Slot) -> int:
    """The status word with which a slot answers a request to sign: 9000 means it holds a key."""
    wish = tlv.encode(DynamicTag.RESPONSE) + tlv.encode(DynamicTag.CHALLENGE, bytes(32))
    data = tlv.encode(DynamicTag.TEMPLATE, wish)
    return card.channel.send(Command(Ins.GENERAL_AUTHENTICATE, Algorithm.ECC_P256, slot, data)).sw


def takes_management(card: PivClient, host: ManagementHost | None) -> bool:
    """Whether the card takes this 9B, with which its administration is open then."""
    if host is None:
        return False
    try:
        card.authenticate_management(host)
    except StatusError:
        return False
    except CardError as error:
        if error.fault is CardFault.CARD_UNPROVEN:
            return False
        raise
    return True


def require_contacts(card: PivClient) -> None:
    """ContactsNeeded if the card does not even tell its PIN's state, as strict ones do then."""
    try:
        card.pin_attempts_remaining()
    except StatusError as error:
        if error.fault is CardFault.NOT_ALLOWED:
            raise ContactsNeeded("PIN, 9B") from None
        raise


def pin_state(card: PivClient, factory_pin: str | None) -> CodeState:
    """Whether the PIN is the factory's. Costs an attempt when it is not, never the last ones."""
    try:
        left = card.pin_attempts_remaining()
    except StatusError:
        return CodeState.UNKNOWN
    if left == 0:
        return CodeState.BLOCKED
    if factory_pin is None or (left is not None and left < _ATTEMPTS_SPARE):
        return CodeState.UNKNOWN
    try:
        card.verify_pin(factory_pin)
    except AttemptError:
        return CodeState.CHANGED
    return CodeState.FACTORY


def probe_space(card: PivClient, sizes: Mapping[int, int]) -> None:
    """Fill objects to these sizes and empty them again: the only way where cards do not tell.

    CardTooSmall if they do not fit; what was filled is emptied then too.
    """
    filled: list[int] = []
    try:
        for tag, size_bytes in sizes.items():
            filled.append(tag)
            card.put_data(tag, bytes(size_bytes))
    except StatusError as error:
        if error.fault is not CardFault.NO_SPACE:
            raise
        filled.pop()
        raise CardTooSmall(sum(sizes.values()), None) from None
    finally:
        for tag in filled:
            card.put_data(tag, b"")


def write_object(card: PivClient, tag: int, content: bytes, free_bytes: int | None = None) -> None:
    """Write an object; CardTooSmall in place of the status word for a full memory."""
    try:
        card.put_data(tag, content)
    except StatusError as error:
        if error.fault is not CardFault.NO_SPACE:
            raise
        raise CardTooSmall(len(content), free_bytes) from None


def platform_data(card: PivClient) -> tuple[bytes | None, int | None]:
    """CPLC and free memory of a GlobalPlatform card, None where it has none. Selects PIV again.

    The CPLC is told by the issuer security domain (card specification v2.3 H.3), free memory by
    its extended resources (ETSI TS 102 226 §8.2.1.7.2).
    """
    plain = card.go_plain()
    selected = plain.send(Command(Ins.SELECT, 0x04, 0x00, _SECURITY_DOMAIN_AID))
    if not selected.ok:
        return None, None
    production = _told_by_domain(card, _PRODUCTION)
    resources = _told_by_domain(card, _RESOURCES)
    card.select()
    try:
        free = tlv.find(tlv.parse(resources or b""), _FREE_MEMORY)
    except tlv.TlvError:
        free = None
    return production, None if free is None else int.from_bytes(free, "big")


def _told_by_domain(card: PivClient, tag: int) -> bytes | None:
    answer = card.channel.send(Command(_GET_DATA, tag >> 8, tag & 0xFF, cla=_GP_CLA))
    if answer.sw != Sw.OK:
        return None
    try:
        return tlv.unwrap(answer.data, tag)
    except tlv.TlvError:
        return None
