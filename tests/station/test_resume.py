"""A card pulled out, or a station killed, at every APDU: one card per order, and none lost.

Each cut is followed by a fresh station that knows only the journal, as after a power cut.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from card_personalization.chip.errors import CardFault, TransportError
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import CardState, factory_state
from card_personalization.chip.transport.inprocess import InProcessTransport
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.issuing import Outcome, Served, Station
from card_personalization.station.orders import OrderList
from card_personalization.station.reading import challenge, read_card
from processing.cards.model import OrderCode
from tests.station.rig import (
    PROFILES,
    Letters,
    MemoryCentre,
    ModuleKeys,
    client_of,
    client_over,
    lot_of,
    station_at,
    unwatched,
)


class PowerCut(BaseException):
    """The station's process is gone: nothing of it runs any more."""


class CutOff:
    """A transport that loses card or station at its n-th APDU, before the card got it or after."""

    name = "cut"

    def __init__(self, card: SoftCard, at: int, *, after: bool, power: bool) -> None:
        self._inner = InProcessTransport(card)
        self._at = at
        self._after = after
        self._power = power
        self.sent = 0

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        """Send one APDU, unless the cut comes first."""
        self.sent += 1
        if self.sent >= self._at:
            if self.sent == self._at and self._after:
                self._inner.transceive(command)
            self._inner.close()
            if self._power:
                raise PowerCut
            raise TransportError(CardFault.CARD_REMOVED, reader=self.name)
        return self._inner.transceive(command)

    def close(self) -> None:
        """Let the card go."""
        self._inner.close()


class Office:
    """One family's cards, a centre in memory, and stations that come and go."""

    def __init__(self, family: str, folder: Path, keys: ModuleKeys) -> None:
        self.family = family
        self.folder = folder
        self.keys = keys
        self.centre = MemoryCentre(keys.authority())
        self.letters = Letters()

    def station(self) -> Station:
        """A station that was just started."""
        lot = lot_of(self.family)
        return station_at(self.folder, self.centre, ServiceKeys(self.keys), lot, self.letters)

    def blank(self) -> CardState:
        """A card as it comes from the factory."""
        return factory_state(PROFILES[self.family], 7)

    def serve(self, card: SoftCard, at: int = 10_000, *, after: bool, power: bool) -> Served | None:
        """Put a card into a fresh station, cut off at an APDU; None if the station died."""
        station = self.station()
        orders = OrderList(self.centre.open_orders(), station.journal)
        transport = CutOff(card, at, after=after, power=power)
        try:
            return station.serve(client_over(transport), orders, unwatched)
        except PowerCut:
            return None
        finally:
            self.apdus = transport.sent
            station.journal.close()

    def finish(self, card: SoftCard) -> Served:
        """Put the card in again, without a cut."""
        served = self.serve(card, after=False, power=False)
        assert served is not None
        return served


@pytest.fixture(scope="module")
def keys() -> ModuleKeys:
    return ModuleKeys()


def check_one_card(office: Office, soft: SoftCard) -> None:
    """Hold that exactly one card counts, that it is this one, and that its last letter fits."""
    states = [order.state for order in office.centre.orders.values()]
    assert states == [OrderCode.ISSUED]
    assert len(office.centre.cards) == 1
    card = client_of(soft)
    card.select()
    view = read_card(card)
    assert view.card_id in office.centre.cards
    report = office.centre.reports[office.centre.cards[view.card_id]]
    ders = {certificate.slot: certificate.der for certificate in view.certificates}
    assert ders[Slot.CARD_AUTHENTICATION] == report.certificate_tap
    assert ders[Slot.AUTHENTICATION] == report.certificate_pin
    assert len({(letter.pin, letter.puk) for letter in office.letters.given}) == 1
    card.verify_pin(office.letters.given[-1].pin)
    for certificate in view.certificates:
        challenge(card, certificate.slot, certificate.point)
    card.change_puk(office.letters.given[-1].puk, office.letters.given[-1].puk)


def apdus_of(family: str, folder: Path, keys: ModuleKeys) -> int:
    office = Office(family, folder, keys)
    office.centre.make()
    soft = SoftCard(office.blank())
    assert office.finish(soft).outcome is Outcome.ISSUED
    check_one_card(office, soft)
    return office.apdus


def expect_resumed(office: Office, at: int, *, after: bool, power: bool) -> None:
    """Cut one card off, put it in again, and check that it alone counts."""
    office.centre.make()
    soft = SoftCard(office.blank())
    cut = office.serve(soft, at, after=after, power=power)
    if power:
        assert cut is None, at
    else:
        assert cut is not None
        # The last APDUs of a card that is verified already are nothing to put it in again for.
        assert cut.outcome in (Outcome.INTERRUPTED, Outcome.ISSUED), (at, cut.text("en"))
    if cut is None or cut.outcome is Outcome.INTERRUPTED:
        again = office.finish(soft)
        assert again.outcome is Outcome.ISSUED, (at, again.text("en"))
    check_one_card(office, soft)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", PROFILES)
def test_a_cut_at_every_apdu_ends_with_one_card(
    family: str, tmp_path: Path, keys: ModuleKeys, request: pytest.FixtureRequest
) -> None:
    apdus = apdus_of(family, tmp_path / "whole", keys)
    assert apdus > 40
    thorough = request.config.getoption("--thorough-cuts")
    for at in range(1, apdus + 1):
        # By turns the card leaves or the power, before the APDU was carried out or after it.
        kinds = [(after, power) for after in (False, True) for power in (False, True)]
        for after, power in kinds if thorough else [kinds[at % 4]]:
            office = Office(family, tmp_path / f"{at}-{after}-{power}", keys)
            expect_resumed(office, at, after=after, power=power)


@pytest.mark.parametrize("family", PROFILES)
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_cut_after_cut_ends_with_one_card(
    family: str, tmp_path_factory: pytest.TempPathFactory, keys: ModuleKeys, data: st.DataObject
) -> None:
    office = Office(family, tmp_path_factory.mktemp("cuts"), keys)
    office.centre.make()
    soft = SoftCard(office.blank())
    for _ in range(data.draw(st.integers(2, 4))):
        at, after = data.draw(st.integers(1, 70)), data.draw(st.booleans())
        cut = office.serve(soft, at, after=after, power=data.draw(st.booleans()))
        if cut is not None and cut.outcome is Outcome.ISSUED:
            break
    else:
        assert office.finish(soft).outcome in (Outcome.ISSUED, Outcome.SET_ASIDE)
    check_one_card(office, soft)
