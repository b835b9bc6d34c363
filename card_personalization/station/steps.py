"""The steps that make a blank card a social card, in their order, as data.

Nothing counts before the last one: until the centre has taken the report, the order can be given
up and the card reset. The management key is changed only when everything else is on the card, so
a card whose writing broke off still takes the factory key.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from datetime import time as day_time
from typing import Final

import msgspec

from card_personalization.chip.errors import AttemptError, CardFault, Language, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Chuid, Slot
from card_personalization.chip.profiles.detection import detect_family
from card_personalization.chip.profiles.family import CardFamily, FactoryKey
from card_personalization.station.centre import CentreClient
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.management import (
    ADMIN_KEY_ALGORITHM,
    ADMIN_KEY_VERSION,
    CARD_MASTER,
    HsmManagementKey,
)
from card_personalization.station.pin_letter import PinLetter, draw_letter
from card_personalization.station.reading import challenge, read_card
from hsm_stub.client.client import HsmClient
from hsm_stub.client.commands import CertificateSlot
from processing.wire.api import (
    CardOrder,
    IssuedCard,
    IssueReport,
    OrderRequest,
    issuing_proof_digest,
)

FACTORY_PIN: Final = "123456"
FACTORY_PUK: Final = "12345678"
PIN_ATTEMPTS: Final = 5
PUK_ATTEMPTS: Final = 5
BACKDATE_MS: Final = 60_000
"""Certificates begin a minute ago, for terminals whose clocks are a little behind."""

_CERTIFICATE_SLOTS: Final = {
    Slot.CARD_AUTHENTICATION: CertificateSlot.CARD_AUTHENTICATION,
    Slot.AUTHENTICATION: CertificateSlot.AUTHENTICATION,
}


@dataclass(kw_only=True)
class Workplace:
    """One card on its way: what the steps work with, and what they have made so far.

    `hand_over` receives the PIN letter once; `factory_key` overrides the card family's own.
    """

    card: PivClient
    centre: CentreClient
    hsm: HsmClient
    request: OrderRequest
    hand_over: Callable[[PinLetter], None]
    factory_key: FactoryKey | None = None
    family: CardFamily | None = None
    order: CardOrder | None = None
    letter: PinLetter | None = None
    points: dict[Slot, bytes] = field(default_factory=dict)
    certificates: dict[Slot, bytes] = field(default_factory=dict)
    passport: bytes = b""
    card_master: int = 1
    issued: IssuedCard | None = None

    @property
    def ordered(self) -> CardOrder:
        """The order, once there is one."""
        if self.order is None:
            raise AssertionError("this step comes after the order")
        return self.order

    @property
    def driver(self) -> CardFamily:
        """The card's family, once it is known."""
        if self.family is None:
            raise AssertionError("this step comes after the card was recognised")
        return self.family

    @property
    def codes(self) -> PinLetter:
        """PIN and PUK, once they are drawn."""
        if self.letter is None:
            raise AssertionError("this step comes after PIN and PUK were drawn")
        return self.letter


class Step(msgspec.Struct, frozen=True):
    """One step: what it does, in Russian and English, and the function that does it."""

    ru: str
    en: str
    run: Callable[[Workplace], None]

    def text(self, language: Language) -> str:
        """What the step does, as people read it."""
        return self.ru if language == "ru" else self.en


def recognise(place: Workplace) -> None:
    """Select PIV, find the card's family, and refuse families that cannot be personalized."""
    place.card.select()
    place.family = detect_family(place.card)
    place.factory_key = place.factory_key or place.family.factory_key
    if place.factory_key is None:
        what = "no command sets its management key (9B)"
        raise StationError(StationFault.FAMILY_UNSUITED, family=place.family.name, what=what)


def unlock(place: Workplace) -> None:
    """Prove the factory key and the factory PIN: only a card that is not issued takes both."""
    if place.factory_key is None:
        raise AssertionError("this step comes after the card was recognised")
    try:
        _authenticate_with(place.card, place.factory_key)
    except StatusError as error:
        if error.fault is CardFault.MANAGEMENT_KEY_WRONG:
            raise _why_not_blank(place.card, place.centre) from None
        raise
    try:
        place.card.verify_pin(FACTORY_PIN)
    except AttemptError:
        raise StationError(StationFault.CARD_NOT_BLANK) from None


def place_order(place: Workplace) -> None:
    """Order the card at the centre: its number, its GUID, its challenge."""
    place.order = place.centre.order(place.request)


def make_keys(place: Workplace) -> None:
    """Have the card make both key pairs; the private halves never leave it."""
    for slot in _CERTIFICATE_SLOTS:
        place.points[slot] = place.card.generate_key(slot)


def certify_keys(place: Workplace) -> None:
    """Have the key service certify both keys until the end of the card's last day."""
    order = place.ordered
    last_moment = datetime.combine(order.valid_to, day_time(23, 59, 59), UTC)
    for slot, certificate_slot in _CERTIFICATE_SLOTS.items():
        place.certificates[slot] = place.hsm.issue_card_certificate(
            slot=certificate_slot,
            public_key=place.points[slot],
            card_guid=order.card_id.bytes,
            card_number=order.card_number,
            not_before_ms=time.time_ns() // 1_000_000 - BACKDATE_MS,
            not_after_ms=int(last_moment.timestamp()) * 1000,
        )


