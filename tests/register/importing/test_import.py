"""A file becomes records: what is created, changed, left and rejected, and the sum of it."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from processing.register.identifiers import make_snils
from processing.register.importing.errors import ImportRefused
from processing.register.importing.store import Import, ImportStore
from processing.register.records import RECORD_KINDS
from tests.register.importing.office import CHIEF, CLERK, Office, csv_file, person, xlsx_file


def told(done: Import) -> tuple[int, int, int, int, int]:
    """Return the sums that a user is told, after checking that they add up."""
    sums = done.sums
    assert sums.balances
    return sums.rows, sums.created, sums.changed, sums.unchanged, sums.rejected


async def test_a_file_of_people(office: Office, tmp_path: Path) -> None:
    path = csv_file(tmp_path / "люди.csv", [person(n) for n in range(300)])
    done = await office.take(path)
    assert done.state == "done"
    assert told(done) == (300, 300, 0, 0, 0)
    assert len(await office.citizens()) == 300
    again = await office.take(path)
    assert again.import_id != done.import_id
    assert told(again) == (300, 0, 0, 300, 0)


async def test_what_differs_is_changed_and_an_empty_cell_leaves_what_is_known(
    office: Office, tmp_path: Path
) -> None:
    await office.take(csv_file(tmp_path / "1.csv", [person(n) for n in range(3)]))
    rows = [person(0, Фамилия="Новая"), person(1, Отчество=""), person(7)]
    done = await office.take(csv_file(tmp_path / "2.csv", rows))
    assert told(done) == (3, 1, 1, 1, 0)
    names = {row[1] for row in await office.citizens()}
    assert "Новая" in names
    assert [row[3] for row in await office.citizens()] == ["Петрович"] * 4


async def test_bad_rows_are_rejected_with_field_and_reason(office: Office, tmp_path: Path) -> None:
    rows = [
        person(1),
        person(2, СНИЛС="112-233-445 96"),
        person(3, **{"Дата рождения": "30.02.1980"}),
        person(4, Пол="?", Имя=""),
        person(5, СНИЛС="1,12233E+10"),
        dict.fromkeys(person(6), ""),
    ]
    done = await office.take(csv_file(tmp_path / "плохие.csv", rows))
    assert told(done) == (5, 1, 0, 0, 4)
    assert done.sums.blank == 1
    faults = await office.faults(done.import_id)
    assert sorted(faults) == [3, 4, 5, 6]
    assert "контрольная цифра" in faults[3]
    assert "такой даты нет" in faults[4]
    assert "Имя: обязательно" in faults[5]
    assert "Пол: возможно одно из" in faults[5]
    assert "округлила" in faults[6]


async def test_a_row_repeated_with_other_values_is_rejected(office: Office, tmp_path: Path) -> None:
    rows = [person(1), person(2), person(1), person(2, Фамилия="Другая")]
    done = await office.take(csv_file(tmp_path / "повторы.csv", rows))
    assert told(done) == (4, 2, 0, 1, 1)
    assert "строка 3" in (await office.faults(done.import_id))[5]


async def test_an_address_needs_its_citizen(office: Office, tmp_path: Path) -> None:
    await office.take(csv_file(tmp_path / "1.csv", [person(1)]))
    address = {"Вид адреса": "прописка", "Адрес": "г. Заречный, ул. Мира, 1"}
    rows = [{"СНИЛС": person(n)["СНИЛС"], **address} for n in (1, 2)]
    done = await office.take(csv_file(tmp_path / "2.csv", rows), "address")
    assert told(done) == (2, 1, 0, 0, 1)
    assert "такой записи нет в регистре (граждане)" in (await office.faults(done.import_id))[3]


CATEGORY = {
    "Категория": "VETERAN",
    "Действует с": "01.01.2026",
    "Действует по": "31.12.2030",
    "Документ": "удостоверение А 1",
}


async def categories(office: Office, tmp_path: Path, *numbers: int) -> Import:
    await office.admin.execute(
        "INSERT INTO register.benefit_category VALUES ('VETERAN', 'Ветеран', 'Veteran')"
        " ON CONFLICT DO NOTHING"
    )
    await office.take(csv_file(tmp_path / "1.csv", [person(n) for n in range(3)]))
    rows = [{"СНИЛС": person(n)["СНИЛС"], **CATEGORY} for n in numbers]
    rows.append({"СНИЛС": person(0)["СНИЛС"], **CATEGORY, "Категория": "NOBODY"})
    return await office.take(csv_file(tmp_path / "льготы.csv", rows), "category")


async def test_what_creates_rights_waits_for_another_person(office: Office, tmp_path: Path) -> None:
    proposed = await categories(office, tmp_path, 0, 1, 2)
    held = "SELECT count(*) FROM register.citizen_category"
    assert (proposed.state, told(proposed)) == ("proposed", (4, 4, 0, 0, 0))
    assert await office.admin.fetchval(held) == 0
    async with office.pool.connection() as connection:
        with pytest.raises(asyncpg.CheckViolationError, match="another_person"):
            await ImportStore(connection).approve(proposed.import_id, CLERK)
        assert await ImportStore(connection).approve(proposed.import_id, CHIEF)
    done = await office.runner.apply(proposed.import_id, lambda count: None)
    assert (done.state, told(done)) == ("done", (4, 3, 0, 0, 1))
    assert await office.admin.fetchval(held) == 3
    assert "нет в справочнике" in (await office.faults(done.import_id))[5]
    approved = await office.admin.fetchrow(
        "SELECT made_by, approved_by FROM register.change WHERE change_id = $1", done.change_id
    )
    assert approved is not None
    assert tuple(approved) == (CLERK, CHIEF)


async def test_a_refused_import_writes_nothing(office: Office, tmp_path: Path) -> None:
    proposed = await categories(office, tmp_path, 0, 1)
    async with office.pool.connection() as connection:
        assert await ImportStore(connection).refuse(proposed.import_id, CHIEF, "не те сроки")
    assert (await office.runner.load(proposed.import_id)).state == "refused"
    assert await office.admin.fetchval("SELECT count(*) FROM register.citizen_category") == 0


async def test_undo_takes_back_the_whole_import(office: Office, tmp_path: Path) -> None:
    await office.take(csv_file(tmp_path / "1.csv", [person(n) for n in range(5)]))
    before = await office.citizens()
    rows = [person(0, Фамилия="Новая"), person(1), *(person(n) for n in range(10, 20))]
    done = await office.take(csv_file(tmp_path / "2.csv", rows))
    assert told(done) == (12, 10, 1, 1, 0)
    async with office.pool.transaction() as connection:
        change, request = await ImportStore(connection).undo(done.import_id, CHIEF, "не тот файл")
    assert change is not None
    assert request is None
    assert await office.citizens() == before
    assert (await office.runner.load(done.import_id)).state == "undone"
    assert told(await office.take(tmp_path / "2.csv")) == (12, 10, 1, 1, 0)


async def test_a_workbook_of_people(office: Office, tmp_path: Path) -> None:
    rows = [person(n) for n in range(4)]
    cells: list[list[object]] = [[*row.values()] for row in rows]
    cells[1][0] = int(make_snils(2_000_001))  # a number, its zeros in front lost
    path = xlsx_file(tmp_path / "люди.xlsx", [["Список граждан"], [], [*rows[0]], *cells])
    done = await office.take(path)
    assert told(done) == (4, 4, 0, 0, 0)
    assert (await office.citizens())[1][0] == make_snils(2_000_001)


async def test_the_database_holds_the_equation(office: Office, tmp_path: Path) -> None:
    done = await office.take(csv_file(tmp_path / "1.csv", [person(1)]))
    with pytest.raises(asyncpg.CheckViolationError, match="no_row_is_lost"):
        await office.admin.execute(
            "UPDATE register.import_chunk SET created_count = 0 WHERE import_id = $1",
            done.import_id,
        )


async def test_an_import_that_is_not_there(office: Office) -> None:
    with pytest.raises(ImportRefused, match="no import 77"):
        await office.runner.load(77)


async def test_code_and_database_match_records_alike(office: Office) -> None:
    rows = await office.admin.fetch("SELECT * FROM register.import_kind")
    known = {row["kind"]: tuple(row.values())[1:] for row in rows}
    for kind in RECORD_KINDS:
        key = [kind.field(name).column for name in kind.natural_key]
        if kind.kind == "entitlement":
            key = ["holder_id", *(c for c in key if c not in {"citizen_id", "household_id"})]
        refers = [field for field in kind.fields if field.refers_to is not None]
        assert known.pop(kind.kind) == (
            key,
            [field.column for field in refers],
            [field.refers_to for field in refers],
            [field.refers_by for field in refers],
        )
    assert known == {}
