"""What officials read: a regulation in sentences, and what changes between two versions."""

from __future__ import annotations

import re
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import pytest

from processing.regulations.changes import changes
from processing.regulations.directory import Directory
from processing.regulations.document import (
    Consumes,
    EvidenceWord,
    HolderFact,
    Norm,
    Notice,
    Period,
    RefusalWords,
    Regulation,
    Report,
    Shortage,
    Visit,
    read_regulation,
)
from processing.regulations.explaining import explain_regulation
from processing.regulations.shipped import shipped_regulations
from processing.regulations.words import word_of


def draft(text: str) -> Regulation:
    return read_regulation(text.encode(), "draft.toml")


def test_a_regulation_in_sentences(medicine: str, directory: Directory) -> None:
    ru = explain_regulation(draft(medicine), directory, "ru")
    assert ru.startswith("# Льготные лекарства\n\nMEDICINE v1. Министерство здравоохранения")
    assert "Действует с 01.01.2026 по 31.12.2030." in ru
    assert "Мера: Лекарства по рецепту с пятидесятипроцентной скидкой (MED.REG)." in ru
    assert "Покрывается 50 % от цены не выше предельной." in ru
    assert "289,90\N{NO-BREAK SPACE}₽ → покрыто 240,00\N{NO-BREAK SPACE}₽, платит гражданин" in ru
    assert "→ остатка по этому праву не хватает" in ru
    en = explain_regulation(draft(medicine), directory, "en")
    assert "When less is left than is asked for, the whole is refused." in en


def test_every_shipped_regulation_has_words(directory: Directory) -> None:
    for regulation in shipped_regulations():
        for clause in regulation.clauses:
            assert clause.text_ru in explain_regulation(regulation, directory, "ru")
            assert clause.text_en in explain_regulation(regulation, directory, "en")


def test_what_changes_is_told_in_words(medicine: str) -> None:
    after = (
        medicine.replace("version = 1", "version = 2")
        .replace("percent = 50", "percent = 60")
        .replace('capped = true\ntariff = "MED-REG', 'capped = false\ntariff = "MED-REG')
        .replace('evidence = "tap" ', 'evidence = "pin" ')
        .replace("[4_926]", "[5_911]")
    )
    assert changes(draft(medicine), draft(after), "ru") == [
        "чем подтверждается присутствие: было карта приложена, стало карта и ПИН-код",
        "пункт 2, процент покрытия: было 50, стало 60",
        "пункт 2, предельная цена действует: было да, стало нет",
        "пример «Половина цены с округлением полкопейки вверх в пользу гражданина»: исключён",
        "пример «Половина цены с округлением полкопейки вверх в пользу гражданина»: добавлен",
    ]
    assert changes(draft(medicine), draft(after), "en")[1] == (
        "clause 2, percentage covered: was 50, is 60"
    )
    assert changes(draft(medicine), draft(medicine), "en") == ["nothing changes"]


def test_clauses_come_and_go(medicine: str) -> None:
    first, second = medicine.index('[[clause]]\nclause = "2"'), medicine.index("[[case]]")
    without = medicine[:first] + medicine[second:].replace('clause = "2"', 'clause = "1"')
    gone = changes(draft(medicine), draft(without), "ru")
    assert "пункт 2: исключён" in gone
    come = changes(draft(without), draft(medicine), "ru")
    assert any(line.startswith("пункт 2: добавлен: Лекарство по рецепту") for line in come)


def test_goods_are_put_aside_where_that_makes_sense(directory: Directory) -> None:
    told = {
        one.regulation.service: [
            line
            for line in explain_regulation(one, directory, "ru").splitlines()
            if "отложить" in line
        ]
        for one in shipped_regulations()
    }
    assert {service: lines for service, lines in told.items() if lines} == {
        "MEDICINE": ["Можно отложить на срок до 3\N{NO-BREAK SPACE}сут."],
        "CERTIFICATE": ["Можно отложить на срок до 7\N{NO-BREAK SPACE}сут."],
        "SOCIAL.TAXI": ["Можно отложить на срок до 14\N{NO-BREAK SPACE}сут."],
        "CHILD.VOUCHER": ["Можно отложить на срок до 31\N{NO-BREAK SPACE}сут."],
    }


def shipped(service: str) -> Regulation:
    (found,) = (one for one in shipped_regulations() if one.regulation.service == service)
    return found


def replaced(one: Regulation, part: str, **values: Any) -> Regulation:
    """Return the regulation with fields of a table, or of a list's first entry, set."""
    old = getattr(one, part)
    if not isinstance(old, tuple):
        return msgspec.structs.replace(one, **{part: msgspec.structs.replace(old, **values)})
    first = msgspec.structs.replace(old[0], **values)
    return msgspec.structs.replace(one, **{part: (first, *old[1:])})


NORM = Norm(clause="1", item_class="WATER", quantity=3_000, each=True, period=Period.MONTH)
WORDS = RefusalWords(
    outcome="ALLOWANCE_EXHAUSTED", text_ru="Норма выбрана", text_en="The norm is used",
    remedy_ru="Доплатите", remedy_en="Pay the rest",
)  # fmt: skip


@pytest.fixture
def whole(medicine: str) -> Regulation:
    """Give a regulation that has something of everything."""
    clinic = shipped("OMS.VISIT")
    return msgspec.structs.replace(
        draft(medicine),
        visit=Visit(minutes_max=90, required=False),
        norms=(NORM,),
        refusals=(WORDS,),
        requirements=tuple(
            msgspec.structs.replace(one, clause=f"8.{place}")
            for place, one in enumerate(clinic.requirements)
        ),
    )


