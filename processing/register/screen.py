"""What `spk register` shows: records, history, requests, people found, reads; ru and en."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import Any, Final

from processing.register.fields import Field, FieldType
from processing.register.identifiers import show_snils
from processing.register.model import (
    Body,
    HistoryStep,
    OpenRequest,
    ReadEntry,
    RequestedEdit,
    StoredRecord,
)
from processing.register.records import KIND_BY_NAME
from processing.register.search import Page
from processing.wire.figures import Language, format_date, format_kopecks, format_moment

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "nobody": ("Никого не нашли.", "Nobody was found."),
    "nobody else": ("Больше никого нет.", "Nobody else was found."),
    "narrow": (
        "Подходит больше людей, чем просмотрено: добавьте дату рождения или адрес.",
        "More people may fit than were looked at: add a birth date or an address.",
    ),
    "next": ("Дальше: --after {}", "Next page: --after {}"),
    "prolonged": ("продлено полисов", "policies prolonged"),
    "followed": ("карт с изменившимися полномочиями", "cards that act otherwise"),
    "away": ("базы недоступны, права дойдут до них позже", "away, told later"),
    "busy": ("этим уже занята другая программа", "another program is at it"),
    "empty": ("Записей нет.", "No records."),
    "version": ("версия", "version"),
    "created": ("создано", "created"),
    "removed": ("удалено", "removed"),
    "because": ("основание", "reason"),
    "approved": ("утвердил", "approved by"),
    "change": ("изменение", "change"),
    "undoes": ("отменяет изменение", "undoes change"),
    "no requests": ("Заявок на рассмотрении нет.", "No requests wait."),
    "request": ("заявка", "request"),
    "no reads": ("Сведения никто не смотрел.", "Nobody read the data."),
    "stale": (
        "запись с тех пор изменили: утвердить нельзя",
        "the record was changed since: it cannot be approved",
    ),
    "yes": ("да", "yes"),
    "no": ("нет", "no"),
}


def word(key: str, lang: Language) -> str:
    """Return one of the words above."""
    return WORDS[key][0 if lang == "ru" else 1]


def found_lines(page: Page, lang: Language, *, first: bool = True) -> Iterator[str]:
    """Give the people of a page, a line each; of the `first` one or of one that follows."""
    if not page.found:
        yield word("nobody" if first else "nobody else", lang)
    for one in page.found:
        name = " ".join(filter(None, (one.last_name, one.first_name, one.patronymic)))
        died = f" † {format_date(one.death_date, lang)}" if one.death_date else ""
        yield (
            f"{show_snils(one.snils)}  {name}, {format_date(one.birth_date, lang)}{died}"
            f"  {one.address or '—'}"
        )
    if page.after is not None:
        yield word("next", lang).format(page.after.word)
    if page.bounded:
        yield word("narrow", lang)


def file_lines(records: Sequence[StoredRecord], lang: Language) -> Iterator[str]:
    """Give a citizen's file: the kinds in order, under each its records with their fields."""
    if not records:
        yield word("empty", lang)
    shown = ""
    for record in records:
        kind = KIND_BY_NAME[record.kind]
        if record.kind != shown:
            shown = record.kind
            yield kind.label(lang)
        yield f"  {record.record_id}  {word('version', lang)} {record.version}"
        for field in kind.fields:
            if (value := record.body.get(field.column)) is not None:
                yield f"    {field.label(lang)}: {field_text(field, value, lang)}"


def history_lines(
    kind: str, steps: Iterable[HistoryStep], zone: tzinfo, lang: Language
) -> Iterator[str]:
    """Give the steps of a record's history: who, when, why, and what changed."""
    for step in steps:
        by = f"{step.made_by}, {word('approved', lang)} {step.approved_by}"
        yield (
            f"{format_moment(step.made_at, zone, lang)}  {word('version', lang)} {step.version}  "
            f"{by if step.approved_by else step.made_by}  "
            f"({word('change', lang)} {step.change_id}; {word('because', lang)}: {step.reason})"
        )
        if step.undoes is not None:
            yield f"  {word('undoes', lang)} {step.undoes}"
        yield from _difference(kind, step.before, step.after, lang)


def request_lines(requests: Sequence[OpenRequest], zone: tzinfo, lang: Language) -> Iterator[str]:
    """Give the requests that wait, a line each."""
    if not requests:
        yield word("no requests", lang)
    for one in requests:
        kinds = ", ".join(KIND_BY_NAME[kind].label(lang) for kind in one.kinds)
        undone = one.source_reference if one.source == "undo" else None
        yield (
            f"{one.request_id}  {format_moment(one.proposed_at, zone, lang)}  {one.proposed_by}  "
            f"{kinds or word('undoes', lang) + ' ' + str(undone)}  "
            f"({word('because', lang)}: {one.reason})"
        )


def edit_lines(edits: Iterable[RequestedEdit], lang: Language) -> Iterator[str]:
    """Give what a request would change."""
    for edit in edits:
        yield f"{KIND_BY_NAME[edit.kind].label(lang)}  {edit.record_id}"
        after = None if edit.body is None else {**(edit.before or {}), **edit.body}
        yield from _difference(edit.kind, edit.before, after, lang)
        if edit.base_version and edit.version != edit.base_version:
            yield f"  {word('stale', lang)}"


def read_lines(reads: Sequence[ReadEntry], zone: tzinfo, lang: Language) -> Iterator[str]:
    """Give who read a citizen's data, a line each."""
    if not reads:
        yield word("no reads", lang)
    for one in reads:
        yield f"{format_moment(one.read_at, zone, lang)}  {one.read_by}: {one.purpose}"


def field_text(field: Field, value: Any, lang: Language) -> str:
    """Return a stored value as people read it."""
    if field.choices:
        return next(c.ru if lang == "ru" else c.en for c in field.choices if c.value == value)
    match field.type:
        case FieldType.DATE:
            return format_date(date.fromisoformat(value), lang)
        case FieldType.MONTH:
            return f"{datetime.fromisoformat(value):%m.%Y}"
        case FieldType.ROUBLES:
            return format_kopecks(value)
        case FieldType.SQUARE_METRES:
            return f"{value // 100},{value % 100:02}"
        case FieldType.FLAG:
            return word("yes" if value else "no", lang)
        case FieldType.LIST:
            return ", ".join(value)
        case FieldType.SNILS if field.refers_to is None:
            return show_snils(value)
        case _:
            return str(value)


def _difference(
    kind: str, before: Body | None, after: Body | None, lang: Language
) -> Iterator[str]:
    """Give the fields that differ: before → after; of a new record all that it holds."""
    if after is None:
        yield f"  {word('removed', lang)}"
        return
    if before is None:
        yield f"  {word('created', lang)}"
    for field in KIND_BY_NAME[kind].fields:
        old, new = ((one or {}).get(field.column) for one in (before, after))
        if old == new:
            continue
        told = [field_text(field, one, lang) if one is not None else "—" for one in (old, new)]
        yield f"  {field.label(lang)}: {told[1] if before is None else ' → '.join(told)}"
