"""What can go wrong at a station, as a closed list with words for the person at it.

    StationError            any of them: `fault`, `facts`, `text(language)`
     ├ CentreAway           no usable answer from the centre; what it did is not known
     └ CentreRefused        the centre said no: `problem`

Errors of the card (`card_personalization.chip.errors`) and of the key service
(`hsm_stub.client.errors`) pass through as they are; `words` gives their sentence too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from card_personalization.chip.errors import CardError, Language
from hsm_stub.client.errors import HsmError
from processing.wire.api import Problem


class StationFault(StrEnum):
    """Every way in which a station's work fails, beside the card's and the key service's own."""

    CENTRE_AWAY = "centre_away"
    CENTRE_REFUSED = "centre_refused"
    CENTRE_ADDRESS = "centre_address"
    TOKEN_UNUSABLE = "token_unusable"  # noqa: S105 - a name, no token
    CARD_IN_USE = "card_in_use"
    CARD_BLANK = "card_blank"
    CARD_NOT_BLANK = "card_not_blank"
    FAMILY_UNSUITED = "family_unsuited"
    READ_BACK_DIFFERS = "read_back_differs"
    KEY_UNPROVEN = "key_unproven"
    CERTIFICATE_UNREADABLE = "certificate_unreadable"
    FILE_UNUSABLE = "file_unusable"
    FILE_EXISTS = "file_exists"
    DRAWER = "drawer"
    PIN_FORM = "pin_form"
    PIN_TRANSPORT = "pin_transport"
    PIN_AT_CENTRE = "pin_at_centre"
    FACE_UNPRINTABLE = "face_unprintable"
    FACE_LETTERS = "face_letters"
    PHOTO_UNUSABLE = "photo_unusable"
    MAILER_PRINTED = "mailer_printed"
    MAILER_SPOILED = "mailer_spoiled"
    MAILERS_LEFT = "mailers_left"
    PRINTER = "printer"
    JOURNAL = "journal"
    JOURNAL_BUSY = "journal_busy"
    JOURNAL_DAMAGED = "journal_damaged"
    SEAL_BROKEN = "seal_broken"
    BATCH_WITHOUT_KEYS = "batch_without_keys"
    ORDER_NOT_IN_BATCH = "order_not_in_batch"
    CARD_AT_OTHER_READER = "card_at_other_reader"
    BOOKS_OPEN = "books_open"
    BOOKS_DIFFER = "books_differ"
    CHOICE = "choice"
    STOPPED = "stopped"
    CARD_COUNTS = "card_counts"
    ORDER_OTHER_CARD = "order_other_card"


class FaultText(msgspec.Struct, frozen=True):
    """A fault in Russian and English: what happened and what to do, with {facts} to fill in."""

    ru: str
    en: str


