"""`spk terminal visit`: services that begin and end with a tap."""

from __future__ import annotations

import cyclopts
from rich.console import Console

from processing.wire.transaction import Kind
from terminal_sim.desk import Desk, now_ms, present_card
from terminal_sim.hold_screens import show_visits
from terminal_sim.order import is_number
from terminal_sim.screens import show_result
from terminal_sim.session import HolderOption, Words, ring_up_and_show, run
from terminal_sim.till import Till
from terminal_sim.visits import finish

visit_app = cyclopts.App(name="visit", help="Begin and end services with a tap each.")


@visit_app.command
def start(
    service: str,
    words: Words,
    /,
    *,
    desk: Desk,
    holder: HolderOption = None,
    offline: bool = False,
) -> None:
    """Begin a service: what it may take of the right is held until it ends.

    Such as: visit start HOME.SERVICE HOME.CLEANING=60@7.00 for an hour at most.

    Args:
        service: Code of a service with a start and a finish.
        words: ITEM=QUANTITY@PRICE, the most that it will be; minutes where it counts minutes.
        holder: Rights holder: its id or the end of it, as `rights` shows it.
        offline: Record the start here and send it later; its end will be in conflict.
    """
    ring_up_and_show(desk, service, words, holder, offline, kind=Kind.VISIT_START)


@visit_app.command(name="finish")
def finish_visit(words: Words | None = None, /, *, desk: Desk, offline: bool = False) -> None:
    """End the service that the card at the reader began; the card signs the centre's number.

    Args:
        words: The start's number if the card began several, then ITEM=QUANTITY of what was given;
            all that was held when left out, of minutes no more than passed.
        offline: Record the end here and send it to the centre later.
    """

    def work(console: Console, till: Till) -> int:
        rest = list(words or [])
        key = till.numbered(rest.pop(0)) if rest and is_number(rest[0]) else None
        with present_card(desk, till) as card:
            result = finish(till, card, key, rest, offline=offline)
            number = card.identity.number
        show_result(console, desk, till, result, number)
        return result.exit_code

    run(desk, work, repeat=not offline)


@visit_app.command(name="list")
def list_visits(*, desk: Desk) -> None:
    """List what began here and has not ended, with until when it may be finished."""

    def work(console: Console, till: Till) -> int:
        show_visits(console, till, now_ms(), desk.lang)
        return 0

    run(desk, work)
