"""Our reader of workbooks against an independent one, and against what programs really write."""

from __future__ import annotations

import datetime as dt
import tempfile
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import python_calamine
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.register.importing import xlsx_file as xlsx_module
from processing.register.importing import xlsx_parts as parts_module
from processing.register.importing.errors import ImportRefused
from processing.register.importing.sheet import Cell
from processing.register.importing.xlsx_file import survey_xlsx
from processing.register.importing.xlsx_parts import Shown, Texts, shown_by
from processing.register.importing.xlsx_rows import column_place

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORKBOOK = (
    f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><workbookPr/>'
    '<sheets><sheet name="A" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
RELS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>"
)


def rows_of(path: Path) -> list[list[Cell]]:
    return [list(record.cells) for record in survey_xlsx(path).records()]


def rows_of_another(path: Path) -> list[list[Cell]]:
    """Return what calamine reads, with the columns before the first value that it leaves out."""
    sheet = python_calamine.load_workbook(path).get_sheet_by_index(0)
    left: list[Cell] = [None] * (sheet.start[1] if sheet.start else 0)
    return [left + [None if each == "" else each for each in row] for row in sheet.iter_rows()]


def by_hand(path: Path, rows: str, **changes: str) -> Path:
    """Write a workbook part by part; `changes` are further parts or others by name."""
    parts = {
        "xl/workbook.xml": WORKBOOK,
        "xl/_rels/workbook.xml.rels": RELS,
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData>'
        "</worksheet>",
    } | changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(-1e15, 1e15).map(lambda number: float(f"{number:.9g}")),
    st.text(
        st.characters(min_codepoint=32, blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=9
    ),
    st.dates(dt.date(1900, 3, 1), dt.date(2100, 1, 1)),
    st.datetimes(dt.datetime(1900, 3, 1), dt.datetime(2100, 1, 1)).map(  # noqa: DTZ001
        lambda moment: moment.replace(microsecond=0)
    ),
    st.times().map(lambda time: time.replace(microsecond=0)),
)


def write(path: Path, rows: Sequence[Sequence[Cell]], *, in_place: bool) -> None:
    """Write rows as Excel does, or with the texts `in_place` as other programs do."""
    book = xlsxwriter.Workbook(
        str(path), {"constant_memory": in_place, "strings_to_formulas": False,
                    "strings_to_urls": False},
    )  # fmt: skip
    shown = {
        dt.date: book.add_format({"num_format": "dd.mm.yyyy"}),
        dt.datetime: book.add_format({"num_format": "[$-419]dd mmmm yyyy hh:mm:ss;@"}),
        dt.time: book.add_format({"num_format": 21}),
    }
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            if isinstance(cell, dt.date | dt.time):
                sheet.write_datetime(number, place, cell, shown[type(cell)])
            elif isinstance(cell, str):
                sheet.write_string(number, place, cell)
            elif cell is not None:
                sheet.write(number, place, cell)
    book.close()


@given(
    rows=st.lists(st.lists(cells, max_size=5), min_size=1, max_size=6),
    in_place=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_the_same_as_an_independent_reader(rows: list[list[Cell]], *, in_place: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.xlsx")
        write(path, [["x"], *rows], in_place=in_place)
        ours = rows_of(path)
        assert ours == rows_of_another(path)
        assert [[type(cell) for cell in row] for row in ours] == [
            [type(cell) for cell in row] for row in rows_of_another(path)
        ]


SHARED = (
    f'<sst xmlns="{MAIN}"><si><t>Орлова</t></si><si><r><t>Ан</t></r><r><rPr/><t>на</t></r>'
    "<rPh sb='0' eb='1'><t>ANNA</t></rPh></si></sst>"
)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # references may be left out, rows too
        ("<row><c><v>1</v></c><c t='str'><v>a</v></c></row>", [[1.0, "a"]]),
        ("<row r='2'><c r='B2'><v>1</v></c></row>", [[None, None], [None, 1.0]]),
        # formatted, empty cells and rows behind the last value are no rows
        (
            "<row r='1'><c r='A1'><v>1</v></c><c r='D1' s='3'/></row><row r='9'><c r='A9'/></row>",
            [[1.0]],
        ),
        ("<row><c t='inlineStr'><is><r><t>a</t></r><r><t>b</t></r></is></c></row>", [["ab"]]),
        ("<row><c t='s'><v>0</v></c><c t='s'><v>1</v></c></row>", [["Орлова", "Анна"]]),
        ("<row><c t='e'><v>#N/A</v></c><c t='b'><v>1</v></c></row>", [["#N/A", True]]),
        ("<row><c t='str'><f>A2</f><v>a_x000a_b</v></c></row>", [["a\nb"]]),
        ("<row><c t='d'><v>1980-02-03</v></c></row>", [[dt.date(1980, 2, 3)]]),
        ("<row><c t='str'><v></v></c><c><v>2</v></c></row>", [[None, 2.0]]),
    ],
)
def test_cells_as_programs_write_them(
    tmp_path: Path, rows: str, expected: list[list[Cell]]
) -> None:
    for name in ("xl/sharedStrings.xml", "xl/SharedStrings.xml"):
        path = by_hand(tmp_path / "f.xlsx", rows, **{name: SHARED})
        assert rows_of(path) == expected