TEXTS: Final[dict[StationFault, FaultText]] = {
    StationFault.CENTRE_AWAY: FaultText(
        "Центр по адресу {address} не отвечает ({detail}). Проверьте адрес и сеть и повторите",
        "The centre at {address} does not answer ({detail}). Check address and network, repeat",
    ),
    StationFault.CENTRE_REFUSED: FaultText("{ru}", "{en}"),
    StationFault.CENTRE_ADDRESS: FaultText(
        "{address}: нужен адрес https://…; http:// допустим только на этой машине (127.0.0.1)",
        "{address}: give an https:// address; http:// is for this machine only (127.0.0.1)",
    ),
    StationFault.TOKEN_UNUSABLE: FaultText(
        "Нет токена станции ({detail}). Оператор выдаёт его командой spk cards add-station; "
        "укажите файл: --token-file",
        "There is no station token ({detail}). The operator makes one with spk cards add-station; "
        "name its file with --token-file",
    ),
    StationFault.CARD_IN_USE: FaultText(
        "Карта уже выпущена: номер {card_number}, GUID {card_id}. Возьмите чистую карту; чтобы "
        "использовать эту заново, заблокируйте её и сбросьте: spk card reset",
        "The card is issued already: number {card_number}, GUID {card_id}. Take a blank card; to "
        "use this one again, have it blocked and reset it: spk card reset",
    ),
    StationFault.CARD_BLANK: FaultText(
        "Карта чистая, она ещё не выпущена. Выпустить: spk card issue",
        "The card is blank, it is not issued yet. Issue it: spk card issue",
    ),
    StationFault.CARD_NOT_BLANK: FaultText(
        "Карту уже начинали выпускать и не закончили. Сбросьте её: spk card reset",
        "Issuing this card was begun before and not finished. Reset it: spk card reset",
    ),
    StationFault.FAMILY_UNSUITED: FaultText(
        "Карта семейства «{family}»: {ru}",
        "A card of the family “{family}”: {en}",
    ),
    StationFault.READ_BACK_DIFFERS: FaultText(
        "Карта вернула не то, что было записано: {what}. Карта неисправна, возьмите другую",
        "The card gave back something else than was written: {what}. It is faulty, take another",
    ),
    StationFault.KEY_UNPROVEN: FaultText(
        "Подпись ключом {slot} не сходится с его сертификатом. Этой карте нельзя доверять",
        "The signature of key {slot} does not fit its certificate. Do not trust this card",
    ),
    StationFault.CERTIFICATE_UNREADABLE: FaultText(
        "Сертификат ключа {slot} не разобран: {detail}",
        "The certificate of key {slot} cannot be read: {detail}",
    ),
    StationFault.FILE_UNUSABLE: FaultText("{path}: {detail}", "{path}: {detail}"),
    StationFault.FILE_EXISTS: FaultText(
        "Файл {path} уже есть. Уберите его или укажите другой",
        "The file {path} exists already. Move it away or name another",
    ),
    StationFault.DRAWER: FaultText("Ящик карт: {detail}", "The drawer of cards: {detail}"),
    StationFault.PIN_FORM: FaultText(
        "ПИН-код состоит из 6–8 цифр. Попытка не потрачена",
        "A PIN has 6 to 8 digits. No attempt was lost",
    ),
    StationFault.PIN_TRANSPORT: FaultText(
        "Это транспортный ПИН-код, он напечатан на карте. Нужен другой. Карта не изменена",
        "This is the transport PIN, which is printed on the card. Take another. Nothing is changed",
    ),
    StationFault.PIN_AT_CENTRE: FaultText(
        "У карты транспортный ПИН-код. Его меняют с ведома центра: укажите --token-file. Карта не "
        "изменена",
        "The card has its transport PIN. It is changed with the centre's knowledge: give "
        "--token-file. The card is not changed",
    ),
    StationFault.FACE_UNPRINTABLE: FaultText(
        "Имя пусто или не помещается на карту (больше {length} знаков). Исправьте запись регистра",
        "The name is empty or does not fit the card (over {length} characters). Mend the register",
    ),
    StationFault.FACE_LETTERS: FaultText(
        "В имени есть знаки, которых нет в шрифте карты ({detail}). Исправьте запись регистра",
        "The name has characters that the card's font lacks ({detail}). Mend the register",
    ),
    StationFault.PHOTO_UNUSABLE: FaultText(
        "Фотография не подходит ({detail}). Нужен файл JPEG или PNG с портретом",
        "The photo cannot be used ({detail}). It takes a JPEG or PNG file with a portrait",
    ),
    StationFault.MAILER_PRINTED: FaultText(
        "ПИН-конверт карты {card_number} уже печатали, второго экземпляра не бывает. Попытка "
        "записана, их было: {refusals}. Если конверта нет, выпустите карту заново",
        "The PIN mailer of card {card_number} was printed before and there is no second copy. The "
        "attempt is on record, so far: {refusals}. If the mailer is lost, issue the card anew",
    ),
    StationFault.MAILER_SPOILED: FaultText(
        "Печать ПИН-конверта карты {card_number} прервалась ({detail}). Уничтожьте то, что вышло "
        "из принтера: этот ПИН-код больше не печатают, карту надо выпустить заново",
        "Printing the PIN mailer of card {card_number} broke off ({detail}). Destroy what came out "
        "of the printer: this PIN is never printed again, the card has to be issued anew",
    ),
    StationFault.MAILERS_LEFT: FaultText(
        "Смену не закрыть: не стёрты файлы ПИН-конвертов — {count} ({places}). Напечатайте их и "
        "сотрите: spk station wipe-mailers",
        "The books cannot be closed: files of PIN mailers not wiped — {count} ({places}). Print "
        "them and wipe them: spk station wipe-mailers",
    ),
    StationFault.PRINTER: FaultText(
        "Команда печати не запускается ({detail}). Ничего не напечатано; проверьте её и повторите",
        "The print command does not start ({detail}). Nothing was printed; check it and repeat",
    ),
    StationFault.JOURNAL: FaultText(
        "Журнал станции {path} не записать или не прочитать: {detail}. Пока это не исправлено, "
        "карты не пишутся",
        "The station's journal {path} cannot be written or read: {detail}. No card is written "
        "until that is mended",
    ),
    StationFault.JOURNAL_BUSY: FaultText(
        "Журнал {path} занят: на этой станции уже идёт выпуск. Дождитесь его конца",
        "The journal {path} is in use: cards are being issued at this station. Wait for the end",
    ),
    StationFault.JOURNAL_DAMAGED: FaultText(
        "Журнал {path} повреждён в строке {line}. Верните его из копии; без него нельзя сказать, "
        "какие карты начаты",
        "The journal {path} is damaged in line {line}. Restore it from a copy: without it nobody "
        "can say which cards were begun",
    ),
    StationFault.SEAL_BROKEN: FaultText(
        "ПИН-код карты {guid} в журнале не вскрывается: это ключи другого центра или другой партии",
        "The PIN of card {guid} in the journal does not open: these are the keys of another centre "
        "or batch",
    ),
    StationFault.BATCH_WITHOUT_KEYS: FaultText(
        "В файле партии нет ключей карты {card_number}, а службы ключей здесь нет. Нужен файл, "
        "выгруженный с --make-keys",
        "The batch file brings no keys of card {card_number}, and there is no key service here. It "
        "takes a file exported with --make-keys",
    ),
    StationFault.ORDER_NOT_IN_BATCH: FaultText(
        "Карта {card_number} начата по другому файлу партии. Продолжите с тем файлом",
        "Card {card_number} was begun from another batch file. Go on with that file",
    ),
    StationFault.CARD_AT_OTHER_READER: FaultText(
        "По этой заявке уже пишется карта в другом считывателе. Уберите эту",
        "A card of this order is being written at another reader. Take this one away",
    ),
    StationFault.BOOKS_OPEN: FaultText(
        "Смену не закрыть: не закончено карт — {count} ({numbers}). Вставьте их ещё раз или "
        "спишите: spk station spoiled",
        "The books cannot be closed: cards not finished — {count} ({numbers}). Put them in again "
        "or write them off: spk station spoiled",
    ),
    StationFault.BOOKS_DIFFER: FaultText(
        "Счёт заготовок не сходится: пришло {blanks}, годных {good}, брака {spoiled}, осталось "
        "{left}; разница {difference}. Пересчитайте; затем spk station stock или spoiled",
        "The blanks do not add up: {blanks} came in, {good} good, {spoiled} spoiled, {left} left; "
        "they differ by {difference}. Count again; then spk station stock or spk station spoiled",
    ),
    StationFault.CHOICE: FaultText("{ru}", "{en}"),
    StationFault.STOPPED: FaultText("Остановлено оператором", "Stopped by the operator"),
    StationFault.CARD_COUNTS: FaultText(
        "Карта {card_id} действует. Сначала заблокируйте её: spk card block {card_id}",
        "Card {card_id} is active. Block it first: spk card block {card_id}",
    ),
    StationFault.ORDER_OTHER_CARD: FaultText(
        "В считывателе карта {card_id}, а заявка — на карту {ordered_id}. Приложите её",
        "The card at the reader is {card_id}, the order is for {ordered_id}. Present that one",
    ),
}


