"""Vendor commands of the Yubico family, as far as yubikit and yubico-piv-tool need them.

Version, serial number, metadata, key import, moving keys, management key, attempts, attestation,
factory reset. Cards of other families answer 6D00 to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Response, Sw
from card_personalization.chip.ecdsa_signature import P256_ORDER
from card_personalization.chip.piv.objects import Algorithm, ContainerTag, Reference
from card_personalization.chip.profiles.yubico import VendorIns
from card_personalization.chip.softcard import attestation
from card_personalization.chip.softcard.keys import (
    parse,
    pin_policy,
    require_slot,
    store_key,
    touch_policy,
)
from card_personalization.chip.softcard.session import Refused, Session
from card_personalization.chip.softcard.state import (
    FACTORY_MANAGEMENT_KEY,
    FACTORY_PIN,
    FACTORY_PUK,
    Origin,
    PrivateKey,
    Secret,
    factory_state,
)

VERSION: Final = bytes([5, 7, 2])
_TOUCH_NEVER: Final = 1
_SCALAR_TAG: Final = 0x06
_DELETE: Final = 0xFF


class _Metadata:
    """Tags of GET METADATA."""

    ALGORITHM: Final = 0x01
    POLICY: Final = 0x02
    ORIGIN: Final = 0x03
    PUBLIC_KEY: Final = 0x04
    IS_FACTORY: Final = 0x05
    ATTEMPTS: Final = 0x06


def get_version(_: Session, __: Command) -> Response:
    """GET VERSION (FD)."""
    return Response(VERSION, Sw.OK)


def get_serial(session: Session, _: Command) -> Response:
    """GET SERIAL (F8): four bytes."""
    return Response(session.state.serial.to_bytes(4, "big"), Sw.OK)


def _secret_metadata(secret: Secret, factory: bytes) -> bytes:
    attempts = bytes([secret.attempts_total, secret.attempts_remaining])
    return (
        tlv.encode(_Metadata.ALGORITHM, b"\xff")
        + tlv.encode(_Metadata.IS_FACTORY, bytes([secret.value == factory]))
        + tlv.encode(_Metadata.ATTEMPTS, attempts)
    )


def get_metadata(session: Session, command: Command) -> Response:
    """GET METADATA (F7) of a PIN, a PUK, the management key or an asymmetric key."""
    state = session.state
    if command.p2 == Reference.PIN:
        return Response(_secret_metadata(state.pin, FACTORY_PIN), Sw.OK)
    if command.p2 == Reference.PUK:
        return Response(_secret_metadata(state.puk, FACTORY_PUK), Sw.OK)
    if command.p2 == Reference.MANAGEMENT_KEY:
        factory = state.management_key == FACTORY_MANAGEMENT_KEY
        data = (
            tlv.encode(_Metadata.ALGORITHM, bytes([state.management_algorithm]))
            + tlv.encode(_Metadata.POLICY, bytes([0, _TOUCH_NEVER]))
            + tlv.encode(_Metadata.IS_FACTORY, bytes([factory]))
        )
        return Response(data, Sw.OK)
    key = state.keys.get(command.p2)
    if key is None:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    point = tlv.encode(ContainerTag.POINT, session.point(key.scalar))
    data = (
        tlv.encode(_Metadata.ALGORITHM, bytes([Algorithm.ECC_P256]))
        + tlv.encode(_Metadata.POLICY, bytes([key.pin_policy, key.touch_policy]))
        + tlv.encode(_Metadata.ORIGIN, bytes([key.origin]))
        + tlv.encode(_Metadata.PUBLIC_KEY, point)
    )
    return Response(data, Sw.OK)


def import_key(session: Session, command: Command) -> Response:
    """IMPORT KEY (FE): a P-256 private number after 9B."""
    slot = require_slot(session, command.p2)
    if not session.management_proven:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    items = parse(command.data)
    scalar = tlv.find(items, _SCALAR_TAG)
    if command.p1 != Algorithm.ECC_P256 or scalar is None:
        raise Refused(Sw.WRONG_DATA)
    number = int.from_bytes(scalar, "big")
    if len(scalar) != Algorithm.ECC_P256.key_bytes or not 0 < number < P256_ORDER:
        raise Refused(Sw.WRONG_DATA)
    policies = pin_policy(session, slot, items), touch_policy(session, items)
    store_key(session, slot, PrivateKey(scalar, policies[0], Origin.IMPORTED, policies[1]))
    return Response(b"", Sw.OK)


def attest(session: Session, command: Command) -> Response:
    """ATTEST (F9): a certificate that the key of slot P1 was made on this card."""
    return attestation.attest(session, command, VERSION)


def move_key(session: Session, command: Command) -> Response:
    """MOVE KEY (F6): from the slot of P2 to that of P1, or away with P1 FF, after 9B."""
    if not session.management_proven:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    source = require_slot(session, command.p2)
    keys = dict(session.state.keys)
    if source not in keys:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    moved = keys.pop(source)
    if command.p1 != _DELETE:
        keys[require_slot(session, command.p1)] = moved
    session.change(keys=keys)
    return Response(b"", Sw.OK)


def set_management_key(session: Session, command: Command) -> Response:
    """SET MANAGEMENT KEY (FF): algorithm, then 9B with length and key, after 9B."""
    if not session.management_proven:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    if command.p1 != 0xFF or command.p2 not in (0xFE, 0xFF):
        raise Refused(Sw.WRONG_P1_P2)
    if not command.data:
        raise Refused(Sw.WRONG_DATA)
    algorithms = {int(a): a for a in Algorithm if a is not Algorithm.ECC_P256}
    algorithm = algorithms.get(command.data[0])
    key = tlv.find(parse(command.data[1:]), Reference.MANAGEMENT_KEY)
    if algorithm is None or key is None or len(key) != algorithm.key_bytes:
        raise Refused(Sw.WRONG_DATA)
    session.change(management_key=key, management_algorithm=algorithm)
    return Response(b"", Sw.OK)


def set_attempts(session: Session, command: Command) -> Response:
    """SET PIN RETRIES (FA): new limits after 9B and PIN. PIN and PUK fall back to the factory's."""
    if not session.management_proven or not session.pin_verified:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    if not command.p1 or not command.p2:
        raise Refused(Sw.WRONG_P1_P2)
    session.change(
        pin=Secret(FACTORY_PIN, command.p1, command.p1),
        puk=Secret(FACTORY_PUK, command.p2, command.p2),
    )
    session.pin_verified = session.pin_fresh = False
    return Response(b"", Sw.OK)


def factory_reset(session: Session, _: Command) -> Response:
    """RESET (FB): a fresh card of the same serial, only when PIN and PUK are both blocked."""
    if not session.state.pin.blocked or not session.state.puk.blocked:
        raise Refused(Sw.CONDITIONS_NOT_SATISFIED)
    state = session.state
    fresh = factory_state(state.profile, state.serial, state.memory_bytes)
    session.change(**msgspec.structs.asdict(fresh))
    session.pin_verified = session.pin_fresh = session.management_proven = False
    return Response(b"", Sw.OK)


COMMANDS: Final[dict[int, Callable[[Session, Command], Response]]] = {
    VendorIns.MOVE_KEY: move_key,
    VendorIns.GET_METADATA: get_metadata,
    VendorIns.GET_SERIAL: get_serial,
    VendorIns.ATTEST: attest,
    VendorIns.SET_ATTEMPTS: set_attempts,
    VendorIns.FACTORY_RESET: factory_reset,
    VendorIns.GET_VERSION: get_version,
    VendorIns.IMPORT_KEY: import_key,
    VendorIns.SET_MANAGEMENT_KEY: set_management_key,
}
