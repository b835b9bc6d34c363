"""Which column of a file is which field: found by many names, shown to a person, kept per source.

A name matches when it is one of a field's, whatever its case, punctuation and ё; when it is an
abbreviation of one ("дата рожд."); or when it is nearly one ("Фамиля"), which is only proposed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from rapidfuzz.distance import DamerauLevenshtein

from processing.register.importing.errors import ImportRefused
from processing.register.importing.sheet import Cell
from processing.wire.figures import Language

NAME_CHARACTERS_MAX: Final = 200
"""Longest name of a column that is compared; a longer cell is no name."""

TYPOS_MAX: Final = 2
"""A name with so many wrong, missing, added or exchanged letters is proposed for a field."""

TYPO_LETTERS_MIN: Final = 5
"""Shorter names are not taken for misspelt ones: too many words are near them."""

ABBREVIATION_LETTERS_MIN: Final = 3
"""Fewest letters of an abbreviated word without a full stop."""

REJECTS_COLUMNS: Final = {"ru": "Ошибки импорта", "en": "Import errors"}
"""The column that a file of rejected rows has more than the user's own; skipped when read again."""

NOT_TAKEN: Final = ""
"""Stands in a mapping for a column that is not imported."""

_REMARK: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
"""What stands in brackets after a name: "Дата рождения (дд.мм.гггг)"."""

_WORD: Final = re.compile(r"[^\W_]+(\.?)")


class Match(StrEnum):
    """How a column was recognised."""

    BY_NAME = "by name"
    ABBREVIATED = "abbreviated"
    SIMILAR = "similar"
    SAVED = "saved"
    CHOSEN = "chosen"
    UNKNOWN = "unknown"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A field that a column may hold: its name, how it is shown, and how files call it."""

    name: str
    label_ru: str
    label_en: str
    names: tuple[str, ...]
    required: bool

    def label(self, language: Language) -> str:
        """Return the field's name for a person."""
        return self.label_ru if language == "ru" else self.label_en


class MappedColumn(msgspec.Struct, frozen=True):
    """A column of a file: its place from 0, its name there, its field or `NOT_TAKEN`."""

    index: int
    title: str
    field: str
    match: Match


class Header(msgspec.Struct, frozen=True):
    """The header of a file: the record it stands in (from 0), and its columns."""

    record: int
    columns: tuple[MappedColumn, ...]

    @property
    def fields(self) -> dict[str, int]:
        """The place of each field that is imported."""
        return {column.field: column.index for column in self.columns if column.field}

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names of the columns that are not imported."""
        return tuple(column.title for column in self.columns if not column.field)

    def saved(self) -> dict[str, str]:
        """Return the mapping to keep for the source: field by the column's plain name."""
        return {plain(column.title): column.field for column in self.columns if column.title}

    @property
    def is_settled(self) -> bool:
        """Tell whether a person has seen all of it before: nothing is to be confirmed."""
        return all(column.match in {Match.SAVED, Match.CHOSEN} for column in self.columns)


