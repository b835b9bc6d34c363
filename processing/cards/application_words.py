"""What becomes of applications for cards, in words, Russian first."""

from __future__ import annotations

from typing import Final

from processing.cards.applications import (
    ApplicationKind,
    ApplicationState,
    ApplyResult,
    ApproveResult,
    RefuseResult,
    Standing,
)
from processing.cards.life import Stage
from processing.wire.figures import Language, format_date

KINDS: Final[dict[ApplicationKind, tuple[str, str]]] = {
    ApplicationKind.FIRST: ("первая карта", "first card"),
    ApplicationKind.REPLACEMENT: ("замена", "replacement"),
    ApplicationKind.REPRESENTATIVE: ("карта представителя", "representative's card"),
    ApplicationKind.RENEWAL: ("продление", "renewal"),
}

APPLY: Final[dict[ApplyResult, tuple[str, str]]] = {
    ApplyResult.APPLIED: ("заявление принято", "the application is taken"),
    ApplyResult.CITIZEN_UNKNOWN: (
        "гражданина нет в регистре: проверьте СНИЛС или внесите гражданина",
        "the citizen is not in the register: check the СНИЛС, or have the citizen registered",
    ),
    ApplyResult.DEAD: (
        "в регистре указана дата смерти: карта не выпускается",
        "the register has a date of death: no card is issued",
    ),
    ApplyResult.OTHER_REGION: (
        "гражданин относится к другому региону: выберите пункт выдачи его региона",
        "the citizen belongs to another region: choose a delivery point of that region",
    ),
    ApplyResult.NOT_PRINTABLE: (
        "имя в регистре нельзя напечатать на карте: исправьте его (spk register change)",
        "the name in the register cannot be printed: correct it (spk register change)",
    ),
    ApplyResult.WAITS_ALREADY: (
        "такая карта уже заказана: где она, покажет spk cards where",
        "such a card is asked for already: spk cards where shows how far it is",
    ),
    ApplyResult.CARD_HELD: (
        "у гражданина уже есть действующая карта: подайте заявление о замене",
        "the citizen already holds an active card: apply for a replacement",
    ),
    ApplyResult.NO_CARD: (
        "заменять нечего: у гражданина нет карты, подайте заявление на первую",
        "there is nothing to replace: the citizen has no card, apply for a first one",
    ),
    ApplyResult.NOT_REPRESENTATIVE: (
        "в регистре нет действующего представительства: внесите его основание",
        "the register has no representation in force: have its ground registered",
    ),
    ApplyResult.POINT_UNKNOWN: (
        "такого пункта выдачи нет: их показывает spk cards point list",
        "there is no such delivery point: spk cards point list shows them",
    ),
    ApplyResult.RIGHT_MISSING: (
        "у этой роли нет права принимать заявления",
        "this role has no right to take applications",
    ),
}

APPROVE: Final[dict[ApproveResult, tuple[str, str]]] = {
    ApproveResult.ORDERED: ("одобрено, карта заказана", "approved, the card is ordered"),
    ApproveResult.NOT_WAITING: (
        "не ждёт одобрения: уже решено",
        "does not wait for approval: it is decided already",
    ),
    ApproveResult.SAME_PERSON: (
        "принял заявление тот же сотрудник: одобряет другой",
        "the same person took it: another one approves",
    ),
    ApproveResult.NUMBER_TAKEN: ("номер карты занят: повторите", "card number taken: try again"),
    ApproveResult.NOT_FIT: (
        "по регистру карту больше выпускать нельзя (смерть, переезд, имя, полномочия): откажите",
        "by the register it cannot be issued now (death, relocation, name, authority): refuse it",
    ),
    ApproveResult.POINT_UNKNOWN: (
        "не указан действующий пункт выдачи: --point",
        "no delivery point in use is named: --point",
    ),
    ApproveResult.PLAN_FULL: (
        "план пункта выдачи заполнен: одобрите позже или выберите другой пункт",
        "the plan of the delivery point is full: approve later, or choose another point",
    ),
    ApproveResult.RIGHT_MISSING: (
        "у этой роли нет права одобрять заявления",
        "this role has no right to approve applications",
    ),
    ApproveResult.CARD_GONE: (
        "карта, которую надо заменить, уже отслужила: откажите и примите заявление заново",
        "the card to be replaced has ended already: refuse it, and take a new application",
    ),
}

REFUSE: Final[dict[RefuseResult, tuple[str, str]]] = {
    RefuseResult.DONE: ("заявление снято", "the application is closed"),
    RefuseResult.DECIDED_ALREADY: (
        "уже решено иначе, изменить нельзя",
        "it is decided otherwise already and stays so",
    ),
    RefuseResult.AT_STATION: (
        "карту уже делает станция: сначала верните партию (spk cards take-back)",
        "a station is making the card: take its batch back first (spk cards take-back)",
    ),
    RefuseResult.UNKNOWN: ("такого заявления нет", "there is no such application"),
    RefuseResult.RIGHT_MISSING: (
        "у этой роли нет права решать заявления",
        "this role has no right to decide applications",
    ),
}

_CLOSED: Final[dict[ApplicationState, tuple[str, str]]] = {
    ApplicationState.WAITING: ("ждёт одобрения", "waits for approval"),
    ApplicationState.HANDED_OVER: ("карта вручена", "the card is handed over"),
    ApplicationState.WITHDRAWN: ("заявление отозвано", "withdrawn"),
    ApplicationState.REFUSED: ("отказано", "refused"),
}


def word(pair: tuple[str, str], language: Language) -> str:
    """Return the one of the two texts that is in this language."""
    return pair[0] if language == "ru" else pair[1]


def how_far(one: Standing, language: Language) -> str:
    """Return in a few words how far an application is."""
    if one.state is not ApplicationState.ORDERED:
        told = word(_CLOSED[one.state], language)
        return f"{told}: {one.decision_reason}" if one.decision_reason else told
    if one.stage is Stage.ISSUED:
        return word(("готова, ждёт в пункте выдачи", "ready at the delivery point"), language)
    if one.station_id is not None:
        return word((f"делает {one.station_id}", f"{one.station_id} makes it"), language)
    if one.batch_number is not None:
        return word((f"в партии {one.batch_number}", f"in batch {one.batch_number}"), language)
    return word(("одобрена, ждёт своего дня", "approved, waits for its day"), language)


def where_lines(one: Standing, language: Language) -> list[str]:
    """Return what is said to who asks for a card: how far, when, where, whom to call."""
    russian = language == "ru"
    kind = word(KINDS[one.kind], language)
    number = f"Заявление {one.number}" if russian else f"Application {one.number}"
    lines = [f"{number} ({kind}): {how_far(one, language)}"]
    if one.state is ApplicationState.ORDERED and one.expected_on is not None:
        ready = one.stage is Stage.ISSUED
        if not ready:
            day = format_date(one.expected_on, language)
            lines.append(f"Ожидается: {day}" if russian else f"Expected: {day}")
    if one.point_name is not None:
        where, call = ("Где", "Звонить") if russian else ("Where", "Call")
        lines.append(f"{where}: {one.point_name}, {one.point_address}")
        lines.append(f"{call}: {one.point_phone} ({one.point_hours})")
    return lines
