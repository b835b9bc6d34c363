"""Why was it decided so: what happened, the deciding fact, what would change it, by which rule.

One place for terminal, receipt and operator. An answer carries facts in codes and numbers; here
they become sentences, in Russian or English, for one audience, which is told only what it may know:
a cashier learns nothing of categories, incomes or of who represents whom, nor why a card is
blocked. A fact that is missing, unknown or unreadable never breaks a sentence: another one is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, tzinfo
from enum import Enum
from functools import lru_cache
from string import Formatter
from typing import Final

import msgspec

from processing.wire.explanation_texts import (
    CARD_STATES,
    CITIZEN_REMEDIES,
    FIELDS,
    HELD,
    ORIGINAL_STATES,
    SENTENCES,
    Sentence,
)
from processing.wire.figures import (
    KOPECK_SCALE,
    ROUBLE_OKEI,
    TIMES,
    UNITS,
    Language,
    counted,
    format_date,
    format_kopecks,
    format_moment,
)
from processing.wire.outcome import CENTRE_RULES_VERSION, TEXTS, Outcome


class Audience(Enum):
    """Who reads an explanation."""

    CASHIER = "cashier"
    CITIZEN = "citizen"
    OPERATOR = "operator"


class ItemName(msgspec.Struct, frozen=True):
    """What people call an item, and what its quantity counts (ОКЕИ code, decimals)."""

    ru: str
    en: str
    unit_okei: int
    scale: int


class ServiceName(msgspec.Struct, frozen=True):
    """What people call a service, and what a line of it takes: see CONSUMES_*."""

    ru: str
    en: str
    consumes: int


CONSUMES_QUANTITY: Final = 1
CONSUMES_KOPECKS: Final = 2
CONSUMES_ONE: Final = 3
"""What a line takes from an allowance: its quantity, the kopecks covered, or one."""


class RefusalText(msgspec.Struct, frozen=True):
    """A refusal in a regulation's own words: what happened, and what would change it."""

    ru: str
    en: str
    ru_remedy: str
    en_remedy: str


class Names(msgspec.Struct, frozen=True):
    """What codes are called, and the time zone of the reader.

    `refusals` are the regulations' own texts, by service and outcome.
    """

    items: Mapping[str, ItemName] = {}
    services: Mapping[str, ServiceName] = {}
    zone: tzinfo = UTC
    refusals: Mapping[tuple[str, Outcome], RefusalText] = {}


NO_NAMES: Final = Names()


class Explanation(msgspec.Struct, frozen=True):
    """Sentences without a final stop; `fact` is "" where no fact can be told.

    `rule` names the regulation with its version, or the centre's own rules with theirs.
    """

    happened: str
    fact: str
    remedy: str
    rule: str


OPERATORS_FACTS: Final = frozenset({"card_state"})
"""Facts that stay in the centre: in no answer to a terminal."""


CASHIERS_GAPS: Final = frozenset({"item", "policy", "attachment", "substitute"})
"""What may be told to a cashier to be missing: nothing of it says why somebody has rights."""


def may_know(audience: Audience, name: str, value: str, outcome: Outcome) -> bool:
    """Whether this audience may be told this fact of an answer."""
    if audience is Audience.OPERATOR:
        return True
    if name in OPERATORS_FACTS:
        return False
    if audience is Audience.CITIZEN:
        return True
    if outcome is Outcome.NO_ENTITLEMENT:
        # Of the right that is missing a cashier learns nothing; of a wrong code, everything.
        return name == "item" or (name == "missing" and value in CASHIERS_GAPS)
    return outcome is not Outcome.CARD_NOT_FOR_HOLDER


def sent_facts(facts: dict[str, str]) -> dict[str, str]:
    """Return the facts that may travel to a terminal."""
    if not facts or OPERATORS_FACTS.isdisjoint(facts):
        return facts
    return {name: value for name, value in facts.items() if name not in OPERATORS_FACTS}


