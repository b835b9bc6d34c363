"""The terminal's words in Russian and English: one catalogue for screen and receipt."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Final

from processing.wire.explanation import (
    Audience,
    Explanation,
    ItemName,
    Names,
    RefusalText,
    ServiceName,
    explain,
)
from processing.wire.figures import ROUBLE_OKEI, format_kopecks, format_quantity
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.parameter_file import ItemParameters, ParameterFile, ServiceParameters
from processing.wire.transaction import Answer
from terminal_sim.errors import Language
from terminal_sim.terminal import zone_of

UNITS: Final[dict[int, tuple[str, str]]] = {
    113: ("м³", "m³"),
    245: ("кВт·ч", "kWh"),
    246: ("кВт·ч", "kWh"),
    355: ("мин", "min"),
    356: ("ч", "h"),
    642: ("ед.", "un."),
    778: ("уп.", "pk."),
    796: ("шт.", "pc."),
}
"""Short names of units by ОКЕИ code; an unknown code is shown as a number."""


class Phrase(Enum):
    """What the terminal says, in Russian and English; `say` fills the {facts} in."""

    RECEIPT = ("СОЦИАЛЬНАЯ КВИТАНЦИЯ", "SOCIAL RECEIPT")
    RECEIPT_REVERSAL = ("ОТМЕНА ОПЕРАЦИИ", "REVERSAL")
    RECEIPT_RESERVE = ("РЕЗЕРВ ТОВАРА", "RESERVATION")
    RECEIPT_BOOKING = ("ЗАКАЗ УСЛУГИ", "BOOKING")
    RECEIPT_COMPLETION = ("ВЫДАЧА ОТЛОЖЕННОГО", "COMPLETION")
    RECEIPT_RETURN = ("ВОЗВРАТ ТОВАРА", "RETURN OF GOODS")
    RECEIPT_START = ("НАЧАЛО ПОСЕЩЕНИЯ", "START OF A VISIT")
    RECEIPT_FINISH = ("ОКОНЧАНИЕ ПОСЕЩЕНИЯ", "END OF A VISIT")
    DECLINED = ("ОТКАЗ", "DECLINED")
    NOT_DECIDED = ("РЕШЕНИЯ НЕТ", "NOT DECIDED")
    OFFLINE = ("ЗАПИСАНО БЕЗ СВЯЗИ", "RECORDED OFFLINE")
    STOP_LIST = (
        "Стоп-лист {number} получен: без связи по нему можно обслуживать до {until}",
        "Stop-list {number} fetched: cards may be served offline by it until {until}",
    )
    TERMINAL = ("Терминал", "Terminal")
    NUMBER = ("Операция", "Number")
    CARD = ("Карта", "Card")
    SERVICE = ("Услуга", "Service")
    ORIGINAL = ("Отменяется", "Reverses")
    RESERVATION = ("Отложено", "Reservation")
    SOLD_AS = ("Продажа", "Sold as")
    HELD_COVERED = ("Будет по льготе", "To be covered")
    HELD = ("ПРИ ВЫДАЧЕ", "WHEN GIVEN")
    BEGUN = ("Начато", "Begun as")
    AT_FINISH = ("ПРИ ОКОНЧАНИИ", "AT THE END")
    APPOINTED = ("Назначено на", "Booked for")
    FINISH_BY = ("Закончить до", "Finish by")
    NOT_TAKEN = ("не взято, снова на остатке", "not taken, free again")
    HOLD_FREED = ("Больше ничего не отложено", "Nothing is held any more")
    HANDED_BACK = ("Сдано на", "Brought back")
    RETURNED_COVERED = ("Возврат льготы", "Benefit given back")
    COVERED = ("по льготе", "covered")
    TO_PAY = ("к оплате", "to pay")
    TOTAL = ("Всего", "Total")
    TOTAL_COVERED = ("Оплачено льготой", "Covered")
    TOTAL_TO_PAY = ("К ОПЛАТЕ", "TO PAY")
    REMAINING = ("осталось", "remaining")
    TO_RETURN = ("Вернуть гражданину", "Return to the citizen")
    APPROVAL_CODE = ("Код одобрения", "Approval code")
    JOURNAL = ("Журнал", "Journal")
    PROVEN = ("Подпись центра проверена", "The centre's signature is verified")
    PROVEN_BY_MAC = (
        "Ответ подтверждён ключом терминала",
        "The answer is authenticated by the terminal's key",
    )
    UNKNOWN = (
        "Ответ центра неизвестен. Запрос сохранён и будет повторён под тем же номером",
        "The answer is unknown. The request is kept and will be asked again under its number",
    )
    NOT_BELIEVED = (
        "Ответ центра не доказан ({reason}). Услугу не оказывайте: запрос будет повторён",
        "The answer is not proven ({reason}). Do not give the service: it will be asked again",
    )
    KEPT_COMPLETION = (
        "Выдача записана и уйдёт в центр, когда появится связь. Товар можно отдать",
        "Recorded, and sent when the centre can be reached. The goods may be handed over",
    )
    KEPT_OFFLINE = (
        "Операция сохранена и уйдёт в центр, когда появится связь",
        "The transaction is kept and will be sent when the centre can be reached",
    )
    KEPT_START = (
        "Начало записано без связи. Окончание будет спорным: длительность разберёт сверка",
        "The start is recorded offline. The end will be in conflict: settlement looks at it",
    )
    KEPT_FINISH = (
        "Окончание записано и уйдёт в центр, когда появится связь",
        "The end is recorded, and sent when the centre can be reached",
    )
    NO_RIGHTS = (
        "На этом терминале у карты нет действующих прав",
        "The card gives no rights at this terminal",
    )
    NO_PENDING = ("Все операции с решением", "Every transaction is decided")
    TORN = (
        "Последняя запись терминала оборвана и не отправлялась; она отброшена ({bytes} байт)",
        "The terminal's last record was cut off and never sent; it was dropped ({bytes} bytes)",
    )
    DAMAGED = (
        "Журнал терминала повреждён ({damage}); начата новая эпоха {epoch}, копия отложена",
        "The terminal's log is damaged ({damage}); epoch {epoch} begins, a copy is kept aside",
    )
    RIGHTS_TITLE = ("Права по карте {card}", "Rights of card {card}")
    HOLDER = ("Получатель", "Holder")
    WHAT = ("Что положено", "Entitled to")
    LEFT = ("Осталось", "Left")
    GRANTED = ("Назначено", "Granted")
    PERCENT = ("Льгота", "Covered")
    VALID_TO = ("До", "Until")
    GOODS = ("Товар", "Goods")
    QUANTITY = ("Кол-во", "Quantity")
    RESERVATIONS_TITLE = ("Отложено и не выдано", "Reserved and not given yet")
    NO_RESERVATIONS = ("Отложенного нет", "Nothing is reserved")
    VISITS_TITLE = ("Начато и не закончено", "Begun and not finished")
    NO_VISITS = ("Незаконченных посещений нет", "No visit is open")
    BEGAN_AT = ("Начало", "Began")
    FORGOTTEN = (
        "забыто: всё удержанное вернулось гражданину",
        "forgotten: what it held went back to the citizen",
    )
    WITHOUT_CENTRE = ("без связи", "offline")
    OVER = ("срок вышел", "time is over")
    RETURNED_COUNT = ("Возвратов товара", "Returns of goods")
    RETURNED_TOTAL = ("Возвращено льгот", "Returned, covered")
    TOTALS_TITLE = ("Итоги за {day}", "Totals of {day}")
    CENTRE = ("Центр", "Centre")
    APPROVED_COUNT = ("Одобрено операций", "Approved")
    GROSS = ("Стоимость", "Gross")
    PAID = ("Оплачено гражданами", "Paid by citizens")
    REVERSED_COUNT = ("Отменено операций", "Reversed")
    REVERSED_COVERED = ("Отменено льгот", "Reversed, covered")
    IN_BALANCE = ("Итоги сошлись", "The totals agree")
    OUT_OF_BALANCE = ("Итоги НЕ сошлись", "The totals do NOT agree")
    NOT_COMPARED = ("Центр не сверил итоги", "The centre did not compare the totals")
    STILL_PENDING = (
        "Без решения: {count}. Итоги сойдутся, когда они будут решены",
        "Undecided: {count}. The totals agree once these are decided",
    )
    DAY_CLOSED = (
        "День {day} закрыт. Новые операции пойдут следующим днём",
        "The day {day} is closed. New transactions belong to the next day",
    )
    POSTED = ("Центр проводит операции днём {day}", "The centre posts to the day {day}")
    SIGNED_ON = ("Терминал начал работу", "The terminal has signed on")
    SIGNED_OFF = ("Терминал закончил работу", "The terminal has signed off")
    NEW_RULES = (
        "Правила услуг обновлены: {services}",
        "The rules of services were renewed: {services}",
    )
    VERSION = ("{service}, версия {version}", "{service}, version {version}")
    COMING = (
        "{service}, версия {version} — с {since}",
        "{service}, version {version} from {since}",
    )
    PASSPORT_RENEWED = (
        "Социальный паспорт на карте обновлён",
        "The social passport on the card was renewed",
    )
    SAME_RULES = ("Правила услуг на терминале — действующие", "The terminal's rules are in force")
    OLD_RULES = (
        "Правила услуг устаревают, без связи они годны до {until}: spk terminal update",
        "The rules grow old and serve offline until {until} only: spk terminal update",
    )
    KEY_CHANGED = (
        "Ключ терминала сменён: теперь поколение {generation}",
        "The terminal's key was changed: generation {generation} from now on",
    )
    ECHO = (
        "Центр на связи. Время центра {centre}, часы терминала расходятся на {seconds} с",
        "The centre answers. Its time is {centre}, the terminal's clock is {seconds} s off",
    )
    PRESENT = ("Приложите карту", "Present the card")
    PRESS_ENTER = ("Enter — взять карту {card}", "Press Enter to take the card {card}")
    REMOVE = ("Заберите карту", "Take the card away")
    RING_UP = (
        "Что отпускаем? ТОВАР=КОЛИЧЕСТВО@ЦЕНА через пробел; пусто — закончить",
        "What is sold? ITEM=QUANTITY@PRICE, separated by spaces; empty to finish",
    )
    OR_ELSE = (
        "Или: отложить ТОВАР=…, выдать НОМЕР, вернуть НОМЕР ТОВАР=…, отменить НОМЕР",
        "Or: reserve ITEM=…, complete NUMBER, return NUMBER ITEM=…, cancel NUMBER",
    )
    OR_VISIT = (
        "Посещение: начать УСЛУГА=…, закончить; без времени — сколько прошло",
        "A visit: begin SERVICE=…, finish; without a quantity, as long as it lasted",
    )
    WHICH_SERVICE = ("Услуга? {services}", "Which service? {services}")
    WHICH_HOLDER = ("Для кого? {holders}", "For whom? {holders}")
    PIN = ("ПИН-код карты: ", "Card PIN: ")
    PIN_LEFT = ("Осталось попыток: {count}", "Attempts left: {count}")
    WHICH_NUMBER = (
        "Назовите номер операции, как на чеке: {word} НОМЕР",
        "Name the transaction as on its receipt: {word} NUMBER",
    )
    FAREWELL = ("Смена окончена", "The shift has ended")

    def say(self, language: Language, **facts: object) -> str:
        """Return the phrase for a person."""
        ru, en = self.value
        text: str = ru if language == "ru" else en
        return text.format_map(facts) if facts else text


def outcome_text(outcome: Outcome, language: Language) -> tuple[str, str]:
    """Return what happened and what would change it."""
    text = TEXTS[outcome]
    return (text.ru, text.ru_remedy) if language == "ru" else (text.en, text.en_remedy)


def explained(
    answer: Answer,
    service: str,
    service_version: int,
    parameters: ParameterFile,
    audience: Audience,
    language: Language,
) -> Explanation:
    """Return why an answer is what it is, in the names of the parameter file."""
    return explain(
        answer.outcome,
        answer.facts,
        service=service,
        service_version=service_version,
        audience=audience,
        language=language,
        names=Names(
            {
                item.item: ItemName(item.name_ru, item.name_en, item.unit_okei, item.scale)
                for item in parameters.items
            },
            {
                one.service: ServiceName(one.name_ru, one.name_en, one.consumes)
                for one in parameters.services
            },
            zone_of(parameters.time_zone),
            {
                (one.service, Outcome(words.outcome)): RefusalText(
                    words.text_ru, words.text_en, words.remedy_ru, words.remedy_en
                )
                for one in parameters.services
                for words in one.refusals
            },
        ),
    )


def moment_text(value: str, parameters: ParameterFile) -> str:
    """Return a moment, 2026-03-05T10:30:00Z, as the region's clocks show it."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return f"{moment.astimezone(zone_of(parameters.time_zone)):%d.%m.%Y %H:%M}"


