"""The MAC keys of terminals, derived by the key service when a terminal first speaks."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from processing.kernel.turns import Turns
from processing.terminals.store import TerminalStore
from processing.wire.iso8583.mac import Mac

KEYS_CACHED_MAX: Final = 20_000
"""Most terminal keys kept in memory, the longest unused leaving first."""

GENERATIONS: Final = 256
"""Generations of a terminal's key; after the last comes the first again."""

KEY_KNOWN_MAX_MS: Final = 60_000
"""How long a key is used before the terminal's row is read again: a key that was replaced or
taken away is good for no longer. In the worker that heard the new key first the old one ends at
once; this is how long the two overlap in the others."""

LOOKUPS_AT_ONCE_MAX: Final = 2
"""Most terminals that are looked up at a time: anybody may name any terminal."""

LOOKUPS_WAITING_MAX: Final = 1_024
"""Most terminals that wait to be looked up; the next is told to try later."""


_KEY_KNOWN_NS: Final = KEY_KNOWN_MAX_MS * 1_000_000
_UNKNOWN: Final[tuple[Mac | None, int]] = (None, 0)


class KeyDeriver(Protocol):
    """The part of the key service's client that terminals need."""

    async def derive_terminal_key(self, terminal_id: str, key_id: int, master: int) -> bytes:
        """Return the AES-CMAC key of one terminal in one generation, from one of the master's."""


class TerminalKeys:
    """Keys by terminal and generation (DE53).

    Only the generation that the terminal's row names has a key, and the one that was handed out as
    its next. The first authentic message under that one (`proven`) ends the other; until then it
    is not kept here, so that each such message is looked up. Whether the terminal may be served is
    for the rules to say, not for this cache.
    """

    def __init__(
        self,
        store: TerminalStore,
        deriver: KeyDeriver,
        keys_max: int = KEYS_CACHED_MAX,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._store = store
        self._deriver = deriver
        self._keys_max = keys_max
        self._monotonic_ns = monotonic_ns
        # With the time at which each was learned.
        self._macs: OrderedDict[tuple[str, int], tuple[Mac, int]] = OrderedDict()
        self._lookups = Turns(LOOKUPS_AT_ONCE_MAX, LOOKUPS_WAITING_MAX)

    def known(self, terminal_id: str, key_id: int) -> Mac | None:
        """Return a key that was learned not too long ago, without asking anybody."""
        place = terminal_id, key_id
        mac, learned_ns = self._macs.get(place, _UNKNOWN)
        if self._monotonic_ns() - learned_ns > _KEY_KNOWN_NS:
            return None
        if mac is not None:
            self._macs.move_to_end(place)
        return mac

    async def mac(self, terminal_id: str, key_id: int) -> Mac | None:
        """Look up the key; None for a terminal or generation that is not registered.

        Raises the errors of the database and of the key service.
        """
        async with self._lookups:
            if (known := self.known(terminal_id, key_id)) is not None:
                # An earlier message of the same terminal was before in the queue.
                return known
            terminal = await self._store.terminal(terminal_id)
        if terminal is None or key_id not in (
            terminal.key_generation,
            terminal.next_key_generation,
        ):
            self._macs.pop((terminal_id, key_id), None)
            return None
        following = key_id == terminal.next_key_generation
        master = terminal.next_master_generation if following else terminal.master_generation
        derived = self._deriver.derive_terminal_key(terminal_id, key_id, master or 0)
        mac = Mac(await derived)
        if following:
            return mac
        self._macs[terminal_id, key_id] = mac, self._monotonic_ns()
        if len(self._macs) > self._keys_max:
            self._macs.popitem(last=False)
        return mac

    async def proven(self, terminal_id: str, key_id: int) -> None:
        """Take note that a message under this key was authentic: a key handed out is now in use.

        Nothing is to be done for a key that is at hand. Raises the errors of the database.
        """
        if (terminal_id, key_id) in self._macs:
            return
        if await self._store.take_key(terminal_id, key_id):
            self._macs.pop((terminal_id, (key_id - 1) % GENERATIONS), None)
