"""What a software card remembers without power, and its file form.

The file is JSON: {"format": "spk-software-card", "version": 1, "sha256": …, "state": {…}}, bytes in
Base64. The digest is over the state's bytes as they stand in the file, so damage is told from
meaning. It holds private keys in the clear: a software card is for trial, tests and load.
"""

from __future__ import annotations

import hashlib
import os
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from card_personalization.chip.ecdsa_signature import P256_ORDER
from card_personalization.chip.piv.objects import PIN_BYTES, Algorithm, Slot

FILE_FORMAT: Final = "spk-software-card"
FILE_VERSION: Final = 1
FILE_LIMIT_BYTES: Final = 262_144

# What software cards leave the factory with: the values that bought cards are known for.
FACTORY_PIN: Final = b"123456\xff\xff"
FACTORY_PUK: Final = b"12345678"
FACTORY_MANAGEMENT_KEY: Final = bytes.fromhex("0102030405060708" * 3)
FACTORY_ATTEMPTS: Final = 3
ATTEMPTS_MAX: Final = 255
OBJECT_LIMIT_BYTES: Final = 3_052
MEMORY_LIMIT_BYTES: Final = 51_200
KEY_COST_BYTES: Final = 128
DEFINITION_COST_BYTES: Final = 64
# The keys that Java cards are sold with, and the version number that marks them as such.
FACTORY_CHANNEL_KEY: Final = bytes(range(0x40, 0x50))
FACTORY_CHANNEL_VERSION: Final = 0xFF
CHANNEL_KEY_BYTES: Final = (16, 24, 32)


class Profile(StrEnum):
    """How the software card behaves.

    YUBICO adds the vendor commands of that family (5.7). GENERIC knows NIST's commands only. STRICT
    is generic, and over the contactless interface allows neither PIN nor any object that NIST keeps
    to contacts. OPENFIPS201 is that applet (1.10) on a Java card with GlobalPlatform's SCP03.
    """

    YUBICO = "yubico"
    GENERIC = "generic"
    STRICT = "strict"
    OPENFIPS201 = "openfips201"

    @property
    def nist_only(self) -> bool:
        """Whether the card knows no commands beyond NIST's."""
        return self in (Profile.GENERIC, Profile.STRICT)


class PinPolicy(IntEnum):
    """When a key wants the PIN; numbers as the Yubico family tells them."""

    NEVER = 1
    ONCE = 2
    ALWAYS = 3


class Origin(IntEnum):
    """Where a key came from; numbers as the Yubico family tells them."""

    GENERATED = 1
    IMPORTED = 2


# SP 800-73-5 part 1 table 4b: 9A and 9D once a session, 9C each time, 9E never.
DEFAULT_PIN_POLICY: Final[dict[int, PinPolicy]] = {
    Slot.AUTHENTICATION: PinPolicy.ONCE,
    Slot.SIGNATURE: PinPolicy.ALWAYS,
    Slot.KEY_MANAGEMENT: PinPolicy.ONCE,
    Slot.CARD_AUTHENTICATION: PinPolicy.NEVER,
}


class Secret(msgspec.Struct, frozen=True):
    """A PIN or PUK of 8 bytes with its attempts."""

    value: bytes
    attempts_total: int = FACTORY_ATTEMPTS
    attempts_remaining: int = FACTORY_ATTEMPTS

    @property
    def blocked(self) -> bool:
        """Whether no attempt is left."""
        return self.attempts_remaining == 0

    def one_less(self) -> Secret:
        """After an attempt that may fail."""
        return msgspec.structs.replace(self, attempts_remaining=max(0, self.attempts_remaining - 1))

    def restored(self) -> Secret:
        """After a success."""
        return msgspec.structs.replace(self, attempts_remaining=self.attempts_total)

    def changed(self, value: bytes) -> Secret:
        """With a new value and all attempts."""
        return msgspec.structs.replace(self, value=value, attempts_remaining=self.attempts_total)


class TouchPolicy(IntEnum):
    """Whether a key wants its chip touched; numbers as the Yubico family tells them.

    A software card counts as touched always.
    """

    NEVER = 1
    ALWAYS = 2
    CACHED = 3


class PrivateKey(msgspec.Struct, frozen=True):
    """A P-256 private number (32 bytes) and how it may be used."""

    scalar: bytes
    pin_policy: PinPolicy
    origin: Origin
    touch_policy: TouchPolicy = TouchPolicy.NEVER


class KeySet(msgspec.Struct, frozen=True):
    """The static SCP03 keys of a security domain, by GlobalPlatform's names."""

    version: int
    enc: bytes
    mac: bytes
    dek: bytes


class Definition(msgspec.Struct, frozen=True):
    """What PUT DATA ADMIN of OpenFIPS201 defines of a key or an object: access mode by interface.

    Keys have a role and attributes too. Modes: 00 never, 01 PIN, 02 PIN each time, 7F always.
    """

    contact: int
    contactless: int
    role: int = 0
    attributes: int = 0


def factory_policy() -> dict[str, int]:
    """The configuration that the applet is installed with, by our names of its fields."""
    return {
        "pin_contact_attempts": 6,
        "pin_contactless_attempts": 5,
        "puk_contact_attempts": 5,
        "puk_contactless_attempts": 4,
        "pin_contactless": 0,
        "puk_contactless": 0,
        "contactless_admin_refused": 0,
    }


class Platform(msgspec.Struct, frozen=True):
    """The Java card under OpenFIPS201: its channel keys and what the applet was configured to.

    `keys` holds definitions by key reference × 256 + mechanism, `objects` by tag. `initialized`
    counts INITIALIZE UPDATE, `failures` wrong cryptograms since the last right one.
    """

    key_set: KeySet
    initialized: int = 0
    failures: int = 0
    keys: dict[int, Definition] = {}
    objects: dict[int, Definition] = {}
    policy: dict[str, int] = msgspec.field(default_factory=factory_policy)


