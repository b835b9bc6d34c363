"""Any PIV card: NIST's commands and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Never

import msgspec

from card_personalization.chip.apdu import Sw
from card_personalization.chip.errors import (
    AttemptError,
    CardBegun,
    CardError,
    CardFault,
    CodesBlocked,
    WrongFactoryKey,
)
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Algorithm, Slot
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

FACTORY_PIN: Final = "123456"
FACTORY_PUK: Final = "12345678"


def _lacking(what: str) -> Never:
    raise CardError(CardFault.NOT_SUPPORTED, what=what)


class GenericFamily(msgspec.Struct, frozen=True):
    """A card of unknown make.

    SP 800-73-5 has no command that sets 9B or the attempts: the maker does that. So such a card
    must be ordered with the diversified key of its serial number already in it, and is finished
    once PIN and PUK are set: `lock` then only proves that the card has that key.
    """

    name: str = "generic"
    factory_key: FactoryKey | None = None
    keeps_factory_key: bool = True
    has_channel: bool = False
    attests: bool = False

    def factory_access(self, key: FactoryKey | None = None) -> Access:
        """The lot's 9B, and PIN and PUK as most makers deliver them."""
        held = None if key is None else LocalManagementKey(key.key, key.algorithm)
        return Access(management=held, pin=FACTORY_PIN, puk=FACTORY_PUK)

    def identify(self, card: PivClient) -> CardIdentity:
        """The family, and production data where the card is GlobalPlatform's."""
        production, free_bytes = probing.platform_data(card)
        return CardIdentity(self.name, production=production, free_bytes=free_bytes)

    def inspect(self, card: PivClient, factory: Access, own: Access | None = None) -> Findings:
        """What is on the card.

        Its 9B stays as the maker set it, so the card is known as ours by its PIN and PUK, where
        `own` tells them: they are set last.
        """
        administration = Administration.FOREIGN
        if probing.takes_management(card, factory.management):
            administration = Administration.FACTORY
        elif own is not None and probing.takes_management(card, own.management):
            administration = Administration.OURS
        pin = CodeState.UNKNOWN
        if administration is Administration.FACTORY:
            pin = probing.pin_state(card, factory.pin)
        if pin is CodeState.CHANGED and own is not None and _takes_codes(card, own):
            administration = Administration.OURS
        keys = {slot: _holds_key(card, slot) for slot in probing.WRITTEN_SLOTS}
        return Findings(
            administration=administration,
            guid=probing.guid_on(card),
            objects=probing.objects_on(card),
            keys=keys,
            pin=pin,
            puk=CodeState.UNKNOWN,
        )

    def open(self, card: PivClient, access: Access) -> None:
        """Prove 9B. ContactsNeeded on a contactless reader where the card keeps it to contacts."""
        probing.require_contacts(card)
        if not probing.takes_management(card, access.management):
            raise WrongFactoryKey("9B")

    def check_space(
        self, card: PivClient, identity: CardIdentity, sizes: Mapping[int, int]
    ) -> None:
        """Ask the card where it tells its free memory, or fill and empty the objects."""
        probing.probe_space(card, sizes)

    def prepare(self, card: PivClient) -> None:
        """Nothing: the maker defined keys and objects."""

    def make_key(self, card: PivClient, slot: Slot, policy: KeyPolicy | None = None) -> bytes:
        """Have the card make a key, with NIST's own policy of the slot only."""
        if policy not in (None, KeyPolicy()):
            _lacking("PIN and touch policies of keys")
        return card.generate_key(slot)

    def import_key(
        self, _card: PivClient, _slot: Slot, _scalar: bytes, _policy: KeyPolicy | None = None
    ) -> None:
        """Always CardError(NOT_SUPPORTED)."""
        _lacking("importing a key: have the card make it")

    def attest(self, _card: PivClient, _slot: Slot) -> Attestation:
        """Always CardError(NOT_SUPPORTED)."""
        _lacking("attestation: trust rests on the lot and on the station")

    def write_object(self, card: PivClient, tag: int, content: bytes) -> None:
        """Write one object after `open`."""
        probing.write_object(card, tag, content)

    def set_codes(self, card: PivClient, factory: Access, codes: Codes) -> None:
        """Change PIN, then PUK, from the factory's. CardBegun if they are neither these nor those.

        PIN first: while the PUK is the factory's, a PIN lost by an interruption can be set anew.
        """
        if codes.pin_attempts is not None or codes.puk_attempts is not None:
            self.set_attempts(card, codes.pin_attempts or 0, codes.puk_attempts or 0)
        if factory.pin is None or factory.puk is None:
            _lacking("setting PIN and PUK without knowing those of the lot")
        try:
            card.change_pin(factory.pin, codes.pin)
        except AttemptError:
            self._recover_pin(card, factory.puk, codes)
        try:
            card.change_puk(factory.puk, codes.puk)
        except AttemptError:
            _require_puk(card, codes.puk)

    def _recover_pin(self, card: PivClient, factory_puk: str, codes: Codes) -> None:
        """The PIN is not the factory's: it is ours already, or the factory's PUK sets it."""
        try:
            card.verify_pin(codes.pin)
        except AttemptError:
            try:
                card.unblock_pin(factory_puk, codes.pin)
            except AttemptError as error:
                if error.attempts_remaining == 0:
                    raise CodesBlocked("PUK") from None
                raise CardBegun("PIN, PUK") from None

    def lock(self, card: PivClient, factory: Access, keys: LockKeys) -> None:
        """Prove that the maker put the card's own 9B in; CardError(NOT_SUPPORTED) if not."""
        host = LocalManagementKey(keys.management_key, keys.algorithm)
        if not probing.takes_management(card, host):
            self.set_management_key(card, keys.management_key, keys.algorithm)

    def set_management_key(self, _client: PivClient, _key: bytes, _algorithm: Algorithm) -> None:
        """Always CardError(NOT_SUPPORTED)."""
        _lacking("setting the management key (9B): order such cards with their key in them")

    def set_attempts(self, _client: PivClient, _pin_attempts: int, _puk_attempts: int) -> None:
        """Always CardError(NOT_SUPPORTED)."""
        _lacking("setting the attempts of PIN and PUK: order such cards with the limits wanted")

    def serial(self, _client: PivClient) -> int | None:
        """None: the GUID in the CHUID is all that NIST numbers a card with."""
        return None


def _takes_codes(card: PivClient, own: Access) -> bool:
    """Whether PIN and PUK are ours; changing the PUK to itself is the only way to try it."""
    if own.pin is None or own.puk is None:
        return False
    try:
        card.verify_pin(own.pin)
        card.change_puk(own.puk, own.puk)
    except AttemptError:
        return False
    return True


def _holds_key(card: PivClient, slot: Slot) -> bool | None:
    sw = probing.key_status(card, slot)
    if sw == Sw.OK:
        return True
    # Cards differ in what they check first, so a demand for the PIN says nothing of the key.
    return None if sw == Sw.SECURITY_STATUS_NOT_SATISFIED else False


def _require_puk(card: PivClient, puk: str) -> None:
    try:
        card.change_puk(puk, puk)
    except AttemptError as error:
        if error.attempts_remaining == 0:
            raise CodesBlocked("PUK") from None
        raise CardBegun("PUK") from None
