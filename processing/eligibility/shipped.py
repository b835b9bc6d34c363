"""The rules of eligibility that come with this release (catalogue/*.toml)."""

from __future__ import annotations

from importlib import resources
from typing import Final

from processing.eligibility.document import Rule, read_rule

CATALOGUE: Final = "catalogue"


def shipped_rules() -> tuple[Rule, ...]:
    """Return every shipped rule, by file name; raises `DocumentError`."""
    folder = resources.files("processing.eligibility").joinpath(CATALOGUE)
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(
        read_rule(file.read_bytes(), file.name) for file in files if file.name.endswith(".toml")
    )
