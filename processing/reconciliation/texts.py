"""What finance reads on the screen, in Russian and English."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

from processing.reconciliation.model import Balance, DayBasis

Language = Literal["ru", "en"]


class Phrase(Enum):
    """What an export says, in Russian and English; `say` fills the {facts} in."""

    PROVIDER = ("Поставщик", "Provider")
    TERMINAL = ("Терминал", "Terminal")
    SALES = ("Операций", "Sales")
    REVERSALS = ("Отмен", "Reversals")
    RETURNS = ("Возвратов", "Returns")
    GROSS = ("Стоимость", "Gross")
    COVERED = ("По льготе", "Covered")
    PAID = ("Оплачено", "Paid")
    BALANCE = ("Сверка", "Balance")
    ALL = ("Всего", "All")
    NOT_REGISTERED = ("не в реестре", "not registered")
    NOTHING = ("За {day} операций нет", "There is nothing on {day}")
    LEFT_OUT = (
        "Терминалов с совпавшими итогами, не показанных в таблице: {count}",
        "Terminals in balance that are left out of the table: {count}",
    )
    DIFFERENCE = (
        "{terminal}, {what}: терминал {mine}, центр {theirs}",
        "{terminal}, {what}: terminal {mine}, centre {theirs}",
    )
    MORE_DIFFERENCES = ("И ещё терминалов: {count}", "And {count} more terminals")
    NOT_COMPARED = (
        "Терминалы считают операционные дни, поэтому с итогами дня учёта сверки нет",
        "Terminals count business dates, so a posting date is compared with none of them",
    )
    ALL_IN_BALANCE = (
        "Итоги всех терминалов совпали с итогами центра",
        "The totals of every terminal are those of the centre",
    )
    SOME_NOT_SETTLED = (
        "Не прислали итогов: {count}. Терминал шлёт их при закрытии дня",
        "Not settled: {count}. A terminal sends its totals when it closes the day",
    )
    SOME_DIFFERENT = (
        "НЕ совпали итоги терминалов: {count}",
        "Terminals whose totals are DIFFERENT: {count}",
    )
    SETTLE_AGAIN = (
        "Дошлите с них неотправленные операции и закройте день ещё раз; остальное — по квитанциям",
        "Let them send what is pending and close the day again; settle the rest by receipts",
    )
    WRITTEN = (
        "{path}: строк {rows}; их суммы равны итогам решений в журнале",
        "{path}: {rows} rows; their sums are those of the decisions in the journal",
    )

    def say(self, language: Language, **facts: object) -> str:
        """Return the sentence for a person."""
        ru, en = self.value
        return (ru if language == "ru" else en).format(**facts)


BALANCES: Final[dict[Balance, tuple[str, str]]] = {
    Balance.IN_BALANCE: ("совпали", "in balance"),
    Balance.DIFFERENT: ("НЕ СОВПАЛИ", "DIFFERENT"),
    Balance.NOT_SETTLED: ("нет итогов", "not settled"),
    Balance.NOT_COMPARED: ("—", "—"),
}

TITLES: Final[dict[DayBasis, tuple[str, str]]] = {
    DayBasis.BUSINESS: ("Итоги операционного дня {day}", "Totals of business date {day}"),
    DayBasis.POSTING: ("Итоги дня учёта {day}", "Totals of posting date {day}"),
}

TOTALS: Final[dict[str, tuple[str, str]]] = {
    "approved_count": ("одобрено операций", "approved"),
    "gross_kopecks": ("стоимость", "gross"),
    "covered_kopecks": ("по льготе", "covered"),
    "paid_kopecks": ("оплачено гражданами", "paid by citizens"),
    "reversed_count": ("отменено операций", "reversed"),
    "reversed_covered_kopecks": ("отменено льгот", "reversed, covered"),
    "returned_count": ("возвратов", "returns"),
    "returned_covered_kopecks": ("возвращено льгот", "returned, covered"),
}
"""The names of the numbers that a terminal sends (processing.wire.iso8583.messages)."""


def pick(pair: tuple[str, str], language: Language) -> str:
    """Return the text of a language out of (Russian, English)."""
    return pair[0] if language == "ru" else pair[1]