def write_objects(place: Workplace) -> None:
    """Write both certificates, the social passport, and the CHUID with the card's GUID."""
    place.passport = place.centre.passport(place.ordered.card_id)
    place.card.write_passport(place.passport)
    for slot, der in place.certificates.items():
        place.card.write_certificate(slot, der)
    order = place.ordered
    place.card.write_chuid(Chuid(guid=order.card_id.bytes, expires_on=order.valid_to))


def set_codes(place: Workplace) -> None:
    """Set the attempts, then PUK and PIN to fresh random codes."""
    place.driver.set_attempts(place.card, PIN_ATTEMPTS, PUK_ATTEMPTS)
    place.letter = draw_letter(place.ordered.card_number)
    place.card.change_puk(FACTORY_PUK, place.letter.puk)
    place.card.change_pin(FACTORY_PIN, place.letter.pin)


def set_management_key(place: Workplace) -> None:
    """Change 9B to the key that the key service derives for this card's GUID, and prove it."""
    guid = place.ordered.card_id.bytes
    place.card_master = place.hsm.public_keys().active_generation(CARD_MASTER)
    key = place.hsm.derive_card_admin_key(guid, ADMIN_KEY_VERSION, place.card_master)
    place.driver.set_management_key(place.card, key, ADMIN_KEY_ALGORITHM)
    place.card.authenticate_management(HsmManagementKey(place.hsm, guid, place.card_master))


def read_back(place: Workplace) -> None:
    """Read everything off the card and compare it with what was meant."""
    view = read_card(place.card)
    order = place.ordered
    found = {certificate.slot: certificate.der for certificate in view.certificates}
    comparisons = {"CHUID": (view.card_id, view.expires_on) == (order.card_id, order.valid_to)}
    comparisons["social passport"] = place.card.read_passport() == place.passport
    for slot, der in place.certificates.items():
        comparisons[f"certificate {slot:X}"] = found.get(slot) == der
    for what, same in comparisons.items():
        if not same:
            raise StationError(StationFault.READ_BACK_DIFFERS, what=what)


def challenge_keys(place: Workplace) -> None:
    """Have both keys sign random digests; 9A only after the new PIN, which is tried so."""
    challenge(place.card, Slot.CARD_AUTHENTICATION, place.points[Slot.CARD_AUTHENTICATION])
    place.card.verify_pin(place.codes.pin)
    challenge(place.card, Slot.AUTHENTICATION, place.points[Slot.AUTHENTICATION])
    place.card.forget_pin()


def hand_over_codes(place: Workplace) -> None:
    """Hand PIN and PUK over, before the card counts: they are kept nowhere else."""
    place.hand_over(place.codes)


def report(place: Workplace) -> None:
    """Report the card with a proof of its key; from the centre's answer on it counts."""
    place.issued = send_report(
        place.card, place.centre, place.ordered, place.certificates, place.card_master
    )


def send_report(
    card: PivClient,
    centre: CentreClient,
    order: CardOrder,
    certificates: dict[Slot, bytes],
    card_master: int = 1,
) -> IssuedCard:
    """Have the card sign the order's challenge, and report it with its certificates.

    `card_master` is the generation of the card master that its 9B key comes from.
    """
    digest = issuing_proof_digest(order.order_id, order.challenge)
    return centre.report(
        order.order_id,
        IssueReport(
            certificate_tap=certificates[Slot.CARD_AUTHENTICATION],
            certificate_pin=certificates[Slot.AUTHENTICATION],
            proof=card.sign_digest(Slot.CARD_AUTHENTICATION, digest),
            card_master=card_master,
        ),
    )


STEPS: Final = (
    Step("Узнать карту", "Recognise the card", recognise),
    Step("Проверить, что карта чистая", "Check that the card is blank", unlock),
    Step("Заказать карту в центре", "Order the card at the centre", place_order),
    Step("Создать ключи на карте", "Make the keys on the card", make_keys),
    Step("Получить сертификаты", "Have the keys certified", certify_keys),
    Step(
        "Записать сертификаты, социальный паспорт и CHUID",
        "Write certificates, social passport and CHUID",
        write_objects,
    ),
    Step("Задать ПИН-код и PUK", "Set PIN and PUK", set_codes),
    Step("Сменить ключ управления (9B)", "Change the management key (9B)", set_management_key),
    Step("Прочитать и сверить записанное", "Read everything back", read_back),
    Step("Проверить ключи карты", "Challenge the card's keys", challenge_keys),
    Step("Выдать ПИН-конверт", "Hand over the PIN letter", hand_over_codes),
    Step("Сообщить центру", "Report to the centre", report),
)
"""Every step in its order. The card counts after the last."""


def _authenticate_with(card: PivClient, key: FactoryKey) -> None:
    card.authenticate_management(LocalManagementKey(key.key, key.algorithm))


def _why_not_blank(card: PivClient, centre: CentreClient) -> StationError:
    """Say why a card refuses the factory key: issued, half-written, or of another lot."""
    try:
        view = read_card(card)
    except StatusError as error:
        if error.fault is not CardFault.NOT_FOUND:
            raise
        return StationError(StationFault.FACTORY_KEY_WRONG)
    known = centre.card(view.card_id)
    if known is not None:
        return StationError(
            StationFault.CARD_IN_USE, card_number=known.card_number, card_id=str(known.card_id)
        )
    if view.card_number is not None:
        return StationError(StationFault.CARD_NOT_BLANK)
    return StationError(StationFault.FACTORY_KEY_WRONG)
