"""`spk register import` as a registrar uses it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from processing.cli import run
from processing.register.importing.commands import EXIT_CODE_REJECTED, app
from tests.plugins.postgres import Database
from tests.register.importing.office import csv_file, person
from tests.register.importing.test_import import CATEGORY

Spk = Callable[..., tuple[int, str]]
FROM = ("--source", "МФЦ Заречный", "--by", "Орлова")


@pytest.fixture
def spk(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Spk:
    """Give a function that runs one command and returns its exit code and what it said."""

    async def build() -> None:
        async with database.connect() as admin:
            await admin.execute(
                "INSERT INTO regulations.region VALUES (99, 'Europe/Moscow', 'Область', 'Region');"
                "INSERT INTO register.benefit_category VALUES ('VETERAN', 'Ветеран', 'Veteran')"
            )

    asyncio.run(build())
    monkeypatch.setenv("SPK_DSN", database.superuser_dsn)
    monkeypatch.setenv("SPK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def spk(*words: str) -> tuple[int, str]:
        try:
            code = run(app, words)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        said = capsys.readouterr()
        return code, said.out + said.err

    return spk


def expect(answer: tuple[int, str], code: int, *words: str) -> str:
    assert answer[0] == code, answer[1]
    for word in words:
        assert word in answer[1]
    return answer[1]


def test_from_a_file_to_an_undoing(spk: Spk, tmp_path: Path) -> None:
    rows = [person(n) | {"Примечание": "x"} for n in range(5)]
    rows[3]["Пол"] = "?"
    path = str(csv_file(tmp_path / "люди.csv", rows, encoding="cp1251"))
    expect(
        spk(path, "--kind", "citizen", *FROM), 2,
        "люди.csv (csv, cp1251, ';') → Граждане", "Фамилия → Фамилия (по названию)",
        "Не вносятся столбцы: Примечание", "столбцы не подтверждены",
    )  # fmt: skip
    expect(
        spk(path, "--kind", "citizen", *FROM, "--yes", "--dry-run"), EXIT_CODE_REJECTED,
        "Проба: ничего не внесено", "строк 5 = создано 4 + изменено 0 + без изменений 0",
    )  # fmt: skip
    expect(
        spk(path, "--kind", "citizen", *FROM, "--yes"), EXIT_CODE_REJECTED,
        "Импорт 2: внесён", "создано 4", "отклонено 1", "spk register import rejected 2",
    )  # fmt: skip
    expect(
        spk(path, "--kind", "citizen", *FROM, "--lang", "en"), EXIT_CODE_REJECTED,
        "as the last time", "unchanged 4", "the same file was imported already as import 2",
    )  # fmt: skip
    expect(spk("rejected", "2"), 0, "люди.отклонено-2.csv: строк 1")
    back = tmp_path / "люди.отклонено-2.csv"
    back.write_text(back.read_text("cp1251").replace("?", "м"), "cp1251")
    expect(spk(str(back), "--kind", "citizen", *FROM), 0, "создано 1", "отклонено 0")
    expect(spk("list"), 0, "2. 20", "люди.csv, МФЦ Заречный, Граждане", "внесён")
    undoing = ("undo", "2", "--by", "Ильин", "--reason", "не тот")
    expect(spk(*undoing), 0, "Импорт 2 отменён изменением")
    expect(spk(*undoing), 2, "уже отменено")
    expect(spk("show", "2"), 0, "отменён")
    expect(spk("show", "77", "--lang", "en"), 2, "there is no import 77")
    expect(spk("resume", "2"), EXIT_CODE_REJECTED, "отменён")


def test_rights_wait_for_another_person(spk: Spk, tmp_path: Path) -> None:
    people = str(csv_file(tmp_path / "люди.csv", [person(1), person(2)]))
    expect(spk(people, "--kind", "citizen", *FROM, "--yes"), 0)
    rows = [{"СНИЛС": person(n)["СНИЛС"], **CATEGORY} for n in (1, 2)]
    path = str(csv_file(tmp_path / "льготы.csv", rows))
    expect(spk(path, "--kind", "category", *FROM, "--yes"), 0, "ждёт утверждения", "approve 2 --by")
    expect(spk("approve", "2", "--by", "Орлова"), 2, "решает о нём другой человек")
    expect(spk("approve", "2", "--by", "Ильин"), 0, "Импорт 2: внесён", "создано 2")
    expect(spk("approve", "2", "--by", "Ильин"), 2, "не ждёт утверждения")
    expect(spk("undo", "2", "--by", "Орлова", "--reason", "не те"), 0, "утверждает другой человек")
    rows[0]["Документ"] = "удостоверение Б 2"
    csv_file(tmp_path / "льготы.csv", rows)
    expect(spk(path, "--kind", "category", *FROM, "--yes"), 0, "изменено 1")
    expect(
        spk("refuse", "3", "--by", "Ильин", "--reason", "нет подписи"), 0,
        "Импорт 3: отклонён", "Ильин: нет подписи",
    )  # fmt: skip


def test_duplicates_are_decided(spk: Spk, tmp_path: Path) -> None:
    namesake = person(1, СНИЛС=person(2)["СНИЛС"])
    path = str(csv_file(tmp_path / "люди.csv", [person(1), namesake]))
    expect(spk(path, "--kind", "citizen", *FROM, "--yes"), EXIT_CODE_REJECTED, "ждут решения: 1")
    said = expect(
        spk("duplicates", "1", "--by", "Ильин"), 0,
        "Строка 3", "95 %: те же фамилия, имя, отчество и дата рождения", "≠",
    )  # fmt: skip
    assert re.search(r"\[[0-9a-f-]{36}\]", said)
    decision = ("decide", "1", "3", "same", "--by", "Ильин", "--reason", "сверено с паспортом")
    expect(spk(*decision), 0, "Строка 3 внесена")
    expect(spk(*decision), 2, "не ждёт такого решения")
    expect(spk("duplicates", "1", "--by", "Ильин"), 0, "Ждущих решения строк нет")
    expect(spk("show", "1"), 0, "создано 1 + изменено 1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--kind", "nonsense"), "нет вида записей «nonsense»; есть: citizen (граждане)"),
        (("--kind", "citizen", "--mapping", "Пол"), "нужно 'Столбец=поле'"),
        (("--kind", "citizen", "--mapping", "Пол="), "нет обязательных столбцов: «Пол»"),
        (("--kind", "citizen", "--mapping", "Рост=sex"), "нет столбца «рост»"),
        (("--kind", "address"), "похоже, это файл другого вида: граждане (--kind citizen)"),
    ],
)
def test_orders_that_are_refused(
    spk: Spk, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    path = str(csv_file(tmp_path / "люди.csv", [person(1)]))
    answer = spk(path, *FROM, "--yes", *words)
    assert answer[0] == 2
    assert said.lower() in answer[1].lower()


def test_another_file_does_not_resume_an_import(spk: Spk, tmp_path: Path) -> None:
    path = csv_file(tmp_path / "люди.csv", [person(1)])
    expect(spk(str(path), "--kind", "citizen", *FROM, "--yes"), 0)
    expect(spk("resume", "1", str(path)), 0, "внесён")
    expect(spk("rejected", "1", "--to", str(tmp_path / "нет" / "f.csv")), 2, "файл не записан")
