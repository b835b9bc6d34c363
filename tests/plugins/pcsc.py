"""Virtual readers over a real pcscd, one per test process, for every test marked `pcsc`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from card_personalization.readers.pcscd import ReadersError
from card_personalization.readers.virtual import VirtualReaders, virtual_readers

READERS = 16
"""As many as one station has; an empty one costs nothing."""


@pytest.fixture(scope="session")
def virtual_readers_session() -> Iterator[VirtualReaders]:
    """Virtual readers, empty when a test gets them by `readers`."""
    try:
        started = virtual_readers(READERS)
        running = started.__enter__()
    except ReadersError as error:
        pytest.skip(str(error))
    try:
        yield running
    finally:
        started.__exit__(None, None, None)


@pytest.fixture
def readers(virtual_readers_session: VirtualReaders) -> Iterator[VirtualReaders]:
    """The session's virtual readers, emptied after the test."""
    yield virtual_readers_session
    virtual_readers_session.empty_all()
