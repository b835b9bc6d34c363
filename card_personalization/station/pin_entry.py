"""Taking a PIN from a person without showing it, or from a file."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Final

from card_personalization.chip.errors import Language
from card_personalization.station.faults import StationError, StationFault

FILE_BYTES_MAX: Final = 64


def read_code(prompt: str, path: Path | None, repeat: Language | None = None) -> str:
    """Return the code in `path`, or the one typed; with `repeat` it is typed twice.

    Raises StationError(FILE_UNUSABLE), or (CHOICE) when the two differ.
    """
    if path is not None:
        try:
            with path.open("rb") as file:
                return file.read(FILE_BYTES_MAX).decode("ascii", "replace").strip()
        except OSError as error:
            detail = error.strerror or str(error)
            raise StationError(StationFault.FILE_UNUSABLE, path=str(path), detail=detail) from None
    code = getpass.getpass(prompt)
    if repeat is None:
        return code
    again = getpass.getpass("Ещё раз: " if repeat == "ru" else "Again: ")
    if again != code:
        raise StationError(
            StationFault.CHOICE,
            ru="Введённые ПИН-коды не совпали, карта не изменена",
            en="The two PINs differ; the card was not changed",
        )
    return code
