"""A scratch server that a test may kill or spoil."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from processing.kernel.embedded import EmbeddedPostgres


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a folder for a server of this test's own, which is stopped after it."""
    # Not tmp_path: root's is closed to the account that PostgreSQL runs as.
    folder = Path(tempfile.mkdtemp(prefix="spk-kernel-"))
    folder.chmod(0o711)
    yield folder
    if (folder / "postgres").exists():
        EmbeddedPostgres(folder).stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def scratch() -> Iterator[EmbeddedPostgres]:
    """Give a running server that only the tests of one module use."""
    folder = Path(tempfile.mkdtemp(prefix="spk-kernel-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)
