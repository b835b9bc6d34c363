"""The face of a card: everything fits, nothing is cut, nothing personal is left behind."""

from __future__ import annotations

import io
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader

from card_personalization.station.face import (
    NAME_LENGTH_MAX,
    PHOTO_BYTES_MAX,
    CardFace,
    FaceSide,
    face_pdf,
    face_pictures,
    read_photo,
)
from card_personalization.station.faults import StationError, StationFault

NUMBER = "9643909912345678901"
POINTS_PER_MM = 72 / 25.4


def face(**changes: object) -> CardFace:
    fields: dict[str, object] = {
        "last_name": "Тестова",
        "first_name": "Проба",
        "patronymic": "Ивановна",
        "card_number": NUMBER,
        "region_name": "Свердловская область",
        "valid_to": date(2031, 11, 21),
        "phone": "8 800 000-00-00",
    }
    return CardFace(**{**fields, **changes})  # type: ignore[arg-type]


def pages(made: CardFace) -> list[str]:
    """Give each page's text without spaces, of a PDF that must be two CR80 pages."""
    found = PdfReader(io.BytesIO(face_pdf(made))).pages
    sizes = {
        (round(float(page.mediabox.width), 1), round(float(page.mediabox.height), 1))
        for page in found
    }
    assert sizes == {(round(85.6 * POINTS_PER_MM, 1), round(54 * POINTS_PER_MM, 1))}
    assert len(found) == 2
    return [re.sub(r"[\s\u200b]", "", page.extract_text()) for page in found]


def photo(kind: str = "JPEG", size: tuple[int, int] = (600, 800)) -> bytes:
    written = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.new("RGB", size, (200, 30, 30)).save(written, format=kind, exif=exif)
    return written.getvalue()


def test_both_sides_say_what_they_must() -> None:
    front, back = pages(face())
    for words in ("ТЕСТОВА", "ПробаИвановна", NUMBER, "21.11.2031", "Свердловскаяобласть"):
        assert words in front
    for words in ("Потеряликарту?", "88000000000", NUMBER):
        assert words.replace("-", "") in back.replace("-", "")
    assert "чип" not in front
    assert "ТЕСТОВА" not in back


NAMES = st.text(st.sampled_from("АЖЩЮаеёжшщыю -'"), min_size=1, max_size=NAME_LENGTH_MAX).map(
    lambda name: "А" + name[1:]
)


@settings(max_examples=12, deadline=None)
@given(NAMES, NAMES, NAMES, NAMES)
def test_no_letter_is_ever_lost(last: str, first: str, patronymic: str, region: str) -> None:
    made = face(last_name=last, first_name=first, patronymic=patronymic, region_name=region)
    front = pages(made)[0].replace("-", "").replace("\u2019", "'")
    for name in (last.upper(), first, patronymic, region):
        assert re.sub(r"[\s-]", "", name) in front


def ink_right_of(picture: bytes, left_mm: float, top_mm: float, bottom_mm: float) -> bool:
    """Whether something is drawn right of the name's box, between two heights."""
    image = Image.open(io.BytesIO(picture)).convert("L")
    scale = image.width / 85.6
    box = (int(left_mm * scale), int(top_mm * scale), image.width, int(bottom_mm * scale))
    darkest = image.crop(box).getextrema()[0]
    return isinstance(darkest, int | float) and darkest < 128


@pytest.mark.parametrize(
    "last",
    ["Ли", "Константинопольская-Преображенская", "Ж" * NAME_LENGTH_MAX, "Щ-" * 50, "Ю " * 50],
    ids=["short", "double-barrelled", "longest", "hyphens", "spaces"],
)
def test_a_long_name_shrinks_and_stays_in_its_place(last: str) -> None:
    front = face_pictures(face(last_name=last, first_name=last, patronymic=last))[FaceSide.FRONT]
    # Between names and the QR code's right edge nothing but the photo, which is light, is drawn.
    assert not ink_right_of(front, 61.5, 30.0, 38.0)


def test_the_contacts_of_the_chip_are_not_printed_on() -> None:
    picture = face_pictures(face(region_name="Ю" * NAME_LENGTH_MAX))[FaceSide.FRONT]
    image = Image.open(io.BytesIO(picture)).convert("L")
    scale = image.width / 85.6
    # ISO/IEC 7816-2: the contacts lie between 10.25 and 19.87 mm, 19.23 and 28.55 mm.
    contacts = image.crop(
        (int(10.25 * scale), int(19.23 * scale), int(19.87 * scale), int(22 * scale))
    )
    assert contacts.getextrema() == (255, 255)


@pytest.mark.parametrize(("kind", "size"), [("JPEG", (600, 800)), ("PNG", (1200, 400))])
def test_a_photo_is_printed_without_what_the_camera_wrote(kind: str, size: tuple[int, int]) -> None:
    made = face(photo=photo(kind, size))
    front = face_pictures(made)[FaceSide.FRONT]
    image = Image.open(io.BytesIO(front)).convert("RGB")
    scale = image.width / 85.6
    pixel = image.getpixel((int(71 * scale), int(25 * scale)))
    assert isinstance(pixel, tuple)
    assert all(abs(is_ - was) < 8 for is_, was in zip(pixel, (200, 30, 30), strict=True))
    assert b"taken at home" not in face_pdf(made)
    assert "taken" not in repr(PdfReader(io.BytesIO(face_pdf(made))).metadata)


@pytest.mark.parametrize(
    "content", [b"GIF89a", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"x" * 99]
)
def test_what_is_no_photo_is_refused_plainly(content: bytes) -> None:
    with pytest.raises(StationError) as refused:
        face_pdf(face(photo=content))
    assert refused.value.fault is StationFault.PHOTO_UNUSABLE
    assert "JPEG" in refused.value.text("ru")


def test_a_photo_file_has_a_limit(tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(PHOTO_BYTES_MAX + 1))
    with pytest.raises(StationError) as refused:
        read_photo(large)
    assert refused.value.fault is StationFault.PHOTO_UNUSABLE
    with pytest.raises(StationError) as missing:
        read_photo(tmp_path / "none.jpg")
    assert missing.value.fault is StationFault.FILE_UNUSABLE


@pytest.mark.parametrize("last", ["", " ", "А" * (NAME_LENGTH_MAX + 1)])
def test_a_name_that_cannot_be_printed_is_refused(last: str) -> None:
    with pytest.raises(StationError) as refused:
        face_pdf(face(last_name=last))
    assert refused.value.fault is StationFault.FACE_UNPRINTABLE


@pytest.mark.parametrize("last", ["Ӄӷҥҕӊҷ", "Ғафуров", "Ҳамидова", "Йүрий", "Nguyễn"])
def test_letters_of_other_alphabets_are_printed(last: str) -> None:
    assert last.upper() in pages(face(last_name=last))[0]


def test_a_letter_that_no_font_has_is_told_and_not_left_out() -> None:
    for make in (face_pdf, face_pictures):
        with pytest.raises(StationError) as refused:
            make(face(first_name="张伟"))
        assert refused.value.fault is StationFault.FACE_LETTERS


def test_no_log_learns_the_name() -> None:
    assert "Тестова" not in repr(face())