class CardState(msgspec.Struct, frozen=True):
    """All that survives loss of power. `keys` and `objects` are by key reference and tag."""

    profile: Profile
    serial: int
    pin: Secret = Secret(FACTORY_PIN)
    puk: Secret = Secret(FACTORY_PUK)
    management_key: bytes = FACTORY_MANAGEMENT_KEY
    management_algorithm: Algorithm = Algorithm.AES_192
    keys: dict[int, PrivateKey] = {}
    objects: dict[int, bytes] = {}
    memory_bytes: int = MEMORY_LIMIT_BYTES
    platform: Platform | None = None

    @property
    def free_bytes(self) -> int:
        """Room left for objects, keys and definitions."""
        taken = sum(len(value) for value in self.objects.values())
        taken += len(self.keys) * KEY_COST_BYTES
        if self.platform is not None:
            defined = len(self.platform.keys) + len(self.platform.objects)
            taken += defined * DEFINITION_COST_BYTES
        return self.memory_bytes - taken


class CardFile(msgspec.Struct, frozen=True):
    """The envelope of a card's file."""

    format: str
    version: int
    sha256: str
    state: msgspec.Raw


class CardFileDamaged(ValueError):
    """A card's file cannot be read back. `reason` says what is wrong with it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the software card's file is damaged: {reason}")


def factory_state(
    profile: Profile = Profile.YUBICO,
    serial: int | None = None,
    memory_bytes: int = MEMORY_LIMIT_BYTES,
) -> CardState:
    """A fresh card with factory PIN, PUK and management key; serial random unless given.

    OpenFIPS201 comes with random PIN and PUK, without a management key, and with the channel keys
    that Java cards are sold with.
    """
    drawn = int.from_bytes(os.urandom(3), "big") if serial is None else serial
    if profile is not Profile.OPENFIPS201:
        return CardState(profile=profile, serial=drawn, memory_bytes=memory_bytes)
    policy = factory_policy()
    pin_attempts, puk_attempts = policy["pin_contact_attempts"], policy["puk_contact_attempts"]
    key = FACTORY_CHANNEL_KEY
    return CardState(
        profile=profile,
        serial=drawn,
        pin=Secret(os.urandom(PIN_BYTES), pin_attempts, pin_attempts),
        puk=Secret(os.urandom(PIN_BYTES), puk_attempts, puk_attempts),
        management_key=b"",
        memory_bytes=memory_bytes,
        platform=Platform(KeySet(FACTORY_CHANNEL_VERSION, key, key, key), policy=policy),
    )


def encode_state(state: CardState) -> bytes:
    """The bytes of a card's file."""
    body = msgspec.json.encode(state)
    digest = hashlib.sha256(body).hexdigest()
    return msgspec.json.encode(CardFile(FILE_FORMAT, FILE_VERSION, digest, msgspec.Raw(body)))


def decode_state(file: bytes) -> CardState:
    """A card's state from its file. CardFileDamaged saying what is wrong."""
    if len(file) > FILE_LIMIT_BYTES:
        raise CardFileDamaged(f"{len(file)} bytes, at most {FILE_LIMIT_BYTES} expected")
    try:
        envelope = msgspec.json.decode(file, type=CardFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CardFileDamaged(str(error)) from None
    if envelope.format != FILE_FORMAT:
        raise CardFileDamaged(f"format {envelope.format!r}, expected {FILE_FORMAT!r}")
    if envelope.version != FILE_VERSION:
        raise CardFileDamaged(
            f"version {envelope.version}, this program reads {FILE_VERSION}: use the newer program"
        )
    body = bytes(envelope.state)
    if hashlib.sha256(body).hexdigest() != envelope.sha256:
        raise CardFileDamaged("its SHA-256 does not match")
    try:
        state = msgspec.json.decode(body, type=CardState)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CardFileDamaged(str(error)) from None
    _check(state)
    return state


def _check(state: CardState) -> None:
    """Refuse values that the card itself could never have reached."""
    for name, secret in (("PIN", state.pin), ("PUK", state.puk)):
        fits = 0 <= secret.attempts_remaining <= secret.attempts_total <= ATTEMPTS_MAX
        if len(secret.value) != PIN_BYTES or not fits:
            raise CardFileDamaged(f"{name} or its attempts are out of range")
    _check_administration(state)
    for slot, key in state.keys.items():
        number = int.from_bytes(key.scalar, "big")
        if len(key.scalar) != Algorithm.ECC_P256.key_bytes or not 0 < number < P256_ORDER:
            raise CardFileDamaged(f"the private key of slot {slot:X} is no P-256 number")


def _check_administration(state: CardState) -> None:
    algorithm, platform = state.management_algorithm, state.platform
    if (platform is not None) != (state.profile is Profile.OPENFIPS201):
        raise CardFileDamaged("a card of its profile has no such platform")
    absent = platform is not None and not state.management_key
    fits = algorithm is not Algorithm.ECC_P256 and len(state.management_key) == algorithm.key_bytes
    if not absent and not fits:
        raise CardFileDamaged("management key and its algorithm do not fit")
    if platform is not None:
        lengths = {len(platform.key_set.enc), len(platform.key_set.mac), len(platform.key_set.dek)}
        if len(lengths) != 1 or not lengths <= set(CHANNEL_KEY_BYTES):
            raise CardFileDamaged("the secure-channel keys are no AES keys of one length")
