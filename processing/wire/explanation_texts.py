"""What explains each outcome in sentences over its facts, in Russian and English: one catalogue.

The sentences without facts stand in `outcome.py`; `explanation.py` chooses and fills. Of an
outcome's sentences the first is said whose `when` holds and whose {facts} can all be told to the
audience.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from processing.wire.outcome import Outcome


class Sentence(msgspec.Struct, frozen=True):
    """The deciding fact and what would change it.

    An empty remedy is the outcome's own. `ru_citizen` and `en_citizen` are the remedy in the
    citizen's words, where it is not the cashier's. {service} and {service_version} are those of the
    request; other words in braces are facts. `{remaining_most}` is `remaining` as it stands after
    "not more than".
    """

    ru: str
    en: str
    ru_remedy: str = ""
    en_remedy: str = ""
    ru_citizen: str = ""
    en_citizen: str = ""
    when: tuple[tuple[str, str], ...] = ()


_CLOCK: Final = (
    Sentence(
        "Рабочий день терминала — {day}, а у центра сейчас {centre}",
        "The terminal's business day is {day}; the centre's time is {centre}",
        "Смените рабочий день терминала. Центр принимает три прошедших дня и один будущий",
        "Change the terminal's business day. The centre takes three past days and one to come",
    ),
    Sentence(
        "На терминале {signed}, в центре {centre}; расходиться они могут на 15 минут",
        "The terminal shows {signed}, the centre {centre}; they may differ by 15 minutes",
        "Установите на терминале время центра и повторите под новым номером",
        "Set the terminal to the centre's time and send under a new number",
    ),
)

_AUTHORITY: Final = (
    Sentence(
        "Карта не связана с этим получателем",
        "The card is not linked to this rights holder",
        when=(("authority", "none"),),
    ),
    Sentence(
        "Карта действует за получателя с {authority_from} по {authority_to}",
        "The card may act for the holder from {authority_from} to {authority_to}",
        when=(("authority", "dates"),),
    ),
    Sentence(
        "Представителю не поручена услуга «{service}»",
        'The representative was not entrusted with "{service}"',
        when=(("authority", "scope"),),
    ),
)

_VERSION: Final = (
    Sentence(
        "Услуга «{service}» не откладывается",
        'Nothing is reserved for "{service}"',
        "Проведите продажу сразу",
        "Sell at once",
        "Получите услугу сразу, без резерва",
        "Take the service at once, without a reservation",
        when=(("reserve", "no"),),
    ),
    Sentence(
        "Услуга «{service}» оказывается с отметкой начала и окончания",
        '"{service}" is given with a start and a finish',
        "Отметьте картой начало, а потом окончание",
        "Have the card presented at the start, and again at the finish",
        when=(("visit", "only"),),
    ),
    Sentence(
        "Операция подписана по версии {service_version}, с {since} действует версия {version}",
        "Signed under version {service_version}; version {version} is in force since {since}",
    ),
    Sentence(
        "Версия {version} действовала до {until}, а новой ещё нет",
        "Version {version} was in force until {until}, and there is no new one yet",
        "Регламент продлит орган, который его издал",
        "The authority that issued the regulation has to renew it",
    ),
    Sentence("Действует версия {version}", "Version {version} is in force"),
)

_SIGNATURE: Final = (
    Sentence(
        "ПИН-код карты ещё транспортный: он напечатан на ней, и его не принимают",
        "The card still has its transport PIN, which is printed on it and is not accepted",
        "Сначала смените транспортный ПИН-код там, где выдают карты; без ПИН-кода карта действует",
        "First change the transport PIN where cards are handed out; without a PIN the card works",
        when=(("pin", "transport"),),
    ),
)

_EVIDENCE: Final = (
    Sentence(
        "Карту приложили без ПИН-кода",
        "The card was presented without its PIN",
        when=(("needed", "2"), ("given", "1")),
    ),
)

_AMOUNT: Final = (
    Sentence(
        "Строка {line}, {item}: ничего не осталось",
        "Line {line}, {item}: nothing is left",
        "Уберите строку или повторите с меньшим количеством под новым номером",
        "Leave the line out, or send less under a new number",
        when=(("remaining", "0"),),
    ),
    Sentence(
        "Строка {line}, {item}: в исходной операции — {remaining}",
        "Line {line}, {item}: the original has {remaining}",
        "Количество и стоимость строки не могут быть больше, чем в исходной операции",
        "Neither quantity nor price of the line can be above the original's",
    ),
    Sentence(
        "Строка {line}, {item}: количество считают в единицах «{unit}», и оно больше нуля",
        'Line {line}, {item}: the quantity is counted by the unit "{unit}" and is above zero',
    ),
)

_ORIGINAL: Final = (Sentence("Исходная операция {original}", "The original {original}"),)

_MISMATCH: Final = (
    Sentence(
        "Отложенный товар уже выдан",
        "What was reserved has been given already",
        "Отмените выдачу, а не резерв",
        "Reverse the completion, not the reservation",
        when=(("original", "completed"),),
    ),
    Sentence(
        "В строке {line} исходной операции — не {item}, или единица другая",
        "Line {line} of the original is not {item}, or its unit differs",
        when=(("field", "item"),),
    ),
    Sentence("Не совпадает: {field}", "What differs: {field}"),
)

_NO_RIGHT: Final = (
    Sentence(
        "{item}: такого нет в каталоге центра",
        "{item}: not in the centre's catalogue",
        "Обновите параметры терминала",
        "Update the terminal's parameters",
        "Дело не в ваших правах: попросите проверить код товара",
        "This is not about your rights: ask to have the item's code checked",
        when=(("missing", "item"),),
    ),
    Sentence(
        "Действующего полиса ОМС нет",
        "There is no health insurance policy in force",
        "Полис продлевает или выдаёт страховая медицинская организация",
        "The insurance company renews or issues the policy",
        when=(("missing", "policy"),),
    ),
    Sentence(
        "Гражданин не прикреплён к этой организации",
        "The citizen is not attached to this provider",
        "Прикрепиться можно здесь по заявлению; экстренная помощь оказывается без прикрепления",
        "One may be attached here on application; emergencies need no attachment",
        when=(("missing", "attachment"),),
    ),
    Sentence(
        "{item}: назначено другое торговое наименование, замена не разрешена",
        "{item}: another trade name was prescribed, and no substitution is allowed",
        "Отпустите назначенное; заменить может только врач",
        "Give what was prescribed; only the doctor can change it",
        "Заменить лекарство может только врач",
        "Only the doctor can change the medicine",
        when=(("missing", "substitute"),),
    ),
    Sentence(
        "{item}: право действует с {since}",
        "{item}: the right begins on {since}",
        "Приходите с {since}",
        "Come on {since} or later",
        when=(("missing", "begun"),),
    ),
    Sentence(
        "{item}: право действовало до {until}",
        "{item}: the right ended on {until}",
        "Продлить право можно в органе соцзащиты или на портале",
        "The right can be renewed at the social security office or on the portal",
        when=(("missing", "ended"),),
    ),
    Sentence(
        "{item}: право есть, но его дают по другой услуге",
        "{item}: there is a right, but another service gives it",
        "Спросите эту услугу у другого поставщика или на портале",
        "Ask another provider, or look at the portal, for that service",
        when=(("missing", "service"),),
    ),
    Sentence(
        "{item}: права не назначены",
        "{item}: no right was granted",
        "Оформить право можно в органе соцзащиты или на портале",
        "A right is applied for at the social security office or on the portal",
        when=(("missing", "right"),),
    ),
    Sentence("{item}: действующего права нет", "{item}: no right in force"),
)

_SHORT: Final = (
    Sentence(
        "{item}: до {until} ничего не осталось",
        "{item}: nothing is left until {until}",
        "Право возобновится после {until}",
        "The right begins anew after {until}",
        "Приходите после {until}",
        "Come after {until}",
        when=(("remaining", "0"),),
    ),
    Sentence(
        "{item}: ничего не осталось, право действует до {ends} и само не возобновится",
        "{item}: nothing is left; the right ends on {ends} and does not begin anew by itself",
        "Без льготы можно продать за полную цену",
        "It can be sold at the full price without the benefit",
        "Новое право назначает орган соцзащиты; без льготы можно купить сейчас",
        "The social security office grants a new right; at the full price it can be bought now",
        when=(("remaining", "0"),),
    ),
    Sentence(
        "{item}: по этому праву ничего не осталось",
        "{item}: nothing is left of this right",
        when=(("remaining", "0"),),
    ),
    Sentence(
        "{item}: остаток до {until} — {remaining}, запрошено — {asked}",
        "{item}: {remaining} left until {until}, {asked} asked for",
        "Отпустите не больше {remaining_most} или подождите: право возобновится после {until}",
        "Give no more than {remaining_most}; the right begins anew after {until}",
        "Возьмите не больше {remaining_most} или приходите после {until}",
        "Take no more than {remaining_most}, or come after {until}",
    ),
    Sentence(
        "{item}: остаток до {ends} — {remaining}, запрошено — {asked}",
        "{item}: {remaining} left until {ends}, {asked} asked for",
        "Отпустите не больше {remaining_most}",
        "Give no more than {remaining_most}",
        "Возьмите не больше {remaining_most}",
        "Take no more than {remaining_most}",
    ),
    Sentence(
        "{item}: остаток до {until} — {remaining}",
        "{item}: {remaining} left until {until}",
        "Отпустите не больше {remaining_most} или подождите: право возобновится после {until}",
        "Give no more than {remaining_most}; the right begins anew after {until}",
        "Возьмите не больше {remaining_most} или приходите после {until}",
        "Take no more than {remaining_most}, or come after {until}",
    ),
    Sentence("{item}: остаток — {remaining}", "{item}: {remaining} left"),
)

_EARLY: Final = (
    Sentence(
        "{item}: следующая выдача — с {since}",
        "{item}: to be given again from {since}",
        "Отпустите с {since}",
        "Give it on {since} or later",
        "Приходите с {since}",
        "Come on {since} or later",
    ),
)

_CUT: Final = (
    Sentence(
        "{item}: по праву — ничего, запрошено — {asked}",
        "{item}: nothing covered by a right, {asked} asked for",
        when=(("remaining", "0"),),
    ),
    Sentence(
        "{item}: право этого не покрывает",
        "{item}: no right covers it",
        when=(("remaining", "0"),),
    ),
    Sentence(
        "{item}: по праву — {remaining}, запрошено — {asked}",
        "{item}: {remaining} covered, {asked} asked for",
    ),
    Sentence("{item}: по праву — {remaining}", "{item}: {remaining} covered"),
)

_TOO_LATE: Final = Sentence(
    "Исходная операция {original}",
    "The original {original}",
    "Всё удержанное вернулось гражданину: оформите услугу заново",
    "All that it held went back to the citizen: ring the service up anew",
    "Всё удержанное вернулось вам: попросите оформить услугу заново",
    "All that it held went back to you: ask to have the service rung up anew",
    when=(("original", "expired"),),
)

SENTENCES: Final[Mapping[Outcome, tuple[Sentence, ...]]] = {
    Outcome.TERMINAL_BLOCKED: (
        Sentence(
            "Его заблокировал оператор центра",
            "The operator of the centre has blocked it",
            when=(("state", "2"),),
        ),
    ),
    Outcome.CLOCK_WRONG: _CLOCK,
    Outcome.SIGNATURE_WRONG: _SIGNATURE,
    Outcome.CARD_BLOCKED: (
        Sentence("Состояние карты: {card_state}", "State of the card: {card_state}"),
    ),
    Outcome.CARD_EXPIRED: (
        Sentence("Карта действовала до {valid_to}", "The card was valid until {valid_to}"),
    ),
    Outcome.CARD_NOT_FOR_HOLDER: _AUTHORITY,
    Outcome.SERVICE_UNKNOWN: (
        Sentence("Код услуги — «{service}»", 'The code of the service is "{service}"'),
    ),
    Outcome.SERVICE_NOT_HERE: (
        Sentence(
            "Терминалу не разрешена услуга «{service}»",
            'The terminal was not allowed "{service}"',
        ),
    ),
    Outcome.REGULATION_OUTDATED: _VERSION,
    Outcome.EVIDENCE_WEAK: _EVIDENCE,
    Outcome.AMOUNT_WRONG: _AMOUNT,
    Outcome.ORIGINAL_UNKNOWN: (_TOO_LATE, *_ORIGINAL),
    Outcome.ORIGINAL_MISMATCH: _MISMATCH,
    Outcome.NO_ENTITLEMENT: _NO_RIGHT,
    Outcome.ALLOWANCE_EXHAUSTED: _SHORT,
    Outcome.TOO_EARLY: _EARLY,
    Outcome.RECORDED_IN_CONFLICT: (Sentence("Причина: {reason}", "Reason: {reason}"),),
    Outcome.APPROVED_PARTLY: _CUT,
    Outcome.APPROVED: _ORIGINAL,
}

HELD: Final = Sentence("Отложено до {expires}", "Held until {expires}")
"""Said after an outcome's own sentence, of what a reserve holds."""

