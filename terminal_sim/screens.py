"""What the cashier sees: tables of rights and totals, receipts, and where receipts are kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from processing.wire.explanation import Audience
from processing.wire.figures import format_kopecks
from processing.wire.iso8583.messages import Settlement, TerminalTotals
from processing.wire.parameter_file import ParameterFile
from processing.wire.receipt_file import ReceiptFile
from processing.wire.transaction import MessageClass, Right, TransactionKey
from terminal_sim.desk import Desk, NotSent, follow_rules, now_ms
from terminal_sim.errors import Language, TerminalError
from terminal_sim.order import holder_label
from terminal_sim.receipt_text import receipt_text
from terminal_sim.results import Result, RightsAnswer, TotalsComparison
from terminal_sim.rules import RulesShelf
from terminal_sim.state import quoted
from terminal_sim.store import OpenReport
from terminal_sim.texts import (
    Phrase,
    amount_of,
    class_name,
    explained,
    masked,
    outcome_text,
    service_named,
)
from terminal_sim.till import Till


def show_open_report(console: Console, report: OpenReport, epoch: int, language: Language) -> None:
    """Tell what a crash or a damaged disk left behind, if anything."""
    if report.damage:
        text = Phrase.DAMAGED.say(language, damage=report.damage, epoch=epoch)
        console.print(text, style="bold red")
    elif report.torn_bytes:
        console.print(Phrase.TORN.say(language, bytes=report.torn_bytes), style="yellow")


def show_rights(
    console: Console, asked: RightsAnswer, parameters: ParameterFile, card: str, language: Language
) -> None:
    """Show what a card is entitled to here, or why the centre does not say."""
    if not asked.answer.outcome.approved:
        show_not_sent(console, NotSent(asked.answer.outcome, asked.answer), parameters, language)
        return
    if not asked.rights:
        console.print(Phrase.NO_RIGHTS.say(language), style="bold yellow")
        return
    title = Phrase.RIGHTS_TITLE.say(language, card=masked(card))
    table = Table(title=title, title_justify="left", expand=False)
    for phrase in (Phrase.HOLDER, Phrase.SERVICE, Phrase.WHAT):
        table.add_column(phrase.say(language))
    for phrase in (Phrase.LEFT, Phrase.GRANTED, Phrase.PERCENT, Phrase.VALID_TO):
        table.add_column(phrase.say(language), justify="right", no_wrap=True)
    for right in asked.rights:
        table.add_row(*_right_row(right, parameters, language), style=_style_of(right))
    console.print(table)


def _style_of(right: Right) -> str:
    return "bold" if right.remaining else "dim"


def _right_row(right: Right, parameters: ParameterFile, language: Language) -> tuple[str, ...]:
    service = service_named(right.service, parameters)
    name = right.service
    if service is not None:
        name = service.name_ru if language == "ru" else service.name_en
    return (
        holder_label(right.holder_id),
        name,
        class_name(right.item_class, parameters, language),
        amount_of(right.remaining, right.unit_okei, right.scale, language),
        amount_of(right.granted, right.unit_okei, right.scale, language),
        f"{right.percent} %",
        f"{right.valid_to:%d.%m.%Y}",
    )


def show_not_sent(
    console: Console, refused: NotSent, parameters: ParameterFile, language: Language
) -> None:
    """Show a refusal that came before anything was sold."""
    if refused.answer is None:
        happened, remedy = outcome_text(refused.outcome, language)
        lines = [remedy]
    else:
        why = explained(refused.answer, "", 0, parameters, Audience.CASHIER, language)
        happened, lines = why.happened, [line for line in (why.fact, why.remedy) if line]
    console.print(happened, style="bold red", markup=False)
    for line in lines:
        console.print(line, markup=False)


def show_result(
    console: Console, desk: Desk, till: Till, result: Result, card_number: str = ""
) -> None:
    """Print the receipt of a request and keep it: as text, and to be verified as JSON.

    What is kept is the citizen's; the screen is the cashier's, who may know less.
    """
    parameters = till.terminal.parameters
    text = receipt_text(result, parameters, desk.lang, card_number, Audience.CASHIER)
    # Receipts are ready lines: nothing in them is markup, nothing may be folded again.
    console.print(text, end="", markup=False, highlight=False, soft_wrap=True, emoji=False)
    text = receipt_text(result, parameters, desk.lang, card_number)
    keep_receipt(desk.receipts_folder, result, text)


def receipt_name(key: TransactionKey) -> str:
    """Return the name of a receipt's files; a reversal has a number of its own series."""
    mark = "-R" if key.message_class is MessageClass.REVERSAL else ""
    return f"{quoted(key)}{mark}"


