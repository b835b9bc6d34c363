"""What spreadsheets do to values and names, and how much of it can be made good."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.register.fields import Fault, Value
from processing.register.identifiers import make_snils
from processing.register.importing.cells import CellReader
from processing.register.importing.errors import ImportRefused
from processing.register.importing.headers import Match, Recognizer
from processing.register.importing.preparing import kind_named
from processing.register.importing.rows import wanted_of
from processing.register.importing.sheet import Cell
from processing.register.records import RECORD_KINDS
from tests.register.importing.office import TODAY

BORN = dt.date(1980, 2, 1)


def read(kind: str, field: str, cell: Cell) -> Value | Fault:
    return CellReader(kind_named(kind).field(field), TODAY).read(cell)


@pytest.mark.parametrize(
    ("kind", "field", "cell", "value"),
    [
        ("citizen", "birth_date", "01.02.1980", BORN),
        ("citizen", "birth_date", "1980-02-01", BORN),
        ("citizen", "birth_date", "1980-02-01 00:00:00", BORN),
        ("citizen", "birth_date", "01.02.1980 0:00", BORN),
        ("citizen", "birth_date", "29252", BORN),  # days since 1900
        ("citizen", "birth_date", 29252.0, BORN),
        ("citizen", "birth_date", BORN, BORN),
        ("citizen", "birth_date", dt.datetime.combine(BORN, dt.time()), BORN),
        ("citizen", "birth_date", "", None),
        ("citizen", "birth_date", None, None),
        ("citizen", "snils", "112-233-445 95", "11223344595"),
        ("citizen", "snils", 11223344595.0, "11223344595"),
        ("citizen", "snils", "00200000014", "00200000014"),
        ("citizen", "snils", "200000014", "00200000014"),  # two zeros dropped
        ("citizen", "snils", 200000014, "00200000014"),
        ("identity_document", "department_code", 20003, "020003"),
        ("identity_document", "number", 123456.0, "123456"),
        ("income", "amount_kopecks", 1250.5, 125050),
        ("income", "amount_kopecks", "1 250,50", 125050),
        ("contact", "preferred", True, True),
        ("prescription", "quantity", 3.0, 3),
    ],
)
def test_cells_that_are_read(kind: str, field: str, cell: Cell, value: Value) -> None:
    assert read(kind, field, cell) == value


@pytest.mark.parametrize(
    ("kind", "field", "cell", "said"),
    [
        ("citizen", "snils", "7.8E+10", "округлила"),
        ("citizen", "snils", "1,12233E+10", "округлила"),
        ("citizen", "enp", 9955840882999990.0, "округлила"),
        ("citizen", "enp", float("inf"), "округлила"),
        ("citizen", "snils", "12345", "нужно цифр: 11"),
        ("citizen", "last_name", "7,8E+10", "округлила"),
        ("citizen", "last_name", "Ор\0лова", "нулевой знак"),
        ("citizen", "birth_date", "30.02.1980", "такой даты нет"),
        ("citizen", "birth_date", "01.02.80", "год четырьмя цифрами"),
        ("citizen", "birth_date", 0.5, "дата"),
        ("identity_document", "number", dt.date(2026, 12, 1), "превратила значение в дату"),
        ("identity_document", "number", dt.time(12, 1), "превратила значение в дату"),
        ("identity_document", "department_code", "20003", "отбросила нули"),
    ],
)
def test_cells_that_are_refused_in_words(kind: str, field: str, cell: Cell, said: str) -> None:
    fault = read(kind, field, cell)
    assert isinstance(fault, Fault)
    assert said in fault.ru
    assert fault.en


@given(st.integers(1_001_999, 999_999_999))
def test_a_snils_survives_a_spreadsheet(number: int) -> None:
    snils = make_snils(number)
    assert read("citizen", "snils", float(int(snils))) == snils
    assert read("citizen", "snils", str(int(snils))) == snils


every_cell = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.datetimes(),
    st.times(), st.timedeltas(),
)  # fmt: skip


@given(st.sampled_from(RECORD_KINDS), every_cell)
def test_any_cell_is_a_value_or_a_fault(kind: object, cell: Cell) -> None:
    assert kind in RECORD_KINDS
    for each in RECORD_KINDS:
        if each is kind:
            for field in each.fields:
                found = CellReader(field, TODAY).read(cell)
                assert not isinstance(found, Fault) or (found.ru and found.en)


@pytest.mark.parametrize(
    ("title", "field", "match"),
    [
        ("СНИЛС", "snils", Match.BY_NAME),
        (" снилс ", "snils", Match.BY_NAME),
        ("С.Н.И.Л.С.", "snils", Match.BY_NAME),
        ("last_name", "last_name", Match.BY_NAME),
        ("Фам.", "last_name", Match.BY_NAME),
        ("Дата рожд.", "birth_date", Match.BY_NAME),
        ("Дата рождения (дд.мм.гггг)*", "birth_date", Match.BY_NAME),
        ("Дат. рожд.", "birth_date", Match.ABBREVIATED),
        ("Отчест.", "patronymic", Match.ABBREVIATED),
        ("Фамиля", "last_name", Match.SIMILAR),
        ("Дтаа рождения", "birth_date", Match.SIMILAR),
        ("Д.Р.", "birth_date", Match.BY_NAME),
        ("Ф.И.О.", "full_name", Match.BY_NAME),
        ("Ошибки импорта", "", Match.SAVED),
        ("Прочее", "", Match.UNKNOWN),
    ],
)
def test_column_names(title: str, field: str, match: Match) -> None:
    recognizer = Recognizer(wanted_of(kind_named("citizen")))
    # a column that is surely known makes the row a header
    header = recognizer.find([["ИНН", title]], {}, {})
    assert (header.columns[1].field, header.columns[1].match) == (field, match)


def test_every_label_is_recognised_as_its_own_field() -> None:
    for kind in RECORD_KINDS:
        recognizer = Recognizer(wanted_of(kind))
        for labels in ([f.ru for f in kind.fields], [f.en for f in kind.fields]):
            header = recognizer.find([labels], {}, {})
            assert list(header.fields) == [field.name for field in kind.fields]


def test_what_a_person_chose_wins_and_what_was_saved_comes_next() -> None:
    recognizer = Recognizer(wanted_of(kind_named("citizen")))
    titles = ["СНИЛС", "Колонка 1", "Имя"]
    header = recognizer.find([titles], {"колонка1": "patronymic", "имя": ""}, {"имя": "last_name"})
    assert [(c.field, c.match) for c in header.columns] == [
        ("snils", Match.BY_NAME),
        ("patronymic", Match.SAVED),
        ("last_name", Match.CHOSEN),
    ]
    assert header.saved() == {"снилс": "snils", "колонка1": "patronymic", "имя": "last_name"}


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"Имя": "nonsense"}, "нет поля «nonsense»"),
        ({"Возраст": "first_name"}, "нет столбца «возраст»"),
        ({"Имя": "snils"}, "одно поле «СНИЛС»"),
    ],
)
def test_mappings_that_are_refused(chosen: dict[str, str], said: str) -> None:
    recognizer = Recognizer(wanted_of(kind_named("citizen")))
    with pytest.raises(ImportRefused) as refused:
        recognizer.find([["СНИЛС", "Имя"]], {}, chosen)
    assert said in refused.value.ru
