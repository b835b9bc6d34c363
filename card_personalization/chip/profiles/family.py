"""What each card family's driver offers: one contract, told apart by asking the card.

A card is written in this order, each call a few APDUs; a card cut off anywhere is recognised by
`inspect` and written again from the start, or is finished already:

    identify → inspect → open → check_space → prepare → make_key or import_key, attest
      → write_object → set_codes → lock → inspect
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Protocol

import msgspec

from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import ManagementHost
from card_personalization.chip.piv.objects import Algorithm, Slot
from card_personalization.chip.profiles.attestation import Attestation
from card_personalization.chip.scp03 import ChannelKeys


class FactoryKey(msgspec.Struct, frozen=True):
    """The management key a card comes with."""

    key: bytes
    algorithm: Algorithm


class PinPolicy(IntEnum):
    """When a key wants the PIN. OWN is what NIST says of the slot."""

    OWN = 0
    NEVER = 1
    ONCE = 2
    ALWAYS = 3


class TouchPolicy(IntEnum):
    """Whether a key wants the chip touched. OWN is the family's default: never."""

    OWN = 0
    NEVER = 1
    ALWAYS = 2
    CACHED = 3


class KeyPolicy(msgspec.Struct, frozen=True):
    """How a key may be used. CardError(NOT_SUPPORTED) from families that cannot."""

    pin: PinPolicy = PinPolicy.OWN
    touch: TouchPolicy = TouchPolicy.OWN


class Access(msgspec.Struct, frozen=True):
    """What opens a card: 9B's holder, secure-channel keys, PIN and PUK, as far as there are any."""

    management: ManagementHost | None = None
    channel: ChannelKeys | None = None
    pin: str | None = None
    puk: str | None = None


class Codes(msgspec.Struct, frozen=True):
    """PIN and PUK to be set, and how many wrong ones the card takes; None leaves the family's."""

    pin: str
    puk: str
    pin_attempts: int | None = None
    puk_attempts: int | None = None


class LockKeys(msgspec.Struct, frozen=True):
    """The card's own 9B, and its own secure-channel keys where the family has a channel."""

    management_key: bytes
    algorithm: Algorithm
    channel: ChannelKeys | None = None


class CardIdentity(msgspec.Struct, frozen=True):
    """What a card tells of itself before any key is proven; None where it tells nothing.

    `production` is the CPLC (42 bytes) of GlobalPlatform cards, `free_bytes` their free memory.
    """

    family: str
    version: tuple[int, ...] | None = None
    serial: int | None = None
    production: bytes | None = None
    free_bytes: int | None = None
    contactless: bool | None = None


class Administration(StrEnum):
    """Whose keys the card takes."""

    FACTORY = "factory"
    OURS = "ours"
    FOREIGN = "foreign"


class CodeState(StrEnum):
    """What is known of a PIN or PUK."""

    FACTORY = "factory"
    CHANGED = "changed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class Condition(StrEnum):
    """How far the writing of a card came."""

    BLANK = "blank"
    BEGUN = "begun"
    FINISHED = "finished"
    FOREIGN = "foreign"


class Findings(msgspec.Struct, frozen=True):
    """What is on a card. `keys` says per slot whether it holds a key; None where none can tell."""

    administration: Administration
    guid: bytes | None
    objects: frozenset[int]
    keys: Mapping[Slot, bool | None]
    pin: CodeState
    puk: CodeState
    prepared: bool = False

    @property
    def condition(self) -> Condition:
        """BLANK has nothing of ours, BEGUN something, FINISHED takes our keys only."""
        match self.administration:
            case Administration.OURS:
                return Condition.FINISHED
            case Administration.FOREIGN:
                return Condition.FOREIGN
            case Administration.FACTORY:
                written = bool(self.objects) or True in self.keys.values() or self.prepared
                changed = CodeState.CHANGED in (self.pin, self.puk)
                return Condition.BEGUN if written or changed else Condition.BLANK


class CardFamily(Protocol):
    """One family's driver, without a state of its own. The card is selected before any call.

    Methods raise CardError: NOT_SUPPORTED for what the family lacks, and the classes of UnfitCard.
    """

    @property
    def name(self) -> str:
        """The family's name, as it goes into the issue report."""

    @property
    def factory_key(self) -> FactoryKey | None:
        """The well-known 9B of fresh cards; None when each order has its own, or none."""

    @property
    def keeps_factory_key(self) -> bool:
        """Whether 9B stays as the maker set it: no command replaces it."""

    @property
    def has_channel(self) -> bool:
        """Whether the card is administered through a secure channel, with keys to be replaced."""

    @property
    def attests(self) -> bool:
        """Whether the card can prove that it made a key itself."""

    def factory_access(self, key: FactoryKey | None = None) -> Access:
        """What opens a fresh card; `key` replaces the family's 9B by that of the lot."""

    def identify(self, card: PivClient) -> CardIdentity:
        """Version, serial and the like, without any key. The PIV application stays selected."""

    def inspect(self, card: PivClient, factory: Access, own: Access | None = None) -> Findings:
        """What is on the card; needs no session and may leave one open.

        A factory PIN is tried only on a card that takes the factory's key, while attempts remain.
        """

    def open(self, card: PivClient, access: Access) -> None:
        """Open the card's administration. WrongFactoryKey, ContactsNeeded; ChannelError."""

    def check_space(
        self, card: PivClient, identity: CardIdentity, sizes: Mapping[int, int]
    ) -> None:
        """CardTooSmall unless objects of these sizes (bytes by tag) fit. After `open`."""

    def prepare(self, card: PivClient) -> None:
        """Define keys and objects where the family wants that. After `open`; harmless twice."""

    def make_key(self, card: PivClient, slot: Slot, policy: KeyPolicy | None = None) -> bytes:
        """Have the card make a P-256 key; its public point, 65 bytes. After `open`."""

    def import_key(
        self, card: PivClient, slot: Slot, scalar: bytes, policy: KeyPolicy | None = None
    ) -> None:
        """Put a P-256 private number (32 bytes) in a slot. After `open`."""

    def attest(self, card: PivClient, slot: Slot) -> Attestation:
        """The card's proof that it made the key itself; check it with `verify_attestation`."""

    def write_object(self, card: PivClient, tag: int, content: bytes) -> None:
        """Write one object. CardTooSmall if it does not fit. After `open`."""

    def set_codes(self, card: PivClient, factory: Access, codes: Codes) -> None:
        """Set PIN, PUK and attempts. After `open`; may be repeated with the same codes."""

    def lock(self, card: PivClient, factory: Access, keys: LockKeys) -> None:
        """Replace the factory's keys, as the last change: then only ours open the card."""

    def set_management_key(self, client: PivClient, key: bytes, algorithm: Algorithm) -> None:
        """Replace 9B alone. After `open`."""

    def set_attempts(self, client: PivClient, pin_attempts: int, puk_attempts: int) -> None:
        """Set the limits of wrong PINs and PUKs alone. After `open`."""

    def serial(self, client: PivClient) -> int | None:
        """The chip's serial number, or None where the family has none."""
