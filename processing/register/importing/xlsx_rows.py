"""The rows of a sheet, piece by piece, before anything is made of what stands in their cells.

With expat's callbacks, since a tree of elements would cost three times as much (ECMA-376, part 1,
§18.3.1: `row`, `c`, `v`, `is`; names count without their prefix, for any namespace of the format).
External entities are not followed, and expat itself stops those that grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final, TypeAlias
from xml.parsers import expat

BLOCK_BYTES: Final = 64 * 1024

RawCell: TypeAlias = "tuple[int, str, str | None, str]"
"""Column from 0, type (`n` if the file says none), number of the style, text as it stands."""

RawRow: TypeAlias = "tuple[int, list[RawCell]]"
"""A row's number from 1, and its cells that hold something."""


def raw_rows(sheet: IO[bytes]) -> Iterator[RawRow]:
    """Give the rows of a sheet's part that are in the file, in their order.

    Raises `expat.ExpatError`, and `ValueError` for a row or cell out of place.
    """
    parser = expat.ParserCreate()
    gathered = _Gathered(parser)
    while block := sheet.read(BLOCK_BYTES):
        parser.Parse(block, False)
        yield from gathered.rows
        gathered.rows.clear()
    parser.Parse(b"", True)
    yield from gathered.rows


def column_place(letters: str) -> int:
    """Return a column's place from 0 by its letters, such as 27 for AB. Raises `ValueError`."""
    place = 0
    for letter in letters.upper():
        if not "A" <= letter <= "Z":
            raise ValueError(letters)
        place = 26 * place + ord(letter) - ord("A") + 1
    return place - 1


class _Gathered:
    """Gathers rows while a parser goes through a sheet."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self.rows: list[RawRow] = []
        self._parser = parser
        self._number = 0
        self._cells: list[RawCell] = []
        self._place = -1
        self._kind = "n"
        self._style: str | None = None
        self._pieces: list[str] = []
        self._is_hint = False
        self._places: dict[str, int] = {}
        self._names: dict[str, str] = {}
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = self._names.get(name)
        if local is None:
            local = self._names[name] = name.rpartition(":")[2]
        if local == "c":
            reference = attributes.get("r")
            self._place = self._place + 1 if reference is None else self._place_of(reference)
            self._kind = attributes.get("t", "n")
            self._style = attributes.get("s")
            self._pieces.clear()
        elif local in ("v", "t"):
            # of the characters between the elements nothing is wanted
            self._parser.CharacterDataHandler = self._characters
        elif local == "row":
            number = int(attributes.get("r", self._number + 1))
            if number <= self._number:
                raise ValueError(number)
            self._number = number
            self._place = -1
        elif local == "rPh":
            self._is_hint = True

    def _end(self, name: str) -> None:
        local = self._names[name]
        if local == "c":
            if self._pieces:
                text = "".join(self._pieces)
                self._cells.append((self._place, self._kind, self._style, text))
        elif local in ("v", "t"):
            self._parser.CharacterDataHandler = None
        elif local == "row":
            self.rows.append((self._number, self._cells))
            self._cells = []
        elif local == "rPh":
            self._is_hint = False

    def _characters(self, text: str) -> None:
        if not self._is_hint:
            self._pieces.append(text)

    def _place_of(self, reference: str) -> int:
        letters = reference.rstrip("0123456789")
        place = self._places.get(letters)
        if place is None:
            place = self._places[letters] = column_place(letters)
        return place
