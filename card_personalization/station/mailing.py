"""Mailers leave the station: printed once each, through a command or into a file, and counted.

`MailerBook` writes down, before a byte leaves, that the mailer of a card is printed: whatever
breaks off after that, there is no second one. A second print is refused and written down.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from card_personalization.chip.errors import Language
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.mailer import mailer_pdf
from card_personalization.station.new_file import write_new_file
from card_personalization.station.pin_letter import PinLetter

PRINT_TIMEOUT_MS: Final = 120_000
"""Longest wait for a printer's command to take a mailer."""
BOOK_BYTES_MAX: Final = 256 * 1024 * 1024
"""Longest book of mailers, more than a million cards; a longer one is put away and begun anew."""
MAILER_BOOK: Final = "mailers.jsonl"
"""What the book of mailers is called in a station's folder."""
_SAID_LENGTH_MAX: Final = 200
_OWNER_ONLY: Final = 0o600


class MailerEvent(StrEnum):
    """What happened to a mailer, as the book keeps it."""

    PRINTING = "printing"
    PRINTED = "printed"
    BROKEN_OFF = "broken_off"
    REFUSED = "refused"
    WIPED = "wiped"
    GONE = "gone"


class BookLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the book: no code, and nobody's name. `file` is where a mailer was written to."""

    at: datetime
    card_number: str
    event: MailerEvent
    file: str = ""