def test_the_strict_namespace_and_prefixes(tmp_path: Path) -> None:
    sheet = (
        f'<x:worksheet xmlns:x="{STRICT}"><x:sheetData><x:row r="1"><x:c r="A1"><x:v>5</x:v></x:c>'
        "</x:row></x:sheetData></x:worksheet>"
    )
    path = by_hand(tmp_path / "f.xlsx", "", **{"xl/worksheets/sheet1.xml": sheet})
    assert rows_of(path) == [[5.0]]


def test_days_counted_from_1904(tmp_path: Path) -> None:
    path = tmp_path / "f.xlsx"
    book = xlsxwriter.Workbook(str(path), {"date_1904": True})
    day = book.add_format({"num_format": "dd.mm.yyyy"})
    book.add_worksheet().write_datetime(0, 0, dt.datetime(1980, 2, 3), day)  # noqa: DTZ001
    book.close()
    assert rows_of(path) == [[dt.date(1980, 2, 3)]] == rows_of_another(path)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("General", Shown.NUMBER),
        ("0.00", Shown.NUMBER),
        ('0" дней"', Shown.NUMBER),
        ("[Red]0", Shown.NUMBER),
        ("#,##0.00\\ [$₽-419]", Shown.NUMBER),
        ("dd.mm.yyyy", Shown.MOMENT),
        ("[$-FC19]dd mmmm yyyy г\\.;@", Shown.MOMENT),
        ("ДД.ММ.ГГГГ", Shown.MOMENT),
        ("h:mm AM/PM", Shown.MOMENT),
        ("[h]:mm", Shown.DURATION),
    ],
)
def test_which_formats_show_dates(code: str, shown: Shown) -> None:
    assert shown_by(code) is shown


@pytest.mark.parametrize(
    "rows",
    [
        "<row><c t='s'><v>7</v></c></row>",
        "<row><c t='s'><v>-1</v></c></row>",
        "<row><c><v>seven</v></c></row>",
        "<row r='2'><c r='A2'><v>1</v></c></row><row r='2'><c r='A2'><v>1</v></c></row>",
        "<row r='1'><c r='?1'><v>1</v></c></row>",
        "<row><c><v>1</v></row>",
        "<row><c t='str'><v>&undeclared;</v></c></row>",
    ],
)
def test_a_damaged_sheet_is_refused(tmp_path: Path, rows: str) -> None:
    path = by_hand(tmp_path / "f.xlsx", rows, **{"xl/sharedStrings.xml": SHARED})
    with pytest.raises(ImportRefused, match="damaged"):
        rows_of(path)


def test_entities_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("12345")
    sheet = (
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]><worksheet xmlns="{MAIN}">'
        "<sheetData><row><c t='str'><v>a&e;</v></c></row></sheetData></worksheet>"
    )
    path = by_hand(tmp_path / "f.xlsx", "", **{"xl/worksheets/sheet1.xml": sheet})
    try:
        assert "12345" not in str(rows_of(path))
    except ImportRefused as refused:
        assert "damaged" in refused.en  # noqa: PT017 - either is right


def test_texts_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = by_hand(
        tmp_path / "f.xlsx", "<row><c t='s'><v>1</v></c></row>", **{"xl/sharedStrings.xml": SHARED}
    )
    monkeypatch.setattr(parts_module, "TEXT_BYTES_MAX", 10)
    with pytest.raises(ImportRefused, match="different texts"):
        rows_of(path)


def test_texts_are_numbered() -> None:
    texts = Texts()
    for text in ("", "Ёлкина", "", "a"):
        texts.add(text)
    assert [texts[number] for number in range(len(texts))] == ["", "Ёлкина", "", "a"]


@pytest.mark.parametrize(("letters", "place"), [("A", 0), ("Z", 25), ("AA", 26), ("XFD", 16383)])
def test_columns_are_numbered_by_letters(letters: str, place: int) -> None:
    assert column_place(letters) == place


def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx_module, "READ_BYTES", 8192)

    def peak_bytes(rows: int) -> int:
        path = tmp_path / f"{rows}.xlsx"
        write(path, [["one", "two", float(n)] for n in range(rows)], in_place=True)
        tracemalloc.start()
        try:
            assert sum(1 for _ in survey_xlsx(path).records()) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak_bytes(4_000) < 1.2 * peak_bytes(400)
