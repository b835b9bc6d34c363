"""A rule, its answers and its changes as people read them."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from processing.eligibility.changes import changes
from processing.eligibility.directory import Directory
from processing.eligibility.document import Rule, read_rule
from processing.eligibility.evaluating import evaluate
from processing.eligibility.explaining import explain_rule
from processing.eligibility.facts import Answer, Facts, Setting
from processing.eligibility.why import Record, why
from processing.regulations.faults import Language
from processing.wire.explanation import Audience

SETTING = Setting(day=date(2026, 11, 22), amounts_kopecks={"PM.CHILD": 1_550_000})
BOY = Facts(
    birth_date=date(2016, 6, 1),
    sex="m",
    categories={"VETERAN.WAR": date(2030, 1, 1)},
    household_births=(date(1985, 1, 1), date(2016, 6, 1)),
    income_kopecks=5_000_000,
    year_measures=(),
)


@pytest.fixture(scope="session")
def rule(voucher: str) -> Rule:
    return read_rule(voucher.encode(), "voucher.toml")


def told(
    rule: Rule,
    facts: Facts,
    directory: Directory,
    language: Language = "ru",
    audience: Audience = Audience.OPERATOR,
) -> str:
    trace = evaluate(rule, facts, SETTING)
    records = [Record("income_kopecks", "income", "0190", 3)]
    return "\n".join(why(rule, trace, facts, records, directory, language, audience))


def test_why_not_names_clause_value_record_and_remedy(rule: Rule, directory: Directory) -> None:
    lines = told(rule, BOY, directory).splitlines()
    assert lines[0] == "Путёвка для ребёнка (VOUCHER.CHILD v1), 22.11.2026: не положено"
    assert "  ✓ 1. Ребёнок от 7 до 15 лет — выполнен" in lines
    assert "  ✗ 2. Многодетная семья, инвалидность или низкий доход — не выполнен" in lines
    assert (
        "        доход на человека, % от величины «прожиточный минимум детей»: "
        "не больше 150\u00a0%; в регистре: 162\u00a0%" in lines
    )
    assert "        запись: income 0190, версия 3" in lines
    assert "        что изменит: если станет: не больше 150\u00a0%" in lines
    # Of the categories held only those asked for are told.
    assert "Ветеран" not in "\n".join(lines)


def test_what_is_missing_is_to_be_brought(rule: Rule, directory: Directory) -> None:
    unknown = msgspec.structs.replace(BOY, income_kopecks=None)
    text = told(rule, unknown, directory)
    assert "нельзя решить: не хватает сведений" in text
    assert "эти сведения есть у: налоговая служба и Социальный фонд; принесите: справки" in text
    assert text.splitlines()[-3:] == [
        "Нужны документы:",
        "  — Медицинская справка по форме № 079/у или № 070/у",
        "  — Справки о доходах взрослых членов семьи за три месяца",
    ]
    assert "cannot be told: facts are missing" in told(rule, unknown, directory, "en")


def test_a_child_too_young_learns_since_when(rule: Rule, directory: Directory) -> None:
    young = msgspec.structs.replace(BOY, birth_date=date(2020, 2, 29))
    assert "что изменит: будет выполнен с 28.02.2027" in told(rule, young, directory)
    old = msgspec.structs.replace(BOY, birth_date=date(2000, 2, 29))
    assert "будет выполнен" not in told(rule, old, directory)


def test_a_measure_had_this_year_is_over_next_year(rule: Rule, directory: Directory) -> None:
    again = msgspec.structs.replace(BOY, year_measures=("VOUCHER.CHILD",))
    text = told(rule, again, directory)
    assert "  ✗ 3. Путёвки в этом году ещё не было — не выполнен" in text
    assert "что изменит: когда это кончится" in text
    assert "    ✗ 3.1. Путёвка в этом году уже назначалась — выполнен, а не должен быть" in text


def test_the_citizen_sees_no_record_and_the_cashier_nothing(
    rule: Rule, directory: Directory
) -> None:
    citizen = told(rule, BOY, directory, "ru", Audience.CITIZEN)
    assert "162\u00a0%" in citizen
    assert "запись" not in citizen
    for language in ("ru", "en"):
        cashier = told(rule, BOY, directory, language, Audience.CASHIER)
        assert len(cashier.splitlines()) == 1
        assert not {"162", "доход", "income", "положено:"} & set(cashier.split())
    granted = msgspec.structs.replace(BOY, income_kopecks=0)
    assert told(rule, granted, directory, "ru", Audience.CASHIER) == told(
        rule, BOY, directory, "ru", Audience.CASHIER
    )


def test_nothing_known_is_never_a_no(rule: Rule) -> None:
    trace = evaluate(rule, Facts(), SETTING)
    assert trace.answer is Answer.UNKNOWN
    assert {one.answer for one in trace.found} == {Answer.UNKNOWN}


def test_the_notice_says_what_who_and_when(rule: Rule, directory: Directory) -> None:
    text = explain_rule(rule, directory, "ru")
    events = "установление инвалидности, рождение ребёнка, потеря кормильца"
    for line in (
        "# Путёвка для ребёнка",
        "* Право: Путёвка для ребёнка (VOUCHER.CHILD)",
        "* VOUCHER.CHILD: 1\u00a0единица на весь срок",
        "* Срок: со дня решения, до конца года",
        f"* После события ({events}): гражданину предлагается заполненное заявление",
        "  * 2.2. В семье трое и более детей (детей в семье младше 18 лет: не меньше 3)",
        "* 3. Путёвки в этом году ещё не было (не должно быть ни одного из подпунктов)",
        "* Куда поедет ребёнок? Загородный лагерь / Санаторий",
    ):
        assert line in text.splitlines()
    assert "* 1. A child from 7 to 15 years" in explain_rule(rule, directory, "en")


def test_a_diff_is_told_in_words(voucher: str, rule: Rule) -> None:
    after = (
        voucher.replace("at_most = 15\n", "at_most = 17\n")
        .replace("offer_days = 60", "offer_days = 30")
        .replace('granting = "offer"', 'granting = "approved"')
        .replace('"DISABLED.CHILD", "FAMILY.LARGE"]\n\n', '"DISABLED.CHILD"]\n\n')
    )
    assert changes(rule, read_rule(after.encode(), "after.toml"), "ru") == [
        "дней на ответ гражданина: было 60, стало 30",
        "как назначается: было offer, стало approved",
        "пункт 1, не больше: было 15, стало 17",
        "пункт 2.1, одно из: было «DISABLED.CHILD», «FAMILY.LARGE», стало «DISABLED.CHILD»",
    ]
    assert changes(rule, rule, "en") == ["nothing changes"]