class MailerBook:
    """Which mailers were printed: a file of JSON lines, each on the disk before it counts.

    A last line that a power cut tore is left out: what it would have said had not begun.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] | None = None) -> None:
        self._path = path
        self._now = now or (lambda: datetime.now(UTC))
        # Readers of a batch print at the same time.
        self._lock = threading.Lock()
        self._events: dict[str, list[MailerEvent]] = {}
        self._files: dict[str, Path] = {}
        for line in self._read():
            self._take(line)

    def begin(self, card_number: str, file: Path | None = None) -> None:
        """Write down that this mailer is being printed. StationError(MAILER_PRINTED): it was."""
        with self._lock:
            if not self.was_printed(card_number):
                self._write(card_number, MailerEvent.PRINTING, file)
                return
            self._write(card_number, MailerEvent.REFUSED)
        raise StationError(
            StationFault.MAILER_PRINTED,
            card_number=card_number,
            refusals=self.refusals(card_number),
        )

    def end(self, card_number: str, event: MailerEvent) -> None:
        """Write down how the printing ended."""
        with self._lock:
            self._write(card_number, event)

    def was_printed(self, card_number: str) -> bool:
        """Whether a mailer of this card was begun, so that there is never another."""
        return MailerEvent.PRINTING in self._events.get(card_number, ())

    def is_complete(self, card_number: str) -> bool:
        """Whether the mailer of this card left the station whole."""
        return MailerEvent.PRINTED in self._events.get(card_number, ())

    @property
    def files(self) -> dict[str, Path]:
        """Files with mailers that were not wiped, by card number."""
        return dict(self._files)

    def wipe_files(self) -> tuple[int, tuple[str, ...]]:
        """Wipe every mailer that lies in a file: how many, and the numbers whose file is gone.

        A file that somebody took away is written down as gone, and is not asked for again.
        StationError(FILE_UNUSABLE).
        """
        gone = []
        files = self.files
        for number, path in files.items():
            event = MailerEvent.WIPED
            if path.exists():
                wipe(path)
            else:
                event = MailerEvent.GONE
                gone.append(number)
            self.end(number, event)
        return len(files) - len(gone), tuple(gone)

    def refusals(self, card_number: str | None = None) -> int:
        """How often a second print was asked for, of one card or (None) of all."""
        lists = self._events.values() if card_number is None else [self._events[card_number]]
        return sum(events.count(MailerEvent.REFUSED) for events in lists)

    def _read(self) -> list[BookLine]:
        try:
            with self._path.open("rb") as file:
                content = file.read(BOOK_BYTES_MAX + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        if len(content) > BOOK_BYTES_MAX:
            raise self._unusable(f"> {BOOK_BYTES_MAX} bytes")
        whole, _, torn = content.rpartition(b"\n")
        if torn:
            os.truncate(self._path, len(content) - len(torn))
        try:
            return [msgspec.json.decode(line, type=BookLine) for line in whole.splitlines()]
        except msgspec.DecodeError as error:
            raise self._unusable(str(error)) from None

    def _take(self, line: BookLine) -> None:
        self._events.setdefault(line.card_number, []).append(line.event)
        if line.event is MailerEvent.PRINTING and line.file:
            self._files[line.card_number] = Path(line.file)
        elif line.event in (MailerEvent.WIPED, MailerEvent.GONE):
            self._files.pop(line.card_number, None)

    def _write(self, card_number: str, event: MailerEvent, file: Path | None = None) -> None:
        name = "" if file is None else str(file.absolute())
        line = BookLine(at=self._now(), card_number=card_number, event=event, file=name)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            descriptor = os.open(self._path, flags, _OWNER_ONLY)
            with os.fdopen(descriptor, "ab") as book:
                book.write(msgspec.json.encode(line) + b"\n")
                book.flush()
                os.fsync(book.fileno())
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        self._take(line)

    def _unusable(self, detail: str) -> StationError:
        return StationError(StationFault.FILE_UNUSABLE, path=str(self._path), detail=detail)


class MailerPrinter:
    """Prints mailers with a command that takes a PDF on its standard input, as `lp` does."""

    def __init__(
        self, book: MailerBook, command: Sequence[str], phone: str, language: Language = "ru"
    ) -> None:
        self._book = book
        self._command = list(command)
        self._phone = phone
        self._language: Language = language

    def __call__(self, letter: PinLetter, again: bool = False) -> None:
        """Print the mailer of a card, once.

        `again`: a station that broke off does not know whether it had done so. A mailer that left
        whole is enough then; one that may have come out in part is never printed a second time.

        StationError: MAILER_PRINTED (it was before), PRINTER (the command did not start: nothing
        was printed, try again), MAILER_SPOILED (it broke off: this PIN is never printed again).
        """
        number = letter.card_number
        if again and self._book.is_complete(number):
            return
        pdf = mailer_pdf(letter, self._phone, self._language)
        if self._book.was_printed(number):
            self._book.begin(number)
        try:
            printing = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            detail = f"{self._command[0]}: {error.strerror or error}"
            raise StationError(StationFault.PRINTER, detail=detail) from None
        with printing:
            try:
                self._book.begin(number)
                _, said = printing.communicate(pdf, PRINT_TIMEOUT_MS / 1000)
            except (OSError, subprocess.TimeoutExpired) as error:
                printing.kill()
                raise self._spoiled(number, str(error)) from None
            except BaseException:
                printing.kill()
                raise
        if printing.returncode:
            text = said.decode(errors="replace").strip()[:_SAID_LENGTH_MAX]
            raise self._spoiled(number, text or f"exit {printing.returncode}")
        self._book.end(number, MailerEvent.PRINTED)

    def _spoiled(self, card_number: str, detail: str) -> StationError:
        self._book.end(card_number, MailerEvent.BROKEN_OFF)
        return StationError(StationFault.MAILER_SPOILED, card_number=card_number, detail=detail)


class MailerFile:
    """Writes mailers into a folder that the officer names, one file each, for its owner's eyes."""

    def __init__(
        self, book: MailerBook, folder: Path, phone: str, language: Language = "ru"
    ) -> None:
        self._book = book
        self._folder = folder
        self._phone = phone
        self._language: Language = language

    def __call__(self, letter: PinLetter, again: bool = False) -> None:
        """Write the mailer of a card, once; `again` as with a printer.

        StationError: MAILER_PRINTED, FILE_UNUSABLE.
        """
        if again and self._book.is_complete(letter.card_number):
            return
        pdf = mailer_pdf(letter, self._phone, self._language)
        path = self._folder / f"{letter.card_number}.pdf"
        self._book.begin(letter.card_number, path)
        try:
            write_new_file(path, pdf)
        except StationError:
            self._book.end(letter.card_number, MailerEvent.BROKEN_OFF)
            raise
        self._book.end(letter.card_number, MailerEvent.PRINTED)


def wipe(path: Path) -> None:
    """Overwrite a mailer's file and remove it. StationError(FILE_UNUSABLE).

    A disk that moves its blocks about (any SSD) may keep the old ones: a printer's command leaves
    nothing to wipe.
    """
    try:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except OSError as error:
        detail = error.strerror or str(error)
        raise StationError(StationFault.FILE_UNUSABLE, path=str(path), detail=detail) from None
