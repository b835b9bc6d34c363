"""PIN mailers: a document for everybody, printed once, of which nothing stays behind."""

from __future__ import annotations

import io
import re
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.mailer import mailer_pdf
from card_personalization.station.mailing import MailerBook, MailerFile, MailerPrinter, wipe
from card_personalization.station.pin_letter import PinLetter

LETTER = PinLetter("9643909912345678901", "481516", "23421708")
PHONE = "8 800 000-00-00"
TO_FILE = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"


def text_of(pdf: bytes) -> str:
    return PdfReader(io.BytesIO(pdf)).pages[0].extract_text()


def everything_in(folder: Path) -> bytes:
    """Give all that lies under a folder, compressed streams of PDF files as their text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(path.read_bytes() for path in files)


def expect_no_code(folder: Path) -> None:
    content = everything_in(folder)
    assert not any(code.encode() in content for code in (LETTER.pin, LETTER.puk))


def printer(folder: Path, printed: Path) -> MailerPrinter:
    command = [sys.executable, "-c", TO_FILE, str(printed)]
    return MailerPrinter(MailerBook(folder / "mailers"), command, PHONE)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ("ПИН-код", "Код PUK", "Что сделать сначала", "Сверьте номер", "линия сгиба")),
        ("en", ("PIN", "PUK", "What to do first", "Compare the card", "fold here")),
    ],
)
def test_a_mailer_is_one_page_with_everything(language: Any, words: tuple[str, ...]) -> None:
    pdf = mailer_pdf(LETTER, PHONE, language)
    assert len(PdfReader(io.BytesIO(pdf)).pages) == 1
    text = text_of(pdf)
    for word in (*words, PHONE, "9643 9099 1234 5678 901"):
        assert word in text
    assert LETTER.pin in text.replace(" ", "")


def test_a_mailer_is_marked_and_tagged_for_archives_and_readers() -> None:
    reader = PdfReader(io.BytesIO(mailer_pdf(LETTER, PHONE, "ru")))
    root: Any = reader.root_object
    xmp = root["/Metadata"].get_object().get_data().decode()
    assert re.search(r"<pdfaid:part>2</pdfaid:part>", xmp)
    assert re.search(r"<pdfaid:conformance>A</pdfaid:conformance>", xmp)
    assert re.search(r"<pdfuaid:part>1</pdfuaid:part>", xmp)
    assert root["/MarkInfo"]["/Marked"]
    assert str(root["/Lang"]).startswith("ru")
    (intent,) = root["/OutputIntents"]
    assert intent["/S"] == "/GTS_PDFA1"
    assert not reader.is_encrypted
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert roles_of(root["/StructTreeRoot"].get_object()) >= {"/H1", "/H2", "/L", "/LI", "/P"}
    fonts = fonts_of(reader)
    assert fonts
    for font in fonts:
        assert "/ToUnicode" in font
        (inner,) = font["/DescendantFonts"]
        descriptor = inner.get_object()["/FontDescriptor"].get_object()
        assert {"/FontFile2", "/FontFile3"} & set(descriptor)


def roles_of(node: Any) -> set[str]:
    """Give every kind of element in the tree of tags."""
    found = {str(node["/S"])} if "/S" in node else set()
    children = node.get("/K", [])
    for child in children if isinstance(children, list) else [children]:
        inner = child.get_object()
        if isinstance(inner, DictionaryObject):
            found |= roles_of(inner)
    return found


def fonts_of(reader: PdfReader) -> list[Any]:
    resources: Any = reader.pages[0]["/Resources"]
    return [font.get_object() for font in resources["/Font"].values()]


def test_nothing_of_a_printed_mailer_stays_at_the_station(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station, elsewhere = tmp_path / "station", tmp_path / "printer"
    station.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(station))
    monkeypatch.chdir(station)
    printer(station, elsewhere / "tray.pdf")(LETTER)
    assert LETTER.pin in text_of((elsewhere / "tray.pdf").read_bytes()).replace(" ", "")
    expect_no_code(station)
    assert [path.name for path in station.iterdir()] == ["mailers"]
    assert stat.S_IMODE((station / "mailers").stat().st_mode) == 0o600


def test_a_second_print_is_refused_and_counted_over_restarts(tmp_path: Path) -> None:
    printed = tmp_path / "tray.pdf"
    printer(tmp_path, printed)(LETTER)
    printed.unlink()
    for attempt in (1, 2):
        with pytest.raises(StationError) as refused:
            printer(tmp_path, printed)(LETTER)
        assert refused.value.fault is StationFault.MAILER_PRINTED
        assert f"их было: {attempt}" in refused.value.text("ru")
    assert not printed.exists()
    assert MailerBook(tmp_path / "mailers").refusals() == 2


def test_a_station_that_broke_off_prints_what_it_had_not(tmp_path: Path) -> None:
    """Taken up again: a whole one is enough, half a one is lost, one not begun is printed."""
    printed, book = tmp_path / "tray.pdf", MailerBook(tmp_path / "mailers")
    printer(tmp_path, printed)(LETTER, again=True)
    printed.unlink()
    printer(tmp_path, printed)(LETTER, again=True)
    assert not printed.exists()
    book.begin("9643909900000000019")
    with pytest.raises(StationError) as refused:
        printer(tmp_path, printed)(PinLetter("9643909900000000019", "1", "2"), again=True)
    assert refused.value.fault is StationFault.MAILER_PRINTED
    assert not printed.exists()


@pytest.mark.parametrize(
    ("program", "fault", "again"),
    [
        ("import sys; sys.stdin.buffer.read(); sys.exit('paper jam')", "mailer_spoiled", False),
        ("import os; os.close(0)", "mailer_spoiled", False),
        (None, "printer", True),
    ],
)
def test_a_printer_that_fails(
    tmp_path: Path, program: str | None, fault: str, *, again: bool
) -> None:
    """What may have reached paper is never printed again; what cannot have, may be."""
    command = (
        ["/nowhere/lp"]
        if program is None
        else [sys.executable, "-c", f"{program}\nraise SystemExit(1)"]
    )
    with pytest.raises(StationError) as failed:
        MailerPrinter(MailerBook(tmp_path / "mailers"), command, PHONE)(LETTER)
    assert failed.value.fault.value == fault
    assert LETTER.pin not in failed.value.text("ru")
    assert MailerBook(tmp_path / "mailers").was_printed(LETTER.card_number) is not again


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_of_the_book_does_not_open_a_second_print(tmp_path: Path, cut: int) -> None:
    book = MailerBook(tmp_path / "mailers")
    book.begin("1")
    book.begin("2")
    whole = (tmp_path / "mailers").read_bytes()
    first = whole.index(b"\n") + 1
    (tmp_path / "mailers").write_bytes(whole[: first + cut])
    again = MailerBook(tmp_path / "mailers")
    assert again.was_printed("1")
    assert not again.was_printed("2")
    again.begin("3")
    assert MailerBook(tmp_path / "mailers").was_printed("3")


def test_of_sixteen_readers_one_prints(tmp_path: Path) -> None:
    book = MailerBook(tmp_path / "mailers")
    told: list[bool] = []

    def begin() -> None:
        try:
            book.begin(LETTER.card_number)
            told.append(True)
        except StationError:
            told.append(False)

    threads = [threading.Thread(target=begin) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False] * 15 + [True]
    assert book.refusals() == 15


def test_a_mailer_in_a_file_is_the_owners_alone_and_can_be_wiped(tmp_path: Path) -> None:
    folder = tmp_path / "mailers-out"
    folder.mkdir()
    MailerFile(MailerBook(tmp_path / "mailers"), folder, PHONE)(LETTER)
    (written,) = folder.iterdir()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    with pytest.raises(StationError) as refused:
        MailerFile(MailerBook(tmp_path / "mailers"), folder, PHONE)(LETTER)
    assert refused.value.fault is StationFault.MAILER_PRINTED
    beside = tmp_path / "the same file"
    beside.hardlink_to(written)
    wipe(written)
    assert not written.exists()
    assert set(beside.read_bytes()) == {0}


def test_a_mailers_letter_does_not_show_its_codes() -> None:
    assert LETTER.pin not in repr(LETTER)
