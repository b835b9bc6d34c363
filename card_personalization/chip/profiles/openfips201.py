"""OpenFIPS201, the free PIV applet for Java cards (github.com/makinako/OpenFIPS201, 1.10).

Its administration goes through GlobalPlatform's secure channel (SCP03) with the keys of the card's
security domain. Keys and objects are defined first (PUT DATA ADMIN); PIN, PUK, 9B and imported
keys are set with CHANGE REFERENCE DATA and an administrative P1; the channel's own keys are
replaced last (PUT KEY of the security domain), which locks the card.

The applet sends its answers unprotected, so the channel protects commands only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

import msgspec

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Ins, Sw
from card_personalization.chip.ecdsa_signature import public_point
from card_personalization.chip.errors import (
    CardError,
    CardFault,
    CardTooSmall,
    ChannelError,
    ContactsNeeded,
    MalformedAnswer,
    StatusError,
    WrongFactoryKey,
)
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import (
    Algorithm,
    ContainerTag,
    Reference,
    Slot,
    Tag,
    pin_block,
    puk_block,
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
)
from card_personalization.chip.scp03 import (
    ENCRYPTED_COMMANDS,
    GP_CLA,
    ChannelKeys,
    encrypt_with_dek,
    key_check_value,
    open_secure_channel,
)

SECURITY_DOMAIN_AID: Final = bytes.fromhex("A000000151000000")
LABEL: Final = b"OpenFIPS201"
# The keys that Java cards are sold with; whoever leaves them leaves the card open to anyone.
_FACTORY_CHANNEL_KEY: Final = bytes(range(0x40, 0x50))
_FACTORY_VERSION: Final = 0xFF
ATTEMPTS_MAX: Final = 15
# A bulk of definitions has to fit into one protected APDU of 239 bytes.
_BULK_BYTES: Final = 230
# Per definition, as a Java card keeps it; more than any card was seen to take.
DEFINITION_COST_BYTES: Final = 64
KEY_COST_BYTES: Final = 256

_ADMINISTRATIVE: Final = 0xFF
_PUT_KEY: Final = 0xD8
_AES_KEY: Final = 0x88
_SEVERAL_KEYS_FROM_1: Final = 0x81
_OBJECT_EXISTS: Final = 0x6E27
_ELEMENTS: Final = 0x30
_SYMMETRIC_KEY, _POINT, _SECRET = 0x80, 0x86, 0x87
_VERSION_OBJECT, _STATUS_OBJECT = 0x2F4756, 0x2F4753
_CONTACTLESS_TAG: Final = 0x86


class AdminTag(IntEnum):
    """Requests of PUT DATA ADMIN and their fields (OpenFIPS201, doc/asn1)."""

    CREATE_OBJECT = 0x64
    CREATE_KEY = 0x66
    CONFIGURE = 0x68
    BULK = 0x6A
    ID = 0x8B
    MODE_CONTACT = 0x8C
    MODE_CONTACTLESS = 0x8D
    MECHANISM = 0x8E
    ROLE = 0x8F
    ATTRIBUTE = 0x90
    PIN_POLICY = 0xA0
    PUK_POLICY = 0xA1


class Mode(IntEnum):
    """When an object may be read or a key used."""

    NEVER = 0x00
    PIN = 0x01
    PIN_EACH_TIME = 0x02
    ALWAYS = 0x7F


class Role(IntEnum):
    """What a key is for."""

    AUTHENTICATE = 0x01
    ESTABLISH_KEYS = 0x02
    SIGN = 0x04


class Attribute(IntEnum):
    """What else may be done with a key."""

    NONE = 0x00
    MUTUAL = 0x08
    IMPORTABLE = 0x10


class KeyDefinition(msgspec.Struct, frozen=True):
    """A key to be defined: reference, mechanism, modes by interface, role, attributes."""

    reference: int
    mechanism: Algorithm
    contact: Mode
    contactless: Mode
    role: Role
    attributes: int

    def encode(self) -> bytes:
        """The request that defines it."""
        fields = {
            AdminTag.ID: self.reference,
            AdminTag.MODE_CONTACT: self.contact,
            AdminTag.MODE_CONTACTLESS: self.contactless,
            AdminTag.MECHANISM: self.mechanism,
            AdminTag.ROLE: self.role,
            AdminTag.ATTRIBUTE: self.attributes,
        }
        body = b"".join(tlv.encode(tag, bytes([value])) for tag, value in fields.items())
        return tlv.encode(AdminTag.CREATE_KEY, body)


class ObjectDefinition(msgspec.Struct, frozen=True):
    """An object to be defined: tag, and when it may be read by interface."""

    tag: int
    contact: Mode
    contactless: Mode

    def encode(self) -> bytes:
        """The request that defines it."""
        identifier = self.tag.to_bytes((self.tag.bit_length() + 7) // 8, "big")
        body = (
            tlv.encode(AdminTag.ID, identifier)
            + tlv.encode(AdminTag.MODE_CONTACT, bytes([self.contact]))
            + tlv.encode(AdminTag.MODE_CONTACTLESS, bytes([self.contactless]))
        )
        return tlv.encode(AdminTag.CREATE_OBJECT, body)


def key_definitions(*, importable: bool = False) -> tuple[KeyDefinition, ...]:
    """The keys of a social card. 9A comes first: by it a card whose defining broke off is known."""
    own = Attribute.IMPORTABLE if importable else Attribute.NONE
    elliptic = Algorithm.ECC_P256
    always, pin, never = Mode.ALWAYS, Mode.PIN, Mode.NEVER
    management = Attribute.MUTUAL | Attribute.IMPORTABLE
    asymmetric = (
        KeyDefinition(Slot.AUTHENTICATION, elliptic, pin, never, Role.SIGN, own),
        KeyDefinition(Slot.CARD_AUTHENTICATION, elliptic, always, always, Role.SIGN, own),
    )
    symmetric = tuple(
        KeyDefinition(
            Reference.MANAGEMENT_KEY, algorithm, always, never, Role.AUTHENTICATE, management
        )
        for algorithm in (Algorithm.AES_192, Algorithm.AES_256)
    )
    return asymmetric + symmetric


def object_definitions() -> tuple[ObjectDefinition, ...]:
    """The objects of a social card. The passport keeps to contacts: it tells of categories."""
    freely = (Tag.CHUID, Tag.CERTIFICATE_9E, Tag.DISCOVERY)
    contacts = (Tag.CERTIFICATE_9A, Tag.CAPABILITY, Tag.SECURITY, Tag.RETIRED_1)
    return (
        *(ObjectDefinition(tag, Mode.ALWAYS, Mode.ALWAYS) for tag in freely),
        *(ObjectDefinition(tag, Mode.ALWAYS, Mode.NEVER) for tag in contacts),
    )


class OpenFips201Family(msgspec.Struct, frozen=True):
    """The family that tells the version object GV.

    A fresh applet has random PIN and PUK, no 9B, and no key or object at all. `importable` defines
    keys that a station puts in, rather than keys that the card makes.
    """

    name: str = "openfips201"
    factory_key: FactoryKey | None = None
    importable: bool = False
    keeps_factory_key: bool = False
    has_channel: bool = True
    attests: bool = False

    def factory_access(self, key: FactoryKey | None = None) -> Access:
        """The channel keys that Java cards are sold with, or the lot's one key for all three."""
        value = _FACTORY_CHANNEL_KEY if key is None else key.key
        return Access(channel=ChannelKeys(value, value, value))

    def version(self, card: PivClient) -> tuple[int, int, int]:
        """Version of the applet, such as (1, 10, 2). StatusError from other cards."""
        told = self._extended(card, _VERSION_OBJECT)
        numbers = b"".join(told.get(tag, b"") for tag in (0x81, 0x82, 0x83))
        if told.get(0x80) != LABEL or len(numbers) != 3:
            raise StatusError(CardFault.NOT_FOUND, Sw.NOT_FOUND, what="the version of OpenFIPS201")
        return numbers[0], numbers[1], numbers[2]

    def _extended(self, card: PivClient, tag: int) -> dict[int, bytes]:
        data = tlv.encode(ContainerTag.TAG_LIST, tag.to_bytes(3, "big"))
        what = f"object {tag:X} of OpenFIPS201"
        answer = card.send(what, Command(Ins.GET_DATA, 0x3F, 0x00, data))
        try:
            items = tlv.parse(tlv.unwrap(answer.data, ContainerTag.OBJECT))
        except tlv.TlvError as error:
            raise MalformedAnswer(f"{what}: {error}") from None
        return {item.tag: item.value for item in items}

    def identify(self, card: PivClient) -> CardIdentity:
        """Version and interface of the applet, production data and free memory of the card."""
        version = self.version(card)
        contactless = self._extended(card, _STATUS_OBJECT).get(_CONTACTLESS_TAG) != b"\x00"
        production, free_bytes = probing.platform_data(card)
        serial = None if production is None else int.from_bytes(production[12:16], "big")
        return CardIdentity(self.name, version, serial, production, free_bytes, contactless)

    def serial(self, client: PivClient) -> int | None:
        """The chip's serial number out of its production data."""
        return self.identify(client).serial

    def inspect(self, card: PivClient, factory: Access, own: Access | None = None) -> Findings:
        """What is on the card. The channel's keys tell whose it is: they are replaced last.

        Whether 9A holds a key shows only after the PIN, so it is None once 9A is defined.
        """
        administration = Administration.FOREIGN
        if own is not None and _takes_channel(card, own.channel):
            administration = Administration.OURS
        elif _takes_channel(card, factory.channel):
            administration = Administration.FACTORY
        card.select()
        pin_key = probing.key_status(card, Slot.AUTHENTICATION)
        tap_key = probing.key_status(card, Slot.CARD_AUTHENTICATION)
        defined = pin_key != Sw.WRONG_P1_P2
        return Findings(
            administration=administration,
            guid=probing.guid_on(card),
            objects=probing.objects_on(card),
            keys={
                Slot.CARD_AUTHENTICATION: tap_key == Sw.OK,
                Slot.AUTHENTICATION: None if defined else False,
            },
            pin=CodeState.BLOCKED if _pin_blocked(card) else CodeState.UNKNOWN,
            puk=CodeState.UNKNOWN,
            prepared=defined,
        )

    def open(self, card: PivClient, access: Access) -> None:
        """Open the secure channel; it lasts until the next `select`.

        WrongFactoryKey, ContactsNeeded; ChannelError for other reasons.
        """
        if access.channel is None:
            raise WrongFactoryKey("SCP03")
        try:
            card.channel = open_secure_channel(card.go_plain(), access.channel)
        except ChannelError as error:
            if error.fault in (CardFault.CHANNEL_KEYS_WRONG, CardFault.CHANNEL_VERSION_ABSENT):
                raise WrongFactoryKey("SCP03") from None
            refused = error.facts.get("sw") == f"{Sw.SECURITY_STATUS_NOT_SATISFIED:04X}"
            if refused and self._extended(card, _STATUS_OBJECT).get(_CONTACTLESS_TAG) == b"\x01":
                raise ContactsNeeded("SCP03") from None
            raise

    def check_space(
        self, card: PivClient, identity: CardIdentity, sizes: Mapping[int, int]
    ) -> None:
        """Compare with the card's free memory, definitions and keys counted in."""
        if identity.free_bytes is None:
            return
        keys, objects = key_definitions(), object_definitions()
        needed = sum(sizes.values()) + len(keys) * KEY_COST_BYTES
        needed += (len(keys) + len(objects)) * DEFINITION_COST_BYTES
        if needed > identity.free_bytes:
            raise CardTooSmall(needed, identity.free_bytes)

    def prepare(self, card: PivClient) -> None:
        """Define keys and objects; what is defined already stays as it is."""
        keys = key_definitions(importable=self.importable)
        self.define(card, (*(key.encode() for key in keys),))
        self.define(card, (*(each.encode() for each in object_definitions()),))

    def define(self, card: PivClient, requests: Iterable[bytes]) -> None:
        """Send definitions in bulk, or one by one where some are there already."""
        for bulk in _bulks(requests):
            answer = self._administer(card, tlv.encode(AdminTag.BULK, b"".join(bulk)))
            if answer == Sw.OK:
                continue
            if answer != _OBJECT_EXISTS:
                self._refuse(answer, "defining keys and objects")
            for request in bulk:
                answer = self._administer(card, request)
                if answer not in (Sw.OK, _OBJECT_EXISTS):
                    self._refuse(answer, "defining a key or an object")

    def _administer(self, card: PivClient, data: bytes) -> int:
        command = Command(Ins.PUT_DATA, 0x3F, 0x00, data, answer_bytes=None)
        return card.channel.send(command).sw

    def _refuse(self, sw: int, what: str) -> None:
        if sw == Sw.NO_SPACE:
            raise CardTooSmall(DEFINITION_COST_BYTES, None)
        if sw == Sw.SECURITY_STATUS_NOT_SATISFIED:
            raise ChannelError(CardFault.CHANNEL_ENDED, sw=f"{sw:04X}")
        raise StatusError(CardFault.STATUS, sw, what=what, name="OpenFIPS201, PUT DATA ADMIN")

    def make_key(self, card: PivClient, slot: Slot, policy: KeyPolicy | None = None) -> bytes:
        """Have the card make a key in a defined slot; its policy is that of the definition."""
        _require_own_policy(policy)
        return card.generate_key(slot)

    def import_key(
        self, card: PivClient, slot: Slot, scalar: bytes, policy: KeyPolicy | None = None
    ) -> None:
        """Put point and secret of a key in a slot defined as importable."""
        _require_own_policy(policy)
        point = public_point(scalar)
        what = f"importing a key into slot {slot:X}"
        for tag, value in ((_POINT, point), (_SECRET, scalar)):
            data = tlv.encode(_ELEMENTS, tlv.encode(tag, value))
            self._change(card, what, Algorithm.ECC_P256, slot, data)

    def _change(self, card: PivClient, what: str, p1: int, reference: int, data: bytes) -> None:
        command = Command(Ins.CHANGE_REFERENCE_DATA, p1, reference, data, answer_bytes=None)
        card.send(what, command)

    def attest(self, _card: PivClient, _slot: Slot) -> Attestation:
        """Always CardError(NOT_SUPPORTED): trust rests on who loaded the applet."""
        raise CardError(CardFault.NOT_SUPPORTED, what="attestation")

    def write_object(self, card: PivClient, tag: int, content: bytes) -> None:
        """Write one defined object after `open`."""
        probing.write_object(card, tag, content)

    def set_codes(self, card: PivClient, factory: Access, codes: Codes) -> None:
        """Set attempts, PIN and PUK, whatever they were. Attempts count from the next select."""
        if codes.pin_attempts is not None and codes.puk_attempts is not None:
            self.set_attempts(card, codes.pin_attempts, codes.puk_attempts)
        pin, puk = pin_block(codes.pin), puk_block(codes.puk)
        self._change(card, "setting the PUK", _ADMINISTRATIVE, Reference.PUK, puk)
        self._change(card, "setting the PIN", _ADMINISTRATIVE, Reference.PIN, pin)

    def set_attempts(self, client: PivClient, pin_attempts: int, puk_attempts: int) -> None:
        """Set the limits of wrong PINs and PUKs, 1 to 15, the same on both interfaces."""
        if not (0 < pin_attempts <= ATTEMPTS_MAX and 0 < puk_attempts <= ATTEMPTS_MAX):
            raise ValueError(f"attempts lie between 1 and {ATTEMPTS_MAX}")
        policies = {
            AdminTag.PIN_POLICY: {0x86: pin_attempts, 0x87: pin_attempts},
            AdminTag.PUK_POLICY: {0x83: puk_attempts, 0x84: puk_attempts},
        }
        body = b"".join(
            tlv.encode(group, b"".join(tlv.encode(tag, bytes([n])) for tag, n in fields.items()))
            for group, fields in policies.items()
        )
        answer = self._administer(client, tlv.encode(AdminTag.CONFIGURE, body))
        if answer != Sw.OK:
            self._refuse(answer, "setting the attempts")

    def set_management_key(self, client: PivClient, key: bytes, algorithm: Algorithm) -> None:
        """Set 9B, which has to be defined for this algorithm. ValueError if lengths do not fit."""
        if algorithm is Algorithm.ECC_P256 or len(key) != algorithm.key_bytes:
            raise ValueError(f"{len(key)} bytes are no key of {algorithm.name}")
        data = tlv.encode(_ELEMENTS, tlv.encode(_SYMMETRIC_KEY, key))
        what = "setting the management key"
        self._change(client, what, algorithm, Reference.MANAGEMENT_KEY, data)

    def lock(self, card: PivClient, factory: Access, keys: LockKeys) -> None:
        """Set 9B, then replace the factory's channel keys. CardError(NOT_SUPPORTED) without them.

        Leaves PIV selected and no channel open.
        """
        if keys.channel is None:
            what = "locking a Java card without secure-channel keys of its own"
            raise CardError(CardFault.NOT_SUPPORTED, what=what)
        self.set_management_key(card, keys.management_key, keys.algorithm)
        self.replace_channel_keys(card, factory.channel, keys.channel)

    def replace_channel_keys(
        self, card: PivClient, held: ChannelKeys | None, wanted: ChannelKeys
    ) -> None:
        """Replace the security domain's keys (PUT KEY), and open a channel with the new ones.

        ChannelError; MalformedAnswer if the card's check values are not those of the keys sent.
        """
        if held is None:
            raise WrongFactoryKey("SCP03")
        plain = card.go_plain()
        plain.send(Command(Ins.SELECT, 0x04, 0x00, SECURITY_DOMAIN_AID))
        channel = open_secure_channel(plain, held, ENCRYPTED_COMMANDS)
        version = wanted.version or 1
        replaced = 0 if channel.key_version == _FACTORY_VERSION else channel.key_version
        data, expected = bytes([version]), bytes([version])
        for key in (wanted.enc, wanted.mac, wanted.dek):
            enciphered = encrypt_with_dek(held, key)
            check = key_check_value(key)
            data += tlv.encode(_AES_KEY, bytes([len(key)]) + enciphered)
            data += bytes([len(check)]) + check
            expected += check
        command = Command(_PUT_KEY, replaced, _SEVERAL_KEYS_FROM_1, data, cla=GP_CLA)
        answer = channel.send(command)
        if not answer.ok:
            raise StatusError(
                CardFault.STATUS, answer.sw, what="replacing the channel's keys", name="PUT KEY"
            )
        if answer.data != expected:
            raise MalformedAnswer("the check values of the new channel keys differ")
        open_secure_channel(plain, wanted)
        card.select()


def _bulks(requests: Iterable[bytes]) -> Iterable[list[bytes]]:
    bulk: list[bytes] = []
    for request in requests:
        if sum(map(len, bulk)) + len(request) > _BULK_BYTES:
            yield bulk
            bulk = []
        bulk.append(request)
    if bulk:
        yield bulk


def _require_own_policy(policy: KeyPolicy | None) -> None:
    if policy not in (None, KeyPolicy()):
        what = "policies per key: they belong to the key's definition"
        raise CardError(CardFault.NOT_SUPPORTED, what=what)


def _takes_channel(card: PivClient, keys: ChannelKeys | None) -> bool:
    if keys is None:
        return False
    try:
        open_secure_channel(card.go_plain(), keys)
    except ChannelError:
        return False
    return True


def _pin_blocked(card: PivClient) -> bool:
    try:
        return card.pin_attempts_remaining() == 0
    except StatusError:
        return False
