"""Servers that a test may kill or spoil, and empty folders for them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from processing.kernel.embedded import EmbeddedPostgres


@pytest.fixture
def home() -> Iterator[Path]:
    """Give an empty folder for a server of this test's own, which is stopped after it."""
    yield from open_folder()


@pytest.fixture(scope="session")
def pristine() -> Iterator[Path]:
    """Give a home whose database is made and stopped, to be copied: quicker than making one."""
    for folder in open_folder():
        server = EmbeddedPostgres(folder)
        server.start()
        server.stop()
        yield folder


@pytest.fixture
def prepared(home: Path, pristine: Path) -> EmbeddedPostgres:
    """Give a stopped server of this test's own whose database is made."""
    shutil.rmtree(home)
    subprocess.run(["cp", "-a", str(pristine), str(home)], check=True)
    return EmbeddedPostgres(home)


@pytest.fixture(scope="module")
def scratch() -> Iterator[EmbeddedPostgres]:
    """Give a running server that only the tests of one module use."""
    for folder in open_folder():
        server = EmbeddedPostgres(folder)
        server.start()
        yield server


def open_folder() -> Iterator[Path]:
    """Give a folder, then stop the server in it and remove it."""
    # Not tmp_path: root's is closed to the account that PostgreSQL runs as.
    folder = Path(tempfile.mkdtemp(prefix="spk-kernel-"))
    folder.chmod(0o711)
    yield folder
    if (folder / "postgres").exists():
        EmbeddedPostgres(folder).stop()
    shutil.rmtree(folder)
