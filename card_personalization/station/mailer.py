"""The PIN mailer: a letter on A4 with the codes of one card, as tagged PDF/A.

It is laid out in memory and written to no disk; `card_personalization.station.mailing` prints it.
Folded twice at its marks it shows whose card it is for and hides the codes.
"""

from __future__ import annotations

import json
from typing import Final

import typst

from card_personalization.chip.errors import Language
from card_personalization.station.face import grouped
from card_personalization.station.pin_letter import PinLetter


def mailer_pdf(letter: PinLetter, phone: str, language: Language) -> bytes:
    """Return the mailer as a page of A4; nothing is written to any disk."""
    told = {
        **_WORDS[language],
        "lang": language,
        "number": grouped(letter.card_number),
        "pin": letter.pin,
        "puk": letter.puk,
        "phone": phone,
    }
    made: bytes | list[bytes] = typst.compile(
        _TEMPLATE.encode(),
        format="pdf",
        # PDF/A-2 level A (ISO 19005-2) for archives, PDF/UA-1 (ISO 14289-1) for those who hear it.
        pdf_standards=["a-2a", "ua-1"],
        # What is printed must not depend on the fonts of this machine.
        ignore_system_fonts=True,
        sys_inputs={"words": json.dumps(told, ensure_ascii=False)},
    )
    if not isinstance(made, bytes):
        raise AssertionError("a PDF is one file")
    return made


_WORDS: Final[dict[Language, dict[str, str | list[str]]]] = {
    "ru": {
        "title": "ПИН-код вашей социальной карты",
        "sealed": "Вскрывает только держатель карты",
        "torn": "Если письмо вскрыто до вас, не берите карту и скажите об этом сразу.",
        "card": "Карта",
        "pin_label": "ПИН-код",
        "puk_label": "Код PUK",
        "puk_words": "нужен, только если ПИН-код пять раз подряд набрали неверно",
        "first": "Что сделать сначала",
        "steps": [
            "Сверьте номер карты в письме с номером на карте.",
            "Запомните ПИН-код. Набирайте его сами, прикрыв рукой клавиши.",
            "Хотите свой ПИН-код — смените его там, где выдают карты.",
            "Спрячьте письмо отдельно от карты или уничтожьте его.",
        ],
        "never": "ПИН-код не спрашивает никто: ни врач, ни кассир, ни сотрудник по телефону.",
        "when": "ПИН-код нужен не всегда: во многих местах карту просто прикладывают.",
        "lost": "Потеряли карту или письмо — позвоните сразу:",
        "once": "Письмо напечатано один раз. Копии нет ни у кого.",
        "fold": "линия сгиба",
    },
    "en": {
        "title": "The PIN of your social card",
        "sealed": "To be opened by the cardholder only",
        "torn": "If somebody opened this letter before you, do not take the card; say so at once.",
        "card": "Card",
        "pin_label": "PIN",
        "puk_label": "PUK",
        "puk_words": "wanted only after five wrong PINs in a row",
        "first": "What to do first",
        "steps": [
            "Compare the card's number in this letter with that on the card.",
            "Learn the PIN by heart. Key it in yourself, with a hand over the keys.",
            "If you want a PIN of your own, change it where cards are handed out.",
            "Keep this letter away from the card, or destroy it.",
        ],
        "never": "Nobody asks for your PIN: no doctor, no cashier, nobody on the telephone.",
        "when": "The PIN is not always wanted: in many places a tap is enough.",
        "lost": "If you lose the card or this letter, call at once:",
        "once": "This letter was printed once. Nobody has a copy.",
        "fold": "fold here",
    },
}

_TEMPLATE: Final = """
#let told = json(bytes(sys.inputs.words))
#set document(title: told.title)
#let fold-mark(y) = place(top + left, dy: y, pdf.artifact({
  line(length: 6mm, stroke: 0.4pt + luma(90))
  place(dx: 7mm, dy: -3.2mm, text(size: 6.5pt, fill: luma(90), told.fold))
}))
#set page(paper: "a4", margin: (x: 22mm, top: 18mm, bottom: 12mm),
  background: { fold-mark(99mm); fold-mark(198mm) })
#set text(lang: told.lang, size: 14pt, hyphenate: false)
#set par(leading: 0.6em, spacing: 5mm)
#show heading: set block(above: 0mm, below: 4mm)

// The outer third, which is seen when the letter is folded.
#block(height: 81mm)[
  #heading(level: 1, told.title)
  #text(size: 16pt)[#told.card #text(font: "DejaVu Sans Mono", size: 14pt, told.number)]

  #v(8mm)
  #text(size: 17pt, weight: "bold", told.sealed)

  #told.torn
]

// The middle third, which is folded inwards.
#block(height: 99mm, inset: (top: 12mm))[
  #set par(spacing: 5mm)
  #text(size: 16pt, told.pin_label)

  #box(stroke: 1.2pt, radius: 3mm, inset: (x: 7mm, y: 6mm),
    text(font: "DejaVu Sans Mono", size: 54pt, weight: "bold", tracking: 0.2em, told.pin))

  #v(3mm)
  #text(size: 14pt, told.puk_label) #h(3mm)
  #text(font: "DejaVu Sans Mono", size: 20pt, tracking: 0.15em, told.puk)

  #told.puk_words
]

#heading(level: 2, told.first)
#enum(..told.steps, spacing: 2.2mm)

#text(weight: "bold", told.never) #told.when

#told.lost #text(size: 18pt, weight: "bold", told.phone)
#v(1fr)
#text(size: 10pt, told.once)
"""