class Recognizer:
    """Recognises the columns of one kind of record."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self._wanted = {each.name: each for each in wanted}
        self._by_plain: dict[str, str] = {}
        self._words: list[tuple[tuple[str, ...], str]] = []
        own: list[tuple[Wanted, tuple[str, ...]]] = [
            (each, (each.label_ru, each.label_en, each.name)) for each in wanted
        ]
        further = [(each, each.names) for each in wanted]
        # A field's own label wins over another field's further names.
        for each, names in own + further:
            for name in names:
                self._by_plain.setdefault(plain(name), each.name)
                self._words.append((tuple(word for word, _ in _words(name)), each.name))

    def score(self, cells: Sequence[object]) -> int:
        """Tell how many cells are names of columns."""
        return len({found for cell in cells if (found := self._named(str(cell or "")))})

    def find(
        self,
        records: Iterable[Sequence[Cell]],
        saved: Mapping[str, str],
        chosen: Mapping[str, str],
    ) -> Header:
        """Return the best row as header, its columns mapped.

        `saved` is the source's mapping by plain names; `chosen` maps names, as the user gave them,
        to fields. Raises `ImportRefused` when no row names a column, or two are one field.
        """
        by_plain = {plain(name): field for name, field in chosen.items()}
        self._refuse_unknown_fields(by_plain)
        best: tuple[int, int, Sequence[Cell]] = (0, 0, ())
        for number, cells in enumerate(records):
            known = sum(plain(str(cell or "")) in by_plain for cell in cells if cell)
            score = self.score(cells) + known
            if score > best[0]:
                best = (score, number, cells)
        score, number, cells = best
        if score == 0:
            raise ImportRefused(
                "среди первых строк нет строки с названиями столбцов; добавьте её первой строкой,"
                f" например: {self._example('ru')}",
                "none of the first rows names the columns; add such a row at the top, for"
                f" example: {self._example('en')}",
            )
        header = Header(number, tuple(self._mapped(cells, saved, by_plain)))
        self._refuse_twins(header)
        absent = [name for name in by_plain if name not in {plain(c.title) for c in header.columns}]
        if absent:
            raise ImportRefused(
                f"в файле нет столбца «{absent[0]}», названного в --mapping",
                f"the file has no column “{absent[0]}”, which --mapping names",
            )
        return header

    def _mapped(
        self, cells: Sequence[Cell], saved: Mapping[str, str], chosen: Mapping[str, str]
    ) -> Iterable[MappedColumn]:
        for index, cell in enumerate(cells):
            title = " ".join(str(cell).split()) if cell is not None else ""
            key = plain(title)
            if not key or key in _OWN_COLUMNS:
                yield MappedColumn(index, title, NOT_TAKEN, Match.SAVED)
            elif key in chosen:
                yield MappedColumn(index, title, chosen[key], Match.CHOSEN)
            elif key in saved and (saved[key] in self._wanted or not saved[key]):
                yield MappedColumn(index, title, saved[key], Match.SAVED)
            else:
                yield MappedColumn(index, title, *self._recognised(title))

    def _recognised(self, title: str) -> tuple[str, Match]:
        bare = _REMARK.sub(" ", title)
        if by_name := self._by_plain.get(plain(title)) or self._by_plain.get(plain(bare)):
            return by_name, Match.BY_NAME
        title = bare
        if abbreviated := self._abbreviated(title):
            return abbreviated, Match.ABBREVIATED
        if similar := self._similar(title):
            return similar, Match.SIMILAR
        return NOT_TAKEN, Match.UNKNOWN

    def _named(self, title: str) -> str:
        if len(title) > NAME_CHARACTERS_MAX:
            return ""
        found, match = self._recognised(title)
        return found if match in {Match.BY_NAME, Match.ABBREVIATED} else ""

    def _abbreviated(self, title: str) -> str:
        """Return the only field of which each word of the name is the beginning of a word."""
        words = _words(title)
        found = {
            field
            for full, field in self._words
            if len(full) == len(words) > 0 and all(map(_abbreviates, words, full))
        }
        return found.pop() if len(found) == 1 else ""

    def _similar(self, title: str) -> str:
        """Return the only field with a name of few different letters."""
        key = plain(title)
        if not TYPO_LETTERS_MIN <= len(key) <= NAME_CHARACTERS_MAX:
            return ""
        allowed = 1 if len(key) < 2 * TYPO_LETTERS_MIN else TYPOS_MAX
        found = {
            field
            for name, field in self._by_plain.items()
            if DamerauLevenshtein.distance(key, name, score_cutoff=allowed) <= allowed
        }
        return found.pop() if len(found) == 1 else ""

    def _refuse_unknown_fields(self, chosen: Mapping[str, str]) -> None:
        for field in chosen.values():
            if field and field not in self._wanted:
                known = ", ".join(self._wanted)
                raise ImportRefused(
                    f"нет поля «{field}»; есть: {known}", f"no field “{field}”; there are: {known}"
                )

    def _refuse_twins(self, header: Header) -> None:
        seen: dict[str, str] = {}
        for column in header.columns:
            if not column.field:
                continue
            if column.field in seen:
                wanted = self._wanted[column.field]
                pair = (seen[column.field], column.title)
                raise ImportRefused(
                    f"столбцы «{pair[0]}» и «{pair[1]}» — одно поле «{wanted.label_ru}»; отключите"
                    f" лишний: --mapping '{pair[1]}='",
                    f"columns “{pair[0]}” and “{pair[1]}” are one field, “{wanted.label_en}”;"
                    f" leave one out: --mapping '{pair[1]}='",
                )
            seen[column.field] = column.title

    def _example(self, language: Language) -> str:
        return "; ".join(each.label(language) for each in self._wanted.values() if each.required)


def plain(title: str) -> str:
    """Return a column's name without case, ё, punctuation and spaces."""
    lowered = title[: NAME_CHARACTERS_MAX + 1].casefold().replace("ё", "е")
    return "".join(character for character in lowered if character.isalnum())


def _words(title: str) -> list[tuple[str, bool]]:
    """Return the words of a name, each with whether a full stop follows it."""
    lowered = title[: NAME_CHARACTERS_MAX + 1].casefold().replace("ё", "е")
    return [(found[0].rstrip("."), bool(found[1])) for found in _WORD.finditer(lowered)]


def _abbreviates(abbreviated: tuple[str, bool], whole: str) -> bool:
    word, dot = abbreviated
    if word == whole:
        return True
    return whole.startswith(word) and (dot or len(word) >= ABBREVIATION_LETTERS_MIN)


_OWN_COLUMNS: Final = frozenset(plain(name) for name in REJECTS_COLUMNS.values())
