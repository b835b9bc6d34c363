"""Writing one card: what goes onto it, in which order, and how it is checked afterwards.

Each function is a few of the `steps` and talks to the card through its family's driver. A card
whose writing broke off before `finish` is written again from `load`, which repeats everything
harmlessly; `finish` may be repeated with the same codes; `verify` only reads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol
from uuid import UUID

import msgspec

from card_personalization.chip.ecdsa_signature import DIGEST_BYTES, key_verifies
from card_personalization.chip.errors import AttestationError, CardFault, CardTooSmall, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import (
    PASSPORT_FALLBACK_TAG,
    PASSPORT_TAG,
    Algorithm,
    Chuid,
    Slot,
    Tag,
    encode_certificate,
)
from card_personalization.chip.profiles.attestation import Attestation, verify_attestation
from card_personalization.chip.profiles.family import (
    Access,
    CardFamily,
    CardIdentity,
    Codes,
    FactoryKey,
    LockKeys,
)
from card_personalization.chip.profiles.openfips201 import OpenFips201Family
from card_personalization.station.card_keys import CardKeys, CardSecrets
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.journal import Digests
from card_personalization.station.lot import Lot
from card_personalization.station.pin_letter import PinLetter
from card_personalization.station.reading import certified_key
from card_personalization.station.steps import Step
from processing.wire.api import CardOrder, issuing_proof_digest

PIN_ATTEMPTS: Final = 5
PUK_ATTEMPTS: Final = 5
ADMIN_KEY_ALGORITHM: Final = Algorithm.AES_192
CERTIFICATE_ROOM_BYTES: Final = 800
"""What a card needs for one certificate of ours, its container included."""
_OBJECT_ROOM_BYTES: Final = 3_000
"""Most bytes that every family takes into one object, to try a card's room with."""
_SLOTS: Final = (Slot.CARD_AUTHENTICATION, Slot.AUTHENTICATION)


class PassportDesk(Protocol):
    """Who makes social passports; a bureau without a line to the centre has nobody."""

    def passport(self, card_id: UUID) -> bytes:
        """Return the social passport of a card that is ordered."""


class LoadedCard(msgspec.Struct, frozen=True):
    """What was put on a card before its codes and keys were set."""

    digests: Digests
    attestations: tuple[bytes, ...]


class VerifiedCard(msgspec.Struct, frozen=True):
    """What was read off a finished card, and its signature over the order's challenge."""

    certificate_tap: bytes
    certificate_pin: bytes
    proof: bytes


@dataclass(kw_only=True)
class Bench:
    """One card at a reader, and what is needed to work on it. `on_step` hears of each step."""

    card: PivClient
    driver: CardFamily
    identity: CardIdentity
    factory_key: FactoryKey | None
    on_step: Callable[[Step], None]

    @cached_property
    def factory(self) -> Access:
        """What opens the card while it is blank."""
        return self.driver.factory_access(self.factory_key)

    def own(self, secrets: CardSecrets, letter: PinLetter | None = None) -> Access:
        """What opens the card once it is locked."""
        management = LocalManagementKey(secrets.management_key, ADMIN_KEY_ALGORITHM)
        return Access(
            management=self.factory.management if self.driver.keeps_factory_key else management,
            channel=secrets.channel,
            pin=None if letter is None else letter.pin,
            puk=None if letter is None else letter.puk,
        )

    def lock_keys(self, secrets: CardSecrets) -> LockKeys:
        """What the card is locked with; the maker's 9B where no command replaces it."""
        if self.driver.keeps_factory_key and self.factory_key is not None:
            return LockKeys(self.factory_key.key, self.factory_key.algorithm)
        return LockKeys(secrets.management_key, ADMIN_KEY_ALGORITHM, secrets.channel)


def load(
    bench: Bench,
    order: CardOrder,
    keys: CardKeys,
    passports: PassportDesk | None,
    lot: Lot,
    *,
    try_room: bool = True,
) -> LoadedCard:
    """Put GUID, keys, certificates and passport on a card that its factory key opens.

    CardTooSmall before anything but the GUID was written, which is taken off again; without
    `try_room`, which costs a dozen APDUs, when something does not fit. CardError, StationError,
    HsmError.
    """
    card, driver = bench.card, bench.driver
    bench.on_step(Step.MARK)
    driver.open(card, bench.factory)
    brought = keys.slot_keys(order)
    if brought is not None and isinstance(driver, OpenFips201Family):
        driver = msgspec.structs.replace(driver, importable=True)
    passport = b"" if passports is None else passports.passport(order.card_id)
    if driver.has_channel:
        driver.check_space(card, bench.identity, _sizes(passport))
        driver.prepare(card)
    driver.write_object(card, Tag.CHUID, Chuid(order.card_id.bytes, order.valid_to).encode())
    if try_room and not driver.has_channel:
        _require_space(bench, passport)
    bench.on_step(Step.KEYS)
    if brought is None:
        points = {slot: driver.make_key(card, slot) for slot in _SLOTS}
        attestations = _attested(bench, points, lot)
        bench.on_step(Step.CERTIFY)
        certificates: Mapping[Slot, bytes] = keys.certify(order, points)
    else:
        attestations, certificates = (), brought.certificates
        for slot in _SLOTS:
            driver.import_key(card, slot, brought.scalars[slot])
    bench.on_step(Step.OBJECTS)
    for slot in _SLOTS:
        driver.write_object(card, slot.certificate_tag, encode_certificate(certificates[slot]))
    if passport:
        _write_passport(bench, passport)
    digests = Digests(
        certificate_tap=_sha256(certificates[Slot.CARD_AUTHENTICATION]),
        certificate_pin=_sha256(certificates[Slot.AUTHENTICATION]),
        passport=_sha256(passport),
    )
    return LoadedCard(digests, attestations)


