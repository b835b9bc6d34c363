"""The words of a document as its reader says them, in Russian and English."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from processing.regulations.document import (
    Consumes,
    EvidenceWord,
    HolderFact,
    Norm,
    Notice,
    Period,
    RefusalWords,
    Report,
    Shortage,
)
from processing.regulations.faults import Language
from processing.wire.outcome import TEXTS, Outcome

_WORDS: Final[dict[StrEnum, tuple[str, str]]] = {
    Consumes.QUANTITY: ("столько, сколько отпущено", "the quantity handed over"),
    Consumes.KOPECKS: ("столько рублей, сколько покрыто", "the roubles covered"),
    Consumes.ONE_PER_LINE: ("одна единица за строку", "one unit a line"),
    Consumes.NOTHING: ("ничего: услуга только записывается", "nothing: it is only recorded"),
    Shortage.REFUSE: ("отказ целиком", "the whole is refused"),
    Shortage.COVER_WHAT_IS_LEFT: ("покрывается остаток", "what is left is covered"),
    EvidenceWord.TAP: ("карта приложена", "the card is tapped"),
    EvidenceWord.PIN: ("карта и ПИН-код", "the card and its PIN"),
    HolderFact.POLICY: ("действующий полис ОМС", "an insurance policy in force"),
    HolderFact.ATTACHMENT: ("прикрепление", "attachment to a provider"),
    Notice.APPROVED: ("об оказании", "of approvals"),
    Notice.DECLINED: ("об отказе", "of refusals"),
    Notice.USED_UP: ("об исчерпании права", "when a right is used up"),
    Notice.EXPIRED: ("об окончании брони или визита", "when a reservation or visit expires"),
    Report.AGENCY: ("ведомству", "to the agency"),
    Report.EGISSO: ("в ЕГИССО", "to EGISSO"),
    Report.FFOMS: ("в ФФОМС", "to FFOMS"),
    Period.TERM: ("на весь срок", "for the whole term"),
    Period.DAY: ("в день", "a day"),
    Period.WEEK: ("в неделю", "a week"),
    Period.MONTH: ("в месяц", "a month"),
    Period.QUARTER: ("в квартал", "a quarter"),
    Period.YEAR: ("в год", "a year"),
}

_UNITS: Final[dict[Language, tuple[str, str, str]]] = {
    "ru": ("сут", "ч", "мин"),
    "en": ("d", "h", "min"),
}


def word_of(value: StrEnum, language: Language) -> str:
    """Return a word of the document in the reader's; total over the document's enums."""
    return _WORDS[value][language == "en"]


def outcome_words(refusal: RefusalWords, language: Language) -> str:
    """Return the usual words of the outcome that a refusal words anew."""
    texts = TEXTS[Outcome[refusal.outcome]]
    return texts.ru if language == "ru" else texts.en


def norm_words(norm: Norm, language: Language) -> str:
    """Return whose norm it is and of what: what does not change while a norm stays itself."""
    people = _people(norm)
    if language == "ru":
        return f"норма {norm.item_class}, {people} чел. (пункт {norm.clause})"
    return f"norm of {norm.item_class}, {people} people (clause {norm.clause})"


def amount_words(norm: Norm, language: Language) -> str:
    """Return how much a norm grants, to whom and for how long."""
    each = ("на всех", "на каждого") if language == "ru" else ("for all together", "each")
    return f"{norm.quantity} {each[norm.each]} {word_of(norm.period, language)}"


def duration(minutes: int, language: Language) -> str:
    """Return days, hours and minutes as far as there are any."""
    days, rest = divmod(minutes, 24 * 60)
    parts = zip((days, *divmod(rest, 60)), _UNITS[language], strict=True)
    return " ".join(f"{count}\N{NO-BREAK SPACE}{unit}" for count, unit in parts if count)


def _people(norm: Norm) -> str:
    if norm.people_from == norm.people_to:
        return str(norm.people_from)
    return f"{norm.people_from}–{norm.people_to}"
