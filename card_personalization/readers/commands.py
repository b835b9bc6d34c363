"""`spk reader`: virtual card readers with software cards, over a real pcscd."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import cyclopts
from rich.console import Console
from rich.table import Table

from card_personalization.chip.errors import CardError
from card_personalization.chip.softcard.delays import Delays
from card_personalization.chip.softcard.drawer import Drawer, DrawerError
from card_personalization.chip.softcard.session import Interface
from card_personalization.chip.softcard.state import Profile, factory_state
from card_personalization.chip.transport.pcsc import list_readers
from card_personalization.readers.control import (
    Answer,
    ControlServer,
    InsertCard,
    ListReaders,
    RemoveCard,
    ask,
)
from card_personalization.readers.pcscd import (
    READERS_MAX,
    ReadersError,
    Scope,
    system_pcscd_runs,
)
from card_personalization.readers.virtual import VirtualReaders, virtual_readers

app = cyclopts.App(name="reader", help="Virtual card readers with software cards in them.")

DrawerFolder = Annotated[
    Path,
    cyclopts.Parameter(
        name="--drawer", env_var="SPK_DRAWER", help="Folder that keeps the software cards."
    ),
]
_DEFAULT_DRAWER = Path("drawer")


@contextmanager
def _told() -> Iterator[None]:
    """Turn a foreseen failure into one line and exit status 1."""
    try:
        yield
    except (CardError, DrawerError, ReadersError) as error:
        Console(stderr=True).print(f"[bold red]✗[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


def _show(cards: dict[str, str | None]) -> None:
    table = Table("reader", "card")
    for reader, card in cards.items():
        table.add_row(reader, card or "—")
    Console().print(table)


def _show_answer(answer: Answer) -> None:
    if answer.refusal is not None:
        raise ReadersError(answer.refusal)
    _show(answer.cards)


def _fitting_scope() -> Scope:
    """The whole machine where that is possible, so that other programs need no settings."""
    free = os.name == "posix" and os.geteuid() == 0 and not system_pcscd_runs()
    return Scope.SYSTEM if free else Scope.PRIVATE


@app.command
def start(
    *cards: str,
    readers: int = 2,
    scope: Scope | None = None,
    contactless: bool = False,
    slow: bool = False,
    drawer: DrawerFolder = _DEFAULT_DRAWER,
) -> None:
    """Run pcscd with virtual readers until Ctrl-C.

    Args:
        cards: Cards of the drawer to put in, in the readers' order.
        readers: How many readers, 1 to 16.
        scope: "system": all programs see them (root, no other pcscd); "private": those told the
            socket. By default "system" where possible.
        contactless: Whether these cards lie as on a contactless reader.
        slow: Whether these cards answer as late as bought ones: 20 ms, with a private key 220 ms.
        drawer: Folder that keeps the software cards.
    """
    with _told():
        if not 1 <= readers <= READERS_MAX:
            raise ReadersError(f"pcscd takes 1 to {READERS_MAX} readers, not {readers}")
        interface = Interface.CONTACTLESS if contactless else Interface.CONTACT
        delays = Delays() if slow else None
        chosen = scope or _fitting_scope()
        with virtual_readers(readers, Drawer(drawer), chosen) as running:
            for card in cards:
                running.insert(card, interface=interface, delays=delays)
            wait = _Interruption(running)
            with ControlServer(running, drawer, running.folder / "control.sock"):
                _announce(running)
                wait()


def _announce(running: VirtualReaders) -> None:
    _show(running.cards())
    for name, value in running.environment.items():
        print(f"export {name}={value}")
    print("Readers run until Ctrl-C.", flush=True)


class _Interruption:
    """Waits for Ctrl-C, a request to end, or the end of pcscd itself."""

    def __init__(self, running: VirtualReaders) -> None:
        self._running = running
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self._asked.set()

    def __call__(self) -> None:
        while not self._asked.wait(1.0):
            if not self._running.daemon_runs:
                raise ReadersError("pcscd ended by itself; start the readers again")


@app.command(name="list")
def list_(*, drawer: DrawerFolder = _DEFAULT_DRAWER) -> None:
    """Show the virtual readers over a drawer and their cards, or else all PC/SC readers."""
    with _told():
        try:
            _show_answer(ask(drawer, ListReaders()))
        except ReadersError as none_virtual:
            names = list_readers()
            if not names:
                raise none_virtual from None
            for name in names:
                print(name)


@app.command
def insert(
    card: str,
    *,
    reader: str | None = None,
    contactless: bool = False,
    drawer: DrawerFolder = _DEFAULT_DRAWER,
) -> None:
    """Put a card of the drawer in a virtual reader (by default the first empty one)."""
    interface = Interface.CONTACTLESS if contactless else Interface.CONTACT
    with _told():
        _show_answer(ask(drawer, InsertCard(card, reader, interface)))


@app.command
def remove(reader: str, *, drawer: DrawerFolder = _DEFAULT_DRAWER) -> None:
    """Take the card out of a virtual reader."""
    with _told():
        _show_answer(ask(drawer, RemoveCard(reader)))


@app.command
def blank(
    *names: str, profile: Profile = Profile.YUBICO, drawer: DrawerFolder = _DEFAULT_DRAWER
) -> None:
    """Lay new software cards in the drawer, as from the factory (docs/card-families.md)."""
    with _told():
        if not names:
            raise DrawerError("name at least one card, such as: spk reader blank card-1")
        for name in names:
            Drawer(drawer).add(name, factory_state(profile))
        print(f"{drawer}: {', '.join(Drawer(drawer).names())}")
