"""What officials read: a regulation in sentences, and what changes between two versions."""

from processing.regulations.changes import changes
from processing.regulations.directory import Directory
from processing.regulations.document import Regulation, read_regulation
from processing.regulations.explaining import explain_regulation
from processing.regulations.shipped import shipped_regulations


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
        "чем подтверждается присутствие: было «tap», стало «pin»",
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
