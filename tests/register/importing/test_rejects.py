"""Rejected rows come back as the user's own file, can be mended and imported again."""

from __future__ import annotations

import errno
import re
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path

import pytest
import python_calamine

from processing.register.importing import rejects as rejects_module
from processing.register.importing.errors import ImportRefused
from processing.register.importing.rejects import Reject, RowFault, write_rejects
from processing.register.importing.store import Import, ImportStore
from processing.wire.figures import Language
from tests.register.importing.office import Office, person, xlsx_file

HEADER = "СНИЛС;Фамилия;Имя;Отчество;Дата рождения;Пол;Примечание"


async def written(office: Office, done: Import, path: Path, language: Language = "ru") -> int:
    async with office.pool.connection() as connection:
        rows = ImportStore(connection).rejects(done.import_id)
        return await write_rejects(path, done.form, done.opening, rows, language)


def line(number: int, **other: str) -> str:
    return ";".join([*person(number, **other).values(), f'"прим; {number}"'])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1251"])
async def test_csv_rows_come_back_with_their_own_bytes(
    office: Office, tmp_path: Path, encoding: str
) -> None:
    bad = ['"112-233-445 96";  Орлова ;Анна;;01.02.1980;ж;" x ""y"" "', "1;2"]
    content = "\r\n".join(["Список;;;;;;", HEADER, line(1), bad[0], line(2), bad[1], ""])
    path = tmp_path / "люди.csv"
    path.write_bytes(content.encode(encoding))
    done = await office.take(path)
    assert (done.sums.created, done.sums.rejected) == (2, 2)
    back = tmp_path / "назад.csv"
    assert await written(office, done, back) == 2
    lines = back.read_bytes().decode(encoding).split("\r\n")
    assert lines[0] == "Список;;;;;;" + ";"[:0] or lines[0].startswith("Список;;;;;;")
    assert lines[1] == f"{HEADER};Ошибки импорта"
    assert lines[2].startswith(f"{bad[0]};")
    assert "контрольная цифра" in lines[2]
    assert lines[3].startswith(f"{bad[1]};;;;;;")
    assert lines[4:] == [""]


async def test_a_mended_file_is_taken_and_a_worse_one_comes_back_once_more(
    office: Office, tmp_path: Path
) -> None:
    path = tmp_path / "люди.csv"
    path.write_text(f"{HEADER}\n{line(1, Пол='?')}\n{line(2, Имя='')}\n", "utf-8")
    done = await office.take(path)
    back = tmp_path / "назад.csv"
    await written(office, done, back)
    back.write_text(back.read_text("utf-8").replace("?", "м"), "utf-8")
    done = await office.take(back)
    assert (done.sums.created, done.sums.rejected) == (1, 1)
    again = tmp_path / "ещё.csv"
    await written(office, done, again, "en")
    lines = again.read_text("utf-8").splitlines()
    assert lines[0] == f"{HEADER};Import errors"
    assert lines[1] == f"{line(2, Имя='')};First name: has to be filled in"
    again.write_text(again.read_text("utf-8").replace(";;Петрович", ";Иван;Петрович"), "utf-8")
    assert (await office.take(again)).sums.created == 1


async def test_a_workbook_comes_back_with_its_cells_marked(office: Office, tmp_path: Path) -> None:
    good = [*person(1).values()]
    bad: Sequence[object] = [*person(2, Пол="?").values(), 12.5, date(2026, 1, 2), True]
    header = [*person(0), "Площадь", "Визит", "Да"]
    done = await office.take(xlsx_file(tmp_path / "f.xlsx", [["Список"], header, good, bad]))
    back = tmp_path / "назад.xlsx"
    assert await written(office, done, back) == 1
    sheet = python_calamine.load_workbook(back).get_sheet_by_index(0)
    assert sheet.name == "Список"
    rows = sheet.to_python()
    assert rows[1] == [*header, "Ошибки импорта"]
    assert rows[2][: len(bad)] == list(bad)
    assert "Пол: возможно одно из" in str(rows[2][len(bad)])
    assert_readable(back, columns=len(header))


def assert_readable(path: Path, columns: int) -> None:
    """Check what Excel shows: wide columns, the header in view, bad cells red with their reason."""
    with zipfile.ZipFile(path) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml").decode()
        assert "Пол: возможно одно из" in parts.read("xl/comments1.xml").decode()
        assert "FFFFC7CE" in parts.read("xl/styles.xml").decode()
    widths = re.findall(r'<col min="(\d+)" max="(\d+)" width="([\d.]+)"', sheet)
    assert [(int(a), int(b)) for a, b, _ in widths] == [(1, columns), (columns + 1, columns + 1)]
    assert float(widths[1][2]) > 4 * float(widths[0][2]) > 4 * len("dd.mm.yyyy hh:mm")
    assert '<pane ySplit="2" topLeftCell="A3"' in sheet


async def none() -> AsyncIterator[Reject]:
    no_rejects: tuple[Reject, ...] = ()
    for reject in no_rejects:
        yield reject


async def many(count: int) -> AsyncIterator[Reject]:
    for number in range(count):
        yield Reject(number, b'["x"]', (RowFault(column=0, ru="плохо", en="bad"),))


async def test_comments_end_where_a_workbook_would_become_slow(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects_module, "COMMENTS_MAX", 3)
    done = await office.take(xlsx_file(tmp_path / "f.xlsx", [[*person(1)], [*person(1).values()]]))
    path = tmp_path / "r.xlsx"
    assert await write_rejects(path, done.form, done.opening, many(5), "ru") == 5
    rows = python_calamine.load_workbook(path).get_sheet_by_index(0).to_python()
    assert [row[-1] for row in rows[1:]] == ["плохо"] * 5


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
async def test_a_full_disk_leaves_nothing_half_written(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"f.{suffix}"
    if suffix == "csv":
        path.write_text(f"{HEADER}\n{line(1, Пол='?')}\n", "utf-8")
    else:
        xlsx_file(path, [[*person(1)], [*person(1, Пол="?").values()]])
    done = await office.take(path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync" if suffix == "csv" else "zipfile.ZipFile.write", full)
    folder = tmp_path / "есть"
    folder.mkdir()
    with pytest.raises(ImportRefused) as refused:
        await written(office, done, folder / f"r.{suffix}")
    assert "No space left" in refused.value.ru
    assert "строки целы" in refused.value.ru
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    assert await written(office, done, folder / f"r.{suffix}") == 1


async def test_a_folder_that_is_not_there(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f"{HEADER}\n{line(1)}\n", "utf-8")
    done = await office.take(path)
    with pytest.raises(ImportRefused, match="not written"):
        await write_rejects(tmp_path / "нет" / "r.csv", done.form, done.opening, none(), "ru")