def explain(
    outcome: Outcome,
    facts: Mapping[str, str],
    *,
    service: str,
    service_version: int,
    audience: Audience,
    language: Language,
    names: Names = NO_NAMES,
) -> Explanation:
    """Return the explanation of one answer. Any facts are taken; none raises an error.

    `service` and `service_version` are those of the request, "" and 0 where it names none.
    """
    told = _Told(outcome, facts, service, service_version, audience, language, names)
    text = TEXTS[outcome]
    remedy = (text.ru_remedy, text.en_remedy)
    if audience is Audience.CITIZEN:
        remedy = CITIZEN_REMEDIES.get(outcome, remedy)
    fact, better = _choose(SENTENCES.get(outcome, ()), told)
    if outcome >= Outcome.RECORDED_IN_CONFLICT:
        held, _ = _choose((HELD,), told)
        fact = ". ".join(part for part in (fact, held) if part)
    happened = told.one_of((text.ru, text.en))
    if own := names.refusals.get((service, outcome)):
        happened = told.one_of((own.ru, own.en))
        better = told.one_of((own.ru_remedy, own.en_remedy))
    return Explanation(happened, fact, better or told.one_of(remedy), _rule(told))


class _Told(msgspec.Struct, frozen=True):
    """What a sentence may draw on."""

    outcome: Outcome
    facts: Mapping[str, str]
    service: str
    service_version: int
    audience: Audience
    language: Language
    names: Names

    def fact(self, name: str) -> str | None:
        """Return a fact that this audience may know, in codes and numbers."""
        value = self.facts.get(name)
        if value is None or not may_know(self.audience, name, value, self.outcome):
            return None
        return value

    def one_of(self, pair: tuple[str, str]) -> str:
        return pair[0] if self.language == "ru" else pair[1]


def _choose(sentences: tuple[Sentence, ...], told: _Told) -> tuple[str, str]:
    """Return the first sentence that can be said, and its remedy ("" if it has none)."""
    for sentence in sentences:
        if all(told.fact(name) == value for name, value in sentence.when):
            fact = _filled(told.one_of((sentence.ru, sentence.en)), told)
            remedy = _filled(told.one_of(_remedy_of(sentence, told.audience)), told)
            if fact is not None and remedy is not None:
                return fact, remedy
    return "", ""


def _remedy_of(sentence: Sentence, audience: Audience) -> tuple[str, str]:
    if audience is Audience.CITIZEN and sentence.ru_citizen:
        return sentence.ru_citizen, sentence.en_citizen
    return sentence.ru_remedy, sentence.en_remedy


def _filled(template: str, told: _Told) -> str | None:
    """Return the sentence with its facts in words; None if one of them cannot be said."""
    words = {}
    for name in _names_in(template):
        word = _word(name, told)
        if word is None:
            return None
        words[name] = word
    return template.format_map(words)


@lru_cache(maxsize=1024)
def _names_in(template: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name)


def _word(name: str, told: _Told) -> str | None:
    if name == "service":
        return _service(told)
    if name == "service_version":
        return str(told.service_version) if told.service_version > 0 else None
    value = told.fact(name.removesuffix("_most"))
    if value is None:
        return None
    in_words = _WORDS.get(name)
    return value if in_words is None else in_words(value, told)


def _service(told: _Told) -> str | None:
    named = told.names.services.get(told.service)
    return told.service or None if named is None else told.one_of((named.ru, named.en))


def _item(value: str, told: _Told) -> str:
    named = told.names.items.get(value)
    return value if named is None else told.one_of((named.ru, named.en))


