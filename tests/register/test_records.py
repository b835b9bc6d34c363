"""The catalogue of record kinds: the same as the database's, and unambiguous."""

from datetime import date

import pytest

from processing.register.fields import Fault, FaultCode, Field, FieldType, header_key
from processing.register.kinds.shape import RecordKind
from processing.register.records import (
    KIND_BY_NAME,
    RECORD_KINDS,
    header_names,
    read_record,
)
from tests.plugins.postgres import Database

TODAY = date(2026, 9, 21)
COMMON_COLUMNS = {"record_id", "version", "change_id", "recorded_at", "valid_to", "holder_id"}

every_kind = pytest.mark.parametrize("kind", RECORD_KINDS, ids=[kind.kind for kind in RECORD_KINDS])


async def test_the_database_lists_the_same_kinds(database: Database) -> None:
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT kind, table_name, key_column, creates_rights"
            " FROM register.record_kind ORDER BY rank"
        )
    assert [tuple(row) for row in rows] == [
        (kind.kind, kind.table, kind.key_column, kind.creates_rights) for kind in RECORD_KINDS
    ]


async def test_fields_fill_the_columns_of_their_table(database: Database) -> None:
    async with database.connect() as connection:
        rows = await connection.fetch(
            """
            SELECT c.relname, a.attname, a.attnotnull, a.attgenerated <> '' AS is_generated
            FROM pg_attribute AS a INNER JOIN pg_class AS c ON a.attrelid = c.oid
            WHERE c.relnamespace = 'register'::regnamespace AND c.relkind = 'r'
                AND a.attnum > 0 AND NOT a.attisdropped
            """
        )
    for kind in RECORD_KINDS:
        columns = {row["attname"]: row for row in rows if row["relname"] == kind.table}
        fields = {field.column: field for field in kind.fields}
        assert set(fields) <= set(columns), kind.kind
        unfilled = set(columns) - set(fields) - {kind.key_column}
        assert unfilled <= COMMON_COLUMNS, kind.kind
        for name, field in fields.items():
            # An entitlement has one of two holders; a region that is left out is the centre's own.
            optional = kind.kind == "entitlement" or name == "region"
            assert optional or field.required == columns[name]["attnotnull"], (kind.kind, name)
            assert not columns[name]["is_generated"]


@every_kind
def test_a_kind_refers_only_to_those_before_it(kind: RecordKind) -> None:
    before = {one.kind: one for one in RECORD_KINDS[: RECORD_KINDS.index(kind)]}
    for field in kind.fields:
        if field.refers_to is not None:
            assert field.refers_by is not None
            assert before[field.refers_to].natural_key == (field.refers_by,)


@every_kind
def test_a_kind_is_described_whole(kind: RecordKind) -> None:
    assert set(kind.natural_key) <= set(kind.by_name)
    assert len(kind.by_name) == len(kind.fields)
    labels = [field.ru for field in kind.fields]
    assert len(set(labels)) == len(labels)
    for field in kind.fields:
        assert field.ru
        assert field.en
        assert (field.type is FieldType.CHOICE) == bool(field.choices)
        assert [header_key(name) for name in field.synonyms] == list(field.synonyms)


@every_kind
def test_no_header_means_two_fields(kind: RecordKind) -> None:
    owner: dict[str, str] = {}
    for field in kind.fields:
        for name in (field.name, field.ru, field.en, *field.synonyms):
            assert owner.setdefault(header_key(name), field.name) == field.name, name
    assert set(header_names(kind)) == set(owner)


@every_kind
def test_choices_have_names_of_their_own(kind: RecordKind) -> None:
    for field in kind.fields:
        for choice in field.choices:
            for name in (choice.value, choice.ru, choice.en, *choice.synonyms):
                assert field.choice_of[header_key(str(name))] == choice.value


@every_kind
def test_an_empty_record_misses_what_is_required(kind: RecordKind) -> None:
    given = read_record(kind, {}, TODAY).faults
    lacking = {fault.field for fault in given if fault.code is FaultCode.MISSING}
    assert lacking == {field.name for field in kind.fields if field.required}


def a_field(kind: str, name: str) -> Field:
    return KIND_BY_NAME[kind].field(name)


def test_a_whole_citizen_is_read() -> None:
    reading = read_record(
        KIND_BY_NAME["citizen"],
        {
            "snils": "112-233-445 95",
            "last_name": " Соколова ",
            "first_name": "Мария",
            "patronymic": "",
            "birth_date": "17.04.1951",
            "sex": "Жен.",
        },
        TODAY,
    )
    assert reading.faults == ()
    assert reading.values == {
        "snils": "11223344595",
        "last_name": "Соколова",
        "first_name": "Мария",
        "patronymic": None,
        "birth_date": date(1951, 4, 17),
        "sex": "f",
    }


def test_a_fault_does_not_repeat_what_was_typed() -> None:
    reading = read_record(KIND_BY_NAME["citizen"], {"snils": "112-233-445 96"}, TODAY)
    fault = next(fault for fault in reading.faults if fault.field == "snils")
    assert isinstance(fault, Fault)
    assert fault.code is FaultCode.WRONG_DIGITS
    assert "112" not in fault.ru + fault.en
