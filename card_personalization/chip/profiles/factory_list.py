"""The list of management keys that a maker delivers with a lot of cards.

A line per card, `identifier key` in hexadecimal, or `*` for the whole lot; `#` begins a remark. An
identifier is the card's production data (CPLC, 42 bytes), its chip serial within them (4 bytes), or
the GUID that the maker put on the card (16 bytes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from card_personalization.chip.piv.objects import GUID_BYTES, Algorithm
from card_personalization.chip.profiles.family import CardIdentity, FactoryKey

LIST_MAX_LINES: Final = 100_000
PRODUCTION_BYTES: Final = 42
CHIP_SERIAL_BYTES: Final = 4
_CHIP_SERIAL_AT: Final = 12
_IDENTIFIER_BYTES: Final = (PRODUCTION_BYTES, CHIP_SERIAL_BYTES, GUID_BYTES)
_ALGORITHMS: Final = {16: Algorithm.AES_128, 24: Algorithm.AES_192, 32: Algorithm.AES_256}


class FactoryListError(ValueError):
    """A line of the list cannot be used; `line` counts from 1. The key is never repeated."""

    def __init__(self, line: int, ru: str, en: str) -> None:
        self.line = line
        self.ru = f"строка {line}: {ru}"
        self.en = f"line {line}: {en}"
        super().__init__(self.en)


class FactoryList(msgspec.Struct, frozen=True):
    """Keys by identifier, and the key of the whole lot, if it has one."""

    keys: Mapping[bytes, FactoryKey]
    lot_key: FactoryKey | None = None

    def key_for(self, identity: CardIdentity, guid: bytes | None) -> FactoryKey | None:
        """The key of one card; None if the list knows neither it nor a key of the lot."""
        production = identity.production or b""
        serial = production[_CHIP_SERIAL_AT : _CHIP_SERIAL_AT + CHIP_SERIAL_BYTES]
        for identifier in (production, guid or b"", serial):
            if identifier in self.keys:
                return self.keys[identifier]
        return self.lot_key


def parse_factory_list(text: str) -> FactoryList:
    """Read a maker's list. FactoryListError at the first line that cannot be used."""
    keys: dict[bytes, FactoryKey] = {}
    lot_key: FactoryKey | None = None
    lines = text.splitlines()
    if len(lines) > LIST_MAX_LINES:
        raise FactoryListError(
            LIST_MAX_LINES + 1,
            f"в списке больше {LIST_MAX_LINES} строк; разделите его",
            f"the list has more than {LIST_MAX_LINES} lines; split it",
        )
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        name, key = _entry(number, words)
        if name is None:
            lot_key = key
        elif name in keys:
            raise FactoryListError(
                number, "такая карта уже есть выше", "this card stands above already"
            )
        else:
            keys[name] = key
    return FactoryList(keys, lot_key)


def _entry(number: int, words: list[str]) -> tuple[bytes | None, FactoryKey]:
    if len(words) != 2:
        raise FactoryListError(
            number, "нужны номер карты и ключ через пробел", "give a card's number and its key"
        )
    try:
        name = None if words[0] == "*" else bytes.fromhex(words[0])
        key = bytes.fromhex(words[1])
    except ValueError:
        raise FactoryListError(
            number, "нужны шестнадцатеричные цифры", "hexadecimal digits are needed"
        ) from None
    if name is not None and len(name) not in _IDENTIFIER_BYTES:
        raise FactoryListError(
            number,
            "номер карты — CPLC (42 байта), GUID (16) или номер чипа (4)",
            "a card is named by its CPLC (42 bytes), GUID (16) or chip serial (4)",
        )
    if len(key) not in _ALGORITHMS:
        raise FactoryListError(
            number, "ключ AES — 16, 24 или 32 байта", "an AES key has 16, 24 or 32 bytes"
        )
    return name, FactoryKey(key, _ALGORITHMS[len(key)])
