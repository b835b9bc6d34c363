"""The face of a card, laid out for a card printer: CR80, 85.6 × 54 mm, front and back.

A page names the person of one order and lives in memory; who wants a file says where. Names
shrink until they fit and are never cut. Neither side prints where the chip's contacts are
(ISO/IEC 7816-2); a picture for the screen shows their outline instead.
"""

from __future__ import annotations

import io
import json
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Final, Literal

import msgspec
import segno
import typst
from PIL import Image, ImageOps

from card_personalization.station.faults import StationError, StationFault

FaceFormat = Literal["pdf", "png"]

PIXELS_PER_INCH: Final = 300
"""What card printers print."""
NAME_LENGTH_MAX: Final = 100
"""Longest part of a name that still fits a card in letters that can be read."""
PHOTO_BYTES_MAX: Final = 8 * 1024 * 1024
PHOTO_PIXELS_MAX: Final = 50_000_000
"""Largest photo that is opened, before it is made as small as it is printed."""
PHOTO_SIZE: Final = (228, 300)
"""Width and height of a printed photo in pixels: 19 × 25 mm at 300 per inch, rounded up."""
JPEG_QUALITY: Final = 92


class FaceSide(Enum):
    """Which side of the card a page shows."""

    FRONT = "front"
    BACK = "back"


