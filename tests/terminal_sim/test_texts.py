"""What a terminal calls things."""

from __future__ import annotations

import msgspec
import pytest

from terminal_sim.errors import Language
from terminal_sim.texts import class_name
from tests.terminal_sim import world


@pytest.mark.parametrize(
    ("more", "language", "expected"),
    [
        (0, "ru", "Эналаприл, таблетки 10 мг, 20 шт."),
        (1, "ru", "Эналаприл, таблетки 10 мг, 20 шт. и ещё 1"),
        (2, "en", "Enalapril, 10 mg tablets, pack of 20 and 2 more"),
    ],
)
def test_a_class_is_called_by_its_items(more: int, language: Language, expected: str) -> None:
    first = next(item for item in world.parameters().items if item.item == "ENALAPRIL-10-20")
    others = [msgspec.structs.replace(first, item=f"ENAP-{n}") for n in range(more)]
    parameters = msgspec.structs.replace(world.parameters(), items=(first, *others))
    assert class_name(first.item_class, parameters, language) == expected


def test_a_class_without_items_is_called_by_its_code() -> None:
    assert class_name("MORPHINE", world.parameters(), "ru") == "MORPHINE"