def finish(bench: Bench, secrets: CardSecrets, letter: PinLetter) -> None:
    """Set PIN, PUK and attempts, then replace the factory's keys: from here on it is ours."""
    bench.on_step(Step.CODES)
    limits = (None, None) if bench.driver.keeps_factory_key else (PIN_ATTEMPTS, PUK_ATTEMPTS)
    bench.driver.set_codes(bench.card, bench.factory, Codes(letter.pin, letter.puk, *limits))
    bench.on_step(Step.LOCK)
    bench.driver.lock(bench.card, bench.factory, bench.lock_keys(secrets))


def verify(bench: Bench, order: CardOrder, digests: Digests, letter: PinLetter) -> VerifiedCard:
    """Read everything back, and have both keys prove themselves; 9A only after the new PIN.

    9E signs the order's challenge, which is random, so that its proof is the report's as well.
    StationError(READ_BACK_DIFFERS, KEY_UNPROVEN), CardError.
    """
    card = bench.card
    bench.on_step(Step.READ_BACK)
    card.select()
    chuid = card.read_chuid()
    tap_der, pin_der = (_certificate_on(card, slot) for slot in _SLOTS)
    differs = {
        "CHUID": (chuid.guid, chuid.expires_on) != (order.card_id.bytes, order.valid_to),
        "9E": _sha256(tap_der) != digests.certificate_tap,
        "9A": _sha256(pin_der) != digests.certificate_pin,
        "social passport": _sha256(_passport_on(card)) != digests.passport,
    }
    for what, different in differs.items():
        if different:
            raise StationError(StationFault.READ_BACK_DIFFERS, what=what)
    bench.on_step(Step.CHALLENGE)
    tap_key, pin_key = certified_key(_SLOTS[0], tap_der), certified_key(_SLOTS[1], pin_der)
    proof = sign_proof(card, order)
    if not key_verifies(tap_key, issuing_proof_digest(order.order_id, order.challenge), proof):
        raise StationError(StationFault.KEY_UNPROVEN, slot="9E")
    card.verify_pin(letter.pin)
    digest = os.urandom(DIGEST_BYTES)
    if not key_verifies(pin_key, digest, card.sign_digest(Slot.AUTHENTICATION, digest)):
        raise StationError(StationFault.KEY_UNPROVEN, slot="9A")
    card.forget_pin()
    return VerifiedCard(tap_der, pin_der, proof)


def sign_proof(card: PivClient, order: CardOrder) -> bytes:
    """Have the card sign what the centre asks of a new card: raw r‖s, 64 bytes."""
    digest = issuing_proof_digest(order.order_id, order.challenge)
    return card.sign_digest(Slot.CARD_AUTHENTICATION, digest)


def _attested(bench: Bench, points: Mapping[Slot, bytes], lot: Lot) -> tuple[bytes, ...]:
    """Hold the card to its proofs, where it can give any and somebody vouches for the maker."""
    if not lot.authorities or not bench.driver.attests:
        return ()
    told: list[bytes] = []
    for slot, point in points.items():
        proof: Attestation = bench.driver.attest(bench.card, slot)
        attested = verify_attestation(proof, lot.authorities, slot, point)
        if attested.serial not in (None, bench.identity.serial):
            raise AttestationError(slot, "it is about another card")
        told += (proof.certificate, proof.device_certificate)
    return tuple(told)


def _sizes(passport: bytes) -> dict[int, int]:
    return {
        int(Tag.CERTIFICATE_9E): CERTIFICATE_ROOM_BYTES,
        int(Tag.CERTIFICATE_9A): CERTIFICATE_ROOM_BYTES,
        int(PASSPORT_TAG): len(passport),
    }


def _require_space(bench: Bench, passport: bytes) -> None:
    """Try the room for all objects in one of them; a card too small is left as it was.

    One large object costs half the APDUs of three.
    """
    total = sum(_sizes(passport).values())
    first = min(total, _OBJECT_ROOM_BYTES)
    sizes = {int(Tag.CERTIFICATE_9E): first, int(PASSPORT_TAG): total - first}
    try:
        bench.driver.check_space(
            bench.card, bench.identity, {tag: size for tag, size in sizes.items() if size}
        )
    except CardTooSmall:
        bench.card.put_data(Tag.CHUID, b"")
        raise


def _write_passport(bench: Bench, passport: bytes) -> None:
    """Write the passport into its object, or into its fallback where a card lacks that one."""
    try:
        bench.driver.write_object(bench.card, PASSPORT_TAG, passport)
    except StatusError as error:
        if error.fault not in (CardFault.NOT_FOUND, CardFault.NOT_SUPPORTED):
            raise
        bench.driver.write_object(bench.card, PASSPORT_FALLBACK_TAG, passport)


def _certificate_on(card: PivClient, slot: Slot) -> bytes:
    try:
        return card.read_certificate(slot)
    except StatusError as error:
        if error.fault is CardFault.NOT_FOUND:
            return b""
        raise


def _passport_on(card: PivClient) -> bytes:
    try:
        return card.read_passport()
    except StatusError as error:
        if error.fault is CardFault.NOT_FOUND:
            return b""
        raise


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
