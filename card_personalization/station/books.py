"""The books of a station: blanks in = good + spoiled + left, or they are not closed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from card_personalization.chip.errors import Language
from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.journal import BlanksCounted, Closed, Journal, now_ms
from card_personalization.station.mailing import MAILER_BOOK, MailerBook

CLOSED_FOLDER = "closed"
NUMBERS_SHOWN_MAX = 10
"""How many unfinished cards a refusal names."""


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """The count since the last closing. `left` is what lies there; `open` cards are unfinished."""

    blanks: int
    good: int
    spoiled: int
    left: int
    open: int = 0

    @property
    def difference(self) -> int:
        """Blanks that nobody can account for; below zero there are too many."""
        return self.blanks - self.good - self.spoiled - self.left

    def text(self, language: Language) -> str:
        """The equation in one line."""
        equal = "=" if self.difference == 0 else "≠"
        sums = (self.blanks, equal, self.good, self.spoiled, self.left)
        if language == "ru":
            return "Пришло {} {} годных {} + брака {} + осталось {}".format(*sums)
        return "{} came in {} {} good + {} spoiled + {} left".format(*sums)


def books_of(journal: Journal, left: int | None = None) -> Books:
    """The books with so many blanks counted; None: as many as there should be."""
    with journal.locked():
        ledger = journal.ledger
        good, spoiled = ledger.good, len(ledger.spoiled)
        # A card under way is neither good nor left: it lies beside the reader.
        under_way = len(ledger.open_jobs)
        due = ledger.blanks - good - spoiled - under_way
        return Books(
            blanks=ledger.blanks,
            good=good,
            spoiled=spoiled,
            left=due if left is None else left,
            open=under_way,
        )


def add_blanks(journal: Journal, count: int, note: str) -> Books:
    """Write down that blanks came in, or (below zero) were taken away, and why."""
    journal.write(BlanksCounted(at_ms=now_ms(), count=count, note=note), sync=True)
    return books_of(journal)


def close_books(journal: Journal, folder: Path, left: int, by: str) -> Books:
    """Close the books; a copy of the journal stays in `folder`/closed. StationError if not.

    BOOKS_OPEN while a card is unfinished, BOOKS_DIFFER when the count does not add up,
    MAILERS_LEFT while a file holds a mailer.
    """
    with journal.locked():
        jobs = journal.ledger.open_jobs
        books = books_of(journal, left)
        if jobs:
            numbers = ", ".join(job.order.card_number for job in jobs[:NUMBERS_SHOWN_MAX])
            raise StationError(StationFault.BOOKS_OPEN, count=len(jobs), numbers=numbers)
        if books.difference:
            raise StationError(
                StationFault.BOOKS_DIFFER,
                blanks=books.blanks,
                good=books.good,
                spoiled=books.spoiled,
                left=left,
                difference=books.difference,
            )
        if files := MailerBook(folder / MAILER_BOOK).files:
            places = ", ".join(sorted({str(path.parent) for path in files.values()}))
            raise StationError(StationFault.MAILERS_LEFT, count=len(files), places=places)
        at_ms = now_ms()
        record = Closed(
            at_ms=at_ms,
            blanks=books.blanks,
            good=books.good,
            spoiled=books.spoiled,
            left=left,
            by=by,
        )
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        name = f"{moment:%Y%m%dT%H%M%S}{at_ms % 1000:03d}Z.journal"
        journal.close_books(record, folder / CLOSED_FOLDER / name)
    return books
