"""What can go wrong between a program and a card, as a closed list with words for people.

    CardError               any of them: `fault`, `facts`, `text(language)`
     ├ TransportError       no service, no reader, no card, or the card went away
     ├ MalformedAnswer      the card's bytes break its own standard
     ├ StatusError          the card answered with a status word that is not success: `sw`
     │  └ AttemptError      wrong or blocked PIN or PUK: `attempts_remaining`
     ├ UnfitCard            the card works, but is not the one to write
     │  ├ WrongFamily       of another family than ordered
     │  ├ OldFirmware       of the right family, but too old
     │  ├ CardTooSmall      no room for what is to be written
     │  ├ AlreadyIssued     a finished card of somebody
     │  ├ CardBegun         its writing was begun and broke off
     │  ├ WrongFactoryKey   locked with a key that is not the lot's
     │  ├ CodesBlocked      PIN or PUK is blocked
     │  └ ContactsNeeded    it lies on a contactless reader and wants contacts
     ├ ChannelError         the secure channel (SCP03) was not opened, or broke
     └ AttestationError     the proof that a key was made on the chip does not hold

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
    FAMILY_WRONG = "family_wrong"
    FIRMWARE_OLD = "firmware_old"
    CARD_TOO_SMALL = "card_too_small"
    CARD_FULL = "card_full"
    ALREADY_ISSUED = "already_issued"
    CARD_BEGUN = "card_begun"
    FACTORY_KEY_WRONG = "factory_key_wrong"
    CODES_BLOCKED = "codes_blocked"
    CONTACTS_NEEDED = "contacts_needed"
    CHANNEL_KEYS_WRONG = "channel_keys_wrong"
    CHANNEL_VERSION_ABSENT = "channel_version_absent"
    CHANNEL_PROTOCOL = "channel_protocol"
    CHANNEL_REFUSED = "channel_refused"
    CHANNEL_ENDED = "channel_ended"
    CHANNEL_FORGED = "channel_forged"
    ATTESTATION_INVALID = "attestation_invalid"


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
    CardFault.FAMILY_WRONG: FaultText(
        "Карта семейства «{family}», а нужна «{expected}». Возьмите карту нужного семейства",
        "The card is of the family “{family}”, wanted is “{expected}”. Take one of that family",
    ),
    CardFault.FIRMWARE_OLD: FaultText(
        "Прошивка карты {version} слишком стара, нужна {needed} или новее. Возьмите другую карту",
        "The card's firmware {version} is too old, {needed} or newer is needed. Take another card",
    ),
    CardFault.CARD_TOO_SMALL: FaultText(
        "На карте мало места: нужно {needed_bytes} байт, свободно {free_bytes}. Возьмите другую",
        "The card is too small: {needed_bytes} bytes needed, {free_bytes} free. Take another",
    ),
    CardFault.CARD_FULL: FaultText(
        "На карте мало места: нужно {needed_bytes} байт. Возьмите другую",
        "The card is too small: {needed_bytes} bytes needed. Take another",
    ),
    CardFault.ALREADY_ISSUED: FaultText(
        "Карта уже выпущена (GUID {guid}). Возьмите чистую карту",
        "The card is issued already (GUID {guid}). Take a blank card",
    ),
    CardFault.CARD_BEGUN: FaultText(
        "Карту уже начинали записывать: {what}. Продолжите её выпуск или сбросьте её",
        "Writing this card was begun before: {what}. Resume its issue or reset it",
    ),
    CardFault.FACTORY_KEY_WRONG: FaultText(
        "Карта не приняла заводской ключ ({key}). Укажите ключ этой партии карт",
        "The card refused the factory key ({key}). Give the key of this lot of cards",
    ),
    CardFault.CODES_BLOCKED: FaultText(
        "На карте заблокирован {code}. Сбросьте карту или отложите её в брак",
        "The card's {code} is blocked. Reset the card or put it with the spoiled ones",
    ),
    CardFault.CONTACTS_NEEDED: FaultText(
        "Бесконтактно карта этого не разрешает: {what}. Вставьте её в контактный считыватель",
        "Without contacts the card does not permit it: {what}. Put it into a contact reader",
    ),
    CardFault.CHANNEL_KEYS_WRONG: FaultText(
        "Ключи защищённого канала (SCP03) не подходят к карте. Проверьте ключи этой партии",
        "The secure-channel keys (SCP03) do not fit the card. Check the keys of this lot",
    ),
    CardFault.CHANNEL_VERSION_ABSENT: FaultText(
        "На карте нет ключей защищённого канала версии {version}. Проверьте ключи этой партии",
        "The card holds no secure-channel keys of version {version}. Check the keys of this lot",
    ),
    CardFault.CHANNEL_PROTOCOL: FaultText(
        "Карта не умеет нужный защищённый канал: {detail}. Нужна карта с SCP03",
        "The card does not speak the secure channel needed: {detail}. It takes a card with SCP03",
    ),
    CardFault.CHANNEL_REFUSED: FaultText(
        "Карта отказалась открыть защищённый канал (ответ {sw}). Проверьте ключи и считыватель",
        "The card refused to open a secure channel (status {sw}). Check the keys and the reader",
    ),
    CardFault.CHANNEL_ENDED: FaultText(
        "Карта прервала защищённый канал (ответ {sw}). Начните операцию заново",
        "The card ended the secure channel (status {sw}). Start the operation again",
    ),
    CardFault.CHANNEL_FORGED: FaultText(
        "Ответ не подтверждён картой: {detail}. Не доверяйте этому считывателю",
        "The card does not vouch for the answer: {detail}. Do not trust this reader",
    ),
    CardFault.ATTESTATION_INVALID: FaultText(
        "Не доказано, что ключ {slot} создан на карте: {detail}. Не выпускайте эту карту",
        "It is not proven that key {slot} was made on the card: {detail}. Do not issue this card",
    ),
}


class CardError(Exception):
    """A talk with a card failed: `fault` says how, `facts` fill its text."""

    def __init__(self, fault: CardFault, **facts: str | int) -> None:
        self.fault = fault
        self.facts = facts
        # In words only when somebody reads it: a blank card refuses a dozen questions.
        super().__init__(fault)

    def __str__(self) -> str:
        return self.text("en")

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


class UnfitCard(CardError):
    """The card works, but must not be written. Each reason is a class of its own."""


class WrongFamily(UnfitCard):
    """The card is of another family than the one wanted."""

    def __init__(self, family: str, expected: str) -> None:
        super().__init__(CardFault.FAMILY_WRONG, family=family, expected=expected)


class OldFirmware(UnfitCard):
    """The card's firmware lacks what is needed; versions as people write them ("5.4.3")."""

    def __init__(self, version: str, needed: str) -> None:
        super().__init__(CardFault.FIRMWARE_OLD, version=version, needed=needed)


