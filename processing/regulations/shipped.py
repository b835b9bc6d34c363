"""The regulations that come with this release (catalogue/*.toml)."""

from __future__ import annotations

from importlib import resources
from typing import Final

from processing.regulations.document import Regulation, read_regulation

CATALOGUE: Final = "catalogue"


def shipped_regulations() -> tuple[Regulation, ...]:
    """Return every shipped regulation, by file name; raises `DocumentError`."""
    folder = resources.files("processing.regulations").joinpath(CATALOGUE)
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(
        read_regulation(file.read_bytes(), file.name)
        for file in files
        if file.name.endswith(".toml")
    )
