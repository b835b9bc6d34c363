"""The JSON bodies of the HTTP gateway, and the closed list of problems that it answers with.

Bytes travel as base64, dates as yyyy-mm-dd, times as RFC 3339, identifiers as UUIDs. A problem is
RFC 9457 `application/problem+json`: `type` never changes its meaning, `title` and `title_ru` say
what happened, `detail` and `detail_ru` what to do, `field` which field of the body is meant.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

BODY_BYTES_MAX: Final = 16 * 1024
"""Longest body of a request; a report with both certificates has about 3 KB."""

CERTIFICATE_BYTES_MAX: Final = 1_856
"""A card's certificate container holds no more (SP 800-73-5 part 1, table 9)."""

CHALLENGE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PROBLEM_CONTENT_TYPE: Final = "application/problem+json"
PROBLEM_TYPE_PREFIX: Final = "urn:spk:problem:"

REASON_LENGTH_MAX: Final = 300
"""Longest reason of a step in a card's life."""

TRANSPORT_PIN_DIGITS: Final = 6
"""A transport PIN is the last digits of the number that is printed on the card."""

_PROOF_TAG: Final = b"spk issuing proof v1"
_OWN_PIN_TAG: Final = b"spk own pin v1"

Certificate = Annotated[bytes, Meta(min_length=1, max_length=CERTIFICATE_BYTES_MAX)]
Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
Challenge = Annotated[bytes, Meta(min_length=CHALLENGE_BYTES, max_length=CHALLENGE_BYTES)]


class OrderState(StrEnum):
    """What became of a card order."""

    ORDERED = "ordered"
    ISSUED = "issued"
    GIVEN_UP = "given_up"


class CardState(StrEnum):
    """Whether a card may be used."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    REPLACED = "replaced"


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every request body shares: an unknown field is refused, so a typing slip is seen."""


class OrderRequest(Body, frozen=True):
    """POST /issuing/v1/orders: a card for the citizen with this СНИЛС or this id, give one.

    `replace` must be true when the citizen holds an active card, which the new one then replaces.
    """

    snils: Annotated[str, Meta(max_length=32)] | None = None
    citizen_id: UUID | None = None
    replace: bool = False


class IssueReport(Body, frozen=True):
    """POST /issuing/v1/orders/{order_id}/card: the card is written and proves its key.

    The certificates (DER) are those of slots 9E (tap) and 9A (PIN). `proof` is the signature by
    slot 9E over `issuing_proof_digest`: raw r‖s, 64 bytes. `card_master` is the generation of the
    card master that the card's 9B key comes from. With `pin_is_transport` the card's PIN is the one
    that its number tells (`transport_pin`): until its holder has set another, the centre takes no
    PIN of this card.
    """

    certificate_tap: Certificate
    certificate_pin: Certificate
    proof: Signature
    card_master: Annotated[int, Meta(ge=1, le=255)] = 1
    pin_is_transport: bool = False


class CardOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One card to make. `holder_id` is the citizen; nothing personal travels to the station.

    `valid_to` is the card's last day, `challenge` (32 bytes) what the new card has to sign.
    """

    order_id: UUID
    state: OrderState
    holder_id: UUID
    register_version: int
    card_id: UUID
    card_number: str
    issuer_region: int
    valid_to: date
    challenge: Challenge
    ordered_at: datetime
    batch_id: UUID | None = None
    """The batch it is made with; None: a walk-in, handed over where it is written."""


class IssuedCard(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a report: the card is issued.

    With `active` it was in its holder's hands then and worked at once; else it waits at its
    delivery point until it is handed over, and works for nobody. `holder_count` is how many rights
    holders it may act for: the citizen, households, children.
    """

    order_id: UUID
    card_id: UUID
    card_number: str
    holder_id: UUID
    valid_to: date
    issued_at: datetime
    holder_count: int
    active: bool = True


class CardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A card as the centre knows it."""

    card_id: UUID
    card_number: str
    state: CardState
    valid_to: date
    card_master: int = 1
    pin_is_transport: bool = False


class PinChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """POST /issuing/v1/cards/{card_id}/pin-challenge: what 9A has to sign after the new PIN.

    Asking again gives another, and the one before ends. Without `pin_is_transport` there is nothing
    to report, and what is signed counts for nothing.
    """

    card_id: UUID
    card_number: str
    pin_is_transport: bool
    challenge: Challenge


class OwnPinReport(Body, frozen=True):
    """POST /issuing/v1/cards/{card_id}/own-pin: the holder set a PIN of their own.

    `proof` is the signature by slot 9A over `own_pin_digest`, made after the new PIN: raw r‖s.
    """

    proof: Signature


class LossReport(Body, frozen=True):
    """POST /issuing/v1/cards/{card_id}/lost: what the holder told, for the card's life."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX)]


class LentCard(msgspec.Struct, frozen=True, kw_only=True):
    """The lost card is suspended everywhere, a new one is asked for, and this serves meanwhile.

    `text` is the temporary card (`processing.wire.temporary_card`), to be drawn as a QR code. It
    holds the key: it is given once and kept nowhere. Asking again lends another, and this one ends.
    """

    lost_card_id: UUID
    card_id: UUID
    valid_to: date
    text: str

    def __repr__(self) -> str:
        """Leave the key out: it must not reach a log."""
        return f"LentCard({self.card_id}, text=<hidden>)"


class CardPassport(msgspec.Struct, frozen=True, kw_only=True):
    """The social passport that belongs on a card (`processing.wire.social_passport`)."""

    passport: bytes


class ProbeStatus(StrEnum):
    """What a look at one part of the centre found."""

    OK = "ok"
    FAILING = "failing"


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of the centre; `detail` says in words what fails, or what is worth knowing."""

    status: ProbeStatus
    detail: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """GET /health: all parts, and whether every one of them is well."""

    status: ProbeStatus
    parts: dict[str, ProbeResult]


class ProblemType(StrEnum):
    """Why a request was not carried out. The list is closed; `PROBLEMS` has the words."""

    BODY_MALFORMED = "body-malformed"
    BODY_TOO_LARGE = "body-too-large"
    STATION_UNKNOWN = "station-unknown"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    CITIZEN_UNKNOWN = "citizen-unknown"
    CARD_HELD = "card-held"
    WALK_IN_REFUSED = "walk-in-refused"
    ORDER_UNKNOWN = "order-unknown"
    ORDER_GIVEN_UP = "order-given-up"
    ORDER_ISSUED = "order-issued"
    STAGE_ILLEGAL = "stage-illegal"
    SPOILED_TOO_OFTEN = "spoiled-too-often"
    BATCH_UNKNOWN = "batch-unknown"
    BATCH_TAKEN = "batch-taken"
    BATCH_FINISHED = "batch-finished"
    CERTIFICATE_WRONG = "certificate-wrong"
    PROOF_WRONG = "proof-wrong"
    PIN_PROOF_WRONG = "pin-proof-wrong"
    CARD_UNKNOWN = "card-unknown"
    CARD_NOT_IN_USE = "card-not-in-use"
    TRY_LATER = "try-later"
    FAULT = "fault"


class ProblemText(msgspec.Struct, frozen=True):
    """HTTP status of a problem, what happened and what to do, in Russian and English."""

    status: int
    ru: str
    ru_remedy: str
    en: str
    en_remedy: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem as it travels (RFC 9457): `type` is `urn:spk:problem:` and a `ProblemType`.

    `field` names the field of the body, `reason` the single check that failed, in English.
    """

    type: str
    status: int
    title: str
    title_ru: str
    detail: str
    detail_ru: str
    field: str = ""
    reason: str = ""

    @property
    def kind(self) -> ProblemType | None:
        """The problem's type; None for one that this release does not know."""
        name = self.type.removeprefix(PROBLEM_TYPE_PREFIX)
        return next((kind for kind in ProblemType if kind.value == name), None)