class CardTooSmall(UnfitCard):
    """The card has no room. `free_bytes` is None where the card cannot be asked."""

    def __init__(self, needed_bytes: int, free_bytes: int | None) -> None:
        if free_bytes is None:
            super().__init__(CardFault.CARD_FULL, needed_bytes=needed_bytes)
        else:
            super().__init__(
                CardFault.CARD_TOO_SMALL, needed_bytes=needed_bytes, free_bytes=free_bytes
            )


class AlreadyIssued(UnfitCard):
    """The card carries a GUID and takes no factory key: it is somebody's."""

    def __init__(self, guid: bytes) -> None:
        self.guid = guid
        super().__init__(CardFault.ALREADY_ISSUED, guid=guid.hex())


class CardBegun(UnfitCard):
    """The card takes the factory key, yet something has been written on it."""

    def __init__(self, what: str) -> None:
        super().__init__(CardFault.CARD_BEGUN, what=what)


class WrongFactoryKey(UnfitCard):
    """The card refuses the factory key and carries no GUID: it is of another lot."""

    def __init__(self, key: str) -> None:
        super().__init__(CardFault.FACTORY_KEY_WRONG, key=key)


class CodesBlocked(UnfitCard):
    """PIN or PUK of the card is blocked."""

    def __init__(self, code: str) -> None:
        super().__init__(CardFault.CODES_BLOCKED, code=code)


class ContactsNeeded(UnfitCard):
    """The card lies on a contactless reader, where it refuses what is to be done."""

    def __init__(self, what: str) -> None:
        super().__init__(CardFault.CONTACTS_NEEDED, what=what)


class ChannelError(CardError):
    """A secure channel could not be opened, or can no longer be trusted."""


class AttestationError(CardError):
    """An attestation does not prove what it should; `detail` says what fails."""

    def __init__(self, slot: int, detail: str) -> None:
        super().__init__(CardFault.ATTESTATION_INVALID, slot=f"{slot:X}", detail=detail)
