"""Terminals when the centre has several databases: each has every terminal, home decides.

A terminal is looked up at home, or where a database answers while home is away. A change is made
at home first and then in the others; one that is away meanwhile is brought up by `spk db spread`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import TypeVar

from processing.kernel.errors import DatabaseError, DatabaseUnavailableError
from processing.kernel.target_pools import TargetPools
from processing.terminals.model import KeyOffer, Offer, Terminal, TerminalState
from processing.terminals.store import TerminalStore

_T = TypeVar("_T")


class CopiedTerminals(TerminalStore):
    """The store of a centre with several databases."""

    def __init__(self, targets: TargetPools) -> None:
        super().__init__(targets.home)
        self._home = TerminalStore(targets.home)
        self._copies = {n: TerminalStore(pool) for n, pool in targets.elsewhere.items()}

    async def terminal(self, terminal_id: str) -> Terminal | None:
        """As `TerminalStore.terminal`, also while home is away."""
        return await self._first_answer(lambda store: store.terminal(terminal_id))

    async def offer(self, terminal_id: str, on: date) -> Offer:
        """As `TerminalStore.offer`, also while home is away."""
        return await self._first_answer(lambda store: store.offer(terminal_id, on))

    async def hear(self, terminal_id: str, code: int, heard_at: datetime) -> TerminalState | None:
        """As `TerminalStore.hear`, also while home is away."""
        return await self._first_answer(lambda store: store.hear(terminal_id, code, heard_at))

    async def set_state(self, terminal_id: str, state: TerminalState) -> bool:
        """Block or unblock a terminal everywhere; False when there is none with this id.

        Raises `DatabaseUnavailableError` naming the targets that could not be told; again is
        harmless.
        """
        found, away = True, []
        for number, store in ((1, self._home), *self._copies.items()):
            try:
                found = await store.set_state(terminal_id, state) and found
            except DatabaseError:
                away.append(str(number))
        if away:
            raise DatabaseUnavailableError(
                f"targets {', '.join(away)} are away and do not know it: terminal {terminal_id} is "
                f"{state.name.lower()} in the others; say it again when they are back"
            )
        return found

    async def offer_key(self, terminal_id: str, master_generation: int) -> KeyOffer | None:
        """As `TerminalStore.offer_key`."""
        offered = await self._home.offer_key(terminal_id, master_generation)
        await self._tell_copies(lambda store: store.offer_key(terminal_id, master_generation))
        return offered

    async def take_key(self, terminal_id: str, generation: int) -> bool:
        """As `TerminalStore.take_key`."""
        taken = await self._home.take_key(terminal_id, generation)
        await self._tell_copies(lambda store: store.take_key(terminal_id, generation))
        return taken

    async def renew_keys(self, terminal_id: str, master_generation: int) -> bool:
        """As `TerminalStore.renew_keys`; raises when any database cannot be told."""
        renewed = await self._home.renew_keys(terminal_id, master_generation)
        for store in self._copies.values():
            await store.renew_keys(terminal_id, master_generation)
        return renewed

    async def let_write_passports(self, terminal_id: str, *, may: bool) -> bool:
        """As `TerminalStore.let_write_passports`; raises when any database cannot be told."""
        found = await self._home.let_write_passports(terminal_id, may=may)
        for store in self._copies.values():
            await store.let_write_passports(terminal_id, may=may)
        return found

    async def _first_answer(self, ask: Callable[[TerminalStore], Awaitable[_T]]) -> _T:
        """Ask home, and the others in turn while who was asked is away."""
        try:
            return await ask(self._home)
        except DatabaseError as error:
            fault = error
        for store in self._copies.values():
            try:
                return await ask(store)
            except DatabaseError:
                continue
        raise fault

    async def _tell_copies(self, tell: Callable[[TerminalStore], Awaitable[object]]) -> None:
        """Do in the others what was done at home; what one misses, `spk db spread` brings it."""
        for store in self._copies.values():
            try:
                await tell(store)
            except DatabaseError:
                continue


def terminal_store(targets: TargetPools) -> TerminalStore:
    """Return the store that fits the number of databases."""
    return TerminalStore(targets.home) if len(targets) == 1 else CopiedTerminals(targets)