def problem(kind: ProblemType, field: str = "", reason: str = "") -> Problem:
    """Return the problem `kind` with its words."""
    text = PROBLEMS[kind]
    return Problem(
        type=PROBLEM_TYPE_PREFIX + kind.value,
        status=text.status,
        title=text.en,
        title_ru=text.ru,
        detail=text.en_remedy,
        detail_ru=text.ru_remedy,
        field=field,
        reason=reason,
    )


def issuing_proof_digest(order_id: UUID, challenge: bytes) -> bytes:
    """Return what a new card signs with slot 9E to prove its key: 32 bytes.

    SHA-256 over the ASCII tag `spk issuing proof v1`, the order's 16 bytes and its challenge.
    """
    return hashlib.sha256(_PROOF_TAG + order_id.bytes + challenge).digest()


def transport_pin(card_number: str) -> str:
    """Return the transport PIN of the card with this number: what its face tells everybody."""
    return card_number[-TRANSPORT_PIN_DIGITS:]


def own_pin_digest(card_id: UUID, challenge: bytes) -> bytes:
    """Return what a card signs with slot 9A after its holder's own PIN: 32 bytes.

    SHA-256 over the ASCII tag `spk own pin v1`, the card's 16 bytes and the centre's challenge.
    """
    return hashlib.sha256(_OWN_PIN_TAG + card_id.bytes + challenge).digest()


