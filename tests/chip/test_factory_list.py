from __future__ import annotations

import pytest

from card_personalization.chip.piv.objects import Algorithm, Slot
from card_personalization.chip.profiles.factory_list import (
    LIST_MAX_LINES,
    FactoryListError,
    parse_factory_list,
)
from card_personalization.chip.profiles.family import CardIdentity, FactoryKey
from card_personalization.chip.profiles.generic import GenericFamily
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import (
    FACTORY_MANAGEMENT_KEY,
    Profile,
    factory_state,
)
from tests.chip.writing import client_over

PRODUCTION = bytes(12) + bytes.fromhex("00001267") + bytes(26)
GUID = bytes(range(16))


@pytest.mark.parametrize(
    ("text", "production", "guid", "key_byte"),
    [
        ("00001267 " + "11" * 24, PRODUCTION, None, 0x11),
        (PRODUCTION.hex() + " " + "12" * 24 + "\n00001267 " + "11" * 24, PRODUCTION, GUID, 0x12),
        (f"{GUID.hex()} {'13' * 24}\n* {'14' * 24}", PRODUCTION, GUID, 0x13),
        ("* " + "14" * 24 + "  # the whole lot\n\n# end", None, None, 0x14),
        ("00001268 " + "11" * 24, PRODUCTION, GUID, None),
        ("", None, None, None),
    ],
)
def test_the_key_of_a_card(
    text: str, production: bytes | None, guid: bytes | None, key_byte: int | None
) -> None:
    found = parse_factory_list(text).key_for(CardIdentity("generic", production=production), guid)
    expected = None if key_byte is None else FactoryKey(bytes([key_byte]) * 24, Algorithm.AES_192)
    assert found == expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("* 00", 1, "16, 24 or 32 bytes"),
        ("\nxyz " + "11" * 24, 2, "hexadecimal"),
        ("0102 " + "11" * 24, 1, "named by its CPLC"),
        ("00001267", 1, "number and its key"),
        (f"00001267 {'11' * 16}\n00001267 {'12' * 16}", 2, "above already"),
        ("\n" * (LIST_MAX_LINES + 1), LIST_MAX_LINES + 1, "split it"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(text: str, line: int, words: str) -> None:
    with pytest.raises(FactoryListError, match=words) as caught:
        parse_factory_list(text)
    assert (caught.value.line, caught.value.ru.startswith(f"строка {line}: ")) == (line, True)
    assert "11111111" not in str(caught.value)


def test_a_generic_card_opens_with_its_key_of_the_list() -> None:
    client = client_over(SoftCard(factory_state(Profile.GENERIC, 1)))
    driver = GenericFamily()
    listed = parse_factory_list(f"* {FACTORY_MANAGEMENT_KEY.hex()}")
    key = listed.key_for(driver.identify(client), None)
    driver.open(client, driver.factory_access(key))
    assert len(driver.make_key(client, Slot.CARD_AUTHENTICATION)) == 65
