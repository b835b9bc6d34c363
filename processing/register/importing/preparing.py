"""Before an import starts: what the file is, which column is which field, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from processing.register.importing.errors import ImportRefused
from processing.register.importing.headers import Header, Match, Recognizer
from processing.register.importing.opening import open_sheet
from processing.register.importing.reading import find_header
from processing.register.importing.rejects import Opening
from processing.register.importing.rows import missing_columns, wanted_of
from processing.register.importing.sheet import SheetFile
from processing.register.kinds.shape import RecordKind
from processing.register.records import KIND_BY_NAME, RECORD_KINDS


class Prepared(msgspec.Struct, frozen=True):
    """A file that can be imported: surveyed, its columns mapped, none missing."""

    kind: RecordKind
    sheet: SheetFile
    header: Header
    opening: Opening


def prepare(
    path: Path, kind: RecordKind, saved: Mapping[str, str], chosen: Mapping[str, str]
) -> Prepared:
    """Survey a file and map its columns; nothing is stored.

    `saved` is the source's mapping by plain column names, `chosen` what the user says now, by
    column names as written. Raises `ImportRefused`.
    """
    recognizer = Recognizer(wanted_of(kind))
    sheet = open_sheet(path, recognizer.score)
    header, opening = find_header(sheet, recognizer, dict(saved), dict(chosen))
    absent = missing_columns(kind, header)
    if absent:
        ru = ", ".join(f"«{field.ru}»" for field in absent)
        en = ", ".join(f"“{field.en}”" for field in absent)
        other_ru, other_en = _likely_other(header, kind)
        raise ImportRefused(
            f"{path.name}: нет обязательных столбцов: {ru}. Добавьте их или укажите, какой столбец"
            f" ими служит: --mapping 'Столбец=поле'{other_ru}",
            f"{path.name}: required columns are missing: {en}. Add them, or say which column"
            f" serves: --mapping 'Column=field'{other_en}",
        )
    if sheet.form.record_count <= header.record + 1:
        raise ImportRefused(
            f"{path.name}: под заголовком нет ни одной строки",
            f"{path.name}: there is no row below the header",
        )
    return Prepared(kind, sheet, header, opening)


def kind_named(name: str) -> RecordKind:
    """Return a kind by its name; raises `ImportRefused`."""
    kind = KIND_BY_NAME.get(name)
    if kind is None:
        ru = ", ".join(f"{each.kind} ({each.ru.lower()})" for each in RECORD_KINDS)
        en = ", ".join(each.kind for each in RECORD_KINDS)
        raise ImportRefused(
            f"нет вида записей «{name}»; есть: {ru}",
            f"no kind of records “{name}”; there are: {en}",
        )
    return kind


def _likely_other(header: Header, kind: RecordKind) -> tuple[str, str]:
    """Return a hint at a kind of which the file has all required columns."""
    titles = [column.title for column in header.columns]
    fits: list[tuple[int, RecordKind]] = []
    for other in RECORD_KINDS:
        if other is kind:
            continue
        recognizer = Recognizer(wanted_of(other))
        try:
            found = recognizer.find([titles], {}, {})
        except ImportRefused:
            continue
        known = sum(column.match is not Match.UNKNOWN for column in found.columns)
        if not missing_columns(other, found):
            fits.append((known, other))
    if not fits:
        return "", ""
    _, best = max(fits, key=lambda fit: fit[0])
    return (
        f". Похоже, это файл другого вида: {best.ru.lower()} (--kind {best.kind})",
        f". This looks like a file of another kind: {best.en.lower()} (--kind {best.kind})",
    )
