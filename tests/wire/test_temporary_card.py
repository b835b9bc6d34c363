"""Temporary cards: a code that the centre signed reads back, and no other text does."""

from __future__ import annotations

from datetime import date

import base45
import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.signed_map import map_bytes, seal
from processing.wire.statement import Domain
from processing.wire.temporary_card import (
    PREFIX,
    TEXT_LENGTH_MAX,
    TemporaryCard,
    TemporaryCardError,
    TemporaryCardFault,
)
from tests.plugins.stop_lists import PUBLIC_KEY, signature_of

CARD = TemporaryCard(
    card_id=bytes(range(16)),
    region=99,
    valid_to=date(2026, 12, 5),
    private_key=bytes(range(32)),
)


def text_of(body: dict[int, object], domain: Domain = Domain.TEMPORARY_CARD) -> str:
    document = map_bytes(body)
    data = seal(document, *signature_of(document, domain))
    return PREFIX + str(base45.b45encode(data), "ascii")


BODY: dict[int, object] = {1: 1, 2: CARD.card_id, 3: 99, 4: 20_792, 5: CARD.private_key}
SOUND = text_of(BODY)


def test_a_code_reads_back_and_is_small() -> None:
    text = CARD.encode(*signature_of(CARD.document, Domain.TEMPORARY_CARD))
    assert TemporaryCard.decode(f" {text}\n", [PUBLIC_KEY]) == CARD
    code = segno.make(text, error="m", micro=False)
    assert (code.mode, code.version) == ("alphanumeric", 8)
    assert len(text) <= TEXT_LENGTH_MAX


def test_the_key_is_in_no_log() -> None:
    assert "hidden" in repr(CARD)
    assert CARD.private_key.hex() not in repr(CARD)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", TemporaryCardFault.UNREADABLE),
        ("https://example.org", TemporaryCardFault.UNREADABLE),
        (PREFIX, TemporaryCardFault.UNREADABLE),
        (PREFIX + "::::", TemporaryCardFault.UNREADABLE),
        (PREFIX + "жжж", TemporaryCardFault.UNREADABLE),
        (SOUND[:-3], TemporaryCardFault.UNREADABLE),
        (SOUND + "0" * TEXT_LENGTH_MAX, TemporaryCardFault.UNREADABLE),
        (text_of(BODY, Domain.STOP_LIST), TemporaryCardFault.SIGNATURE_WRONG),
        (text_of({**BODY, 1: 2}), TemporaryCardFault.UNREADABLE),
        (text_of({**BODY, 2: bytes(15)}), TemporaryCardFault.UNREADABLE),
        (text_of({**BODY, 4: 10**12}), TemporaryCardFault.UNREADABLE),
        (text_of({**BODY, 5: bytes(33)}), TemporaryCardFault.UNREADABLE),
        (text_of({**BODY, 6: 0}), TemporaryCardFault.UNREADABLE),
    ],
)
def test_other_texts_are_refused(text: str, fault: TemporaryCardFault) -> None:
    with pytest.raises(TemporaryCardError) as raised:
        TemporaryCard.decode(text, [PUBLIC_KEY])
    assert raised.value.fault is fault
    assert fault.ru != fault.en


def test_another_regions_code_is_told_apart() -> None:
    with pytest.raises(TemporaryCardError) as raised:
        TemporaryCard.decode(SOUND, [])
    assert raised.value.fault is TemporaryCardFault.KEY_OTHER


@given(st.text(max_size=TEXT_LENGTH_MAX))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(TemporaryCardError):
        TemporaryCard.decode(PREFIX + text, [PUBLIC_KEY])