class CardFace(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed on one card; `phone` is where a lost card is told.

    `photo` is a JPEG or PNG file's content, empty: a placeholder.
    """

    last_name: str
    first_name: str
    patronymic: str
    card_number: str
    region_name: str
    valid_to: date
    phone: str
    photo: bytes = b""

    def __repr__(self) -> str:
        """Name the card only: the person must not reach a log."""
        return f"CardFace({self.card_number!r}, <hidden>)"


def face_pdf(face: CardFace) -> bytes:
    """Return front and back as two pages for a card printer.

    StationError: FACE_UNPRINTABLE, FACE_LETTERS, PHOTO_UNUSABLE.
    """
    made = _compile(face, "pdf", outline=False)
    if len(made) != 1:
        raise AssertionError("a PDF is one file")
    return made[0]


def face_pictures(face: CardFace) -> dict[FaceSide, bytes]:
    """Return front and back as PNG for a screen, the chip's outline drawn."""
    # Only the PDF tells of letters that cannot be printed.
    face_pdf(face)
    front, back = _compile(face, "png", outline=True)
    return {FaceSide.FRONT: front, FaceSide.BACK: back}


def read_photo(path: Path) -> bytes:
    """Return a photo file's content. StationError(PHOTO_UNUSABLE, FILE_UNUSABLE)."""
    try:
        with path.open("rb") as file:
            content = file.read(PHOTO_BYTES_MAX + 1)
    except OSError as error:
        detail = error.strerror or str(error)
        raise StationError(StationFault.FILE_UNUSABLE, path=str(path), detail=detail) from None
    if len(content) > PHOTO_BYTES_MAX:
        raise _photo_unusable(f"> {PHOTO_BYTES_MAX // 1024 // 1024} MB")
    return content


def grouped(card_number: str) -> str:
    """Return a card number as people read it: in fours."""
    return " ".join(card_number[start : start + 4] for start in range(0, len(card_number), 4))


def _compile(face: CardFace, kind: FaceFormat, *, outline: bool) -> list[bytes]:
    names = (face.last_name, face.first_name, face.patronymic, face.region_name)
    if any(len(name) > NAME_LENGTH_MAX for name in names) or not face.last_name.strip():
        raise StationError(StationFault.FACE_UNPRINTABLE, length=NAME_LENGTH_MAX)
    words = {
        "last": face.last_name.upper(),
        "given": " ".join(filter(None, (face.first_name, face.patronymic))),
        "number": grouped(face.card_number),
        "region": face.region_name,
        "until": f"{face.valid_to:%d.%m.%Y}",
        "phone": face.phone,
        # typst takes text alone, and makes bytes of numbers.
        "photo": [*_printable(face.photo)] if face.photo else None,
        "outline": outline,
    }
    inputs = {
        "words": json.dumps(words, ensure_ascii=False),
        "code": _code(face.card_number),
    }
    try:
        made: bytes | list[bytes] = typst.compile(
            _TEMPLATE.encode(),
            format=kind,
            ppi=PIXELS_PER_INCH if kind == "png" else None,
            # A letter that no font has is an error there, no empty box.
            pdf_standards="a-2b" if kind == "pdf" else None,
            # What is printed must not depend on the fonts of this machine.
            ignore_system_fonts=True,
            sys_inputs=inputs,
        )
    except typst.TypstError as error:
        raise StationError(StationFault.FACE_LETTERS, detail=str(error)) from None
    return [made] if isinstance(made, bytes) else made


def _code(card_number: str) -> str:
    """Draw the card number, and nothing else, as a QR code that a till's scanner reads."""
    drawn = io.BytesIO()
    segno.make_qr(card_number, error="m").save(drawn, kind="svg", border=2, scale=4)
    return drawn.getvalue().decode()


def _printable(photo: bytes) -> bytes:
    """Return a photo as JPEG, upright, cropped and as small as it is printed.

    What a camera writes beside it (place, owner, time) is left out.
    """
    try:
        with Image.open(io.BytesIO(photo), formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > PHOTO_PIXELS_MAX:
                raise _photo_unusable(f"> {PHOTO_PIXELS_MAX // 1_000_000} Mpx")
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _photo_unusable(str(error)) from None
    # Faces are above the middle of a portrait.
    fitted = ImageOps.fit(upright, PHOTO_SIZE, Image.Resampling.LANCZOS, centering=(0.5, 0.35))
    written = io.BytesIO()
    fitted.save(written, format="JPEG", quality=JPEG_QUALITY)
    return written.getvalue()


def _photo_unusable(detail: str) -> StationError:
    return StationError(StationFault.PHOTO_UNUSABLE, detail=detail)


_TEMPLATE: Final = """
#let told = json(bytes(sys.inputs.words))
#let ink = rgb("#14323f")
#set document(title: "Социально-платёжная карта")
#set page(width: 85.6mm, height: 54mm, margin: 0mm)
#set text(lang: "ru", fill: ink, hyphenate: false)
#set par(leading: 0.25em, spacing: 0.45em)

// The largest letters in which a text fits a box. Lines break at spaces and hyphens; only a
// word that would be smaller than 5pt otherwise breaks anywhere. Nothing is cut.
#let fit(said, width, height, largest, ..style) = context {
  let room(size, said) = {
    let set-in = text.with(size: size, bottom-edge: "descender", ..style)
    let parts = said.split(regex("[- \\u{200b}]")).map(part => measure(set-in(part + "-")).width)
    calc.max(..parts) <= width and measure(width: width, set-in(said)).height <= height
  }
  let shown = said
  let size = largest
  while size > 5pt and not room(size, shown) { size -= 0.25pt }
  if not room(size, shown) {
    shown = said.clusters().join("\\u{200b}")
    while size > 3pt and not room(size, shown) { size -= 0.25pt }
  }
  box(width: width, height: height, align(horizon,
    text(size: size, bottom-edge: "descender", ..style, shown)))
}

#let chip = place(dx: 9mm, dy: 18.2mm, rect(width: 13mm, height: 11.4mm, radius: 1.6mm,
  stroke: (paint: luma(150), thickness: 0.4pt, dash: "dashed"),
  align(center + horizon, text(size: 5.5pt, fill: luma(110))[чип])))

#place(rect(width: 85.6mm, height: 10.5mm, fill: ink))
#place(dx: 5mm, dy: 0mm, box(height: 10.5mm, align(horizon,
  text(fill: white, size: 12.5pt, weight: "bold")[Социально-платёжная карта])))
#if told.outline { chip }
#place(dx: 25mm, dy: 13mm, fit(told.region, 34mm, 16mm, 11pt))

#place(dx: 62.1mm, dy: 13mm, box(width: 19mm, height: 25mm, clip: true, fill: luma(238),
  if told.photo != none { image(bytes(told.photo), width: 19mm, height: 25mm, fit: "cover",
    alt: "Фотография держателя") } else {
    place(dx: 6mm, dy: 5.2mm, circle(radius: 3.5mm, fill: luma(180)))
    place(dx: 2.5mm, dy: 13.5mm, rect(width: 14mm, height: 14mm, radius: (top: 6mm),
      fill: luma(180)))
  }))
#place(dx: 67.6mm, dy: 39.2mm, image(bytes(sys.inputs.code), width: 13.5mm,
  format: "svg", alt: "Номер карты в виде QR-кода"))

#place(dx: 5mm, dy: 30.6mm, fit(told.last, 55mm, 6.4mm, 12pt, weight: "bold"))
#place(dx: 5mm, dy: 37.3mm, fit(told.given, 55mm, 5mm, 10.5pt))
#place(dx: 5mm, dy: 43mm, text(font: "DejaVu Sans Mono", size: 10.2pt, weight: "bold", told.number))
#place(dx: 5mm, dy: 48.2mm, text(size: 7.5pt)[действует по #text(weight: "bold", told.until)])

#pagebreak()
#place(rect(width: 85.6mm, height: 8mm, fill: ink))
#place(dx: 5mm, dy: 1mm, fit(told.region, 75mm, 6mm, 9pt, fill: white))
#place(dx: 5mm, dy: 12mm, box(width: 75mm)[
  #text(size: 11pt, weight: "bold")[Потеряли карту? Позвоните сразу:]
  #v(0.6mm)
  #fit(told.phone, 75mm, 7mm, 17pt, weight: "bold")
  #v(0.4mm)
  #set text(size: 8.2pt)
  #set par(leading: 0.45em)
  Карту остановят в ту же минуту и дадут временную. Права и остатки сохранятся.
  #v(0.8mm)
  Никому не говорите ПИН-код и не храните его рядом с картой: его не спрашивает
  ни врач, ни кассир, ни сотрудник по телефону.
  #v(0.8mm)
  Нашли чужую карту? Позвоните по этому же телефону.
])
#place(dx: 5mm, dy: 48.2mm, text(font: "DejaVu Sans Mono", size: 7.5pt, told.number))
"""
