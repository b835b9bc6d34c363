"""A station whose centre and key service are in this process, to cut it off a thousand times.

The centre keeps orders in memory and checks reports with the real centre's own code; the key
service is the real one without its socket. The served centre is in office.py.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import msgspec

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Algorithm
from card_personalization.chip.profiles.family import FactoryKey
from card_personalization.chip.softcard.attestation import authority_certificate
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import FACTORY_MANAGEMENT_KEY, Profile
from card_personalization.chip.transport.contract import Transport
from card_personalization.chip.transport.inprocess import InProcessTransport
from card_personalization.station.card_keys import CardKeys
from card_personalization.station.faults import CentreAway, CentreRefused
from card_personalization.station.issuing import Station
from card_personalization.station.journal import Journal
from card_personalization.station.lot import Lot
from card_personalization.station.pin_letter import PinLetter
from card_personalization.station.steps import Step
from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.key_material import new_key_material
from hsm_stub.security_module import SecurityModule
from processing.cards.model import Order, OrderCode, Refusal
from processing.cards.report_check import IssuingAuthority, check_report
from processing.register.identifiers import make_card_number
from processing.wire.api import (
    CardOrder,
    CardState,
    CardStatus,
    IssuedCard,
    IssueReport,
    OrderState,
    ProblemType,
    problem,
)
from processing.wire.batches import WrittenStage

A = TypeVar("A", bound=msgspec.Struct)

FACTORY = FactoryKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192)
PASSPORT = bytes(range(256)) * 2
PROFILES = {
    "yubico": Profile.YUBICO,
    "generic": Profile.GENERIC,
    "openfips201": Profile.OPENFIPS201,
}


def lot_of(family: str) -> Lot:
    """The lot that a family's blanks come in."""
    key = FACTORY if family == "generic" else None
    return Lot(factory_key=key, authorities=(authority_certificate(),))