CITIZEN_REMEDIES: Final[Mapping[Outcome, tuple[str, str]]] = {
    Outcome.MALFORMED: ("Решения нет. Дело в терминале", "Undecided. It is about the terminal"),
    Outcome.TERMINAL_UNKNOWN: (
        "Решения нет. Дело не в вашей карте: обратитесь в другую кассу",
        "Undecided. It is not about your card: go to another till",
    ),
    Outcome.MAC_WRONG: (
        "Решения нет. Дело не в вашей карте: обратитесь в другую кассу",
        "Undecided. It is not about your card: go to another till",
    ),
    Outcome.TRY_LATER: (
        "Решения нет, с карты ничего не списано. Подождите, запрос повторят",
        "Undecided, nothing was taken. Wait, it will be asked again",
    ),
    Outcome.KEY_REUSED: (
        "Дело не в вашей карте: попросите провести ещё раз",
        "It is not about your card: ask to have it done again",
    ),
    Outcome.TERMINAL_BLOCKED: (
        "Дело не в вашей карте: обратитесь в другую кассу",
        "It is not about your card: go to another till",
    ),
    Outcome.CLOCK_WRONG: (
        "Дело не в вашей карте: часы терминала поправит кассир",
        "It is not about your card: the cashier can set the clock",
    ),
    Outcome.SERVICE_UNKNOWN: (
        "Дело не в ваших правах: спросите услугу по названию",
        "It is not about your rights: ask for the service by its name",
    ),
    Outcome.REGULATION_OUTDATED: (
        "Дело не в ваших правах: терминал обновят и проведут ещё раз",
        "It is not about your rights: the terminal is updated and asks again",
    ),
    Outcome.EVIDENCE_WEAK: (
        "Приложите карту ещё раз и введите ПИН-код",
        "Present the card again and enter its PIN",
    ),
    Outcome.AMOUNT_WRONG: (
        "Дело не в ваших правах: попросите исправить чек",
        "It is not about your rights: ask to have the lines corrected",
    ),
    Outcome.ORIGINAL_UNKNOWN: (
        "Возьмите с собой квитанцию той операции",
        "Bring the receipt of that transaction",
    ),
    Outcome.ORIGINAL_MISMATCH: (
        "Возьмите с собой квитанцию той операции",
        "Bring the receipt of that transaction",
    ),
    Outcome.NO_ENTITLEMENT: (
        "Уточните свои права в органе соцзащиты или на портале",
        "Ask the social security office about your rights, or look at the portal",
    ),
    Outcome.ALLOWANCE_EXHAUSTED: (
        "Возьмите меньше или дождитесь следующего периода",
        "Take less or wait for the next period",
    ),
    Outcome.RECORDED_IN_CONFLICT: (
        "От вас ничего не нужно: расхождение разберёт сверка",
        "Nothing is needed of you: reconciliation will settle it",
    ),
    Outcome.TOO_EARLY: (
        "Того, что выдано раньше, должно хватать: приходите позже",
        "What you were given before should last: come later",
    ),
    Outcome.APPROVED_PARTLY: ("Остальное вы оплачиваете сами", "You pay for the rest"),
}
"""What the citizen can do where the outcome's own remedy (outcome.py) is the cashier's."""

ORIGINAL_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "unknown": ("в центр не поступала", "never reached the centre"),
    "reversed": ("уже отменена", "has been reversed already"),
    "declined": ("была отклонена", "had been declined"),
    "completed": ("уже выдана или окончена", "has been given or finished already"),
    "expired": (
        "была бронью или началом посещения, и срок её вышел",
        "was a booking or the start of a visit, and its time was over",
    ),
    "archived": ("относится к закрытому месяцу", "belongs to a closed month"),
    "conflict": ("записана с расхождением", "stands in conflict"),
    "return": ("была возвратом товара", "was a return of goods"),
}
FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "card or holder": ("карта или получатель", "card or rights holder"),
    "holder": ("получатель", "rights holder"),
    "service": ("услуга", "service"),
    "parent": ("терминал или поставщик", "terminal or provider"),
    "kind": ("вид операции", "kind of transaction"),
    "item": ("товар", "item"),
    "challenge": ("номер, который центр дал началу", "the number that the centre gave the start"),
}
CARD_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "1": ("действует", "active"),
    "2": ("заблокирована", "blocked"),
    "3": ("заменена другой", "replaced by another"),
}