class StationError(Exception):
    """A station's work failed: `fault` says how, `facts` fill its text."""

    exit_code: ClassVar[int] = 1

    def __init__(self, fault: StationFault, **facts: str | int) -> None:
        self.fault = fault
        self.facts = facts
        super().__init__(self.text("en"))

    def text(self, language: Language) -> str:
        """The sentence for a person, in Russian or English."""
        entry = TEXTS[self.fault]
        return (entry.ru if language == "ru" else entry.en).format_map(self.facts)


class CentreAway(StationError):
    """The centre gave no usable answer. Whether it carried the request out is not known."""

    def __init__(self, address: str, detail: str) -> None:
        super().__init__(StationFault.CENTRE_AWAY, address=address, detail=detail)


class CentreRefused(StationError):
    """The centre did not carry the request out; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        about = f" ({problem.field}: {problem.reason})" if problem.field and problem.reason else ""
        super().__init__(
            StationFault.CENTRE_REFUSED,
            ru=f"{problem.title_ru}{about}. {problem.detail_ru}",
            en=f"{problem.title}{about}. {problem.detail}",
        )


FORESEEN: Final = (StationError, CardError, HsmError)
"""What a station's work may raise; anything else is a mistake and keeps its traceback."""


def words(error: BaseException, language: Language) -> str:
    """Return the sentence of a foreseen error in the reader's language, as far as it has one."""
    match error:
        case StationError() | CardError():
            return error.text(language)
        case KeyboardInterrupt():
            return StationError(StationFault.STOPPED).text(language)
        case _:
            return str(error)
