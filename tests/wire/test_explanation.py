"""Every outcome explains itself: to each reader, in both languages, whatever facts there are."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.explanation import (
    CONSUMES_KOPECKS,
    CONSUMES_ONE,
    CONSUMES_QUANTITY,
    OPERATORS_FACTS,
    Audience,
    Explanation,
    ItemName,
    Names,
    ServiceName,
    explain,
    sent_facts,
)
from processing.wire.explanation_examples import EXAMPLES
from processing.wire.explanation_texts import CITIZEN_REMEDIES, HELD, SENTENCES
from processing.wire.figures import UNITS, Language, counted
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.transaction import FACTS_MAX

NAMES = Names(
    items={
        "PILL": ItemName("Таблетки", "Pills", 778, 0),
        "WATER": ItemName("Вода", "Water", 113, 3),
        "ODD": ItemName("Редкость", "Rarity", 9999, 0),
    },
    services={
        "MED": ServiceName("Лекарства", "Medicines", CONSUMES_QUANTITY),
        "MONEY": ServiceName("Рублями", "In roubles", CONSUMES_KOPECKS),
        "VISIT": ServiceName("Приём", "Visit", CONSUMES_ONE),
    },
    zone=timezone(timedelta(hours=5)),
)


def told(
    outcome: int,
    facts: dict[str, str],
    audience: str = "cashier",
    language: Language = "ru",
    service: str = "MED",
) -> Explanation:
    """The explanation of an answer to a request under version 3 of a service."""
    one = explain(
        Outcome(outcome),
        facts,
        service=service,
        service_version=3,
        audience=Audience(audience),
        language=language,
        names=NAMES,
    )
    return Explanation(*(text.replace("\u00a0", " ") for text in _texts(one)))


def _texts(one: Explanation) -> tuple[str, str, str, str]:
    return one.happened, one.fact, one.remedy, one.rule


SHORT = {"item": "PILL", "remaining": "2", "asked": "3", "until": "2026-11-30"}

# outcome, facts, service, audience, language, the fact, what would change it
SAID = [
    (
        602,
        SHORT,
        "MED",
        "citizen",
        "ru",
        "Таблетки: остаток до 30.11.2026 — 2 упаковки, запрошено — 3 упаковки",
        "Возьмите не больше 2 упаковок или приходите после 30.11.2026",
    ),
    (
        602,
        SHORT,
        "MED",
        "cashier",
        "en",
        "Pills: 2 packs left until 30 Nov 2026, 3 packs asked for",
        "Give no more than 2 packs; the right begins anew after 30 Nov 2026",
    ),
    (
        602,
        SHORT | {"remaining": "150050", "asked": "200000"},
        "MONEY",
        "citizen",
        "ru",
        "Таблетки: остаток до 30.11.2026 — 1 500,50 ₽, запрошено — 2 000,00 ₽",
        "Возьмите не больше 1 500,50 ₽ или приходите после 30.11.2026",
    ),
    (
        602,
        SHORT | {"remaining": "0", "asked": "1"},
        "VISIT",
        "citizen",
        "ru",
        "Таблетки: до 30.11.2026 ничего не осталось",
        "Приходите после 30.11.2026",
    ),
    (
        702,
        {"item": "WATER", "remaining": "1500", "asked": "21000"},
        "MED",
        "cashier",
        "ru",
        "Вода: по праву — 1,5 кубометра, запрошено — 21 кубометр",
        TEXTS[Outcome.APPROVED_PARTLY].ru_remedy,
    ),
    # what was sold is counted in the item's unit, whatever the right counts
    (
        405,
        {"line": "2", "item": "PILL", "remaining": "1"},
        "MONEY",
        "cashier",
        "en",
        "Line 2, Pills: the original has 1 pack",
        "Neither quantity nor price of the line can be above the original's",
    ),
    (
        203,
        {"centre": "2026-03-02T09:00:00Z", "signed": "2026-03-02T08:00:00Z"},
        "MED",
        "cashier",
        "en",
        (
            "The terminal shows 2 Mar 2026 13:00, the centre 2 Mar 2026 14:00; "
            "they may differ by 15 minutes"
        ),
        "Set the terminal to the centre's time and send under a new number",
    ),
    # a conflict tells its reason's facts, and what it holds
    (
        701,
        {"reason": "602", "item": "PILL", "remaining": "1", "expires": "2026-03-02T09:30:00Z"},
        "MED",
        "cashier",
        "ru",
        (
            "Причина: остатка по этому праву не хватает. Таблетки: остаток — 1 упаковка. "
            "Отложено до 02.03.2026 14:30"
        ),
        TEXTS[Outcome.RECORDED_IN_CONFLICT].ru_remedy,
    ),
    # what cannot be said is left out
    (602, SHORT | {"item": "ODD"}, "MED", "cashier", "en", "", None),
    (602, SHORT | {"remaining": "many"}, "MED", "cashier", "en", "", None),
    (304, {"valid_to": "soon"}, "MED", "cashier", "en", "", None),
    (501, {"original": "eaten"}, "MED", "cashier", "en", "", None),
    (701, {"reason": "999"}, "MED", "cashier", "en", "", None),
    (701, {"reason": "701"}, "MED", "cashier", "en", "", None),
]


@pytest.mark.parametrize(
    ("outcome", "facts", "service", "audience", "language", "fact", "remedy"), SAID
)
def test_the_fact_and_what_would_change_it(
    outcome: int,
    facts: dict[str, str],
    service: str,
    audience: str,
    language: Language,
    fact: str,
    remedy: str | None,
) -> None:
    one = told(outcome, facts, audience, language, service)
    assert one.fact == fact
    assert one.remedy == (TEXTS[Outcome(outcome)].en_remedy if remedy is None else remedy)


# outcome, facts, words that only these audiences may read
KNOWN_TO = [
    (601, {"item": "PILL", "missing": "right"}, "назначен", {"citizen", "operator"}),
    (
        601,
        {"item": "PILL", "missing": "ended", "until": "2026-01-31"},
        "31.01",
        {"citizen", "operator"},
    ),
    (
        601,
        {"item": "PILL", "missing": "begun", "since": "2026-01-31"},
        "31.01",
        {"citizen", "operator"},
    ),
    (601, {"item": "X", "missing": "item"}, "каталог", {"cashier", "citizen", "operator"}),
    (305, {"authority": "none"}, "связана", {"citizen", "operator"}),
    (305, {"authority": "scope"}, "поручена", {"citizen", "operator"}),
    (303, {"card_state": "3"}, "заменена", {"operator"}),
    (701, {"reason": "303", "card_state": "3"}, "заменена", {"operator"}),
    (701, {"reason": "305", "authority": "none"}, "связана", {"citizen", "operator"}),
    (
        701,
        {"reason": "601", "item": "PILL", "missing": "right"},
        "назначен",
        {"citizen", "operator"},
    ),
]


@pytest.mark.parametrize(("outcome", "facts", "word", "audiences"), KNOWN_TO)
def test_each_reader_is_told_what_it_may_know(
    outcome: int, facts: dict[str, str], word: str, audiences: set[str]
) -> None:
    read = {a.value for a in Audience if word in " ".join(_texts(told(outcome, facts, a.value)))}
    assert read == audiences


def test_what_only_the_operator_may_know_is_not_sent() -> None:
    assert sent_facts({"reason": "303", "card_state": "2"}) == {"reason": "303"}
    assert sent_facts({"item": "PILL"}) == {"item": "PILL"}
    for outcome, facts in ((o, e) for o in EXAMPLES for e in EXAMPLES[o]):
        for audience in (Audience.CASHIER, Audience.CITIZEN):
            assert told(outcome, dict(facts), audience.value) == told(
                outcome, sent_facts(dict(facts)), audience.value
            )


# outcome, facts, the rule that is named
RULES = [
    (602, {}, "Регламент «Лекарства», версия 3"),
    (703, {}, "Регламент «Лекарства», версия 3"),
    (303, {}, "Правила центра, версия 1"),
    (501, {}, "Правила центра, версия 1"),
    (701, {"reason": "602"}, "Регламент «Лекарства», версия 3"),
    (701, {"reason": "202"}, "Правила центра, версия 1"),
    (105, {}, "Правила центра, версия 1"),
]


@pytest.mark.parametrize(("outcome", "facts", "rule"), RULES)
def test_the_rule_and_its_version_are_named(outcome: int, facts: dict[str, str], rule: str) -> None:
    assert told(outcome, facts).rule == rule


def test_without_a_service_the_centres_rules_decide() -> None:
    one = explain(
        Outcome.APPROVED,
        {},
        service="",
        service_version=0,
        audience=Audience.OPERATOR,
        language="en",
    )
    assert one.rule == "The centre's rules, v. 1"


FACT_NAMES = sorted(
    {name for examples in EXAMPLES.values() for facts in examples for name in facts}
    | {"expires", "reason", "novelty"}
)
VALUES = sorted(
    {value for examples in EXAMPLES.values() for facts in examples for value in facts.values()}
    | {str(int(outcome)) for outcome in Outcome}
    | {"", "-1", "{item}", "PILL", "WATER", "ODD", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"}
)


@given(
    outcome=st.sampled_from(Outcome),
    facts=st.dictionaries(
        st.sampled_from(FACT_NAMES), st.sampled_from(VALUES) | st.text(max_size=8), max_size=6
    ),
    audience=st.sampled_from(Audience),
    language=st.sampled_from(("ru", "en")),
    service=st.sampled_from(("MED", "MONEY", "VISIT", "NEW", "")),
)
def test_no_facts_break_a_sentence(
    outcome: Outcome,
    facts: dict[str, str],
    audience: Audience,
    language: Language,
    service: str,
) -> None:
    one = told(outcome, facts, audience.value, language, service)
    assert one.happened in (TEXTS[outcome].ru, TEXTS[outcome].en)
    assert one.remedy
    assert one.rule
    if "{item}" not in facts.values():
        assert "{" not in one.fact + one.remedy + one.rule or "{" in "".join(facts.values())


@given(data=st.data(), audience=st.sampled_from(Audience), language=st.sampled_from(("ru", "en")))
def test_any_part_of_the_listed_facts_can_be_told(
    data: st.DataObject, audience: Audience, language: Language
) -> None:
    outcome = data.draw(st.sampled_from(sorted(EXAMPLES)))
    facts = dict(data.draw(st.sampled_from(EXAMPLES[outcome])))
    for name in data.draw(st.sets(st.sampled_from(sorted(facts) or ["none"]))):
        facts.pop(name, None)
    one = told(outcome, facts, audience.value, language)
    assert one.happened
    assert one.remedy


@pytest.mark.parametrize("outcome", sorted(EXAMPLES), ids=lambda outcome: str(outcome.name))
def test_the_operator_is_told_every_listed_fact(outcome: Outcome) -> None:
    assert outcome.decided
    for facts in EXAMPLES[outcome]:
        assert len(facts) <= FACTS_MAX
        one = explain(
            outcome,
            facts,
            service="MEDICINE",
            service_version=3,
            audience=Audience.OPERATOR,
            language="ru",
            names=Names(items={"ENALAPRIL": NAMES.items["PILL"]}),
        )
        assert one.fact or not facts or outcome is Outcome.REVERSED_BEFORE


def test_every_decided_outcome_lists_its_facts() -> None:
    assert set(EXAMPLES) == {outcome for outcome in Outcome if outcome.decided}


def test_the_catalogue_speaks_both_languages() -> None:
    every = [sentence for sentences in SENTENCES.values() for sentence in sentences]
    for one in [*every, HELD]:
        for ru, en in (
            (one.ru, one.en),
            (one.ru_remedy, one.en_remedy),
            (one.ru_citizen, one.en_citizen),
        ):
            assert bool(ru) is bool(en)
            assert _placeholders(ru) == _placeholders(en)
            assert not re.search("[a-zA-Z]", re.sub(r"\{\w+\}", "", ru)), ru
            assert en.isascii(), en
            assert not ru.endswith("."), ru
    for ru, en in CITIZEN_REMEDIES.values():
        assert re.search("[а-яё]", ru)
        assert en.isascii()
    assert set(FACT_NAMES) >= OPERATORS_FACTS


def _placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


# quantity, scale, "there are", "not more than", in English
COUNTS = [
    (0, 0, "0 упаковок", "0 упаковок", "0 packs"),
    (1, 0, "1 упаковка", "1 упаковки", "1 pack"),
    (2, 0, "2 упаковки", "2 упаковок", "2 packs"),
    (4, 0, "4 упаковки", "4 упаковок", "4 packs"),
    (5, 0, "5 упаковок", "5 упаковок", "5 packs"),
    (11, 0, "11 упаковок", "11 упаковок", "11 packs"),
    (12, 0, "12 упаковок", "12 упаковок", "12 packs"),
    (21, 0, "21 упаковка", "21 упаковки", "21 packs"),
    (22, 0, "22 упаковки", "22 упаковок", "22 packs"),
    (111, 0, "111 упаковок", "111 упаковок", "111 packs"),
    (1_001, 0, "1 001 упаковка", "1 001 упаковки", "1 001 packs"),
    (1_500, 3, "1,5 упаковки", "1,5 упаковки", "1,5 packs"),
    (2_000, 3, "2 упаковки", "2 упаковок", "2 packs"),
]


@pytest.mark.parametrize(("quantity", "scale", "there_are", "most", "english"), COUNTS)
def test_units_agree_with_their_numbers(
    quantity: int, scale: int, there_are: str, most: str, english: str
) -> None:
    pack = UNITS[778]
    said = (
        counted(quantity, scale, pack, "ru"),
        counted(quantity, scale, pack, "ru", genitive=True),
        counted(quantity, scale, pack, "en"),
    )
    assert tuple(one.replace("\u00a0", " ") for one in said) == (there_are, most, english)
