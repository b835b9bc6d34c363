"""A replay on the screen: sums before and after, who gains and who loses, and each change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from processing.regulations.faults import Language
from processing.regulations.replay_model import Change, Replay, Sums
from processing.wire.explanation import Audience, explain
from processing.wire.figures import format_kopecks
from processing.wire.outcome import TEXTS, Outcome

GROUPS_SHOWN_MAX: Final = 30
"""Most categories, and most providers, that are shown; an export has no sums but every change."""

CHANGES_SHOWN_MAX: Final = 100
"""Most changes that are listed at a time, those that weigh most."""

_HEADINGS: Final = {
    "ru": ("", "операций", "одобрено", "отказано", "покрыто", "разница", "выиграют", "проиграют"),
    "en": ("", "decided", "approved", "refused", "covered", "more", "gain", "lose"),
}
_LEVELS: Final = {
    "category": {"ru": "По категориям", "en": "By category"},
    "provider": {"ru": "По поставщикам", "en": "By provider"},
}
_NOBODY: Final = {"ru": "(ничего не покрыто)", "en": "(nothing covered)"}
_KINDS: Final = {
    2: ("отложено", "reserve"),
    3: ("отпуск", "sale"),
    4: ("подтверждение", "completion"),
    5: ("возврат", "return"),
    6: ("отмена", "reversal"),
    7: ("начало", "start"),
    8: ("окончание", "finish"),
}


def show(console: Console, replay: Replay, language: Language) -> None:
    """Print the sums of a replay."""
    total = replay.total
    for line in sentences(replay, language):
        console.print(line)
    for level in ("category", "provider"):
        groups = replay.of_level(level)
        if groups and total.transactions:
            console.print(_table(_LEVELS[level][language], groups[:GROUPS_SHOWN_MAX], language))
            if len(groups) > GROUPS_SHOWN_MAX:
                rest = len(groups) - GROUPS_SHOWN_MAX
                console.print(f"… и ещё {rest}" if language == "ru" else f"… and {rest} more")


def sentences(replay: Replay, language: Language) -> list[str]:
    """Return what came of it in a few sentences."""
    total = replay.total
    period = f"{replay.first_day} – {replay.last_day}"
    title = f"{replay.service} v{replay.version}, {replay.document_sha256.hex()[:12]}"
    gained, lost = format_kopecks(total.gained_kopecks), format_kopecks(total.lost_kopecks)
    covered = (format_kopecks(total.before_kopecks), format_kopecks(total.after_kopecks))
    more = _signed(total.after_kopecks - total.before_kopecks)
    if language == "ru":
        return [
            f"{title}: прогон операций за {period}",
            f"Операций {_count(total.transactions)}, решены иначе {_count(total.changed)}.",
            (
                f"Одобрено {_arrow(total.before_approved, total.after_approved)}, отказано "
                f"{_arrow(total.before_refused, total.after_refused)}, записано с расхождением "
                f"{_arrow(total.before_recorded, total.after_recorded)}."
            ),
            f"Покрыто {covered[0]} → {covered[1]} ({more}).",
            (
                f"Выиграют {_count(total.gainers)} (на {gained}), проиграют {_count(total.losers)} "
                f"(на {lost})."
            ),
        ]
    return [
        f"{title}: replay of {period}",
        f"{_count(total.transactions)} transactions, {_count(total.changed)} decided otherwise.",
        (
            f"Approved {_arrow(total.before_approved, total.after_approved)}, refused "
            f"{_arrow(total.before_refused, total.after_refused)}, recorded in conflict "
            f"{_arrow(total.before_recorded, total.after_recorded)}."
        ),
        f"Covered {covered[0]} → {covered[1]} ({more}).",
        f"{_count(total.gainers)} gain ({gained}), {_count(total.losers)} lose ({lost}).",
    ]


def show_changes(console: Console, changes: Sequence[Change], language: Language) -> None:
    """Print changed transactions, each with its reason."""
    for change in changes[:CHANGES_SHOWN_MAX]:
        kind = _KINDS.get(change.kind, ("", ""))[0 if language == "ru" else 1]
        console.print(
            f"{change.business_date} {change.terminal_id} {change.stan:06} {kind}  "
            f"{change.category or '—'}  {change.provider}  {change.holder_id}"
        )
        console.print(
            f"    {outcome_words(change.before_outcome, language)}, "
            f"{format_kopecks(change.before_kopecks)} → "
            f"{outcome_words(change.after_outcome, language)}, "
            f"{format_kopecks(change.after_kopecks)}: {why(change, language)}"
        )
    if len(changes) > CHANGES_SHOWN_MAX:
        rest = len(changes) - CHANGES_SHOWN_MAX
        console.print(f"… и ещё {rest}" if language == "ru" else f"… and {rest} more")


def outcome_words(code: int, language: Language) -> str:
    """Return an outcome's number and text."""
    text = TEXTS[Outcome(code)]
    return f"{code} {text.ru if language == 'ru' else text.en}"


def why(change: Change, language: Language) -> str:
    """Return why a transaction is decided otherwise: the fact of the refusal that came or went."""
    after = change.after_outcome < Outcome.APPROVED or change.before_outcome == Outcome.APPROVED
    code = change.after_outcome if after else change.before_outcome
    facts = change.after_facts if after else change.before_facts
    if code == Outcome.APPROVED:
        return "другая доля цены" if language == "ru" else "another share of the price"
    told = explain(
        Outcome(code),
        facts,
        service="",
        service_version=0,
        audience=Audience.OPERATOR,
        language=language,
    )
    when = {
        (True, "ru"): "по проекту",
        (True, "en"): "under the draft",
        (False, "ru"): "было",
        (False, "en"): "before",
    }[after, language]
    return f"{when}: {told.fact or told.happened}"


def chosen(
    changes: Iterable[Change], which: str, category: str | None, provider: str | None
) -> Iterator[Change]:
    """Give the changes of `gainers`, `losers` or `all`, of one category and provider if named."""
    for change in changes:
        if (which, change.gains) == ("gainers", False) or (which, change.loses) == (
            "losers",
            False,
        ):
            continue
        if category not in (None, change.category) or provider not in (None, change.provider):
            continue
        yield change


def _table(title: str, groups: Sequence[Sums], language: Language) -> Table:
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(_HEADINGS[language]):
        table.add_column(heading, justify="right" if place else "left", no_wrap=place > 0)
    for one in groups:
        table.add_row(
            one.name or _NOBODY[language],
            _count(one.transactions),
            _arrow(one.before_approved, one.after_approved),
            _arrow(one.before_refused, one.after_refused),
            format_kopecks(one.after_kopecks),
            _signed(one.after_kopecks - one.before_kopecks),
            _count(one.gainers),
            _count(one.losers),
        )
    return table


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u00a0")


def _arrow(before: int, after: int) -> str:
    return _count(before) if before == after else f"{_count(before)} → {_count(after)}"


def _signed(amount_kopecks: int) -> str:
    return ("+" if amount_kopecks > 0 else "") + format_kopecks(amount_kopecks)
