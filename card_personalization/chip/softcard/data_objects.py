"""Data objects of the software card: GET DATA and PUT DATA (SP 800-73-5 part 2 §3.1.2, §3.3.1)."""

from __future__ import annotations

from typing import Final

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Response, Sw
from card_personalization.chip.piv.objects import (
    ContainerTag,
    Discovery,
    Tag,
    encode_certificate,
)
from card_personalization.chip.softcard import attestation
from card_personalization.chip.softcard.session import Refused, Session
from card_personalization.chip.softcard.state import OBJECT_LIMIT_BYTES, Profile

# Where Yubico's cards keep the certificate of F9, put there by the factory.
ATTESTATION_TAG: Final = 0x5FFF01
_P1, _P2 = 0x3F, 0xFF
# Part 1 table 2, column "access rule for read": these want the PIN.
_PIN_PROTECTED: Final = frozenset(
    {
        Tag.FINGERPRINTS,
        Tag.FACIAL_IMAGE,
        Tag.PRINTED,
        Tag.IRIS,
        Tag.PAIRING_CODE,
    }
)
# Same table, column "contactless": everything else keeps to contacts on a strict card.
_READABLE_CONTACTLESS: Final = frozenset(
    {
        Tag.CHUID,
        Tag.CERTIFICATE_9E,
        Tag.DISCOVERY,
        Tag.SECURE_MESSAGING_SIGNER,
    }
)
_NIST_TAGS: Final = range(Tag.CERTIFICATE_9E, Tag.PAIRING_CODE + 1)
_VENDOR_TAGS: Final = range(0x5F0000, 0x600000)
# The card knows the PIN of reference 80 and no global one (part 1 §3.3.2).
_DISCOVERY: Final = Discovery(0x4000)


def named_tag(items: tuple[tlv.Tlv, ...]) -> int:
    """The tag that the tag list 5C names, or the refusal 6A80."""
    named = tlv.find(items[:1], ContainerTag.TAG_LIST)
    if not named or len(named) > tlv.MAX_TAG_BYTES:
        raise Refused(Sw.WRONG_DATA)
    return int.from_bytes(named, "big")


def _parse(data: bytes) -> tuple[tlv.Tlv, ...]:
    try:
        return tlv.parse(data)
    except tlv.TlvError:
        raise Refused(Sw.WRONG_DATA) from None


def get_data(session: Session, command: Command) -> Response:
    """GET DATA (CB): one object in its wrapper 53, the discovery object in its own tag."""
    if (command.p1, command.p2) != (_P1, _P2):
        raise Refused(Sw.WRONG_P1_P2)
    tag = named_tag(_parse(command.data))
    if session.keeps_to_contacts and tag not in _READABLE_CONTACTLESS:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    if tag == Tag.DISCOVERY:
        return Response(_DISCOVERY.encode(), Sw.OK)
    if tag in _PIN_PROTECTED and not session.pin_verified:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    content = session.state.objects.get(tag)
    if content is None and tag == ATTESTATION_TAG and session.state.profile is Profile.YUBICO:
        content = encode_certificate(attestation.device_certificate(session.state.serial))
    if content is None:
        raise Refused(Sw.NOT_FOUND)
    return Response(tlv.encode(ContainerTag.OBJECT, content), Sw.OK)


def put_data(session: Session, command: Command) -> Response:
    """PUT DATA (DB): replace one object after 9B; an empty one is removed."""
    if (command.p1, command.p2) != (_P1, _P2):
        raise Refused(Sw.WRONG_P1_P2)
    if not session.may_administer:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    items = _parse(command.data)
    tag = named_tag(items)
    content = tlv.find(items[1:], ContainerTag.OBJECT)
    if content is None or len(items) != 2:
        raise Refused(Sw.WRONG_DATA)
    known = _NIST_TAGS if session.state.profile.nist_only else _VENDOR_TAGS
    if tag not in known:
        raise Refused(Sw.FUNCTION_UNSUPPORTED)
    objects = {held: value for held, value in session.state.objects.items() if held != tag}
    if content:
        objects[tag] = content
    if len(content) > OBJECT_LIMIT_BYTES:
        raise Refused(Sw.NO_SPACE)
    session.change_within_memory(objects=objects)
    return Response(b"", Sw.OK)
