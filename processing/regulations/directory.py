"""What regulations refer to: measures, items, kinds of providers. Read from the database."""

from __future__ import annotations

import msgspec


class ItemEntry(msgspec.Struct, frozen=True):
    """An item's class, its unit (ОКЕИ) and the decimals of a quantity."""

    item_class: str
    unit_okei: int
    scale: int


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """The codes that a regulation may use.

    `measures` gives the names; `opened` the benefit categories that open each of them.
    """

    measures: dict[str, str]
    opened: dict[str, frozenset[str]]
    items: dict[str, ItemEntry]
    provider_kinds: frozenset[str]
