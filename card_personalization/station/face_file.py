"""A card's face between the centre, a folder of photos and the files that a card printer takes."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import UUID

from card_personalization.station.face import CardFace, face_pdf, face_pictures, read_photo
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.new_file import write_new_file
from processing.wire import batches as wire

PHOTO_ENDINGS: Final = (".jpg", ".jpeg", ".png")


def find_photo(folder: Path | None, order_id: UUID, card_number: str) -> bytes:
    """Return the photo that is named by the order's id or the card's number; empty: there is none.

    StationError(PHOTO_UNUSABLE, FILE_UNUSABLE), the latter also where there is no such folder.
    """
    if folder is None:
        return b""
    if not folder.is_dir():
        detail = "нет такой папки / no such folder"
        raise StationError(StationFault.FILE_UNUSABLE, path=str(folder), detail=detail)
    for name in (str(order_id), card_number):
        for ending in PHOTO_ENDINGS:
            if (path := folder / f"{name}{ending}").exists():
                return read_photo(path)
    return b""


def card_face(told: wire.CardFace, phone: str, photo: bytes = b"") -> CardFace:
    """Return the face of a card from what the centre tells of it."""
    return CardFace(
        last_name=told.last_name,
        first_name=told.first_name,
        patronymic=told.patronymic or "",
        card_number=told.card_number,
        region_name=told.region_ru,
        valid_to=told.valid_to,
        phone=phone,
        photo=photo,
    )


def write_face(face: CardFace, folder: Path) -> Path:
    """Write a face as a PDF and two PNG, for the owner's eyes alone; return the PDF's path."""
    pictures = face_pictures(face)
    for side, picture in pictures.items():
        write_new_file(folder / f"{face.card_number}-{side.value}.png", picture)
    path = folder / f"{face.card_number}.pdf"
    write_new_file(path, face_pdf(face))
    return path
