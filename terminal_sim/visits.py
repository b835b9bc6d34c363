"""Visits: one tap when the service begins, another, over the centre's number, when it ends.

The centre answers a start with a challenge, which the card signs at the finish: so nobody can have
both taps at once. A finish tells what happened, so it is on the disk as an advice before anything
is sent, and goes out again until the centre has it, however late. A start without the centre has
no challenge; its finish is recorded, and settlement looks at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from processing.wire.transaction import Kind, Line, TransactionKey
from terminal_sim.card import Presented
from terminal_sim.errors import TerminalError
from terminal_sim.link import LinkError
from terminal_sim.order import OrderError
from terminal_sim.parent_lines import chosen
from terminal_sim.results import Result
from terminal_sim.state import Asked, Entry, EntryState, TerminalState, holds, quoted
from terminal_sim.till import Till, no_pin

MINUTES_OKEI: Final = 355
MINUTE_MS: Final = 60_000


def open_visits(state: TerminalState, card_id: bytes = b"") -> list[Entry]:
    """Return the visits that began here and were not finished, of one card or of all."""
    begun = state.open_holds(Kind.VISIT_START)
    return [entry for entry in begun if card_id in (b"", entry.request.card_id)]


def finish(
    till: Till,
    card: Presented,
    key: TransactionKey | None,
    words: Sequence[str],
    *,
    offline: bool = False,
) -> Result:
    """End a visit with the card: the one that it began, unless `key` names another.

    Without words all is charged that the visit held, of minutes no more than passed. Raises
    `TerminalError` when there is no such visit, `OrderError` for more than it held or lasted.
    """
    state, now_ms = till.store.state, till.now_ms()
    entry = _only_visit(state, card.identity.card_id) if key is None else till.known(key)
    _check_begun(entry, state)
    begun = entry.request
    lines = _charged(begun.lines, words, begun.signed_at_ms, now_ms, till)
    challenge = bytes.fromhex(entry.answer.facts.get("challenge", "")) if entry.answer else b""
    # Without a challenge it proves nothing to the centre, which records it all the same.
    offline = offline or not challenge
    unsigned = till.terminal.visit_finish(
        card.identity, begun, challenge, lines, now_ms, offline=offline
    )
    request = till.signed(unsigned, card, no_pin)
    till.store.write(Asked(msgspec.structs.replace(request, advice=True)))
    if offline:
        return Result(request=request, offline=True, parent=begun)
    result = till.obtain(request)
    away = not result.decided and isinstance(result.fault, LinkError)
    return msgspec.structs.replace(result, offline=away, parent=begun)


def _only_visit(state: TerminalState, card_id: bytes) -> Entry:
    """Return the one visit that this card has open here. Raises `TerminalError`."""
    found = open_visits(state, card_id)
    if len(found) == 1:
        return found[0]
    if not found:
        raise TerminalError(
            "По этой карте здесь не начато ни одного посещения. Начатое на другом терминале "
            "заканчивают там же",
            "no visit was begun here with this card. One begun at another terminal is finished "
            "there",
        )
    listed = ", ".join(quoted(entry.request.key) for entry in found)
    raise TerminalError(
        f"По этой карте начато несколько посещений: {listed}. Назовите номер",
        f"several visits were begun with this card: {listed}. Name one",
    )


def _check_begun(entry: Entry, state: TerminalState) -> None:
    """Raise `TerminalError` unless this is a visit that waits for its end."""
    request, answer, number = entry.request, entry.answer, quoted(entry.request.key)
    if request.kind is not Kind.VISIT_START:
        raise TerminalError(f"Операция {number} — не начало посещения", f"{number} began no visit")
    children = state.children(request.key)
    if any(one.request.kind is Kind.VISIT_FINISH for one in children):
        raise TerminalError(f"Посещение {number} уже закончено", f"{number} was finished already")
    if children:
        raise TerminalError(f"Посещение {number} отменено", f"{number} was reversed")
    if entry.state is not EntryState.DECIDED and not request.advice:
        raise TerminalError(
            f"Центр ещё не подтвердил начало {number}: повторите запрос (spk terminal pending)",
            f"the centre has not confirmed the start {number} yet: ask again (spk terminal "
            "pending)",
        )
    if answer is not None and answer.outcome.decided and not holds(answer):
        raise TerminalError(
            f"В начале {number} отказано: заканчивать нечего", f"{number} was declined"
        )


def _charged(
    held: tuple[Line, ...], words: Sequence[str], began_ms: int, now_ms: int, till: Till
) -> tuple[Line, ...]:
    """Return the lines to charge. Raises `OrderError` for more minutes than passed."""
    passed = max(0, -(-(now_ms - began_ms) // MINUTE_MS))
    if not words:
        return chosen((), lasted(held, passed), till.terminal.parameters)
    lines = chosen(words, held, till.terminal.parameters)
    asked = sum(line.quantity for line in lines if _in_minutes(line))
    if asked > passed:
        raise OrderError(
            f"С начала прошло {passed} мин, а указано {asked}: столько времени не прошло",
            f"{passed} min passed since the start, {asked} are claimed",
        )
    return lines


def lasted(held: tuple[Line, ...], passed_minutes: int) -> tuple[Line, ...]:
    """Return the lines with no more minutes in all than passed, from the first line on.

    The price falls in proportion, half-up; lines that count something else stay whole. A begun
    minute counts, as it does at the centre.
    """
    left, lines = passed_minutes, []
    for line in held:
        minutes = min(line.quantity, left) if _in_minutes(line) else line.quantity
        left -= minutes if _in_minutes(line) else 0
        gross = (line.gross_kopecks * minutes * 2 + line.quantity) // (line.quantity * 2)
        lines.append(msgspec.structs.replace(line, quantity=minutes, gross_kopecks=gross))
    if not any(line.quantity for line in lines):
        raise OrderError(
            "Посещение только что началось: отметьте окончание, когда услуга оказана",
            "the visit has just begun: finish it when the service was given",
        )
    return tuple(lines)


def _in_minutes(line: Line) -> bool:
    return line.unit_okei == MINUTES_OKEI and line.scale == 0
