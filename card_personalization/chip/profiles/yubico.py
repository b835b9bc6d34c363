"""YubiKey 5 and the software card: vendor commands for 9B, attempts, serial, import, reset."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Response, Sw, sw_name
from card_personalization.chip.errors import CardFault, MalformedAnswer, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Algorithm, Reference
from card_personalization.chip.profiles.family import FactoryKey

_ATTEMPTS_MAX: Final = 255
_SERIAL_BYTES: Final = 4
_VERSION_BYTES: Final = 3
_SCALAR_TAG: Final = 0x06
_PIN_POLICY_TAG: Final = 0xAA
_FACTORY_KEY: Final = bytes.fromhex("0102030405060708" * 3)


class VendorIns(IntEnum):
    """Instructions of the family, by the names its maker gives them."""

    MOVE_KEY = 0xF6
    GET_METADATA = 0xF7
    GET_SERIAL = 0xF8
    SET_ATTEMPTS = 0xFA
    FACTORY_RESET = 0xFB
    GET_VERSION = 0xFD
    IMPORT_KEY = 0xFE
    SET_MANAGEMENT_KEY = 0xFF


def _send(client: PivClient, what: str, command: Command) -> Response:
    answer = client.channel.send(command)
    if answer.ok:
        return answer
    if answer.sw == Sw.SECURITY_STATUS_NOT_SATISFIED:
        raise StatusError(CardFault.NOT_ALLOWED, answer.sw, what=what)
    if answer.sw == Sw.INSTRUCTION_UNSUPPORTED:
        raise StatusError(CardFault.NOT_SUPPORTED, answer.sw, what=what)
    raise StatusError(CardFault.STATUS, answer.sw, what=what, name=sw_name(answer.sw))


class YubicoFamily(msgspec.Struct, frozen=True):
    """The family that answers GET VERSION (FD)."""

    name: str = "yubico"
    factory_key: FactoryKey | None = FactoryKey(_FACTORY_KEY, Algorithm.AES_192)

    def version(self, client: PivClient) -> tuple[int, int, int]:
        """Version of the application, such as (5, 7, 2)."""
        data = _send(client, "asking the version", Command(VendorIns.GET_VERSION)).data
        if len(data) != _VERSION_BYTES:
            raise MalformedAnswer(f"a version of {len(data)} bytes")
        return data[0], data[1], data[2]

    def serial(self, client: PivClient) -> int | None:
        """The chip's serial number."""
        data = _send(client, "asking the serial number", Command(VendorIns.GET_SERIAL)).data
        if len(data) != _SERIAL_BYTES:
            raise MalformedAnswer(f"a serial number of {len(data)} bytes")
        return int.from_bytes(data, "big")

    def management_algorithm(self, client: PivClient) -> Algorithm:
        """The AES variant of the card's 9B. StatusError(NOT_SUPPORTED) for 3DES of old firmware."""
        command = Command(VendorIns.GET_METADATA, 0, Reference.MANAGEMENT_KEY)
        answer = _send(client, "asking about the management key", command)
        try:
            told = tlv.find(tlv.parse(answer.data), 0x01)
        except tlv.TlvError as error:
            raise MalformedAnswer(f"metadata of 9B: {error}") from None
        known = {bytes([a]): a for a in Algorithm if a is not Algorithm.ECC_P256}
        if told not in known:
            raise StatusError(CardFault.NOT_SUPPORTED, answer.sw, what="a management key not AES")
        return known[told]

    def set_management_key(self, client: PivClient, key: bytes, algorithm: Algorithm) -> None:
        """Replace 9B. Needs `authenticate_management` before. ValueError if lengths do not fit."""
        if algorithm is Algorithm.ECC_P256 or len(key) != algorithm.key_bytes:
            raise ValueError(f"{len(key)} bytes are no key of {algorithm.name}")
        data = bytes([algorithm]) + tlv.encode(Reference.MANAGEMENT_KEY, key)
        command = Command(VendorIns.SET_MANAGEMENT_KEY, 0xFF, 0xFF, data, answer_bytes=None)
        _send(client, "setting the management key", command)

    def set_attempts(self, client: PivClient, pin_attempts: int, puk_attempts: int) -> None:
        """Set the limits of wrong PINs and PUKs. Needs 9B and PIN; both fall back to factory."""
        if not (0 < pin_attempts <= _ATTEMPTS_MAX and 0 < puk_attempts <= _ATTEMPTS_MAX):
            raise ValueError(f"attempts lie between 1 and {_ATTEMPTS_MAX}")
        command = Command(VendorIns.SET_ATTEMPTS, pin_attempts, puk_attempts, answer_bytes=None)
        _send(client, "setting the attempts", command)

    def import_key(self, client: PivClient, slot: int, scalar: bytes, pin_policy: int = 0) -> None:
        """Put a P-256 private number (32 bytes) in a slot. Needs 9B. Policy 0 is the slot's own."""
        if len(scalar) != Algorithm.ECC_P256.key_bytes:
            raise ValueError(f"a P-256 private number has 32 bytes, not {len(scalar)}")
        data = tlv.encode(_SCALAR_TAG, scalar)
        if pin_policy:
            data += tlv.encode(_PIN_POLICY_TAG, bytes([pin_policy]))
        command = Command(VendorIns.IMPORT_KEY, Algorithm.ECC_P256, slot, data, answer_bytes=None)
        _send(client, f"importing a key into slot {slot:X}", command)

    def factory_reset(self, client: PivClient) -> None:
        """Make the card as fresh from the factory. Works only when PIN and PUK are blocked."""
        command = Command(VendorIns.FACTORY_RESET, answer_bytes=None)
        _send(client, "resetting to factory state", command)