PROBLEMS: Final[dict[ProblemType, ProblemText]] = {
    ProblemType.BODY_MALFORMED: ProblemText(
        400,
        "Тело запроса не разобрано",
        "Исправьте указанное поле и повторите",
        "The body of the request could not be read",
        "Correct the field named and send again",
    ),
    ProblemType.BODY_TOO_LARGE: ProblemText(
        413,
        "Тело запроса слишком велико",
        f"Тело не должно превышать {BODY_BYTES_MAX} байт",
        "The body of the request is too large",
        f"Keep the body within {BODY_BYTES_MAX} bytes",
    ),
    ProblemType.STATION_UNKNOWN: ProblemText(
        401,
        "Станция персонализации не опознана",
        "Проверьте файл токена; новый токен выдаёт оператор: spk cards add-station",
        "The personalization station is not known",
        "Check the token file; the operator gives a new token with spk cards add-station",
    ),
    ProblemType.NOT_FOUND: ProblemText(
        404,
        "Такого адреса нет",
        "Сверьте путь с docs/issuing.md",
        "There is no such address",
        "Compare the path with docs/issuing.md",
    ),
    ProblemType.METHOD_NOT_ALLOWED: ProblemText(
        405,
        "По этому адресу такое действие не выполняется",
        "Сверьте метод с docs/issuing.md",
        "This address does not offer this method",
        "Compare the method with docs/issuing.md",
    ),
    ProblemType.CITIZEN_UNKNOWN: ProblemText(
        404,
        "Гражданина нет в регистре",
        "Проверьте СНИЛС; если он верен, внесите гражданина в регистр",
        "The citizen is not in the register",
        "Check the СНИЛС; if it is right, have the citizen registered",
    ),
    ProblemType.CARD_HELD: ProblemText(
        409,
        "У гражданина уже есть действующая карта",
        "Чтобы заменить её новой, закажите карту с признаком замены (--replace)",
        "The citizen already holds an active card",
        "To replace it, order the card as a replacement (--replace)",
    ),
    ProblemType.WALK_IN_REFUSED: ProblemText(
        403,
        "Этой станции не разрешено заказывать карты без заявления",
        "Примите заявление: spk cards order; право даёт оператор: spk cards walk-in",
        "This station may not order cards without an application",
        "Take an application with spk cards order; the operator gives the right: spk cards walk-in",
    ),
    ProblemType.ORDER_UNKNOWN: ProblemText(
        404,
        "У этой станции нет такой заявки",
        "Проверьте номер заявки; при необходимости закажите карту заново",
        "This station has no such order",
        "Check the order's id; if need be, order the card anew",
    ),
    ProblemType.ORDER_GIVEN_UP: ProblemText(
        409,
        "Заявка снята, карта по ней не выпускается",
        "Сбросьте карту и закажите заново",
        "The order was given up, no card is issued for it",
        "Reset the card and order anew",
    ),
    ProblemType.ORDER_ISSUED: ProblemText(
        409,
        "По этой заявке карта уже выпущена",
        "Действует выпущенная карта; эту карту сбросьте",
        "A card was already issued for this order",
        "The issued card counts; reset this one",
    ),
    ProblemType.STAGE_ILLEGAL: ProblemText(
        409,
        "Карта не может перейти на этот этап",
        "Этапы идут по порядку: keyed, loaded, locked, verified; последним идёт отчёт о карте",
        "The card cannot come to this stage",
        "The stages follow each other: keyed, loaded, locked, verified; the report comes last",
    ),
    ProblemType.SPOILED_TOO_OFTEN: ProblemText(
        409,
        "По этой карте испорчено слишком много заготовок, заявка снята",
        "Найдите причину; заявление снова ждёт одобрения: spk cards approve",
        "Too many blanks were spoiled for this card, its order is given up",
        "Look for the cause; the application waits for approval again: spk cards approve",
    ),
    ProblemType.BATCH_UNKNOWN: ProblemText(
        404,
        "Партии для этой станции нет",
        "Подождите новой партии или соберите её: spk cards batch",
        "There is no batch for this station",
        "Wait for the next batch, or have it made: spk cards batch",
    ),
    ProblemType.BATCH_TAKEN: ProblemText(
        409,
        "Партию уже взяла другая станция",
        "Возьмите следующую; вернуть партию может эмиссионный центр: spk cards take-back",
        "Another station has taken the batch",
        "Take the next one; the issuing office can take a batch back: spk cards take-back",
    ),
    ProblemType.BATCH_FINISHED: ProblemText(
        409,
        "В партии не осталось открытых заявок",
        "Возьмите следующую партию",
        "No order of the batch is open any more",
        "Take the next batch",
    ),
    ProblemType.CERTIFICATE_WRONG: ProblemText(
        422,
        "Сертификат карты не соответствует заявке",
        "Сбросьте карту и выпустите её заново по новой заявке",
        "A certificate of the card does not fit the order",
        "Reset the card and issue it anew under a new order",
    ),
    ProblemType.PROOF_WRONG: ProblemText(
        422,
        "Карта не доказала владение ключом",
        "Повторите отчёт с картой в считывателе; если не помогло, выпустите карту заново",
        "The card did not prove that it holds its key",
        "Report again with the card at the reader; if that fails, issue it anew",
    ),
    ProblemType.PIN_PROOF_WRONG: ProblemText(
        422,
        "Карта не подписала то, о чём центр просил после смены ПИН-кода",
        "Повторите с картой в считывателе: spk card change-pin",
        "The card did not sign what the centre asked for after the PIN was changed",
        "Repeat with the card at the reader: spk card change-pin",
    ),
    ProblemType.CARD_UNKNOWN: ProblemText(
        404,
        "Такой карты нет",
        "Проверьте идентификатор карты: spk card show",
        "There is no such card",
        "Check the card's GUID: spk card show",
    ),
    ProblemType.CARD_NOT_IN_USE: ProblemText(
        409,
        "Эта карта не действует, терять нечего",
        "Найдите действующую карту гражданина; если её нет, закажите новую",
        "This card is not in use: there is nothing to lose",
        "Find the citizen's active card; if there is none, order a new one",
    ),
    ProblemType.TRY_LATER: ProblemText(
        503,
        "Центр сейчас не может ответить",
        "Повторите тот же запрос через несколько секунд",
        "The centre cannot answer now",
        "Send the same request again in a few seconds",
    ),
    ProblemType.FAULT: ProblemText(
        500,
        "Сбой в центре",
        "Сообщите оператору; подробности в журнале центра",
        "The centre failed",
        "Tell the operator; the centre's log says more",
    ),
}
