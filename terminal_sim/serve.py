"""The cashier's loop: one card at a time, its rights first, then what is sold, then the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.panel import Panel

from card_personalization.chip.errors import CardError, CardFault
from processing.wire.transaction import Right
from terminal_sim.card import PresentedCard
from terminal_sim.desk import Desk, NotSent, RungUp, present_card, ring_up_patiently
from terminal_sim.errors import TerminalError
from terminal_sim.order import OrderError, holder_label, known_service, parse_order
from terminal_sim.screens import show_not_sent, show_result, show_rights
from terminal_sim.texts import Phrase
from terminal_sim.till import Till

WAIT_TURN_MS: Final = 60_000
"""How long one wait for a card lasts before it begins anew, so that Ctrl-C is always heard."""


def serve_cards(console: Console, desk: Desk, till: Till) -> None:
    """Serve until the cashier ends the shift (Ctrl-C, end of input, or Enter at the prompt)."""
    try:
        while _serve_one(console, desk, till):
            till.repeat_pending()
    except (KeyboardInterrupt, EOFError):
        console.print()
    console.print(Phrase.FAREWELL.say(desk.lang), style="bold")


def _serve_one(console: Console, desk: Desk, till: Till) -> bool:
    """Serve one card; whether to go on. What goes wrong is told, and the next card is served."""
    console.print(Panel(Phrase.PRESENT.say(desk.lang).upper(), style="bold"))
    try:
        reader = _await_card(desk)
        with present_card(desk, till, reader) as card:
            _serve_card(console, desk, till, card)
        console.print(Phrase.REMOVE.say(desk.lang), style="bold")
        _await_removal(reader)
    except (TerminalError, CardError) as error:
        console.print(error.text(desk.lang), style="bold red", markup=False)
        if isinstance(error, CardError) and error.fault in _LASTING:
            return False
    return True


_LASTING: Final = frozenset(
    {
        CardFault.LIBRARY_ABSENT,
        CardFault.SERVICE_ABSENT,
        CardFault.NO_READER,
        CardFault.READER_UNKNOWN,
    }
)
"""Faults that waiting for the next card does not mend."""


def _await_card(desk: Desk) -> str | None:
    """Wait for a card and return its reader; a software card waits for Enter."""
    if desk.soft is not None:
        input(Phrase.PRESS_ENTER.say(desk.lang, card=desk.soft.stem))
        return None
    from card_personalization.chip.transport.pcsc import PcscContext

    with PcscContext() as context:
        reader = context.find_reader(desk.reader)
        while True:
            try:
                return context.wait_for_card(reader, WAIT_TURN_MS)
            except CardError as error:
                if error.fault is not CardFault.WAIT_ENDED:
                    raise


def _await_removal(reader: str | None) -> None:
    if reader is None:
        return None
    from card_personalization.chip.transport.pcsc import PcscContext

    with PcscContext() as context:
        while True:
            try:
                return context.wait_for_removal(reader, WAIT_TURN_MS)
            except CardError as error:
                if error.fault is not CardFault.WAIT_ENDED:
                    raise


def _serve_card(console: Console, desk: Desk, till: Till, card: PresentedCard) -> None:
    """Show the rights, then sell until the cashier enters nothing."""
    parameters = till.terminal.parameters
    while True:
        asked = till.rights(card)
        show_rights(console, asked, parameters, card.identity.number, desk.lang)
        if not asked.rights:
            return
        words = input(f"{Phrase.RING_UP.say(desk.lang)}\n> ").split()
        if not words:
            return
        try:
            wanted = RungUp(
                service=_which_service(desk, asked.rights, till),
                lines=parse_order(words, parameters),
            )
            _sell(console, desk, till, card, wanted, asked.rights)
        except OrderError as error:
            console.print(error.text(desk.lang), style="bold red", markup=False)


def _which_service(desk: Desk, rights: Sequence[Right], till: Till) -> str:
    """Return the one service of the rights, or the one that the cashier names."""
    services = list(dict.fromkeys(right.service for right in rights))
    if len(services) == 1:
        return services[0]
    listed = ", ".join(services)
    named = input(f"{Phrase.WHICH_SERVICE.say(desk.lang, services=listed)}\n> ").strip()
    return known_service(named, till.terminal.parameters).service


def _sell(
    console: Console,
    desk: Desk,
    till: Till,
    card: PresentedCard,
    wanted: RungUp,
    rights: tuple[Right, ...],
) -> None:
    """Sell; where several holders fit, ask for which."""
    try:
        result = ring_up_patiently(desk, till, card, wanted, console.print, rights)
    except OrderError as error:
        holders = list(dict.fromkeys(right.holder_id for right in rights))
        if len(holders) < 2:
            raise
        console.print(error.text(desk.lang), style="yellow", markup=False)
        listed = ", ".join(holder_label(holder) for holder in holders)
        named = input(f"{Phrase.WHICH_HOLDER.say(desk.lang, holders=listed)}\n> ").strip()
        chosen = RungUp(service=wanted.service, lines=wanted.lines, holder=named)
        result = ring_up_patiently(desk, till, card, chosen, console.print, rights)
    if isinstance(result, NotSent):
        show_not_sent(console, result, till.terminal.parameters, desk.lang)
    else:
        show_result(console, desk, till, result, card.identity.number)
