"""Files as people have them, and files that nobody should open."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from pathlib import Path

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from processing.register.importing import csv_file as csv_module
from processing.register.importing import xlsx_file as xlsx_module
from processing.register.importing.csv_file import RECORD_BYTES_MAX
from processing.register.importing.errors import ImportRefused
from processing.register.importing.opening import open_sheet
from processing.register.importing.preparing import kind_named, prepare
from processing.register.importing.sheet import Cell
from processing.register.importing.xlsx_file import pack, unpack
from tests.register.importing.office import csv_file, person, xlsx_file

HEADER = "СНИЛС;Фамилия;Имя;Отчество;Дата рождения;Пол"
ROW = "112-233-445 95;Орлова;Анна;;01.02.1980;ж"


def citizens(path: Path) -> list[list[Cell]]:
    """Return the rows below the header of a file of citizens."""
    ready = prepare(path, kind_named("citizen"), {}, {})
    return [list(r.cells) for r in ready.sheet.records()][ready.header.record + 1 :]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_encodings_and_dialects(
    tmp_path: Path, encoding: str, delimiter: str, newline: str
) -> None:
    text = newline.join([HEADER, ROW, ""]).replace(";", delimiter)
    path = tmp_path / "f.csv"
    path.write_bytes(text.encode(encoding))
    assert citizens(path) == [ROW.split(";")]


def test_line_breaks_and_quotes_within_cells(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    body = '112-233-445 95;"Ор\nлова";"Ан""на""";"a;b";01.02.1980;ж\r\n'
    path.write_bytes(f"{HEADER}\r\n{body}{ROW}\r\n".encode())
    ready = prepare(path, kind_named("citizen"), {}, {})
    records = list(ready.sheet.records())[1:]
    assert records[0].cells == [
        "112-233-445 95", "Ор\nлова", 'Ан"на"', "a;b", "01.02.1980", "ж",
    ]  # fmt: skip
    assert records[0].raw == body.encode()
    assert [record.line for record in records] == [2, 4]


def test_the_header_may_stand_lower(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f"Список граждан;;;;;\n;;;;;\nна 20.11.2026;;;;;\n{HEADER}\n{ROW}\n", "utf-8")
    assert citizens(path) == [ROW.split(";")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "файл пуст"),
        (b"\xef\xbb\xbf \r\n", "файл пуст"),
        (f"{HEADER}\n".encode(), "нет ни одной строки"),
        ("\ufeffx;y\n".encode("utf-16"), "UTF-16"),
        (b"%PDF-1.7\0\0", "не таблица CSV"),
        (f"{HEADER}\r{ROW}\r".encode(), "CR"),
        (f"{HEADER}\n{ROW}\n".encode("cp866"), "cp866"),
        (f"{HEADER}\n{ROW}\n".encode("koi8-r"), "koi8-r"),
        (f"{HEADER}\n{ROW}\n".encode() + b"\xff;x\n", "строка 3: байты не в кодировке utf-8"),
        (f'{HEADER}\n{ROW}\n"Ор;{ROW}\n'.encode(), "кавычки открыты и не закрыты"),
        (f"{HEADER}\n{'я' * RECORD_BYTES_MAX}\n".encode(), "запись длиннее"),
        (f"{HEADER}\n{';' * 600}\n".encode(), "столбцов больше 500"),
        (b"1;2;3\n4;5;6\n", "нет строки с названиями столбцов"),
        ("СНИЛС;Фамилия\n1;2\n".encode(), "«Имя», «Дата рождения», «Пол»"),
        (f"{HEADER};Фам.\n{ROW};x\n".encode(), "одно поле «Фамилия»"),
        (
            "Серия;Номер;СНИЛС;МНН;Кол-во;Финансирование;Оплата;Дата выписки;Срок\n1\n".encode(),
            "похоже, это файл другого вида: льготные рецепты",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "старого формата"),
        (b"PK\x03\x04 and no archive", "книга повреждена"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    with pytest.raises(ImportRefused) as refused:
        prepare(path, kind_named("citizen"), {}, {})
    assert said.lower() in refused.value.ru.lower()
    assert refused.value.en.isascii() or "“" in refused.value.en or "f.csv" in refused.value.en


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="cannot be read"):
        open_sheet(tmp_path / "нет.csv", lambda cells: 0)


