"""What a command of the station works with: the card at a reader or in a drawer, addresses."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Algorithm
from card_personalization.chip.profiles.family import FactoryKey
from card_personalization.station.faults import StationError, StationFault

DEFAULT_CENTRE: Final = "http://127.0.0.1:8580"
CARD_SUFFIX: Final = ".card"
KEY_FILE_BYTES_MAX: Final = 256
BLANKS_MAX: Final = 10_000
"""Most software cards made at once."""

_ALGORITHM_OF_LENGTH: Final = {
    algorithm.key_bytes: algorithm
    for algorithm in (Algorithm.AES_128, Algorithm.AES_192, Algorithm.AES_256)
}


@contextmanager
def card_at(reader: str | None, soft: Path | None) -> Iterator[PivClient]:
    """Give the card at a reader (None: the first), or a software card from its drawer file.

    Raises CardError, StationError.
    """
    if soft is not None and reader is not None:
        raise StationError(
            StationFault.CHOICE,
            ru="Укажите либо --reader, либо --soft",
            en="Give either --reader or --soft",
        )
    if soft is not None:
        with _drawn(soft) as client:
            yield client
        return
    # Drivers of readers are wanted only where a reader is.
    from card_personalization.chip.transport.pcsc import PcscContext

    with PcscContext() as context, context.connect(reader) as transport:
        yield PivClient(open_channel(transport))


@contextmanager
def _drawn(file: Path) -> Iterator[PivClient]:
    # A station with bought cards needs nothing that software cards need.
    from card_personalization.chip.softcard.drawer import Drawer, DrawerError
    from card_personalization.chip.transport.inprocess import InProcessTransport

    try:
        kept = Drawer(file.parent).take(file.name.removesuffix(CARD_SUFFIX))
    except DrawerError as error:
        raise StationError(StationFault.DRAWER, detail=str(error)) from None
    try:
        yield PivClient(open_channel(InProcessTransport(kept)))
    finally:
        kept.put_back()


def fill_drawer(folder: Path, count: int) -> tuple[Path, ...]:
    """Lay `count` blank software cards into a drawer, numbered on from those that lie there."""
    from card_personalization.chip.softcard.drawer import Drawer, DrawerError
    from card_personalization.chip.softcard.state import factory_state

    if not 1 <= count <= BLANKS_MAX:
        raise StationError(StationFault.DRAWER, detail=f"--count: 1–{BLANKS_MAX}")
    drawer = Drawer(folder)
    taken = set(drawer.names())
    free = (name for number in itertools.count(1) if (name := f"card-{number:04d}") not in taken)
    names = tuple(itertools.islice(free, count))
    try:
        for name in names:
            drawer.add(name, factory_state())
    except (DrawerError, OSError) as error:
        raise StationError(StationFault.DRAWER, detail=str(error)) from None
    return tuple(folder / f"{name}{CARD_SUFFIX}" for name in names)


def hsm_address(given: str | None, environ: Mapping[str, str]) -> str:
    """Return the key service's address: as given, SPK_HSM, or the socket in the home folder."""
    if address := given or environ.get("SPK_HSM", "").strip():
        return address
    return f"unix:{_home_folder(environ) / 'hsm.sock'}"


def station_folder(given: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the folder of this station's journal: as given, SPK_STATION, or in the home folder."""
    if given is not None:
        return given
    if named := environ.get("SPK_STATION", "").strip():
        return Path(named).expanduser().absolute()
    return _home_folder(environ) / "station"


def _home_folder(environ: Mapping[str, str]) -> Path:
    if home := environ.get("SPK_HOME", "").strip():
        return Path(home).expanduser().absolute()
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/spk")
    data_home = Path(environ.get("XDG_DATA_HOME", ""))
    folder = data_home if data_home.is_absolute() else Path.home() / ".local" / "share"
    return folder / "spk"


def read_factory_key(path: Path | None) -> FactoryKey | None:
    """Return the factory key of a lot from a file with its hexadecimal digits."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            key = bytes.fromhex(file.read(KEY_FILE_BYTES_MAX).decode("ascii"))
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    except ValueError:
        raise _unusable(path, "hex / шестнадцатеричные цифры") from None
    if len(key) not in _ALGORITHM_OF_LENGTH:
        raise _unusable(path, "AES: 16, 24, 32 bytes / байта")
    return FactoryKey(key, _ALGORITHM_OF_LENGTH[len(key)])


def _unusable(path: Path, detail: str) -> StationError:
    return StationError(StationFault.FILE_UNUSABLE, path=str(path), detail=detail)
