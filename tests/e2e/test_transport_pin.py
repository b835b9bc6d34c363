"""A card that goes out with a transport PIN: taps work, a PIN only once it is the holder's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from card_personalization.station.own_pin import change_pin
from processing.region.cast import load_cast
from processing.wire.api import transport_pin
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Evidence
from terminal_sim.desk import open_till
from terminal_sim.results import Sale
from tests.e2e.test_rotation import OLD, PACKS, House, house, presented
from tests.plugins.centre import Programs
from tests.plugins.targets import Databases
from tests.station.office import client_of

pytestmark = pytest.mark.timeout(240)

OWN_PIN = "402871"


def sold(one: House, evidence: Evidence, pin: str) -> Answer:
    """Sell a pack to whom the card belongs."""
    sale = Sale(
        holder_id=load_cast().member(OLD).citizen_id.bytes,
        service="MEDICINE",
        version=1,
        lines=(PACKS[OLD],),
        evidence=evidence,
    )
    with open_till(one.desk) as till:
        result = till.sell(presented(till, one.cards[OLD]), sale, lambda: pin)
    assert result.answer is not None, result.fault
    return result.answer


def test_only_the_holders_own_pin_counts(
    programs: Programs, databases: Databases, tmp_path: Path
) -> None:
    with house(programs, databases, tmp_path) as one:
        one.issue(OLD, transport_pins=True)
        soft = one.cards[OLD]
        known = one.client.card(one.card_id(soft))
        assert known is not None
        assert known.pin_is_transport
        transport = transport_pin(known.card_number)

        assert sold(one, Evidence.TAP, "").outcome is Outcome.APPROVED
        refused = sold(one, Evidence.PIN, transport)
        assert refused.outcome is Outcome.SIGNATURE_WRONG
        assert refused.facts == {"pin": "transport"}

        # The PIN is changed, and the report of it does not leave the office.
        card = client_of(soft)
        card.select()
        card.change_pin(transport, OWN_PIN)
        assert sold(one, Evidence.PIN, OWN_PIN).outcome is Outcome.SIGNATURE_WRONG

        assert change_pin(client_of(soft), one.client, str, lambda: OWN_PIN)
        assert sold(one, Evidence.PIN, OWN_PIN).outcome is Outcome.APPROVED
        assert sold(one, Evidence.TAP, "").outcome is Outcome.APPROVED
