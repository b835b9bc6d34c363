"""What can go wrong between a program and a card, as a closed list with words for people.

    CardError               any of them: `fault`, `facts`, `text(language)`
     ├ TransportError       no service, no reader, no card, or the card went away
     ├ MalformedAnswer      the card's bytes break its own standard
     └ StatusError          the card answered with a status word that is not success: `sw`
        └ AttemptError      wrong or blocked PIN or PUK: `attempts_remaining`

A wrong value passed by our own caller (a digest of 31 bytes, a PIN of letters) is a ValueError.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

import msgspec

Language = Literal["ru", "en"]


class CardFault(StrEnum):
    """Every way in which a talk with a card fails."""

    LIBRARY_ABSENT = "library_absent"
    SERVICE_ABSENT = "service_absent"
    NO_READER = "no_reader"
    READER_UNKNOWN = "reader_unknown"
    READER_LOST = "reader_lost"
    NO_CARD = "no_card"
    CARD_REMOVED = "card_removed"
    CARD_RESET = "card_reset"
    CARD_BUSY = "card_busy"
    CARD_MUTE = "card_mute"
    COMMUNICATION = "communication"
    WAIT_ENDED = "wait_ended"
    NOT_PIV = "not_piv"
    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    STATUS = "status"
    NOT_FOUND = "not_found"
    NO_SPACE = "no_space"
    NOT_ALLOWED = "not_allowed"
    NOT_SUPPORTED = "not_supported"
    VALUE_REFUSED = "value_refused"
    PIN_WRONG = "pin_wrong"
    PIN_BLOCKED = "pin_blocked"
    PUK_WRONG = "puk_wrong"
    PUK_BLOCKED = "puk_blocked"
    MANAGEMENT_KEY_WRONG = "management_key_wrong"
    CARD_UNPROVEN = "card_unproven"


class FaultText(msgspec.Struct, frozen=True):
    """A fault in Russian and English: what happened and what to do, with {facts} to fill in."""

    ru: str
    en: str


TEXTS: Final[dict[CardFault, FaultText]] = {
    CardFault.LIBRARY_ABSENT: FaultText(
        "Библиотека PC/SC не найдена ({detail}). Установите pyscard и пакет libpcsclite1",
        "The PC/SC library was not found ({detail}). Install pyscard and the package libpcsclite1",
    ),
    CardFault.SERVICE_ABSENT: FaultText(
        "Служба смарт-карт не отвечает. Запустите pcscd или команду spk reader start",
        "The smart-card service does not answer. Start pcscd or run spk reader start",
    ),
    CardFault.NO_READER: FaultText(
        "Считыватель не подключён. Подключите считыватель или запустите spk reader start",
        "No card reader is connected. Connect one or run spk reader start",
    ),
    CardFault.READER_UNKNOWN: FaultText(
        "Нет считывателя «{reader}». Подключены: {readers}",
        "There is no reader “{reader}”. Connected: {readers}",
    ),
    CardFault.READER_LOST: FaultText(
        "Считыватель «{reader}» отключён. Подключите его снова",
        "The reader “{reader}” was disconnected. Connect it again",
    ),
    CardFault.NO_CARD: FaultText(
        "В считывателе «{reader}» нет карты. Приложите карту",
        "There is no card in the reader “{reader}”. Present the card",
    ),
    CardFault.CARD_REMOVED: FaultText(
        "Карта убрана из считывателя «{reader}» раньше времени. Приложите её снова",
        "The card left the reader “{reader}” too early. Present it again",
    ),
    CardFault.CARD_RESET: FaultText(
        "Другая программа сбросила карту в «{reader}». Начните операцию заново",
        "Another program reset the card in “{reader}”. Start the operation again",
    ),
    CardFault.CARD_BUSY: FaultText(
        "Карта в «{reader}» занята другой программой. Закройте её и повторите",
        "The card in “{reader}” is in use by another program. Close it and repeat",
    ),
    CardFault.CARD_MUTE: FaultText(
        "Карта в «{reader}» не отвечает. Протрите контакты, проверьте сторону, приложите снова",
        "The card in “{reader}” does not answer. Clean it, check its side, present it again",
    ),
    CardFault.COMMUNICATION: FaultText(
        "Сбой связи с картой в «{reader}»: {detail}. Приложите карту снова",
        "Talking to the card in “{reader}” failed: {detail}. Present the card again",
    ),
    CardFault.WAIT_ENDED: FaultText(
        "За {timeout_ms} мс ожидаемое не произошло: {awaited}",
        "It did not happen within {timeout_ms} ms: {awaited}",
    ),
    CardFault.NOT_PIV: FaultText(
        "На карте нет приложения PIV (ответ {sw}). Это не социальная карта",
        "The card carries no PIV application (status {sw}). It is not a social card",
    ),
    CardFault.MALFORMED: FaultText(
        "Ответ карты нарушает стандарт: {detail}",
        "The card's answer breaks the standard: {detail}",
    ),
    CardFault.TOO_LONG: FaultText(
        "Ответ карты длиннее {limit_bytes} байт и не принят",
        "The card's answer exceeds {limit_bytes} bytes and was not taken",
    ),
    CardFault.STATUS: FaultText(
        "Карта отказала: {what}, ответ {sw} ({name})",
        "The card refused: {what}, status {sw} ({name})",
    ),
    CardFault.NOT_FOUND: FaultText(
        "На карте этого нет: {what}",
        "The card does not hold it: {what}",
    ),
    CardFault.NO_SPACE: FaultText(
        "На карте не хватает места: {what}",
        "The card has no room for it: {what}",
    ),
    CardFault.NOT_ALLOWED: FaultText(
        "Карта не разрешает: {what}. Нужен ПИН-код, ключ управления или контактный считыватель",
        "The card does not permit it: {what}. It wants the PIN, the management key or contacts",
    ),
    CardFault.NOT_SUPPORTED: FaultText(
        "Карта или её семейство этого не умеет: {what}",
        "The card or its family cannot do it: {what}",
    ),
    CardFault.VALUE_REFUSED: FaultText(
        "Карта не приняла значение: {what}",
        "The card did not take the value: {what}",
    ),
    CardFault.PIN_WRONG: FaultText(
        "Неверный ПИН-код. Осталось попыток: {attempts_remaining}",
        "Wrong PIN. Attempts left: {attempts_remaining}",
    ),
    CardFault.PIN_BLOCKED: FaultText(
        "ПИН-код заблокирован. Разблокируйте его кодом PUK в эмиссионном центре",
        "The PIN is blocked. Have it unblocked with the PUK at the issuing office",
    ),
    CardFault.PUK_WRONG: FaultText(
        "Неверный код PUK. Осталось попыток: {attempts_remaining}",
        "Wrong PUK. Attempts left: {attempts_remaining}",
    ),
    CardFault.PUK_BLOCKED: FaultText(
        "Код PUK заблокирован. Карту нужно заменить",
        "The PUK is blocked. The card has to be replaced",
    ),
    CardFault.MANAGEMENT_KEY_WRONG: FaultText(
        "Карта не приняла ключ управления (9B). Проверьте, чья это карта и каким ключом выпущена",
        "The card refused the management key (9B). Check whose card it is and how it was issued",
    ),
    CardFault.CARD_UNPROVEN: FaultText(
        "Карта не доказала, что знает ключ управления (9B). Не записывайте её",
        "The card did not prove that it knows the management key (9B). Do not write it",
    ),
}


class CardError(Exception):
    """A talk with a card failed: `fault` says how, `facts` fill its text."""

    def __init__(self, fault: CardFault, **facts: str | int) -> None:
        self.fault = fault
        self.facts = facts
        super().__init__(self.text("en"))

    def text(self, language: Language) -> str:
        """The sentence for a person, in Russian or English."""
        entry = TEXTS[self.fault]
        return (entry.ru if language == "ru" else entry.en).format_map(self.facts)


class TransportError(CardError):
    """The way to the card is broken: service, reader or the card's presence."""


class MalformedAnswer(CardError):
    """The card answered, but its bytes break the standard; `detail` names the place."""

    def __init__(self, detail: str) -> None:
        super().__init__(CardFault.MALFORMED, detail=detail)


class StatusError(CardError):
    """The card answered with a status word other than success."""

    def __init__(self, fault: CardFault, sw: int, **facts: str | int) -> None:
        self.sw = sw
        super().__init__(fault, sw=f"{sw:04X}", **facts)


class AttemptError(StatusError):
    """A wrong or blocked PIN or PUK. `attempts_remaining` is 0 when blocked."""

    def __init__(self, fault: CardFault, sw: int, attempts_remaining: int) -> None:
        self.attempts_remaining = attempts_remaining
        super().__init__(fault, sw, attempts_remaining=attempts_remaining)
