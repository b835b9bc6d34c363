"""The closed lists of DCI v1.0.0: actions, states, error and reason codes, each with its words.

The values are those of the published OpenAPI description of the social registry interface; a test
compares them with it. `words` gives the sentence that goes with a code, in the locale asked for.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

VERSION: Final = "1.0.0"
"""The version of the messaging protocol that is spoken here."""

CODE_TEXT_LENGTH_MAX: Final = 999
"""Most characters of an explanation (status_reason_message and error.message)."""


class Action(StrEnum):
    """What a message asks for or brings (header.action)."""

    SEARCH = "search"
    ON_SEARCH = "on-search"
    SUBSCRIBE = "subscribe"
    ON_SUBSCRIBE = "on-subscribe"
    NOTIFY = "notify"
    UNSUBSCRIBE = "unsubscribe"
    ON_UNSUBSCRIBE = "on-unsubscribe"
    TXN_STATUS = "txn-status"
    TXN_ON_STATUS = "txn-on-status"


class Status(StrEnum):
    """How far a request is (rcvd, pdng, succ, rjct)."""

    RECEIVED = "rcvd"
    PENDING = "pdng"
    SUCCESS = "succ"
    REJECTED = "rjct"


class Ack(StrEnum):
    """The acknowledgement of an asynchronous message."""

    ACK = "ACK"
    NACK = "NACK"
    ERR = "ERR"


class ErrorCode(StrEnum):
    """Why a message is not even looked into (Error.code)."""

    BAD = "err.request.bad"
    UNAUTHORIZED = "err.request.unauthorized"
    FORBIDDEN = "err.request.forbidden"
    NOT_FOUND = "err.request.not_found"
    TIMEOUT = "err.request.timeout"
    VERSION_NOT_SUPPORTED = "err.version.not_supported"
    TOO_MANY_REQUESTS = "err.request.too_many_requests"
    SENDER_ID_INVALID = "err.sender_id.invalid"
    SENDER_URI_INVALID = "err.sender_uri.invalid"
    RECEIVER_ID_INVALID = "err.receiver_id.invalid"
    SIGNATURE_MISSING = "err.signature.missing"
    SIGNATURE_INVALID = "err.signature.invalid"
    ENCRYPTION_INVALID = "err.encryption.invalid"
    UNAVAILABLE = "err.service.unavailable"


class HeaderReason(StrEnum):
    """Why a well-formed, authentic message is rejected as a whole (MsgHeaderStatusReasonCode)."""

    VERSION_INVALID = "rjct.version.invalid"
    MESSAGE_ID_DUPLICATE = "rjct.message_id.duplicate"
    MESSAGE_TS_INVALID = "rjct.message_ts.invalid"
    ACTION_INVALID = "rjct.action.invalid"
    ACTION_NOT_SUPPORTED = "rjct.action.not_supported"
    TOTAL_COUNT_INVALID = "rjct.total_count.invalid"
    TOTAL_COUNT_LIMIT_EXCEEDED = "rjct.total_count.limit_exceeded"
    TOO_MANY_ERRORS = "rjct.errors.too_many"


class SearchReason(StrEnum):
    """Why one search of a message is rejected (SearchStatusReasonCode)."""

    REFERENCE_ID_INVALID = "rjct.reference_id.invalid"
    REFERENCE_ID_DUPLICATE = "rjct.reference_id.duplicate"
    TIMESTAMP_INVALID = "rjct.timestamp.invalid"
    CRITERIA_INVALID = "rjct.search_criteria.invalid"
    FILTER_INVALID = "rjct.filter.invalid"
    SORT_INVALID = "rjct.sort.invalid"
    PAGINATION_INVALID = "rjct.pagination.invalid"
    TOO_MANY_RECORDS = "rjct.search.too_many_records_found"


class SubscribeReason(StrEnum):
    """Why one subscription is rejected (SubscribeStatusReasonCode)."""

    REFERENCE_ID_INVALID = "rjct.reference_id.invalid"
    REFERENCE_ID_DUPLICATE = "rjct.reference_id.duplicate"
    TIMESTAMP_INVALID = "rjct.timestamp.invalid"
    NOTIFY_TYPES_INVALID = "rjct.notify_types.invalid"
    NOTIFY_DETAILS_INVALID = "rjct.notify_details.invalid"
    PERSON_ID_INVALID = "rjct.person_id.invalid"
    ALREADY_SUBSCRIBED = "rjct.event.already_subscribed"


class UnsubscribeReason(StrEnum):
    """Why subscriptions are not ended (UnSubscribeStatusReasonCode)."""

    REFERENCE_ID_INVALID = "rjct.reference_id.invalid"
    REFERENCE_ID_DUPLICATE = "rjct.reference_id.duplicate"
    TIMESTAMP_INVALID = "rjct.timestamp.invalid"
    SUBSCRIPTION_CODE_INVALID = "rjct.subscription_code.invalid"
    REQUESTER_INVALID = "rjct.requester.invalid"
    ALREADY_UNSUBSCRIBED = "rjct.event.already_unsubscribed"


class Locale(StrEnum):
    """The language of explanations (ISO 639-3)."""

    ENGLISH = "eng"
    RUSSIAN = "rus"


Reason = HeaderReason | SearchReason | SubscribeReason | UnsubscribeReason

HTTP_STATUS: Final[dict[ErrorCode, int]] = {
    ErrorCode.BAD: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.TIMEOUT: 408,
    ErrorCode.VERSION_NOT_SUPPORTED: 400,
    ErrorCode.TOO_MANY_REQUESTS: 429,
    ErrorCode.SENDER_ID_INVALID: 400,
    ErrorCode.SENDER_URI_INVALID: 400,
    ErrorCode.RECEIVER_ID_INVALID: 400,
    ErrorCode.SIGNATURE_MISSING: 400,
    ErrorCode.SIGNATURE_INVALID: 400,
    ErrorCode.ENCRYPTION_INVALID: 400,
    ErrorCode.UNAVAILABLE: 503,
}
"""The HTTP status of an error. 401 and 403 are kept for the bearer token, as described there."""

_WORDS: Final[dict[str, tuple[str, str]]] = {
    ErrorCode.BAD: (
        "Сообщение не разобрано: исправьте его и отправьте снова.",
        "The message cannot be read: mend it and send it again.",
    ),
    ErrorCode.UNAUTHORIZED: (
        "Нужен заголовок Authorization: Bearer с вашим действующим ключом доступа.",
        "The header Authorization: Bearer with your valid token is needed.",
    ),
    ErrorCode.FORBIDDEN: (
        "Обмен с вами приостановлен: обратитесь к оператору центра.",
        "The exchange with you is suspended: ask the centre's operator.",
    ),
    ErrorCode.NOT_FOUND: ("Такого здесь нет.", "There is no such thing here."),
    ErrorCode.TIMEOUT: (
        "Сообщение не пришло целиком вовремя: отправьте его снова.",
        "The message did not arrive in time: send it again.",
    ),
    ErrorCode.VERSION_NOT_SUPPORTED: (
        f"Поддерживается только версия {VERSION} протокола (header.version).",
        f"Only version {VERSION} of the protocol is supported (header.version).",
    ),
    ErrorCode.TOO_MANY_REQUESTS: (
        "Вы отправляете чаще, чем согласовано: повторите позже.",
        "You send more often than agreed: try again later.",
    ),
    ErrorCode.SENDER_ID_INVALID: (
        "header.sender_id - не тот участник, которому выдан ключ доступа.",
        "header.sender_id is not the participant that the token belongs to.",
    ),
    ErrorCode.SENDER_URI_INVALID: (
        "header.sender_uri не относится к зарегистрированному адресу ответов.",
        "header.sender_uri does not belong to your registered callback address.",
    ),
    ErrorCode.RECEIVER_ID_INVALID: (
        "header.receiver_id называет другого получателя.",
        "header.receiver_id names another receiver.",
    ),
    ErrorCode.SIGNATURE_MISSING: (
        "Сообщение без подписи (поле signature).",
        "The message has no signature (field signature).",
    ),
    ErrorCode.SIGNATURE_INVALID: (
        "Подпись не подтверждает сообщение.",
        "The signature does not vouch for the message.",
    ),
    ErrorCode.ENCRYPTION_INVALID: (
        "Шифрованные сообщения не принимаются: отправьте открытое по TLS.",
        "Encrypted messages are not accepted: send it in the clear over TLS.",
    ),
    ErrorCode.UNAVAILABLE: (
        "Сервис временно недоступен, ничего не принято: повторите позже.",
        "The service is not available now, nothing was taken: try again later.",
    ),
    HeaderReason.VERSION_INVALID: (
        f"Поддерживается только версия {VERSION} (header.version).",
        f"Only version {VERSION} is supported (header.version).",
    ),
    HeaderReason.MESSAGE_ID_DUPLICATE: (
        "Сообщение с этим header.message_id уже принято.",
        "A message with this header.message_id was taken already.",
    ),
    HeaderReason.MESSAGE_TS_INVALID: (
        "header.message_ts слишком далеко от времени центра или без часового пояса.",
        "header.message_ts is too far from the centre's time, or has no time zone.",
    ),
    HeaderReason.ACTION_INVALID: (
        "header.action не соответствует адресу, на который отправлено сообщение.",
        "header.action does not fit the address that the message was sent to.",
    ),
    HeaderReason.ACTION_NOT_SUPPORTED: (
        "Такое header.action здесь не известно.",
        "This header.action is not known here.",
    ),
    HeaderReason.TOTAL_COUNT_INVALID: (
        "header.total_count не равно числу запросов в сообщении.",
        "header.total_count is not the number of requests in the message.",
    ),
    HeaderReason.TOTAL_COUNT_LIMIT_EXCEEDED: (
        "В сообщении слишком много запросов: разделите его.",
        "The message has too many requests: divide it.",
    ),
    HeaderReason.TOO_MANY_ERRORS: (
        "Слишком много ошибочных запросов в сообщении: исправьте их; ничего не выполнено.",
        "Too many requests of the message are wrong: mend them; nothing was carried out.",
    ),
    SearchReason.REFERENCE_ID_INVALID: (
        "reference_id: от 1 до 99 знаков.",
        "reference_id: 1 to 99 characters.",
    ),
    SearchReason.REFERENCE_ID_DUPLICATE: (
        "reference_id уже занят другим запросом.",
        "reference_id belongs to another request.",
    ),
    SearchReason.TIMESTAMP_INVALID: (
        "timestamp: время ISO 8601 с часовым поясом, не из будущего.",
        "timestamp: a time of ISO 8601 with its zone, not in the future.",
    ),
    SearchReason.CRITERIA_INVALID: (
        "search_criteria нельзя выполнить.",
        "search_criteria cannot be carried out.",
    ),
    SearchReason.FILTER_INVALID: ("Условие поиска неверно.", "The condition is wrong."),
    SearchReason.SORT_INVALID: ("sort неверно.", "sort is wrong."),
    SearchReason.PAGINATION_INVALID: ("pagination неверно.", "pagination is wrong."),
    SearchReason.TOO_MANY_RECORDS: (
        "Найдено слишком много записей: уточните условие.",
        "Too many records were found: narrow the condition.",
    ),
    SubscribeReason.NOTIFY_TYPES_INVALID: (
        "Такого события или вида записи нет.",
        "There is no such event or kind of record.",
    ),
    SubscribeReason.NOTIFY_DETAILS_INVALID: (
        "Условия уведомления неверны.",
        "The details of the notification are wrong.",
    ),
    SubscribeReason.PERSON_ID_INVALID: (
        "Идентификатор в условии неверен.",
        "The identifier in the filter is wrong.",
    ),
    SubscribeReason.ALREADY_SUBSCRIBED: (
        "На это событие с этим условием вы уже подписаны.",
        "You are subscribed to this event with this filter already.",
    ),
    UnsubscribeReason.SUBSCRIPTION_CODE_INVALID: (
        "Такой подписки нет.",
        "There is no such subscription.",
    ),
    UnsubscribeReason.REQUESTER_INVALID: (
        "Эта подписка принадлежит другому участнику.",
        "This subscription belongs to another participant.",
    ),
    UnsubscribeReason.ALREADY_UNSUBSCRIBED: (
        "Эта подписка уже прекращена.",
        "This subscription has ended already.",
    ),
}


def words(code: ErrorCode | Reason, locale: Locale, detail: str = "") -> str:
    """Return what a code means, followed by `detail`, the field and value that it is about."""
    russian, english = _WORDS[code]
    sentence = russian if locale is Locale.RUSSIAN else english
    return f"{sentence} {detail}".strip()[:CODE_TEXT_LENGTH_MAX]


def locale_of(text: object) -> Locale:
    """Return the language that `locale` of a request asks for; the two-letter slip is taken too."""
    return Locale.RUSSIAN if text in {"rus", "ru"} else Locale.ENGLISH
