"""What may still follow a transaction of this terminal: a completion, a return."""

from __future__ import annotations

from processing.wire.transaction import Kind, Line
from terminal_sim.errors import TerminalError
from terminal_sim.parent_lines import less
from terminal_sim.state import Entry, EntryState, TerminalState, given, holds, quoted


def check_open(entry: Entry, state: TerminalState) -> None:
    """Raise `TerminalError` unless this reservation waits to be completed."""
    request, answer = entry.request, entry.answer
    number = quoted(request.key)
    if request.kind is not Kind.RESERVE:
        raise TerminalError(
            f"Операция {number} — не отложенный товар", f"{number} is no reservation"
        )
    if any(one.request.kind is Kind.COMPLETION for one in state.children(request.key)):
        raise TerminalError(f"Резерв {number} уже выдан", f"{number} was completed already")
    if state.children(request.key):
        raise TerminalError(f"Резерв {number} отменён", f"{number} was reversed")
    if entry.state is not EntryState.DECIDED and not request.advice:
        raise TerminalError(
            f"По резерву {number} ещё нет решения: повторите запрос (spk terminal pending)",
            f"{number} is not decided yet: ask again (spk terminal pending)",
        )
    if answer is not None and answer.outcome.decided and not holds(answer):
        raise TerminalError(
            f"В резерве {number} отказано: выдавать нечего", f"{number} was declined"
        )


def unreturned(entry: Entry, state: TerminalState) -> tuple[Line, ...]:
    """Return what was sold and not brought back. Raises `TerminalError` for what is no sale."""
    request, answer = entry.request, entry.answer
    number = quoted(request.key)
    if request.kind not in (Kind.SALE, Kind.COMPLETION):
        raise TerminalError(f"Операция {number} — не продажа", f"{number} is no sale")
    if answer is None or not given(answer.outcome):
        raise TerminalError(
            f"По операции {number} товар не отпускался или решения ещё нет",
            f"nothing was given under {number}, or it is not decided yet",
        )
    children = state.children(request.key)
    if any(one.request.kind is Kind.REVERSAL for one in children):
        raise TerminalError(f"Операция {number} отменена", f"{number} was reversed")
    standing = [one for one in children if not state.children(one.request.key)]
    return less(request.lines, [one.request.lines for one in standing])
