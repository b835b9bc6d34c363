"""`spk station`: work a batch off with one reader or many, and keep the books of blanks.

Plain lines on a terminal, keyboard only. The Textual screen stands on the same core.
"""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated
from uuid import UUID

import cyclopts
from cyclopts import Parameter

from card_personalization.chip.transport.pcsc import list_readers
from card_personalization.station.books import add_blanks, books_of, close_books
from card_personalization.station.commands import Centre, CommandFailed, Lang, TokenFile, in_words
from card_personalization.station.equipment import DEFAULT_CENTRE, station_folder
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.issuing import Outcome, Served, Station
from card_personalization.station.journal import Job, Journal
from card_personalization.station.line import READERS_MAX, Line, LineView, ReaderState, ReaderView
from card_personalization.station.mailing import MAILER_BOOK, MailerBook
from card_personalization.station.orders import NoOrders, OrderSource
from card_personalization.station.ports import PcscPort
from card_personalization.station.workshop import Workshop, WorkshopSettings, open_workshop

STOP_TIMEOUT_MS = 600_000
"""Longest wait, at the end, for cards under way."""
BLANK = "blank"
"""What is written off when a card was never begun."""
_WAKE_S = 0.5

app = cyclopts.App(name="station", help="Write batches of cards; keep the books of blanks.")

Folder = Annotated[
    Path | None, Parameter(name="--folder", help="The station's folder; default: SPK_STATION.")
]
Settings = Annotated[WorkshopSettings, Parameter(name="*")]
DEFAULTS = WorkshopSettings()


@app.default
def screen(
    *readers: Annotated[str, Parameter(help="Readers' names; default: all that are connected.")],
    drawer: Annotated[
        Path | None, Parameter(help="For a trial: a folder of software cards, as one reader.")
    ] = None,
    by: Annotated[str, Parameter(help="Who works here; default: this account.")] = "",
    settings: Settings = DEFAULTS,
) -> None:
    """Work at the screen: every reader as a tile, a batch, a visitor's card, the closing."""
    # A screen is wanted only by this command.
    from card_personalization.station.screen.opening import show_screen

    with in_words(settings.lang):
        show_screen(readers, drawer, by or getpass.getuser(), settings)


@app.command
def run(
    *readers: Annotated[str, Parameter(help="Readers' names; default: all that are connected.")],
    batch: Annotated[UUID | None, Parameter(help="A batch of the centre; default: next.")] = None,
    settings: Settings = DEFAULTS,
) -> None:
    """Work a batch off: card in, card written, card out, until no order waits.

    Ctrl-C ends it when the cards under way are finished. What broke off is taken up when its card
    is put in again, now or in a later run.
    """
    lang = settings.lang
    with in_words(lang), open_workshop(settings, os.environ) as workshop:
        names = readers or list_readers()
        if not 1 <= len(names) <= READERS_MAX:
            raise StationError(
                StationFault.CHOICE,
                ru=f"Считывателей подключено {len(names)}, нужно от 1 до {READERS_MAX}",
                en=f"{len(names)} readers are connected, 1 to {READERS_MAX} are needed",
            )
        orders = workshop.orders(batch)
        _print_settled(workshop.station.settle(orders, lambda _: None), lang)
        _tell(_begin_text(workshop, orders, lang))
        view = _work(workshop.station, orders, names, lang)
    _tell(_end_text(view, lang))
    if not view.finished:
        raise CommandFailed(_unfinished_text(view, lang))


@app.command
def resume(*, settings: Settings = DEFAULTS) -> None:
    """Print letters and send reports that are outstanding; list cards to be put in again."""
    lang = settings.lang
    with in_words(lang), open_workshop(settings, os.environ) as workshop:
        settled = workshop.station.settle(NoOrders(), lambda _: None)
        _print_settled(settled, lang)
        jobs = workshop.station.journal.ledger.open_jobs
    for job in jobs:
        _tell(_job_text(job, lang))
    ru, en = f"Не закончено карт: {len(jobs)}", f"Cards not finished: {len(jobs)}"
    _tell(ru if lang == "ru" else en)
    if any(served.outcome is not Outcome.ISSUED for served in settled):
        raise CommandFailed("Отправлено не всё" if lang == "ru" else "Not all could be sent")


@app.command
def spoiled(
    card: Annotated[str, Parameter(help="Write a card off: its number, or the word blank.")] = "",
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, in words.")] = "",
    settings: Settings = DEFAULTS,
) -> None:
    """List spoiled cards with their reasons; or write one off that is lost, bent or misprinted."""
    lang = settings.lang
    with in_words(lang):
        if card:
            with open_workshop(settings, os.environ) as workshop:
                _write_off(workshop.station, card, reason)
                workshop.station.settle(NoOrders(), lambda _: None)
                lines = _spoiled_lines(workshop.station.journal, lang)
        else:
            with Journal.open(station_folder(settings.folder, os.environ)) as journal:
                lines = _spoiled_lines(journal, lang)
    for line in lines:
        _tell(line)


