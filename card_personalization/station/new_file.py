"""Writing a file that must not be there yet and that only its owner reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from card_personalization.station.faults import StationError, StationFault

_OWNER_ONLY: Final = 0o600


def write_new_file(path: Path, content: bytes) -> None:
    """Write a new file to the disk. StationError(FILE_UNUSABLE), also where there is one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        detail = error.strerror or str(error)
        raise StationError(StationFault.FILE_UNUSABLE, path=str(path), detail=detail) from None
