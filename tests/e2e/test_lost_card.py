"""From the loss of a card to the new one, at a PC/SC reader and at the scanner of a till."""

from __future__ import annotations

from pathlib import Path

import httpx
import msgspec
import pytest

from card_personalization.chip.softcard.card import SoftCard
from card_personalization.readers.virtual import VirtualReaders
from processing.region.cast import load_cast
from processing.wire.api import LentCard
from processing.wire.outcome import Outcome
from terminal_sim.card import CardRefused
from terminal_sim.desk import Desk, open_till, present_card
from terminal_sim.results import Sale
from tests.e2e.test_rotation import OLD, PACKS, House, house
from tests.plugins.centre import Programs
from tests.plugins.targets import Databases

pytestmark = [pytest.mark.pcsc, pytest.mark.timeout(240)]


def sold(desk: Desk) -> Outcome:
    """Sell a pack with what the desk is shown."""
    sale = Sale(
        holder_id=load_cast().member(OLD).citizen_id.bytes,
        service="MEDICINE",
        version=1,
        lines=(PACKS[OLD],),
    )
    with open_till(desk) as till, present_card(desk, till) as shown:
        result = till.sell(shown, sale, str)
    assert result.answer is not None, result.fault
    return result.answer.outcome


def tapped(one: House, readers: VirtualReaders, card: SoftCard) -> Outcome:
    """Put a card on the reader and sell."""
    reader = readers.insert_card(card)
    try:
        return sold(Desk(params=one.desk.params, reader=reader))
    finally:
        readers.remove(reader)


def lost(one: House, card: SoftCard) -> LentCard:
    """Report the card as lost at the office."""
    answer = httpx.post(
        f"{one.address}/issuing/v1/cards/{one.card_id(card)}/lost",
        content=b'{"reason":"in a tram"}',
        headers={"Authorization": f"Bearer {one.town.token}"},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    return msgspec.json.decode(answer.content, type=LentCard)


def test_from_the_loss_to_the_new_card(
    programs: Programs, databases: Databases, readers: VirtualReaders, tmp_path: Path
) -> None:
    with house(programs, databases, tmp_path) as one:
        one.issue(OLD)
        old, code_file = one.cards[OLD], tmp_path / "code.txt"
        assert tapped(one, readers, old) is Outcome.APPROVED
        lent = lost(one, old)
        assert tapped(one, readers, old) is Outcome.CARD_BLOCKED
        code_file.write_text(lent.text, encoding="ascii")
        scanner = Desk(params=one.desk.params, qr=code_file)
        assert sold(scanner) is Outcome.APPROVED
        # A code that somebody wrote on is none of the centre's.
        code_file.write_text(lent.text[:-8] + "AAAAAAAA", encoding="ascii")
        with pytest.raises(CardRefused):
            sold(scanner)
        code_file.write_text(lent.text, encoding="ascii")
        one.issue(OLD, replace=True)
        assert tapped(one, readers, one.cards[OLD]) is Outcome.APPROVED
        assert sold(scanner) is Outcome.CARD_BLOCKED
        assert tapped(one, readers, old) is Outcome.CARD_BLOCKED
