"""`spk terminal`: one terminal at one reader.

Exit codes: 0 approved, 1 declined, 2 not decided or an error. What was not decided is kept and
asked again at the next start, under the same number.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from processing.wire.iso8583.messages import NetworkCode
from processing.wire.transaction import Kind
from terminal_sim.booking import book, cancel
from terminal_sim.desk import Desk, NotSent, now_ms, present_card, read_parameters
from terminal_sim.errors import TerminalError
from terminal_sim.hold_screens import show_reservations
from terminal_sim.order import parse_quoted
from terminal_sim.rules import RulesShelf, rules_fetcher
from terminal_sim.screens import (
    renew_rules,
    rules_text,
    show_not_sent,
    show_pending,
    show_result,
    show_rights,
    show_totals,
)
from terminal_sim.serve import serve_cards
from terminal_sim.session import (
    EXIT_NOT_DECIDED,
    EvidenceName,
    HolderOption,
    Words,
    renew_key,
    repeat_pending,
    ring_up_and_show,
    run,
)
from terminal_sim.stop_lists import StopListShelf, fetcher
from terminal_sim.terminal import zone_of
from terminal_sim.texts import Phrase
from terminal_sim.till import Till
from terminal_sim.trust import TrustShelf, trust_fetcher
from terminal_sim.visit_commands import visit_app

UTILITY_SERVICE: Final = "UTILITY"

app = cyclopts.App(name="terminal", help="Serve cards at a reader.")
app.command(visit_app)
app.command(book)
app.command(cancel)


@app.command
def update(*, desk: Desk, source: Annotated[str | None, Parameter(name="--from")] = None) -> None:
    """Fetch the centre's newest keys, rules, and stop-list, without which nothing is sold offline.

    Args:
        source: Address of the centre's HTTP gateway or of a mirror; else as in the parameter file.
    """
    try:
        parameters = read_parameters(desk.params)
        desk.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        trust = TrustShelf(desk.state_folder, parameters)
        trust.renew(trust_fetcher(parameters, source))
        # What follows may be signed with a key that only the trust list tells.
        parameters = trust.parameters()
        shelf = StopListShelf(desk.state_folder, parameters.content_keys)
        rules = RulesShelf(desk.state_folder, parameters)
        newer = rules.renew(rules_fetcher(parameters, source))
        lists = shelf.renew(fetcher(parameters, source))
    except TerminalError as error:
        print(f"spk terminal: {error.text(desk.lang)}", file=sys.stderr)
        sys.exit(EXIT_NOT_DECIDED)
    print(rules_text(rules, desk.lang) if newer else Phrase.SAME_RULES.say(desk.lang))
    head = lists.newest
    ends = (head.issued_at_ms + head.use_minutes * 60_000) / 1000
    until = datetime.fromtimestamp(ends, zone_of(parameters.time_zone))
    print(Phrase.STOP_LIST.say(desk.lang, number=head.number, until=f"{until:%d.%m.%Y %H:%M}"))


@app.command
def rights(*, desk: Desk) -> None:
    """Show what the card at the reader is entitled to here."""

    def work(console: Console, till: Till) -> int:
        with present_card(desk, till) as card:
            asked = till.rights(card)
            number = card.identity.number
        show_rights(console, asked, till.terminal.parameters, number, desk.lang)
        if asked.answer.outcome.approved:
            return 0
        return NotSent(asked.answer.outcome).exit_code

    run(desk, work)


@app.command
def sell(
    service: str,
    words: Words,
    /,
    *,
    desk: Desk,
    holder: HolderOption = None,
    evidence: EvidenceName | None = None,
    offline: bool = False,
) -> None:
    """Sell lines under a service, such as: sell MEDICINE ENALAPRIL-10-20=2@145.50.

    Args:
        service: Code of the service.
        words: ITEM=QUANTITY@PRICE, the price for one whole unit in roubles.
        holder: Rights holder: its id or the end of it, as `rights` shows it.
        evidence: Tap or PIN, where it should differ from what the service asks for.
        offline: Record the sale here and send it to the centre later.
    """
    ring_up_and_show(desk, service, words, holder, offline, evidence=evidence)


@app.command
def reserve(
    service: str,
    words: Words,
    /,
    *,
    desk: Desk,
    holder: HolderOption = None,
    evidence: EvidenceName | None = None,
    offline: bool = False,
) -> None:
    """Put goods aside under a service: what is promised is held until they are given.

    Args:
        service: Code of a service that takes reservations.
        words: ITEM=QUANTITY@PRICE, the price for one whole unit in roubles.
        holder: Rights holder: its id or the end of it, as `rights` shows it.
        evidence: Tap or PIN, where it should differ from what the service asks for.
        offline: Record the reservation here and send it to the centre later.
    """
    ring_up_and_show(desk, service, words, holder, offline, evidence=evidence, kind=Kind.RESERVE)


@app.command
def complete(
    quoted: str, words: Words | None = None, /, *, desk: Desk, offline: bool = False
) -> None:
    """Give what was reserved, or a part of it; the rest is freed. No card is needed.

    Args:
        quoted: The reservation, as on its receipt: DATE-TERMINAL-STAN.
        words: ITEM=QUANTITY of what is given; everything reserved when left out.
        offline: Record it here and send it to the centre later.
    """

    def work(console: Console, till: Till) -> int:
        result = till.complete(parse_quoted(quoted), words or [], offline=offline)
        show_result(console, desk, till, result)
        return result.exit_code

    run(desk, work, repeat=not offline)


@app.command(name="return")
def give_back(
    quoted: str, words: Words | None = None, /, *, desk: Desk, offline: bool = False
) -> None:
    """Take goods back that were sold here; the card at the reader signs.

    Args:
        quoted: The sale or completion, as on its receipt: DATE-TERMINAL-STAN.
        words: ITEM=QUANTITY of what is brought back; all that is left of the sale when left out.
        offline: Record it here and send it to the centre later.
    """

    def work(console: Console, till: Till) -> int:
        with present_card(desk, till) as card:
            result = till.give_back(card, parse_quoted(quoted), words or [], offline=offline)
            number = card.identity.number
        show_result(console, desk, till, result, number)
        return result.exit_code

    run(desk, work, repeat=not offline)


@app.command
def reservations(*, desk: Desk) -> None:
    """List what is reserved here and not given yet, with when each reservation ends."""

    def work(console: Console, till: Till) -> int:
        show_reservations(console, till, now_ms(), desk.lang)
        return 0

    run(desk, work)


@app.command
def utility(
    words: Words, /, *, desk: Desk, holder: HolderOption = None, offline: bool = False
) -> None:
    """Apply a household's utility benefit, such as: utility WATER.COLD=12.5@48.20.

    Args:
        words: ITEM=QUANTITY@PRICE, the price for one whole unit in roubles.
        holder: Household: its id or the end of it.
        offline: Record it here and send it to the centre later.
    """
    ring_up_and_show(desk, UTILITY_SERVICE, words, holder, offline)


@app.command
def reverse(quoted: str, /, *, desk: Desk) -> None:
    """Take back what this terminal did: a sale, reservation, completion or return.

    Args:
        quoted: Its number as on the receipt: DATE-TERMINAL-STAN.
    """

    def work(console: Console, till: Till) -> int:
        result = till.reverse(parse_quoted(quoted))
        show_result(console, desk, till, result)
        return result.exit_code

    # A sale without a decision may be the one to be reversed: it is not asked for again first.
    run(desk, work, repeat=False)


@app.command
def totals(*, desk: Desk, day: date | None = None, close: bool = False) -> None:
    """Compare the day's totals with the centre's.

    Args:
        day: Business date; the current one when left out.
        close: End the business day: what follows belongs to the next one.
    """

    def work(console: Console, till: Till) -> int:
        which = day or till.terminal.business_date(now_ms())
        compared = till.totals(which)
        pending = sum(
            key.business_date == which and entry.request.kind is not Kind.INQUIRY
            for key, entry in till.store.state.pending.items()
        )
        show_totals(console, compared, pending, desk.lang)
        if close:
            till.close_day(which)
            console.print(Phrase.DAY_CLOSED.say(desk.lang, day=f"{which:%d.%m.%Y}"))
            posted = till.network(NetworkCode.CUT_OVER).posting_date
            if posted is not None:
                console.print(Phrase.POSTED.say(desk.lang, day=f"{posted:%d.%m.%Y}"))
        return 0 if compared.answer.totals == compared.mine else 1

    run(desk, work)


@app.command
def echo(*, desk: Desk) -> None:
    """Ask whether the centre is there, and how far the clocks are apart."""

    def work(console: Console, till: Till) -> int:
        answer = till.echo()
        centre = datetime.fromtimestamp(answer.centre_time_ms // 1000, UTC)
        shown = f"{centre.astimezone(till.terminal.zone):%d.%m.%Y %H:%M:%S}"
        seconds = (now_ms() - answer.centre_time_ms) // 1000
        console.print(Phrase.ECHO.say(desk.lang, centre=shown, seconds=seconds))
        renew_rules(console, desk, till, answer.rules_mark)
        return 0 if answer.outcome.approved else EXIT_NOT_DECIDED

    run(desk, work, repeat=False)


@app.command
def sign_on(*, desk: Desk) -> None:
    """Tell the centre that this terminal begins to work; newer rules and a due key are fetched."""
    _tell(desk, NetworkCode.SIGN_ON, Phrase.SIGNED_ON)


@app.command
def sign_off(*, desk: Desk) -> None:
    """Tell the centre that this terminal ends its work."""
    _tell(desk, NetworkCode.SIGN_OFF, Phrase.SIGNED_OFF)


def _tell(desk: Desk, code: NetworkCode, done: Phrase) -> None:
    def work(console: Console, till: Till) -> int:
        answer = till.network(code)
        if answer.outcome.approved:
            console.print(done.say(desk.lang))
            if answer.key_due:
                renew_key(console, desk, till)
            return renew_rules(console, desk, till, answer.rules_mark)
        show_not_sent(console, NotSent(answer.outcome), till.terminal.parameters, desk.lang)
        return 1

    run(desk, work, repeat=False)


@app.command
def change_key(*, desk: Desk) -> None:
    """Have the centre hand out this terminal's next MAC key, and use it from now on."""

    def work(console: Console, till: Till) -> int:
        key = till.change_key()
        console.print(Phrase.KEY_CHANGED.say(desk.lang, generation=key.generation))
        return 0

    run(desk, work, repeat=False)


@app.command
def pending(*, desk: Desk) -> None:
    """Ask again for everything without a decision, and list what still has none."""

    def work(console: Console, till: Till) -> int:
        left = repeat_pending(console, desk, till)
        show_pending(console, till, desk.lang)
        return EXIT_NOT_DECIDED if left else 0

    run(desk, work, repeat=False)


@app.command
def serve(*, desk: Desk) -> None:
    """Serve one card after the other: show its rights, ask what to ring up, print the receipt."""

    def work(console: Console, till: Till) -> int:
        serve_cards(console, desk, till)
        return 0

    run(desk, work)
