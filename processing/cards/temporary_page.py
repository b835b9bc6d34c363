"""The sheet that a citizen gets in the place of a lost card: the QR code and how it serves.

It names nobody: who holds the sheet can use it, as with the card. One template gives PDF (PDF/UA),
PNG and SVG.
"""

from __future__ import annotations

import io
import json
from datetime import date
from typing import Final, Literal

import segno
import typst

from processing.wire.temporary_card import TEXT_LENGTH_MAX

PageFormat = Literal["pdf", "png", "svg"]

PIXELS_PER_INCH: Final = 150

_TEMPLATE: Final = """
#let told = json(bytes(sys.inputs.words))
#set document(title: told.title)
#set page(paper: "a5", margin: 14mm)
#set text(lang: told.lang, size: 10.5pt, hyphenate: false)
#align(center)[
  #text(size: 18pt, weight: "bold")[#told.title]
  #v(1mm)
  #text(size: 13pt)[#told.until]
  #v(2mm)
  #image(bytes(sys.inputs.code), format: "svg", width: 78mm, alt: told.title)
]
#v(2mm)
#for line in told.lines [- #line]
#v(1fr)
#text(size: 8.5pt)[#told.foot]
"""


def temporary_page(
    text: str, card_id: str, valid_to: date, pickup: str, language: str, kind: PageFormat
) -> bytes:
    """Return the sheet as a file. `text` is the code's, `pickup` where the new card waits."""
    if len(text) > TEXT_LENGTH_MAX:
        raise ValueError(f"a temporary card's text has at most {TEXT_LENGTH_MAX} characters")
    drawn = io.BytesIO()
    segno.make_qr(text, error="m", boost_error=False).save(drawn, kind="svg", border=4, scale=4)
    inputs = {
        "code": drawn.getvalue().decode(),
        "words": json.dumps(_words(card_id, valid_to, pickup, language), ensure_ascii=False),
    }
    made: bytes | list[bytes] = typst.compile(
        _TEMPLATE.encode(),
        format=kind,
        ppi=PIXELS_PER_INCH if kind == "png" else None,
        pdf_standards="ua-1" if kind == "pdf" else None,
        sys_inputs=inputs,
    )
    if not isinstance(made, bytes):
        raise ValueError("the sheet has more than one page: shorten the words about the new card")
    return made


def _words(card_id: str, valid_to: date, pickup: str, language: str) -> dict[str, object]:
    if language == "ru":
        return {
            "lang": "ru",
            "title": "Временная социальная карта",
            "until": f"действует по {valid_to:%d.%m.%Y} включительно",
            "lines": [
                "Покажите код на кассе или в регистратуре вместо утерянной карты.",
                "Права и остатки те же. Услуги, для которых нужен ПИН-код, по нему не оказывают.",
                "Код принимают, только когда у кассы есть связь с центром.",
                "Кто держит лист, тот может им воспользоваться. Потеряли — позвоните сразу.",
                f"Новая карта: {pickup}. С её получением этот код перестаёт действовать.",
                "Нашли прежнюю карту — не пользуйтесь ею, она приостановлена; скажите нам.",
            ],
            "foot": f"Номер временной карты {card_id}",
        }
    return {
        "lang": "en",
        "title": "Temporary social card",
        "until": f"serves up to and including {valid_to:%d.%m.%Y}",
        "lines": [
            "Show the code at the till or the desk in the place of the lost card.",
            "Your rights and what is left of them are the same. None where a PIN is due.",
            "The code is taken only while the till is connected to the centre.",
            "Whoever holds this sheet can use it. If you lose it, call at once.",
            f"The new card: {pickup}. When you get it, this code ends.",
            "If you find the old card, do not use it: it is suspended. Tell us.",
        ],
        "foot": f"Temporary card {card_id}",
    }