def moment_of(ms: int, parameters: ParameterFile) -> str:
    """Return a moment, UTC milliseconds, as the region's clocks show it."""
    moment = datetime.fromtimestamp(ms // 1000, zone_of(parameters.time_zone))
    return f"{moment:%d.%m.%Y %H:%M}"


def is_over(moment: str, now_ms: int) -> bool:
    """Whether a moment, 2026-03-05T10:30:00Z, has passed; one that cannot be read never does."""
    try:
        return datetime.fromisoformat(moment).timestamp() * 1000 <= now_ms
    except ValueError:
        return False


def _one_of(pair: tuple[str, str], language: Language) -> str:
    return pair[0] if language == "ru" else pair[1]


def unit_name(unit_okei: int, language: Language) -> str:
    """Return the short name of a unit, or its ОКЕИ code."""
    fallback = (f"ОКЕИ {unit_okei}", f"OKEI {unit_okei}")
    return _one_of(UNITS.get(unit_okei, fallback), language)


def amount_of(quantity: int, unit_okei: int, scale: int, language: Language) -> str:
    """Return a quantity with its unit; roubles as money."""
    if unit_okei == ROUBLE_OKEI and scale == 2:
        return format_kopecks(quantity)
    return f"{format_quantity(quantity, scale)}\u00a0{unit_name(unit_okei, language)}"


def item_named(code: str, parameters: ParameterFile) -> ItemParameters | None:
    """Return the item of this code, or None."""
    return next((item for item in parameters.items if item.item == code), None)


def service_named(code: str, parameters: ParameterFile) -> ServiceParameters | None:
    """Return the service of this code, or None."""
    return next((one for one in parameters.services if one.service == code), None)


def service_name(code: str, parameters: ParameterFile, language: Language) -> str:
    """Return a service's name, the code of an unknown one."""
    service = service_named(code, parameters)
    if service is None:
        return code
    return service.name_ru if language == "ru" else service.name_en


def item_name(item: ItemParameters, language: Language) -> str:
    """Return an item's name."""
    return item.name_ru if language == "ru" else item.name_en


def item_class_of(code: str, parameters: ParameterFile) -> str:
    """Return the class of an item, "" for an unknown one."""
    item = item_named(code, parameters)
    return "" if item is None else item.item_class


def names_of_class(
    item_class: str, parameters: ParameterFile, language: Language
) -> tuple[str, ...]:
    """Return the names of a class's items."""
    return tuple(item_name(i, language) for i in parameters.items if i.item_class == item_class)


def class_name(item_class: str, parameters: ParameterFile, language: Language) -> str:
    """Return what people call a class: its first item's name, and how many more there are."""
    names = names_of_class(item_class, parameters, language)
    if len(names) < 2:
        return names[0] if names else item_class
    others = len(names) - 1
    return f"{names[0]} и ещё {others}" if language == "ru" else f"{names[0]} and {others} more"


def masked(card_number: str) -> str:
    """Return a card number as a receipt may show it: the last four digits."""
    return f"•••• {card_number[-4:]}" if card_number else "—"