def _amount(value: str, told: _Told, *, genitive: bool = False) -> str | None:
    """Return what is left or asked, in the unit that decided; None if that is not known."""
    if not (value.isascii() and value.isdecimal()):
        return None
    quantity, of_a_line = int(value), told.outcome is Outcome.AMOUNT_WRONG
    service = told.names.services.get(told.service)
    consumes = CONSUMES_QUANTITY if of_a_line or service is None else service.consumes
    if consumes == CONSUMES_KOPECKS:
        return format_kopecks(quantity)
    if consumes == CONSUMES_ONE:
        return counted(quantity, 0, TIMES, told.language, genitive=genitive)
    item = told.names.items.get(told.facts.get("item", ""))
    if item is None:
        return None
    if item.unit_okei == ROUBLE_OKEI and item.scale == KOPECK_SCALE:
        return format_kopecks(quantity)
    unit = UNITS.get(item.unit_okei)
    if unit is None:
        return None
    return counted(quantity, item.scale, unit, told.language, genitive=genitive)


def _most(value: str, told: _Told) -> str | None:
    return _amount(value, told, genitive=True)


def _unit(value: str, told: _Told) -> str | None:
    unit = UNITS.get(int(value)) if value.isascii() and value.isdecimal() else None
    return None if unit is None else told.one_of((unit.one, unit.en_one))


def _date(value: str, told: _Told) -> str | None:
    try:
        return format_date(date.fromisoformat(value), told.language)
    except ValueError:
        return None


def _moment(value: str, told: _Told) -> str | None:
    try:
        return format_moment(datetime.fromisoformat(value), told.names.zone, told.language)
    except (ValueError, OverflowError):
        return None


def _of(words: Mapping[str, tuple[str, str]]) -> Callable[[str, _Told], str | None]:
    def in_words(value: str, told: _Told) -> str | None:
        return told.one_of(words[value]) if value in words else None

    return in_words


def _reason(value: str, told: _Told) -> str | None:
    """Return what would have been answered to a request that had not happened yet."""
    outcome = outcome_of(value)
    if outcome is None or outcome is Outcome.RECORDED_IN_CONFLICT:
        return None
    because = explain(
        outcome,
        told.facts,
        service=told.service,
        service_version=told.service_version,
        audience=told.audience,
        language=told.language,
        names=told.names,
    )
    said = [because.happened[:1].lower() + because.happened[1:], because.fact]
    return ". ".join(part for part in said if part)


_WORDS: Final[Mapping[str, Callable[[str, _Told], str | None]]] = {
    "item": _item,
    "remaining": _amount,
    "remaining_most": _most,
    "asked": _amount,
    "unit": _unit,
    **dict.fromkeys(("until", "ends", "since", "valid_to", "day"), _date),
    **dict.fromkeys(("authority_from", "authority_to"), _date),
    **dict.fromkeys(("centre", "signed", "expires"), _moment),
    "original": _of(ORIGINAL_STATES),
    "field": _of(FIELDS),
    "card_state": _of(CARD_STATES),
    "reason": _reason,
}


def outcome_of(code: str) -> Outcome | None:
    """Return the outcome of a code such as "602", None for any other text."""
    known = {str(int(outcome)): outcome for outcome in Outcome}
    return known.get(code)


BY_REGULATION: Final = frozenset(
    {
        Outcome.REGULATION_OUTDATED,
        Outcome.EVIDENCE_WEAK,
        Outcome.AMOUNT_WRONG,
        Outcome.NO_ENTITLEMENT,
        Outcome.ALLOWANCE_EXHAUSTED,
        Outcome.TOO_EARLY,
        Outcome.APPROVED_PARTLY,
        Outcome.APPROVED,
    }
)
"""Outcomes that the service's regulation decides; all others are by the centre's own rules."""


def _rule(told: _Told) -> str:
    """Return the rule that decided and its version; of a conflict, that of its reason."""
    outcome: Outcome | None = told.outcome
    if outcome is Outcome.RECORDED_IN_CONFLICT:
        outcome = outcome_of(told.facts.get("reason", ""))
    service = _service(told)
    if outcome in BY_REGULATION and told.service_version > 0 and service is not None:
        version = told.service_version
        return told.one_of(
            (f"Регламент «{service}», версия {version}", f'Regulation "{service}", v. {version}')
        )
    version = CENTRE_RULES_VERSION
    return told.one_of((f"Правила центра, версия {version}", f"The centre's rules, v. {version}"))
