"""The cashier's loop: one card at a time, its rights first, then what is sold, then the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec
from rich.console import Console
from rich.panel import Panel

from card_personalization.chip.errors import CardError, CardFault
from processing.wire.iso8583.messages import NetworkCode
from processing.wire.transaction import Kind, Line, Right
from terminal_sim.card import Presented
from terminal_sim.desk import Desk, NotSent, RungUp, now_ms, present_card, ring_up_patiently
from terminal_sim.errors import TerminalError
from terminal_sim.hold_screens import show_reservations, show_visits
from terminal_sim.link import LinkError
from terminal_sim.order import (
    OrderError,
    holder_label,
    is_given_so,
    is_number,
    known_service,
    parse_order,
)
from terminal_sim.screens import renew_rules, show_not_sent, show_result, show_rights
from terminal_sim.session import renew_key, renew_passport
from terminal_sim.texts import Phrase, item_class_of
from terminal_sim.till import Till
from terminal_sim.visits import finish

WAIT_TURN_MS: Final = 60_000
"""How long one wait for a card lasts before it begins anew, so that Ctrl-C is always heard."""


class Verb(Enum):
    """What a cashier may want besides a sale; any beginning that is one verb's alone will do."""

    RESERVE = ("отложить", "reserve")
    COMPLETE = ("выдать", "complete")
    RETURN = ("вернуть", "return")
    REVERSE = ("отменить", "cancel")
    START = ("начать", "begin")
    FINISH = ("закончить", "finish")


_RUNG_UP: Final = {None: Kind.SALE, Verb.RESERVE: Kind.RESERVE, Verb.START: Kind.VISIT_START}
"""What is rung up with lines; the other verbs name a transaction."""


VERB_LETTERS_MIN: Final = 2
"""Fewest letters of a verb; a code of an item is not taken for one, since it has a quantity."""


def verb_in(word: str) -> Verb | None:
    """Return the verb that a word begins, in either language, or None."""
    begun = word.casefold()
    found = [verb for verb in Verb if any(name.startswith(begun) for name in verb.value)]
    return found[0] if len(found) == 1 and len(begun) >= VERB_LETTERS_MIN else None


def serve_cards(console: Console, desk: Desk, till: Till) -> None:
    """Serve until the cashier ends the shift (Ctrl-C, end of input, or Enter at the prompt).

    The centre is told when the shift begins and ends, if it can be reached.
    """
    _tell(console, desk, till, NetworkCode.SIGN_ON)
    try:
        while _serve_one(console, desk, till):
            till.repeat_pending()
    except (KeyboardInterrupt, EOFError):
        console.print()
    _tell(console, desk, till, NetworkCode.SIGN_OFF)
    console.print(Phrase.FAREWELL.say(desk.lang), style="bold")


def _tell(console: Console, desk: Desk, till: Till, code: NetworkCode) -> None:
    try:
        answer = till.network(code)
    except LinkError as error:
        console.print(error.text(desk.lang), style="yellow", markup=False)
        return
    if not answer.outcome.approved:
        show_not_sent(console, NotSent(answer.outcome), till.terminal.parameters, desk.lang)
    elif code is NetworkCode.SIGN_ON:
        if answer.key_due:
            renew_key(console, desk, till)
        renew_rules(console, desk, till, answer.rules_mark)


def _serve_one(console: Console, desk: Desk, till: Till) -> bool:
    """Serve one card; whether to go on. What goes wrong is told, and the next card is served."""
    console.print(Panel(Phrase.PRESENT.say(desk.lang).upper(), style="bold"))
    try:
        reader = _await_card(desk)
        with present_card(desk, till, reader) as card:
            _serve_card(console, desk, till, card)
            renew_passport(console, desk, till, card)
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


