from __future__ import annotations

import string

import pytest

from card_personalization.chip.errors import TEXTS, CardError, CardFault


def _facts(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("fault", CardFault)
def test_every_fault_has_a_text_in_both_languages(fault: CardFault) -> None:
    text = TEXTS[fault]
    assert _facts(text.ru) == _facts(text.en)
    assert text.en.replace("“", "").replace("”", "").isascii()
    assert any("а" <= letter <= "я" for letter in text.ru.lower())
    error = CardError(fault, **dict.fromkeys(_facts(text.en), 7))
    assert "{" not in error.text("ru") + error.text("en") + str(error)
