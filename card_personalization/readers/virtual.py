"""Virtual readers with software cards in them, for tests, the demo and `spk reader start`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from card_personalization.chip.errors import CardError
from card_personalization.chip.softcard.delays import DelayedCard, Delays
from card_personalization.chip.softcard.drawer import Drawer, KeptCard
from card_personalization.chip.softcard.session import Interface
from card_personalization.chip.transport.inprocess import ApduCard
from card_personalization.chip.transport.pcsc import PcscContext
from card_personalization.chip.transport.vpcd_plug import VpcdPlug
from card_personalization.readers.pcscd import Pcscd, ReadersError, Scope, start_pcscd

SEEN_TIMEOUT_MS: Final = 5_000


class VirtualReaders:
    """Readers of a running pcscd. Safe to use from several threads."""

    def __init__(self, daemon: Pcscd, drawer: Drawer | None) -> None:
        self._daemon = daemon
        self._drawer = drawer
        self._ports = {reader.name: reader.port for reader in daemon.readers}
        self._plugs: dict[str, VpcdPlug] = {}
        self._kept: dict[str, KeptCard] = {}
        self._lock = threading.RLock()

    @property
    def names(self) -> tuple[str, ...]:
        """The readers' PC/SC names, in order."""
        return tuple(self._ports)

    @property
    def environment(self) -> dict[str, str]:
        """What the environment of another program needs to find these readers."""
        return self._daemon.environment

    @property
    def folder(self) -> Path:
        """A folder of this run, removed at its end."""
        return self._daemon.folder

    @property
    def daemon_runs(self) -> bool:
        """Whether pcscd still runs."""
        return self._daemon.running

    def cards(self) -> dict[str, str | None]:
        """Each reader with the name of the drawer's card in it; None when empty.

        A card that is not from the drawer shows as "?".
        """
        with self._lock:
            return {
                name: self._kept[name].name if name in self._kept else self._stranger(name)
                for name in self._ports
            }

    def _stranger(self, reader: str) -> str | None:
        return "?" if reader in self._plugs else None

    def insert(
        self,
        card_name: str,
        reader: str | None = None,
        interface: Interface = Interface.CONTACT,
        delays: Delays | None = None,
    ) -> str:
        """Put a card of the drawer in a reader (None: the first empty one); the reader's name.

        With `delays` it answers as late as they say.
        DrawerError about the card, ReadersError about the reader.
        """
        if self._drawer is None:
            raise ReadersError("these virtual readers were started without a drawer of cards")
        with self._lock:
            name = self._empty_reader(reader)
            kept = self._drawer.take(card_name, interface)
            try:
                self._plug(kept if delays is None else DelayedCard(kept, delays), name)
            except BaseException:
                kept.put_back()
                raise
            self._kept[name] = kept
            return name

    def insert_card(self, card: ApduCard, reader: str | None = None) -> str:
        """Put a card that is in no drawer in a reader (None: the first empty one)."""
        with self._lock:
            name = self._empty_reader(reader)
            self._plug(card, name)
            return name

    def _empty_reader(self, wanted: str | None) -> str:
        empty = [name for name in self._ports if name not in self._plugs]
        if wanted is None:
            if not empty:
                raise ReadersError("every virtual reader holds a card: remove one first")
            return empty[0]
        if wanted not in self._ports:
            raise ReadersError(f"no virtual reader {wanted!r}; there are: {', '.join(self._ports)}")
        if wanted not in empty:
            raise ReadersError(f"the reader {wanted!r} holds a card: remove it first")
        return wanted

    def _plug(self, card: ApduCard, reader: str) -> None:
        """Insert and wait until pcscd shows the card, so that any client finds it at once."""
        plug = VpcdPlug(card, self._ports[reader])
        plug.insert()
        try:
            with PcscContext() as context:
                context.wait_for_card(reader, SEEN_TIMEOUT_MS)
        except CardError as error:
            plug.remove()
            raise ReadersError(
                f"pcscd does not show the card in {reader!r}: {error}; its last words:\n"
                f"{self._daemon.log_tail()}"
            ) from None
        self._plugs[reader] = plug

    def remove(self, reader: str) -> None:
        """Take the card out of a reader, and wait until pcscd saw it. ReadersError if empty."""
        with self._lock:
            plug = self._plugs.pop(reader, None)
            if plug is None:
                raise ReadersError(f"there is no card in the reader {reader!r}")
            plug.remove()
            kept = self._kept.pop(reader, None)
            if kept is not None:
                kept.put_back()
            # pcscd looks every 0.4 s; a card put in before that would seem never to have left.
            with contextlib.suppress(CardError), PcscContext() as context:
                context.wait_for_removal(reader, SEEN_TIMEOUT_MS)

    def empty_all(self) -> None:
        """Take every card out."""
        with self._lock:
            for reader in list(self._plugs):
                self.remove(reader)

    def let_go(self) -> None:
        """Take every card out at the end of the readers, when nobody looks any more."""
        with self._lock:
            for plug in self._plugs.values():
                plug.remove()
            for kept in self._kept.values():
                kept.put_back()
            self._plugs.clear()
            self._kept.clear()


@contextmanager
def virtual_readers(
    count: int, drawer: Drawer | None = None, scope: Scope = Scope.PRIVATE
) -> Iterator[VirtualReaders]:
    """Run pcscd with `count` virtual readers for the length of a `with` block.

    In the private scope this process's environment is made to name the socket, so PC/SC here and
    in programs started from here sees these readers; libpcsclite reads that once per process, so
    nothing in it may have used PC/SC before. ReadersError as `start_pcscd` says.
    """
    daemon = start_pcscd(count, scope)
    before = {name: os.environ.get(name) for name in daemon.environment}
    os.environ.update(daemon.environment)
    readers = VirtualReaders(daemon, drawer)
    try:
        yield readers
    finally:
        readers.let_go()
        daemon.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
