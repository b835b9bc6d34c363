"""The steps that make a blank card a social card, in their order, in words for who watches."""

from __future__ import annotations

from enum import Enum

import msgspec

from card_personalization.chip.errors import Language


class StepText(msgspec.Struct, frozen=True):
    """What a step does, in Russian and English."""

    ru: str
    en: str


class Step(Enum):
    """One step. Nothing counts before the last; a card that leaves before it is taken up again."""

    RECOGNISE = StepText("Узнать карту", "Recognise the card")
    CHECK = StepText("Проверить, что карта чистая", "Check that the card is blank")
    ORDER = StepText("Взять заявку", "Take an order")
    MARK = StepText("Записать GUID карты", "Write the card's GUID")
    KEYS = StepText("Создать ключи на карте", "Put the keys on the card")
    CERTIFY = StepText("Получить сертификаты", "Have the keys certified")
    OBJECTS = StepText(
        "Записать сертификаты и социальный паспорт", "Write certificates and social passport"
    )
    CODES = StepText("Задать ПИН-код и PUK", "Set PIN and PUK")
    LOCK = StepText("Сменить заводские ключи карты", "Replace the card's factory keys")
    READ_BACK = StepText("Прочитать и сверить записанное", "Read everything back")
    CHALLENGE = StepText("Проверить ключи карты", "Challenge the card's keys")
    LETTER = StepText("Выдать ПИН-конверт", "Hand over the PIN letter")
    REPORT = StepText("Сообщить центру", "Report to the centre")

    @property
    def number(self) -> int:
        """The step's place, from 1."""
        return list(Step).index(self) + 1

    def text(self, language: Language) -> str:
        """What the step does, as people read it."""
        return self.value.ru if language == "ru" else self.value.en
