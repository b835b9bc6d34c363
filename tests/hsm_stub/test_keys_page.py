"""docs/keys.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from hsm_stub.client import commands as c
from tests.hsm_stub.test_kdf import VECTORS

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"


@pytest.fixture(scope="module")
def first_columns() -> list[str]:
    return re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)


def test_every_command_and_refusal_is_there(first_columns: list[str]) -> None:
    tags = [msgspec.inspect.type_info(kind) for kind in get_args(c.Command)]
    commands = [info.tag for info in tags if isinstance(info, msgspec.inspect.StructType)]
    refusals = [refusal.value for refusal in c.Refusal]
    assert first_columns == commands + refusals


@pytest.mark.parametrize("expected", [expected for _, _, expected in VECTORS])
def test_derivation_values_are_the_tested_ones(expected: str) -> None:
    assert f"`{expected}`" in PAGE.read_text("utf-8")
