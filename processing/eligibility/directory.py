"""What rules of eligibility refer to; read from the database."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ClassUnit(msgspec.Struct, frozen=True):
    """What a right to an item class counts: ОКЕИ code, decimals."""

    unit_okei: int
    scale: int


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """The codes that a rule may use, with their Russian and English names."""

    measures: Mapping[str, tuple[str, str]]
    categories: Mapping[str, tuple[str, str]]
    events: Mapping[str, tuple[str, str]]
    records: Mapping[str, tuple[str, str]]
    parameters: Mapping[str, tuple[str, str]]
    item_classes: Mapping[str, ClassUnit]

    def name(self, code: str, language: str) -> str:
        """Return what a code is called, or the code itself."""
        for names in (self.measures, self.categories, self.events, self.records, self.parameters):
            if code in names:
                return names[code][0 if language == "ru" else 1]
        return code