@app.command
def stock(
    *,
    add: Annotated[int, Parameter(help="So many blanks came in (below zero: went back).")] = 0,
    note: Annotated[str, Parameter(help="Of which lot, from whom, why.")] = "",
    folder: Folder = None,
    lang: Lang = "ru",
) -> None:
    """Show the books of blanks; with --add write down that some came in."""
    with in_words(lang), Journal.open(station_folder(folder, os.environ)) as journal:
        books = add_blanks(journal, add, note) if add else books_of(journal)
    _tell(books.text(lang))
    if books.open:
        ru, en = f"Не закончено карт: {books.open}", f"Cards not finished: {books.open}"
        _tell(ru if lang == "ru" else en)


@app.command
def close(
    *,
    left: Annotated[int, Parameter(help="How many blanks were counted.")],
    by: Annotated[str, Parameter(help="Who counted; default: this account.")] = "",
    tell_centre: Annotated[bool, Parameter(help="Tell the centre the count too.")] = True,
    centre: Centre = DEFAULT_CENTRE,
    token_file: TokenFile = None,
    folder: Folder = None,
    lang: Lang = "ru",
) -> None:
    """Close the books: in = good + spoiled + left, or they stay open."""
    from card_personalization.station.centre import CentreClient, read_token

    place = station_folder(folder, os.environ)
    with in_words(lang), ExitStack() as stack:
        journal = stack.enter_context(Journal.open(place))
        client = None
        if tell_centre:
            client = stack.enter_context(CentreClient(centre, read_token(token_file)))
        books = close_books(journal, place, left, by or getpass.getuser())
        _tell(books.text(lang))
        if client is not None:
            balance = client.count_blanks(left)
            ru = f"Центр: по его счёту не хватает {balance.missing}"
            en = f"The centre: by its count {balance.missing} are missing"
            if balance.missing:
                raise CommandFailed(ru if lang == "ru" else en)
    _tell("Смена закрыта" if lang == "ru" else "The books are closed")


@app.command
def wipe_mailers(*, folder: Folder = None, lang: Lang = "ru") -> None:
    """Overwrite and remove the files that --mailers wrote, once they are printed.

    A disk that moves its blocks about (any SSD) may keep the old ones: prefer --printer.
    """
    place = station_folder(folder, os.environ)
    # Nobody else works here meanwhile.
    with in_words(lang), Journal.open(place):
        wiped, gone = MailerBook(place / MAILER_BOOK).wipe_files()
    _tell(f"Стёрто конвертов: {wiped}" if lang == "ru" else f"Mailers wiped: {wiped}")
    for number in gone:
        ru = f"Карта {number}: файла нет на месте, его кто-то убрал"
        en = f"Card {number}: its file is gone, somebody took it away"
        _tell(ru if lang == "ru" else en)


@app.command
def face(
    card: Annotated[str, Parameter(help="Number of a card begun here, or its order's id.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder for the PDF and the pictures; must exist.")],
    phone: Annotated[str, Parameter(help="Whom to call when the card is lost, as printed.")],
    photos: Annotated[
        Path | None, Parameter(help="Folder of portraits, named by order or card number.")
    ] = None,
    by: Annotated[str, Parameter(help="Who prints it; default: this account.")] = "",
    centre: Centre = DEFAULT_CENTRE,
    token_file: TokenFile = None,
    folder: Folder = None,
    lang: Lang = "ru",
) -> None:
    """Write a card's face as PDF and PNG for a card printer; delete them when it is printed."""
    from card_personalization.station.centre import CentreClient, read_token
    from card_personalization.station.face_file import card_face, find_photo, write_face

    with in_words(lang), CentreClient(centre, read_token(token_file)) as client:
        order_id = _order_of(card, station_folder(folder, os.environ))
        told = client.face(order_id, f"printed by {by or getpass.getuser()}")
        photo = find_photo(photos, order_id, told.card_number)
        _tell(str(write_face(card_face(told, phone, photo), out)))
    if not photo:
        _tell(
            "Фотографии нет, на карте пустая рамка" if lang == "ru" else "No photo: an empty frame"
        )