def _serve_card(console: Console, desk: Desk, till: Till, card: Presented) -> None:
    """Show the rights and what is reserved, then do what the cashier enters until it is nothing."""
    parameters = till.terminal.parameters
    while True:
        asked = till.rights(card)
        show_rights(console, asked, parameters, card.identity.number, desk.lang)
        card_id = card.identity.card_id
        reserved = show_reservations(console, till, now_ms(), desk.lang, card_id=card_id)
        begun = show_visits(console, till, now_ms(), desk.lang, card_id=card_id)
        if not asked.rights and not reserved and not begun:
            return
        if not _do_something(console, desk, till, card, asked.rights):
            return


def _do_something(
    console: Console, desk: Desk, till: Till, card: Presented, rights: tuple[Right, ...]
) -> bool:
    """Do what the cashier enters; whether it was anything. A mistake is told and may be mended.

    The tables above stay as they are meanwhile.
    """
    console.print(Phrase.RING_UP.say(desk.lang), markup=False, highlight=False)
    console.print(Phrase.OR_ELSE.say(desk.lang), style="dim", markup=False, highlight=False)
    if any(service.visit for service in till.terminal.parameters.services):
        console.print(Phrase.OR_VISIT.say(desk.lang), style="dim", markup=False, highlight=False)
    while words := input("> ").split():
        try:
            _do(console, desk, till, card, words, rights)
        except LinkError:
            raise
        except TerminalError as error:
            console.print(error.text(desk.lang), style="bold red", markup=False)
        else:
            return True
    return False


def _do(
    console: Console,
    desk: Desk,
    till: Till,
    card: Presented,
    words: list[str],
    rights: tuple[Right, ...],
) -> None:
    """Do what the cashier entered: a verb with its words, or a sale."""
    verb = verb_in(words[0])
    if verb in _RUNG_UP:
        kind = _RUNG_UP[verb]
        lines = parse_order(words if verb is None else words[1:], till.terminal.parameters)
        service = _which_service(desk, rights, till, lines, kind)
        wanted = RungUp(service=service, lines=lines, kind=kind)
        _sell(console, desk, till, card, wanted, rights)
        return
    if verb is Verb.FINISH:
        number = till.numbered(words[1]) if len(words) > 1 and is_number(words[1]) else None
        result = finish(till, card, number, words[1 if number is None else 2 :])
        show_result(console, desk, till, result, card.identity.number)
        return
    if len(words) == 1:
        word = words[0]
        ru, en = (Phrase.WHICH_NUMBER.say(language, word=word) for language in ("ru", "en"))
        raise OrderError(ru, en)
    key, rest = till.numbered(words[1]), words[2:]
    match verb:
        case Verb.COMPLETE:
            result = till.complete(key, rest)
        case Verb.RETURN:
            result = till.give_back(card, key, rest)
        case Verb.REVERSE:
            result = till.reverse(key)
        case _:
            raise AssertionError(f"{verb} was done above")
    show_result(console, desk, till, result, card.identity.number)


def _which_service(
    desk: Desk, rights: Sequence[Right], till: Till, lines: Sequence[Line], kind: Kind
) -> str:
    """Return the one service of the rights to these lines, or the one that the cashier names.

    Only those are asked for that are given this way, if there are any.
    """
    parameters = till.terminal.parameters
    classes = {item_class_of(line.item, parameters) for line in lines}
    fitting = [right for right in rights if right.item_class in classes] or rights
    services = list(dict.fromkeys(right.service for right in fitting))
    able = {one.service for one in parameters.services if is_given_so(kind, one)}
    services = [one for one in services if one in able] or services
    if len(services) == 1:
        return services[0]
    listed = ", ".join(services)
    named = input(f"{Phrase.WHICH_SERVICE.say(desk.lang, services=listed)}\n> ").strip()
    return known_service(named, till.terminal.parameters).service


def _sell(
    console: Console,
    desk: Desk,
    till: Till,
    card: Presented,
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
        chosen = msgspec.structs.replace(wanted, holder=named)
        result = ring_up_patiently(desk, till, card, chosen, console.print, rights)
    if isinstance(result, NotSent):
        show_not_sent(console, result, till.terminal.parameters, desk.lang)
    else:
        show_result(console, desk, till, result, card.identity.number)
