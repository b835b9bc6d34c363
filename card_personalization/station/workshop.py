"""All that a station at work needs, opened from an officer's settings and closed again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from card_personalization.chip.errors import Language
from card_personalization.chip.profiles.factory_list import (
    FactoryList,
    FactoryListError,
    parse_factory_list,
)
from card_personalization.station.card_keys import BatchKeys, CardKeys, ServiceKeys
from card_personalization.station.centre import CentreClient, read_token
from card_personalization.station.commands import Centre, Lang, TokenFile
from card_personalization.station.equipment import (
    DEFAULT_CENTRE,
    hsm_address,
    read_factory_key,
    station_folder,
)
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.issuing import HandOver, Station
from card_personalization.station.journal import Journal
from card_personalization.station.lot import Lot
from card_personalization.station.mailing import (
    MAILER_BOOK,
    MailerBook,
    MailerFile,
    MailerPrinter,
)
from card_personalization.station.orders import NoOrders, OrderList, OrderSource, orders_of_batch
from card_personalization.station.pin_letter import PinLetter
from hsm_stub.client.client import connect
from processing.wire.batch_file import Batch, BatchError, open_batch

CONTENT_KEYS_FILE = "content-public-keys.pem"
"""How `spk hsm export-public` calls what batches are signed with."""
BATCH_FILE_BYTES_MAX = 256 * 1024 * 1024
LIST_BYTES_MAX = 32 * 1024 * 1024
"""Longest list of a maker's keys."""

