"""A regulation's form: what is wrong is told with its place, in both languages, and all at once."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.regulations.document import Regulation, read_regulation
from processing.regulations.faults import DocumentError, Fault, Place
from processing.regulations.shipped import shipped_regulations
from processing.regulations.source import TEXT_MAX_BYTES, read_source


def faults_in(text: str | bytes) -> tuple[Fault, ...]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(DocumentError) as caught:
        read_regulation(data, "draft.toml")
    return caught.value.faults


def test_every_shipped_regulation_is_read() -> None:
    titles = [one.title for one in shipped_regulations()]
    assert len(titles) == len(set(titles)) == 12
    assert {"CERTIFICATE v1", "MEDICINE v1", "OMS.VISIT v1", "UTILITY v1"} <= set(titles)


@pytest.mark.parametrize(
    ("old", "new", "place", "field", "ru", "en"),
    [
        (
            "percent = 50",
            'percent = "half"',
            Place(45, 1),
            "clause 2, percent",
            "ожидается целое число, а здесь строка в кавычках",
            "expected a whole number, found a string in quotes",
        ),
        (
            "percent = 50",
            "percent = 101",
            Place(45, 1),
            "clause 2, percent",
            "число должно быть не больше 100",
            "it must be at most 100",
        ),
        (
            "percent = 50",
            "precent = 50",
            Place(45, 1),
            "clause 2, precent",
            "неизвестное поле; может быть, percent?",
            "unknown; did you mean percent?",
        ),
        (
            "percent = 50\n",
            "",
            Place(40, 3),
            "clause 2",
            "нет поля percent; добавьте его",
            "field percent is missing; add it",
        ),
        (
            'shortage = "refuse"',
            'shortage = "refus"',
            Place(20, 1),
            "transaction, shortage",
            "такого слова нет: 'refus'; бывают: refuse, cover what is left",
            "there is no such word: 'refus'; there are: refuse, cover what is left",
        ),
        (
            "granted = 3, used = 2",
            "granted = 3, spent = 2",
            Place(90, 73),
            "case 3, rights 1, spent",
            (
                "неизвестное поле; бывают measure, item_class, granted, used, period, priority, "
                "category, item, course_days, running_days"
            ),
            (
                "unknown; there are measure, item_class, granted, used, period, priority, "
                "category, item, course_days, running_days"
            ),
        ),
        (
            'clause = "2"\ntext',
            'clause = "two"\ntext',
            Place(41, 1),
            "clause 2, clause",
            "ожидается: номер пункта, например 2.1",
            "expected: the number of a clause, such as 2.1",
        ),
        (
            "valid_from = 2026-01-01",
            'valid_from = "2026-01-01"',
            Place(14, 1),
            "regulation, valid_from",
            "ожидается дата без кавычек, например 2026-01-31, а здесь строка в кавычках",
            "expected a date without quotes, such as 2026-01-31, found a string in quotes",
        ),
        (
            "2030-12-31",
            "2030-02-31",
            Place(15, 12),
            "",
            "это не TOML (Invalid date or datetime)",
            "this is not TOML (Invalid date or datetime)",
        ),
        (
            "[transaction]",
            "[transactions]",
            Place(18, 2),
            "transactions",
            "неизвестное поле; может быть, transaction?",
            "unknown; did you mean transaction?",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(
    medicine: str, old: str, new: str, place: Place, field: str, ru: str, en: str
) -> None:
    assert old in medicine
    found = faults_in(medicine.replace(old, new, 1))[-1]
    assert (found.place, found.field, found.ru, found.en) == (place, field, ru, en)


def test_every_table_is_looked_at(medicine: str) -> None:
    spoilt = medicine.replace("percent", "prozent").replace('"tap"', '"tip"')
    assert [fault.place.line for fault in faults_in(spoilt)] == [21, 36, 45, 55]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "нет раздела [regulation]"),
        (b"\xff\xfe", "текст не в UTF-8"),
        (b"# " + b"x" * TEXT_MAX_BYTES, "документ длиннее"),
        (b"clause = 3", "нет ни одного раздела [[clause]]"),
        (b"[regulation", "это не TOML"),
    ],
)
def test_what_is_no_regulation_at_all_is_refused(data: bytes, words: str) -> None:
    assert any(words in fault.ru for fault in faults_in(data))


def test_an_editor_s_byte_order_mark_does_no_harm(medicine: str) -> None:
    assert read_regulation(b"\xef\xbb\xbf" + medicine.encode(), "m.toml").title == "MEDICINE v1"


@given(st.data())
def test_whatever_is_cut_out_no_reading_ends_in_anything_but_a_document_error(
    medicine: str, data: st.DataObject
) -> None:
    text = medicine.encode()
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, len(text)))
    cut = text[:first] + data.draw(st.binary(max_size=8)) + text[last:]
    outcome = read_or_faults(cut)
    if isinstance(outcome, Regulation):
        assert outcome.source.value == tomllib.loads(cut.decode("utf-8-sig"))
    else:
        assert outcome.faults
        assert outcome.text("ru") != ""


def read_or_faults(data: bytes) -> Regulation | DocumentError:
    try:
        return read_regulation(data, "cut.toml")
    except DocumentError as error:
        return error


def test_a_place_is_known_for_every_value() -> None:
    text = 'a.b = 1\n["c d"]\ne = [1, {f = 2}]\n[[g]]\nh = 1\n[g.i]\n[[g]]\n"й" = 3\n'
    places = read_source(text.encode(), "x").places
    assert places == {
        ("a", "b"): Place(1, 1),
        ("c d",): Place(2, 2),
        ("c d", "e"): Place(3, 1),
        ("c d", "e", 0): Place(3, 6),
        ("c d", "e", 1): Place(3, 9),
        ("c d", "e", 1, "f"): Place(3, 10),
        ("g", 0): Place(4, 3),
        ("g", 0, "h"): Place(5, 1),
        ("g", 0, "i"): Place(6, 2),
        ("g", 1): Place(7, 3),
        ("g", 1, "й"): Place(8, 1),
    }
