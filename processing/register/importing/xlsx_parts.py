"""The parts of a workbook that its rows rest on: sheets, texts, and which styles show a date.

Office Open XML (ECMA-376, part 1, SpreadsheetML), both of its namespaces. Parts are read piece by
piece and names of parts in any case, since some programs write `SharedStrings.xml`.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from array import array
from collections.abc import Iterator
from enum import Enum
from typing import IO, Any, Final

import msgspec
from lxml import etree

TEXT_BYTES_MAX: Final = 512 * 1024**2
"""Most UTF-8 of a workbook's different texts, which are held in memory; a million rows with three
texts of their own take some 60 MB."""

_DATE_IDS: Final = frozenset({*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)})
"""Formats of dates and times that need no description (§18.8.30, East Asian ones too)."""
_DURATION_ID: Final = 46
_NOT_A_LETTER: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]')
"""What of a format is quoted, padding, a colour, a locale or a condition."""
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Shown(Enum):
    """What a style makes of a number."""

    NUMBER = 0
    MOMENT = 1
    DURATION = 2


class SheetPart(msgspec.Struct, frozen=True):
    """A visible worksheet: its name, and the part with its rows."""

    name: str
    part: str


class Texts:
    """A workbook's different texts by number.

    Kept as UTF-8 one after another: a third of the memory that as many Python texts take.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:
        if number < 0:
            raise IndexError(number)
        first = self._ends[number - 1] if number else 0
        return self._bytes[first : self._ends[number]].decode()

    def add(self, text: str) -> None:
        """Add the next text. Raises `OverflowError` past `TEXT_BYTES_MAX`."""
        self._bytes += text.encode(errors="replace")
        if len(self._bytes) > TEXT_BYTES_MAX:
            raise OverflowError
        self._ends.append(len(self._bytes))


class Parts:
    """An open archive.

    Its methods raise `etree.XMLSyntaxError`, and `KeyError` where a part is missing that has to be
    there.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = {name.lower(): name for name in archive.namelist()}

    def open(self, name: str) -> IO[bytes]:
        """Open a part to be read from its beginning."""
        return self._archive.open(self._names[name.lower()])

    def elements(self, name: str, *tags: str) -> Iterator[Any]:
        """Give the elements of a part that have one of these names, whatever the namespace.

        Each is given when it is complete, and forgotten with the next one.
        """
        with self.open(name) as opened:
            for _, element in etree.iterparse(
                opened,
                events=("end",),
                tag=[f"{{*}}{tag}" for tag in tags],
                resolve_entities=False,
                no_network=True,
                remove_comments=True,
                remove_pis=True,
            ):
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]

    def sheets(self) -> list[SheetPart]:
        """Return the visible worksheets in their order."""
        targets = {
            each.get("Id"): posixpath.normpath(posixpath.join("/xl", each.get("Target", "")))[1:]
            for each in self.elements("xl/_rels/workbook.xml.rels", "Relationship")
            if each.get("Type", "").endswith("/worksheet")
        }
        found = []
        for each in self.elements("xl/workbook.xml", "sheet"):
            part = targets.get(next((v for k, v in each.items() if k.endswith("}id")), ""))
            if part is not None and each.get("state", "visible") == "visible":
                found.append(SheetPart(each.get("name", ""), part))
        return found

    def counts_from_1904(self) -> bool:
        """Tell whether days are counted from 1904, as old Macs did."""
        found = (each.get("date1904") for each in self.elements("xl/workbook.xml", "workbookPr"))
        return any(value in ("1", "true") for value in found)

    def texts(self) -> Texts:
        """Return the texts that cells refer to by number. Raises `OverflowError`."""
        texts = Texts()
        if "xl/sharedstrings.xml" in self._names:
            for each in self.elements("xl/sharedStrings.xml", "si"):
                texts.add(text_of(each))
        return texts

    def styles(self) -> list[Shown]:
        """Return what each style of cells makes of a number."""
        if "xl/styles.xml" not in self._names:
            return []
        described: dict[int, Shown] = {}
        found: list[Shown] = []
        for each in self.elements("xl/styles.xml", "numFmt", "cellXfs"):
            if _local(each) == "numFmt":
                described[int(each.get("numFmtId"))] = shown_by(each.get("formatCode", ""))
            else:
                numbers = [int(style.get("numFmtId", "0")) for style in each]
                found = [described.get(number, _builtin(number)) for number in numbers]
        return found


def shown_by(code: str) -> Shown:
    """Return what a format makes of a number, by the letters in it (§18.8.31)."""
    bare = _NOT_A_LETTER.sub("", code.partition(";")[0]).lower()
    if "[" in bare:
        return Shown.DURATION
    if "general" in bare or "основной" in bare:
        return Shown.NUMBER
    return Shown.MOMENT if set(bare) & set("dmyhsдмгчс") else Shown.NUMBER


def text_of(element: Any) -> str:
    """Return the text of a cell or shared item: its runs together, without phonetic hints."""
    pieces = []
    for child in element:
        match _local(child):
            case "t":
                pieces.append(child.text or "")
            case "r":
                pieces += [each.text or "" for each in child if _local(each) == "t"]
            case _:
                pass
    return unescaped("".join(pieces))


def unescaped(text: str) -> str:
    """Return a text with its characters written as `_x000D_` (§22.9.2.19, ST_Xstring)."""
    return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), text) if "_x" in text else text


def _builtin(number: int) -> Shown:
    if number == _DURATION_ID:
        return Shown.DURATION
    return Shown.MOMENT if number in _DATE_IDS else Shown.NUMBER


def _local(element: Any) -> str:
    return str(etree.QName(element).localname)
