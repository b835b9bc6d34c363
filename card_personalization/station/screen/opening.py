"""`spk station` without another word: the screen, over the readers that are connected."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.errors import CardFault, TransportError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.softcard.drawer import Drawer, DrawerError, KeptCard
from card_personalization.chip.transport.inprocess import InProcessTransport
from card_personalization.chip.transport.pcsc import list_readers
from card_personalization.station.equipment import station_folder
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.line import READERS_MAX
from card_personalization.station.ports import PcscPort, ReaderPort
from card_personalization.station.screen.app import StationScreen
from card_personalization.station.screen.line_desk import LineDesk
from card_personalization.station.workshop import WorkshopSettings, open_workshop


class DrawerPort:
    """A reader for a trial without readers: blank software cards of a drawer, one after another.

    The card that lies on top is put in; it goes back into the drawer when it is taken out.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._drawer = Drawer(folder)
        self._waiting: list[str] = list(self._drawer.names())
        self._current: KeptCard | None = None

    def wait_for_card(self, _timeout_ms: int) -> bool:
        """Whether another card was in the drawer when it was opened."""
        if self._current is None and self._waiting:
            try:
                self._current = self._drawer.take(self._waiting.pop(0))
            except DrawerError:
                return False
        return self._current is not None

    def wait_for_removal(self, _timeout_ms: int) -> bool:
        """Lay the card back."""
        self.close()
        return True

    @contextmanager
    def card(self) -> Iterator[PivClient]:
        """A client of the card, powered for so long."""
        if self._current is None:
            raise TransportError(CardFault.NO_CARD, reader=self.name)
        yield PivClient(open_channel(InProcessTransport(self._current, self.name)))

    def close(self) -> None:
        """Lay back what is out."""
        if self._current is not None:
            self._current.put_back()
            self._current = None


def show_screen(
    readers: Sequence[str], drawer: Path | None, officer: str, settings: WorkshopSettings
) -> None:
    """Show the screen until the officer leaves it. StationError, CardError, HsmError."""
    if settings.printer is None and settings.mailers is None and not settings.transport_pin:
        raise StationError(
            StationFault.CHOICE,
            ru="ПИН-конверты нельзя показать на этом экране: укажите --printer или --mailers, "
            "или --transport-pin",
            en="PIN mailers cannot be shown on this screen: give --printer, --mailers "
            "or --transport-pin",
        )
    if not settings.phone.strip():
        raise StationError(
            StationFault.CHOICE,
            ru="Укажите телефон для утерянных карт, он печатается на карте и в конверте: --phone",
            en="Give the telephone for lost cards, as card and mailer print it: --phone",
        )
    ports = _ports(readers, drawer)
    with open_workshop(settings, os.environ) as workshop:
        if workshop.centre is None:
            raise StationError(
                StationFault.CHOICE,
                ru="Партия из файла пишется без экрана: spk station run",
                en="A batch from a file is written without the screen: spk station run",
            )
        folder = station_folder(settings.folder, os.environ)
        desk = LineDesk(
            workshop.centre.station,
            workshop.station,
            ports,
            workshop.centre,
            folder,
            settings.phone,
            officer,
            settings.photos,
        )
        desk.line.start()
        try:
            StationScreen(desk, settings.lang).run()
        finally:
            desk.shut()


def _ports(readers: Sequence[str], drawer: Path | None) -> list[ReaderPort]:
    if drawer is not None:
        return [DrawerPort(str(drawer), drawer)]
    names = readers or list_readers()
    if not 1 <= len(names) <= READERS_MAX:
        raise StationError(
            StationFault.CHOICE,
            ru=f"Считывателей подключено {len(names)}, нужно от 1 до {READERS_MAX}",
            en=f"{len(names)} readers are connected, 1 to {READERS_MAX} are needed",
        )
    return [PcscPort(name) for name in names]
