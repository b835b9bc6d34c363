"""Network messages (0800): a terminal signs on or off, ends its day, asks for its next MAC key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from hsm_stub.client.commands import PublicKeys
from hsm_stub.client.errors import HsmError
from processing.kernel.clock import Clock
from processing.terminals.model import TerminalState
from processing.terminals.rules import RulesMarks
from processing.terminals.store import TerminalStore
from processing.wire.iso8583.messages import Network, NetworkAnswer, NetworkCode, OfferedKey
from processing.wire.outcome import Outcome

TERMINAL_MASTER: Final = "terminal master"
"""What the key service calls the key that terminals' keys come from."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEEDS_ACTIVE: Final = frozenset({NetworkCode.SIGN_ON, NetworkCode.KEY_CHANGE})
"""What a blocked terminal is refused; the others do nothing for it and tell it nothing."""


class KeyWrapper(Protocol):
    """The part of the key service's client that a key change needs."""

    async def public_keys(self) -> PublicKeys:
        """Return which generation of the terminal master is active."""

    async def wrap_terminal_key(
        self, terminal_id: str, key_id: int, exchange_id: int, master: int, next_master: int
    ) -> bytes:
        """Return a terminal's MAC key wrapped under its exchange key."""


class TerminalNetwork:
    """Answers network messages. The store's pool acts as `spk_processing`."""

    def __init__(self, store: TerminalStore, wrapper: KeyWrapper, clock: Clock) -> None:
        self._store = store
        self._wrapper = wrapper
        self._clock = clock
        self._marks = RulesMarks(store, clock)

    async def answer(self, message: Network) -> NetworkAnswer:
        """Keep what the terminal said for the operator, and answer it.

        The answer's posting date is the day to which the centre posts what comes now; its mark of
        rules tells a terminal whether those that it has are still in force, and when it signs on it
        is told whether its key is due to be changed. Raises the
        errors of the database and of the key service: nothing is decided then, and asking again
        is safe.
        """
        now_ms = self._clock.utc_ms()
        heard_at = _EPOCH + timedelta(milliseconds=now_ms)
        state = await self._store.hear(message.terminal_id, message.code, heard_at)
        outcome, key = Outcome.APPROVED, None
        if state is TerminalState.BLOCKED and message.code in _NEEDS_ACTIVE:
            outcome = Outcome.TERMINAL_BLOCKED
        elif message.code is NetworkCode.KEY_CHANGE:
            key = await self._next_key(message.terminal_id)
            outcome = Outcome.APPROVED if key is not None else Outcome.TERMINAL_BLOCKED
        return NetworkAnswer(
            outcome=outcome,
            centre_time_ms=now_ms,
            posting_date=self._clock.local_date(now_ms),
            key=key,
            rules_mark=await self._marks.of(message.terminal_id) if outcome.approved else "",
            key_due=message.code is NetworkCode.SIGN_ON
            and outcome.approved
            and await self._key_due(message.terminal_id),
        )

    async def _key_due(self, terminal_id: str) -> bool:
        """Whether the terminal's keys come from another generation of the master than is active."""
        terminal = await self._store.terminal(terminal_id)
        try:
            active = (await self._wrapper.public_keys()).active_generation(TERMINAL_MASTER)
        except HsmError:
            # Another sign-on will tell; this one needs no key.
            return False
        return terminal is not None and terminal.master_generation != active

    async def _next_key(self, terminal_id: str) -> OfferedKey | None:
        active = (await self._wrapper.public_keys()).active_generation(TERMINAL_MASTER)
        offer = await self._store.offer_key(terminal_id, active)
        if offer is None:
            return None
        wrapped = await self._wrapper.wrap_terminal_key(
            terminal_id,
            offer.key_generation,
            offer.exchange_generation,
            offer.master_generation,
            offer.next_master_generation,
        )
        return OfferedKey(generation=offer.key_generation, wrapped=wrapped)
