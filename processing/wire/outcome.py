"""The closed list of outcomes: what the centre can answer, in precedence order.

A decline is a value, a fault is an exception. Members stand in the order in which they are
tested: when several apply, the first one wins. Inside the centre only `Outcome` travels; DE39,
HTTP status and sentences are looked up here, at the edge; `explanation.py` adds those over facts.
`docs/outcomes.md` is generated (`python -m processing.wire.outcomes_page`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

CENTRE_RULES_VERSION: Final = 1
"""Version of the centre's own rules: who may ask, with which card, and what may follow what. Named
where no regulation decides; raised whenever one of these rules changes."""


class Outcome(IntEnum):
    """One decision code. The value is the reason code on the wire and in the database.

    1xx decides nothing and stores nothing; 2xx to 6xx decline; 7xx record or approve.
    """

    MALFORMED = 101
    NOT_SUPPORTED = 102
    TERMINAL_UNKNOWN = 103
    MAC_WRONG = 104
    TRY_LATER = 105

    KEY_REUSED = 201
    TERMINAL_BLOCKED = 202
    CLOCK_WRONG = 203
    REVERSED_BEFORE = 204

    CARD_UNKNOWN = 301
    SIGNATURE_WRONG = 302
    CARD_BLOCKED = 303
    CARD_EXPIRED = 304
    CARD_NOT_FOR_HOLDER = 305

    SERVICE_UNKNOWN = 401
    SERVICE_NOT_HERE = 402
    REGULATION_OUTDATED = 403
    EVIDENCE_WEAK = 404
    AMOUNT_WRONG = 405

    ORIGINAL_UNKNOWN = 501
    ORIGINAL_MISMATCH = 502

    NO_ENTITLEMENT = 601
    ALLOWANCE_EXHAUSTED = 602
    TOO_EARLY = 603

    RECORDED_IN_CONFLICT = 701
    APPROVED_PARTLY = 702
    APPROVED = 703

    @property
    def decided(self) -> bool:
        """Whether this answer is final for its key. False means: nothing stored, send again."""
        return self >= Outcome.KEY_REUSED

    @property
    def approved(self) -> bool:
        """Whether the service may be given (wholly or in part)."""
        return self in (Outcome.APPROVED, Outcome.APPROVED_PARTLY)


class OutcomeText(msgspec.Struct, frozen=True):
    """What people and foreign systems see of one outcome.

    `de39` is the ISO 8583:1987 response code (two characters; 76 to 89 are for private use).
    `http_status` is the status of the HTTP gateway. `ru` and `en` say what happened;
    `ru_remedy` and `en_remedy` say what would change it. None of them tells a cashier anything
    about the citizen beyond the right that was asked for.
    """

    de39: str
    http_status: int
    ru: str
    ru_remedy: str
    en: str
    en_remedy: str


TEXTS: Final[dict[Outcome, OutcomeText]] = {
    Outcome.MALFORMED: OutcomeText(
        "30",
        400,
        "Сообщение терминала не разобрано",
        "Решение не принято. Обновите программу терминала или сообщите её поставщику",
        "The terminal's message could not be read",
        "Nothing was decided. Update the terminal's software or tell its vendor",
    ),
    Outcome.NOT_SUPPORTED: OutcomeText(
        "40",
        400,
        "Центр не выполняет такую операцию",
        "Решение не принято. Выберите другую операцию",
        "The centre does not offer this operation",
        "Nothing was decided. Choose another operation",
    ),
    Outcome.TERMINAL_UNKNOWN: OutcomeText(
        "03",
        401,
        "Терминал не зарегистрирован",
        "Решение не принято. Зарегистрируйте терминал в центре",
        "The terminal is not registered",
        "Nothing was decided. Have the terminal registered at the centre",
    ),
    Outcome.MAC_WRONG: OutcomeText(
        "88",
        401,
        "Сообщение не подтверждено ключом терминала",
        "Решение не принято. Повторите; если не помогло, загрузите ключ терминала заново",
        "The message is not authenticated by the terminal's key",
        "Nothing was decided. Send again; if that fails, load the terminal's key anew",
    ),
    Outcome.TRY_LATER: OutcomeText(
        "96",
        503,
        "Центр перегружен",
        "Решение не принято. Повторите через несколько секунд с тем же номером",
        "The centre is overloaded",
        "Nothing was decided. Send again in a few seconds under the same number",
    ),
    Outcome.KEY_REUSED: OutcomeText(
        "94",
        409,
        "Под этим номером уже проведена другая операция",
        "Проведите операцию под новым номером",
        "This number already belongs to another transaction",
        "Send the transaction under a new number",
    ),
    Outcome.TERMINAL_BLOCKED: OutcomeText(
        "89",
        403,
        "Терминал заблокирован",
        "Обратитесь к оператору центра",
        "The terminal is blocked",
        "Call the operator of the centre",
    ),
    Outcome.CLOCK_WRONG: OutcomeText(
        "80",
        422,
        "Часы терминала неверны",
        "Установите на терминале верные дату и время",
        "The terminal's clock is wrong",
        "Set the terminal's date and time",
    ),
    Outcome.REVERSED_BEFORE: OutcomeText(
        "84",
        409,
        "Операция отменена раньше, чем пришла",
        "Если услуга нужна, проведите её под новым номером",
        "The transaction was reversed before it arrived",
        "If the service is still wanted, send it under a new number",
    ),
    Outcome.CARD_UNKNOWN: OutcomeText(
        "14",
        404,
        "Карта не зарегистрирована",
        "Обратитесь в эмиссионный центр с картой и паспортом",
        "The card is not registered",
        "Take the card and an identity document to the issuing office",
    ),
    Outcome.SIGNATURE_WRONG: OutcomeText(
        "63",
        403,
        "Подпись карты неверна",
        "Приложите карту ещё раз; если не помогло, замените её в эмиссионном центре",
        "The card's signature is wrong",
        "Present the card again; if that fails, have it replaced at the issuing office",
    ),
    Outcome.CARD_BLOCKED: OutcomeText(
        "62",
        403,
        "Карта заблокирована",
        "Обратитесь в эмиссионный центр",
        "The card is blocked",
        "Go to the issuing office",
    ),
    Outcome.CARD_EXPIRED: OutcomeText(
        "54",
        403,
        "Срок действия карты истёк",
        "Получите новую карту в эмиссионном центре",
        "The card has expired",
        "Get a new card at the issuing office",
    ),
    Outcome.CARD_NOT_FOR_HOLDER: OutcomeText(
        "82",
        403,
        "Карта не даёт права действовать за этого получателя",
        "Предъявите карту получателя или оформите представительство",
        "The card may not act for this rights holder",
        "Present the holder's own card or register as a representative",
    ),
    Outcome.SERVICE_UNKNOWN: OutcomeText(
        "12",
        422,
        "Такая услуга не предусмотрена",
        "Выберите услугу из списка терминала",
        "There is no such service",
        "Choose a service from the terminal's list",
    ),
    Outcome.SERVICE_NOT_HERE: OutcomeText(
        "58",
        403,
        "Услуга не оказывается на этом терминале",
        "Обратитесь к поставщику, который оказывает эту услугу",
        "This service is not given at this terminal",
        "Go to a provider that gives this service",
    ),
    Outcome.REGULATION_OUTDATED: OutcomeText(
        "83",
        409,
        "Регламент услуги на терминале устарел",
        "Обновите параметры терминала и повторите под новым номером",
        "The terminal holds an outdated regulation of the service",
        "Update the terminal's parameters and send under a new number",
    ),
    Outcome.EVIDENCE_WEAK: OutcomeText(
        "81",
        403,
        "Для этой услуги нужен ПИН-код карты",
        "Повторите под новым номером с вводом ПИН-кода",
        "This service needs the card's PIN",
        "Send under a new number after the PIN was entered",
    ),
    Outcome.AMOUNT_WRONG: OutcomeText(
        "13",
        422,
        "Сумма или количество в строках неверны",
        "Исправьте строки и повторите под новым номером",
        "The amounts or quantities of the lines are wrong",
        "Correct the lines and send under a new number",
    ),
    Outcome.ORIGINAL_UNKNOWN: OutcomeText(
        "25",
        404,
        "Исходная операция не найдена",
        "Проверьте дату, терминал и номер исходной операции",
        "The original transaction was not found",
        "Check the original's date, terminal and number",
    ),
    Outcome.ORIGINAL_MISMATCH: OutcomeText(
        "64",
        422,
        "Данные не совпадают с исходной операцией",
        "Сверьте квитанцию исходной операции",
        "The data do not match the original transaction",
        "Compare with the original's receipt",
    ),
    Outcome.NO_ENTITLEMENT: OutcomeText(
        "57",
        403,
        "Нет действующего права на эту услугу",
        "Гражданин может уточнить свои права в органе соцзащиты или на портале",
        "There is no right to this service in force",
        "The citizen can ask the social security office or look at the portal",
    ),
    Outcome.ALLOWANCE_EXHAUSTED: OutcomeText(
        "51",
        403,
        "Остатка по этому праву не хватает",
        "Уменьшите количество или дождитесь следующего периода",
        "What is left of this right is not enough",
        "Take less or wait for the next period",
    ),
    Outcome.TOO_EARLY: OutcomeText(
        "65",
        403,
        "Для следующей выдачи ещё рано",
        "Прежней выдачи должно хватать; отпустите позже",
        "It is too early for the next supply",
        "What was given before should last; give it later",
    ),
    Outcome.RECORDED_IN_CONFLICT: OutcomeText(
        "00",
        200,
        "Офлайн-операция записана с расхождением",
        "Расхождение разберёт сверка; повторять не нужно",
        "The offline transaction is recorded with a conflict",
        "Reconciliation will settle the conflict; do not send again",
    ),
    Outcome.APPROVED_PARTLY: OutcomeText(
        "10",
        200,
        "Одобрено частично",
        "Остальное гражданин оплачивает сам",
        "Approved in part",
        "The citizen pays for the rest",
    ),
    Outcome.APPROVED: OutcomeText(
        "00",
        200,
        "Одобрено",
        "Ничего делать не нужно",
        "Approved",
        "Nothing needs to be done",
    ),
}
