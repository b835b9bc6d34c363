"""The terminal at a PC/SC reader: the same sale, through a real card service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from card_personalization.chip.errors import CardFault, TransportError
from card_personalization.readers.virtual import VirtualReaders
from processing.wire.transaction import Evidence
from terminal_sim import commands, desk
from terminal_sim.card import PresentedCard, reader_card
from tests.terminal_sim import world
from tests.terminal_sim.fake_centre import FakeCentre

pytestmark = pytest.mark.pcsc


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run one command of a terminal at a reader, at the hour of world.NOW_MS."""
    monkeypatch.setattr(desk, "now_ms", lambda: world.NOW_MS)
    monkeypatch.setattr(commands, "now_ms", lambda: world.NOW_MS)

    def command(centre: FakeCentre, *words: str) -> int:
        params = tmp_path / "AP000001.json"
        params.write_bytes(world.parameters(centre.port).encode())
        with pytest.raises(SystemExit) as ended:
            commands.app([*words, "--params", str(params)])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return command


def test_a_sale_through_pcscd(
    readers: VirtualReaders,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reader = readers.insert_card(world.issued_card())
    pin = tmp_path / "pin"
    pin.write_text(world.PIN)
    with FakeCentre(rights=world.FAMILY_RIGHTS) as centre:
        assert run(centre, "sell", "MEDICINE", "ENALAPRIL-10-20=1@145.50", "--reader", reader) == 0
        by_pin = ("sell", "CERTIFICATE", "CERT-WHEELCHAIR=1@9990", "--pin-file", str(pin))
        assert run(centre, *by_pin, "--reader", reader) == 0
    assert "К ОПЛАТЕ" in capsys.readouterr().out
    sold = [one for one in centre.requests if one.lines]
    assert [one.evidence for one in sold] == [Evidence.TAP, Evidence.PIN]
    assert {one.card_id for one in sold} == {world.GUID}


def test_a_reader_without_a_card_is_told(
    readers: VirtualReaders, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeCentre() as centre:
        assert run(centre, "rights", "--reader", readers.names[0]) == 2
    assert "нет карты" in capsys.readouterr().err


def test_a_card_taken_away_signs_nothing(readers: VirtualReaders) -> None:
    reader = readers.insert_card(world.issued_card())
    with reader_card(reader) as transport:
        card = PresentedCard.read(transport, world.parameters(), world.NOW_MS)
        readers.remove(reader)
        with pytest.raises(TransportError) as caught:
            card.sign(bytes(32), Evidence.TAP, lambda: "")
    assert caught.value.fault is CardFault.CARD_REMOVED