SPECIFIC: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("transaction", {"refill_percent": 75}, ("следующая выдача после процента срока: было 100,"
     " стало 75"), "next supply after % of time: was 100, is 75"),
    ("transaction", {"substitution": True}, "замена внутри класса разрешена: было нет, стало да",
     "substitution within the class: was no, is yes"),
    ("transaction", {"reserve_minutes": 1_500}, ("на сколько можно отложить: было 3\xa0сут,"
     " стало 1\xa0сут 1\xa0ч"), "how long goods stay put aside: was 3\xa0d, is 1\xa0d 1\xa0h"),
    ("visit", {"minutes_max": 120}, ("от начала до окончания не больше: было 1\xa0ч 30\xa0мин,"
     " стало 2\xa0ч"), "longest from start to finish: was 1\xa0h 30\xa0min, is 2\xa0h"),
    ("norms", {"quantity": 2_500}, ("норма WATER, 1–99 чел. (пункт 1), количество: было 3000,"
     " стало 2500"), "norm of WATER, 1–99 people (clause 1), quantity: was 3000, is 2500"),
    ("refusals", {"remedy_ru": "Зайдите позже", "remedy_en": "Come later"},
     ("слова отказа «Остатка по этому праву не хватает», что делать: было «Доплатите»,"
     " стало «Зайдите позже»"),
     "what to do, in English: was “Pay the rest”, is “Come later”"),
    ("report", {"to": (Report.FFOMS,), "notify": (Notice.USED_UP,)}, "отчитываются: было",
     "it is reported: was"),
    ("requirements", {"prolonged_days": 14}, "дней продления: было 30, стало 14",
     "days of prolongation: was 30, is 14"),
    ("requirements", {"fact": HolderFact.ATTACHMENT}, "стало прикрепление", "is attachment"),
    ("clauses", {"categories": ("VETERAN",)}, "только для категорий: было —, стало «VETERAN»",
     "only for categories: was —, is “VETERAN”"),
)  # fmt: skip


@pytest.mark.parametrize(("part", "values", "ru", "en"), SPECIFIC)
def test_each_kind_of_change_has_its_sentence(
    whole: Regulation, part: str, values: dict[str, Any], ru: str, en: str
) -> None:
    after = replaced(whole, part, **values)
    assert any(ru in line for line in changes(whole, after, "ru")), changes(whole, after, "ru")
    assert any(en in line for line in changes(whole, after, "en")), changes(whole, after, "en")


def other(value: Any) -> Any:
    """Return a value of the same type that is another."""
    match value:
        case bool():
            return not value
        case StrEnum():
            return next(one for one in type(value) if one is not value)
        case int():
            return value + 1
        case date():
            return value + timedelta(days=1)
        case tuple():
            return (*value, Notice.EXPIRED)
        case None:
            return 5
        case _:
            return f"{value}x"


WHAT_NAMES_AN_ENTRY = {
    "regulation": {"service", "version"},
    "clauses": {"clause", "measure"},
    "requirements": {"clause"},
    "norms": {"clause", "item_class", "people_from", "people_to"},
    "refusals": {"outcome"},
}


def test_no_field_changes_in_silence(whole: Regulation) -> None:
    """Fields that name an entry make it another one; of the others each has a sentence."""
    for part in (
        "regulation", "transaction", "visit", "report", "clauses", "requirements", "norms",
        "refusals",
    ):  # fmt: skip
        table = getattr(whole, part)
        entry = table[0] if isinstance(table, tuple) else table
        for name, value in msgspec.structs.asdict(entry).items():
            if name in WHAT_NAMES_AN_ENTRY.get(part, ()):
                continue
            after = replaced(whole, part, **{name: other(value)})
            for language in ("ru", "en"):
                only_other_language = name.endswith("_en" if language == "ru" else "_ru")
                (line,) = changes(whole, after, language)
                assert only_other_language or line != "nothing changes", (part, name)
                assert line not in ("ничего не изменилось", "nothing changes"), (part, name)


def test_entries_come_and_go_with_their_words(whole: Regulation) -> None:
    bare = msgspec.structs.replace(whole, visit=None, norms=(), refusals=(), requirements=())
    come, gone = changes(bare, whole, "ru"), changes(whole, bare, "ru")
    assert (
        "порядок визита: добавлен: от начала до окончания не больше 1\xa0ч 30\xa0мин,"
        " начало и окончание обязательны: нет"
    ) in come
    assert "норма WATER, 1–99 чел. (пункт 1): добавлен: 3000 на каждого в месяц" in come
    assert any("(действующий полис ОМС)" in line for line in come)
    assert "порядок визита: исключён" in gone
    assert len(gone) == len(come)
    moved = msgspec.structs.replace(
        whole, requirements=(msgspec.structs.replace(whole.requirements[0], clause="1"),)
    )
    without = msgspec.structs.replace(moved, clauses=whole.clauses[1:])
    assert "пункт 1: исключён" in changes(whole, without, "ru")


def test_every_word_of_a_document_has_a_readers() -> None:
    for words in (Consumes, Shortage, EvidenceWord, HolderFact, Notice, Report, Period):
        for value in words:
            assert re.search("[а-я]", word_of(value, "ru"))
            assert re.fullmatch("[a-zA-Z :,]+", word_of(value, "en"))


def test_a_notice_for_officials_has_no_codes_for_words(directory: Directory) -> None:
    for one in shipped_regulations():
        text = explain_regulation(one, directory, "ru")
        assert not re.search(r"(used up|egisso|ffoms|\((?:month|term)\)|ALLOWANCE_)", text), text