def test_a_row_with_undoubled_quotes_is_broken_and_the_rest_is_not(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f'{HEADER}\n"ООО "Ромашка"";x\n{ROW}\n', "utf-8")
    records = list(prepare(path, kind_named("citizen"), {}, {}).sheet.records())
    assert [record.broken is not None for record in records] == [False, True, False]


def archive(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"document.txt": b"x"}, "не книга XLSX"),
        ({"xl/workbook.xml": b"", "xl/vbaProject.bin": b"x"}, "макросы"),
        ({"xl/workbook.xml": b"<", "xl/worksheets/sheet1.xml": b"0" * 40_000_000}, "несоразмерно"),
        ({"xl/workbook.xml": b"<broken"}, "повреждена"),
    ],
)
def test_archives_that_are_refused(tmp_path: Path, parts: dict[str, bytes], said: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        open_sheet(archive(tmp_path / "f.xlsx", parts), lambda cells: 0)
    assert said in refused.value.ru


def test_a_workbook_is_refused_beyond_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = xlsx_file(tmp_path / "f.xlsx", [[*person(1)], [*person(1).values()]])
    monkeypatch.setattr(xlsx_module, "UNPACKED_BYTES_MAX", 1000)
    with pytest.raises(ImportRefused, match="out of all proportion"):
        open_sheet(path, lambda cells: 0)
    monkeypatch.undo()
    monkeypatch.setattr(xlsx_module, "ROWS_MAX", 1)
    with pytest.raises(ImportRefused, match="remove what is not needed"):
        open_sheet(path, lambda cells: 0)


def test_a_workbook_whose_archive_lies_about_its_length(tmp_path: Path) -> None:
    path = xlsx_file(tmp_path / "f.xlsx", [[*person(1)], [*person(1).values()]])
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        length = file.getinfo("xl/worksheets/sheet1.xml").file_size.to_bytes(4, "little")
    assert content.count(length) >= 2
    path.write_bytes(bytes(content).replace(length, (100).to_bytes(4, "little")))
    with pytest.raises(ImportRefused, match="damaged"):
        open_sheet(path, lambda cells: 0)


def test_only_a_visible_sheet_with_data_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.xlsx"
    book = xlsxwriter.Workbook(str(path))
    book.add_worksheet("Пусто")
    hidden = book.add_worksheet("Скрытый")
    hidden.write(0, 0, "СНИЛС")
    hidden.hide()
    shown = book.add_worksheet("Список")
    shown.write_row(2, 1, ["СНИЛС", "Фамилия"])
    book.close()
    sheet = open_sheet(path, lambda cells: 0)
    assert sheet.form.sheet == "Список"
    assert [list(r.cells) for r in sheet.records()][2] == [None, "СНИЛС", "Фамилия"]


def test_an_empty_workbook(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="no sheet"):
        open_sheet(xlsx_file(tmp_path / "f.xlsx", []), lambda cells: 0)


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20).filter(lambda text: text.isprintable()),
    st.dates(),
    st.datetimes(),
    st.times(),
)


@given(st.lists(cells, max_size=8))
def test_cells_keep_their_types(row: list[Cell]) -> None:
    assert unpack(pack(row)) == row
    assert [type(cell) for cell in unpack(pack(row))] == [type(cell) for cell in row]


@given(
    st.lists(st.lists(st.text(max_size=12), min_size=2, max_size=4), max_size=20),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_file_is_the_sum_of_its_records(rows: list[list[str]], newline: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator=newline, quoting=csv.QUOTE_ALL).writerows(rows)
    content = text.getvalue().encode("utf-8", "surrogatepass")
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            records = list(csv_module.read_records(Path(file.name), "utf-8", ";"))
        except ImportRefused:
            # surrogates alone are no UTF-8
            assert b"\xed" in content
            return
        assert b"".join(record.raw for record in records) == content
        assert [list(record.cells) for record in records if record.broken is None] == rows


def test_rows_are_read_from_a_csv_of_the_writer(tmp_path: Path) -> None:
    rows = [person(n) for n in range(3)]
    path = csv_file(tmp_path / "f.csv", rows, delimiter=",", encoding="cp1251")
    assert citizens(path) == [[*row.values()] for row in rows]