class ModuleKeys:
    """The key service's own code, called without a socket."""

    def __init__(self) -> None:
        material = new_key_material("99", time.time_ns() // 1_000_000)
        self.module = SecurityModule(SoftwareBackend(material), lambda: 0)
        self.asked = 0

    def derive_card_keys(
        self, card_guid: bytes, version: int, master: int = 0, *, channel: bool = False
    ) -> c.CardAdminKey:
        """Derive a card's keys."""
        command = c.DeriveCardAdminKey(
            card_guid=card_guid, version=version, master=master, channel=channel
        )
        return self._ask(command, c.CardAdminKey)

    def issue_card_certificates(self, command: c.IssueCardCertificates) -> tuple[bytes, ...]:
        """Certify both slots."""
        return self._ask(command, c.Certificates).ders

    def authority(self) -> IssuingAuthority:
        """Whom the centre believes."""
        return IssuingAuthority(self._ask(c.GetPublicKeys(), c.PublicKeys).issuing_certificates)

    def _ask(self, command: c.Command, kind: type[A]) -> A:
        self.asked += 1
        answer = self.module.execute(command)
        assert isinstance(answer, kind)
        return answer


class MemoryCentre:
    """Orders and cards in memory, under the real centre's rules for a report."""

    def __init__(self, authority: IssuingAuthority) -> None:
        self._authority = authority
        self.orders: dict[UUID, Order] = {}
        self.cards: dict[UUID, UUID] = {}
        self.reports: dict[UUID, IssueReport] = {}
        self.remade: dict[UUID, UUID] = {}
        self.stages: list[tuple[UUID, WrittenStage]] = []
        self.away = False

    def make(self) -> CardOrder:
        """Order one card."""
        return card_order(self._add())

    def open_orders(self) -> list[CardOrder]:
        """What waits, as a station would be told."""
        return [card_order(o) for o in self.orders.values() if o.state is OrderCode.ORDERED]

    def passport(self, card_id: UUID) -> bytes:
        """Give a passport of a fixed size."""
        self._answer()
        if not any(order.card_id == card_id for order in self.orders.values()):
            raise CentreRefused(problem(ProblemType.CARD_UNKNOWN))
        return PASSPORT + card_id.bytes

    def report(self, order_id: UUID, report: IssueReport) -> IssuedCard:
        """Count a card, once per order."""
        self._answer()
        order = self.orders[order_id]
        if order.state is OrderCode.GIVEN_UP:
            raise CentreRefused(problem(ProblemType.ORDER_GIVEN_UP))
        if order.state is OrderCode.ISSUED and self.reports[order_id] != report:
            raise CentreRefused(problem(ProblemType.ORDER_ISSUED))
        checked = check_report(order, report, self._authority, datetime.now(UTC))
        if isinstance(checked, Refusal):
            raise CentreRefused(problem(checked.kind, checked.field, checked.reason))
        self.orders[order_id] = msgspec.structs.replace(order, state=OrderCode.ISSUED)
        self.reports[order_id] = report
        self.cards[order.card_id] = order_id
        return IssuedCard(
            order_id=order_id,
            card_id=order.card_id,
            card_number=order.card_number,
            holder_id=order.citizen_id,
            valid_to=order.valid_to,
            issued_at=datetime.now(UTC),
            holder_count=1,
        )

    def card(self, card_id: UUID) -> CardStatus | None:
        """Tell of a card that counts."""
        self._answer()
        if card_id not in self.cards:
            return None
        order = self.orders[self.cards[card_id]]
        return CardStatus(
            card_id=card_id,
            card_number=order.card_number,
            state=CardState.ACTIVE,
            valid_to=order.valid_to,
        )

    def spoiled(self, order_id: UUID, _reason: str) -> CardOrder | None:
        """Put a fresh order in the place of a spoiled one, once."""
        self._answer()
        order = self.orders[order_id]
        if order.state is OrderCode.ISSUED:
            raise CentreRefused(problem(ProblemType.ORDER_ISSUED))
        self.orders[order_id] = msgspec.structs.replace(order, state=OrderCode.GIVEN_UP)
        if order_id not in self.remade:
            self.remade[order_id] = self._add().order_id
        return card_order(self.orders[self.remade[order_id]])

    def stage(self, order_id: UUID, stage: WrittenStage) -> object:
        """Take note of a stage."""
        self._answer()
        self.stages.append((order_id, stage))
        return stage

    def _answer(self) -> None:
        if self.away:
            raise CentreAway("memory", "away")

    def _add(self) -> Order:
        order = Order(
            order_id=uuid4(),
            station_id="office",
            state=OrderCode.ORDERED,
            citizen_id=uuid4(),
            register_version=1,
            card_id=uuid4(),
            card_number=make_card_number(99, int.from_bytes(os.urandom(4), "big")),
            issuer_region=99,
            valid_to=date(datetime.now(UTC).year + 5, 6, 30),
            challenge=os.urandom(32),
            ordered_at=datetime.now(UTC),
        )
        self.orders[order.order_id] = order
        return order


def card_order(order: Order) -> CardOrder:
    """An order as it travels."""
    return CardOrder(
        order_id=order.order_id,
        state=OrderState.ORDERED if order.state is OrderCode.ORDERED else OrderState.ISSUED,
        holder_id=order.citizen_id,
        register_version=order.register_version,
        card_id=order.card_id,
        card_number=order.card_number,
        issuer_region=order.issuer_region,
        valid_to=order.valid_to,
        challenge=order.challenge,
        ordered_at=order.ordered_at,
    )


class Letters:
    """Takes PIN letters as an office would, and knows which may be the second of a card."""

    def __init__(self) -> None:
        self.given: list[PinLetter] = []
        self.repeated = 0

    def __call__(self, letter: PinLetter, again: bool) -> None:
        self.given.append(letter)
        self.repeated += again


def station_at(
    folder: Path, centre: MemoryCentre | None, keys: CardKeys, lot: Lot, letters: Letters
) -> Station:
    """A station that was just started: it knows what its journal says and nothing else."""
    return Station(Journal.open(folder), keys, lot, letters, centre)


def client_over(transport: Transport) -> PivClient:
    """A client of the card behind a transport."""
    return PivClient(open_channel(transport))


def client_of(card: SoftCard) -> PivClient:
    """A client of a card that was just put in."""
    return client_over(InProcessTransport(card))


def unwatched(_: Step) -> None:
    """Watch no progress."""


class Queue:
    """Orders in a list, for stations that start anew between them."""

    def __init__(self, orders: list[CardOrder]) -> None:
        self.waiting = orders

    def take(self) -> CardOrder | None:
        """The next one."""
        return self.waiting.pop(0) if self.waiting else None

    def put_back(self, order: CardOrder) -> None:
        """Wait again."""
        self.waiting.insert(0, order)

    def left(self) -> int:
        """How many wait."""
        return len(self.waiting)
