"""A day's totals as a table, and below it whatever does not balance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from processing.reconciliation.day_file import roubles
from processing.reconciliation.model import Amounts, Balance, DayReport, TerminalDay
from processing.reconciliation.texts import BALANCES, TITLES, TOTALS, Language, Phrase, pick

TERMINALS_SHOWN_MAX: Final = 200
"""Above so many terminals those in balance are left out of the table, not out of its sums."""

DIFFERENCES_SHOWN_MAX: Final = 50
"""How many terminals with a difference are told number by number."""

WIDTH_WITHOUT_TERMINAL: Final = 120
"""Columns where the output goes to a file or a pipe."""

_NO_BREAK_SPACE: Final = "\u00a0"


def show_report(console: Console, report: DayReport, language: Language) -> None:
    """Print the totals by provider and terminal, then differences and what they mean."""
    day = shown_day(report.order.day, language)
    if not report.terminals:
        console.print(Phrase.NOTHING.say(language, day=day))
        return
    console.print(_table(report, language))
    left_out = len(report.terminals) - len(_shown(report.terminals))
    if left_out:
        console.print(Phrase.LEFT_OUT.say(language, count=left_out))
    for sentence in sentences(report, language):
        console.print(sentence, markup=False, highlight=False)


def sentences(report: DayReport, language: Language) -> list[str]:
    """Return what the comparison with the terminals' own totals found, one finding each."""
    balances = [one.balance for one in report.terminals]
    if Balance.NOT_COMPARED in balances:
        return [Phrase.NOT_COMPARED.say(language)]
    found = []
    if different := report.different:
        found.append(Phrase.SOME_DIFFERENT.say(language, count=len(different)))
        for one in different[:DIFFERENCES_SHOWN_MAX]:
            found += differences(one, language)
        if (more := len(different) - DIFFERENCES_SHOWN_MAX) > 0:
            found.append(Phrase.MORE_DIFFERENCES.say(language, count=more))
        found.append(Phrase.SETTLE_AGAIN.say(language))
    if count := balances.count(Balance.NOT_SETTLED):
        found.append(Phrase.SOME_NOT_SETTLED.say(language, count=count))
    return found or [Phrase.ALL_IN_BALANCE.say(language)]


def differences(one: TerminalDay, language: Language) -> list[str]:
    """Return each number in which a terminal and the centre differ."""
    if one.settlement is None:
        return []
    mine = msgspec.structs.asdict(one.settlement.terminal)
    theirs = msgspec.structs.asdict(one.settlement.centre)
    return [
        Phrase.DIFFERENCE.say(
            language,
            terminal=one.terminal_id,
            what=pick(names, language),
            mine=_number(name, mine[name], language),
            theirs=_number(name, theirs[name], language),
        )
        for name, names in TOTALS.items()
        if mine[name] != theirs[name]
    ]


def amount(amount_kopecks: int, language: Language) -> str:
    """Return an amount in roubles as people write it: «1 234,56» or "1,234.56"."""
    whole, rest = roubles(abs(amount_kopecks)).split(".")
    grouped = f"{int(whole):,}"
    sign = "−" if amount_kopecks < 0 else ""
    if language == "ru":
        return f"{sign}{grouped.replace(',', _NO_BREAK_SPACE)},{rest}"
    return f"{sign}{grouped}.{rest}"


def shown_day(day: date, language: Language) -> str:
    """Return a date as people write it in that language."""
    return f"{day:%d.%m.%Y}" if language == "ru" else day.isoformat()


def _table(report: DayReport, language: Language) -> Table:
    title = pick(TITLES[report.order.basis], language)
    table = Table(
        title=title.format(day=shown_day(report.order.day, language)),
        box=SIMPLE_HEAD,
        title_justify="left",
    )
    for phrase in (Phrase.PROVIDER, Phrase.TERMINAL):
        table.add_column(phrase.say(language), no_wrap=True)
    for phrase in (Phrase.SALES, Phrase.REVERSALS, Phrase.RETURNS):
        table.add_column(phrase.say(language), justify="right", no_wrap=True)
    for phrase in (Phrase.GROSS, Phrase.COVERED, Phrase.PAID):
        table.add_column(phrase.say(language), justify="right", no_wrap=True)
    table.add_column(Phrase.BALANCE.say(language), no_wrap=True)
    all_word = Phrase.ALL.say(language)
    kept = {one.terminal_id for one in _shown(report.terminals)}
    for code, group in groupby(report.terminals, key=lambda one: one.provider_code):
        terminals = list(group)
        provider = code or Phrase.NOT_REGISTERED.say(language)
        for one in terminals:
            if one.terminal_id in kept:
                balance = pick(BALANCES[one.balance], language)
                table.add_row(provider, one.terminal_id, *_numbers([one], language), balance)
        if len(terminals) > 1:
            table.add_row(provider, all_word, *_numbers(terminals, language), "", style="bold")
    table.add_section()
    table.add_row(all_word, "", *_numbers(report.terminals, language), "", style="bold")
    return table


def _numbers(terminals: Sequence[TerminalDay], language: Language) -> Iterable[str]:
    amounts = sum((one.amounts for one in terminals), Amounts())
    return (
        str(sum(one.sale_count for one in terminals)),
        str(sum(one.reversal_count for one in terminals)),
        str(sum(one.return_count for one in terminals)),
        amount(amounts.gross_kopecks, language),
        amount(amounts.covered_kopecks, language),
        amount(amounts.paid_kopecks, language),
    )


def _shown(terminals: Sequence[TerminalDay]) -> Sequence[TerminalDay]:
    if len(terminals) <= TERMINALS_SHOWN_MAX:
        return terminals
    return [one for one in terminals if one.balance is not Balance.IN_BALANCE]


def _number(name: str, value: int, language: Language) -> str:
    return amount(value, language) if name.endswith("_kopecks") else str(value)
