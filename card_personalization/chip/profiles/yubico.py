"""YubiKey 5 and the software card: vendor commands for 9B, attempts, serial, import, reset."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import msgspec

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Ins, Sw
from card_personalization.chip.ecdsa_signature import require_point
from card_personalization.chip.errors import (
    AttemptError,
    CardBegun,
    CardError,
    CardFault,
    CodesBlocked,
    MalformedAnswer,
    OldFirmware,
    StatusError,
    WrongFactoryKey,
)
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import (
    Algorithm,
    ContainerTag,
    Reference,
    Slot,
    parse_certificate,
)
from card_personalization.chip.profiles import probing
from card_personalization.chip.profiles.attestation import Attestation
from card_personalization.chip.profiles.family import (
    Access,
    Administration,
    CardIdentity,
    Codes,
    CodeState,
    FactoryKey,
    Findings,
    KeyPolicy,
    LockKeys,
    PinPolicy,
    TouchPolicy,
)

ATTESTATION_CERTIFICATE_TAG: Final = 0x5FFF01
# From here on 9B comes as AES-192; before it is 3DES, which no social card uses.
FIRMWARE_MIN: Final = (5, 7, 0)
_ATTEMPTS_MAX: Final = 255
_SERIAL_BYTES: Final = 4
_VERSION_BYTES: Final = 3
_SCALAR_TAG: Final = 0x06
_PIN_POLICY_TAG: Final = 0xAA
_TOUCH_POLICY_TAG: Final = 0xAB
_FACTORY_KEY: Final = bytes.fromhex("0102030405060708" * 3)
_FACTORY_PIN: Final = "123456"
_FACTORY_PUK: Final = "12345678"


class VendorIns(IntEnum):
    """Instructions of the family, by the names its maker gives them."""

    MOVE_KEY = 0xF6
    GET_METADATA = 0xF7
    GET_SERIAL = 0xF8
    ATTEST = 0xF9
    SET_ATTEMPTS = 0xFA
    FACTORY_RESET = 0xFB
    GET_VERSION = 0xFD
    IMPORT_KEY = 0xFE
    SET_MANAGEMENT_KEY = 0xFF


class MetadataTag(IntEnum):
    """What GET METADATA tells (firmware 5.3 and newer)."""

    ALGORITHM = 0x01
    POLICY = 0x02
    ORIGIN = 0x03
    PUBLIC_KEY = 0x04
    IS_FACTORY = 0x05
    ATTEMPTS = 0x06


class YubicoFamily(msgspec.Struct, frozen=True):
    """The family that answers GET VERSION (FD)."""

    name: str = "yubico"
    factory_key: FactoryKey | None = FactoryKey(_FACTORY_KEY, Algorithm.AES_192)
    keeps_factory_key: bool = False
    has_channel: bool = False
    attests: bool = True

    def factory_access(self, key: FactoryKey | None = None) -> Access:
        """The maker's 9B or that of the lot, PIN 123456 and PUK 12345678."""
        held = key or FactoryKey(_FACTORY_KEY, Algorithm.AES_192)
        return Access(
            management=LocalManagementKey(held.key, held.algorithm),
            pin=_FACTORY_PIN,
            puk=_FACTORY_PUK,
        )

    def identify(self, card: PivClient) -> CardIdentity:
        """Version and serial. OldFirmware before FIRMWARE_MIN."""
        version = self.version(card)
        if version < FIRMWARE_MIN:
            raise OldFirmware(_dotted(version), _dotted(FIRMWARE_MIN))
        return CardIdentity(self.name, version=version, serial=self.serial(card))

    def inspect(self, card: PivClient, factory: Access, own: Access | None = None) -> Findings:
        """What is on the card, from its metadata: no attempt is lost, no key is used."""
        administration = Administration.FOREIGN
        if probing.takes_management(card, factory.management):
            administration = Administration.FACTORY
        elif own is not None and probing.takes_management(card, own.management):
            administration = Administration.OURS
        return Findings(
            administration=administration,
            guid=probing.guid_on(card),
            objects=probing.objects_on(card),
            keys={slot: self.key_point(card, slot) is not None for slot in probing.WRITTEN_SLOTS},
            pin=self.code_state(card, Reference.PIN),
            puk=self.code_state(card, Reference.PUK),
        )

    def metadata(self, card: PivClient, reference: int) -> dict[int, bytes]:
        """What the card tells of a key, PIN or PUK, by MetadataTag. StatusError(NOT_FOUND)."""
        what = f"metadata of {reference:X}"
        answer = card.send(what, Command(VendorIns.GET_METADATA, 0, reference))
        try:
            return {item.tag: item.value for item in tlv.parse(answer.data)}
        except tlv.TlvError as error:
            raise MalformedAnswer(f"{what}: {error}") from None

    def code_state(self, card: PivClient, reference: Reference) -> CodeState:
        """Whether PIN or PUK is the factory's, or blocked."""
        told = self.metadata(card, reference)
        if told.get(MetadataTag.ATTEMPTS, b"")[1:] == b"\x00":
            return CodeState.BLOCKED
        factory = told.get(MetadataTag.IS_FACTORY) == b"\x01"
        return CodeState.FACTORY if factory else CodeState.CHANGED

    def key_point(self, card: PivClient, slot: Slot) -> bytes | None:
        """The public point of a slot's key; None if the slot is empty."""
        try:
            told = self.metadata(card, slot)
        except StatusError as error:
            if error.fault is CardFault.NOT_FOUND:
                return None
            raise
        inner = told.get(MetadataTag.PUBLIC_KEY, b"")
        try:
            return tlv.find(tlv.parse(inner), ContainerTag.POINT) or b""
        except tlv.TlvError as error:
            raise MalformedAnswer(f"metadata of {slot:X}: {error}") from None

    def open(self, card: PivClient, access: Access) -> None:
        """Prove 9B. WrongFactoryKey if the card does not take it."""
        if not probing.takes_management(card, access.management):
            raise WrongFactoryKey("9B")

    def check_space(
        self, card: PivClient, identity: CardIdentity, sizes: Mapping[int, int]
    ) -> None:
        """Fill and empty the objects: this family does not tell its free memory (51,200 bytes)."""
        probing.probe_space(card, sizes)

    def prepare(self, card: PivClient) -> None:
        """Nothing: every slot and object is there."""

    def make_key(self, card: PivClient, slot: Slot, policy: KeyPolicy | None = None) -> bytes:
        """Have the card make a key, by this policy."""
        wish = tlv.encode(ContainerTag.ALGORITHM, bytes([Algorithm.ECC_P256])) + _policy(policy)
        data = tlv.encode(ContainerTag.GENERATION, wish)
        command = Command(Ins.GENERATE_ASYMMETRIC_KEY_PAIR, 0, slot, data)
        answer = card.send(f"making a key in slot {slot:X}", command)
        try:
            parts = tlv.parse(tlv.unwrap(answer.data, ContainerTag.PUBLIC_KEY))
            point = tlv.find(parts, ContainerTag.POINT) or b""
            require_point(point)
        except ValueError as error:
            raise MalformedAnswer(f"public key of slot {slot:X}: {error}") from None
        return point

    def attest(self, card: PivClient, slot: Slot) -> Attestation:
        """The card's certificate for a key it made. CardError(NOT_SUPPORTED) for an imported one.

        StatusError(NOT_FOUND) if the slot is empty.
        """
        command = Command(VendorIns.ATTEST, slot, 0)
        try:
            certificate = card.send(f"attesting the key of slot {slot:X}", command).data
        except StatusError as error:
            if error.sw in (Sw.WRONG_DATA, Sw.CONDITIONS_NOT_SATISFIED):
                what = f"attesting key {slot:X}, which was not made on the card"
                raise CardError(CardFault.NOT_SUPPORTED, what=what) from None
            raise
        device = parse_certificate(card.get_data(ATTESTATION_CERTIFICATE_TAG))
        return Attestation(certificate, device)

    def write_object(self, card: PivClient, tag: int, content: bytes) -> None:
        """Write one object after `open`."""
        probing.write_object(card, tag, content)

    def set_codes(self, card: PivClient, factory: Access, codes: Codes) -> None:
        """Set the attempts, which brings back the factory's codes, then PUK and PIN.

        The attempts want the PIN: the factory's, or the one to be set where a run before this one
        came that far. Else CardBegun, CodesBlocked: then only a reset helps.
        """
        lot_pin = factory.pin or _FACTORY_PIN
        fresh = lot_pin != _FACTORY_PIN or self.code_state(card, Reference.PIN) is CodeState.FACTORY
        try:
            card.verify_pin(lot_pin if fresh else codes.pin)
        except AttemptError as error:
            if error.attempts_remaining == 0:
                raise CodesBlocked("PIN") from None
            raise CardBegun("PIN") from None
        self.set_attempts(card, codes.pin_attempts or 3, codes.puk_attempts or 3)
        # From here on both are what the maker sets, whatever the lot was delivered with.
        card.change_puk(_FACTORY_PUK, codes.puk)
        card.change_pin(_FACTORY_PIN, codes.pin)

    def lock(self, card: PivClient, factory: Access, keys: LockKeys) -> None:
        """Replace the factory's 9B, as the last change, and prove the new one."""
        self.set_management_key(card, keys.management_key, keys.algorithm)
        card.authenticate_management(LocalManagementKey(keys.management_key, keys.algorithm))

    def version(self, client: PivClient) -> tuple[int, int, int]:
        """Version of the application, such as (5, 7, 2)."""
        data = client.send("asking the version", Command(VendorIns.GET_VERSION)).data
        if len(data) != _VERSION_BYTES:
            raise MalformedAnswer(f"a version of {len(data)} bytes")
        return data[0], data[1], data[2]

    def serial(self, client: PivClient) -> int | None:
        """The chip's serial number."""
        data = client.send("asking the serial number", Command(VendorIns.GET_SERIAL)).data
        if len(data) != _SERIAL_BYTES:
            raise MalformedAnswer(f"a serial number of {len(data)} bytes")
        return int.from_bytes(data, "big")

    def management_algorithm(self, client: PivClient) -> Algorithm:
        """The AES variant of the card's 9B. CardError(NOT_SUPPORTED) for 3DES."""
        told = self.metadata(client, Reference.MANAGEMENT_KEY).get(MetadataTag.ALGORITHM)
        known = {bytes([a]): a for a in Algorithm if a is not Algorithm.ECC_P256}
        if told not in known:
            raise CardError(CardFault.NOT_SUPPORTED, what="a management key (9B) that is not AES")
        return known[told]

    def set_management_key(self, client: PivClient, key: bytes, algorithm: Algorithm) -> None:
        """Replace 9B. Needs `authenticate_management` before. ValueError if lengths do not fit."""
        if algorithm is Algorithm.ECC_P256 or len(key) != algorithm.key_bytes:
            raise ValueError(f"{len(key)} bytes are no key of {algorithm.name}")
        data = bytes([algorithm]) + tlv.encode(Reference.MANAGEMENT_KEY, key)
        command = Command(VendorIns.SET_MANAGEMENT_KEY, 0xFF, 0xFF, data, answer_bytes=None)
        client.send("setting the management key", command)

    def set_attempts(self, client: PivClient, pin_attempts: int, puk_attempts: int) -> None:
        """Set the limits of wrong PINs and PUKs. Needs 9B and PIN; both fall back to factory."""
        if not (0 < pin_attempts <= _ATTEMPTS_MAX and 0 < puk_attempts <= _ATTEMPTS_MAX):
            raise ValueError(f"attempts lie between 1 and {_ATTEMPTS_MAX}")
        command = Command(VendorIns.SET_ATTEMPTS, pin_attempts, puk_attempts, answer_bytes=None)
        client.send("setting the attempts", command)

    def import_key(
        self, card: PivClient, slot: Slot, scalar: bytes, policy: KeyPolicy | None = None
    ) -> None:
        """Put a P-256 private number (32 bytes) in a slot. Needs 9B."""
        if len(scalar) != Algorithm.ECC_P256.key_bytes:
            raise ValueError(f"a P-256 private number has 32 bytes, not {len(scalar)}")
        data = tlv.encode(_SCALAR_TAG, scalar) + _policy(policy)
        command = Command(VendorIns.IMPORT_KEY, Algorithm.ECC_P256, slot, data, answer_bytes=None)
        card.send(f"importing a key into slot {slot:X}", command)

    def factory_reset(self, client: PivClient) -> None:
        """Make the card as fresh from the factory. Works only when PIN and PUK are blocked."""
        command = Command(VendorIns.FACTORY_RESET, answer_bytes=None)
        client.send("resetting to factory state", command)


def _policy(policy: KeyPolicy | None) -> bytes:
    data = b""
    if policy is not None and policy.pin is not PinPolicy.OWN:
        data += tlv.encode(_PIN_POLICY_TAG, bytes([policy.pin]))
    if policy is not None and policy.touch is not TouchPolicy.OWN:
        data += tlv.encode(_TOUCH_POLICY_TAG, bytes([policy.touch]))
    return data


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
