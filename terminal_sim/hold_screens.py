"""What the cashier sees of what is held: reservations, bookings, visits that have begun."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from processing.wire.figures import format_kopecks
from terminal_sim.errors import Language
from terminal_sim.state import Entry, quoted
from terminal_sim.texts import (
    Phrase,
    amount_of,
    is_over,
    item_name,
    item_named,
    moment_of,
    moment_text,
)
from terminal_sim.till import Till
from terminal_sim.visits import open_visits


def show_reservations(
    console: Console, till: Till, now_ms: int, language: Language, *, card_id: bytes = b""
) -> int:
    """List what is reserved and not given yet, of one card or of all; return how many there are.

    For one card that has none nothing is printed.
    """
    reserved = [entry for entry in till.reservations() if card_id in (b"", entry.request.card_id)]
    if not reserved:
        if not card_id:
            console.print(Phrase.NO_RESERVATIONS.say(language))
        return 0
    table = Table(title=Phrase.RESERVATIONS_TITLE.say(language), title_justify="left")
    table.add_column(Phrase.NUMBER.say(language), no_wrap=True)
    table.add_column(Phrase.GOODS.say(language))
    for phrase in (Phrase.QUANTITY, Phrase.GROSS, Phrase.VALID_TO):
        table.add_column(phrase.say(language), justify="right", no_wrap=True)
    appointments = till.store.state.appointments
    booked = any(entry.request.key in appointments for entry in reserved)
    if booked:
        table.add_column(Phrase.APPOINTED.say(language), justify="right", no_wrap=True)
    for entry in reserved:
        at_ms = appointments.get(entry.request.key)
        at = "" if at_ms is None else moment_of(at_ms, till.terminal.parameters)
        for row in _reservation_rows(entry, till, now_ms, language):
            table.add_row(*row, *([at] if booked else []))
            at = ""
    console.print(table)
    return len(reserved)


def _reservation_rows(
    entry: Entry, till: Till, now_ms: int, language: Language
) -> Iterator[tuple[str, str, str, str, str]]:
    """Return a row for each line; number and end stand in the first."""
    parameters, request = till.terminal.parameters, entry.request
    expires = entry.answer.facts.get("expires", "") if entry.answer else ""
    until = moment_text(expires, parameters) if expires else "—"
    if expires and is_over(expires, now_ms):
        until = Phrase.OVER.say(language)
    number = quoted(request.key)
    for line in request.lines:
        item = item_named(line.item, parameters)
        name = line.item if item is None else item_name(item, language)
        quantity = amount_of(line.quantity, line.unit_okei, line.scale, language)
        yield number, name, quantity, format_kopecks(line.gross_kopecks), until
        number = until = ""


def show_visits(
    console: Console, till: Till, now_ms: int, language: Language, *, card_id: bytes = b""
) -> int:
    """List what began here and has not ended, of one card or of all; return how many there are.

    For one card that has none nothing is printed.
    """
    begun = open_visits(till.store.state, card_id)
    if not begun:
        if not card_id:
            console.print(Phrase.NO_VISITS.say(language))
        return 0
    table = Table(title=Phrase.VISITS_TITLE.say(language), title_justify="left")
    table.add_column(Phrase.NUMBER.say(language), no_wrap=True)
    table.add_column(Phrase.SERVICE.say(language))
    for phrase in (Phrase.QUANTITY, Phrase.BEGAN_AT):
        table.add_column(phrase.say(language), justify="right", no_wrap=True)
    table.add_column(Phrase.FINISH_BY.say(language), justify="right")
    for entry in begun:
        for row in _visit_rows(entry, till, now_ms, language):
            table.add_row(*row)
    console.print(table)
    return len(begun)


def _visit_rows(
    entry: Entry, till: Till, now_ms: int, language: Language
) -> Iterator[tuple[str, str, str, str, str]]:
    """Return a row for each line; number and times stand in the first."""
    parameters, request = till.terminal.parameters, entry.request
    expires = entry.answer.facts.get("expires", "") if entry.answer else ""
    until = moment_text(expires, parameters) if expires else Phrase.WITHOUT_CENTRE.say(language)
    if expires and is_over(expires, now_ms):
        until = Phrase.FORGOTTEN.say(language)
    number, began = quoted(request.key), moment_of(request.signed_at_ms, parameters)
    for line in request.lines:
        item = item_named(line.item, parameters)
        name = line.item if item is None else item_name(item, language)
        quantity = amount_of(line.quantity, line.unit_okei, line.scale, language)
        yield number, name, quantity, began, until
        number = began = until = ""