def _order_of(card: str, folder: Path) -> UUID:
    """The order with this id, or that of the card with this number."""
    try:
        return UUID(card)
    except ValueError:
        pass
    with Journal.open(folder) as journal:
        for job in journal.ledger.jobs.values():
            if job.order.card_number == card:
                return job.order.order_id
    raise StationError(
        StationFault.CHOICE,
        ru=f"Карты {card} нет в журнале станции с последней сверки; укажите id заявки",
        en=f"Card {card} is not in the journal since the last closing; give the order's id",
    )


class _Told:
    """Prints what readers are at, one line per change, from whichever thread."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._lock = threading.Lock()
        self.changed = threading.Event()

    def __call__(self, view: ReaderView) -> None:
        text = _reader_text(view, self._lang)
        if text:
            with self._lock:
                _tell(f"{view.name}: {text}")
        if view.state is not ReaderState.WRITING:
            self.changed.set()


def _work(station: Station, orders: OrderSource, names: tuple[str, ...], lang: Lang) -> LineView:
    told = _Told(lang)
    line = Line(station, orders, [PcscPort(name) for name in names], told)
    line.start()
    try:
        while not line.view().finished:
            told.changed.wait(_WAKE_S)
            told.changed.clear()
            if not line.runs:
                break
    except KeyboardInterrupt:
        _tell("Заканчиваю начатое…" if lang == "ru" else "Finishing what is under way…")
    finally:
        line.stop()
        line.join(STOP_TIMEOUT_MS / 1000)
    return line.view()


def _reader_text(view: ReaderView, lang: str) -> str:
    ru = lang == "ru"
    match view.state:
        case ReaderState.IDLE:
            return ""
        case ReaderState.INSERT:
            return "вставьте карту" if ru else "put a card in"
        case ReaderState.WRITING:
            return "" if view.step is None else view.step.text("ru" if ru else "en")
        case ReaderState.TAKE_OUT:
            told = "" if view.served is None else view.served.text("ru" if ru else "en")
            return f"{told} {'Выньте карту' if ru else 'Take the card out'}"
        case ReaderState.AWAY:
            return "" if view.fault is None else view.fault.text("ru" if ru else "en")


def _begin_text(workshop: Workshop, orders: OrderSource, lang: Lang) -> str:
    jobs = len(workshop.station.journal.ledger.open_jobs)
    if lang == "ru":
        return f"{workshop.title}: заявок {orders.left()}, начатых карт {jobs}"
    return f"{workshop.title}: {orders.left()} orders, {jobs} cards begun"


def _end_text(view: LineView, lang: Lang) -> str:
    done = view.progress
    rate = "—" if done.rate_per_minute is None else f"{done.rate_per_minute:.0f}"
    if lang == "ru":
        return (
            f"Годных {done.good}, брака {done.spoiled}, отложено {done.set_aside}, "
            f"заявок осталось {done.waiting}; карт в минуту: {rate}"
        )
    return (
        f"{done.good} good, {done.spoiled} spoiled, {done.set_aside} set aside, "
        f"{done.waiting} orders left; cards a minute: {rate}"
    )


def _unfinished_text(view: LineView, lang: Lang) -> str:
    done = view.progress
    if lang == "ru":
        return f"Не закончено: заявок {done.waiting}, начатых карт {done.open}"
    return f"Not finished: {done.waiting} orders, {done.open} cards begun"


def _print_settled(settled: tuple[Served, ...], lang: Lang) -> None:
    for served in settled:
        _tell(served.text(lang))


def _job_text(job: Job, lang: Lang) -> str:
    number, chip = job.order.card_number, job.chip or job.family
    if lang == "ru":
        return f"Карта {number} ({chip}): вставьте её ещё раз"
    return f"Card {number} ({chip}): put it in again"


def _spoiled_lines(journal: Journal, lang: Lang) -> Iterator[str]:
    ledger = journal.ledger
    lines = [f"{one.card}: {one.ru if lang == 'ru' else one.en}" for one in ledger.spoiled]
    lines.append(f"{'Брака' if lang == 'ru' else 'Spoiled'}: {len(lines)}")
    return iter(lines)


def _write_off(station: Station, card: str, reason: str) -> None:
    """Write an open card off by its number, or a blank that was never begun."""
    if not reason:
        raise StationError(
            StationFault.CHOICE, ru="Укажите причину: --reason", en="Give the reason: --reason"
        )
    jobs = station.journal.ledger.open_jobs
    job = next((one for one in jobs if one.order.card_number == card), None)
    if job is None and card != BLANK:
        raise StationError(
            StationFault.CHOICE,
            ru=f"Карта {card} не начата; незаконченные показывает spk station resume",
            en=f"Card {card} is not begun; spk station resume shows those that are",
        )
    station.spoil(job, "" if job is None else job.chip or job.guid.hex(), reason, reason)


def _tell(text: str) -> None:
    print(text, flush=True)
