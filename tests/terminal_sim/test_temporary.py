"""A temporary card at the till: read from a code, signs a tap, never a PIN, never offline."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from card_personalization.chip.ecdsa_signature import is_low_s, verifies
from processing.wire.statement import Domain
from processing.wire.temporary_card import TemporaryCard
from processing.wire.transaction import Evidence, IdentifierKind
from terminal_sim.card import CardRefused
from terminal_sim.temporary import PresentedCode
from terminal_sim.terminal import Terminal
from tests.plugins.stop_lists import PUBLIC_KEY, signature_of
from tests.terminal_sim import world

KEY = ec.derive_private_key(77, ec.SECP256R1())
CARD = TemporaryCard(
    card_id=bytes(range(16)), region=99, valid_to=world.TODAY, private_key=(77).to_bytes(32)
)
PARAMETERS = world.parameters(content_keys=(PUBLIC_KEY,))


def text_of(card: TemporaryCard) -> str:
    return card.encode(*signature_of(card.document, Domain.TEMPORARY_CARD))


def changed(**changes: object) -> str:
    return text_of(msgspec.structs.replace(CARD, **changes))


def test_a_code_signs_as_a_card_does() -> None:
    code = PresentedCode.read(text_of(CARD), PARAMETERS, world.NOW_MS)
    digest = bytes(range(32))
    # The centre refuses a high S, which comes about half the time if nobody sees to it.
    signatures = [code.sign(digest, Evidence.TAP, lambda: world.PIN) for _ in range(16)]
    assert all(verifies(world.point_of(KEY), digest, one) for one in signatures)
    assert all(map(is_low_s, signatures))
    terminal = Terminal(PARAMETERS, world.terminal().state, bytes)
    sale = terminal.sale(code.identity, world.MOTHER, "MEDICINE", 1, (world.TWO_PACKS,), 1)
    reversal = terminal.reversal(sale, world.NOW_MS)
    assert {sale.identifier_kind, reversal.identifier_kind} == {IdentifierKind.QR_CERTIFICATE}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SPK1:", "не QR-код"),
        (changed(valid_to=date(2026, 3, 4)), "действовала до 04.03.2026"),
        (changed(private_key=bytes(32)), "нет ключа"),
    ],
)
def test_what_is_no_card_in_force_is_refused(text: str, words: str) -> None:
    with pytest.raises(CardRefused) as raised:
        PresentedCode.read(text, PARAMETERS, world.NOW_MS)
    assert words in raised.value.ru


def test_a_code_allows_nothing_offline() -> None:
    code = PresentedCode.read(text_of(CARD), PARAMETERS, world.NOW_MS)
    assert (code.passport(), code.pin_attempts_remaining()) == (None, None)


def test_a_code_does_not_stand_in_for_a_pin() -> None:
    code = PresentedCode.read(text_of(CARD), PARAMETERS, world.NOW_MS)
    with pytest.raises(CardRefused, match="PIN"):
        code.sign(bytes(32), Evidence.PIN, lambda: world.PIN)
