"""Issuing one card: the steps one by one, and what becomes of it when one of them fails."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from card_personalization.chip.errors import Language
from card_personalization.station.centre import CentreClient
from card_personalization.station.faults import (
    FORESEEN,
    CentreAway,
    CentreRefused,
    StationError,
    words,
)
from card_personalization.station.steps import STEPS, Step, Workplace, place_order, report
from hsm_stub.client.errors import HsmError
from processing.wire.api import CardOrder, IssuedCard, ProblemType


class OrderFate(Enum):
    """What became of the order of a card that was not issued."""

    NONE = "none"
    """There was no order."""
    GIVEN_UP = "given_up"
    """The centre will link no card to it."""
    OPEN = "open"
    """The centre could not be told; no card can be linked to it without another report."""
    UNKNOWN = "unknown"
    """The report was sent and its answer lost: the card may count."""


class IssueFailed(Exception):
    """A card was not issued, or it is not known whether it was: `fate` says which.

    `cause` is the foreseen error, `done` and `undone` are the steps; the failed one, which may
    have taken effect on the card, is the first of `undone`.
    """

    exit_code = 1

    def __init__(
        self,
        cause: BaseException,
        done: tuple[Step, ...],
        undone: tuple[Step, ...],
        order: CardOrder | None,
        fate: OrderFate,
    ) -> None:
        self.cause = cause
        self.done = done
        self.undone = undone
        self.order = order
        self.fate = fate
        super().__init__(self.text("en"))

    @property
    def card_written(self) -> bool:
        """Whether a step that writes to the card was begun."""
        return len(self.done) > _ORDERING

    def text(self, language: Language) -> str:
        """The whole story for a person: cause, done, not done, order, what to do."""
        order_id = "" if self.order is None else str(self.order.order_id)
        lines = (
            words(self.cause, language),
            *self._steps_text(language),
            _FATE_TEXTS[self.fate].of(language).format(order_id=order_id),
            self._card_text().of(language),
        )
        return "\n".join(lines)

    def _steps_text(self, language: Language) -> tuple[str, ...]:
        """Where it broke off; what was done and what was not, once that matters for the card."""
        done = "; ".join(step.text(language) for step in self.done)
        broken = self.undone[0].text(language)
        left = "; ".join(step.text(language) for step in self.undone[1:]) or "—"
        number, count = len(self.done) + 1, len(STEPS)
        if language == "ru":
            place = f"Прервано на шаге {number} из {count}: {broken}."
            lists = (f"Сделано: {done}.", f"Не сделано: {left}.")
        else:
            place = f"Broken off at step {number} of {count}: {broken}."
            lists = (f"Done: {done}.", f"Not done: {left}.")
        return (place, *lists) if self.card_written else (place,)

    def _card_text(self) -> _Sentence:
        if self.fate is OrderFate.UNKNOWN:
            return _COMPLETE
        return _RESET if self.card_written else _UNTOUCHED


class _Sentence(msgspec.Struct, frozen=True):
    ru: str
    en: str

    def of(self, language: Language) -> str:
        return self.ru if language == "ru" else self.en


_FATE_TEXTS = {
    OrderFate.NONE: _Sentence("Заявки не было.", "There was no order."),
    OrderFate.GIVEN_UP: _Sentence(
        "Заявка {order_id} снята: карта не выпущена.",
        "Order {order_id} is given up: the card is not issued.",
    ),
    OrderFate.OPEN: _Sentence(
        "Заявку {order_id} снять не удалось: центр не отвечает. Карта не выпущена, и без отчёта "
        "станции выпущена не будет.",
        "Order {order_id} could not be given up: the centre does not answer. The card is not "
        "issued, and without the station's report it never will be.",
    ),
    OrderFate.UNKNOWN: _Sentence(
        "Отчёт по заявке {order_id} отправлен, ответа нет: карта записана и, возможно, уже "
        "действует. Не выдавайте её; повторите отчёт: spk card report {order_id}",
        "The report for order {order_id} was sent and not answered: the card is written and may "
        "count already. Do not hand it over; report again: spk card report {order_id}",
    ),
}

_ORDERING = next(number for number, step in enumerate(STEPS) if step.run is place_order)
"""The step after this one is the first that writes to the card."""

_UNTOUCHED = _Sentence("Карта не изменена.", "The card was not changed.")
_RESET = _Sentence(
    "Карта записана не до конца и недействительна. Перед новым выпуском: spk card reset",
    "The card is not wholly written and counts for nothing. Before issuing anew: spk card reset",
)
_COMPLETE = _Sentence(
    "Карту и ПИН-конверт держите вместе.", "Keep the card and its PIN letter together."
)


def issue_card(place: Workplace, on_step: Callable[[Step], None]) -> IssuedCard:
    """Make one card. `on_step` hears of each step before it begins.

    Raises `IssueFailed`; then nothing counts, unless its `fate` is UNKNOWN.
    """
    for number, step in enumerate(STEPS):
        on_step(step)
        try:
            step.run(place)
        except FORESEEN as error:
            fate = _fate(place, step, error)
            raise IssueFailed(error, STEPS[:number], STEPS[number:], place.order, fate) from error
    if place.issued is None:
        raise AssertionError("the last step reports the card")
    return place.issued


def _fate(place: Workplace, step: Step, error: BaseException) -> OrderFate:
    """Give the order up, unless the report may have reached the centre."""
    if place.order is None:
        return OrderFate.NONE
    if step.run is report and isinstance(error, CentreAway | KeyboardInterrupt):
        return OrderFate.UNKNOWN
    return give_up(place.centre, place.order)


def give_up(centre: CentreClient, order: CardOrder) -> OrderFate:
    """Give an order up and return what became of it."""
    try:
        centre.give_up(order.order_id)
    except CentreRefused as refusal:
        issued = refusal.problem.kind is ProblemType.ORDER_ISSUED
        return OrderFate.UNKNOWN if issued else OrderFate.OPEN
    except (StationError, HsmError, KeyboardInterrupt):
        return OrderFate.OPEN
    return OrderFate.GIVEN_UP
