"""What an import tells on the screen, in Russian and English."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from processing.register.importing.headers import Header, Match
from processing.register.importing.preparing import Prepared
from processing.register.importing.rows import wanted_of
from processing.register.importing.running import Progress
from processing.register.importing.sheet import Format, SheetFile
from processing.register.importing.store import Candidate, Import, Sums, Waiting
from processing.register.importing.words import REASONS
from processing.register.records import KIND_BY_NAME
from processing.wire.figures import Language

STATES: Final[dict[str, tuple[str, str]]] = {
    "reading": ("прерван, продолжите (resume)", "interrupted, go on with resume"),
    "proposed": ("ждёт утверждения другим человеком", "waits for another person's approval"),
    "applying": ("утверждён, вносится", "approved, being written"),
    "done": ("внесён", "done"),
    "refused": ("отклонён", "refused"),
    "undone": ("отменён", "undone"),
}

_MATCHES: Final[dict[Match, tuple[str, str]]] = {
    Match.BY_NAME: ("по названию", "by its name"),
    Match.ABBREVIATED: ("по сокращению", "by its abbreviation"),
    Match.SIMILAR: ("похоже, проверьте", "similar, please check"),
    Match.SAVED: ("как в прошлый раз", "as the last time"),
    Match.CHOSEN: ("по --mapping", "by --mapping"),
    Match.UNKNOWN: ("неизвестен", "unknown"),
}


def mapping(ready: Prepared, lang: Language) -> str:
    """Return which column is which field, and what is not taken."""
    labels = {wanted.name: wanted.label(lang) for wanted in wanted_of(ready.kind)}
    form = ready.sheet.form
    how = form.sheet if form.format is Format.XLSX else f"{form.encoding}, {form.delimiter!r}"
    lines = [
        f"{ready.sheet.path.name} ({form.format.value}, {how}) → {ready.kind.label(lang)}",
    ]
    for column in ready.header.columns:
        match = _pick(_MATCHES[column.match], lang)
        if column.field:
            lines.append(f"  {column.title} → {labels[column.field]} ({match})")
    if left := [title for title in ready.header.unknown if title]:
        lines.append(
            _pick(("Не вносятся столбцы: ", "Columns not taken: "), lang) + ", ".join(left)
        )
    return "\n".join(lines)


def sums(found: Sums, lang: Language) -> str:
    """Return the equation that every import keeps."""
    if lang == "ru":
        text = (
            f"строк {found.rows} = создано {found.created} + изменено {found.changed}"
            f" + без изменений {found.unchanged} + отклонено {found.rejected}"
        )
        waiting = f"\nиз отклонённых ждут решения: {found.waiting}"
        blank = f"\nпустых строк пропущено: {found.blank}"
    else:
        text = (
            f"rows {found.rows} = created {found.created} + changed {found.changed}"
            f" + unchanged {found.unchanged} + rejected {found.rejected}"
        )
        waiting = f"\nof the rejected, waiting for a decision: {found.waiting}"
        blank = f"\nblank rows passed over: {found.blank}"
    return text + (waiting if found.waiting else "") + (blank if found.blank else "")


def summary(found: Import, lang: Language, earlier: int | None = None) -> str:
    """Return how an import stands, and what to do next."""
    number, state = found.import_id, _pick(STATES[found.state], lang)
    lines = [
        _pick((f"Импорт {number}: {state}", f"Import {number}: {state}"), lang),
        f"{found.file_name}, {found.source}, {KIND_BY_NAME[found.kind].label(lang)}",
        sums(found.sums, lang),
    ]
    if earlier is not None:
        lines.append(
            _pick(
                (
                    f"этот же файл уже внесён импортом {earlier}",
                    f"the same file was imported already as import {earlier}",
                ),
                lang,
            )
        )
    if found.decision_reason:
        lines.append(f"{found.decided_by}: {found.decision_reason}")
    lines += _next_steps(found, lang)
    return "\n".join(lines)


def _next_steps(found: Import, lang: Language) -> Iterator[str]:
    number, of = found.import_id, "spk register import"
    if found.state == "proposed":
        yield _pick(("утвердить: ", "approve: "), lang) + f"{of} approve {number} --by …"
    if found.state == "reading":
        yield _pick(("продолжить: ", "go on: "), lang) + f"{of} resume {number} {found.file_name}"
    if found.state == "applying":
        yield _pick(("продолжить: ", "go on: "), lang) + f"{of} resume {number}"
    if found.sums.waiting and found.state not in {"undone", "refused"}:
        yield _pick(("решить: ", "decide: "), lang) + f"{of} duplicates {number} --by …"
    if found.sums.rejected:
        yield _pick(("получить отклонённые: ", "get the rejected: "), lang) + (
            f"{of} rejected {number}"
        )


def rehearsed(found: Import, lang: Language) -> str:
    """Return what would become of the rows."""
    note = _pick(("Проба: ничего не внесено", "Dry run: nothing was written"), lang)
    return f"{note}\n{sums(found.sums, lang)}"


def imports(found: Sequence[Import], lang: Language) -> str:
    """Return the list of imports, three lines each."""
    if not found:
        return _pick(("Импортов ещё не было", "There were no imports yet"), lang)
    return "\n".join(
        f"{one.import_id}. {one.started_at:%Y-%m-%d %H:%M} UTC, {one.started_by}:"
        f" {_pick(STATES[one.state], lang)}\n"
        f"   {one.file_name}, {one.source}, {KIND_BY_NAME[one.kind].label(lang)}\n"
        f"   {sums(one.sums, lang).splitlines()[0]}"
        for one in found
    )


def undone(number: int, change: int | None, request: int | None, lang: Language) -> str:
    """Return what became of an undoing."""
    if change is not None:
        return _pick(
            (
                f"Импорт {number} отменён изменением {change}",
                f"Import {number} is undone by change {change}",
            ),
            lang,
        )
    command = f"spk register approve {request} --by …"
    return _pick(
        (
            f"Импорт {number} создал права: его отмену утверждает другой человек: {command}",
            f"Import {number} created rights: another person approves its undoing: {command}",
        ),
        lang,
    )


def rejects_name(found: Import, lang: Language) -> str:
    """Return the name of the file of rejected rows."""
    stem, dot, suffix = found.file_name.rpartition(".")
    word = _pick(("отклонено", "rejected"), lang)
    return f"{stem or suffix}.{word}-{found.import_id}{dot if stem else ''}{suffix if stem else ''}"


def rejects_written(path: Path, count: int, lang: Language) -> str:
    """Return where the rejected rows are."""
    return _pick(
        (
            f"{path}: строк {count}. Исправьте отмеченное и внесите этот файл как обычно",
            f"{path}: {count} rows. Mend what is marked and import this file as usual",
        ),
        lang,
    )


def decided(line: int, decision: str, against: str | None, lang: Language) -> str:
    """Return what became of a decision."""
    if against is not None:
        ru, _, en = against.partition("\n")
        return _pick((f"Строка {line} не внесена: {ru}", f"Row {line} not taken: {en}"), lang)
    if decision == "skip":
        return _pick((f"Строка {line} отклонена", f"Row {line} is rejected"), lang)
    return _pick((f"Строка {line} внесена", f"Row {line} is taken"), lang)


def duplicates(found: Import, waiting: Sequence[Waiting], page: int, lang: Language) -> str:
    """Return the rows that wait, each beside whom it may be about."""
    if not waiting:
        return _pick(("Ждущих решения строк нет", "No rows wait for a decision"), lang)
    kind = KIND_BY_NAME[found.kind]
    labels = {field.column: field.label(lang) for field in kind.fields}
    lines: list[str] = []
    for row in waiting:
        lines.append(_pick((f"Строка {row.line}", f"Row {row.line}"), lang))
        for candidate in row.candidates:
            lines += _beside(row, candidate, labels, lang)
    lines.append(
        f"spk register import decide {found.import_id} "
        + _pick(("СТРОКА same|other|skip", "ROW same|other|skip"), lang)
        + " --by … --reason …"
    )
    if len(waiting) == page:
        more = f"spk register import duplicates {found.import_id} --after {waiting[-1].line}"
        lines.append(_pick((f"дальше: {more}", f"more: {more}"), lang))
    return "\n".join(lines)


def _beside(
    row: Waiting, candidate: Candidate, labels: dict[str, str], lang: Language
) -> Iterator[str]:
    why = "; ".join(_pick(REASONS[reason], lang) for reason in candidate.reasons)
    yield f"  {candidate.score_percent} %: {why} [{candidate.record_id}]"
    known = candidate.known or {}
    for column, label in labels.items():
        here, there = row.body.get(column), known.get(column)
        if column in known and (here is not None or there is not None):
            sign = "·" if here is None else "=" if here == there else "≠"
            yield f"    {label}: {_shown(here)} {sign} {_shown(there)}"


def _shown(value: Any) -> str:
    return "—" if value is None else str(value)


@contextlib.contextmanager
def progress(sheet: SheetFile, header: Header, lang: Language) -> Iterator[Progress]:
    """Show how many of a file's records are behind."""
    with _bar(sheet.form.record_count - header.record - 1, lang) as advance:
        yield advance


@contextlib.contextmanager
def progress_of(found: Import, lang: Language) -> Iterator[Progress]:
    """Show how many of an import's records are written."""
    with _bar(found.record_count, lang) as advance:
        yield advance


@contextlib.contextmanager
def _bar(total: int, lang: Language) -> Iterator[Progress]:
    console = Console(stderr=True, highlight=False)
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(_pick(("Строки", "Rows"), lang), total=total)
        yield lambda count: bar.advance(task, count)


def _pick(pair: tuple[str, str], lang: Language) -> str:
    return pair[0] if lang == "ru" else pair[1]
