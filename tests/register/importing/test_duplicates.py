"""Rows that are likely about somebody known wait for a person, with a reason and a score."""

from __future__ import annotations

from pathlib import Path

import pytest

from processing.register.identifiers import make_enp, make_snils
from processing.register.importing.errors import ImportRefused
from processing.register.importing.store import ImportStore, Waiting
from tests.register.importing.office import CHIEF, TODAY, Office, csv_file, person

KNOWN = {
    "СНИЛС": make_snils(5_000_001),
    "Фамилия": "Соколова",
    "Имя": "Екатерина",
    "Отчество": "Дмитриевна",
    "Дата рождения": "12.03.1985",
    "Пол": "ж",
    "ЕНП": "",
}
OTHER_SNILS = {"СНИЛС": make_snils(5_000_002)}
ENP = make_enp(99, TODAY.replace(1985, 3, 12), "f", 7)


async def waiting(office: Office, import_id: int) -> list[Waiting]:
    async with office.pool.transaction() as connection:
        return await ImportStore(connection).waiting(import_id, 0, 50, CHIEF, "проверка")


CASES = [
    ({}, "same_name_and_birth", 95),
    ({"Фамилия": "Сокалова"}, "similar_name_same_birth", 85),
    ({"Имя": "Екатирина", "Фамилия": "Соколовa".replace("a", "а")}, "similar_name_same_birth", 85),
    ({"Отчество": ""}, "similar_name_same_birth", 85),
    ({"Фамилия": "Белова"}, "changed_surname", 70),
    ({"Дата рождения": "12.03.1986"}, "same_name_near_birth", 75),
    ({"Дата рождения": "03.12.1985"}, "same_name_near_birth", 75),
    ({"Фамилия": "Белова", "Имя": "Мария", "ЕНП": ENP}, "same_enp", 99),
]


@pytest.mark.parametrize(("differs", "reason", "score"), CASES)
@pytest.mark.parametrize("together", [False, True], ids=["base", "file"])
async def test_likely_duplicates(
    office: Office,
    tmp_path: Path,
    differs: dict[str, str],
    reason: str,
    score: int,
    together: bool,
) -> None:
    known = KNOWN | ({"ЕНП": ENP} if "ЕНП" in differs else {})
    new = KNOWN | OTHER_SNILS | differs
    if together:
        done = await office.take(csv_file(tmp_path / "1.csv", [known, new]))
    else:
        await office.take(csv_file(tmp_path / "1.csv", [known]))
        done = await office.take(csv_file(tmp_path / "2.csv", [new]))
    assert (done.sums.rejected, done.sums.waiting) == (1, 1)
    (row,) = await waiting(office, done.import_id)
    (candidate,) = row.candidates
    assert candidate.score_percent == score
    assert reason in candidate.reasons
    assert candidate.known is not None
    assert candidate.known["snils"] == known["СНИЛС"]
    assert row.body["snils"] == new["СНИЛС"]
    seen = await office.admin.fetchrow("SELECT read_by, purpose, way FROM register.read_log")
    assert seen is not None
    assert tuple(seen) == (CHIEF, "проверка", "import")


@pytest.mark.parametrize(
    "differs",
    [
        {"Фамилия": "Белова", "Имя": "Мария"},
        {"Фамилия": "Белова", "Отчество": "Ивановна"},
        {"Дата рождения": "25.07.1991"},
        {"Пол": "м", "Фамилия": "Громов"},
    ],
)
async def test_other_people_are_no_duplicates(
    office: Office, tmp_path: Path, differs: dict[str, str]
) -> None:
    done = await office.take(csv_file(tmp_path / "1.csv", [KNOWN, KNOWN | OTHER_SNILS | differs]))
    assert (done.sums.created, done.sums.waiting) == (2, 0)