_PEM = re.compile(rb"-----BEGIN.*?END PUBLIC KEY-----", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class WorkshopSettings:
    """What an officer says of the station; the same options for every command that needs it.

    Attributes:
        hsm: Key service; default: SPK_HSM.
        bureau: A bureau's batch file in the place of a batch of the centre.
        station_key: The station's private key (PEM), for a batch file.
        public: The centre's public keys (spk hsm export-public), for a batch file.
        make_here: With a batch file without keys: have keys certified over the line.
        mailers: Write PIN mailers into this folder, one file each.
        printer: Print PIN mailers with this command, such as 'lp -d mailers'.
        transport_pin: Print no mailers: cards go out with a transport PIN, the last six digits of
            their number, which the holder changes (spk card change-pin) before any PIN counts.
        phone: Whom to call when card or mailer are lost, as printed.
        photos: A folder of portraits for cards' faces: JPEG or PNG, named by order or card number.
        factory_key_file: The lot's factory key, hexadecimal.
        factory_keys: The maker's list of keys, one card a line.
        family: Families taken: yubico, openfips201, generic; any, if left out.
        attested_by: The maker's certificates (PEM): keys must be attested.
        folder: The station's folder; default: SPK_STATION.
    """

    centre: Centre = DEFAULT_CENTRE
    token_file: TokenFile = None
    hsm: str | None = None
    bureau: Path | None = None
    station_key: Path | None = None
    public: Path | None = None
    make_here: bool = False
    mailers: Path | None = None
    printer: str | None = None
    transport_pin: bool = False
    phone: str = ""
    photos: Path | None = None
    factory_key_file: Path | None = None
    factory_keys: Path | None = None
    family: tuple[str, ...] = ()
    attested_by: Path | None = None
    folder: Path | None = None
    lang: Lang = "ru"


class Workshop:
    """An open station, and where its orders come from. `title` names batch and place."""

    def __init__(
        self,
        station: Station,
        centre: CentreClient | None,
        bureau: Batch | None,
        language: Language,
    ) -> None:
        self.station = station
        self.centre = centre
        self._bureau = bureau
        self._language: Language = language
        self.title = ""

    def orders(self, batch_id: UUID | None = None) -> OrderSource:
        """The orders of the bureau's file, or of a batch of the centre (None: the next)."""
        ru = self._language == "ru"
        if self._bureau is not None:
            self.title = "Партия из файла" if ru else "A batch from a file"
            return OrderList(orders_of_batch(self._bureau), self.station.journal)
        if self.centre is None:
            raise AssertionError("without a batch file there is a centre")
        batch = self.centre.take_batch(batch_id)
        if batch is None:
            self.title = "Партий для станции нет" if ru else "There is no batch for this station"
            return NoOrders()
        self.title = f"{'Партия' if ru else 'Batch'} {batch.number}, {batch.point_name}"
        return OrderList(self.centre.orders_of(batch.batch_id), self.station.journal)


@contextmanager
def open_workshop(settings: WorkshopSettings, environ: Mapping[str, str]) -> Iterator[Workshop]:
    """Open what the settings name. StationError says what cannot be used."""
    folder = station_folder(settings.folder, environ)
    with ExitStack() as stack:
        bureau = None if settings.bureau is None else _read_batch(settings)
        centre: CentreClient | None = None
        if bureau is None or settings.token_file is not None:
            token = read_token(settings.token_file)
            centre = stack.enter_context(CentreClient(settings.centre, token))
        keys: CardKeys
        if bureau is None:
            service = stack.enter_context(connect(hsm_address(settings.hsm, environ)))
            keys = ServiceKeys(service)
        elif settings.make_here:
            service = stack.enter_context(connect(hsm_address(settings.hsm, environ)))
            keys = BatchKeys(bureau, service)
        else:
            keys = BatchKeys(bureau)
        journal = stack.enter_context(Journal.open(folder))
        lot = Lot(
            families=frozenset(settings.family),
            factory_key=read_factory_key(settings.factory_key_file),
            factory_keys=_read_factory_list(settings.factory_keys),
            authorities=_read_authorities(settings.attested_by),
        )
        station = Station(
            journal,
            keys,
            lot,
            _hand_over(settings, folder),
            centre,
            transport_pins=settings.transport_pin,
        )
        yield Workshop(station, centre, bureau, settings.lang)


def _hand_over(settings: WorkshopSettings, folder: Path) -> HandOver:
    """Where PIN letters go: to a printer, into a folder, or else onto the screen, once each."""
    prints = settings.printer is not None or settings.mailers is not None
    if prints and not settings.transport_pin and not settings.phone.strip():
        raise StationError(
            StationFault.CHOICE,
            ru="Укажите телефон для утерянных карт, его печатает ПИН-конверт: --phone",
            en="Give the telephone for lost cards, which the PIN mailer prints: --phone",
        )
    book = MailerBook(folder / MAILER_BOOK)
    if settings.printer is not None:
        command = shlex.split(settings.printer)
        return MailerPrinter(book, command, settings.phone, settings.lang)
    if settings.mailers is not None:
        settings.mailers.mkdir(mode=0o700, parents=True, exist_ok=True)
        return MailerFile(book, settings.mailers, settings.phone, settings.lang)
    return _Screen(settings.lang)


class _Screen:
    """Shows letters where the officer sits: for a station without a printer."""

    def __init__(self, language: Language) -> None:
        self._language: Language = language

    def __call__(self, letter: PinLetter, again: bool) -> None:
        print(letter.text(self._language), end="", flush=True)


def _read_batch(settings: WorkshopSettings) -> Batch:
    if settings.bureau is None or settings.station_key is None or settings.public is None:
        raise StationError(
            StationFault.CHOICE,
            ru="К файлу партии укажите --station-key и --public",
            en="With a batch file give --station-key and --public",
        )
    key = _station_key(settings.station_key)
    points = _points(settings.public / CONTENT_KEYS_FILE)
    try:
        return open_batch(_read(settings.bureau, BATCH_FILE_BYTES_MAX), key, points)
    except BatchError as error:
        path = str(settings.bureau)
        raise StationError(StationFault.FILE_UNUSABLE, path=path, detail=str(error)) from None


def _station_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path, LIST_BYTES_MAX), None)
    except (ValueError, TypeError) as error:
        raise _unusable(path, str(error)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise _unusable(path, "P-256")
    return key


def _points(path: Path) -> list[bytes]:
    content = _read(path, LIST_BYTES_MAX)
    try:
        keys = [serialization.load_pem_public_key(pem) for pem in _PEM.findall(content)]
    except ValueError as error:
        raise _unusable(path, str(error)) from None
    return [
        key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        for key in keys
        if isinstance(key, ec.EllipticCurvePublicKey)
    ]


def _read_factory_list(path: Path | None) -> FactoryList:
    if path is None:
        return FactoryList({})
    try:
        return parse_factory_list(_read(path, LIST_BYTES_MAX).decode("utf-8"))
    except (FactoryListError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from None


def _read_authorities(path: Path | None) -> tuple[x509.Certificate, ...]:
    if path is None:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(_read(path, LIST_BYTES_MAX)))
    except ValueError as error:
        raise _unusable(path, str(error)) from None


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    if len(content) > most:
        raise _unusable(path, f"> {most} bytes / байт")
    return content


def _unusable(path: Path, detail: str) -> StationError:
    return StationError(StationFault.FILE_UNUSABLE, path=str(path), detail=detail)
