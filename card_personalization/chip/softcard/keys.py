"""Keys of the software card: GENERATE ASYMMETRIC KEY PAIR and GENERAL AUTHENTICATE.

SP 800-73-5 part 2 §3.2.4 and §3.3.2: P-256 in the asymmetric slots, AES in 9B.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Response, Sw
from card_personalization.chip.ecdsa_signature import DIGEST_BYTES
from card_personalization.chip.piv.objects import (
    AES_BLOCK_BYTES,
    Algorithm,
    ContainerTag,
    DynamicTag,
    Reference,
    Slot,
)
from card_personalization.chip.softcard.session import Refused, Session
from card_personalization.chip.softcard.signing import new_scalar, shared_secret
from card_personalization.chip.softcard.state import (
    DEFAULT_PIN_POLICY,
    Origin,
    PinPolicy,
    PrivateKey,
    Profile,
    TouchPolicy,
)

_RETIRED_SLOTS: Final = range(0x82, 0x96)
_PIN_POLICY_TAG: Final = 0xAA
_TOUCH_POLICY_TAG: Final = 0xAB


def parse(data: bytes) -> tuple[tlv.Tlv, ...]:
    """Data objects of a command, or the refusal 6A80."""
    try:
        return tlv.parse(data)
    except tlv.TlvError:
        raise Refused(Sw.WRONG_DATA) from None


def require_slot(session: Session, number: int) -> int:
    """A key reference that may hold a P-256 key on this card, or the refusal 6A86."""
    retired = number in _RETIRED_SLOTS and session.state.profile is Profile.YUBICO
    if number not in list(Slot) and not retired:
        raise Refused(Sw.WRONG_P1_P2)
    return number


def pin_policy(session: Session, slot: int, items: tuple[tlv.Tlv, ...]) -> PinPolicy:
    """The PIN policy asked for (vendor tag AA), or the slot's own."""
    asked = tlv.find(items, _PIN_POLICY_TAG)
    if asked is None or asked == b"\x00":
        return DEFAULT_PIN_POLICY.get(slot, PinPolicy.ONCE)
    if session.state.profile.nist_only or asked not in {bytes([p]) for p in PinPolicy}:
        raise Refused(Sw.WRONG_DATA)
    return PinPolicy(asked[0])


def touch_policy(session: Session, items: tuple[tlv.Tlv, ...]) -> TouchPolicy:
    """The touch policy asked for (vendor tag AB), or never."""
    asked = tlv.find(items, _TOUCH_POLICY_TAG)
    if asked is None or asked == b"\x00":
        return TouchPolicy.NEVER
    if session.state.profile.nist_only or asked not in {bytes([p]) for p in TouchPolicy}:
        raise Refused(Sw.WRONG_DATA)
    return TouchPolicy(asked[0])


def store_key(session: Session, slot: int, key: PrivateKey) -> None:
    """Put a private key in a slot, over whatever was there."""
    session.change_within_memory(keys={**session.state.keys, slot: key})


def generate(session: Session, command: Command) -> Response:
    """GENERATE ASYMMETRIC KEY PAIR (47): a new P-256 key after 9B; its public point."""
    slot = require_slot(session, command.p2)
    if command.p1:
        raise Refused(Sw.WRONG_P1_P2)
    if not session.may_administer:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    wish = tlv.find(parse(command.data), ContainerTag.GENERATION)
    items = parse(wish or b"")
    if tlv.find(items, ContainerTag.ALGORITHM) != bytes([Algorithm.ECC_P256]):
        raise Refused(Sw.WRONG_DATA)
    key = PrivateKey(
        new_scalar(),
        pin_policy(session, slot, items),
        Origin.GENERATED,
        touch_policy(session, items),
    )
    store_key(session, slot, key)
    point = tlv.encode(ContainerTag.POINT, session.point(key.scalar))
    return Response(tlv.encode(ContainerTag.PUBLIC_KEY, point), Sw.OK)


