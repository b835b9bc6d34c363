"""One command at a terminal: open it, repeat what is undecided, do the work, give its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Final, Literal

from cyclopts import Parameter
from rich.console import Console

from card_personalization.chip.errors import CardError
from processing.wire.transaction import Evidence, Kind
from terminal_sim.card import Presented, PresentedCard
from terminal_sim.desk import (
    Desk,
    NotSent,
    RungUp,
    now_ms,
    open_till,
    present_card,
    ring_up_patiently,
)
from terminal_sim.errors import TerminalError
from terminal_sim.order import parse_order
from terminal_sim.passport import Refreshed, poster, refresh
from terminal_sim.rules import grows_old
from terminal_sim.screens import show_not_sent, show_open_report, show_result
from terminal_sim.terminal import local_date
from terminal_sim.texts import Phrase, moment_of
from terminal_sim.till import Till

EXIT_NOT_DECIDED: Final = 2
NARROWEST_SCREEN_COLUMNS: Final = 100
"""Width of tables where there is no screen, as in a log."""

EVIDENCE: Final = {"tap": Evidence.TAP, "pin": Evidence.PIN}

EvidenceName = Literal["tap", "pin"]
Words = Annotated[list[str], Parameter(negative=())]
"""Lines as ITEM=QUANTITY@PRICE; the price is for one whole unit, in roubles."""

HolderOption = Annotated[str | None, Parameter(name="--for")]


def run(desk: Desk, work: Callable[[Console, Till], int], *, repeat: bool = True) -> None:
    """Open the terminal, repeat what is undecided, do the work, and leave with its exit code."""
    wide = None if sys.stdout.isatty() else NARROWEST_SCREEN_COLUMNS
    console = Console(width=wide)
    try:
        with open_till(desk) as till:
            state = till.store.state
            show_open_report(console, till.store.report, state.epoch, desk.lang)
            _warn_of_old_rules(console, desk, till)
            if repeat and state.pending:
                repeat_pending(console, desk, till)
            code = work(console, till)
    except (TerminalError, CardError) as error:
        print(f"spk terminal: {error.text(desk.lang)}", file=sys.stderr)
        code = EXIT_NOT_DECIDED
    sys.exit(code)


def _warn_of_old_rules(console: Console, desk: Desk, till: Till) -> None:
    until_ms = till.rules_until_ms
    if until_ms is not None and grows_old(until_ms, now_ms()):
        until = moment_of(until_ms, till.terminal.parameters)
        console.print(Phrase.OLD_RULES.say(desk.lang, until=until), style="yellow")


def repeat_pending(console: Console, desk: Desk, till: Till) -> int:
    """Repeat what has no decision and print what was decided; how many are left."""
    for result in till.repeat_pending():
        if result.decided:
            show_result(console, desk, till, result)
    return len(till.store.state.pending)


def renew_passport(console: Console, desk: Desk, till: Till, card: Presented) -> None:
    """Renew the passport on the card where this terminal may; what goes wrong is said, no more."""
    parameters = till.terminal.parameters
    if not parameters.writes_passports or not isinstance(card, PresentedCard):
        return
    today = local_date(now_ms(), till.terminal.zone)
    try:
        post = poster(parameters, till.terminal.mac_key, now_ms)
        done = refresh(card.client, card.identity.card_id, parameters, today, post)
    except (TerminalError, CardError) as error:
        console.print(error.text(desk.lang), style="dim", markup=False)
        return
    if done is Refreshed.WRITTEN:
        console.print(Phrase.PASSPORT_RENEWED.say(desk.lang), style="dim")


def renew_key(console: Console, desk: Desk, till: Till) -> None:
    """Change the terminal's key, which the centre said is due; else the present one goes on."""
    if not till.terminal.parameters.exchange_key:
        return
    try:
        generation = till.change_key().generation
    except TerminalError as error:
        console.print(error.text(desk.lang), style="yellow", markup=False)
        return
    console.print(Phrase.KEY_CHANGED.say(desk.lang, generation=generation))


def ring_up_and_show(
    desk: Desk,
    service: str,
    words: list[str],
    holder: str | None,
    offline: bool,
    *,
    evidence: EvidenceName | None = None,
    kind: Kind = Kind.SALE,
    at: Callable[[Till], int] | None = None,
) -> None:
    """Sell, reserve or begin with the card at the reader; `at` gives when it is booked for."""

    def work(console: Console, till: Till) -> int:
        parameters = till.terminal.parameters
        wanted = RungUp(
            service=service,
            lines=parse_order(words, parameters),
            holder=holder,
            evidence=EVIDENCE[evidence] if evidence else None,
            offline=offline,
            kind=kind,
            at_ms=None if at is None else at(till),
        )
        with present_card(desk, till) as card:
            result = ring_up_patiently(desk, till, card, wanted, console.print)
            number = card.identity.number
            if isinstance(result, NotSent):
                show_not_sent(console, result, parameters, desk.lang)
            else:
                show_result(console, desk, till, result, number)
            if not offline:
                renew_passport(console, desk, till, card)
        return result.exit_code

    run(desk, work, repeat=not offline)