async def test_a_changed_surname_under_the_same_snils_is_a_change(
    office: Office, tmp_path: Path
) -> None:
    await office.take(csv_file(tmp_path / "1.csv", [KNOWN]))
    done = await office.take(csv_file(tmp_path / "2.csv", [KNOWN | {"Фамилия": "Белова"}]))
    assert (done.sums.changed, done.sums.waiting) == (1, 0)


async def two_people(office: Office, tmp_path: Path) -> int:
    """Import somebody under a known СНИЛС, and somebody who is likely known; return the import."""
    await office.take(csv_file(tmp_path / "1.csv", [KNOWN]))
    rows = [
        KNOWN | {"Имя": "Павел", "Дата рождения": "01.01.1990", "Пол": "м"},
        KNOWN | OTHER_SNILS | {"Фамилия": "Сокалова"},
    ]
    done = await office.take(csv_file(tmp_path / "2.csv", rows))
    assert (done.sums.rows, done.sums.rejected, done.sums.waiting) == (2, 2, 2)
    return done.import_id


@pytest.mark.parametrize(
    ("decision", "sums", "people"),
    [("same", (0, 1, 1), 1), ("other", (1, 0, 1), 2), ("skip", (0, 0, 2), 1)],
)
async def test_a_decision_is_carried_out(
    office: Office, tmp_path: Path, decision: str, sums: tuple[int, int, int], people: int
) -> None:
    number = await two_people(office, tmp_path)
    row = (await waiting(office, number))[1]
    record = row.candidates[0].record_id if decision == "same" else None
    against = await office.runner.decide(number, row.line, decision, record, CHIEF, "сверено")
    assert against is None
    found = (await office.runner.load(number)).sums
    assert (found.created, found.changed, found.rejected) == sums
    assert found.waiting == 1
    assert found.balances
    names = [row[1] for row in await office.citizens()]
    assert len(names) == people
    assert ("Сокалова" in names) == (decision != "skip")
    with pytest.raises(ImportRefused, match="does not wait"):
        await office.runner.decide(number, row.line, "skip", None, CHIEF, "ещё раз")


async def test_a_known_snils_cannot_be_somebody_new(office: Office, tmp_path: Path) -> None:
    number = await two_people(office, tmp_path)
    row = (await waiting(office, number))[0]
    assert row.candidates[0].reasons == ("snils_of_another",)
    against = await office.runner.decide(number, row.line, "other", None, CHIEF, "не он")
    assert against is not None
    assert "уже записан за другим человеком" in against
    sums = (await office.runner.load(number)).sums
    assert (sums.rejected, sums.waiting) == (2, 1)


async def test_a_decision_names_a_candidate(office: Office, tmp_path: Path) -> None:
    number = await two_people(office, tmp_path)
    stranger = "00000000-0000-7000-8000-000000000000"
    with pytest.raises(ImportRefused, match="does not wait"):
        await office.runner.decide(number, 3, "same", stranger, CHIEF, "он")


async def test_a_document_of_another_person_waits(office: Office, tmp_path: Path) -> None:
    await office.take(csv_file(tmp_path / "1.csv", [person(1), person(2)]))
    paper = {"Вид документа": "паспорт", "Серия": "6501", "Номер": "123456"}
    rows = [{"СНИЛС": person(n)["СНИЛС"], **paper} for n in (1, 2)]
    await office.take(csv_file(tmp_path / "2.csv", rows[:1]), "identity_document")
    done = await office.take(csv_file(tmp_path / "3.csv", rows[1:]), "identity_document")
    assert (done.sums.rejected, done.sums.waiting) == (1, 1)
    (row,) = await waiting(office, done.import_id)
    assert row.candidates[0].reasons == ("held_by_another",)
    record = row.candidates[0].record_id
    assert await office.runner.decide(done.import_id, 2, "same", record, CHIEF, "ошибка") is None
    owner = await office.admin.fetchval(
        "SELECT c.snils FROM register.identity_document AS d"
        " INNER JOIN register.citizen AS c USING (citizen_id)"
    )
    assert owner == person(2)["СНИЛС"]