def general_authenticate(session: Session, command: Command) -> Response:
    """GENERAL AUTHENTICATE (87): sign, agree on a secret, or prove 9B to each other."""
    outer = parse(command.data)
    if len(outer) != 1 or outer[0].tag != DynamicTag.TEMPLATE:
        raise Refused(Sw.WRONG_DATA)
    items = parse(outer[0].value)
    if command.p2 == Reference.MANAGEMENT_KEY:
        answer = _management(session, command.p1, items)
    else:
        answer = _private_key(session, command, items)
    return Response(tlv.encode(DynamicTag.TEMPLATE, answer) if answer else b"", Sw.OK)


def _private_key(session: Session, command: Command, items: tuple[tlv.Tlv, ...]) -> bytes:
    slot = require_slot(session, command.p2)
    key = session.state.keys.get(slot)
    if key is None:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    if command.p1 != Algorithm.ECC_P256:
        raise Refused(Sw.WRONG_P1_P2)
    _require_pin(session, slot, key)
    digest = tlv.find(items, DynamicTag.CHALLENGE)
    peer = tlv.find(items, DynamicTag.EXPONENTIATION)
    if digest and peer is None:
        if len(digest) > DIGEST_BYTES:
            raise Refused(Sw.WRONG_DATA)
        session.pin_fresh = False
        return tlv.encode(DynamicTag.RESPONSE, session.signer(key.scalar, digest))
    if peer and digest is None:
        try:
            secret = shared_secret(key.scalar, peer)
        except ValueError:
            raise Refused(Sw.WRONG_DATA) from None
        session.pin_fresh = False
        return tlv.encode(DynamicTag.RESPONSE, secret)
    raise Refused(Sw.WRONG_DATA)


def _require_pin(session: Session, slot: int, key: PrivateKey) -> None:
    if session.keeps_to_contacts and slot != Slot.CARD_AUTHENTICATION:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    satisfied = {
        PinPolicy.NEVER: True,
        PinPolicy.ONCE: session.pin_verified,
        PinPolicy.ALWAYS: session.pin_fresh,
    }
    if not satisfied[key.pin_policy]:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)


def _management(session: Session, algorithm: int, items: tuple[tlv.Tlv, ...]) -> bytes:
    """One step of an authentication with 9B.

    An encryption of the host's challenge is given only after the host proved the key itself:
    otherwise the card would answer, for anybody, its own challenge.
    """
    if algorithm != session.state.management_algorithm:
        raise Refused(Sw.WRONG_P1_P2)
    if session.keeps_to_contacts:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    parts = {item.tag: item.value for item in items}
    witness = parts.get(DynamicTag.WITNESS)
    challenge = parts.get(DynamicTag.CHALLENGE)
    response = parts.get(DynamicTag.RESPONSE)
    begun_witness, session.witness = session.witness, b""
    begun_challenge, session.challenge = session.challenge, b""
    if witness == b"":
        session.witness = session.random_bytes(AES_BLOCK_BYTES)
        return tlv.encode(DynamicTag.WITNESS, _encrypt(session, session.witness))
    if witness and challenge:
        _require_proof(session, begun_witness, witness)
        if len(challenge) != AES_BLOCK_BYTES:
            raise Refused(Sw.WRONG_DATA)
        session.management_proven = True
        return tlv.encode(DynamicTag.RESPONSE, _encrypt(session, challenge))
    if challenge == b"":
        session.challenge = session.random_bytes(AES_BLOCK_BYTES)
        return tlv.encode(DynamicTag.CHALLENGE, session.challenge)
    if response:
        expected = _encrypt(session, begun_challenge) if begun_challenge else b""
        _require_proof(session, expected, response)
        session.management_proven = True
        return b""
    raise Refused(Sw.WRONG_DATA)


def _require_proof(session: Session, expected: bytes, offered: bytes) -> None:
    """Compare; what was never asked for is never right."""
    if not expected or not hmac.compare_digest(expected, offered):
        session.management_proven = False
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)


def _encrypt(session: Session, block: bytes) -> bytes:
    # One random block per use: the standard asks for plain block encryption.
    cipher = Cipher(algorithms.AES(session.state.management_key), modes.ECB())  # noqa: S305
    encryptor = cipher.encryptor()
    return encryptor.update(block) + encryptor.finalize()