def keep_receipt(folder: Path, result: Result, text: str) -> None:
    """Write receipt text and, for a proven decision, the file that `spk receipt verify` reads.

    Raises `TerminalError` when they cannot be written; the decision itself is kept already.
    """
    name = receipt_name(result.request.key)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        answer = result.answer
        if result.decided and answer is not None and answer.decision and answer.receipt:
            items = tuple(line.item for line in result.request.lines)
            file = ReceiptFile.of(result.request.key, items, answer.decision, answer.receipt)
            (folder / f"{name}.json").write_bytes(file.encode())
    except OSError as error:
        raise TerminalError(
            f"Квитанция не сохранена: {error}. Решение центра терминал запомнил",
            f"the receipt was not kept: {error}. The terminal did record the decision",
        ) from error


def show_totals(
    console: Console, compared: TotalsComparison, pending: int, language: Language
) -> None:
    """Show the terminal's totals of a day beside the centre's."""
    day = f"{compared.business_date:%d.%m.%Y}"
    table = Table(title=Phrase.TOTALS_TITLE.say(language, day=day), title_justify="left")
    table.add_column("")
    table.add_column(Phrase.TERMINAL.say(language), justify="right", no_wrap=True)
    table.add_column(Phrase.CENTRE.say(language), justify="right", no_wrap=True)
    theirs = compared.answer.totals
    names = [phrase.say(language) for phrase in _TOTALS_NAMES]
    shown = ["—"] * len(names) if theirs is None else list(_totals_values(theirs))
    for name, mine, other in zip(names, _totals_values(compared.mine), shown, strict=True):
        table.add_row(name, mine, other, style="" if mine == other else "bold red")
    console.print(table)
    match compared.answer.settlement:
        case Settlement.IN_BALANCE:
            console.print(Phrase.IN_BALANCE.say(language), style="bold green")
        case Settlement.OUT_OF_BALANCE:
            console.print(Phrase.OUT_OF_BALANCE.say(language), style="bold red")
        case Settlement.NOT_COMPARED:
            console.print(Phrase.NOT_COMPARED.say(language), style="bold yellow")
    if pending:
        console.print(Phrase.STILL_PENDING.say(language, count=pending), style="yellow")


_TOTALS_NAMES = (
    Phrase.APPROVED_COUNT,
    Phrase.GROSS,
    Phrase.TOTAL_COVERED,
    Phrase.PAID,
    Phrase.REVERSED_COUNT,
    Phrase.REVERSED_COVERED,
    Phrase.RETURNED_COUNT,
    Phrase.RETURNED_TOTAL,
)


def _totals_values(totals: TerminalTotals) -> Iterable[str]:
    return (
        str(totals.approved_count),
        format_kopecks(totals.gross_kopecks),
        format_kopecks(totals.covered_kopecks),
        format_kopecks(totals.paid_kopecks),
        str(totals.reversed_count),
        format_kopecks(totals.reversed_covered_kopecks),
        str(totals.returned_count),
        format_kopecks(totals.returned_covered_kopecks),
    )


def rules_text(rules: RulesShelf, language: Language) -> str:
    """Return which versions of which services the terminal goes by now, and which begin later."""
    moment = now_ms()
    services = rules.parameters(moment).services
    told = [Phrase.VERSION.say(language, service=s.service, version=s.version) for s in services]
    told += [
        Phrase.COMING.say(
            language, service=s.service, version=s.version, since=f"{s.valid_from:%d.%m.%Y}"
        )
        for s in rules.coming(moment)
    ]
    return Phrase.NEW_RULES.say(language, services=", ".join(told))


def renew_rules(console: Console, desk: Desk, till: Till, mark: str) -> int:
    """Follow the centre to newer rules and tell of it; 0, also when they cannot be had now."""
    try:
        rules = follow_rules(desk, till, mark)
        if rules is not None:
            console.print(rules_text(rules, desk.lang), style="green", highlight=False)
    except TerminalError as error:
        console.print(error.text(desk.lang), style="yellow", markup=False)
    return 0


def show_pending(console: Console, till: Till, language: Language) -> None:
    """List the requests without a decision."""
    pending = till.store.state.pending
    if not pending:
        console.print(Phrase.NO_PENDING.say(language))
        return
    table = Table()
    for phrase in (Phrase.NUMBER, Phrase.SERVICE, Phrase.GROSS, Phrase.NOT_DECIDED):
        table.add_column(phrase.say(language))
    for entry in pending.values():
        request = entry.request
        signed = datetime.fromtimestamp(request.signed_at_ms // 1000, UTC)
        why = outcome_text(entry.answer.outcome, language)[0] if entry.answer else ""
        table.add_row(
            receipt_name(request.key),
            request.service,
            format_kopecks(request.gross_kopecks),
            why or f"{signed.astimezone(till.terminal.zone):%d.%m %H:%M}",
        )
    console.print(table)
