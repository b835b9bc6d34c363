"""A text file that appears under its name whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from processing.reconciliation.errors import ExportRefused

OWNER_ONLY: Final = 0o600
"""An export shows a provider's business: who else may read it is its owner's decision."""


class WholeFile:
    """A file being written beside its place; `keep` puts it there."""

    def __init__(self, path: Path, aside: Path) -> None:
        self._path = path
        self._aside = aside

    @contextlib.contextmanager
    def write(self, encoding: str) -> Iterator[TextIO]:
        """Open the file to write it from its start. Raises `ExportRefused`."""
        with (
            explained(self._path),
            self._aside.open("w", encoding=encoding, newline="") as file,
        ):
            yield file
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def read(self, encoding: str) -> Iterator[TextIO]:
        """Open what was written to read it. Raises `ExportRefused`."""
        with explained(self._path), self._aside.open(encoding=encoding, newline="") as file:
            yield file

    def keep(self) -> None:
        """Give the file its name, in place of an older one. Raises `ExportRefused`."""
        with explained(self._path):
            self._aside.replace(self._path)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[WholeFile]:
    """Make a place to write beside `path`, gone at the end unless it was kept.

    Raises `ExportRefused` at once when nothing can be written there.
    """
    aside = path.parent / f".spk-export-{secrets.token_hex(8)}"
    with explained(path):
        if path.is_dir():
            raise ExportRefused(f"{path} is a folder; give the name of the file to write in it")
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
    try:
        yield WholeFile(path, aside)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the system refuses into an error that names the file."""
    try:
        yield
    except OSError as error:
        raise ExportRefused(
            f"{path} cannot be written: {error.strerror or error}; give a path in a folder that "
            "exists and that you may write to"
        ) from error
